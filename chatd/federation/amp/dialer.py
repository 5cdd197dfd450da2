"""Dials realms, and retries with exponential backoff.

The address of a realm that somebody has added is known. The others are looked up
(chatd.federation.amp.place_finder), and only if something waits for them.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectingCancelledError
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatd.base.background import in_background
from chatd.base.config import PeersConfig
from chatd.base.errors import RealmDown
from chatd.base.isolation import guarded
from chatd.base.timers import Signal, cancel
from chatd.federation.amp.connect import explain
from chatd.federation.amp.link import LinkSuperseded, PeerLink
from chatd.federation.amp.lookup import DialPlace, is_public_name
from chatd.federation.amp.peers import Peer, PeerTable
from chatd.federation.amp.place_finder import PlaceFinder
from chatd.federation.amp.trust import Authentication, TrustRecord
from chatd.service.context import Context

if TYPE_CHECKING:
    from chatd.federation.amp.link_manager import LinkManager

PROBE_EVERY = 3600.0  # seconds between dials that only show whether a realm can be dialled
# Seconds after the loss of its link for which a realm is dialled that may rest, and for which nothing waits
GIVE_UP = 600.0
ASK_TIME = 5.0  # seconds that a question waits for a link
FIRST_PAUSE = 1.0  # seconds until the first retry; each further pause is twice as long
LONGEST_PAUSE = 300.0
AT_ONCE = 10  # realms that are dialled at once
SPREAD = 0.05  # seconds for each realm that is dialled after a start
MAX_SPREAD = 60.0  # seconds for all of them
CALM_SPREAD = 60.0  # seconds over which realms are dialled that may rest, and whose links were lost

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
        context: Context,
        host: LinkManager,
        endpoint: Endpoint,
        peers: PeerTable,
        finder: PlaceFinder,
    ) -> None:
        self._context = context
        self._host = host
        self._clock = host.clock
        self._endpoint = endpoint
        self._peers = peers
        self._random_bytes = context.random_bytes
        self.finder = finder
        self._dials: set[Deferred[PeerLink]] = set()
        self._settled: dict[str, Signal] = {}  # told when a realm is linked, or a dial has failed
        self._stopping = False

    @property
    def _config(self) -> PeersConfig:
        return self._context.config.peers

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
        if peer.known.key in self._context.blocked_realms:
            peer.error = "it is blocked here"
            return
        cancel(peer.timer)
        pause = self._backoff(peer) if pause is None else pause
        peer.timer = self._clock.callLater(pause, self._dial, peer)

    def spread(self, count: int) -> float:
        """The pause, at random, before one of `count` realms is dialled that are dialled at the same time."""
        longest = min(MAX_SPREAD, max(0, count - AT_ONCE) * SPREAD)
        return longest * int.from_bytes(self._random_bytes(2)) / 65536 if longest else 0.0

    def _backoff(self, peer: Peer) -> float:
        """What is left of the pause since the last dial failed, or since the link was lost."""
        longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(self._failures(peer), 16))
        passed = self._clock.seconds() - peer.missed_at
        return max(0.0, longest * (0.5 + self._random_bytes(1)[0] / 512) - passed)

    def _failures(self, peer: Peer) -> int:
        """How many dials or links in a row have failed. A realm that can be dialled, but acknowledges
        nothing, is dialled ever less often, too."""
        return max(peer.failures, peer.delivery.unanswered)

    def _can_dial(self, peer: Peer) -> bool:
        """Whether this node links with the realm, and its address is known or may be looked up."""
        if not peer.owned:
            return False
        if peer.known.host is not None:
            return True
        return self._config.discover and is_public_name(peer.known.key)

    def _may_dial(self, peer: Peer) -> bool:
        """Whether the realm is dialled on and on: something waits for it, or its link is kept."""
        kept = peer.known.host is not None and not peer.resting
        return (peer.wanted or kept) and self._can_dial(peer)

    def want(self, peer: Peer) -> bool:
        """Something waits for the realm: dial it, unless that is planned. Returns whether a link is expected
        in a moment, because it rested."""
        if not peer.owned:
            return False
        failures = self._failures(peer)
        if peer.resting and not failures and self._can_dial(peer):
            peer.expected = True
        peer.wanted, peer.resting = True, False
        if not self._is_planned(peer):
            self.soon(peer, None if failures else 0.0)
        return peer.expected

    def _is_planned(self, peer: Peer) -> bool:
        """Whether the next dial of a realm for which something waits is planned. One that was only spread
        over some time, so that not all realms dial at once, is too late."""
        if peer.timer is None or not peer.timer.active():
            return False
        left = peer.timer.getTime() - self._clock.seconds()
        return self._failures(peer) > 0 or left <= FIRST_PAUSE

    def wake(self, peer: Peer, pause: float) -> None:
        """Dial the realm if its link rests, although nothing waits: in `pause` seconds, or later if it was
        dialled without success."""
        planned = peer.timer is not None and peer.timer.active()
        if self._stopping or planned or not peer.resting or not self._can_dial(peer):
            return
        pause = self._backoff(peer) if self._failures(peer) else pause
        peer.timer = self._clock.callLater(pause, self._dial, peer)

    def again(self, peer: Peer, spread: float = CALM_SPREAD) -> None:
        """The link of a realm that may rest was lost. It rests, but is dialled at a moment within `spread`
        seconds, and again for GIVE_UP, so that a restore of either side is noticed. All realms that were
        linked with one that restarts do so, and must not come at once."""
        peer.resting = True
        peer.missed_until = self._clock.seconds() + GIVE_UP
        cancel(peer.timer)
        self.wake(peer, spread * int.from_bytes(self._random_bytes(2)) / 65536)

    async def linked(self, peer: Peer) -> PeerLink:
        """The link of the realm, which is dialled if it rests. Raises RealmDown."""
        if peer.link is None and peer.owned and (peer.resting or peer.expected):
            self.wake(peer, 0.0)
            if not peer.failures:
                signal = self._settled.setdefault(peer.known.key, Signal())
                await signal.wait_at_most(ASK_TIME, self._clock)
        if peer.link is None or not peer.link.is_up:
            raise RealmDown(realm=peer.known.name)
        return peer.link

    def settled(self, peer: Peer) -> None:
        """The realm is linked, or was dialled without success."""
        peer.expected = False
        signal = self._settled.pop(peer.known.key, None)
        if signal is not None:
            signal.notify()

    def probe(self, peer: Peer) -> None:
        """Dial a realm that is linked, to know whether this side can. The new link takes the place of the old
        one."""
        now = self._clock.seconds()
        if self._stopping or peer.dialling or now < peer.next_probe or not self._can_dial(peer):
            return
        peer.next_probe = now + PROBE_EVERY
        probing = self._open(peer).addErrback(
            lambda failure: log.debug(
                "{realm} can't be dialled: {error}", realm=peer.known.name, error=failure.value
            )
        )
        in_background("{realm} was not dialled", probing, realm=peer.known.name)

    def _dial(self, peer: Peer) -> None:
        if self._stopping or peer.link is not None or peer.dialling or not peer.owned:
            return
        peer.dialling = True
        dialling = self._open(peer).addBoth(self._dialled, peer)
        in_background("{realm} was not dialled", dialling, realm=peer.known.name)

    def _open(self, peer: Peer) -> Deferred[PeerLink]:
        """Dial a realm once, where it is known to be or found."""
        known = peer.known
        if known.host is not None and known.port is not None:
            private = self._config.private or self._peers.is_confirmed(peer)
            return self.connect(known.name, known.host, known.port, private=private)
        return self._cancelled_at_stop(self._find(peer))

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
            except (CancelledError, ConnectingCancelledError, LinkSuperseded):
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
            peer.missed_at = self._clock.seconds()
            peer.delivery.not_linked()
            if self._peers.get(peer.known.key) is peer:
                self.soon(peer)
                if self._clock.seconds() < peer.missed_until:
                    self.wake(peer, 0.0)
        self.settled(peer)
