"""Remembers when each other realm was last reached, over restarts: groups of a lost realm may be rescued.

The memory is coarse, so that it costs one transaction an hour: a realm is noted when its link comes up, and
each hour while the link is up. After kill -9, a realm may look as if it was last reached an hour earlier. A
link that rests is dialled once a day, so a living realm is never noted more than about a day ago.
"""

from __future__ import annotations

from chatd.base.background import in_background
from chatd.base.timers import Timer
from chatd.service.context import Context
from chatd.store import reached as store

HOUR = 3600.0  # seconds


class ReachedRealms:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._database = context.database
        self._now = context.now
        self._linked: set[str] = set()
        self._noted: dict[str, int] = {}  # when each was noted last, in ms since 1970 UTC
        self._stopped = False
        self._noting = Timer(context.clock, self._note_all)

    @property
    def long(self) -> int:
        """The ms without contact after which a realm counts as lost."""
        return self._context.config.groups.rescue_after * 1000

    def link_up(self, realm: str) -> None:
        """That realm is reached now."""
        self._linked.add(realm)
        self._note()
        if not self._stopped:
            self._noting.start(HOUR)

    def link_down(self, realm: str) -> None:
        """The link is gone. The realm was reached until now."""
        self._note()
        self._linked.discard(realm)

    def stop(self) -> None:
        self._stopped = True
        self._noting.cancel()

    def is_linked(self, realm: str) -> bool:
        """Whether the realm is reached at this moment."""
        return realm in self._linked

    async def away(self, realm: str) -> int | None:
        """For how many ms the realm was not reached; None if it never was."""
        if realm in self._linked:
            return 0
        contact = await self._database.read(store.contact_with, realm)
        return None if contact is None else max(0, self._now() - contact.at)

    def _note_all(self) -> None:
        if self._linked:
            self._note()
            self._noting.start(HOUR)

    def _note(self) -> None:
        """Write that the linked realms are reached, unless that was written within the hour."""
        now = self._now()
        due = [each for each in self._linked if not self._is_recent(each, now)]
        if due:
            self._noted.update(dict.fromkeys(due, now))
            noting = self._database.run(store.note_contacts, due, now, self.long)
            in_background("when realms were reached was not written", noting)

    def _is_recent(self, realm: str, now: int) -> bool:
        noted = self._noted.get(realm)
        return noted is not None and 0 <= now - noted < HOUR * 1000
