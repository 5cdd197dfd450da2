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
    """Events for the same accounts, in order: the kind of each, the event, and whether it is only for
    connections that listen for all events."""

    accounts: list[int]
    events: list[tuple[str, msgspec.Raw, bool]]


# Bytes after which events are told in a further message: the bus takes no message that is too large
# (chatd.cluster.bus.MAX_BUS_MESSAGE).
PAGE = 128 << 10
ID_SIZE = 5  # bytes of an account's id, about

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
        """Accounts are sent once for consecutive events for them, because groups may be large."""
        page: list[ToldElsewhere] = []
        size = 0
        last: object = None
        for accounts, event, followers in told:
            if isinstance(event, _LOCAL):
                continue
            encoded = _encode(event)
            if size > PAGE:
                self._tell(page)
                page, size, last = [], 0, None
            if accounts is not last:
                page.append(ToldElsewhere(list(accounts), []))
                size += ID_SIZE * len(accounts)
                last = accounts
            page[-1].events.append((type(event).__name__, msgspec.Raw(encoded), followers))
            size += len(encoded)
        if page:
            self._tell(page)

    def _told(self, told: list[ToldElsewhere]) -> None:
        for each in told:
            accounts = frozenset(
                each.accounts
            )  # Presence asks for each listener whether it is among them
            for kind, event, followers in each.events:
                decode = _decoders.get(kind)
                if decode is not None:  # else it is of a later version
                    self._presence.hear(accounts, decode(event), followers)
