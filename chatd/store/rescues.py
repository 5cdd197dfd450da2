"""Rescues of groups: those founded here, and those of other realms. Jobs and queries for the Database.

A rescue of a group has one of the states

- `own`: it was founded here, and the group lives here;
- `pending`: this realm waits until it has not reached the lost home for long enough;
- `following`: this realm follows, and asks the new home to take its members;
- `followed`: the copy here is one of the new home;
- `ended`: another rescue counts, the home has recalled it, or the founder may not found the group.

`chatd.federation.signing.rescues` has the rules. Here, rescues and verdicts are only bytes.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal, TypeAlias

import msgspec
import sqlalchemy as sa

from chatd.store.schema import groups, rescued_realms, rescues

RescueState: TypeAlias = Literal["own", "pending", "following", "followed", "ended"]
RESCUE = "rescue"  # a kind of step (chatd.store.lineage)
MAX_RESCUES = 64  # of one group by other realms
MAX_OF_REALM = 8  # of these by one realm


class KnownRescue(msgspec.Struct, frozen=True):
    """A rescue of the group of a conversation. `realm` has founded it as its group `new_group`, named `name`.
    Entries after `seq` may be only here, or only in the new home: it is the last entry that the founder had
    of the lost `home`, or that of an earlier rescue that this realm has not followed. `handed_over`: the
    present home has what only this realm had."""

    conversation_id: int
    hash: bytes
    state: RescueState
    realm: str
    new_group: int
    name: str
    home: str
    seq: int
    at: int
    rescue: bytes
    verdict: bytes | None = None
    handed_over: bool = False


_COLUMNS = tuple(rescues.c[name] for name in KnownRescue.__struct_fields__)


def add_rescue(connection: sa.Connection, rescue: KnownRescue) -> bool:
    """Store a rescue. Returns whether there is room for it: always for one that was founded here."""
    key = {"conversation_id": rescue.conversation_id, "hash": rescue.hash}
    known = rescues_of(connection, rescue.conversation_id)
    if all(each.hash != rescue.hash for each in known):
        same = sum(each.realm == rescue.realm for each in known)
        if rescue.state != "own" and (len(known) >= MAX_RESCUES or same >= MAX_OF_REALM):
            return False
        connection.execute(sa.insert(rescues).values(**msgspec.structs.asdict(rescue)))
        return True
    values = {"state": rescue.state, "verdict": rescue.verdict, "handed_over": rescue.handed_over}
    connection.execute(sa.update(rescues).filter_by(**key).values(**values))
    return True


def set_state(
    connection: sa.Connection, rescue: KnownRescue, state: RescueState, verdict: bytes | None = None
) -> None:
    """Change the state of a rescue, and note the verdict of its home, if there is one."""
    values: dict[str, object] = {"state": state}
    if verdict is not None:
        values["verdict"] = verdict
    connection.execute(_where(rescue).values(**values))


def set_followed(connection: sa.Connection, rescue: KnownRescue, seq: int) -> None:
    """Note that the copy here is one of the new home, and that entries after `seq` may be only here."""
    connection.execute(_where(rescue).values(state="followed", seq=seq))


def handed_over(connection: sa.Connection, rescue: KnownRescue) -> None:
    """Note that the present home of the group has what only this realm had."""
    connection.execute(_where(rescue).values(handed_over=True))


def hand_over_again(connection: sa.Connection, rescue: KnownRescue) -> None:
    """Note that the present home may have lost what only this realm had."""
    connection.execute(_where(rescue).values(handed_over=False))


def _where(rescue: KnownRescue) -> sa.Update:
    return sa.update(rescues).where(
        rescues.c.conversation_id == rescue.conversation_id, rescues.c.hash == rescue.hash
    )


def rescues_of(connection: sa.Connection, conversation: int) -> list[KnownRescue]:
    """All rescues of the group of a conversation."""
    query = sa.select(*_COLUMNS).where(rescues.c.conversation_id == conversation)
    return [KnownRescue(*row) for row in connection.execute(query.order_by(rescues.c.at))]


def rescue_with(connection: sa.Connection, conversation: int, digest: bytes) -> KnownRescue | None:
    """The rescue with that hash."""
    query = sa.select(*_COLUMNS).where(
        rescues.c.conversation_id == conversation, rescues.c.hash == digest
    )
    row = connection.execute(query).first()
    return None if row is None else KnownRescue(*row)


def own_rescue(connection: sa.Connection, own: str, digest: bytes) -> KnownRescue | None:
    """The rescue with that hash, if the group was founded here, in the realm `own`, by it."""
    query = sa.select(*_COLUMNS).where(rescues.c.realm == own, rescues.c.hash == digest)
    row = connection.execute(query).first()
    return None if row is None else KnownRescue(*row)


def own_rescues(connection: sa.Connection) -> list[KnownRescue]:
    """The rescues by which groups live here."""
    query = sa.select(*_COLUMNS).where(rescues.c.state == "own")
    return [KnownRescue(*row) for row in connection.execute(query)]


def active_rescues(connection: sa.Connection, conversation: int) -> list[KnownRescue]:
    """The rescues of a group that this realm has founded or follows, or is about to follow."""
    states = ("own", "followed", "following")
    return [each for each in rescues_of(connection, conversation) if each.state in states]


def counting(connection: sa.Connection, conversation: int) -> KnownRescue | None:
    """The rescue by which the group of a conversation lives where it does, or will."""
    states = ("following", "own", "followed")
    found = [each for each in rescues_of(connection, conversation) if each.state in states]
    return min(found, key=lambda each: states.index(each.state), default=None)


def heading_for(connection: sa.Connection, realm: str, new_group: int) -> int | None:
    """The conversation of the group that follows to the realm with that key, which has founded it with the
    id `new_group`."""
    query = sa.select(rescues.c.conversation_id).filter_by(
        realm=realm, new_group=new_group, state="following"
    )
    found: int | None = connection.scalar(query)
    return found


def rescues_for(connection: sa.Connection, realm: str) -> list[KnownRescue]:
    """The rescues of which to talk to a realm: it has founded the group, is the lost home, or has members of
    a group that was founded here. An earlier rescue comes before a later one."""
    told = sa.select(rescued_realms.c.conversation_id).where(rescued_realms.c.realm == realm)
    query = sa.select(*_COLUMNS).where(
        sa.or_(
            rescues.c.realm == realm,
            rescues.c.home == realm,
            rescues.c.conversation_id.in_(told),
        )
    )
    return [KnownRescue(*row) for row in connection.execute(query.order_by(rescues.c.at))]


def to_hand_over(connection: sa.Connection, realm: str) -> list[KnownRescue]:
    """The rescues after which a group lives in that realm, which has not got yet what only this one has."""
    query = (
        sa.select(*_COLUMNS)
        .join(groups, groups.c.conversation_id == rescues.c.conversation_id)
        .where(
            groups.c.realm == realm,
            groups.c.key.is_not(None),
            rescues.c.handed_over.is_(False),
            rescues.c.state.in_(("followed", "ended")),
        )
    )
    return [KnownRescue(*row) for row in connection.execute(query)]


def pending_rescues(connection: sa.Connection, limit: int) -> list[KnownRescue]:
    """The rescues for which this realm waits."""
    query = sa.select(*_COLUMNS).where(rescues.c.state == "pending")
    return [KnownRescue(*row) for row in connection.execute(query.limit(limit))]


def pending_addresses(connection: sa.Connection, conversations: Collection[int]) -> dict[int, str]:
    """For those of these conversations that are groups with a pending rescue: the address that the group gets
    by the first of these, with the key of the realm."""
    query = sa.select(rescues.c.conversation_id, rescues.c.name, rescues.c.realm).where(
        rescues.c.conversation_id.in_(conversations), rescues.c.state == "pending"
    )
    rows = connection.execute(query.order_by(rescues.c.at.desc()))
    return {place: f"{name}@{realm}" for place, name, realm in rows}


# The realms of a group that was founded here


def add_realms(connection: sa.Connection, conversation: int, realms: Collection[str]) -> None:
    """Note the other realms with members of a group that is founded here, by the roster of its lost home."""
    forget_realms(connection, conversation)
    rows = [{"conversation_id": conversation, "realm": each} for each in sorted(realms)]
    if rows:
        connection.execute(sa.insert(rescued_realms), rows)


def realm_follows(connection: sa.Connection, conversation: int, realm: str) -> None:
    """Note that a realm has followed."""
    connection.execute(
        sa.update(rescued_realms)
        .where(rescued_realms.c.conversation_id == conversation, rescued_realms.c.realm == realm)
        .values(followed=True)
    )


def forget_realms(connection: sa.Connection, conversation: int) -> None:
    """The group does not live here any more."""
    connection.execute(
        sa.delete(rescued_realms).where(rescued_realms.c.conversation_id == conversation)
    )


def realms_left(connection: sa.Connection, conversation: int) -> Sequence[str]:
    """The keys of the realms that have not followed yet."""
    query = sa.select(rescued_realms.c.realm).where(
        rescued_realms.c.conversation_id == conversation, rescued_realms.c.followed.is_(False)
    )
    return list(connection.scalars(query.order_by(rescued_realms.c.realm)))


def is_left(connection: sa.Connection, digest: bytes, realm: str) -> bool:
    """Whether a group was founded here by the rescue with that hash, and the realm has not followed."""
    query = (
        sa.select(rescued_realms.c.realm)
        .join(rescues, rescues.c.conversation_id == rescued_realms.c.conversation_id)
        .where(
            rescues.c.hash == digest,
            rescues.c.state == "own",
            rescued_realms.c.realm == realm,
            rescued_realms.c.followed.is_(False),
        )
    )
    return connection.scalar(query) is not None
