"""The report of a run: one HTML file that works offline.

The rooms: :mod:`accounts`, :mod:`languages`, :mod:`perplexity`,
:mod:`training`, :mod:`samples` and :mod:`origins` each make one part of the page of it, :mod:`figures` draws, and
:mod:`page` puts it together. It needs jinja2 (``pip install 'ccbuild[report]'``): importing it without is a
`ModuleNotFoundError`.
"""

from __future__ import annotations

from ccbuild.report.page import write_report

__all__ = ["write_report"]
