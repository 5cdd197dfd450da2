"""Connections, and the realm as a whole."""

from __future__ import annotations

from chatd.base.errors.base import ChatError


class TooManyConnections(ChatError):
    code = "too-many-connections"
    sentence = "There are too many connections {where}; try again later"


class Idle(ChatError):
    code = "idle"
    sentence = "Nothing was heard for {seconds} s; connect again when you need to"


class LineStalled(ChatError):
    code = "line-stalled"
    sentence = (
        "The line gained less than {bytes} bytes in {seconds} s and was dropped; send it again"
    )


class InlineFull(ChatError):
    code = "inline-full"
    sentence = (
        "Lines with files take too much memory just now (yours may take {limit} bytes together), and this "
        "one was dropped; send it again later, one at a time"
    )


class WrongProtocol(ChatError):
    code = "wrong-protocol"
    sentence = (
        "This port is for chatd's {dialect} protocol, and {found} came; for a browser use the realm's web "
        "address, for another program the port of its own protocol"
    )


class Busy(ChatError):
    code = "busy"
    sentence = "The realm has too much to do just now; try again in a few seconds"


class ShuttingDown(ChatError):
    code = "shutting-down"
    sentence = "The realm is shutting down; connect again in a while"


class InternalError(ChatError):
    code = "internal"
    sentence = "internal error {reference}; tell the operator this reference, it is in the log"
