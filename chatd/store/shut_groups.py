"""Groups that the operators of their home have closed for everybody. Jobs and queries for the Database.

Whether a group is closed is decided here, in the transaction that would change it. In memory it is an
attribute of the Group, which decides earlier and never alone.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import sqlalchemy as sa

from chatd.base.errors import GroupShut
from chatd.base.group_settings import SHUT
from chatd.base.model import Group
from chatd.store.prepared import prepared
from chatd.store.roster import Delta
from chatd.store.schema import shut_groups


class Shutting(NamedTuple):
    """Why a group is closed, since when (ms since 1970 UTC) and by whom, as far as this realm knows."""

    reason: str
    at: int | None = None
    actor: str | None = None


def shutting_of(connection: sa.Connection, conversation: int) -> Shutting | None:
    """Why a group is closed; None if it is not."""
    row = connection.execute(*_shutting(conversation)).first()
    return None if row is None else Shutting(*row)


@prepared
def _shutting(conversation: Any) -> sa.Select[Any]:
    columns = shut_groups.c.reason, shut_groups.c.at, shut_groups.c.actor
    return sa.select(*columns).where(shut_groups.c.conversation_id == conversation)


def shut_refusal(connection: sa.Connection, group: Group) -> GroupShut | None:
    """The error with which a closed group refuses a change; None if it is open."""
    found = shutting_of(connection, group.id)
    return None if found is None else GroupShut(group=group.name, reason=found.reason)


def check_open(connection: sa.Connection, group: Group) -> None:
    """Raises GroupShut."""
    if (refused := shut_refusal(connection, group)) is not None:
        raise refused


def put_shutting(connection: sa.Connection, conversation: int, shutting: Shutting) -> Delta:
    """Close a group, or give a closed one another reason."""
    before = shutting_of(connection, conversation)
    open_again(connection, conversation)
    reason, at, actor = shutting
    values = {"conversation_id": conversation, "reason": reason, "at": at, "actor": actor}
    connection.execute(sa.insert(shut_groups).values(values))
    if before is not None and before.reason == shutting.reason:
        return Delta(conversation)
    return Delta(conversation, fields={SHUT: shutting.reason})


def open_again(connection: sa.Connection, conversation: int) -> Delta:
    """Open a group, if it is closed."""
    here = shut_groups.c.conversation_id == conversation
    done = connection.execute(sa.delete(shut_groups).where(here))
    return Delta(conversation, fields={SHUT: None} if done.rowcount else {})
