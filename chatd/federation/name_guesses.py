"""What a realm that was not added may learn of people and groups."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from chatd.base.cache import Cache
from chatd.base.errors import TooManyUnknown, UnknownGroup
from chatd.base.model import Party
from chatd.base.names import Address
from chatd.federation.capabilities import PRESENCE
from chatd.federation.links import ILinks
from chatd.service.context import Context
from chatd.service.rosters import Rosters
from chatd.store import peers as peer_store
from chatd.store.invitations import is_invited

# Groups per hour of which a realm or a network source is told that they do not exist
MAX_UNKNOWN = 20
HOUR = 3600.0  # seconds
CACHED_SOURCES = 10_000


class NameGuesses:
    """Realms that were added may ask about any name. Others learn nothing of people who have nothing to do
    with them: not whether they exist, and their direct messages are requests (chatd.store.requests).

    They are told MAX_UNKNOWN times an hour that a group does not exist. After that they are barred from all
    groups that have nothing to do with them, existing or not. The count is by realm and by the address of its
    link, because realm names can be invented. Private groups exist for them only by invitation.
    """

    def __init__(self, context: Context, rosters: Rosters, links: ILinks) -> None:
        self._context = context
        self._clock = context.clock
        self._database = context.database
        self._rosters = rosters
        self._links = links
        # realm or network source -> the names that it was told do not exist, and when
        self._told: Cache[str, dict[str, float]] = Cache(CACHED_SOURCES)
        self._tell = context.news.topic(
            "unknown-groups-told", tuple[list[str], str], self._note, lambda: None
        )

    def is_free(self, realm: str) -> bool:
        """Whether the realm may ask about any name: it was added, or strangers are welcome."""
        return self._links.is_welcome(realm)

    def may_know_blocks(self, realm: str) -> bool:
        """Whether the realm may be told which of its people an account here has blocked, and takes that."""
        return self.is_free(realm) and not self._links.lacks(realm, PRESENCE)

    def _keys(self, realm: str) -> list[str]:
        source = self._links.source_of(realm)
        return [f"realm {realm}", *([f"source {source}"] if source else [])]

    def _may_tell(self, realm: str, name: str) -> bool:
        """Whether the realm may be told that `name` does not exist. A name that it was told of within the
        hour does not count again."""
        latest = self._clock.seconds() - HOUR
        for key in self._keys(realm):
            told = self._told.get(key) or {}
            for each in [each for each, at in told.items() if at <= latest]:
                del told[each]
            if name not in told and len(told) >= MAX_UNKNOWN:
                return False
        return True

    def _count(self, realm: str, name: str) -> None:
        told = self._keys(realm), name
        self._note(told)
        self._tell(told)

    def _note(self, known: tuple[list[str], str]) -> None:
        """Remember that these keys were told, by this node or another one, that `name` does not exist."""
        keys, name = known
        for key in keys:
            told = self._told.pop(key) or {}
            told.setdefault(name, self._clock.seconds())
            self._told[key] = told

    async def check_group(self, party: Party, name: Address, joining: bool = False) -> None:
        """Raises TooManyUnknown if the realm of `party` is barred from the group with that name or code,
        UnknownGroup if there is none that `party` knows."""
        realm = party.realm or ""
        if self.is_free(realm):
            return
        shown = f"group {name.key}"
        if not self._may_tell(realm, shown):
            # Do not look for the group itself: the time that takes would tell whether it exists.
            if await self._database.read(peer_store.is_in_group, realm, name.key):
                return
            raise TooManyUnknown(limit=MAX_UNKNOWN)
        try:
            await self._find(party, name, joining)
        except UnknownGroup:
            if self._may_tell(realm, shown):
                self._count(realm, shown)
                raise
            raise TooManyUnknown(limit=MAX_UNKNOWN) from None

    async def _find(self, party: Party, name: Address, joining: bool) -> None:
        """Raises UnknownGroup if a person of a realm that was not added does not know the group. The code of
        a private one is not enough to join it."""
        group = (roster := await self._rosters.find(name, party, joining)).group
        if not group.private or roster.role(party) is not None or group.realm is not None:
            return  # a realm that had members of a group which has moved knows it
        if not await self._database.read(is_invited, group, party.key, self._context.now()):
            raise UnknownGroup(name=name.name)

    async def met(self, realm: str, keys: Sequence[str]) -> Collection[str]:
        """The keys of accounts whose online state the realm may know: all if it was added, else those that
        share a conversation, a contact or a group with it."""
        if self.is_free(realm):
            return keys
        return await self._database.read(peer_store.acquainted, realm, keys)
