"""A LineReceiver for pipelined input, for lines that end in LF or CRLF, and for clients that speak telnet.

Twisted's LineReceiver copies its whole buffer for every line, so its cost grows with the square of what a
client pipelines, and it accepts one delimiter only. `python -m benchmarks.receiver` compares the two, in
microseconds for a line of 100 bytes: 6 (Twisted) and 4 in reads of 64 KiB, 65 and 3 in reads of 1 MiB. In
reads of 4 KiB it is 2 and 3, because telnet commands are searched for.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.protocols.basic import LineReceiver

from chatd.lines.line_buffer import Cut, LineBuffer


class BufferedLineReceiver(LineReceiver):
    """A LineReceiver whose buffer is a `LineBuffer`.

    The contract is LineReceiver's: lines are passed to `lineReceived`, raw bytes to `rawDataReceived` after
    `setRawMode`, and `lineLengthExceeded` is called once for a line of more than `MAX_LENGTH` bytes, which
    is dropped. Nothing is passed on while `paused`. `dataReceived`, `setLineMode` and `clearLineBuffer` are
    replaced.

    Lines of more than `text_limit` bytes need permission: `longLineStarted` has to call `lines.allow_long`,
    or `lines.drop`, before it calls `resumeProducing` or returns.
    """

    delimiter = b"\n"
    is_passing_on = False

    def __init__(
        self,
        text_limit: int,
        max_length: int,
        new_buffer: Callable[[int, int], LineBuffer] = LineBuffer,
    ) -> None:
        self.MAX_LENGTH = max_length
        self.lines = new_buffer(min(text_limit, max_length), max_length)

    def dataReceived(self, data: bytes) -> None:
        lines = self.lines
        lines.data += data
        if self.is_passing_on:
            return
        self.is_passing_on = True
        try:
            while lines.data and not self.paused:
                if not self.line_mode:
                    self.rawDataReceived(lines.take_raw())
                    continue
                line = lines.take_line()
                if lines.telnet:
                    self.telnetReceived(*lines.take_telnet())
                if type(line) is bytes:
                    self.lineReceived(line)
                elif line is None:
                    break
                elif line is Cut.TOO_LONG:
                    self.lineLengthExceeded(b"")
                elif line is Cut.LONG:
                    self.longLineStarted()
        finally:
            self.is_passing_on = False

    def setLineMode(self, extra: bytes = b"") -> None:
        """Pass on lines again, beginning with those in `extra`.

        LineReceiver passes `extra` to `dataReceived`, as if it had only now arrived.
        """
        self.line_mode = 1
        self.lines.data[:0] = extra
        if not self.is_passing_on:
            BufferedLineReceiver.dataReceived(self, b"")

    def clearLineBuffer(self) -> bytes:
        """Drop what was not passed on yet. Returns it, without the set-aside parts of a long line."""
        dropped = self.lines.take_raw()
        self.lines.clear()
        return dropped

    def longLineStarted(self) -> None:
        """A line is longer than `text_limit`. Override it to allow such lines."""
        self.lines.drop()
        self.lineLengthExceeded(b"")

    def telnetReceived(self, commands: list[tuple[int, int]], count: int) -> None:
        """Telnet commands were removed from the input: `commands` (code, option) need an answer, and all of
        them together are as much work as `count` commands of the protocol."""
