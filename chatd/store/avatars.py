"""Pictures of people and groups: small squares, made by the server. Jobs and queries for the Database.

A picture is found by its place: `@` or `#`, and a name or an address as it is compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any

import msgspec
import sqlalchemy as sa

from chatd.base.avatars import is_hash
from chatd.base.errors import UnknownGroup
from chatd.base.group_settings import SHUT, settings_of
from chatd.base.model import Account, Group
from chatd.base.names import Address, key_of
from chatd.store.accounts import account_of
from chatd.store.prepared import prepared
from chatd.store.schema import avatars, contacts, groups, participants, remote_members

PEOPLE, GROUPS = "@", "#"  # signs of places
MAX_ASKED = 500  # places in one query
MAX_REMOTE = 2000  # people of one realm; more push out those that were asked about the longest ago
MAX_MIRRORED = (
    500  # pictures of groups of one realm; more push out those that were fetched the longest ago
)
MAX_FOLLOWERS = 10_000  # accounts that are told of one profile
MAX_REALMS = 1000  # realms that are told of one profile


class Avatar(msgspec.Struct, frozen=True):
    """A picture, a WebP. Its `hash` is another one whenever the picture is."""

    hash: str
    body: bytes

    @property
    def sha256(self) -> str:
        """The SHA-256 of the file, in lower-case hex."""
        return sha256(self.body).hexdigest()


def place_of_user(user: Address | str) -> str:
    """The place of a person with that name or address."""
    return f"{PEOPLE}{key_of(str(user))}"


def place_of_group(group: Address | str) -> str:
    """The place of a group with that name or address."""
    return f"{GROUPS}{key_of(str(group))}"


def new_avatar(body: bytes) -> Avatar:
    return Avatar(sha256(body).hexdigest()[:32], body)


def find(connection: sa.Connection, place: str) -> Avatar | None:
    row = connection.execute(
        sa.select(avatars.c.hash, avatars.c.body).where(
            avatars.c.place == place, avatars.c.body.is_not(None)
        )
    ).first()
    return None if row is None else Avatar(*row)


class KnownProfile(msgspec.Struct, frozen=True):
    """What is known of a place: the hash of its picture, and its name if it is a person of another realm."""

    hash: str | None = None
    name: str | None = None


def known(connection: sa.Connection, place: str) -> KnownProfile | None:
    """What is known of a place; None if nothing was ever known."""
    row = connection.execute(*_profile(place)).first()
    return None if row is None else KnownProfile(*row)


@prepared
def _profile(place: Any) -> sa.Select[Any]:
    return sa.select(avatars.c.hash, avatars.c.name).where(avatars.c.place == place)


def all_known(connection: sa.Connection, shown: Iterable[str]) -> dict[str, KnownProfile]:
    """What is known of places. Each is `@` or `#` and a name or an address as it is shown."""
    places = {each: each[0] + key_of(each[1:]) for each in shown}
    wanted = sorted(set(places.values()))
    found: dict[str, KnownProfile] = {}
    for start in range(0, len(wanted), MAX_ASKED):
        found |= _known(connection, wanted[start : start + MAX_ASKED])
    return {each: found[place] for each, place in places.items() if place in found}


def _known(connection: sa.Connection, places: Sequence[str]) -> dict[str, KnownProfile]:
    rows = connection.execute(
        sa.select(avatars.c.place, avatars.c.hash, avatars.c.name).where(
            avatars.c.place.in_(places)
        )
    )
    return {place: KnownProfile(*profile) for place, *profile in rows}


def keep(connection: sa.Connection, place: str, avatar: Avatar, now: int) -> None:
    """Set the picture of a place of this realm."""
    forget(connection, place)
    connection.execute(
        sa.insert(avatars).values(place=place, hash=avatar.hash, body=avatar.body, at=now)
    )


def set_of_group(connection: sa.Connection, group: Group, avatar: Avatar | None, now: int) -> bool:
    """Set or remove the picture of a group. Returns whether that changes anything. Raises UnknownGroup if the
    group has ended."""
    lives = sa.exists().where(groups.c.conversation_id == group.id, groups.c.key.is_not(None))
    if not connection.scalar(sa.select(lives)):
        raise UnknownGroup(name=group.name)
    place = place_of_group(group.name)
    if avatar is None:
        return forget(connection, place)
    keep(connection, place, avatar, now)
    return True


def forget(connection: sa.Connection, place: str) -> bool:
    """Remove the picture of a place. Returns whether there was one."""
    return bool(connection.execute(sa.delete(avatars).where(avatars.c.place == place)).rowcount)


def move(connection: sa.Connection, old: str, new: str, realm: str | None) -> None:
    """Give the picture of a place to another one, which has none, of the realm with that key."""
    where = avatars.c.place == old
    connection.execute(sa.update(avatars).where(where).values(place=new, realm=realm))


def set_own(connection: sa.Connection, account_id: int, avatar: Avatar, now: int) -> Account:
    """Set the picture of an account. Returns the changed account."""
    keep(connection, place_of_user(account_of(connection, account_id).key), avatar, now)
    return account_of(connection, account_id)


def remove_own(connection: sa.Connection, account_id: int) -> Account:
    """Remove the picture of an account. Returns the changed account."""
    forget(connection, place_of_user(account_of(connection, account_id).key))
    return account_of(connection, account_id)


def keep_remote(
    connection: sa.Connection,
    whose: tuple[str, str],
    profile: KnownProfile,
    picture: Avatar | None,
    now: int,
) -> None:
    """Keep what a realm has told about one of its people: `whose` are the place and the key of the realm.
    Without a `picture`, the body stays if the hash is the same."""
    place, realm = whose
    body: object = avatars.c.body if profile.hash is not None else None
    values: dict[str, object] = {"hash": profile.hash, "name": profile.name, "at": now}
    values["body"] = body if picture is None else picture.body
    done = connection.execute(
        sa.update(avatars).where(avatars.c.place == place, avatars.c.realm == realm).values(values)
    )
    if done.rowcount:
        return
    if picture is None:
        values |= {"hash": None, "body": None}
    connection.execute(sa.insert(avatars).values(place=place, realm=realm, **values))
    connection.execute(sa.delete(avatars).where(_pushed_out(realm, PEOPLE, MAX_REMOTE)))


def about_group(connection: sa.Connection, group: Group) -> dict[str, str | bool | None]:
    """What the realm of a new member of a group is told about it: the settings, the hash of the picture if
    there is one, and why it is closed for everybody if it is."""
    found = known(connection, place_of_group(group.name))
    picture = {} if found is None else {"picture": found.hash}
    shut = {} if group.shut is None else {SHUT: group.shut}
    return {**settings_of(group), **picture, **shut}


def note_of_mirror(connection: sa.Connection, group: Group, found: object, now: int) -> None:
    """Note the hash of the picture of a group of another realm, as its home tells it. None, or what is no
    hash: there is no picture."""
    place = place_of_group(group.name)
    new = found if is_hash(found) else None
    before = known(connection, place)
    if new == (None if before is None else before.hash):
        return
    forget(connection, place)
    if new is not None:
        connection.execute(
            sa.insert(avatars).values(place=place, hash=new, realm=group.realm, at=now)
        )


def keep_of_mirror(
    connection: sa.Connection, whose: tuple[str, str], picture: Avatar | None, now: int
) -> None:
    """Keep the picture of a group of another realm, which has members here: `whose` are the place and the
    key of the realm. None: there is none, or it can't be used."""
    place, realm = whose
    if picture is None:
        forget(connection, place)
        return
    connection.execute(
        sa.update(avatars)
        .where(avatars.c.place == place)
        .values(hash=picture.hash, body=picture.body, at=now)
    )
    connection.execute(
        sa.update(avatars)
        .where(_pushed_out(realm, GROUPS, MAX_MIRRORED, avatars.c.body.is_not(None)))
        .values(body=None)
    )


