"""Asks other realms which homes a group has had because of rescues, when an entry comes that was made for a
home that is not known here.

Whoever brings the entry knows it. The answer has the signed statements of rescues: each says that the group
of one home is that of another. So no realm can make the entries of another group entries of this one.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from chatd.base.cache import Cache
from chatd.base.errors import BadSignature, ChatError, RealmDown, StorageFailed, UnknownGroup
from chatd.base.model import Group
from chatd.base.names import key_of
from chatd.federation.capabilities import RESCUES
from chatd.federation.links import ILinks
from chatd.federation.rescue_parts import MAX_BRANCHES, Branch, decode_branch
from chatd.federation.signing.entries import Trust
from chatd.federation.signing.key_book import KeyBook
from chatd.federation.signing.rescues import RescueStatement, decode_rescue_statement
from chatd.federation.signing.statements import Statement, encode
from chatd.service.context import Context
from chatd.service.rosters import Rosters
from chatd.store.groups import group_of
from chatd.store.lineage import MAX_MOVES, HomeStep, add_step, place_of_home, steps_of
from chatd.store.members import realms_of
from chatd.store.rescues import RESCUE

AGAIN = 60.0  # seconds until a realm is asked again about the same place
MAX_ASKED = 10_000

_Place = tuple[str, int]  # the key of a realm, and a group's id there


class RescueLineage:
    def __init__(self, context: Context, links: ILinks, keys: KeyBook, rosters: Rosters) -> None:
        self._context = context
        self._database = context.database
        self._links = links
        self._keys = keys
        self._rosters = rosters
        self._linked: set[str] = set()
        self._asked: Cache[tuple[str, int, str, object], float] = Cache(MAX_ASKED)

    def link_up(self, realm: str) -> None:
        if not self._links.lacks(realm, RESCUES):
            self._linked.add(realm)

    def link_down(self, realm: str) -> None:
        self._linked.discard(realm)

    # Asking

    async def learn(self, realm: str, group: Group, stated: Statement) -> bool:
        """Ask `realm`, which brings an entry for a group, about the home that it was made for, unless that is
        known. Returns whether another home of the group was learnt. Raises StorageFailed if the realm does
        not answer; then it brings the entry again."""
        if not isinstance(stated.group, int):
            return False
        place = (stated.home, stated.group)
        if place in self._homes(group):
            return False
        fresh = await self._database.read(group_of, group.id)
        if fresh is not None and place in self._homes(fresh):
            # A rescue that was judged meanwhile has told it; the cached roster does not have it yet.
            await self._rosters.move(group.id, lambda _connection: None)
            return True
        if realm not in self._linked or not self._may_ask(realm, group.id, stated):
            return False
        try:
            branches = await self._links.lineage(realm, stated.home, stated.group)
        except RealmDown:
            # The entry comes again over the next link, and this is asked again.
            self._asked.pop((realm, group.id, stated.home, stated.group))
            raise StorageFailed from None
        except ChatError:
            return False
        found = [each for branch in branches if (each := self._checked(branch)) is not None]
        learnt: list[HomeStep] = await self._rosters.move(
            group.id, lambda connection: self._add(connection, group.id, found)
        )
        return bool(learnt)

    def _homes(self, group: Group) -> set[_Place]:
        """The homes that the group is known to have, or to have had."""
        home = group.realm or self._context.realm_key
        return {(home, group.home_id or group.id), *((e.realm, e.home_id) for e in group.former)}

    def _may_ask(self, realm: str, group: int, stated: Statement) -> bool:
        key, now = (realm, group, stated.home, stated.group), self._context.clock.seconds()
        asked = self._asked.get(key)
        self._asked[key] = now
        return asked is None or now - asked >= AGAIN

    def _checked(self, branch: Branch) -> tuple[RescueStatement, Branch] | None:
        """The statement of a branch, if the realm that it is of has signed it."""
        try:
            stated = decode_rescue_statement(branch.statement)
            trust = self._keys.verifier.check(
                branch.statement, stated.realm, stated.at, branch.proof
            )
        except BadSignature:
            return None
        return (stated, branch) if trust is Trust.VERIFIED else None

    def _add(
        self,
        connection: sa.Connection,
        conversation: int,
        branches: Sequence[tuple[RescueStatement, Branch]],
    ) -> list[HomeStep]:
        """Note the homes that are connected with those that are known. Runs in the writer's thread."""
        group = group_of(connection, conversation)
        if group is None:
            return []
        known = self._homes(group)
        added: list[HomeStep] = []
        for _ in branches:
            for stated, branch in branches:
                old, new = (stated.home, stated.group), (stated.realm, stated.new_group)
                if (old in known) is (new in known) or len(known) > MAX_MOVES:
                    continue
                place = old if new in known else new
                known.add(place)
                name = key_of(stated.name)
                address = key_of(f"{stated.name}@{place[0]}")
                step = HomeStep(*place, name, address, stated.seq, RESCUE, encode(branch))
                add_step(connection, conversation, step)
                added.append(step)
        return added

    # Answering

    async def answer(self, realm: str, home: str, group: int) -> tuple[Branch, ...]:
        """The rescues of the group that has that id in the realm `home`, for a realm that has to do with it.
        Raises UnknownGroup."""
        return await self._database.read(self._branches, realm, home, group)

    def _branches(
        self, connection: sa.Connection, realm: str, home: str, group: int
    ) -> tuple[Branch, ...]:
        place = group if home == self._context.realm_key else None
        if place is None:
            place = place_of_home(connection, home, group)
        found = None if place is None else group_of(connection, place)
        if found is None:
            raise UnknownGroup(name=str(group))
        concerned = {found.realm, *(each.realm for each in found.former)}
        if realm not in concerned and realm not in realms_of(connection, found.id):
            raise UnknownGroup(name=str(group))
        proofs = dict.fromkeys(
            each.proof for each in steps_of(connection, found.id) if each.kind == RESCUE
        )
        return tuple(map(decode_branch, [*proofs][:MAX_BRANCHES]))
