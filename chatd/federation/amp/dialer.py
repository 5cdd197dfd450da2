"""Dials the realms whose address is known, and retries with exponential backoff."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatd.base.background import in_background
from chatd.base.config import PeersConfig
from chatd.base.isolation import guarded
from chatd.base.timers import cancel
from chatd.federation.amp.connect import explain
from chatd.federation.amp.link import PeerLink
from chatd.federation.amp.peers import Peer, PeerTable
from chatd.federation.amp.trust import Authentication, TrustRecord

if TYPE_CHECKING:
    from chatd.federation.amp.link_manager import LinkManager

FIRST_PAUSE = 1.0  # seconds until the first retry; each further pause is twice as long
LONGEST_PAUSE = 300.0

log = Logger()


class Endpoint(Protocol):
    """Makes links (chatd.federation.amp.endpoint)."""

    def dial(
        self, host: LinkManager, realm: str, to: str, port: int, *, private: bool
    ) -> Deferred[PeerLink]: ...

    def authenticate(
        self, link: PeerLink, known_of: Callable[[str], TrustRecord]
    ) -> Authentication: ...


class Dialer:
    """Makes links for `host` through `endpoint`."""

    def __init__(
        self,
        config: PeersConfig,
        host: LinkManager,
        endpoint: Endpoint,
        peers: PeerTable,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._config = config
        self._host = host
        self._clock = host.clock
        self._endpoint = endpoint
        self._peers = peers
        self._random_bytes = random_bytes
        self._dials: set[Deferred[PeerLink]] = set()
        self._stopping = False

    def stop(self) -> None:
        """Give up all dials, and start no more."""
        self._stopping = True
        for peer in self._peers.by_key.values():
            cancel(peer.timer)
        for dialling in list(self._dials):
            guarded("a dial was not cancelled", dialling.cancel)

    def soon(self, peer: Peer, pause: float | None = None) -> None:
        """Dial a peer after `pause` seconds. By default the pause doubles with each failure, with some
        randomness so that realms do not dial in step."""
        if self._stopping or peer.known.host is None or peer.link is not None or peer.dialling:
            return
        if peer.known.key in self._config.block:
            peer.error = "it is blocked here"
            return
        if pause is None:
            longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(peer.failures, 16))
            pause = longest * (0.5 + self._random_bytes(1)[0] / 512)
        cancel(peer.timer)
        peer.timer = self._clock.callLater(pause, self._dial, peer)

    def _dial(self, peer: Peer) -> None:
        if self._stopping or peer.link is not None or peer.dialling:
            return
        known = peer.known
        assert known.host is not None and known.port is not None  # noqa: S101, PT018
        peer.dialling = True
        private = self._config.private or self._peers.is_confirmed(peer)
        dialling = self.connect(known.name, known.host, known.port, private=private)
        dialling.addBoth(self._dialled, peer)
        in_background("{realm} was not dialled", dialling, realm=known.name)

    def connect(self, name: str, host: str, port: int, *, private: bool) -> Deferred[PeerLink]:
        """Dial a realm once. Fires with the link; fails with the reason."""

        def over(result: Any) -> Any:
            self._dials.discard(dialling)
            return result

        dialling = self._endpoint.dial(self._host, name, host, port, private=private)
        self._dials.add(dialling)
        return dialling.addBoth(over)

    def _dialled(self, result: object, peer: Peer) -> None:
        peer.dialling = False
        if isinstance(result, Failure) and peer.link is None and not self._stopping:
            error = explain(result, peer.known.name, peer.address or "")
            if str(error) != peer.error:
                log.warn("{realm}: {error}", realm=peer.known.name, error=str(error))
            peer.error = str(error)
            peer.failures += 1
            if self._peers.get(peer.known.key) is peer:
                self.soon(peer)
