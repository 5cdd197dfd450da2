"""Pictures of groups: of those of this realm, and of groups elsewhere with members here.

The home of a group tells the hash of its picture when somebody joins, and with each change. The picture
itself is fetched when somebody here wants to see it. It is decoded and made again before it is kept.
"""

from __future__ import annotations

from functools import partial

from chatd.base.errors import NotMember, NotSupportedThere, UnknownGroup, UnknownPicture
from chatd.base.model import Group, Party
from chatd.base.names import Address, key_of
from chatd.base.timers import Signal
from chatd.media.process import PictureRefused
from chatd.service.avatars import Avatars
from chatd.service.context import Context
from chatd.service.realm_turns import RealmTurns
from chatd.service.remote import IRealms, RemotePicture
from chatd.service.rosters import Rosters
from chatd.store import avatars as store
from chatd.store.avatars import Avatar

PATIENCE = 5.0  # seconds that a request for a picture waits for another realm


class GroupPictures:
    """The pictures of all groups that are known here."""

    def __init__(
        self,
        context: Context,
        avatars: Avatars,
        rosters: Rosters,
        realms: IRealms,
        turns: RealmTurns,
    ) -> None:
        self._context = context
        self._database = context.database
        self._avatars = avatars
        self._rosters = rosters
        self._realms = realms
        self._turns = turns
        self._fetching: dict[str, Signal] = {}  # by place

    async def find(self, viewer: Party, name: Address) -> Avatar:
        """The picture of a group that the viewer may know. Raises UnknownRealm, UnknownGroup, NotMember,
        UnknownPicture, and if it has to be fetched, RealmDown, Busy."""
        group = (await self._rosters.find(name, viewer)).group
        place = store.place_of_group(group.name)
        found: Avatar | None = await self._database.read(store.find, place)
        if found is None and group.realm is not None:
            found = await self._fetched(viewer, group, group.realm, place)
        if found is None:
            raise UnknownPicture(name=f"#{group.name}")
        return found

    async def _fetched(self, viewer: Party, group: Group, realm: str, place: str) -> Avatar | None:
        """The picture that the home of a group has. However many want it, the home is asked once."""
        if (fetching := self._fetching.get(place)) is not None:
            await fetching.wait_at_most(PATIENCE, self._context.clock)
        else:
            fetching = self._fetching[place] = Signal()
            try:
                await self._fetch(viewer, group, realm, place)
            finally:
                del self._fetching[place]
                fetching.notify()
        found: Avatar | None = await self._database.read(store.find, place)
        return found

    async def _fetch(self, viewer: Party, group: Group, realm: str, place: str) -> None:
        """Ask the home, and keep its answer. Raises RealmDown, Busy."""
        known = await self._database.read(store.known, place)
        if known is None or known.hash is None:
            return
        name = key_of(group.name).partition("@")[0]
        ask = partial(self._realms.group_picture, realm, viewer.name, name)
        try:
            answer: RemotePicture = await self._turns.take(realm, ask)
        except (UnknownGroup, NotMember, NotSupportedThere):
            return
        picture = await self._made_again(realm, answer)
        keep = store.keep_of_mirror
        await self._database.run(keep, (place, realm), picture, self._context.now())

    async def _made_again(self, realm: str, answer: RemotePicture) -> Avatar | None:
        """The picture; None if there is none, or it can't be used."""
        if not answer.picture or not answer.body:
            return None
        try:
            body = await self._avatars.remade(("realm", realm), answer.body)
        except PictureRefused:
            return None
        return Avatar(answer.picture, body)
