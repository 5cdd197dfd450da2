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
from contextlib import suppress
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

from chatd.app.postgres_programs import find_postgres
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


find_programs = find_postgres
_numbers = count(1)


class PostgresServer:
    """A server in a folder of its own. PostgreSQL refuses to run as root, so it runs as another user then.
    With a `primary`, it is a standby of that server."""

    def __init__(
        self,
        programs: Path,
        settings: str = SETTINGS,
        locale: str = "C.UTF-8",
        primary: PostgresServer | None = None,
    ) -> None:
        self._programs = programs
        self._settings = settings
        self.user: dict[str, Any] = {}  # for subprocess.Popen
        if os.geteuid() == 0:
            self.user = {"user": "postgres", "group": "postgres", "extra_groups": []}
        parent = MEMORY if MEMORY.is_dir() else None
        self.folder = Path(tempfile.mkdtemp(prefix="chatd-postgres-", dir=parent))
        if self.user:
            shutil.chown(self.folder, "postgres", "postgres")
        atexit.register(self.remove)
        if primary is not None:
            self.follow(primary)
            return
        self._run("initdb", "-E", "UTF8", f"--locale={locale}", "-A", "trust", "-U", USER, "-N")
        self._set_up()

    def _set_up(self) -> None:
        with (self.folder / "data" / "postgresql.conf").open("a") as file:
            file.write(f"{self._settings}\nunix_socket_directories = '{self.folder}'\n")

    def follow(self, primary: PostgresServer) -> None:
        """Make a copy of a server that runs, which follows that from its start on, in place of what is in
        this folder. This server does not run."""
        shutil.rmtree(self.folder / "data", ignore_errors=True)
        for socket in self.folder.glob(".s.PGSQL.*"):  # a server that was killed leaves it
            socket.unlink()
        source = f"host={primary.folder} user={USER}"
        self._run("pg_basebackup", "-R", "-X", "stream", "-c", "fast", "-d", source)
        self._set_up()

    def promote(self) -> None:
        """Stop following, and accept changes."""
        self._run("pg_ctl", "-w", "promote")

    def start(self) -> None:
        self._run("pg_ctl", "-w", "-l", str(self.folder / "log"), "start")

    def stop(self, mode: str = "immediate") -> None:
        self._run("pg_ctl", "-w", "-m", mode, "stop")

    @property
    def processes(self) -> list[int]:
        """The ids of the server's processes, the first one's first; empty if it does not run."""
        try:
            first = int((self.folder / "data" / "postmaster.pid").read_text().split()[0])
        except FileNotFoundError:
            return []
        return [first, *_children(first)]

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
            **self.user,
        )


def _children(parent: int) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(fields[1]) == parent:
                found.append(int(folder.name))
    return found


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
