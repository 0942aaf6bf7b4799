"""The notebooks run from top to bottom on the small run, and are stored without what they printed."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_is_short_and_stored_without_outputs(path: Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    assert len(notebook.cells) < 20
    for cell in notebook.cells:
        assert not cell.get("outputs"), f"{path.name}: clear the outputs of {cell.id}"
        assert cell.get("execution_count") is None, f"{path.name}: clear {cell.id}"
        assert all(len(line) <= 120 for line in cell.source.splitlines()), f"{path.name}: {cell.id} is too wide"


def run_notebook(path: Path, run: Path, monkeypatch: pytest.MonkeyPatch, home: Path) -> nbformat.NotebookNode:
    """The notebook with its outputs; nothing of the kernel is left in the user's home."""
    for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR", "MPLCONFIGDIR"):
        monkeypatch.setenv(name, str(home / name.lower()))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    monkeypatch.setenv("CCBUILD_RUN", str(run))
    monkeypatch.setenv("CCBUILD_STEPS", "10")  # enough to see that it works
    notebook = read(path)
    client = NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": str(home)}})
    client.execute()
    return notebook


@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_runs_on_the_small_run(path: Path, small_run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    notebook = run_notebook(path, small_run, monkeypatch, tmp_path)
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    said = [output.text for output in outputs if output.output_type == "stream" and output.name == "stderr"]
    if "filter" in path.stem:  # the bars of the run that it builds
        said = [text for text in said if re.search(r"warn|error|traceback", text, re.IGNORECASE)]
    assert not said, "\n".join(said)
    drawn = sum("image/png" in output.get("data", {}) for output in outputs)
    assert drawn >= (1 if "filter" in path.stem else 3)


def test_a_broken_cell_is_seen(small_run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("assert False, 'broken on purpose'")])
    nbformat.write(notebook, tmp_path / "broken.ipynb")
    with pytest.raises(Exception, match="broken on purpose"):
        run_notebook(tmp_path / "broken.ipynb", small_run, monkeypatch, tmp_path)
