"""PgBouncer in front of the throw-away PostgreSQL server, which gives each transaction any connection."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from typing import Any

from tests.support.postgres import USER, PostgresServer

PROGRAM = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin")
MISSING = "There is no PgBouncer on this machine: install Debian's pgbouncer."
PORT = 6432  # a part of the socket's name
WITHIN = 10.0  # seconds

CONFIGURATION = """
[databases]
* = host={folder} user={user}
[pgbouncer]
pool_mode = transaction
default_pool_size = {size}
listen_addr =
listen_port = {port}
unix_socket_dir = {folder}
auth_type = any
"""


def start_pgbouncer(case: Any, server: PostgresServer, size: int) -> None:
    """Start it, with at most `size` connections to the server for each database, until the end of the test
    `case`."""
    assert PROGRAM is not None
    configuration = server.folder / "pgbouncer.ini"
    configuration.write_text(
        CONFIGURATION.format(folder=server.folder, user=USER, port=PORT, size=size)
    )
    process = subprocess.Popen([PROGRAM, "-q", configuration], **server.user)
    case.addCleanup(process.wait)
    case.addCleanup(process.kill)
    path = str(server.folder / f".s.PGSQL.{PORT}")
    until = time.monotonic() + WITHIN
    while not _accepts(path):
        if process.poll() is not None or time.monotonic() > until:
            raise AssertionError("PgBouncer has not started")
        time.sleep(0.01)


def _accepts(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(path) == 0


def through_pgbouncer(url: str) -> str:
    """The URL of a database of that server, through the pooler."""
    return f"{url}&port={PORT}&pooler=transaction"
