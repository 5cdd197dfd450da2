"""A primary and its synchronous standby, which takes over when the primary is killed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from chatd.store.engine import connect
from chatd.store.migrate import prepare
from tests.support.postgres import USER, PostgresServer

SETTINGS = """
listen_addresses = ''
fsync = off
synchronous_commit = on
full_page_writes = off
max_connections = 200
shared_buffers = 32MB
dynamic_shared_memory_type = mmap
max_wal_size = 256MB
wal_level = replica
max_wal_senders = 4
wal_receiver_status_interval = 1s
wal_retrieve_retry_interval = 100ms
hot_standby = on
logging_collector = off
plan_cache_mode = force_generic_plan
"""
WITHIN = 20.0  # seconds in which a server does what is waited for
LOOK_EVERY = 0.02  # seconds

_FOLLOWED = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"
_SYNCHRONOUS = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"


class PostgresPair:
    """Two servers, of which one is the primary, and the other one its synchronous standby: what a transaction
    has stored is on both of them before its commit is answered.

    How a test uses it:

        pair = PostgresPair(find_programs())  # both run; this takes some seconds
        self.addCleanup(pair.remove)
        url = pair.database("chatd")          # with the schema; the URL names both servers
        pair.kill()                           # kill -9 of the primary with all its processes
        pair.promote()                        # the standby becomes the primary, and takes changes
        pair.rebuild()                        # the killed server becomes the standby of the new primary

    `fail_over()` is all three, takes about a second, and may be done again and again, from any thread.
    `pause()` and `resume()` stop the standby (SIGSTOP) and let it continue: meanwhile commits wait for it.
    The URL stays the same. While there is no standby, after `promote`, the primary does not wait for one.
    """

    def __init__(self, programs: Path) -> None:
        self.primary = PostgresServer(programs, SETTINGS)
        self.primary.start()
        self.standby = PostgresServer(programs, SETTINGS, primary=self.primary)
        self._folders = (self.primary.folder, self.standby.folder)
        self._follow()

    def url(self, database: str) -> str:
        """The URL of a database. chatd finds the primary among both servers."""
        hosts = "&".join(f"host={folder}" for folder in self._folders)
        return f"postgresql+psycopg://{USER}@/{database}?{hosts}"

    def database(self, name: str) -> str:
        """Make a database with the newest schema, and return its URL."""
        self.primary.execute(f"CREATE DATABASE {name}")
        url = self.url(name)
        engine = connect(url)
        prepare(engine)
        engine.dispose()
        return url

    def kill(self) -> None:
        """Kill the primary: nothing that it has begun is finished, and nobody gets an answer."""
        _kill(self.primary)

    def promote(self) -> None:
        """Make the standby the primary, which waits for no standby until `rebuild`."""
        self.standby.promote()
        self.primary, self.standby = self.standby, self.primary

    def rebuild(self) -> None:
        """Make the server that was killed the synchronous standby of the primary."""
        self.standby.follow(self.primary)
        self._follow()

    def fail_over(self) -> None:
        """Kill the primary, promote the standby, and give that a standby again."""
        self.kill()
        self.promote()
        self.rebuild()

    def pause(self) -> None:
        """Stop the standby, so that commits wait for it."""
        _signal(self.standby.processes, signal.SIGSTOP)

    def resume(self) -> None:
        """Let the standby continue."""
        _signal(self.standby.processes, signal.SIGCONT)

    def remove(self) -> None:
        """Stop both servers, and remove their folders."""
        for server in (self.primary, self.standby):
            _kill(server)
            (server.folder / "data" / "postmaster.pid").unlink(missing_ok=True)
            server.remove()

    def _follow(self) -> None:
        """Start the standby, and let commits wait for it from now on."""
        self.standby.start()
        self._wait_for(_FOLLOWED)
        self.primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        self.primary.execute("SELECT pg_reload_conf()")
        self._wait_for(_SYNCHRONOUS)

    def _wait_for(self, count: str) -> None:
        _wait_for(lambda: self.primary.execute(count)[0][0] > 0)


def _kill(server: PostgresServer) -> None:
    processes = server.processes
    _signal(processes, signal.SIGKILL)
    _wait_for(lambda: all(map(_has_ended, processes)))


def _signal(processes: list[int], number: int) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, number)


def _has_ended(process: int) -> bool:
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"


def _wait_for(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + WITHIN
    while not is_so():
        if time.monotonic() > until:
            raise TimeoutError("a PostgreSQL server does not do what the test waits for")
        time.sleep(LOOK_EVERY)
