"""Pictures of people and groups: small squares, made by the server. Jobs and queries for the Database.

A picture is found by its place: `@` or `#`, and a name or an address as it is compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256

import msgspec
import sqlalchemy as sa

from chatd.base.avatars import avatar_path
from chatd.base.model import Account
from chatd.base.names import Address, key_of
from chatd.store.accounts import account_of
from chatd.store.schema import avatars

MAX_ASKED = 500  # places in one query


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
    return f"@{key_of(str(user))}"


def place_of_group(group: Address | str) -> str:
    """The place of a group with that name or address."""
    return f"#{key_of(str(group))}"


def new_avatar(body: bytes) -> Avatar:
    return Avatar(sha256(body).hexdigest()[:32], body)


def find(connection: sa.Connection, place: str) -> Avatar | None:
    row = connection.execute(
        sa.select(avatars.c.hash, avatars.c.body).where(
            avatars.c.place == place, avatars.c.hash.is_not(None)
        )
    ).first()
    return None if row is None else Avatar(*row)


def paths(connection: sa.Connection, shown: Iterable[str]) -> dict[str, str]:
    """The paths of the pictures of those places that have one. A place is `@` or `#` and a name or an
    address as it is shown."""
    places = {each: each[0] + key_of(each[1:]) for each in shown}
    wanted = sorted(set(places.values()))
    found: dict[str, str] = {}
    for start in range(0, len(wanted), MAX_ASKED):
        found |= _hashes(connection, wanted[start : start + MAX_ASKED])
    return {
        each: avatar_path(each, found[place]) for each, place in places.items() if place in found
    }


def _hashes(connection: sa.Connection, places: Sequence[str]) -> dict[str, str]:
    rows = connection.execute(
        sa.select(avatars.c.place, avatars.c.hash).where(
            avatars.c.place.in_(places), avatars.c.hash.is_not(None)
        )
    )
    return {row.place: row.hash for row in rows}


def keep(connection: sa.Connection, place: str, avatar: Avatar, now: int) -> None:
    """Set the picture of a place of this realm."""
    forget(connection, place)
    connection.execute(
        sa.insert(avatars).values(place=place, hash=avatar.hash, body=avatar.body, at=now)
    )


def forget(connection: sa.Connection, place: str) -> bool:
    """Remove the picture of a place. Returns whether there was one."""
    return bool(connection.execute(sa.delete(avatars).where(avatars.c.place == place)).rowcount)


def set_own(connection: sa.Connection, account_id: int, avatar: Avatar, now: int) -> Account:
    """Set the picture of an account. Returns the changed account."""
    keep(connection, place_of_user(account_of(connection, account_id).key), avatar, now)
    return account_of(connection, account_id)


def remove_own(connection: sa.Connection, account_id: int) -> Account:
    """Remove the picture of an account. Returns the changed account."""
    forget(connection, place_of_user(account_of(connection, account_id).key))
    return account_of(connection, account_id)
