"""Sending messages and changing them."""

from __future__ import annotations

from chatd.base.model import Opaque
from chatd.base.names import Address, Place
from chatd.commands.values.base import Command

__all__ = [
    "CloseReport",
    "ComposeMessage",
    "DeleteMessage",
    "DismissMessage",
    "EditMessage",
    "ForwardMessage",
    "ListPins",
    "ListReports",
    "PinMessage",
    "ReactToMessage",
    "ReplyToMessage",
    "ReportMessage",
    "SendGroupMessage",
    "SendMessage",
]


class SendMessage(Command, frozen=True, gc=False):
    """`key`: the idempotency key. `reply`: the seq of the message that is answered. `wait`: reply once other
    realms have accepted or refused it, 5 s at most. All also in the other commands that send.

    `opaque` is given in place of `text`."""

    to: tuple[Address, ...]
    text: str = ""
    key: str | None = None
    wait: bool = False
    reply: int | None = None
    opaque: Opaque | None = None


class SendGroupMessage(Command, frozen=True):
    """`either`: `group` may also be the name of a person. `opaque` as in SendMessage."""

    group: Address | tuple[Address, ...]
    text: str = ""
    key: str | None = None
    either: bool = False
    wait: bool = False
    reply: int | None = None
    opaque: Opaque | None = None


class ReplyToMessage(Command, frozen=True):
    place: Place | int
    seq: int
    text: str
    key: str | None = None
    wait: bool = False


class ComposeMessage(Command, frozen=True):
    """Send a text of several lines."""

    place: Place | int
    text: str
    key: str | None = None
    wait: bool = False


class ForwardMessage(Command, frozen=True):
    place: Place | int
    seq: int
    to: Place
    key: str | None = None
    wait: bool = False


class EditMessage(Command, frozen=True):
    """`seq` is the number of the message in its conversation, here and in the commands below."""

    place: Place | int
    seq: int
    text: str


class DeleteMessage(Command, frozen=True):
    place: Place | int
    seq: int


class ReactToMessage(Command, frozen=True):
    place: Place | int
    seq: int
    emoji: str
    on: bool = True


class PinMessage(Command, frozen=True):
    place: Place | int
    seq: int
    on: bool = True


class ListPins(Command, frozen=True):
    place: Place | int


class DismissMessage(Command, frozen=True):
    """Remove a refused message to a group of another realm."""

    message_id: int


class ReportMessage(Command, frozen=True):
    place: Place | int
    seq: int
    reason: str


class ListReports(Command, frozen=True):
    pass


class CloseReport(Command, frozen=True):
    report: int
