"""BufferedLineReceiver keeps the contract of Twisted's LineReceiver."""

from __future__ import annotations

from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from chatd.lines.receiver import BufferedLineReceiver


class Recorder(BufferedLineReceiver):
    """Records what it is passed. Pauses at the line `pause`, and switches modes at `raw`."""

    def __init__(self) -> None:
        super().__init__(10, 20)
        self.seen: list[bytes | str] = []

    def lineReceived(self, line: bytes) -> None:
        self.seen.append(line)
        if line == b"pause":
            self.pauseProducing()
        elif line == b"raw":
            self.setRawMode()
        elif line == b"again":
            self.dataReceived(b"within\n")

    def rawDataReceived(self, data: bytes) -> None:
        self.seen.append(data[:3])
        self.setLineMode(data[3:])

    def lineLengthExceeded(self, line: bytes) -> None:
        self.seen.append("exceeded")


class Contract(SynchronousTestCase):
    def setUp(self) -> None:
        self.receiver = Recorder()
        self.transport = StringTransport()
        self.receiver.makeConnection(self.transport)

    def test_lines_without_their_ends(self) -> None:
        self.receiver.dataReceived(b"one\r\ntwo\nthr")
        self.receiver.dataReceived(b"ee\n")
        self.assertEqual(self.receiver.seen, [b"one", b"two", b"three"])

    def test_nothing_is_passed_on_while_it_is_paused(self) -> None:
        self.receiver.dataReceived(b"pause\none\n")
        self.receiver.dataReceived(b"two\n")
        self.assertEqual(self.receiver.seen, [b"pause"])
        self.assertEqual(self.transport.producerState, "paused")
        self.receiver.resumeProducing()
        self.assertEqual(self.receiver.seen, [b"pause", b"one", b"two"])
        self.assertEqual(self.transport.producerState, "producing")

    def test_raw_bytes_between_lines(self) -> None:
        self.receiver.dataReceived(b"raw\na\nbone\n")
        self.assertEqual(self.receiver.seen, [b"raw", b"a\nb", b"one"])

    def test_lines_after_raw_bytes_go_first(self) -> None:
        """`setLineMode` is given what came before the rest of the buffer, even outside a callback."""
        self.receiver.dataReceived(b"pause\ntwo\n")
        self.receiver.setLineMode(b"one\n")
        self.assertEqual(self.receiver.seen, [b"pause"])
        self.receiver.resumeProducing()
        self.receiver.setLineMode(b"three\n")
        self.assertEqual(self.receiver.seen, [b"pause", b"one", b"two", b"three"])

    def test_bytes_that_arrive_within_a_callback_wait(self) -> None:
        self.receiver.dataReceived(b"again\none\n")
        self.assertEqual(self.receiver.seen, [b"again", b"one", b"within"])

    def test_too_long_line_is_reported_once_and_dropped(self) -> None:
        self.receiver.dataReceived(b"x" * 15 + b"\none\n")
        self.receiver.dataReceived(b"x" * 50)
        self.receiver.dataReceived(b"x" * 50 + b"\ntwo\n")
        self.assertEqual(self.receiver.seen, ["exceeded", b"one", "exceeded", b"two"])

    def test_buffer_can_be_cleared(self) -> None:
        self.receiver.dataReceived(b"pause\none\n")
        self.assertEqual(self.receiver.clearLineBuffer(), b"one\n")
        self.receiver.resumeProducing()
        self.assertEqual(self.receiver.seen, [b"pause"])