def _pushed_out(
    realm: str, sign: str, limit: int, *where: sa.ColumnElement[bool]
) -> sa.ColumnElement[bool]:
    """A condition: of the places of a realm with that sign, not among the newest ones."""
    kind = avatars.c.realm == realm, avatars.c.place.startswith(sign), *where
    newest = sa.select(avatars.c.place).where(*kind).order_by(avatars.c.at.desc()).limit(limit)
    return sa.and_(*kind, avatars.c.place.not_in(newest))


def followers_of(connection: sa.Connection, key: str) -> frozenset[int]:
    """The accounts that talk with the person with that address, or have them as a contact."""
    realm = key.partition("@")[2]
    talking = sa.select(participants.c.account_id).where(
        participants.c.realm == realm, participants.c.peer_key == key
    )
    having = sa.select(contacts.c.account_id).where(contacts.c.key == key)
    rows = connection.execute(sa.union(talking, having).limit(MAX_FOLLOWERS))
    return frozenset(row.account_id for row in rows)


def realms_of(connection: sa.Connection, account_id: int) -> list[str]:
    """The keys of the realms with people that share a conversation with the account."""
    mine = sa.select(participants.c.conversation_id).where(participants.c.account_id == account_id)
    direct = sa.select(participants.c.realm).where(
        participants.c.account_id == account_id, participants.c.realm.is_not(None)
    )
    guests = sa.select(remote_members.c.realm).where(remote_members.c.conversation_id.in_(mine))
    rows = connection.execute(sa.union(direct, guests).limit(MAX_REALMS))
    return [row.realm for row in rows]
