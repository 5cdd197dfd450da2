"""Databases of simulated realms: the schema is made once and copied, and SQLite skips fsync."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, Protocol, cast

from sqlalchemy import Engine, event
from twisted.python.failure import Failure

from chatd.base.config import Config
from chatd.simulate.shared_sqlite import SCHEME, SHARED
from chatd.store import engine as engines
from chatd.store.jobs import Outcome
from chatd.store.migrate import prepare
from chatd.store.names import renew_skeletons

DATABASE = "chatd.db"


class DatabaseServer(Protocol):
    """Has databases that stand for those in files."""

    def connect(self, url: str) -> Engine:
        """Open what stands for the database with the URL of a file."""

    def renew(self, path: Path) -> None:
        """What stands for that file is as new when it is opened next."""

    def copy(self, source: Path, target: Path) -> None:
        """Let what stands for `target` have the rows of what stands for `source`."""


# Has all databases that are opened here. None: they are files.
elsewhere: DatabaseServer | None = None


def connect_without_sync(url: str) -> Engine:
    """Connect as the daemon does, but let SQLite skip fsync: no test cuts the power."""
    engine = connect_quickly(url)
    if elsewhere is None or url.startswith(SCHEME):
        event.listen(engine, "connect", _turn_off_sync)
    return engine


def connect_quickly(url: str) -> Engine:
    """Connect as the daemon does. The engines share one cache of compiled statements. Otherwise each realm
    would compile its own, which takes longer than executing them."""
    if url.startswith(SCHEME):
        return sharing_statements(SHARED.connect(url), _shared_nodes_engine())
    if elsewhere is not None:
        return elsewhere.connect(url)
    return sharing_statements(engines.connect(url), _shared_engine())


def sharing_statements(engine: Any, shared: Any) -> Engine:
    """Let `engine` use the compiled statements of `shared`, which has been connected. Returns `engine`."""
    engine.dialect, engine._compiled_cache = shared.dialect, shared._compiled_cache
    return cast(Engine, engine)


@cache
def _shared_engine() -> Engine:
    engine = engines.connect("sqlite://")
    engine.connect().close()  # initializes the dialect
    return engine


@cache
def _shared_nodes_engine() -> Engine:
    engine = SHARED.connect(f"{SCHEME}://")
    engine.connect().close()  # as above
    return engine


def _turn_off_sync(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA synchronous = OFF").close()


@cache
def empty_database() -> Path:
    """Return a database with the newest schema and no rows. Creating one takes longer than most tests."""
    folder = Path(tempfile.mkdtemp(prefix="chatd-schema-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    engine = connect_without_sync(f"sqlite:///{folder / DATABASE}")
    prepare(engine)
    renew_skeletons(engine)
    engine.dispose()
    return folder / DATABASE


def provide_schema(config: Config) -> None:
    """Copy the schema into a state folder that is new or empty. Another one stays as it is, because tests
    damage databases and expect the realm to notice."""
    config.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    if config.database_url or any(config.state.iterdir()):
        return
    if elsewhere is not None:
        elsewhere.renew(config.state / DATABASE)
        (config.state / DATABASE).touch(mode=0o600)  # says that it is there
        return
    shutil.copyfile(empty_database(), config.state / DATABASE)
    (config.state / DATABASE).chmod(0o600)


def copy_state(source: Path, target: Path) -> None:
    """Copy a state folder with all that is in it, and its database."""
    shutil.copytree(source, target)
    if elsewhere is not None:
        elsewhere.copy(source / DATABASE, target / DATABASE)


def tell(outcome: Outcome) -> None:
    """Pass on the outcome of a job."""
    if isinstance(outcome.value, Failure):
        outcome.done.errback(outcome.value)
    else:
        outcome.done.callback(outcome.value)
