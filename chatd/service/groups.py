"""Groups of this realm and of others, as the accounts of this realm use them.

The realm in which a group lives is its home. Commands on a group of another realm are passed to its home.
This realm keeps a mirror of such a group: its members from here, and the messages since they joined. The home
reports both, in the order in which they happened.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress

from sqlalchemy import Connection
from twisted.internet import defer

from chatd.base.errors import BadName, ChatError, NotMember, PeerFailed, UnknownUser
from chatd.base.events import MemberChange
from chatd.base.model import Account, Ban, Group, GroupInfo, Member, Party, party_of
from chatd.base.names import Address, key_of, parse_foreign_address
from chatd.base.timers import Signal
from chatd.service.accounts import MAX_LISTED, Accounts
from chatd.service.context import Context
from chatd.service.home_groups import HomeGroups, Invited
from chatd.service.presence import Presence
from chatd.service.remote import (
    GroupVerb,
    IForwarder,
    IRealms,
    MemberJoined,
    MemberLeft,
    MemberRemoved,
    Notice,
    online_elsewhere,
)
from chatd.service.rosters import RosterChange, Rosters
from chatd.store import mirrors
from chatd.store.bans import MAX_BANS
from chatd.store.groups import find_group, list_groups
from chatd.store.member_lists import names_in_groups
from chatd.store.members import Delta, check_groups

# A realm that was not added may make an account a member without being asked, but only up to 1/UNASKED_PART
# of the account's limit on groups.
UNASKED_PART = 10
MAX_NAMED_GROUPS = 500  # groups in a list with the names of members
MAX_NAMES = 10_000  # names in such a list
MIN_NAMED_GROUPS = 20  # groups that share these names, so that one has at most a twentieth
JOIN_TIME = 5.0  # seconds to wait for the parcel in which a home reports a new member


class Groups:
    """What accounts of this realm do with groups, and what homes of groups elsewhere report."""

    def __init__(
        self,
        context: Context,
        accounts: Accounts,
        rosters: Rosters,
        homes: HomeGroups,
        presence: Presence,
        realms: IRealms,
        forwarder: IForwarder,
    ) -> None:
        self._context = context
        self._database = context.database
        self._accounts = accounts
        self._rosters = rosters
        self._homes = homes
        self._presence = presence
        self._realms = realms
        self._forwarder = forwarder
        self._limit = context.config.limits.account_groups
        # (group's key, account id) -> told when the account has become a member
        self._joining: dict[tuple[str, int], Signal] = {}

    def _elsewhere(self, name: Address) -> str | None:
        """The key of the realm that the group lives in, if that is another. Raises UnknownRealm."""
        realm = self._context.localize(name).realm
        if realm is None:
            return None
        self._realms.name_of(key_of(realm))
        return key_of(realm)

    # For a group of another realm, all of these also raise UnknownRealm, RealmDown, and any ChatError with
    # which its home refuses.

    async def create(self, account: Account, name: str | None, title: str | None = None) -> Group:
        """Create a group. Without a name, it gets one made of its title. Raises BadName, GroupExists,
        ReservedName, TooManyGroups, TooManyNewGroups."""
        return await self._homes.create(account, name, title)

    async def join(self, account: Account, name: Address) -> Group:
        """Join by name or by code. Raises UnknownGroup, AlreadyMember, Banned, GroupFull, RealmFull,
        TooManyGroups."""
        realm = self._elsewhere(name)
        if realm is None:
            return await self._homes.join(party_of(account), name)
        await self._database.read(check_groups, account.id, account.name, self._limit)
        await self._forwarder.until_left(account.name, realm)
        membership = await self._realms.join(realm, account.name, name.name)
        there = Address(
            self._parsed(membership.group, name.realm).name, self._realms.name_of(realm)
        )
        await self._until_joined(account, there)
        roster = self._rosters.cached(there.key)
        if roster is not None:
            return roster.group
        return Group(0, str(there), there.key, "", False, realm, membership.group_id)

    async def _until_joined(self, account: Account, group: Address) -> None:
        """Wait until the home has reported the new member in a parcel, and that is on disk."""
        roster = self._rosters.cached(group.key)
        if roster is not None and account.id in roster.members:
            return
        key = group.key, account.id
        joined = self._joining.setdefault(key, Signal())
        try:
            await joined.wait().addTimeout(JOIN_TIME, self._context.clock)
        except defer.TimeoutError:
            return
        finally:
            if not len(joined) and self._joining.get(key) is joined:
                del self._joining[key]

    async def code_of(self, name: Address) -> str:
        """The group's code, or "" if the group has ended or lives elsewhere."""
        try:
            return (await self._rosters.find(name)).group.code
        except ChatError:
            return ""

    async def leave(self, account: Account, name: Address) -> Group:
        """Leave a group. A home that is not reached is told later. Raises UnknownGroup, NotMember."""
        realm = self._elsewhere(name)
        if realm is None:
            return await self._homes.leave(party_of(account), name)
        group = (await self._rosters.find_mine(account, name)).group
        left = MemberLeft(group.name.partition("@")[0], account.name)
        notice = Notice(realm, self._context.now(), left)
        with self._rosters.leaving(group, party_of(account)):
            await self._rosters.change(
                lambda db: RosterChange(mirrors.leave_mirror(db, group, account), (notice,))
            )
        return group

    async def invite(
        self, account: Account, name: Address, users: Sequence[Address]
    ) -> tuple[str, Invited]:
        """Make `users` members. Returns the group's name. Raises UnknownGroup, NotMember, NotAdmin; if none
        of the users is known, UnknownUser or UnknownRealm."""
        realm = self._elsewhere(name)
        if realm is None:
            group, invited = await self._homes.invite(party_of(account), name, users)
            return group.name, invited
        shown, found = await self._ask(realm, account, name, "invite", users)
        return shown, Invited(
            *(
                tuple(self._from(name, each) for each in found.get(key, ()))
                for key in ("joined", "present", "unknown", "refused")
            )
        )

    async def kick(self, account: Account, name: Address, user: Address) -> str:
        """Remove and ban a member. Returns the group's name. Raises UnknownGroup, NotMember, NotAdmin,
        UnknownUser, NotTheirGroup."""
        realm = self._elsewhere(name)
        if realm is None:
            return (await self.kick_here(party_of(account), name, user)).name
        return (await self._ask(realm, account, name, "kick", (user,)))[0]

    async def kick_here(self, party: Party, name: Address, user: Address) -> Group:
        """As `kick`, in a group of this realm, for an admin of any realm."""
        group, removed = await self._homes.kick(party, name, user)
        if removed is not None and removed.id is not None:
            self._tell_kicked(group.id, group.name, removed.id, removed.name)
        return group

    def _tell_kicked(self, group: int, group_name: str, account_id: int, name: str) -> None:
        """Tell the listeners of an account that it was removed. This is not stored, because otherwise someone
        who invites and kicks could fill the inboxes of others."""
        event = MemberChange(group, group_name, name)
        self._presence.tell((account_id,), event, None)

    async def unban(self, account: Account, name: Address, user: Address) -> tuple[str, str]:
        """Lift a ban. Returns the group's name and the address. Raises UnknownGroup, NotMember, NotAdmin,
        UnknownUser, NotBanned."""
        realm = self._elsewhere(name)
        if realm is None:
            group, shown = await self._homes.unban(party_of(account), name, user)
            return group.name, shown
        return (await self._ask(realm, account, name, "unban", (user,)))[0], str(user)

    async def bans(self, account: Account, name: Address) -> tuple[str, tuple[Ban, ...]]:
        """The group's name and its bans. Raises UnknownGroup, NotMember, NotAdmin."""
        realm = self._elsewhere(name)
        if realm is None:
            group, found = await self._homes.bans(party_of(account), name, "", MAX_BANS)
            return group.name, tuple(found)
        banned: list[str] = []
        shown = f"{name.name}@{self._realms.name_of(realm)}"
        while len(banned) < MAX_BANS:
            # A page is requested with the last address of the one before, as the home writes it.
            answer = await self._realms.change(realm, account.name, name.name, "bans", banned[-1:])
            page = [str(self._parsed(each, name.realm)) for each in answer.get("bans", ())]
            banned += page
            if not page or not answer.get("more"):
                break
        return shown, tuple(Ban(self._from(name, each)) for each in banned)

    async def promote(self, account: Account, name: Address, user: Address) -> str:
        """Make a member an admin. Returns the group's name. Raises as `kick`."""
        realm = self._elsewhere(name)
        if realm is None:
            return (await self._homes.promote(party_of(account), name, user)).name
        return (await self._ask(realm, account, name, "promote", (user,)))[0]

    async def set_closed(self, account: Account, name: Address, closed: bool) -> str:
        """Close or open a group. Returns its name. Raises UnknownGroup, NotMember, NotAdmin."""
        realm = self._elsewhere(name)
        if realm is None:
            return (await self._homes.set_closed(party_of(account), name, closed)).name
        return (await self._ask(realm, account, name, "close" if closed else "open", ()))[0]

    async def _ask(
        self,
        realm: str,
        account: Account,
        name: Address,
        change: GroupVerb,
        users: Sequence[Address],
    ) -> tuple[str, Mapping[str, Sequence[str]]]:
        """Have the group's home make a change. Returns the group's name, and the home's answer."""
        named = [self._for(realm, user) for user in users]
        found = await self._realms.change(realm, account.name, name.name, change, named)
        return f"{name.name}@{self._realms.name_of(realm)}", found

    async def list(self, account: Account, mine: bool) -> tuple[tuple[GroupInfo, ...], int]:
        """The first groups, and how many more there are: the account's own here and elsewhere if `mine`, else
        all of this realm. For a group elsewhere only members of this realm are counted."""
        found, more = await self._database.read(list_groups, account.id, mine, MAX_LISTED)
        return tuple(found), more

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
        realm = self._elsewhere(name)
        found: Sequence[Member]
        if realm is None:
            roster, found = await self._homes.members(party_of(account), name)
            shown = roster.group.name
        else:
            there = await self._realms.members(realm, account.name, name.name)
            shown = f"{name.name}@{self._realms.name_of(realm)}"
            found = [
                Member(self._from(name, each.username), each.admin, each.online) for each in there
            ]
        return shown, await self._with_presence(found, realm)

    async def _with_presence(
        self, members: Sequence[Member], home: str | None
    ) -> tuple[Member, ...]:
        """Add the online state of members from other realms than `home`, which the home does not know."""
        elsewhere: dict[str, list[str]] = defaultdict(list)
        for member in members:
            name, _, realm = key_of(member.username).partition("@")
            if realm != (home or ""):
                elsewhere[realm].append(name)
        here = await self._accounts.online(elsewhere.pop("", ()))
        online = {"": here, **await online_elsewhere(self._realms, elsewhere)}
        shown = []
        for member in members:
            name, _, realm = key_of(member.username).partition("@")
            there = online.get(realm, {}).get(name, member.online)
            shown.append(Member(member.username, member.admin, there))
        return tuple(shown)

    def _for(self, realm: str, user: Address) -> str:
        """An address as another realm reads it."""
        local = self._context.localize(user)
        if local.realm is None:
            return f"{local.name}@{self._context.config.realm}"
        return local.name if key_of(local.realm) == realm else str(local)

    def _from(self, group: Address, user: str) -> str:
        """An address from a group's home, as this realm reads it."""
        there = self._parsed(user, group.realm)
        return str(self._context.localize(Address(there.name, there.realm or group.realm)))

    def _parsed(self, text: str, realm: str | None) -> Address:
        """Parse an address from another realm. Raises PeerFailed, which does not show it."""
        try:
            return parse_foreign_address(text)
        except BadName:
            raise PeerFailed(realm=realm) from None

    # Reports from the home of a group

    async def joined(self, realm: str, number: int, report: MemberJoined) -> None:
        """Make an account a member in the mirror of a group of `realm`, which reports it in the parcel
        `number`. Raises UnknownUser, TooManyGroups."""
        account = await self._accounts.find(report.user)
        name = Address(report.group, self._realms.name_of(realm))
        now = self._context.now()
        is_expected = self._realms.is_added(realm) or (name.key, account.id) in self._joining

        def job(connection: Connection) -> RosterChange:
            if not mirrors.is_news(connection, realm, key_of(report.group), number):
                return RosterChange(Delta(0))
            if not is_expected:
                mirrors.check_unasked(connection, account, self._limit // UNASKED_PART)
            return RosterChange(
                mirrors.join_mirror(
                    connection, name, realm, report.group_id, account, report.seq, now, self._limit
                )
            )

        change = await self._rosters.change(job)
        roster = self._rosters.cached(name.key)
        if roster is None or change.delta.group not in (0, roster.group.id):
            with suppress(NotMember):  # it has ended
                await self._rosters.load(name)
        if (joined := self._joining.pop((name.key, account.id), None)) is not None:
            joined.notify()

    async def removed(self, realm: str, number: int, report: MemberRemoved) -> None:
        """Remove an account from the mirror of a group of `realm`, which reports it in the parcel `number`,
        and tell it. Does nothing if it has left already."""
        try:
            account = await self._accounts.find(report.user)
        except UnknownUser:
            return
        name = Address(report.group, self._realms.name_of(realm))

        def job(connection: Connection) -> RosterChange:
            group = find_group(connection, name.key)
            if group is None or group.home_id != report.group_id:
                return RosterChange(Delta(0))
            if not mirrors.is_news(connection, realm, key_of(report.group), number):
                return RosterChange(Delta(group.id))
            return RosterChange(mirrors.leave_mirror(connection, group, account))

        change = await self._rosters.change(job)
        if change.delta.roles:
            self._tell_kicked(change.delta.group, str(name), account.id, account.name)
