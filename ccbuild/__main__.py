"""``python -m ccbuild``: the command line, for launchers that want a module."""

import sys

from ccbuild.cli import main

sys.exit(main())
