"""The path of the control socket, also where the state folder's path is too long for a Unix socket."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CONTROL_SOCKET = "control.sock"
MAX_PATH = 100  # bytes; sockaddr_un has room for 104 to 108 (unix(7))


@contextmanager
def control_path(state: Path) -> Iterator[str]:
    """A path of the control socket in the state folder that is short enough. It is valid in this context.
    Raises OSError."""
    path = str(state / CONTROL_SOCKET)
    if len(os.fsencode(path)) <= MAX_PATH:
        yield path
        return
    folder = os.open(state, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{CONTROL_SOCKET}"
    finally:
        os.close(folder)
