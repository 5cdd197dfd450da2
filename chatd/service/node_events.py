"""Events between the nodes of a realm: listeners are connected to any of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, get_args

import msgspec

from chatd.base.events import Closing, Event
from chatd.service.node_news import NodeNews
from chatd.service.presence import Presence

# Events that concern a connection, not an account
_LOCAL = (Closing,)
_CLASSES: dict[str, Any] = {kind.__name__: kind for kind in get_args(Event) if kind not in _LOCAL}


class ToldElsewhere(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An event for accounts. `followers`: only for connections that listen for all events."""

    accounts: list[int]
    kind: str
    event: msgspec.Raw
    followers: bool


_encode = msgspec.msgpack.Encoder().encode
_decoders: dict[str, Callable[[msgspec.Raw], Event]] = {
    name: msgspec.msgpack.Decoder(kind).decode for name, kind in _CLASSES.items()
}


class NodeEvents:
    """Passes the events that this node tells to the listeners of the others, and theirs to those here."""

    def __init__(self, news: NodeNews, presence: Presence) -> None:
        self._presence = presence
        self._tell = news.topic("events", list[ToldElsewhere], self._told, lambda: None)
        presence.on_told(self._pass_on)

    def _pass_on(self, told: Sequence[tuple[Collection[int], Event, bool]]) -> None:
        self._tell(
            [
                ToldElsewhere(
                    list(accounts), type(event).__name__, msgspec.Raw(_encode(event)), followers
                )
                for accounts, event, followers in told
                if not isinstance(event, _LOCAL)
            ]
        )

    def _told(self, told: list[ToldElsewhere]) -> None:
        for each in told:
            decode = _decoders.get(each.kind)
            if decode is not None:  # else it is of a later version
                # Presence asks for each listener whether it is among them.
                self._presence.hear(frozenset(each.accounts), decode(each.event), each.followers)
