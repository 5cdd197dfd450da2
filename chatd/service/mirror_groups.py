"""Groups of other realms with members here: joining and leaving them, and what their homes report.

A home decides who is in its groups, but it can't put an account of this realm into one: its report that
somebody has joined counts only in answer to a request of theirs, which is on disk before the home is asked.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress

import msgspec
from sqlalchemy import Connection

from chatd.base.entries import GroupFact, MadeFact, MemberFact
from chatd.base.errors import (
    AlreadyMember,
    BadName,
    ChatError,
    NotMember,
    NotRequested,
    PeerFailed,
    RealmDown,
    TooManyInvitations,
    UnknownGroup,
    UnknownRealm,
    UnknownUser,
)
from chatd.base.events import MemberChange
from chatd.base.group_settings import SHUT, columns_left, columns_of
from chatd.base.model import Account, Group, party_of
from chatd.base.names import (
    Address,
    key_of,
    parse_address,
    parse_foreign_address,
    parse_foreign_name,
)
from chatd.service.accounts import Accounts
from chatd.service.awaited_joins import AwaitedJoins
from chatd.service.context import Context
from chatd.service.group_log import StoredFact
from chatd.service.invitations import Invitations
from chatd.service.presence import IListener
from chatd.service.realm_news import MemberJoined, MemberLeft, MemberRemoved
from chatd.service.remote import IForwarder, IRealms, Notice
from chatd.service.rosters import RosterChange, Rosters
from chatd.store import invitations as request_store
from chatd.store import mirrors
from chatd.store.avatars import note_of_mirror
from chatd.store.conversations import takes_part
from chatd.store.crossing import is_made, later_members, later_settings
from chatd.store.files_again import fetch_again
from chatd.store.groups import find_group, set_columns
from chatd.store.invitations import NewInvitation, add_invitation, take_request
from chatd.store.lineage import check_home_now
from chatd.store.luggage import set_read, take_moving_group
from chatd.store.members import check_groups, set_admin
from chatd.store.origins import Origin
from chatd.store.roster import Delta
from chatd.store.sealing import NewSignature


class MirrorGroups:
    """Realms are named by their keys."""

    def __init__(
        self,
        context: Context,
        accounts: Accounts,
        rosters: Rosters,
        invitations: Invitations,
        realms: IRealms,
        forwarder: IForwarder,
    ) -> None:
        self._context = context
        self._database = context.database
        self._accounts = accounts
        self._rosters = rosters
        self._invitations = invitations
        self._realms = realms
        self._forwarder = forwarder
        self._awaited = AwaitedJoins(context, rosters)

    # What accounts do

    async def join(self, account: Account, realm: str, name: Address) -> Group:
        """Join a group there by name or code. Raises AlreadyMember, TooManyGroups, RealmDown, and what its
        home refuses with."""
        roster = await self._rosters.named(name, party_of(account))
        if roster is not None and account.id in roster.members:
            raise AlreadyMember(name=account.name, group=roster.group.name)
        await self._database.read(
            check_groups, account.id, account.name, self._context.config.limits.account_groups
        )
        await self._forwarder.until_left(account.name, realm)
        found = await self._realms.find(realm, account.name, name.name)
        there = Address(_parsed(found.group, name.realm), self._realms.name_of(realm))
        party, now = party_of(account), self._context.now()
        fact = MadeFact(MemberFact(party, "joined"), party, now)

        def job(connection: Connection) -> list[bytes]:
            request_store.add_request(connection, account.id, there.key, realm, now)
            return self._forwarder.sign_facts(connection, realm, found.group_id, [fact])

        (entry,) = await self._database.run(job)
        try:
            await self._realms.join(realm, account.name, name.name, entry)
        except RealmDown:
            raise  # the home may have done it nevertheless
        except ChatError:
            await self._database.run(request_store.forget_request, account.id, there.key)
            raise
        roster = await self._awaited.wait(account, there)
        if roster is not None:
            return roster.group
        return Group(0, str(there), there.key, "", False, realm, found.group_id)

    async def leave(
        self, account: Account, realm: str, name: Address, origin: IListener | None
    ) -> Group:
        """Leave a group. A home that is not reached is told later. Raises UnknownGroup, NotMember."""
        group = (await self._rosters.find_mine(account, name)).group
        left = MemberLeft(group.name.partition("@")[0], group.home_id or 0, account.name)
        notice = Notice(realm, self._context.now(), left)

        def job(connection: Connection) -> RosterChange:
            check_home_now(connection, group.id, realm)
            request_store.forget_request(connection, account.id, group.key)
            return RosterChange(mirrors.leave_mirror(connection, group, account), (notice,))

        change = await self._rosters.change(job)
        if change.delta.roles:
            who = account.name
            event = MemberChange(group.id, group.name, who, "left", at=self._context.now(), by=who)
            self._rosters.log.tell_removed(account.id, event, origin)
        return group

    async def sign(
        self, account: Account, realm: str, group: str, facts: Sequence[MemberFact | GroupFact]
    ) -> list[bytes]:
        """What an account says to change a group of `realm`, which is shown as `group`."""
        author, now = party_of(account), self._context.now()
        made = [MadeFact(fact, author, now) for fact in facts]

        def job(connection: Connection) -> list[bytes]:
            known = find_group(connection, key_of(group))
            # The home refuses what a person says who is not a member.
            place = key_of(group.partition("@")[0]) if known is None else known.home_id or 0
            return self._forwarder.sign_facts(connection, realm, place, made)

        return await self._database.run(job) if made else []

    # What the home of a group reports

    async def joined(self, realm: str, number: int, report: MemberJoined) -> None:
        """Make an account a member in the mirror of a group of `realm`, which reports it in the parcel
        `number`. Raises UnknownUser, TooManyGroups, and NotRequested if the account has not asked for it."""
        account = await self._accounts.find(report.user)
        name = Address(report.group, self._realms.name_of(realm))
        now = self._context.now()
        told: list[NewInvitation] = []

        def job(connection: Connection) -> RosterChange:
            told.clear()  # it may run twice
            group = _copy_of(connection, name, report.group_id)
            is_member = group is not None and takes_part(connection, account.id, group.id)
            if mirrors.is_repeated(connection, realm, key_of(report.group), number):
                return RosterChange(Delta(0))
            moving = take_moving_group(connection, account.id, realm, report.group_id)
            asked = is_member or moving is not None
            if not asked and not take_request(connection, account.id, name.key, realm, now):
                # The home has made it a member under older rules, or means harm. It gets an invitation.
                told.extend(_invite(connection, account, name, realm, report.group_id, now))
                refused = NotRequested(name=account.name, group=report.group)
                return RosterChange(Delta(0), refused=refused)
            mirrors.is_news(connection, realm, key_of(report.group), number)
            delta = self._join(connection, name, realm, account, report, now)
            if moving is not None and delta.roles:
                set_read(connection, account.id, delta.group, moving.read_seq)
            kept = mirrors.MemberProof(number, report.at, report.seal)
            mirrors.keep_admission(connection, delta.group, account, kept)
            return RosterChange(delta)

        try:
            change = await self._rosters.change(job)
        finally:
            for invitation in told:
                self._invitations.tell(account.id, invitation)
        await self._has_joined(realm, account, name, change.delta.group)

    async def joined_before(
        self, realm: str, number: int, report: MemberJoined, signed: int
    ) -> None:
        """As `joined`, for an account that was a member. This realm has lost that, but what it has signed
        with the number `signed` proves it, once. Raises UnknownUser, TooManyGroups."""
        account = await self._accounts.find(report.user)
        name = Address(_parsed(report.group, realm), self._realms.name_of(realm))
        now, own = self._context.now(), self._context.realm_key

        def job(connection: Connection) -> RosterChange:
            if not mirrors.is_news(connection, own, key_of(report.group), signed):
                return RosterChange(Delta(0))
            delta = self._join(connection, name, realm, account, report, now, returned=True)
            kept = mirrors.MemberProof(number, report.at, report.seal)
            mirrors.keep_admission(connection, delta.group, account, kept)
            return RosterChange(delta)

        change = await self._rosters.change(job)
        await self._has_joined(realm, account, name, change.delta.group)

    def _join(
        self,
        connection: Connection,
        name: Address,
        realm: str,
        account: Account,
        report: MemberJoined,
        now: int,
        returned: bool = False,
    ) -> Delta:
        """Make an account a member of a mirror, which gets the settings of its group."""
        join = mirrors.MirrorJoin(report.group_id, account, report.seq, report.first, returned)
        delta = mirrors.join_mirror(
            connection, name, realm, join, now, self._context.config.limits.account_groups
        )
        if delta.roles:
            room = self._context.config.peers.files
            fetch_again(connection, delta.group, realm, delta.first, now, room)
        group = find_group(connection, name.key)
        if group is None:
            return delta
        note_of_mirror(connection, group, report.about.get("picture"), now)
        columns = columns_of({SHUT: None, **report.about})
        fields = set_columns(connection, group, columns, report.at or None).fields
        return msgspec.structs.replace(delta, fields=fields)

    async def _has_joined(self, realm: str, account: Account, name: Address, ident: int) -> None:
        """Read the members of the group of `realm` that an account has joined, let its request go on, and
        fetch what was written before. `ident` is the group's id, or 0 if nothing was changed."""
        roster = self._rosters.cached(name.key)
        if roster is None or ident not in (0, roster.group.id):
            with suppress(NotMember):  # it has ended
                await self._rosters.load(name)
        self._awaited.joined(account, name)
        self._realms.begin_past(realm)

    async def removed(self, realm: str, number: int, report: MemberRemoved) -> None:
        """Remove an account from the mirror of a group of `realm`, which reports it in the parcel `number`,
        and tell it. An invitation is withdrawn. Does nothing if it has left already."""
        try:
            account = await self._accounts.find(report.user)
        except UnknownUser:
            return
        name, now = Address(report.group, self._realms.name_of(realm)), self._context.now()
        withdrawn = False

        def job(connection: Connection) -> RosterChange:
            nonlocal withdrawn
            which = account.id, name.key, realm, report.group_id
            withdrawn = request_store.withdraw(connection, *which, now)
            group = _copy_of(connection, name, report.group_id)
            if group is None:
                return RosterChange(Delta(0))
            if not mirrors.is_news(connection, realm, key_of(report.group), number):
                return RosterChange(Delta(group.id))
            return RosterChange(mirrors.leave_mirror(connection, group, account))

        change = await self._rosters.change(job)
        by = str(self.address_from(realm, report.by)) if report.by else ""
        if withdrawn:
            self._rosters.log.tell_withdrawn(account.id, str(name), account.name, by, now)
        if change.delta.roles:
            event = MemberChange(
                change.delta.group,
                str(name),
                account.name,
                "kicked" if by != account.name else "left",
                report.seq,
                now,
                by,
            )
            self._rosters.log.tell_removed(account.id, event, None)

    async def entry(
        self,
        group: Group,
        made: MadeFact,
        seq: int,
        origin: Origin,
        signature: NewSignature | None,
    ) -> None:
        """Store the entry `seq` of the log of a group, which its home reports."""

        def job(connection: Connection) -> tuple[StoredFact | None, Delta]:
            fact = None
            if not is_made(connection, group.id, origin):
                fact = self._rosters.log.mirror(connection, group, made, seq, origin, signature)
            if isinstance(made.fact, MemberFact):
                if fact is None:
                    return None, Delta(group.id)
                role = _role_of(connection, group, made.fact, seq)
                return fact, self._rosters.dated(connection, role)
            # Settings that are known here may have another place in the log of a new home.
            later = later_settings(connection, group.id, seq)
            if "picture" in made.fact.fields and not any("picture" in each for each in later):
                note_of_mirror(connection, group, made.fact.fields["picture"], made.at)
            left = columns_left(made.fact.fields, later)
            delta = set_columns(connection, group, left, made.at)
            return fact, self._rosters.dated(connection, delta)

        fact, delta = await self._database.run(job)
        self._rosters.apply(delta)
        if fact is None:
            return
        # All members here may have left since.
        with suppress(UnknownGroup, NotMember, UnknownRealm):
            roster = await self._rosters.find(parse_address(group.name))
            if roster.epoch < (fact.place.epoch or 0):  # another node has changed it
                roster = await self._rosters.load(parse_address(group.name))
            members: Collection[int] = roster.members
            if isinstance(made.fact, MemberFact) and made.fact.what == "kicked":
                members = set(members) - {made.fact.who.id}  # told once they are removed
            self._rosters.log.tell_members(fact, members, None)

    def address_from(self, realm: str, text: str) -> Address:
        """An address as the home of a group writes it, as this realm does. Raises BadName."""
        there = parse_foreign_address(text)
        return self._context.localize(
            Address(there.name, there.realm or self._realms.name_of(realm))
        )


