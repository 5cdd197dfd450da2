"""Brings a database to the schema of this version.

An empty database gets all tables. An older one is backed up and upgraded. A newer or unknown one is refused.
"""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, inspect, text
from twisted.logger import Logger

from chatd.store.engine import backend_of
from chatd.store.nodes import list_nodes
from chatd.store.schema import SCHEMA_VERSION, metadata, nodes
from chatd.store.snapshot import copy_database

if TYPE_CHECKING:
    from alembic.config import Config

SCRIPTS = Path(__file__).parent / "migrations"
VERSION_TABLE = "alembic_version"
MOVE_TABLE = "store_move"  # is there while a realm is being moved here (chatd.store.transfer)

log = Logger()


class SchemaError(Exception):
    """The database can't be used by this version; `str()` says why, for the operator."""


def prepare(engine: Engine, scripts: Path = SCRIPTS, newest: str = SCHEMA_VERSION) -> None:
    """Bring the database to revision `newest`. Raises SchemaError."""
    _prepare(engine, scripts, newest)
    with engine.begin() as connection:
        backend_of(engine).inform_planner(connection)


def _prepare(engine: Engine, scripts: Path, newest: str) -> None:
    with engine.connect() as connection:
        unsuitable = backend_of(engine).unsuitable(connection)
        if unsuitable is not None:
            raise SchemaError(unsuitable)
        found = current_version(connection)
        if found == newest:
            return
        if found is None:
            tables = inspect(connection).get_table_names()
            if MOVE_TABLE in tables:
                raise SchemaError(
                    "a realm was moved here only in part; run twistd chatd --move-store with the "
                    "configuration of the old database again"
                )
            if tables:
                raise SchemaError(
                    "the database has tables but no version: it is not chatd's; "
                    "expected an empty one or one that chatd has made"
                )
            _create(engine)
            return
        _refuse_beside_nodes(connection, found, newest)
    upgrade(engine, found, scripts, newest)


def _refuse_beside_nodes(connection: Connection, found: str, newest: str) -> None:
    """Raises SchemaError if nodes of another version serve the realm: they do not know the newer schema."""
    if not (backend_of(connection).is_shared and inspect(connection).has_table(nodes.name)):
        return
    alive = [node.name for node in list_nodes(connection, 0) if node.is_alive]
    if alive:
        raise SchemaError(
            f"the database has schema {found}, this version of chatd has schema {newest}, and nodes that use "
            f"the database are running: {', '.join(alive)}; stop all of them, and start this one again some "
            "seconds later"
        )


def current_version(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    version: str | None = connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}"))  # noqa: S608
    return version


def _create(engine: Engine) -> None:
    with engine.begin() as connection:
        create_tables(connection)
        add_version(connection)


def create_tables(connection: Connection) -> None:
    """Create all tables at once. A test checks that running every migration has the same result."""
    metadata.create_all(connection, checkfirst=False)


def add_version(connection: Connection) -> None:
    """Say that the database has the newest schema. Until then, chatd does not use it."""
    connection.execute(
        text(
            f"CREATE TABLE {VERSION_TABLE} (version_num VARCHAR(32) NOT NULL, "
            "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
        )
    )
    connection.execute(
        text(f"INSERT INTO {VERSION_TABLE} VALUES (:version)"),  # noqa: S608
        {"version": SCHEMA_VERSION},
    )


def alembic_config(engine: Engine, scripts: Path) -> Config:
    # Imported late: only an upgrade needs it, and its import takes as long as the rest of a start.
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    config.attributes["engine"] = engine
    return config


def upgrade(engine: Engine, found: str | None, scripts: Path, newest: str) -> None:
    """Run the migrations from `found` to `newest`, after a backup. Raises SchemaError."""
    from alembic import command
    from alembic.script import ScriptDirectory

    config = alembic_config(engine, scripts)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise SchemaError(
            f"the database has schema {found}, which this version of chatd (schema {newest}) does "
            "not know; install the chatd that made it, or a newer one"
        )
    if found is not None:
        backup = back_up(engine, found)
        log.info("database backed up to {backup}; upgrading", backup=backup)
    command.upgrade(config, newest)


def back_up(engine: Engine, version: str) -> Path | None:
    """Copy an SQLite database to a file beside it. Operators of other databases make their own backups."""
    path = backend_of(engine).file_of(engine)
    if path is None:
        return None
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    backup = path.with_name(f"{path.name}.{version}.{stamp}.bak")
    free = shutil.disk_usage(path.parent).free
    if free < path.stat().st_size:
        raise SchemaError(
            f"there is no room for a backup of {path} beside it: {free} bytes are free and "
            f"{path.stat().st_size} are needed; make room and start again"
        )
    # The backup gets its name once it is complete. The next try removes one that was interrupted.
    part = path.with_name(f"{path.name}.bak.part")
    copy_database(engine, part)
    part.replace(backup)
    return backup
