"""Settings and roles of groups of this realm and of others, as the accounts of this realm use them.

For a group of another realm, everything here also raises UnknownRealm, RealmDown, and any ChatError with
which its home refuses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

from chatd.base.entries import GroupFact, MemberFact
from chatd.base.errors import NotMember, RealmDown, UnknownGroup
from chatd.base.group_settings import SETTINGS, SHUT, Fields, settings_in_effect
from chatd.base.model import Account, party_of
from chatd.base.names import Address, is_code, printable
from chatd.base.replies import GroupDetails
from chatd.service.home_requests import HomeRequests
from chatd.service.home_settings import HomeSettings
from chatd.service.presence import IListener
from chatd.service.remote import GroupVerb
from chatd.service.rosters import Actor, Rosters
from chatd.store.roster import Roster

MAX_SHOWN = 500  # characters of a value that another realm tells


class GroupSettings:
    def __init__(self, rosters: Rosters, homes: HomeSettings, there: HomeRequests) -> None:
        self._rosters = rosters
        self.of_homes = homes
        self._there = there

    async def describe(self, account: Account, name: Address) -> GroupDetails:
        """The group as the account knows it; if its home is down, as this realm knows it. Raises
        UnknownGroup."""
        realm, name = await self._there.locate(account, name)
        if realm is None:
            roster = await self.of_homes.describe(party_of(account), name)
            return details_of(roster, roster.members.get(account.id), roster.size)
        mirror: Roster | None = None
        with suppress(NotMember):
            mirror = await self._rosters.find_mine(account, name)
        try:
            shown, found = await self._there.ask(realm, account, name, "describe")
        except RealmDown:
            if mirror is None:
                raise
            return details_of(mirror, mirror.members[account.id])
        conversation = 0 if mirror is None else mirror.group.id
        return _details_from(shown, conversation, found)

    async def set(
        self, account: Account, name: Address, fields: Fields, origin: IListener | None = None
    ) -> str:
        """Change settings. Returns the group's name. Raises UnknownGroup, NotMember, NotAdmin."""
        realm, name = await self._there.locate(account, name)
        if realm is None:
            return await self._set(account, name, fields, origin)
        fact = GroupFact(dict(fields))
        return (await self._there.ask(realm, account, name, "set", (), (fact,)))[0]

    async def set_closed(
        self, account: Account, name: Address, closed: bool, origin: IListener | None = None
    ) -> str:
        """Close or open a group. Returns its name. Raises UnknownGroup, NotMember, NotAdmin."""
        realm, name = await self._there.locate(account, name)
        fact = GroupFact({"closed": closed})
        if realm is None:
            return await self._set(account, name, fact.fields, origin)
        change: GroupVerb = "close" if closed else "open"
        return (await self._there.ask(realm, account, name, change, (), (fact,)))[0]

    async def is_private(self, account: Account, name: Address) -> bool:
        """Whether the group is private, as this realm knows it: then only members may post to it, whatever
        its setting. False for groups that the account is not in."""
        with suppress(NotMember, UnknownGroup):
            return (await self._rosters.find_mine(account, name)).group.private
        return False

    async def _set(
        self, account: Account, name: Address, fields: Fields, origin: IListener | None
    ) -> str:
        """Change settings of a group of this realm."""
        return (await self.of_homes.set(Actor(party_of(account), origin), name, fields)).name

    async def renew_code(
        self, account: Account, name: Address, origin: IListener | None = None
    ) -> tuple[str, str]:
        """Give a group a new code. Returns the group's name and the code. Raises UnknownGroup, NotMember,
        NotAdmin."""
        realm, name = await self._there.locate(account, name)
        if realm is None:
            group = await self.of_homes.renew_code(Actor(party_of(account), origin), name)
            return group.name, group.code
        shown, found = await self._there.ask(realm, account, name, "renewcode")
        return shown, _code_from(shown, found)

    async def promote(
        self, account: Account, name: Address, user: Address, origin: IListener | None = None
    ) -> str:
        """Make a member an admin. Returns the group's name. Raises UnknownGroup, NotMember, NotAdmin,
        UnknownUser, NotTheirGroup."""
        realm, name = await self._there.locate(account, name)
        if realm is None:
            by = Actor(party_of(account), origin)
            return (await self.of_homes.promote(by, name, user)).name
        fact = MemberFact(self._there.person(user), "promoted")
        return (await self._there.ask(realm, account, name, "promote", (user,), (fact,)))[0]

    async def demote(
        self, account: Account, name: Address, user: Address, origin: IListener | None = None
    ) -> str:
        """Make an admin an ordinary member. Returns the group's name. Raises LastAdmin, and as `promote`."""
        realm, name = await self._there.locate(account, name)
        if realm is None:
            by = Actor(party_of(account), origin)
            return (await self.of_homes.demote(by, name, user)).name
        fact = MemberFact(self._there.person(user), "demoted")
        return (await self._there.ask(realm, account, name, "demote", (user,), (fact,)))[0]

    async def transfer(
        self, account: Account, name: Address, user: Address, origin: IListener | None = None
    ) -> str:
        """Make a member an admin in place of the account. Returns the group's name. Raises as `promote`."""
        realm, name = await self._there.locate(account, name)
        if realm is None:
            by = Actor(party_of(account), origin)
            return (await self.of_homes.transfer(by, name, user)).name
        own, heir = party_of(account), self._there.person(user)
        facts = (MemberFact(heir, "promoted"), MemberFact(own, "demoted"))
        return (await self._there.ask(realm, account, name, "transfer", (user,), facts))[0]


def details_of(roster: Roster, role: bool | None, members: int | None = None) -> GroupDetails:
    """A group, as it is shown to a person with that role; None is that of non-members."""
    group = roster.group
    code = "" if role is None else group.code
    about = settings_in_effect(group), role is not None, bool(role), members, code
    return GroupDetails(group.name, group.id, *about, shut=group.shut)


def details_for(details: GroupDetails) -> dict[str, Sequence[str]]:
    """A group, as its home tells another realm."""
    role = "admin" if details.admin else "member" if details.member else ""
    return {
        **{key: [value] for key, value in details.settings.items()},
        "members": [str(details.members or 0)],
        "role": [role],
        "code": [details.code],
        **({} if details.shut is None else {SHUT: [details.shut]}),
    }


def _details_from(
    shown: str, conversation: int, found: Mapping[str, Sequence[str]]
) -> GroupDetails:
    """A group, as its home tells."""

    def first(key: str) -> str:
        values = found.get(key, ())
        return printable(values[0], MAX_SHOWN) if values and values[0] else ""

    role, members = first("role"), first("members")
    return GroupDetails(
        shown,
        conversation,
        {key: first(key) for key in SETTINGS},
        role in ("member", "admin"),
        role == "admin",
        int(members) if members.isascii() and members.isdigit() else None,
        _code_from(shown, found),
        first(SHUT) if found.get(SHUT) else None,
    )


def _code_from(shown: str, found: Mapping[str, Sequence[str]]) -> str:
    """The code of a group, with the name of its realm."""
    for code in found.get("code", ()):
        if is_code(code):
            return f"{code.lower()}@{shown.rpartition('@')[2]}"
    return ""
