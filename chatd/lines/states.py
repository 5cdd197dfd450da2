"""The states of a line protocol connection, and the transitions between them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto


class ConnectionState(Enum):
    HANDSHAKE = auto()  # TLS is being negotiated, so nothing may be written yet
    OPEN = auto()
    HALF_CLOSED = auto()  # the client sends nothing more; what it has sent is still executed
    DRAINING = auto()  # the realm stops: nothing more is read; requests under way are answered
    # The last error was sent; what arrives is discarded until the client closes
    TURNED_AWAY = auto()
    CLOSING = auto()  # everything was written and waits to be sent
    LOST = auto()


class ConnectionEvent(Enum):
    ESTABLISHED = auto()  # TCP, and TLS if there is any, is up
    READ_CLOSED = auto()  # the client closed its sending side
    STOPPED = auto()  # the realm stops
    REFUSED = auto()  # the connection speaks another protocol
    CLOSED = auto()  # this side closes the connection
    LOST = auto()  # the transport is gone


# An event that is not listed for a state has no effect in that state.
TRANSITIONS: Mapping[tuple[ConnectionState, ConnectionEvent], ConnectionState] = {
    (ConnectionState.HANDSHAKE, ConnectionEvent.ESTABLISHED): ConnectionState.OPEN,
    (ConnectionState.OPEN, ConnectionEvent.READ_CLOSED): ConnectionState.HALF_CLOSED,
    (ConnectionState.OPEN, ConnectionEvent.STOPPED): ConnectionState.DRAINING,
    (ConnectionState.HALF_CLOSED, ConnectionEvent.STOPPED): ConnectionState.DRAINING,
    (ConnectionState.OPEN, ConnectionEvent.REFUSED): ConnectionState.TURNED_AWAY,
    (ConnectionState.HALF_CLOSED, ConnectionEvent.REFUSED): ConnectionState.TURNED_AWAY,
    **{
        (state, ConnectionEvent.CLOSED): ConnectionState.CLOSING
        for state in ConnectionState
        if state not in (ConnectionState.CLOSING, ConnectionState.LOST)
    },
    **{
        (state, ConnectionEvent.LOST): ConnectionState.LOST
        for state in ConnectionState
        if state is not ConnectionState.LOST
    },
}
