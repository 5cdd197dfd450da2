"""What people of this realm do with groups, wherever these live.

A group of another realm is asked about there. Known of it here is who of this realm is in it, and the
messages that came since: its home tells of both, in the order in which they happened.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection
from twisted.internet import defer

from chatd.base.errors import BadName, ChatError, NotMember, PeerFailed, UnknownUser
from chatd.base.model import Account, Ban, Group, GroupInfo, Member, MemberChange, Party, party_of
from chatd.base.names import Address, key_of, parse_address, parse_foreign_address
from chatd.base.timers import Signal
from chatd.service.accounts import MAX_LISTED, Accounts
from chatd.service.context import Context
from chatd.service.home_groups import HomeGroups, Invited
from chatd.service.presence import Presence
from chatd.service.remote import (
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
from chatd.store.members import Delta, check_groups

# The part of an account's groups that realms which nobody here has added may fill without being asked.
UNASKED_PART = 10
PATIENCE = 5.0  # seconds in which a home that has let someone in should say so in turn


class Groups:
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
        # (group's key, account id) -> those who wait until the account is a member
        self._joining: dict[tuple[str, int], Signal] = {}

    def _elsewhere(self, name: Address) -> str | None:
        """The key of the realm that the group lives in, if that is another. Raises UnknownRealm."""
        realm = self._context.localize(name).realm
        if realm is None:
            return None
        self._realms.name_of(key_of(realm))
        return key_of(realm)

    # All of these raise what the group's home says, and of groups elsewhere UnknownRealm and ChatError, too.

    async def create(self, account: Account, name: str) -> Group:
        """Raises GroupExists, ReservedName, TooManyGroups, TooManyNewGroups."""
        return await self._homes.create(account, name)

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
        """Wait until the home's word, which came with a parcel, is on disk here, too."""
        roster = self._rosters.cached(group.key)
        if roster is not None and account.id in roster.members:
            return
        key = group.key, account.id
        joined = self._joining.setdefault(key, Signal())
        try:
            await joined.wait().addTimeout(PATIENCE, self._context.clock)
        except defer.TimeoutError:
            return
        finally:
            if not len(joined) and self._joining.get(key) is joined:
                del self._joining[key]

    def _let_in(self, key: str, account_id: int) -> None:
        joined = self._joining.pop((key, account_id), None)
        if joined is not None:
            joined.notify()

    async def code_of(self, name: Address) -> str:
        """The group's code; nothing if it has ended meanwhile, or lives elsewhere."""
        try:
            return (await self._rosters.find(name)).group.code
        except ChatError:
            return ""

    async def leave(self, account: Account, name: Address) -> str:
        """The group's name. Raises UnknownGroup, NotMember. A group elsewhere is told when it is reached."""
        realm = self._elsewhere(name)
        if realm is None:
            return (await self._homes.leave(party_of(account), name)).name
        group = (await self._rosters.find_mine(account, name)).group
        left = MemberLeft(group.name.partition("@")[0], account.name)
        notice = Notice(realm, self._context.now(), left)
        with self._rosters.leaving(group, party_of(account)):
            await self._rosters.change(
                lambda db: RosterChange(mirrors.leave_mirror(db, group, account), (notice,))
            )
        return group.name

    async def invite(
        self, account: Account, name: Address, users: Sequence[Address]
    ) -> tuple[str, Invited]:
        """Make `users` members. Raises UnknownGroup, NotMember, NotAdmin; if none is known, UnknownUser or
        UnknownRealm."""
        if self._elsewhere(name) is None:
            group, invited = await self._homes.invite(party_of(account), name, users)
            return group.name, invited
        shown, found = await self._ask(account, name, "invite", users)
        return shown, Invited(
            *(
                tuple(self._from(name, each) for each in found.get(key, ()))
                for key in ("joined", "present", "unknown", "refused")
            )
        )

    async def kick(self, account: Account, name: Address, user: Address) -> str:
        """Remove and ban a member. Returns the group's name. Raises UnknownGroup, NotMember, NotAdmin,
        UnknownUser, NotTheirGroup."""
        if self._elsewhere(name) is None:
            return (await self.kick_here(party_of(account), name, user)).name
        return (await self._ask(account, name, "kick", (user,)))[0]

    async def kick_here(self, party: Party, name: Address, user: Address) -> Group:
        """As `kick`, in a group of this realm, for an admin of any realm."""
        group, removed = await self._homes.kick(party, name, user)
        if removed is not None and removed.id is not None:
            self._tell_kicked(group.id, group.name, removed.id, removed.name)
        return group

    def _tell_kicked(self, group: int, group_name: str, account_id: int, name: str) -> None:
        """Tell an account that it was removed; it hears nothing else. The event is not stored, because
        anybody who invites and kicks could otherwise fill the inbox of people who never asked for it."""
        event = MemberChange(group, group_name, name)
        self._presence.tell((account_id,), event, None)

    async def unban(self, account: Account, name: Address, user: Address) -> tuple[str, str]:
        """Lift a ban. Returns the group's name and the address. Raises UnknownGroup, NotMember, NotAdmin,
        UnknownUser, NotBanned."""
        if self._elsewhere(name) is None:
            group, shown = await self._homes.unban(party_of(account), name, user)
            return group.name, shown
        return (await self._ask(account, name, "unban", (user,)))[0], str(user)

    async def bans(self, account: Account, name: Address) -> tuple[str, tuple[Ban, ...]]:
        """The group's name and its bans. Raises UnknownGroup, NotMember, NotAdmin."""
        if self._elsewhere(name) is None:
            group, found = await self._homes.bans(party_of(account), name, "", MAX_BANS)
            return group.name, tuple(found)
        said: list[str] = []
        while len(said) < MAX_BANS:
            last = [parse_address(each) for each in said[-1:]]
            shown, answer = await self._ask_as_named(account, name, "bans", map(str, last))
            page = [str(self._parsed(each, name.realm)) for each in answer.get("bans", ())]
            said += page
            if not page or not answer.get("more"):
                break
        return shown, tuple(Ban(self._from(name, each)) for each in said)

    async def promote(self, account: Account, name: Address, user: Address) -> str:
        """Make a member an admin. Raises as `kick`."""
        if self._elsewhere(name) is None:
            return (await self._homes.promote(party_of(account), name, user)).name
        return (await self._ask(account, name, "promote", (user,)))[0]

    async def set_closed(self, account: Account, name: Address, closed: bool) -> str:
        """The group's name. Raises UnknownGroup, NotMember, NotAdmin."""
        if self._elsewhere(name) is None:
            return (await self._homes.set_closed(party_of(account), name, closed)).name
        return (await self._ask(account, name, "close" if closed else "open", ()))[0]

    async def _ask(
        self, account: Account, name: Address, change: str, users: Sequence[Address]
    ) -> tuple[str, Mapping[str, Sequence[str]]]:
        """Have the group's home do it: the group's name, and what the home says of it."""
        realm = self._elsewhere(name)
        assert realm is not None  # noqa: S101 - asked for by the caller
        named = [self._for(realm, user) for user in users]
        return await self._ask_as_named(account, name, change, named)

    async def _ask_as_named(
        self, account: Account, name: Address, change: str, named: Iterable[str]
    ) -> tuple[str, Mapping[str, Sequence[str]]]:
        """As `_ask`, with addresses in the form that the group's home uses."""
        realm = self._elsewhere(name)
        assert realm is not None  # noqa: S101 - asked for by the caller
        found = await self._realms.change(realm, account.name, name.name, change, list(named))
        return f"{name.name}@{self._realms.name_of(realm)}", found

    async def list(self, account: Account, mine: bool) -> tuple[tuple[GroupInfo, ...], int]:
        """All groups of this realm, or the account's own, wherever they live: the first of them, and how
        many more. Of a group elsewhere, the members of this realm are counted."""
        found, more = await self._database.read(list_groups, account.id, mine, MAX_LISTED)
        return tuple(found), more

    async def members(self, account: Account, name: Address) -> tuple[str, tuple[Member, ...]]:
        """For members only. Raises UnknownGroup, NotMember."""
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
        """With who is online of those of whom the home could not say it: they are of other realms."""
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
        """An address as another realm has to read it."""
        local = self._context.localize(user)
        if local.realm is None:
            return f"{local.name}@{self._context.config.realm}"
        return local.name if key_of(local.realm) == realm else str(local)

    def _from(self, group: Address, user: str) -> str:
        """An address that the group's home has said, as this realm reads it."""
        said = self._parsed(user, group.realm)
        return str(self._context.localize(Address(said.name, said.realm or group.realm)))

    def _parsed(self, said: str, realm: str | None) -> Address:
        """What another realm says is an address. Raises PeerFailed: it is not shown to anybody."""
        try:
            return parse_foreign_address(said)
        except BadName:
            raise PeerFailed(realm=realm) from None

    # What the home of a group says of its own accord

    async def joined(self, realm: str, number: int, said: MemberJoined) -> None:
        """Raises UnknownUser, TooManyGroups."""
        account = await self._accounts.find(said.user)
        name = Address(said.group, self._realms.name_of(realm))
        now = self._context.now()
        is_free = self._realms.is_added(realm) or (name.key, account.id) in self._joining

        def job(connection: Connection) -> RosterChange:
            if not mirrors.is_news(connection, realm, key_of(said.group), number):
                return RosterChange(Delta(0))
            if not is_free:
                mirrors.check_unasked(connection, account, self._limit // UNASKED_PART)
            return RosterChange(
                mirrors.join_mirror(
                    connection, name, realm, said.group_id, account, said.seq, now, self._limit
                )
            )

        change = await self._rosters.change(job)
        roster = self._rosters.cached(name.key)
        if roster is None or change.delta.group not in (0, roster.group.id):
            await self._load(name)
        self._let_in(name.key, account.id)

    async def _load(self, name: Address) -> None:
        """Load the group into memory, if it exists."""
        try:
            await self._rosters.load(name)
        except NotMember:
            return

    async def removed(self, realm: str, number: int, said: MemberRemoved) -> None:
        """Tell the account, unless it left by itself. Ignores what is known already."""
        try:
            account = await self._accounts.find(said.user)
        except UnknownUser:
            return
        name = Address(said.group, self._realms.name_of(realm))

        def job(connection: Connection) -> RosterChange:
            group = find_group(connection, name.key)
            if group is None or group.home_id != said.group_id:
                return RosterChange(Delta(0))
            if not mirrors.is_news(connection, realm, key_of(said.group), number):
                return RosterChange(Delta(group.id))
            return RosterChange(mirrors.leave_mirror(connection, group, account))

        change = await self._rosters.change(job)
        if change.delta.roles:
            self._tell_kicked(change.delta.group, str(name), account.id, account.name)
