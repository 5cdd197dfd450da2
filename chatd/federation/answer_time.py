"""The time that answers take which must not tell who has an account here."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

ANSWER_TIME = 0.1  # seconds; longer than it takes to find or store something


async def conceal(clock: IReactorTime, begun: float) -> None:
    """Wait until an answer that was begun at that time has taken ANSWER_TIME, or a multiple of it."""
    left = ANSWER_TIME - (clock.seconds() - begun) % ANSWER_TIME
    await deferLater(clock, left)
