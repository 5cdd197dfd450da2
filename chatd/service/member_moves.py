"""Members of groups of this realm who have moved to another address."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from chatd.base.entries import MadeFact, MemberFact
from chatd.base.model import Group, Party
from chatd.service.context import Context
from chatd.service.group_log import HOME
from chatd.service.home_groups import report_joined
from chatd.service.realm_news import MemberRemoved
from chatd.service.remote import Notice, SignedFact
from chatd.service.rosters import RosterChange, Rosters
from chatd.store.member_moves import replace_member
from chatd.store.roster import Delta


class MemberMoves:
    def __init__(self, context: Context, rosters: Rosters) -> None:
        self._context = context
        self._rosters = rosters

    async def replace(
        self, group: Group, old: Party, new: Party, signed: Sequence[SignedFact] = ()
    ) -> None:
        """Give the place of a member to their new address. What a realm has `signed` says so, if the old
        address is of another one. Nothing is done if the old address is no member (any more)."""
        now = self._context.now()

        def job(connection: Connection) -> RosterChange:
            newest = self._rosters.log.newest(connection, group)
            delta = replace_member(
                connection, group, old, new, self._context.realm_key, self._context.bounds, newest
            )
            if delta is None:
                return RosterChange(Delta(group.id))
            steps: list[Notice | MadeFact] = []
            moved = any(party.key == new.key for party, _ in delta.roles)
            if moved:
                steps.append(MadeFact(MemberFact(new, "moved"), old, now))
                if new.realm is not None:
                    joined = report_joined(connection, group, new, newest, delta.first)
                    steps.insert(0, Notice(new.realm, now, joined))
            else:
                steps += self._rosters.facts_of(delta, HOME, "kicked")
            if old.realm is not None:
                name = old.name.partition("@")[0]
                removed = MemberRemoved(group.name, group.id, name, newest + 1, old.name)
                steps.append(Notice(old.realm, now, removed))
            return RosterChange(delta, steps, group)

        await self._rosters.change(job, signed=signed)
