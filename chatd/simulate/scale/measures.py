"""What a run of the scale simulation measures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec


class Letter(msgspec.Struct):
    """A message to another realm: when it was sent, when its sender's realm had stored it, and when the other
    realm had."""

    sent: float
    source: int
    target: int
    accepted: float | None = None
    delivered: float | None = None
    copies: int = 0


class Sample(msgspec.Struct, frozen=True):
    """The state of the world at one moment. `deepest` is the largest outbox of one realm, `parcels` is what
    is in all outboxes, and `dead` those of them that wait for realms that do not run."""

    at: float
    links: int
    deepest: int
    parcels: int
    dead: int


class ScaleMeasures:
    def __init__(self) -> None:
        self.letters: dict[int, Letter] = {}
        self.locals = 0  # messages within a realm
        self.failures: Counter[str] = Counter()  # messages that were refused, by the error
        self.dials: Counter[int] = Counter()  # by the second
        self.dials_to: Counter[tuple[int, int]] = (
            Counter()
        )  # by the second and the realm that is dialled
        self.dead_dials = 0  # to realms that do not run
        self.samples: list[Sample] = []

    def dialled(self, now: float, target: int, *, up: bool) -> None:
        self.dials[int(now)] += 1
        self.dials_to[int(now), target] += 1
        self.dead_dials += not up

    def arrived(self, number: int, now: float) -> None:
        letter = self.letters[number]
        letter.copies += 1
        if letter.delivered is None:
            letter.delivered = now

    def times(self, of: Iterable[Letter]) -> list[float]:
        """Seconds from sending to storing in the other realm, sorted."""
        return sorted(each.delivered - each.sent for each in of if each.delivered is not None)

    def recovery(self, up: float, of: Iterable[Letter]) -> float:
        """Seconds from `up`, when realms were up again, until all messages were there that had been sent
        before."""
        late = [
            each.delivered - up
            for each in of
            if each.sent <= up and each.delivered is not None and each.delivered > up
        ]
        return max(late, default=0.0)


def percentile(values: Sequence[float], part: float) -> float:
    """Of sorted values; 0 if there are none."""
    return values[min(len(values) - 1, int(part * len(values)))] if values else 0.0
