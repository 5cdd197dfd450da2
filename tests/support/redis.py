"""A throw-away Redis server. It keeps nothing on disk, and is reached by a Unix socket only."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from pathlib import Path

MISSING = "There is no Redis server on this machine: install Debian's redis-server."
STARTS_WITHIN = 30.0  # seconds


class RedisServer:
    def __init__(self) -> None:
        # The path of a socket is short, and that of the folder of a test is not.
        self._folder = Path(tempfile.mkdtemp(prefix="chatd-redis-"))
        self._socket = self._folder / "socket"
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"unix://{self._socket}"

    def start(self) -> None:
        self._process = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", self._socket, "--save", ""],
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + STARTS_WITHIN
        while not self._socket.exists():
            assert time.monotonic() < deadline, "Redis does not start"
            time.sleep(0.01)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            self._socket.unlink(missing_ok=True)

    def remove(self) -> None:
        self.kill()
        shutil.rmtree(self._folder)


def is_installed() -> bool:
    return shutil.which("redis-server") is not None
