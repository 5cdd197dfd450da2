"""Where the programs of a PostgreSQL server are installed on this machine."""

from __future__ import annotations

import shutil
from pathlib import Path


def find_postgres() -> Path | None:
    """The folder with initdb and the others, or None."""
    if on_path := shutil.which("initdb"):
        return Path(on_path).resolve().parent
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None
