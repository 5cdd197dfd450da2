"""The groups of other realms that accounts here have left, until those realms know of it."""

from __future__ import annotations

from chatd.base.cache import Cache
from chatd.federation.outbox import Outbox
from chatd.service.node_news import NodeNews

LEAVE_TIME = 5.0  # seconds to wait until a realm knows of a group that was left
MAX_LEAVING = 10_000  # pairs of an account and a realm


class LeaveNotices:
    """A question to join overtakes parcels. If the notice of an earlier departure arrived after it, the
    account would be removed again, so the question waits for that."""

    def __init__(self, news: NodeNews, outbox: Outbox) -> None:
        self._outbox = outbox
        # (account's key, realm) -> the last parcel that tells that realm of a group that was left
        self._leaving: Cache[tuple[str, str], int] = Cache(MAX_LEAVING)
        self._tell = news.topic("leaving elsewhere", tuple[str, str, int], self._note, lambda: None)

    def told(self, key: str, realm: str, number: int) -> None:
        """The parcel with that number tells a realm of a group that the account with that key has left."""
        left = key, realm, number
        self._note(left)
        self._tell(left)

    def _note(self, left: tuple[str, str, int]) -> None:
        """As `told`, by this node or another one."""
        key, realm, number = left
        self._leaving[key, realm] = number

    async def are_known(self, key: str, realm: str) -> bool:
        """Wait at most LEAVE_TIME until the realm knows of all groups that the account has left. Returns
        whether it does."""
        number = self._leaving.get((key, realm))
        if number is None:
            return True
        if not await self._outbox.until_gone(realm, number, LEAVE_TIME):
            return False
        if self._leaving.get((key, realm)) == number:
            self._leaving.pop((key, realm))
        return True
