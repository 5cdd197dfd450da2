"""The one module that uses private names of Twisted.

Each name is looked for when this module is imported. If a release of Twisted lacks it, a fallback does the
same work with public names, at a cost that its docstring states. `missing()` lists what was not found.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.abstract import FileDescriptor
from twisted.protocols.amp import AMP, BinaryBoxProtocol

_missing: list[str] = []


def missing() -> tuple[str, ...]:
    """The private names that this release of Twisted lacks."""
    return tuple(_missing)


def _has(owner: object, where: str, *names: str) -> bool:
    absent = [f"{where}.{name}" for name in names if not hasattr(owner, name)]
    _missing.extend(absent)
    return not absent


# Writing at once


def _send_at_once(transport: Any, data: bytes) -> bytes:
    """Give `data` to the kernel in one call, and return the bytes that are left for Twisted's own `write`.

    Twisted's TCP transports keep what is written until the reactor has asked the kernel whether the socket
    is writable: two system calls and a round through the reactor, for a socket that nearly always is. Bytes
    of an earlier write go first, and errors show as a lost connection later on.
    """
    if transport.connected and not (
        transport._writeDisconnected or transport.dataBuffer or transport._tempDataBuffer
    ):
        sent = transport.writeSomeData(data)
        # Anything but a count is an error, which the reactor meets, too, and handles.
        if isinstance(sent, int) and sent > 0:
            return data[sent:]
    return data


def _send_later(_transport: Any, data: bytes) -> bytes:
    """The fallback: everything is left for Twisted's `write`, which costs a message about 40 µs."""
    return data


def _forget_unsent(transport: Any) -> None:
    """Free the bytes that a lost connection did not send.

    The connection and its protocol refer to each other, so the bytes would stay in memory until the garbage
    collector runs.
    """
    transport.dataBuffer = b""
    transport._tempDataBuffer = []
    transport._tempDataLen = 0


def _keep_unsent(_transport: Any) -> None:
    """The fallback: the bytes stay until the garbage collector runs."""


_nobody: Any = object()  # the reactor of a descriptor that is never used
_has_buffers = _has(
    FileDescriptor(_nobody),
    "FileDescriptor",
    "_writeDisconnected",
    "dataBuffer",
    "_tempDataBuffer",
    "_tempDataLen",
)
send_at_once: Final[Callable[[Any, bytes], bytes]] = _send_at_once if _has_buffers else _send_later
forget_unsent: Final[Callable[[Any], None]] = _forget_unsent if _has_buffers else _keep_unsent


# AMP boxes


class _ReadsBox(AMP):
    """An AMP connection that tells how many keys its incomplete box has."""

    _currentBox: Any  # noqa: N815

    @property
    def unfinished_keys(self) -> int:
        """The keys of a box whose end has not arrived. AMP itself sets no limit."""
        box = self._currentBox
        return 0 if box is None else len(box)


class _CountsKeys(AMP):
    """The fallback: one more call for each key that arrives."""

    unfinished_keys = 0

    def proto_key(self, string: bytes) -> Any:
        self.unfinished_keys = self.unfinished_keys + 1 if string else 0
        return super().proto_key(string)


_has_box = _has(BinaryBoxProtocol, "BinaryBoxProtocol", "_currentBox")
if TYPE_CHECKING:
    BoundedAMP = _ReadsBox
else:
    BoundedAMP = _ReadsBox if _has_box else _CountsKeys


# WebSockets


def incomplete_size(wire: Any, since_message: int) -> int:
    """How many bytes of an incomplete message Twisted's WebSocket transport `wire` has collected. It sets no
    limit itself.

    `since_message` bytes of any kind have arrived since the last complete message. They are the fallback:
    then pings count as part of the message.
    """
    try:
        return len(wire._textBuffer.data.encode()) + len(wire._bytesBuffer.data)
    except AttributeError:
        return since_message
