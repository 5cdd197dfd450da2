"""Errors about connections and the realm as a whole."""

from __future__ import annotations

from chatd.base.errors.base import ChatError


class TooManyConnections(ChatError):
    code = "too-many-connections"
    sentence = "There are too many connections {where}; try again later"


class Idle(ChatError):
    code = "idle"
    sentence = "The connection was silent for {seconds} s; connect again when you need it"


class LineStalled(ChatError):
    code = "line-stalled"
    sentence = (
        "Fewer than {bytes} bytes of the line arrived in {seconds} s, so it was dropped; send it "
        "again"
    )


class InlineFull(ChatError):
    code = "inline-full"
    sentence = (
        "Lines with files take too much memory at the moment (all of yours together may take {limit} "
        "bytes), so this one was dropped; send it again later, one at a time"
    )


class WrongProtocol(ChatError):
    code = "wrong-protocol"
    sentence = (
        "This port speaks chatd's {dialect} protocol, but {found} arrived; use the realm's web "
        "address for a browser, and another protocol's own port for its programs"
    )


class Busy(ChatError):
    code = "busy"
    sentence = "The realm is too busy at the moment; try again in a few seconds"


class ShuttingDown(ChatError):
    code = "shutting-down"
    sentence = "The realm is shutting down; connect again in a while"


class InternalError(ChatError):
    code = "internal"
    sentence = "internal error {reference}; tell the operator this reference, it is in the log"
