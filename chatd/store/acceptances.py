"""Message requests of accounts here that people of other realms have accepted. If one of these realms loses
that in a restore, it gets it again. Jobs and queries for the Database.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from chatd.store.losses import MAX_CONVERSATIONS, Lost, with_lost
from chatd.store.schema import acceptances, accounts, messages, participants


class Acceptance(msgspec.Struct, frozen=True):
    """A message request of this realm was accepted: the number of the message, the number of the parcel that
    says so, and its seal, which only the other realm can check."""

    request: int
    number: int
    seal: bytes


class LostAcceptance(msgspec.Struct, frozen=True):
    """`user`, of the other realm, has accepted a request of `sender`, of this one."""

    acceptance: Acceptance
    user: str
    sender: str


def keep_acceptance(connection: sa.Connection, realm: str, acceptance: Acceptance) -> None:
    """Keep the newest acceptance of a request."""
    same = acceptances.c.request == acceptance.request
    connection.execute(sa.delete(acceptances).where(same))
    values = msgspec.structs.asdict(acceptance)
    connection.execute(sa.insert(acceptances).values(**values, realm=realm))


def is_accepted(realm: str, request: int) -> sa.ColumnElement[bool]:
    """A condition: a person of that realm has accepted the request."""
    return sa.exists().where(acceptances.c.request == request, acceptances.c.realm == realm)


def lost_acceptances(connection: sa.Connection, lost: Lost) -> Sequence[LostAcceptance]:
    """What people of the realm have accepted, and it may have lost. It takes only what it has sealed."""
    if not lost.gaps:
        return []
    return [
        LostAcceptance(Acceptance(*row[:3]), row.peer.partition("@")[0], row.name)
        for row in connection.execute(*_lost_acceptances(lost))
    ]


@with_lost
def _lost_acceptances(lost: Lost) -> sa.Select[Any]:
    gaps = sa.or_(*(acceptances.c.number.between(*gap) for gap in lost.gaps))
    return (
        sa.select(
            acceptances.c.request,
            acceptances.c.number,
            acceptances.c.seal,
            participants.c.peer,
            accounts.c.name,
        )
        .join(messages, messages.c.number == acceptances.c.request)
        .join(participants, participants.c.conversation_id == messages.c.conversation_id)
        .join(accounts, accounts.c.id == participants.c.account_id)
        .where(
            acceptances.c.realm == lost.realm,
            acceptances.c.seal != b"",
            gaps,
            participants.c.realm == lost.realm,
            participants.c.peer.is_not(None),
        )
        .order_by(acceptances.c.number)
        .limit(MAX_CONVERSATIONS)
    )


def forget(connection: sa.Connection, realms: Collection[str]) -> None:
    """Forget what people of these realms have accepted."""
    connection.execute(sa.delete(acceptances).where(acceptances.c.realm.in_(realms)))
