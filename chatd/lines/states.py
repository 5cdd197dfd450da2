"""The states of a line protocol connection, and the transitions between them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto


class State(Enum):
    HANDSHAKE = auto()  # TLS is being negotiated, so nothing may be written yet
    OPEN = auto()
    HALF_CLOSED = auto()  # the client sends nothing more; what it has sent is still executed
    DRAINING = auto()  # the realm stops: nothing more is read; requests under way are answered
    TURNED_AWAY = (
        auto()
    )  # the last error was sent; what arrives is discarded until the client closes
    CLOSING = auto()  # everything was written and waits to be sent
    LOST = auto()


class Event(Enum):
    ESTABLISHED = auto()  # TCP, and TLS if there is any, is up
    READ_CLOSED = auto()  # the client closed its sending side
    STOPPED = auto()  # the realm stops
    REFUSED = auto()  # the connection speaks another protocol
    CLOSED = auto()  # this side closes the connection
    LOST = auto()  # the transport is gone


# An event that is not listed for a state has no effect in that state.
TRANSITIONS: Mapping[tuple[State, Event], State] = {
    (State.HANDSHAKE, Event.ESTABLISHED): State.OPEN,
    (State.OPEN, Event.READ_CLOSED): State.HALF_CLOSED,
    (State.OPEN, Event.STOPPED): State.DRAINING,
    (State.HALF_CLOSED, Event.STOPPED): State.DRAINING,
    (State.OPEN, Event.REFUSED): State.TURNED_AWAY,
    (State.HALF_CLOSED, Event.REFUSED): State.TURNED_AWAY,
    **{
        (state, Event.CLOSED): State.CLOSING
        for state in State
        if state not in (State.CLOSING, State.LOST)
    },
    **{(state, Event.LOST): State.LOST for state in State if state is not State.LOST},
}
