"""The imports of accounts: how far each has come, and how it has ended. Jobs and queries for the Database.

chatd.store.imported_messages stores the messages.
"""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from chatd.base.account_archive import ArchivedGroup
from chatd.base.errors import ChatError, ImportUnfinished
from chatd.store.content import erase, note_erased
from chatd.store.outcomes import KeptRefusal, read_refusal, refusal_of
from chatd.store.schema import import_places, imported_messages, imports, messages

RUNNING, DONE, FAILED, CANCELLED = "running", "done", "failed", "cancelled"


class ImportProgress(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an import has done. `started`: the profile is imported. `conversations` of `of` have been read,
    and of the next one `read` messages. `messages` and `files` were imported; `known` messages were here
    before, or had no place. `contacts` were added. `groups` are those of the archive."""

    started: bool = False
    conversations: int = 0
    of: int = 0
    read: int = 0
    messages: int = 0
    known: int = 0
    files: int = 0
    contacts: int = 0
    groups: tuple[ArchivedGroup, ...] = ()


class AccountImport(msgspec.Struct, frozen=True):
    """The last import of an account: its `state`, and why it has failed. `stored` is the archive's name in
    the uploads folder while it is there. `source` is the address of the account in it."""

    account_id: int
    stored: str | None
    state: str
    refused: KeptRefusal | None
    began_at: int
    source: str | None
    progress: ImportProgress


_progress = msgspec.json.Decoder(ImportProgress)
_encode = msgspec.json.Encoder().encode
_RUNNING = sa.select(imports).where(imports.c.state == RUNNING).order_by(imports.c.began_at)


def running(connection: sa.Connection) -> list[AccountImport]:
    """The imports that a restart has interrupted, oldest first."""
    return [_import_in(row) for row in connection.execute(_RUNNING)]


def import_of(connection: sa.Connection, account_id: int) -> AccountImport | None:
    """The last import of an account."""
    row = connection.execute(sa.select(imports).where(imports.c.account_id == account_id)).first()
    return None if row is None else _import_in(row)


def _import_in(row: Any) -> AccountImport:
    return AccountImport(
        row.account_id,
        row.stored,
        row.state,
        read_refusal(row.refused),
        row.began_at,
        row.source,
        _progress.decode(row.progress),
    )


def is_running(connection: sa.Connection, account_id: int, stored: str | None) -> bool:
    """Whether the account's import of the archive with this name has neither ended nor been cancelled. After
    that the account may have begun another one."""
    # An import that has ended has no archive.
    return stored is not None and stored == connection.scalar(
        sa.select(imports.c.stored).where(imports.c.account_id == account_id)
    )


def begin_import(
    connection: sa.Connection, account_id: int, stored: str, now: int
) -> AccountImport:
    """Note that an account imports the archive with this name in the uploads folder. Returns the import.
    Raises ImportUnfinished."""
    before = import_of(connection, account_id)
    if before is not None and before.state == RUNNING:
        raise ImportUnfinished
    connection.execute(sa.delete(imports).where(imports.c.account_id == account_id))
    connection.execute(
        sa.insert(imports).values(
            account_id=account_id,
            stored=stored,
            state=RUNNING,
            began_at=now,
            progress=_encode(ImportProgress()).decode(),
        )
    )
    return AccountImport(account_id, stored, RUNNING, None, now, None, ImportProgress())


def keep_progress(
    connection: sa.Connection, account_id: int, progress: ImportProgress, source: str | None = None
) -> None:
    """Keep what an import has done, so that it continues there after a restart."""
    values: dict[str, Any] = {"progress": _encode(progress).decode()}
    if source is not None:
        values["source"] = source
    connection.execute(
        sa.update(imports).where(imports.c.account_id == account_id).values(**values)
    )


def end_import(
    connection: sa.Connection,
    account_id: int,
    state: str,
    refused: ChatError | None = None,
    stored: str | None = None,
) -> str | None:
    """Note how the running import of an account has ended; with `stored`, only the one of the archive with
    this name. Returns the name of the archive, which is to be removed from the disk; None if no such import
    is running."""
    found = import_of(connection, account_id)
    if found is None or found.stored is None or stored not in (None, found.stored):
        return None
    connection.execute(
        sa.update(imports)
        .where(imports.c.account_id == account_id)
        .values(
            state=state,
            stored=None,
            refused=None if refused is None else refusal_of(refused),
        )
    )
    note_erased(connection, found.stored)
    return found.stored


def archives(connection: sa.Connection) -> set[str]:
    """The names of the archives in the uploads folder that are being imported."""
    return set(connection.scalars(sa.select(imports.c.stored).where(imports.c.stored.is_not(None))))


def forget_imports(
    connection: sa.Connection, account_id: int, limit: int, now: int
) -> tuple[tuple[str, ...], bool]:
    """Remove `limit` imported messages of an account that is deleted. Returns the names of their files, which
    are to be removed from the disk, and whether there are more."""
    rows = connection.execute(
        sa.select(imported_messages)
        .where(imported_messages.c.account_id == account_id)
        .limit(limit)
    ).all()
    erased: tuple[str, ...] = ()
    for row in rows:
        here = (messages.c.conversation_id == row.conversation_id) & (messages.c.seq == row.seq)
        erased += erase(connection, row.conversation_id, row.seq, now)
        connection.execute(sa.delete(messages).where(here))
        connection.execute(
            sa.delete(imported_messages).where(
                imported_messages.c.account_id == account_id, imported_messages.c.key == row.key
            )
        )
    if len(rows) == limit:
        return erased, True
    stored = end_import(connection, account_id, CANCELLED)
    for table in (imports, import_places):
        connection.execute(sa.delete(table).where(table.c.account_id == account_id))
    return (erased if stored is None else (*erased, stored)), False
