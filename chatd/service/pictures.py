"""Pictures by place: one's own, and those of people and groups here and elsewhere."""

from __future__ import annotations

from functools import partial

from sqlalchemy import Connection

from chatd.base.entries import GroupFact, MadeFact
from chatd.base.errors import NotYourPicture, UnknownGroup, UnknownUser
from chatd.base.model import Account, Group, party_of
from chatd.base.names import Place
from chatd.service.avatars import Avatars, AvatarUpload
from chatd.service.context import Context
from chatd.service.group_pictures import GroupPictures
from chatd.service.home_groups import HomeGroups
from chatd.service.presence import IListener
from chatd.service.remote_profiles import RemoteProfiles
from chatd.service.rosters import Actor, RosterChange, Rosters
from chatd.store import avatars as store
from chatd.store.avatars import Avatar
from chatd.store.roster import Delta


class Pictures:
    """A place that can be both, as in a line, is the user if there is one."""

    def __init__(
        self,
        context: Context,
        avatars: Avatars,
        profiles: RemoteProfiles,
        groups: GroupPictures,
        homes: HomeGroups,
        rosters: Rosters,
    ) -> None:
        self._context = context
        self._avatars = avatars
        self._profiles = profiles
        self._groups = groups
        self._homes = homes
        self._rosters = rosters

    async def begin(
        self, account: Account, place: Place, name: str, size: int, origin: IListener | None
    ) -> AvatarUpload:
        """Start to receive the file of which a picture is made: the account's, or that of a group of which it
        is an admin. Raises NotYourPicture, UnknownGroup, NotMember, NotAdmin, and as Avatars.receive."""
        group = await self._ruled(account, place)
        if group is None:
            keep = partial(self._avatars.keep_own, account, origin)
        else:
            keep = partial(self._keep_if_ruled, account, place, group, origin)
        return self._avatars.receive(account, name, size, keep)

    async def remove(self, account: Account, place: Place, origin: IListener | None) -> None:
        """Remove a picture, if there is one. Raises NotYourPicture, UnknownGroup, NotMember, NotAdmin."""
        group = await self._ruled(account, place)
        if group is None:
            await self._avatars.keep_own(account, origin, None)
        else:
            await self._keep_of_group(account, group, origin, None)

    async def _ruled(self, account: Account, place: Place) -> Group | None:
        """The group whose picture the account may change; None if the place is the account."""
        if self._avatars.is_own(account, place):
            return None
        if place.group is None or self._context.localize(place.group).realm is not None:
            raise NotYourPicture(name=place)
        try:
            return (await self._homes.find_ruled(party_of(account), place.group)).group
        except UnknownGroup:
            if place.user is not None:
                raise NotYourPicture(name=place) from None
            raise

    async def _keep_if_ruled(
        self, account: Account, place: Place, group: Group, origin: IListener | None, avatar: Avatar
    ) -> None:
        """Set the picture of a group. Its file may take long to arrive, so the account may be no admin any
        more, and the group another one. Raises as `begin`."""
        now = await self._ruled(account, place)
        if now is None or now.id != group.id:
            raise UnknownGroup(name=group.name)
        await self._keep_of_group(account, group, origin, avatar)

    async def _keep_of_group(
        self, account: Account, group: Group, origin: IListener | None, avatar: Avatar | None
    ) -> None:
        """Set or remove the picture of a group. The members are told, and it is an entry of the log. Raises
        UnknownGroup, NotMember, NotAdmin."""
        by, now = Actor(party_of(account), origin), self._context.now()
        fields = {"picture": None if avatar is None else avatar.hash}
        fact = MadeFact(GroupFact(dict(fields)), by.party, now)

        def job(connection: Connection) -> RosterChange:
            changed = store.set_of_group(connection, group, avatar, now)
            steps = (fact,) if changed else ()
            return RosterChange(Delta(group.id), steps, group)

        await self._rosters.rule(by, group, job)

    async def find(self, account: Account, place: Place) -> Avatar:
        """The picture of a person, or of a group that the account may know. Raises UnknownUser, UnknownRealm,
        UnknownPicture, and as GroupPictures.find."""
        if place.user is not None:
            try:
                return await self._profiles.find(place.user)
            except UnknownUser:
                if place.group is None:
                    raise
        assert place.group is not None  # noqa: S101 - a place has one of the two
        return await self._groups.find(party_of(account), place.group)
