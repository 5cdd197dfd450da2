"""People who write to others who do not know them: message requests."""

from __future__ import annotations

from random import Random

from chatd.base.names import Place
from chatd.commands import values as ask
from chatd.simulate.records import Written
from chatd.simulate.world import World

SHARE = 0.15  # of the runs have strangers
OFTEN = 0.4  # of what people do
VERBS = (*("write",) * 4, *("answer", "accept", "accept", "decline", "decline"))


def are_wanted(seed: int, wanted: bool | None) -> bool:
    """Whether a run has strangers. Without a wish, chance decides, by a source of its own: other runs are
    what they would be without."""
    chance = Random(f"strangers {seed}")  # noqa: S311 - not for secrets
    return chance.random() < SHARE if wanted is None else wanted


class Strangers:
    """Each call lets a person write to somebody who does not know them, or lets that one answer. `share` is
    how much of what people do that is."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._random = world.random
        people = world.people
        self._pairs = [(a, b) for a in people for b in people if world.is_stranger(a, b)]
        self.share = OFTEN if self._pairs else 0.0

    def act(self) -> None:
        world, verb = self._world, self._random.choice(VERBS)
        stranger, asked = self._random.choice(self._pairs)
        acts = stranger if verb == "write" else asked
        if not world.is_open(acts):
            return
        match verb:
            case "write":
                self._write(stranger, asked)
            case "answer":
                self._write(asked, stranger)
            case "accept":
                place = Place(world.address(stranger, asked), None)
                world.accepted.append(
                    (stranger, asked, world.asks(asked, ask.AcceptInvitation(place)))
                )
            case _:
                place = Place(world.address(stranger, asked), None)
                world.asks(asked, ask.DeclineInvitation(place))

    def _write(self, name: str, to: str) -> None:
        world, tag = self._world, f"m{len(self._world.written)}"
        text = world.new_text(tag)
        key = f"key-{tag}" if self._random.random() < 0.5 else None
        request = world.asks(name, ask.SendMessage((world.address(to, name),), text, key))
        world.written[tag] = Written(tag, name, to, text, request)
        world.texts.append((text, world.written[tag]))
