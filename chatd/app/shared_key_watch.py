"""Notices that the realm's keys were renewed at another node, and has them used here without a restart."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from chatd.app.shared_secrets import SharedSecrets
from chatd.app.state import StartError
from chatd.base.recurring_work import RecurringWork
from chatd.federation.amp.identity import IdentityError
from chatd.service.context import Context
from chatd.store.realm_secrets import fingerprints

# Seconds between two looks. They find what `--new-key` has stored at a node that is not started yet.
LOOK_EVERY = 10.0

log = Logger()


class SharedKeyWatch:
    """Compares the fingerprints in the database with those that were there before, between `start` and
    `stop`: every LOOK_EVERY seconds, and at once when another node was started, or has found other keys.

    It writes other keys to the state folder in a thread, with `in_thread`, and then calls `use`, which raises
    StartError, IdentityError.
    """

    def __init__(
        self,
        context: Context,
        secrets: SharedSecrets,
        in_thread: Callable[..., Deferred[Any]],
        use: Callable[[], Awaitable[None]],
    ) -> None:
        self._database = context.database
        self._secrets = secrets
        self._in_thread = in_thread
        self._use = use
        self._seen: dict[str, str] | None = None
        self._trouble = ""  # why the keys are not used, as it was logged
        self._work = RecurringWork(
            context.clock, self._look, LOOK_EVERY, "the realm's keys were not looked for"
        )
        wake = self._work.wake
        # A node that is heard for the first time resets all topics.
        self._tell = context.news.topic("realm keys", list[str], lambda _names: wake(), wake)

    def start(self) -> None:
        self._work.start(LOOK_EVERY)

    def stop(self) -> Deferred[None]:
        """Fires when the look under way has ended."""
        return self._work.stop()

    async def _look(self) -> float:
        stored = await self._database.read(fingerprints)
        if stored != self._seen:
            try:
                await self._take()
            except (StartError, IdentityError) as error:
                self._failed(str(error))
            else:
                self._seen, self._trouble = stored, ""
        return LOOK_EVERY

    async def _take(self) -> None:
        """Use the keys in the database, as far as they are others. Raises StartError, IdentityError."""
        found = await self._database.read(self._secrets.find)
        if found:
            await self._in_thread(self._secrets.write, found)
        await self._use()
        if found:
            self._tell(list(found))

    def _failed(self, sentence: str) -> None:
        """Log why the keys are not used, once. It is tried again."""
        if sentence != self._trouble:
            self._trouble = sentence
            log.error(
                "the realm's keys were renewed, and this node still uses the old ones: {sentence}",
                sentence=sentence,
            )
