"""The groups that live in this realm, with members of any realm."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

import msgspec
from sqlalchemy import Connection

from chatd.base.entries import Happening, MadeFact, MemberFact
from chatd.base.errors import (
    AlreadyMember,
    Banned,
    GroupClosed,
    GroupExists,
    NotAdmin,
    NotMember,
    NotTheirGroup,
    TooManyNewGroups,
    UnknownUser,
)
from chatd.base.model import Account, Group, NewGroup, Party, party_of
from chatd.base.names import Address, key_of
from chatd.base.replies import Ban, Member
from chatd.base.throttle import Quota
from chatd.base.titles import names_for
from chatd.service.accounts import Accounts
from chatd.service.blocks import Blocks
from chatd.service.codes import new_group_code, new_private_code, with_new_code
from chatd.service.context import Context
from chatd.service.guesses import FailedJoins, TakenNames
from chatd.service.node_limits import share_quota
from chatd.service.online_accounts import OFFLINE
from chatd.service.presence import IListener
from chatd.service.realm_news import MemberJoined, MemberRemoved
from chatd.service.remote import IRealms, Notice
from chatd.service.rosters import Actor, RosterChange, Rosters
from chatd.store import bans as ban_store
from chatd.store import members as store
from chatd.store import mirrors
from chatd.store.avatars import about_group
from chatd.store.groups import add_group
from chatd.store.invitations import (
    forget_invitation,
    forget_invited,
    has_invitation,
    withdraw,
)
from chatd.store.roster import Delta, Roster
from chatd.store.shut_groups import shut_refusal


def report_joined(
    connection: Connection, group: Group, party: Party, newest: int, first: int
) -> MemberJoined:
    name, about = party.name.partition("@")[0], about_group(connection, group)
    since = store.member_since(connection, group, party)
    return MemberJoined(group.name, group.id, name, newest, first, about, since)


def _withdraw(connection: Connection, group: Group, party: Party, now: int) -> bool:
    """Withdraw the invitation of a person to a group of this realm. Returns whether an account had an open
    one. The realm of a person of another one withdraws theirs when it is told of the removal."""
    if party.id is None:
        forget_invited(connection, group.id, party.key)
        return False
    return withdraw(connection, party.id, group.key, "", group.id, now)


class HomeGroups:
    """Members, and people who act on a group, are `Party`s: accounts of this realm, or people of another."""

    def __init__(
        self,
        context: Context,
        accounts: Accounts,
        blocks: Blocks,
        rosters: Rosters,
        realms: IRealms,
    ) -> None:
        self._context = context
        self._database = context.database
        self._accounts = accounts
        self._blocks = blocks
        self._rosters = rosters
        self._realms = realms
        per_hour = context.config.limits.groups_per_hour
        self._creations = Quota(per_hour)
        share_quota(self._creations, context.news, context.clock, "new-groups")
        self._taken = TakenNames(context.clock, limited=per_hour > 0)
        self._taken.share(context.news, "taken-group-names")
        self.failed_joins = FailedJoins(context.clock)
        self.failed_joins.share(context.news)
        context.on_config(self._change_limits)

    def _change_limits(self) -> None:
        per_hour = self._context.config.limits.groups_per_hour
        self._creations.allow(per_hour)
        self._taken.limit(limited=per_hour > 0)

    async def find_ruled(self, party: Party, name: Address) -> Roster:
        """The group, if `party` is an admin. Raises UnknownGroup, NotMember, NotAdmin."""
        roster = await self._find_of(party, name)
        if not roster.role(party):
            raise NotAdmin(group=roster.group.name)
        return roster

    async def _find_of(self, party: Party, name: Address) -> Roster:
        """The group, if `party` is a member. Raises UnknownGroup, NotMember."""
        roster = await self._rosters.find_home(name, party)
        if roster.role(party) is None:
            raise NotMember(group=roster.group.name)
        return roster

    async def create(
        self,
        account: Account,
        new: NewGroup,
        origin: IListener | None = None,
    ) -> Group:
        """Create a group, with `account` as its admin. Raises BadName, GroupExists, ReservedName,
        TooManyGroups, TooManyNewGroups, and UnknownUser if the account was deleted."""
        if new.name is not None:
            self._accounts.check_name(new.name)
            return await self._create(account, [new.name], new, origin)
        allowed = self.names_like(new.title or "")
        group = await self._create(account, allowed, new, origin)
        if key_of(group.name) != key_of(allowed[0]):
            self._taken.count(account.key)  # the name that it has tells that another one is taken
        return group

    def names_like(self, title: str) -> list[str]:
        """Names that a new group with that title may have, unless they are taken. The best is the first."""
        wanted = names_for(title, self._context.random_bytes)
        return [*filter(self._accounts.is_allowed, wanted)]

    @contextmanager
    def creation(self, account: Account) -> Iterator[None]:
        """A context in which an account makes a group. Raises TooManyNewGroups."""
        wait = self._creations.take(account.key, self._context.clock.seconds())
        if wait:
            limit, minutes = self._context.config.limits.groups_per_hour, math.ceil(wait / 60)
            raise TooManyNewGroups(limit=limit, minutes=minutes)
        try:
            yield
        except BaseException:
            self._creations.give_back(account.key)
            raise

    async def _create(
        self, account: Account, names: Sequence[str], new: NewGroup, origin: IListener | None
    ) -> Group:
        """Create a group with the first of `names` that is free."""
        now, creator = self._context.now(), party_of(account)

        def make(connection: Connection, name: str, code: str) -> Group:
            named = msgspec.structs.replace(new, name=name)
            return add_group(connection, named, code, account.id, now)

        def job(connection: Connection, code: str) -> RosterChange:
            store.check_groups(
                connection, account.id, account.name, self._context.config.limits.account_groups
            )
            for name in names[:-1]:
                with suppress(GroupExists):
                    group = make(connection, name, code)
                    break
            else:
                group = make(connection, names[-1], code)
            joined = MadeFact(MemberFact(creator, "joined"), creator, now)
            return RosterChange(Delta(group.id, ((creator, True),)), (joined,), group)

        async def create(code: str) -> Group:
            change = await self._rosters.change(lambda db: job(db, code), origin)
            assert change.group is not None  # noqa: S101 - the job sets it
            return change.group

        make_code = new_private_code if new.private else new_group_code
        with self.creation(account), self._taken.attempt(account.key):
            return await with_new_code(self._context.random_bytes, create, make_code)

    async def find_joinable(self, party: Party, name: Address, source: str | None = None) -> Roster:
        """The group that `party` may want to join, from the network address `source` if they are of this
        realm. Raises UnknownGroup, TooManyFailedJoins."""
        async with self.failed_joins.attempt(party, source):
            return await self._rosters.find_home(name, party, joining=True)

    async def join(
        self, by: Actor, name: Address, source: str | None = None, since: int | None = None
    ) -> Group:
        """Join by name or by code. Somebody is a member again that they were `since` that time. Raises
        UnknownGroup, AlreadyMember, Banned, GroupShut, TooManyFailedJoins, and what `join_group` does."""
        party = by.party
        roster = await self.find_joinable(party, name, source)
        # The job checks this too, but if a job fails, its whole transaction runs again.
        if roster.role(party) is not None:
            raise AlreadyMember(name=party.name, group=roster.group.name)
        if party.key in roster.banned:
            raise Banned(group=roster.group.name)
        await self.admit(roster.group, party, by, since)
        return roster.group

    async def join_again(self, by: Actor, name: Address, since: int | None = None) -> Group:
        """As `join`, for a person of another realm whose realm does not know of a membership: it is reported
        again."""
        try:
            return await self.join(by, name, since=since)
        except AlreadyMember:
            group, party = (await self._rosters.find_home(name)).group, by.party
            now, realm = self._context.now(), party.realm or ""

            def job(connection: Connection) -> RosterChange:
                newest = self._rosters.log.newest(connection, group)
                first = store.first_seq(connection, group, party)
                notice = Notice(realm, now, report_joined(connection, group, party, newest, first))
                return RosterChange(Delta(group.id), (notice,), group)

            await self._rosters.change(job)
            return group

    async def admit(self, group: Group, party: Party, by: Actor, since: int | None = None) -> None:
        """Make `party` a member, at the request of `by`: theirs, or that of an admin who invites them. They
        are one again that they were `since` that time. Raises GroupShut, and what `join_group` does."""
        now, invited = self._context.now(), by.party.key != party.key

        def job(connection: Connection) -> RosterChange:
            # Who was a member, and is one again after a restore, does not come anew.
            refused = shut_refusal(connection, group) if since is None else None
            if refused is not None:
                return RosterChange(Delta(group.id), refused=refused)
            newest = self._rosters.log.newest(connection, group) + invited
            delta = store.join_group(
                connection, group, party, now, self._context.bounds, newest, invited
            )
            if since is not None:
                store.set_since(connection, group, party, min(since, now))
            steps: list[Notice | MadeFact] = []
            if invited:
                steps.append(MadeFact(MemberFact(party, "invited"), by.party, now))
            steps.append(MadeFact(MemberFact(party, "joined"), by.party, now))
            if party.realm is not None:
                joined = report_joined(connection, group, party, newest, delta.first)
                steps.insert(0, Notice(party.realm, now, joined))
                forget_invited(connection, group.id, party.key)
            if party.id is not None:
                forget_invitation(connection, party.id, group.key)
            return RosterChange(delta, steps, group)

        if invited:
            await self._rosters.rule(by, group, job)
        else:
            await self._rosters.change(job, by.origin, by.signed)

    async def leave(self, by: Actor, name: Address) -> Group:
        """Leave a group. If their realm reports it in an entry that is older than its newest such report,
        nothing is done. Raises UnknownGroup, NotMember."""
        party = by.party
        group = (await self._find_of(party, name)).group

        def job(connection: Connection) -> RosterChange:
            realm = party.realm or ""
            for said in by.signed:
                if not mirrors.is_news(connection, realm, name.key, said.origin[1]):
                    return RosterChange(Delta(group.id))
            return self._take_out(connection, group, party, party)

        await self._rosters.change(job, by.origin, by.signed)
        return group

    def _take_out(
        self, connection: Connection, group: Group, member: Party, by: Party
    ) -> RosterChange:
        """Remove a member, who leaves or is kicked by somebody else. Its realm gets a notice even if it asked
        for the removal, because it may have got other notices since."""
        delta = store.leave_group(connection, group, member)
        what: Happening = "left" if by.key == member.key else "kicked"
        steps = self._rosters.facts_of(delta, by, what)
        if member.realm is None:
            return RosterChange(delta, steps, group)
        seq = self._rosters.log.newest(connection, group) + 1 if steps else 0
        name = member.name.partition("@")[0]
        removed = MemberRemoved(group.name, group.id, name, seq, by.name)
        steps.append(Notice(member.realm, self._context.now(), removed))
        return RosterChange(delta, steps, group, (member.realm,) if what == "kicked" else ())

    async def party(self, address: Address) -> Party:
        """The person with that address. Someone of another realm is not looked up there. Raises UnknownUser,
        UnknownRealm."""
        return self.party_among(await self.accounts_of([address]), address)

    async def accounts_of(self, addresses: Sequence[Address]) -> dict[str, Account]:
        """The accounts of this realm with these addresses, by their keys."""
        local = map(self._context.localize, addresses)
        return await self._accounts.find_many(each.name for each in local if each.realm is None)

    def party_among(self, accounts: Mapping[str, Account], address: Address) -> Party:
        """As `party`, with the `accounts` that were found for that address and others."""
        local = self._context.localize(address)
        if local.realm is None:
            if local.key not in accounts:
                raise UnknownUser(name=local.name)
            return party_of(accounts[local.key])
        realm = key_of(local.realm)
        shown = Address(local.name, self._realms.name_of(realm))
        return Party(shown.key, str(shown), realm=realm)

    async def kick(self, by: Actor, name: Address, user: Address) -> tuple[Group, bool]:
        """Remove and ban a member. Returns the group, and whether they were one.

        The invitation of an invited person is withdrawn, and they are banned. People of other realms may post
        to an open group without being members, so they can be banned too. Someone who kicks themselves
        leaves, and is not banned.
        """
        roster = await self.find_ruled(by.party, name)
        group, member = roster.group, await self.party(user)
        may_post = member.realm is not None and not group.members_only
        may_post = may_post and member.key not in roster.banned
        now, is_member = self._context.now(), roster.role(member) is not None
        known = is_member or may_post
        if not known and not await self._database.read(has_invitation, group, member, now):
            raise NotTheirGroup(name=member.name, group=group.name)
        withdrawn = False

        def job(connection: Connection) -> RosterChange:
            nonlocal withdrawn
            withdrawn = _withdraw(connection, group, member, now)
            change = self._take_out(connection, group, member, by.party)
            if member.key == by.party.key or change.delta.ended:
                return change
            dropped = ban_store.add_ban(connection, group, member, now)
            delta = msgspec.structs.replace(change.delta, banned=(member.key,), unbanned=dropped)
            return msgspec.structs.replace(change, delta=delta)

        change = await self._rosters.rule(by, group, job)
        if withdrawn and member.id is not None:
            about = group.name, member.name, by.party.name, now
            self._rosters.log.tell_withdrawn(member.id, *about)
        return group, is_member or bool(change.delta.roles)

    async def unban(self, party: Party, name: Address, user: Address) -> tuple[Group, str]:
        """Lift a ban. Returns the group, and the address as shown. Raises UnknownGroup, NotMember, NotAdmin,
        UnknownUser, NotBanned."""
        group = (await self.find_ruled(party, name)).group
        member = await self.party(user)

        def job(connection: Connection) -> RosterChange:
            ban_store.unban(connection, group, member)
            return RosterChange(Delta(group.id, unbanned=(member.key,)))

        await self._rosters.rule(Actor(party), group, job)
        return group, member.name

    async def bans(
        self, party: Party, name: Address, after: str, limit: int
    ) -> tuple[Group, Sequence[Ban]]:
        """The first `limit` bans whose keys come after `after`. Raises UnknownGroup, NotMember, NotAdmin."""
        group = (await self.find_ruled(party, name)).group
        return group, await self._database.read(ban_store.bans_of, group.id, after, limit)

    async def members(
        self, party: Party, name: Address, start: int = 0, limit: int | None = None
    ) -> tuple[Roster, tuple[Member, ...]]:
        """At most `limit` members (None: all) from the `start`-th on, longest-standing first, for a member.
        People of other realms count as offline. Raises UnknownGroup, NotMember."""
        roster = await self._find_of(party, name)
        found = await self._database.read(store.member_names, roster.group.id, start, limit)
        state_for = self._blocks.state_for
        return roster, tuple(
            Member(
                shown,
                admin,
                ident is not None and state_for(party, ident, key_of(shown)) != OFFLINE,
            )
            for ident, shown, admin in found
        )

    async def find_postable(self, party: Party, name: Address) -> Roster:
        """The group, if `party`, of another realm, may post to it. Raises UnknownGroup, GroupClosed,
        Banned."""
        roster = await self._rosters.find_home(name, party)
        if party.key in roster.banned:
            raise Banned(group=roster.group.name)
        if roster.group.members_only and roster.role(party) is None:
            raise GroupClosed(group=roster.group.name)
        return roster
