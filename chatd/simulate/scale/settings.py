"""What one run of the scale simulation is made of."""

from __future__ import annotations

import msgspec

HOUR = 3600.0


class ScaleSettings(msgspec.Struct, frozen=True):
    """Numbers of realms and of people in each, virtual `hours`, and messages a day of each person, of which
    the part `remote` goes to other realms. Contacts follow Zipf's law with that `exponent`. The part `dead`
    of the realms never runs, but for one that comes up late. In an hour the part `restarting` restarts, and
    once the part `at_once`. With `kept`, realms dial all others that they know when they start, and keep all
    links, as they did before links rested."""

    seed: int = 1
    realms: int = 50
    users: int = 1000
    hours: float = 2.0
    messages: float = 5.0
    remote: float = 0.3
    exponent: float = 1.0
    dead: float = 0.05
    restarting: float = 0.01
    at_once: float = 0.1
    hostile: bool = True
    kept: bool = False

    @property
    def seconds(self) -> float:
        return self.hours * HOUR
