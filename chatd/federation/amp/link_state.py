"""The states of a link between two realms, and which may follow which."""

from __future__ import annotations

from enum import Enum, auto


class LinkState(Enum):
    """How far a link has come."""

    CONNECTING = auto()  # the TLS handshake is not complete
    AUTHENTICATED = auto()  # the certificate was accepted
    GREETED = auto()  # Hello was received here, or answered by the other end
    UP = auto()  # both ends have said hello
    REJECTED = auto()  # the other realm was told Goodbye; what it sends is ignored
    LOST = auto()  # the connection is gone


NEXT: dict[LinkState, tuple[LinkState, ...]] = {
    LinkState.CONNECTING: (LinkState.AUTHENTICATED, LinkState.REJECTED, LinkState.LOST),
    LinkState.AUTHENTICATED: (LinkState.GREETED, LinkState.REJECTED, LinkState.LOST),
    LinkState.GREETED: (LinkState.UP, LinkState.REJECTED, LinkState.LOST),
    LinkState.UP: (LinkState.LOST,),
    LinkState.REJECTED: (LinkState.LOST,),
    LinkState.LOST: (),
}
