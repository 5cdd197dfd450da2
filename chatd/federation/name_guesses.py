"""Limits how often a realm that nobody here has added may try names, so that it can't list the accounts."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import Connection

from chatd.base.cache import Cache
from chatd.base.errors import TooManyUnknown, UnknownGroup
from chatd.base.names import Address
from chatd.federation.links import ILinks
from chatd.service.context import Context
from chatd.service.rosters import Rosters
from chatd.store import accounts as account_store
from chatd.store import peers as peer_store

MAX_UNKNOWN = 20  # unknown names per hour that a realm, or a network address, is told of
HOUR = 3600.0  # seconds
CACHED_SOURCES = 10_000


class NameGuesses:
    """Realms that were added are told everything that they ask.

    Any other realm is told MAX_UNKNOWN times an hour that a name does not exist. After that it is told
    nothing about names that it has nothing to do with, existing ones included. The count is by realm and by
    the address of its link, because realm names can be invented.
    """

    def __init__(self, context: Context, rosters: Rosters, links: ILinks) -> None:
        self._context = context
        self._clock = context.clock
        self._database = context.database
        self._rosters = rosters
        self._links = links
        # (realm or source) -> the unknown names that it was told of, and when
        self._told: Cache[str, dict[str, float]] = Cache(CACHED_SOURCES)

    def is_free(self, realm: str) -> bool:
        return self._links.is_added(realm)

    def _keys(self, realm: str) -> list[str]:
        source = self._links.source_of(realm)
        return [f"realm {realm}", *([f"source {source}"] if source else [])]

    def _may_tell(self, realm: str, name: str) -> bool:
        """Whether the realm may be told that `name` does not exist. Telling it again within the hour is
        free."""
        latest = self._clock.seconds() - HOUR
        for key in self._keys(realm):
            told = self._told.get(key) or {}
            for each in [each for each, at in told.items() if at <= latest]:
                del told[each]
            if name not in told and len(told) >= MAX_UNKNOWN:
                return False
        return True

    def _count(self, realm: str, name: str) -> None:
        for key in self._keys(realm):
            told = self._told.pop(key) or {}
            told.setdefault(name, self._clock.seconds())
            self._told[key] = told

    async def barred(self, realm: str, keys: Sequence[str]) -> Collection[str]:
        """The keys among these that the realm is told nothing about. Unknown names among the others are
        counted."""
        if self.is_free(realm) or not keys:
            return ()
        keys = list(dict.fromkeys(keys))
        met, there = await self._database.read(_look_up, realm, keys)
        barred = set()
        for key in keys:
            if key not in met and not self._may_tell(realm, key):
                barred.add(key)
            elif key not in there:
                self._count(realm, key)
        return barred

    async def check_people(self, realm: str, people: Sequence[Address]) -> None:
        """Raises TooManyUnknown if the realm is told nothing about one of these people."""
        local = map(self._context.localize, people)
        if await self.barred(realm, [each.key for each in local if each.realm is None]):
            raise TooManyUnknown(limit=MAX_UNKNOWN)

    async def check_group(self, realm: str, name: Address) -> None:
        """Raises TooManyUnknown if the realm is told nothing about the group of that name or code,
        UnknownGroup if there is none."""
        if self.is_free(realm):
            return
        shown = f"group {name.key}"
        if not self._may_tell(realm, shown):
            # Looking for the group would take another time if there is one.
            if await self._database.read(peer_store.is_in_group, realm, name.key):
                return
            raise TooManyUnknown(limit=MAX_UNKNOWN)
        try:
            await self._rosters.find(name)
        except UnknownGroup:
            if self._may_tell(realm, shown):
                self._count(realm, shown)
                raise
            raise TooManyUnknown(limit=MAX_UNKNOWN) from None

    async def met(self, realm: str, keys: Sequence[str]) -> Collection[str]:
        """The keys of accounts whose presence the realm is told: all of them if it was added, else those that
        share a conversation, a contact or a group with it."""
        if self.is_free(realm):
            return keys
        met, _ = await self._database.read(_look_up, realm, keys)
        return met


def _look_up(connection: Connection, realm: str, keys: Sequence[str]) -> tuple[set[str], set[str]]:
    """The keys that have something to do with the realm, and the keys of existing accounts."""
    return peer_store.acquainted(connection, realm, keys), account_store.existing(connection, keys)
