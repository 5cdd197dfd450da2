"""`python -m chatd.ctl` is chatctl."""

from __future__ import annotations

import sys

from chatd.ctl.main import main

if __name__ == "__main__":
    sys.exit(main())