def _copy_of(connection: Connection, name: Address, home_id: int) -> Group | None:
    """The copy of the group with that name, if it is the one that its home knows by the id `home_id`."""
    group = find_group(connection, name.key)
    return group if group is not None and group.home_id == home_id else None


def _role_of(connection: Connection, group: Group, fact: MemberFact, seq: int) -> Delta:
    """Give an account of this realm the role that the entry `seq` tells of, unless a later entry is about
    that member."""
    who = fact.who
    if who.id is None or fact.what not in ("promoted", "demoted"):
        return Delta(group.id)
    later = later_members(connection, group.id, seq)
    if any(key_of(each["who"]) == who.key and each["what"] != "invited" for each in later):
        return Delta(group.id)
    return set_admin(connection, group, who, fact.what == "promoted")


def _parsed(text: str, realm: str | None) -> str:
    """The name of a group from another realm. Raises PeerFailed, which does not show it."""
    try:
        return parse_foreign_name(text)
    except BadName:
        raise PeerFailed(realm=realm) from None


def _invite(
    connection: Connection, account: Account, name: Address, realm: str, home_id: int, now: int
) -> list[NewInvitation]:
    """Add an invitation to the group. Returns those that are new, for listeners."""
    invitation = NewInvitation(str(name), name.key, realm, home_id, str(name.realm), now)
    with suppress(TooManyInvitations):
        if add_invitation(connection, account, invitation):
            return [invitation]
    return []
