"""Pipelined lines through chatd's receiver and Twisted's: `python -m benchmarks.receiver`.

Prints microseconds per line, the best of five runs, for chunks of several sizes. Both receivers get the same
lines of 100 bytes with CR LF, because Twisted's accepts one delimiter only.
"""

from __future__ import annotations

import time

from twisted.internet.testing import StringTransport
from twisted.protocols.basic import LineReceiver

from chatd.lines.receiver import BufferedLineReceiver

LINE = b'{"command":"send","to":"henderson","text":"' + b"x" * 54 + b'"}\r\n'
LINES = 20_000
CHUNKS = (100, 4 << 10, 64 << 10, 1 << 20)
RUNS = 5


class Buffered(BufferedLineReceiver):
    received = 0

    def __init__(self) -> None:
        super().__init__(64 << 10, 64 << 10)

    def lineReceived(self, line: bytes) -> None:
        self.received += 1


class Twisted(LineReceiver):
    received = 0

    def lineReceived(self, line: bytes) -> None:
        self.received += 1


def measure(make: type[Buffered | Twisted], chunk: int) -> float:
    """Microseconds per line, if the lines arrive in chunks of that size."""
    data = LINE * LINES
    parts = [data[start : start + chunk] for start in range(0, len(data), chunk)]
    best = float("inf")
    for _ in range(RUNS):
        receiver = make()
        receiver.makeConnection(StringTransport())
        start = time.perf_counter()
        for part in parts:
            receiver.dataReceived(part)
        best = min(best, time.perf_counter() - start)
        assert receiver.received == LINES
    return best / LINES * 1e6


def main() -> None:
    print("bytes a read   Twisted   chatd   us per line")
    for chunk in CHUNKS:
        print(f"{chunk:12d}  {measure(Twisted, chunk):8.2f}  {measure(Buffered, chunk):6.2f}")


if __name__ == "__main__":
    main()
