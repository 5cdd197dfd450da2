"""Groups of this realm and of others, as the accounts of this realm use them.

The realm in which a group lives is its home (chatd.service.home_groups). Commands on a group of another realm
are passed to its home. This realm keeps a mirror of such a group (chatd.service.mirror_groups): its members
from here, and the entries of its log since they joined. The home reports both, in the order in which they
happened.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import msgspec
from sqlalchemy import Connection

from chatd.base.avatars import group_picture
from chatd.base.entries import MemberFact
from chatd.base.errors import AlreadyMember, ChatError, UnknownGroup, UnknownRealm
from chatd.base.model import Account, Group, NewGroup, party_of
from chatd.base.names import Address, key_of, parse_foreign_address
from chatd.base.replies import Ban, GroupInfo, Member
from chatd.service.context import Context
from chatd.service.group_settings import GroupSettings
from chatd.service.home_groups import HomeGroups
from chatd.service.home_invites import HomeInvites, Invited
from chatd.service.home_requests import HomeRequests
from chatd.service.home_settings import HomeSettings
from chatd.service.invitations import Invitations
from chatd.service.mirror_groups import MirrorGroups
from chatd.service.people import MAX_LISTED, People
from chatd.service.presence import IListener
from chatd.service.remote import IRealms, Rescued
from chatd.service.rosters import Actor, Rosters
from chatd.service.unknown_realms import UnknownRealms
from chatd.store.avatars import all_known
from chatd.store.bans import MAX_BANS
from chatd.store.groups import list_groups
from chatd.store.member_lists import names_in_groups

MAX_NAMED_GROUPS = 500  # groups in a list with the names of members
MAX_NAMES = 10_000  # names in such a list
MIN_NAMED_GROUPS = 20  # groups that share these names, so that one has at most a twentieth


class Groups:
    """What accounts of this realm do with groups, and what homes of groups elsewhere report."""

    def __init__(
        self,
        context: Context,
        people: People,
        rosters: Rosters,
        homes: HomeGroups,
        mirrors: MirrorGroups,
        invitations: Invitations,
        realms: IRealms,
    ) -> None:
        self._context = context
        self._database = context.database
        self._people = people
        self._rosters = rosters
        self._homes = homes
        self.home_invites = HomeInvites(context, invitations, rosters, homes)
        self._mirrors = mirrors
        self._invitations = invitations
        self._realms = realms
        self._unknown = UnknownRealms(context, realms)
        self._there = HomeRequests(context, mirrors, rosters, realms)
        self.there = self._there
        self.settings = GroupSettings(rosters, HomeSettings(context, rosters, homes), self._there)

    async def rescue(self, account: Account, name: Address) -> Rescued:
        """Found a group of a lost realm again in this one. Raises as IRealms.rescue_group."""
        return await self._realms.rescue_group(account, name)

    # For a group of another realm, all of these also raise UnknownRealm, RealmDown, and any ChatError with
    # which its home refuses.

    async def create(
        self,
        account: Account,
        name: str | None,
        title: str | None = None,
        origin: IListener | None = None,
        private: bool = False,
    ) -> Group:
        """Create a group. Without a name, it gets one made of its title. Raises BadName, GroupExists,
        ReservedName, TooManyGroups, TooManyNewGroups."""
        return await self._homes.create(account, NewGroup(name, title, private), origin)

    async def join(
        self,
        account: Account,
        name: Address,
        origin: IListener | None = None,
        source: str | None = None,
    ) -> Group:
        """Join by name or by code, from the network address `source`. Raises UnknownGroup, AlreadyMember,
        Banned, GroupFull, RealmFull, TooManyGroups, TooManyFailedJoins."""
        await self._unknown.meet(account, name)
        realm, name = await self._there.locate(account, name)
        party = party_of(account)
        if realm is None:
            return await self._homes.join(Actor(party, origin), name, source)
        # Its home counts failures too, but knows no network addresses. While it answers, joins elsewhere from
        # the same address have their turns.
        queue = None if source is None else f"{source} {realm}"
        async with self._homes.failed_joins.attempt(party, queue):
            return await self._mirrors.join(account, realm, name)

    async def accept(
        self, account: Account, name: Address, origin: IListener | None = None
    ) -> Group:
        """Accept an invitation, and join. Raises UnknownInvitation, and as `join`."""
        invitation = await self._invitations.find(account, name)
        try:
            return await self.join(account, parse_foreign_address(invitation.group), origin)
        except (UnknownGroup, AlreadyMember):
            await self._invitations.forget(account, name)
            raise

    async def code_of(self, account: Account, name: Address) -> str:
        """The group's code, or "" if the account is no member, or the group lives elsewhere."""
        try:
            return (await self._rosters.find_mine(account, name)).group.code
        except ChatError:
            return ""

    async def leave(
        self, account: Account, name: Address, origin: IListener | None = None
    ) -> Group:
        """Leave a group. A home that is not reached is told later. Raises UnknownGroup, NotMember."""
        realm, name = await self._there.locate(account, name)
        if realm is None:
            return await self._homes.leave(Actor(party_of(account), origin), name)
        return await self._mirrors.leave(account, realm, name, origin)

    async def invite(
        self,
        account: Account,
        name: Address,
        users: Sequence[Address],
        origin: IListener | None = None,
    ) -> tuple[str, Invited]:
        """Make `users` members; those of other realms get an invitation. Returns the group's name. Raises
        UnknownGroup, NotMember, NotAdmin; if none of the users is known, UnknownUser or UnknownRealm, and as
        UnknownRealms.meet."""
        realm, name = await self._there.locate(account, name)
        if realm is None:
            refused = await self._unknown.meet_all(account, users)
            by = Actor(party_of(account), origin)
            try:
                group, invited = await self.home_invites.invite(by, name, users)
            except UnknownRealm as error:
                raise refused.get(key_of(str(error.details["realm"])), error) from None
            return group.name, invited
        facts = [MemberFact(self._there.person(user), "invited") for user in users]
        shown, found = await self._there.ask(realm, account, name, "invite", users, facts)
        return shown, Invited(
            *(
                tuple(self._there.address_from(name, each) for each in found.get(key, ()))
                for key in Invited.__struct_fields__
            )
        )

    async def kick(
        self, account: Account, name: Address, user: Address, origin: IListener | None = None
    ) -> tuple[str, bool]:
        """Remove and ban a member, or somebody who is only invited. Returns the group's name, and whether
        they were a member. Raises UnknownGroup, NotMember, NotAdmin, UnknownUser, NotTheirGroup."""
        realm, name = await self._there.locate(account, name)
        if realm is None:
            by = Actor(party_of(account), origin)
            group, was_member = await self._homes.kick(by, name, user)
            return group.name, was_member
        person = self._there.person(user)
        # Kicking oneself is leaving.
        fact = MemberFact(person, "left" if person.key == account.key else "kicked")
        shown, found = await self._there.ask(realm, account, name, "kick", (user,), (fact,))
        return shown, not found.get("outside")

    async def unban(self, account: Account, name: Address, user: Address) -> tuple[str, str]:
        """Lift a ban. Returns the group's name and the address. Raises UnknownGroup, NotMember, NotAdmin,
        UnknownUser, NotBanned."""
        realm, name = await self._there.locate(account, name)
        if realm is None:
            group, shown = await self._homes.unban(party_of(account), name, user)
            return group.name, shown
        return (await self._there.ask(realm, account, name, "unban", (user,)))[0], str(user)

    async def bans(self, account: Account, name: Address) -> tuple[str, tuple[Ban, ...]]:
        """The group's name and its bans. Raises UnknownGroup, NotMember, NotAdmin."""
        realm, name = await self._there.locate(account, name)
        if realm is None:
            group, found = await self._homes.bans(party_of(account), name, "", MAX_BANS)
            return group.name, tuple(found)
        banned: list[str] = []
        shown = f"{name.name}@{self._realms.name_of(realm)}"
        while len(banned) < MAX_BANS:
            # A page is requested with the last address of the one before, as the home writes it.
            answer = await self._realms.change(realm, account.name, name.name, "bans", banned[-1:])
            page = [str(self._there.parsed(each, name.realm)) for each in answer.get("bans", ())]
            banned += page
            if not page or not answer.get("more"):
                break
        return shown, tuple(Ban(self._there.address_from(name, each)) for each in banned)

    async def list(self, account: Account, mine: bool) -> tuple[tuple[GroupInfo, ...], int]:
        """The first groups, and how many more there are: the account's own here and elsewhere if `mine`, else
        all of this realm, with their pictures. For a group elsewhere only members of this realm are
        counted."""
        return await self._database.read(_pictured_groups, account.id, mine)

    async def list_with_names(
        self, account: Account
    ) -> tuple[tuple[GroupInfo, ...], Mapping[str, Sequence[str]], int]:
        """The first groups of this realm, the names of some members by the group's name, and how many more
        groups there are. The account itself is always among the members of its groups."""
        found, more = await self._database.read(list_groups, account.id, False, MAX_NAMED_GROUPS)
        each = MAX_NAMES // max(len(found), MIN_NAMED_GROUPS)
        keys = {key_of(info.group): info.group for info in found}
        names = await self._database.read(names_in_groups, list(keys), account.id, each)
        return tuple(found), {keys[key]: names[key] for key in keys if key in names}, more

    async def members(self, account: Account, name: Address) -> tuple[str, tuple[Member, ...]]:
        """The group's name and members, for a member. Raises UnknownGroup, NotMember."""
        realm, name = await self._there.locate(account, name)
        found: Sequence[Member]
        if realm is None:
            roster, found = await self._homes.members(party_of(account), name)
            shown = roster.group.name
        else:
            there = await self._realms.members(realm, account.name, name.name)
            shown = f"{name.name}@{self._realms.name_of(realm)}"
            found = [
                Member(self._there.address_from(name, each.username), each.admin, each.online)
                for each in there
            ]
        return shown, await self._with_presence(account, found, realm)

    async def _with_presence(
        self, account: Account, members: Sequence[Member], home: str | None
    ) -> tuple[Member, ...]:
        """Add the online state of members from other realms than `home`, which the home does not know."""
        wanted: dict[str, list[str]] = defaultdict(list)
        for member in members:
            name, _, realm = key_of(member.username).partition("@")
            if realm != (home or ""):
                wanted[realm].append(name)
        online = await self._people.online_everywhere(account, wanted)
        shown = []
        for member in members:
            name, _, realm = key_of(member.username).partition("@")
            theirs = member.online if realm == (home or "") else False
            there = online.get(realm, {}).get(name, theirs)
            shown.append(Member(member.username, member.admin, there))
        return tuple(shown)


def _pictured_groups(
    connection: Connection, account_id: int, mine: bool
) -> tuple[tuple[GroupInfo, ...], int]:
    """The first groups with their pictures, and the number of the others."""
    found, more = list_groups(connection, account_id, mine, MAX_LISTED)
    known = all_known(connection, [f"#{each.group}" for each in found])
    paths = {place: group_picture(place[1:], each.hash) for place, each in known.items()}
    pictured = (
        msgspec.structs.replace(each, picture=paths.get(f"#{each.group}")) for each in found
    )
    return tuple(pictured), more
