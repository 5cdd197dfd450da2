"""Who is online in other realms, from node to node: what one of them learns, the others remember, and tell to
the realms that they are linked with."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from chatd.base.errors import BadName
from chatd.base.names import key_of, parse_address
from chatd.service.context import Context
from chatd.service.presence_arrivals import ArrivedState, PresenceArrivals
from chatd.service.remote import TheirState

PAGE = 200  # states in one message


class PresenceCopies:
    """`note(realm, user, state)` remembers what another node has learnt of a person, and returns the state
    before. `pass_on` tells a change to other realms. `doubt` is called when something may have been lost."""

    def __init__(
        self,
        context: Context,
        note: Callable[[str, str, TheirState], str | None],
        pass_on: Callable[[str, ArrivedState], Coroutine[Any, Any, None]],
        doubt: Callable[[], object],
    ) -> None:
        self._note = note
        self._arrivals = PresenceArrivals(context.clock, pass_on)
        self._tell = context.news.topic(
            "realm presence", tuple[str, list[TheirState]], self._heard, doubt
        )

    def stop(self) -> None:
        """Tell nothing any more."""
        self._arrivals.stop()

    def tell(self, realm: str, states: Sequence[TheirState]) -> None:
        """Tell the other nodes what was learnt of people of a realm."""
        for start in range(0, len(states), PAGE):
            self._tell((realm, list(states[start : start + PAGE])))

    def _heard(self, told: tuple[str, list[TheirState]]) -> None:
        realm, states = told
        for each in states:
            try:
                address = parse_address(each.user)
            except BadName:
                continue
            if address.realm is None:
                user = key_of(address.name)
                before = self._note(realm, user, each)
                if before != each.state:
                    self._arrivals.add(realm, user, each, before)
