"""What a move changes for the account that has moved, at its old realm. Jobs for the Database."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa

from chatd.base.model import Account
from chatd.store.blocks import has_blocked
from chatd.store.messages import MessageWriter
from chatd.store.requests import waits
from chatd.store.schema import (
    account_moves,
    contacts,
    groups,
    invitations,
    messages,
    move_luggage,
    outbox,
    participants,
    remote_members,
)


def realms_to_tell(connection: sa.Connection, account: Account, but: str) -> list[str]:
    """The realms that have to do with an account: of its contacts and of people it talks with, unless it has
    blocked them or has not accepted them, the homes of its groups, and realms with members of those here."""
    mine = participants.c.account_id == account.id
    talks = sa.select(participants.c.realm).where(
        mine,
        participants.c.peer_key.is_not(None),
        ~has_blocked(account.id, participants.c.peer_key),
        ~waits(account.id, participants.c.peer_key),
    )
    knows = sa.select(contacts.c.realm).where(
        contacts.c.account_id == account.id, ~has_blocked(account.id, contacts.c.key)
    )
    homes = sa.select(participants.c.realm).where(mine, participants.c.peer_key.is_(None))
    members = (
        sa.select(remote_members.c.realm)
        .join(participants, participants.c.conversation_id == remote_members.c.conversation_id)
        .where(mine)
    )
    invites = sa.select(invitations.c.realm).where(invitations.c.account_id == account.id)
    found: set[str] = set()
    for query in (talks, knows, homes, members, invites):
        found.update(each for each in connection.scalars(query.distinct()) if each)
    return sorted(found - {but})


def reroute(connection: sa.Connection, writer: MessageWriter, account_id: int) -> None:
    """Look at each message again that was on its way when the account moved."""
    for place in connection.scalars(
        sa.select(participants.c.conversation_id).where(
            participants.c.account_id == account_id, participants.c.peer_key.is_not(None)
        )
    ).all():
        writer.rerouted.add(place)


def keep_luggage(connection: sa.Connection, account_id: int, pages: Sequence[bytes]) -> None:
    """Keep what crosses, in place of that of an earlier move."""
    connection.execute(sa.delete(move_luggage).where(move_luggage.c.account_id == account_id))
    connection.execute(
        sa.insert(move_luggage),
        [
            {"account_id": account_id, "page": number, "body": body}
            for number, body in enumerate(pages)
        ],
    )


def luggage_of(connection: sa.Connection, account_id: int) -> list[bytes]:
    """The pages that were kept."""
    mine = sa.select(move_luggage.c.body).where(move_luggage.c.account_id == account_id)
    return list(connection.scalars(mine.order_by(move_luggage.c.page)))


def is_waiting(connection: sa.Connection, realm: str, number: int | None) -> bool:
    """Whether a parcel still waits for the realm."""
    here = sa.select(outbox.c.id).where(outbox.c.realm == realm, outbox.c.id == number)
    return connection.scalar(here) is not None


def begin_forwarding(connection: sa.Connection, key: str) -> None:
    """Messages that arrive from now on are forwarded."""
    newest = connection.scalar(sa.select(sa.func.max(messages.c.id))) or 0
    connection.execute(
        sa.update(account_moves).where(account_moves.c.key == key).values(forwarded=newest)
    )


class UnforwardedMessage(msgspec.Struct, frozen=True):
    """A message that has come to the old address."""

    id: int
    sender: str
    at: int
    text: str | None
    attachment_id: int | None
    media: str | None
    body: bytes | None


def unforwarded(
    connection: sa.Connection, account_id: int, after: int, limit: int
) -> list[UnforwardedMessage]:
    """The first messages with ids above `after` that people of other realms have sent to an account."""
    rows = connection.execute(
        sa.select(
            messages.c.id,
            messages.c.sender,
            messages.c.at,
            messages.c.text,
            messages.c.attachment_id,
            messages.c.media,
            messages.c.body,
        )
        .join(participants, participants.c.conversation_id == messages.c.conversation_id)
        .where(
            participants.c.account_id == account_id,
            participants.c.peer_key.is_not(None),
            participants.c.realm.is_not(None),
            messages.c.id > after,
            messages.c.sender_id.is_(None),
            messages.c.origin_realm.is_not(None),
            messages.c.deleted_at.is_(None),
        )
        .order_by(messages.c.id)
        .limit(limit)
    )
    return [UnforwardedMessage(*row) for row in rows]


class MovedGroup(msgspec.Struct, frozen=True):
    """A group that the account was in when it moved. Those of this realm have no `realm`."""

    conversation: int
    name: str
    realm: str | None
    home_id: int


def groups_left(connection: sa.Connection, account_id: int) -> list[MovedGroup]:
    """The groups that the account is still in."""
    rows = connection.execute(
        sa.select(
            groups.c.conversation_id,
            groups.c.name,
            groups.c.realm,
            sa.func.coalesce(groups.c.home_id, groups.c.conversation_id),
        )
        .join(participants, participants.c.conversation_id == groups.c.conversation_id)
        .where(participants.c.account_id == account_id, groups.c.key.is_not(None))
        .order_by(groups.c.name)
    )
    return [MovedGroup(*row) for row in rows]
