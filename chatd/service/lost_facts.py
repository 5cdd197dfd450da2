"""Takes entries about groups of this realm that only other realms have: this realm has signed them, and lost
them in a restore from a backup, or a group was rescued here, and they were made in its lost home."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial

import msgspec
from sqlalchemy import Connection

from chatd.base.entries import GroupFact, MadeFact, MemberFact
from chatd.base.errors import AlreadyMember, BadSignature, ChatError
from chatd.base.group_settings import SHUT, Columns, columns_left, columns_of, settings_of
from chatd.base.model import Group, Party
from chatd.base.names import SYSTEM, key_of
from chatd.service.codes import new_private_code
from chatd.service.context import Context
from chatd.service.group_log import HOME
from chatd.service.realm_news import MemberRemoved
from chatd.service.remote import Notice, SignedFact
from chatd.service.rosters import RosterChange, Rosters
from chatd.store import bans, members, returned_kicks
from chatd.store.crossing import facts_since, is_made
from chatd.store.groups import group_of, set_code, set_columns
from chatd.store.rescues import counting
from chatd.store.returned_kicks import ReturnedKick
from chatd.store.rights import role_in, ruling_refusal
from chatd.store.roster import Delta

MAX_REALMS = 20  # whose returned kicks are remembered at a time

# Which later entries override an entry about the same person. A ban outlasts that the person leaves.
_ROLES = ("left", "kicked", "promoted", "demoted")
OVERTAKING = {
    "joined": ("joined", "left", "kicked"),
    "left": ("joined", "left", "kicked"),
    "kicked": ("joined",),
    "promoted": _ROLES,
    "demoted": _ROLES,
}


class LostFacts:
    """Lost entries take effect again, unless the log has a later entry about the same. This realm has allowed
    them once, so no rights are checked. Which people of other realms have joined and left is compared with
    the lists of their realms (chatd.federation.guest_lists).

    A realm may return that one of its people became an admin, and withhold that they are none any more. So
    it gives no such right: they stay what they are, and an entry says so.

    People of other realms who were kicked are removed and banned once a realm has returned everything, unless
    they have written since: they had come back then. Until then the kicks are stored.
    After a crash the realm returns everything again, in the same order.

    What the lost home of a rescued group has signed counts in the same way, until it is back: it had allowed
    it. Of people of other realms counts what they still may do.
    """

    def __init__(self, context: Context, rosters: Rosters) -> None:
        self._context = context
        self._rosters = rosters
        # By the realm that returns it: those who were kicked, by group and key. The database has them,
        # too, and they are read from there when a realm that is not here returns a message.
        self._kicked: OrderedDict[str, set[tuple[int, str]]] = OrderedDict()

    async def take(self, realm: str, group: Group, said: SignedFact) -> None:
        """Write an entry that is lost and that `realm` returns, and let it have its effect. Raises GroupFull,
        TooManyGroups."""

        kicked = _guest_kicked(said.made)

        def job(connection: Connection) -> RosterChange:
            if is_made(connection, group.id, said.origin):
                if kicked is not None:
                    returned_kicks.set_back(connection, realm, group.id, kicked.key, back=False)
                return RosterChange(Delta(group.id))
            if kicked is not None:
                by = said.made.author.name
                returned_kicks.note_kick(connection, realm, group.id, kicked, by, said.made.at)
            if (undone := self._undone(connection, group, said.made, realm)) is not None:
                return RosterChange(Delta(group.id), (said.made, undone), group)
            delta = self._effect(connection, group, said.made)
            steps = (*self._heirs(delta), *self._restated(connection, group, said.made))
            return RosterChange(delta, (said.made, *steps), group)

        await self._rosters.change(job, signed=(said,))
        known = self._kicked.get(realm)
        if kicked is not None and known is not None and len(known) < returned_kicks.MAX_KICKS:
            known.add((group.id, kicked.key))

    async def hand_over(self, realm: str, group: Group, said: SignedFact) -> None:
        """As `take`, for an entry that somebody of another realm has signed in the lost home of a group which
        was rescued here. Raises BadSignature, NotAdmin, NotMember, UnknownGroup."""

        def job(connection: Connection) -> RosterChange:
            if is_made(connection, group.id, said.origin):
                return RosterChange(Delta(group.id))
            refused = _refusal(connection, group, said.made)
            if refused is not None:
                return RosterChange(Delta(group.id), refused=refused)
            if (undone := self._undone(connection, group, said.made, realm)) is not None:
                return RosterChange(Delta(group.id), (said.made, undone), group)
            delta, steps = self._effect_of_others(connection, group, said.made)
            steps = (said.made, *steps, *self._restated(connection, group, said.made))
            return RosterChange(delta, steps, None if delta.ended else group)

        await self._rosters.change(job, signed=(said,))

    def _effect_of_others(
        self, connection: Connection, group: Group, made: MadeFact
    ) -> tuple[Delta, Sequence[Notice | MadeFact]]:
        """As `_effect`, for what people of other realms have done. Who joins is a member once their realm
        follows."""
        match made.fact:
            case MemberFact(who, what) if self._is_overtaken(connection, group, who, what, made.at):
                return Delta(group.id), ()
            case MemberFact(who, "joined"):
                return Delta(group.id), ()
            case MemberFact(who, "left"):
                delta = members.leave_group(connection, group, who)
                return delta, self._heirs(delta)
            case MemberFact(who, "kicked"):
                return self._expel(connection, group, who, made.author.name)
            case _:
                return self._effect(connection, group, made), ()

    def _undone(
        self, connection: Connection, group: Group, made: MadeFact, realm: str
    ) -> MadeFact | None:
        """If `realm` returns that one of its people became an admin who is none now: the entry that says that
        they are none."""
        match made.fact:
            case MemberFact(who, "promoted") if who.realm == realm:
                if role_in(connection, group.id, who) is not False:
                    return None
                if self._is_overtaken(connection, group, who, "promoted", made.at):
                    return None
                return MadeFact(MemberFact(who, "demoted"), HOME, self._context.now())
            case _:
                return None

    async def wrote(self, realm: str, group: int, key: str) -> None:
        """`realm` returns something that this person has written to a group after what it returned before. If
        that was a kick, they had come back."""
        kicked = self._kicked.get(realm)
        if kicked is None:
            found = await self._context.database.read(returned_kicks.kicks_of, realm)
            kicked = {(each.group, each.who.key) for each in found}
            self._kicked[realm] = kicked
            if len(self._kicked) > MAX_REALMS:
                self._kicked.popitem(last=False)
        if (group, key) in kicked:
            set_back = partial(returned_kicks.set_back, back=True)
            await self._context.database.run(set_back, realm, group, key)

    async def finish(self, realm: str) -> None:
        """`realm` has returned everything: remove and ban those who were kicked last."""
        for kick in await self._context.database.read(returned_kicks.kicks_of, realm):
            # If it fails, the realm says again that it has returned everything.
            await self._rosters.change(partial(self._kick, realm=realm, kick=kick))
        self._kicked.pop(realm, None)

    def _kick(self, connection: Connection, realm: str, kick: ReturnedKick) -> RosterChange:
        """The entry that reports it is in the log already."""
        who = kick.who
        returned_kicks.remove_kick(connection, realm, kick.group, who.key)
        group = group_of(connection, kick.group)
        if kick.back or group is None or not group.key:
            return RosterChange(Delta(kick.group))
        if self._is_overtaken(connection, group, who, "kicked", kick.at):
            return RosterChange(Delta(group.id))
        delta, steps = self._expel(connection, group, who, kick.by)
        return RosterChange(delta) if delta.ended else RosterChange(delta, steps, group)

    def _expel(
        self, connection: Connection, group: Group, who: Party, by: str
    ) -> tuple[Delta, Sequence[Notice | MadeFact]]:
        """Remove a member whom `by` has kicked, and ban them, unless the home has done that by itself."""
        now = self._context.now()
        delta = members.leave_group(connection, group, who)
        if delta.ended:
            return delta, ()
        steps: list[Notice | MadeFact] = [*self._heirs(delta)]
        if delta.roles and who.realm is not None:
            user = who.name.partition("@")[0]
            removed = MemberRemoved(group.name, group.id, user, by=by)
            steps.insert(0, Notice(who.realm, now, removed))
        if key_of(by.partition("@")[0]) == SYSTEM:
            return delta, steps
        dropped = bans.add_ban(connection, group, who, now)
        return msgspec.structs.replace(delta, banned=(who.key,), unbanned=dropped), steps

    def _heirs(self, delta: Delta) -> Sequence[Notice | MadeFact]:
        """The entries about those who became admins because the last one was removed."""
        return self._rosters.facts_of(delta, HOME)[1:] if delta.roles else ()

    def _restated(self, connection: Connection, group: Group, made: MadeFact) -> Sequence[MadeFact]:
        """An entry that says again what later entries have set: copies of the group go by the order of the
        log, in which the entry that was lost comes last."""
        if not isinstance(made.fact, GroupFact):
            return ()
        later = facts_since(connection, group.id, "group", made.at)
        wanted = columns_of(made.fact.fields)
        overtaken = wanted.keys() - columns_left(made.fact.fields, later).keys()
        current = group_of(connection, group.id) or group
        now: dict[str, str | None] = {**settings_of(current), SHUT: current.shut}
        fields: dict[str, str | bool | None] = {
            name: now[name]
            for name in now
            if not overtaken.isdisjoint(columns_of({name: now[name]}))
        }
        return [MadeFact(GroupFact(fields), HOME, self._context.now())] if fields else ()

    def _effect(self, connection: Connection, group: Group, made: MadeFact) -> Delta:
        match made.fact:
            case MemberFact(who, what) if self._is_overtaken(connection, group, who, what, made.at):
                return Delta(group.id)
            case MemberFact(who, "joined") if who.id is not None:
                return self._join(connection, group, who)
            case MemberFact(who, "left" | "kicked" as what) if who.id is not None:
                delta = members.leave_group(connection, group, who)
                if what == "left" or made.author.id is None or delta.ended:
                    return delta
                dropped = bans.add_ban(connection, group, who, self._context.now())
                return msgspec.structs.replace(delta, banned=(who.key,), unbanned=dropped)
            case MemberFact(who, "promoted"):
                return members.set_admin(connection, group, who)
            case MemberFact(who, "demoted") if members.has_other_admin(connection, group, who):
                return members.set_admin(connection, group, who, admin=False)
            case GroupFact(fields):
                later = facts_since(connection, group.id, "group", made.at)
                return self._set(connection, group, columns_left(fields, later), made.at)
            case _:
                return Delta(group.id)

    def _is_overtaken(
        self, connection: Connection, group: Group, who: Party, what: str, at: int
    ) -> bool:
        """Whether the log has an entry about the person, made after the time `at`, that overrides `what`."""
        later = facts_since(connection, group.id, "member", at)
        happened = {each["what"] for each in later if key_of(each["who"]) == who.key}
        return not happened.isdisjoint(OVERTAKING.get(what, ()))

    def _set(self, connection: Connection, group: Group, columns: Columns, at: int) -> Delta:
        """Set attributes of a group. If it becomes private again, it gets a new code."""
        delta = set_columns(connection, group, columns, at)
        if not delta.fields.get("private"):
            return delta
        code = set_code(connection, group, new_private_code(self._context.random_bytes))
        return msgspec.structs.replace(delta, fields={**delta.fields, **code.fields})

    def _join(self, connection: Connection, group: Group, who: Party) -> Delta:
        newest, now = self._rosters.log.newest(connection, group), self._context.now()
        try:
            # A person who joined was no longer banned.
            return members.join_group(
                connection, group, who, now, self._context.bounds, newest, invited=True
            )
        except AlreadyMember:
            return Delta(group.id)


def _guest_kicked(made: MadeFact) -> Party | None:
    """The person of another realm whom a person of this one has kicked."""
    match made:
        case MadeFact(MemberFact(who, "kicked"), author) if who.realm and author.id is not None:
            return who
        case _:
            return None


def _refusal(connection: Connection, group: Group, made: MadeFact) -> ChatError | None:
    """Why an entry of somebody of another realm does not count in a group that was rescued here; None if it
    does."""
    author, known = made.author, counting(connection, group.id)
    if known is None or known.state != "own":
        return BadSignature(reason="its realm says it again")
    if author.realm == known.home:
        # It was lost when others got this from it. What it says later is not what the members saw.
        return None if known.verdict is None else BadSignature(reason="its realm is back")
    match made.fact:
        case MemberFact(who, "left") if who.key == author.key:
            return None
        case _:
            return ruling_refusal(connection, group, author)
