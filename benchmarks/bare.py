"""A bare Twisted relay without storage: the yardstick that chatd is measured against.

Run as ``python -m benchmarks.bare PORT``. It shows what `LineReceiver` and the epoll reactor cost when
nothing else is done, so ``chatd / bare`` in one run says what keeping messages costs, whatever the
machine. It speaks four verbs, one a line, and is no chat server: no passwords, no limits, no disk.

====================  =======================  ===========================================
request               reply                    pushed to
====================  =======================  ===========================================
``hello NAME``        ``ok``
``to NAME TEXT``      ``ok`` | ``no such name``  that name: ``from SENDER TEXT``
``enter ROOM``        ``ok``
``tell ROOM TEXT``    ``ok``                   all others in it: ``from SENDER@ROOM TEXT``
====================  =======================  ===========================================
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, ClassVar

from twisted.internet import epollreactor
from twisted.internet.protocol import Factory
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure

BACKLOG = 1024


class Relay(LineReceiver):
    """One client. Everything known is in two tables that all clients share."""

    names: ClassVar[dict[bytes, Relay]] = {}
    rooms: ClassVar[dict[bytes, set[Relay]]] = {}
    verbs: ClassVar[dict[bytes, Callable[[Relay, bytes], bytes]]]

    name = b""
    # Any: twisted's own stubs leave the transport of a LineReceiver open.
    transport: Any

    def connectionMade(self) -> None:
        # Replies are small, and the client waits for each: Nagle's delay would dominate the figures.
        self.transport.setTcpNoDelay(True)

    def lineReceived(self, line: bytes) -> None:
        verb, _, rest = line.partition(b" ")
        act = self.verbs.get(verb)
        self.transport.write(act(self, rest) if act is not None else b"no such verb\r\n")

    def hello(self, name: bytes) -> bytes:
        self.name = name
        self.names[name] = self
        return b"ok\r\n"

    def to(self, rest: bytes) -> bytes:
        name, _, text = rest.partition(b" ")
        other = self.names.get(name)
        if other is None:
            return b"no such name\r\n"
        other.transport.write(b"from %b %b\r\n" % (self.name, text))
        return b"ok\r\n"

    def enter(self, room: bytes) -> bytes:
        self.rooms.setdefault(room, set()).add(self)
        return b"ok\r\n"

    def tell(self, rest: bytes) -> bytes:
        room, _, text = rest.partition(b" ")
        push = b"from %b@%b %b\r\n" % (self.name, room, text)
        for member in self.rooms.get(room, ()):
            if member is not self:
                member.transport.write(push)
        return b"ok\r\n"

    def connectionLost(self, reason: Failure | None = None) -> None:
        if self.names.get(self.name) is self:
            del self.names[self.name]
        for members in self.rooms.values():
            members.discard(self)


Relay.verbs = {b"hello": Relay.hello, b"to": Relay.to, b"enter": Relay.enter, b"tell": Relay.tell}


def main(port: int) -> None:
    """Serve on loopback until killed."""
    # Explicit, so that both sides of a comparison use the same reactor.
    epollreactor.install()
    from twisted.internet import reactor

    loop: Any = reactor
    factory = Factory.forProtocol(Relay)
    factory.noisy = False
    loop.listenTCP(port, factory, backlog=BACKLOG, interface="127.0.0.1")
    loop.run()


if __name__ == "__main__":
    main(int(sys.argv[1]))
