"""Takes back entries that this realm has signed about its own groups, and lost in a restore from a backup."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection

from chatd.base.entries import GroupFact, MadeFact, MemberFact
from chatd.base.errors import AlreadyMember
from chatd.base.group_settings import Columns, columns_left
from chatd.base.model import Group, Party
from chatd.base.names import key_of
from chatd.service.codes import new_private_code
from chatd.service.context import Context
from chatd.service.remote import SignedFact
from chatd.service.rosters import RosterChange, Rosters
from chatd.store import bans, members
from chatd.store.crossing import facts_since, is_made
from chatd.store.members import Bounds
from chatd.store.roster import Delta

# Which later entries override an entry about the same person
_PRESENCE, _ABSENCE, _ROLES = (
    ("joined", "left", "kicked"),
    ("left", "kicked"),
    ("promoted", "demoted"),
)
OVERTAKING = {
    **dict.fromkeys(_PRESENCE, _PRESENCE),
    **dict.fromkeys(_ROLES, (*_ABSENCE, *_ROLES)),
}


class LostFacts:
    """Lost entries take effect again for people of this realm, unless the log has a later entry about the
    same. This realm has allowed them once, so no rights are checked. Members of other realms are compared
    with the lists of their realms (chatd.federation.guest_lists)."""

    def __init__(self, context: Context, rosters: Rosters) -> None:
        limits, peers = context.config.limits, context.config.peers
        self._context = context
        self._rosters = rosters
        self._bounds = Bounds(limits.group_members, peers.group_members, limits.account_groups)

    async def take(self, group: Group, said: SignedFact) -> None:
        """Write an entry that is lost, and let it have its effect. Raises GroupFull, TooManyGroups."""

        def job(connection: Connection) -> RosterChange:
            if is_made(connection, group.id, said.origin):
                return RosterChange(Delta(group.id))
            delta = self._effect(connection, group, said.made)
            return RosterChange(delta, (said.made,), group)

        await self._rosters.change(job, signed=(said,))

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
                return self._set(connection, group, columns_left(fields, later))
            case _:
                return Delta(group.id)

    def _is_overtaken(
        self, connection: Connection, group: Group, who: Party, what: str, at: int
    ) -> bool:
        """Whether the log has an entry about the person, made after the time `at`, that overrides `what`."""
        later = facts_since(connection, group.id, "member", at)
        happened = {each["what"] for each in later if key_of(each["who"]) == who.key}
        return not happened.isdisjoint(OVERTAKING.get(what, ()))

    def _set(self, connection: Connection, group: Group, columns: Columns) -> Delta:
        """Set attributes of a group. If it becomes private again, it gets a new code."""
        delta = members.set_columns(connection, group, columns)
        if not delta.fields.get("private"):
            return delta
        code = members.set_code(connection, group, new_private_code(self._context.random_bytes))
        return msgspec.structs.replace(delta, fields={**delta.fields, **code.fields})

    def _join(self, connection: Connection, group: Group, who: Party) -> Delta:
        newest, now = self._rosters.log.newest(connection, group), self._context.now()
        try:
            # A person who joined was no longer banned.
            return members.join_group(
                connection, group, who, now, self._bounds, newest, invited=True
            )
        except AlreadyMember:
            return Delta(group.id)
