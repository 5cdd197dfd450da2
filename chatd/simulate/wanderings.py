"""What people of a realm with several nodes do besides: they change nodes, and use rooms."""

from __future__ import annotations

from chatd.commands import values as ask
from chatd.simulate.roaming import RoamingPerson
from chatd.simulate.world import World

ROOMS = ("lobi", "dapur")
VERBS = (
    *("move", "drop") * 3,
    *("half", "enter", "enter", "talk", "exit", "away", "back", "look", "look"),
)


class Wanderings:
    """Each call lets somebody do one thing. `share` is how much of what people do that is."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._random = world.random
        self._people = [each for each in world.people.values() if isinstance(each, RoamingPerson)]
        self.share = 0.25 if self._people else 0.0

    def act(self) -> None:
        person, verb = self._random.choice(self._people), self._random.choice(VERBS)
        if not person.is_connected:
            return
        self._world.trace.say(f"{person.name}: {verb}")
        self._world.counts[verb] += 1
        match verb:
            case "move":
                person.goes(True)
            case "drop":
                person.goes(False)
            case "half":
                person.goes(False, self._random.choice((3.0, 20.0)))
            case "enter":
                self._world.asks(person.name, ask.JoinRoom(self._random.choice(ROOMS)))
            case "talk":
                self._world.asks(person.name, ask.SendRoomMessage("halo"))
            case "look":
                if self._world.groups:
                    group = self._random.choice(list(self._world.groups))
                    place = self._world.place(person.name, f"#{group}")
                    self._world.asks(person.name, ask.ShowHistory(place))
            case "exit":
                self._world.asks(person.name, ask.LeaveRoom())
            case _:
                self._world.asks(person.name, ask.SetAway(verb == "away"))
