"""Moves of groups from realm to realm."""

from __future__ import annotations

from random import Random

from chatd.commands import values as ask
from chatd.simulate.world import StagedGroup, World

SHARE = 0.3  # of the runs have moves
OFTEN = (0.05, 0.2)  # of what people do


class Relocations:
    """Each call lets somebody do one thing for a move. Chance decides, by a source of its own, in which runs
    there are any: others are what they would be without."""

    def __init__(self, world: World, seed: int, wanted: bool | None = None) -> None:
        self._world = world
        self._random = world.random
        chance = Random(f"moves {seed}")  # noqa: S311 - not for secrets
        is_wanted = chance.random() < SHARE if wanted is None else wanted
        self.share = chance.choice(OFTEN) if is_wanted and world.groups else 0.0

    def act(self) -> None:
        group = self._random.choice(list(self._world.groups.values()))
        admin = self._random.choice(list(self._world.people))
        realm = self._world.realm_of[admin]
        match self._random.randrange(4):
            case 0:
                self._promote(group, admin)
            case 1:
                self._ask(group.creator, self._move(group, group.creator, realm))
            case 2:
                self._ask(admin, self._move(group, admin, realm))
            case _:
                # All that a move needs, at once
                self._promote(group, admin)
                self._ask(group.creator, self._move(group, group.creator, realm))
                self._ask(admin, self._move(group, admin, realm))

    def _ask(self, name: str, command: ask.Command) -> None:
        if self._world.is_open(name):
            self._world.asks(name, command)

    def _promote(self, group: StagedGroup, admin: str) -> None:
        if self._world.is_open(group.creator):
            where = self._world.address(f"#{group.name}", group.creator)
            command = ask.PromoteMember(where, self._world.address(admin, group.creator))
            request = self._world.asks(group.creator, command)
            self._world.promotions[group.name, admin].append(request)

    def _move(self, group: StagedGroup, name: str, realm: str) -> ask.Command:
        return ask.MoveGroup(self._world.address(f"#{group.name}", name), realm)
