"""Dials realms, and retries with exponential backoff.

The address of a realm that somebody has added is known. The others are looked up
(chatd.federation.amp.place_finder), and only if something waits for them.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatd.base.background import in_background
from chatd.base.config import PeersConfig
from chatd.base.isolation import guarded
from chatd.base.timers import cancel
from chatd.federation.amp.connect import explain
from chatd.federation.amp.link import LinkSuperseded, PeerLink
from chatd.federation.amp.lookup import DialPlace, is_public_name
from chatd.federation.amp.peers import Peer, PeerTable
from chatd.federation.amp.place_finder import PlaceFinder
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
    """Makes links for `host` through `endpoint`. `finder` finds the realms whose address is not known."""

    def __init__(
        self,
        config: PeersConfig,
        host: LinkManager,
        endpoint: Endpoint,
        peers: PeerTable,
        random_bytes: Callable[[int], bytes],
        finder: PlaceFinder,
    ) -> None:
        self._config = config
        self._host = host
        self._clock = host.clock
        self._endpoint = endpoint
        self._peers = peers
        self._random_bytes = random_bytes
        self.finder = finder
        self._dials: set[Deferred[PeerLink]] = set()
        self._stopping = False

    def stop(self) -> None:
        """Give up all dials, and start no more."""
        self._stopping = True
        self.finder.stop()
        for peer in self._peers.by_key.values():
            cancel(peer.timer)
        for dialling in list(self._dials):
            guarded("a dial was not cancelled", dialling.cancel)

    def soon(self, peer: Peer, pause: float | None = None) -> None:
        """Dial a peer after `pause` seconds. By default the pause doubles with each failure, with some
        randomness so that realms do not dial in step."""
        if self._stopping or peer.link is not None or peer.dialling or not self._may_dial(peer):
            return
        if peer.known.key in self._config.block:
            peer.error = "it is blocked here"
            return
        if pause is None:
            longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(peer.failures, 16))
            pause = longest * (0.5 + self._random_bytes(1)[0] / 512)
        cancel(peer.timer)
        peer.timer = self._clock.callLater(pause, self._dial, peer)

    def _may_dial(self, peer: Peer) -> bool:
        """Whether the address of the realm is known, or it may be looked up because something waits."""
        if peer.known.host is not None:
            return True
        return peer.wanted and self._config.discover and is_public_name(peer.known.key)

    def want(self, peer: Peer) -> None:
        """Something waits for the realm: dial it, unless that is planned."""
        peer.wanted = True
        if peer.timer is None or not peer.timer.active():
            self.soon(peer, None if peer.failures else 0.0)

    def _dial(self, peer: Peer) -> None:
        if self._stopping or peer.link is not None or peer.dialling:
            return
        known = peer.known
        peer.dialling = True
        if known.host is not None and known.port is not None:
            private = self._config.private or self._peers.is_confirmed(peer)
            dialling = self.connect(known.name, known.host, known.port, private=private)
        else:
            dialling = self._cancelled_at_stop(self._find(peer))
        dialling.addBoth(self._dialled, peer)
        in_background("{realm} was not dialled", dialling, realm=known.name)

    async def _find(self, peer: Peer) -> PeerLink:
        """Look a realm up, and dial it."""
        key = peer.known.key
        cause = f"source {peer.source}" if peer.source else f"realm {key}"
        places = await self.finder.places(key, cause)
        try:
            return await self._first_of(peer.known.name, places)
        except LinkSuperseded:
            raise
        except Exception:
            self.finder.forget(key)
            raise

    def reach(self, name: str, places: Sequence[DialPlace]) -> Deferred[PeerLink]:
        """Dial a realm once, at the first of `places` that is this realm. Fires with the link; fails with the
        reason why the last one was not."""
        return self._cancelled_at_stop(self._first_of(name, places))

    async def _first_of(self, name: str, places: Sequence[DialPlace]) -> PeerLink:
        *others, last = places
        private = self._config.private
        for place in others:
            try:
                return await self.connect(name, place.address, place.port, private=private)
            except (CancelledError, LinkSuperseded):
                raise
            except Exception as error:
                log.debug(
                    "{realm} is not at {place}: {error}", realm=name, place=place, error=error
                )
        return await self.connect(name, last.address, last.port, private=private)

    def connect(self, name: str, host: str, port: int, *, private: bool) -> Deferred[PeerLink]:
        """Dial a realm once. Fires with the link; fails with the reason."""

        return self._cancelled_at_stop(
            self._endpoint.dial(self._host, name, host, port, private=private)
        )

    def _cancelled_at_stop(
        self, dial: Deferred[PeerLink] | Coroutine[Deferred[Any], Any, PeerLink]
    ) -> Deferred[PeerLink]:
        def over(result: Any) -> Any:
            self._dials.discard(dialling)
            return result

        dialling = dial if isinstance(dial, Deferred) else Deferred.fromCoroutine(dial)
        self._dials.add(dialling)
        return dialling.addBoth(over)

    def _dialled(self, result: object, peer: Peer) -> None:
        peer.dialling = False
        if isinstance(result, Failure) and peer.link is None and not self._stopping:
            error = explain(result, peer.known.name, peer.address or peer.known.name)
            if str(error) != peer.error:
                log.warn("{realm}: {error}", realm=peer.known.name, error=str(error))
            peer.error = str(error)
            peer.failures += 1
            if self._peers.get(peer.known.key) is peer:
                self.soon(peer)
