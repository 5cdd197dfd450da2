"""Events between the nodes of a realm: listeners are connected to any of them.

What is about an entry of a group is told with the epoch of its log, and is passed on by GroupPushes. Large
groups are not listed: each node knows their members, or reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any, get_args

import msgspec

from chatd.base.events import Closing, Event
from chatd.base.isolation import guarded
from chatd.service.group_pushes import GroupPushes
from chatd.service.node_news import NodeNews
from chatd.service.presence import LogPlace, Presence, ToldToNodes
from chatd.service.repeated_news import UNUSED, RepeatedTopic
from chatd.service.told_entries import ENTRIES, ToldEntries

# Events that concern a connection, not an account
_LOCAL = (Closing,)
_ENTRIES = frozenset(kind.__name__ for kind in ENTRIES)
_CLASSES: dict[str, Any] = {kind.__name__: kind for kind in get_args(Event) if kind not in _LOCAL}


class ToldEvent(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An event of a `kind`. `followers`: it is only for connections that listen for all events. If it is
    about an entry of a group, it is for those who see the entry `seq`."""

    kind: str
    event: msgspec.Raw
    followers: bool
    seq: int = 0


class ToldElsewhere(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Events for the same accounts, in order. If they are about entries of a group, they are for these
    accounts in this `epoch` of its log; None: for all members."""

    accounts: list[int] | None
    events: list[ToldEvent]
    group: int = 0
    epoch: int = 0


class ToldPlace(msgspec.Struct, frozen=True, gc=False):
    """The place of an entry, as each event has it that tells of one."""

    conversation: int
    seq: int


# Bytes after which events are told in a further message: the bus takes no message that is too large
# (chatd.cluster.bus.MAX_BUS_MESSAGE).
PAGE = 128 << 10
ID_SIZE = 5  # bytes of an account's id, about
MAX_LISTED = 100  # members of a group whose ids are told

_encode = msgspec.msgpack.Encoder().encode
_decode_place = msgspec.msgpack.Decoder(ToldPlace).decode
_decoders: dict[str, Callable[[msgspec.Raw], Event]] = {
    name: msgspec.msgpack.Decoder(kind).decode for name, kind in _CLASSES.items()
}


class NodeEvents:
    """Passes the events that this node tells to the listeners of the others, and theirs to those here."""

    def __init__(self, news: NodeNews, presence: Presence, pushes: GroupPushes) -> None:
        self._presence = presence
        self._pushes = pushes
        # What this node has told of the logs
        self.told = ToldEntries()
        self._on_lost: Callable[[float], object] = lambda _since: None
        topic = RepeatedTopic(news, "events", list[ToldElsewhere], self._told, self._lost)
        self._tell = topic.tell
        presence.on_told(self._pass_on, in_cluster=not news.is_alone)

    def on_lost(self, then: Callable[[float], object]) -> None:
        """Call `then` when events of another node may be lost that nobody tells again, with the time of the
        clock since which that may be so."""
        self._on_lost = then

    def _lost(self, since: float) -> None:
        self._on_lost(since)

    def _pass_on(self, told: Sequence[ToldToNodes]) -> None:
        """Accounts are sent once for consecutive events for them, because groups may be large."""
        page: list[ToldElsewhere] = []
        size = 0
        last: tuple[object, object] | None = None
        for accounts, event, followers, place in told:
            self.told.note(event)
            if isinstance(event, _LOCAL) or not self._presence.elsewhere:
                continue
            encoded = _encode(event)
            if size > PAGE:
                self._tell(page)
                page, size, last = [], 0, None
            about = None if place is None else place[:2]
            if last is None or accounts is not last[0] or about != last[1]:
                page.append(_told_to(accounts, place))
                size += ID_SIZE * len(page[-1].accounts or ())
                last = accounts, about
            seq = 0 if place is None else place.seq
            raw = msgspec.Raw(encoded)
            page[-1].events.append(ToldEvent(type(event).__name__, raw, followers, seq))
            size += len(encoded)
        if page:
            self._tell(page)

    def _told(self, told: list[ToldElsewhere]) -> None:
        for each in told:
            # Presence asks for each listener whether it is among them.
            accounts = None if each.accounts is None else frozenset(each.accounts)
            if accounts is not None and not self._presence.listens_here(accounts):
                guarded(UNUSED, self._note, each)
                continue
            for found in each.events:
                guarded(UNUSED, self._pass_in, accounts, each, found)

    def _pass_in(
        self, accounts: frozenset[int] | None, told: ToldElsewhere, found: ToldEvent
    ) -> None:
        """Pass an event of another node to the listeners here."""
        decode = _decoders.get(found.kind)
        if decode is None:
            return  # it is of a later version
        event = decode(found.event)
        if self.told.was_read(event):
            return
        self.told.note(event)
        hear = partial(self._hear, accounts, event, found)
        if told.group:
            place = LogPlace(told.group, told.epoch, found.seq)
            self._pushes.pass_on(place, hear, accounts is None)
        else:
            hear(None, None)

    def _note(self, told: ToldElsewhere) -> None:
        """Entries are told to others only."""
        for found in told.events:
            if found.kind in _ENTRIES:
                place = _decode_place(found.event)
                self.told.note_entry(place.conversation, place.seq)

    def _hear(
        self,
        accounts: frozenset[int] | None,
        event: Event,
        told: ToldEvent,
        viewers: Collection[int] | None,
        _place: LogPlace | None,
    ) -> None:
        """Pass an event on to those accounts that still see the entry."""
        audience = accounts if viewers is None else viewers
        if audience is None:
            return
        if accounts is not None and viewers is not None:
            audience = frozenset(each for each in accounts if each in viewers)
        self._presence.hear(audience, event, told.followers)


def _told_to(accounts: Collection[int], place: LogPlace | None) -> ToldElsewhere:
    """Events for accounts, of which there are none yet."""
    if place is None or place.epoch is None:
        return ToldElsewhere(list(accounts), [])
    # `Others` and `Viewers` leave some members out, which their nodes can't know.
    is_all = isinstance(accounts, dict) and len(accounts) > MAX_LISTED
    return ToldElsewhere(None if is_all else list(accounts), [], place.group, place.epoch)
