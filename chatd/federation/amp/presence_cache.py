"""Remembers for a minute who is online in other realms, so that they are not asked again and again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence

from twisted.internet.interfaces import IReactorTime

from chatd.base.cache import Cache

KEPT_FOR = 60.0  # seconds
CAPACITY = 10_000  # people


class PresenceCache:
    """`ask(realm, users)` asks the realm about those that are not remembered."""

    def __init__(
        self, clock: IReactorTime, ask: Callable[[str, Sequence[str]], Awaitable[dict[str, bool]]]
    ) -> None:
        self._clock = clock
        self._ask = ask
        # By realm and user: until when the answer holds, and the answer; None for unknown users.
        self._answers: Cache[tuple[str, str], tuple[float, bool | None]] = Cache(CAPACITY)

    async def get(self, realm: str, users: Collection[str]) -> dict[str, bool]:
        """Who of `users` is online; unknown users are left out. Raises what `ask` raises."""
        now = self._clock.seconds()
        online = {
            user: found[1]
            for user in users
            if (found := self._answers.get((realm, user))) is not None and found[0] > now
        }
        asked = [user for user in users if user not in online]
        if asked:
            answer = await self._ask(realm, asked)
            for user in asked:
                online[user] = answer.get(user)
                self._answers[realm, user] = now + KEPT_FOR, online[user]
        return {user: each for user, each in online.items() if each is not None}
