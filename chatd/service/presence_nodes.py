"""Who is online at which node of the realm."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime

from chatd.service.node_news import NodeNews
from chatd.service.online_accounts import NodeChange
from chatd.service.presence import Presence
from chatd.service.soft_state import CopyChange, SoftState, StatePage, StateSource


class PresenceNodes:
    """Tells the other nodes who is connected here, and `presence` who is connected there."""

    def __init__(self, news: NodeNews, clock: IReactorTime, presence: Presence) -> None:
        self._presence = presence
        source = StateSource(lambda: presence.connected(), presence.mark_of)
        self._state = SoftState[int, int](
            news, clock, "presence", StatePage[int, int], source, self._changed
        )
        tell_away = news.topic("presence-away", tuple[int, bool], self._away, lambda: None)
        presence.spread(self._state.copies, self._state.changed, tell_away)

    def stop(self) -> None:
        """Tell nothing any more."""
        self._state.stop()

    def _away(self, told: tuple[int, bool]) -> None:
        self._presence.hear_away(*told)

    def _changed(
        self, account_id: int, before: int | None, after: int | None, how: CopyChange
    ) -> None:
        """What another node says of an account has changed. The state that others see may be the same."""
        self._presence.node_changed(account_id, _MEANING[how])


_MEANING = {
    CopyChange.TOLD: NodeChange.TOLD,
    CopyChange.MISSED: NodeChange.MISSED,
    CopyChange.LOST: NodeChange.LOST,
}
