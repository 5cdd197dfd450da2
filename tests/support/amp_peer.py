"""A peer whose AMP boxes a test writes itself, as anyone with a certificate can."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.protocols import amp

from chatd.federation.amp import wire
from chatd.federation.amp.wire import Refused, parse_refused
from chatd.federation.answer_time import ANSWER_TIME
from chatd.federation.parcels import Direct, encode
from tests.support.network import NetworkTestCase, Server, outcome
from tests.support.signing import SigningRealm


class AmpPeer(amp.AMP):
    """The AMP protocol of another realm that sends what a test says, and answers little."""

    def __init__(self) -> None:
        super().__init__()
        self.is_lost = False
        self.told: list[tuple[str, str]] = []  # the code and reason of each Goodbye
        self.hears = True

    def ampBoxReceived(self, box: Any) -> None:
        if self.hears:
            super().ampBoxReceived(box)

    def connectionMade(self) -> None: ...

    def makeConnection(self, transport: Any) -> None:  # noqa: N802
        amp.BinaryBoxProtocol.makeConnection(self, transport)

    @wire.DeliverCommand.responder
    def deliver(self, parcels: bytes) -> dict[str, Any]:
        return {"verdicts": b""}

    @wire.GoodbyeCommand.responder
    def goodbye(self, code: str, reason: str) -> dict[str, Any]:
        self.told.append((code, reason))
        return {}

    def connectionLost(self, reason: Any) -> None:  # type: ignore[override]
        amp.BinaryBoxProtocol.connectionLost(self, reason)
        self.is_lost = True


def hello(realm: str = "realm2", **changes: Any) -> dict[str, Any]:
    said = {
        "realm": realm,
        "version": 2,
        "capabilities": [],
        "instance": b"another",
        "keys": SigningRealm(realm).announcement,
    }
    return {**said, **changes}


class AmpPeerTestCase(NetworkTestCase):
    """A test with realm1, and `self.raw` with the certificate of realm2, connected to it."""

    settings: dict[str, Any] = {}

    def setUp(self) -> None:
        super().setUp()
        self.one: Server = self.network.server("realm1", **self.settings)
        self.ana = self.one.person("ana")
        self.raw: AmpPeer = self.network.connect_by_hand(self.one, "realm2", AmpPeer())
        self.end: Any = self.raw.transport
        self.signer = SigningRealm("realm2")

    def begins(self, command: type[wire.PeerCommand], **arguments: Any) -> list[Any]:
        """Return a list that will have the answer, or the exception."""
        answer: Deferred[Any] = self.raw.callRemote(command, **arguments)
        return outcome(answer)

    def asks(self, command: type[wire.PeerCommand], **arguments: Any) -> Any:
        found = self.begins(command, **arguments)
        self.network.settle()
        if not found:
            self.network.advance(2 * ANSWER_TIME)
        self.assertEqual(len(found), 1, "there is no answer")
        if isinstance(found[0], Refused):
            return parse_refused(found[0].code)
        return found[0]

    def refuses(self, command: type[wire.PeerCommand], **arguments: Any) -> str:
        """Return the code of the refusal."""
        error = self.asks(command, **arguments)
        self.assertIsInstance(error, Refused)
        code: str = error.code
        return code

    def joins(self, user: str, group: str) -> Any:
        """Ask to join a group of realm1, with a signed entry."""
        entry = self.signer.joins(user, group=group)
        return self.asks(wire.JoinCommand, user=user, group=group, entry=entry)

    def greets(self) -> None:
        self.assertEqual(self.asks(wire.HelloCommand, **hello())["realm"], "realm1")
        self.assertEqual(self.one.peers()["realm2"].state, "up")


def batch(*numbered: tuple[int, Any]) -> bytes:
    return encode(list(numbered))


def direct(text: str, to: str = "ana", at: int = 1_000) -> Direct:
    return Direct("budi", to, at, text)
