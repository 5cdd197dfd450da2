"""`python -m chatd.conformance HOST PORT`: see docs/conformance.md."""

from __future__ import annotations

import sys

from chatd.conformance.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
