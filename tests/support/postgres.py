"""A throw-away PostgreSQL server for this process, and databases on it.

It syncs nothing to the disk and is reached by a Unix socket only. Where there is no initdb, `server` returns
None, and `MISSING` says why.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import tempfile
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

from chatd.store.engine import connect
from chatd.store.migrate import prepare

MISSING = "There is no PostgreSQL server on this machine: install Debian's postgresql."
USER = "chatd"
MEMORY = Path("/dev/shm")

SETTINGS = """
listen_addresses = ''
fsync = off
synchronous_commit = off
full_page_writes = off
autovacuum = off
max_connections = 1000
shared_buffers = 64MB
dynamic_shared_memory_type = mmap
max_wal_size = 256MB
wal_level = minimal
max_wal_senders = 0
logging_collector = off
plan_cache_mode = force_generic_plan
"""


_numbers = count(1)


def find_programs() -> Path | None:
    """The folder with initdb, or None."""
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).parent
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


class PostgresServer:
    """A server in a folder of its own. PostgreSQL refuses to run as root, so it runs as another user then."""

    def __init__(self, programs: Path, settings: str = SETTINGS, locale: str = "C.UTF-8") -> None:
        self._programs = programs
        self._settings = settings
        self._user: dict[str, Any] = {}
        if os.geteuid() == 0:
            self._user = {"user": "postgres", "group": "postgres", "extra_groups": []}
        parent = MEMORY if MEMORY.is_dir() else None
        self.folder = Path(tempfile.mkdtemp(prefix="chatd-postgres-", dir=parent))
        if self._user:
            shutil.chown(self.folder, "postgres", "postgres")
        atexit.register(self.remove)
        self._run("initdb", "-E", "UTF8", f"--locale={locale}", "-A", "trust", "-U", USER, "-N")
        with (self.folder / "data" / "postgresql.conf").open("a") as file:
            file.write(f"{settings}\nunix_socket_directories = '{self.folder}'\n")

    def start(self) -> None:
        self._run("pg_ctl", "-w", "-l", str(self.folder / "log"), "start")

    def stop(self, mode: str = "immediate") -> None:
        self._run("pg_ctl", "-w", "-m", mode, "stop")

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://{USER}@/{database}?host={self.folder}"

    def execute(self, statement: str, database: str = "postgres") -> list[Any]:
        """Execute a statement outside of a transaction, and return its rows."""
        import psycopg

        where = f"host={self.folder} user={USER} dbname={database}"
        with psycopg.connect(where, autocommit=True) as connection:
            cursor = connection.execute(statement)
            return list(cursor.fetchall()) if cursor.description else []

    def remove(self) -> None:
        """Stop the server, and remove its folder."""
        if self.folder.exists():
            if (self.folder / "data" / "postmaster.pid").exists():
                self.stop()
            shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self._programs / program, "-D", self.folder / "data", *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=self.folder,
            **self._user,
        )


@cache
def server() -> PostgresServer | None:
    """The server of this process, which runs until the process ends; None if there is none to be had."""
    programs = find_programs()
    if programs is None:
        return None
    started = PostgresServer(programs)
    started.start()
    return started


def temporary_database(case: Any) -> str:
    """Return the URL of a new database with the newest schema, which is dropped after the test `case`. There
    has to be a server."""
    url = empty_database(case)
    engine = connect(url)
    prepare(engine)
    engine.dispose()
    return url


def empty_database(case: Any) -> str:
    """As `temporary_database`, without tables."""
    found = server()
    assert found is not None
    name = f"own{next(_numbers)}"
    found.execute(f"CREATE DATABASE {name}")
    case.addCleanup(found.execute, f"DROP DATABASE {name} WITH (FORCE)")
    return found.url(name)
