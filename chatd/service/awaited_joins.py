"""Accounts that wait until they are members of a group of another realm."""

from __future__ import annotations

from twisted.internet import defer

from chatd.base.model import Account, party_of
from chatd.base.names import Address
from chatd.base.timers import Signal
from chatd.service.context import Context
from chatd.service.rosters import Rosters
from chatd.store.roster import Roster

JOIN_TIME = 5.0  # seconds to wait for the parcel in which a home reports a new member


class AwaitedJoins:
    """The home of a group reports a new member in a parcel, which may come to any node of this realm."""

    def __init__(self, context: Context, rosters: Rosters) -> None:
        self._context = context
        self._rosters = rosters
        # (group's key, account id) -> told when the account has become a member
        self._joining: dict[tuple[str, int], Signal] = {}
        self._tell = context.news.topic(
            "joined elsewhere", tuple[str, int], self._notify, lambda: None
        )

    async def wait(self, account: Account, group: Address) -> Roster | None:
        """Wait until the home has reported the new member in a parcel, and that is on disk. Returns the
        group, as far as it is known by then."""
        key = group.key, account.id
        joined = self._joining.setdefault(key, Signal())
        # The parcel may come to another node while this one looks.
        waiting = joined.wait().addTimeout(JOIN_TIME, self._context.clock)
        try:
            roster = await self._mirror_of(account, group)
            if roster is None or account.id not in roster.members:
                await waiting
                roster = await self._mirror_of(account, group)
            return roster
        except defer.TimeoutError:
            return await self._mirror_of(account, group)
        finally:
            waiting.addErrback(lambda _failure: None).cancel()
            if not len(joined) and self._joining.get(key) is joined:
                del self._joining[key]

    async def _mirror_of(self, account: Account, group: Address) -> Roster | None:
        """The copy here of a group elsewhere, which another node may have made."""
        if self._context.news.is_alone:
            return self._rosters.cached(group.key)
        return await self._rosters.named(group, party_of(account))

    def joined(self, account: Account, group: Address) -> None:
        """The account is a member of the group, which is on disk."""
        key = group.key, account.id
        self._notify(key)
        self._tell(key)

    def _notify(self, joined: tuple[str, int]) -> None:
        """The account with that id is a member of the group with that key."""
        if (waiting := self._joining.pop(joined, None)) is not None:
            waiting.notify()
