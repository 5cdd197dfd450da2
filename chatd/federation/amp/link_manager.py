"""All links to other realms: keeps one for each realm, and handles those that come up, fail or must end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
from twisted.logger import Logger

from chatd.base.background import in_background
from chatd.base.errors import BadName, BadSignature, ChatError
from chatd.base.isolation import guarded
from chatd.base.names import key_of, parse_name
from chatd.base.throttle import SenderRates, TokenBucket
from chatd.base.timers import Signal, Timer, cancel
from chatd.federation import capabilities
from chatd.federation.amp import wire
from chatd.federation.amp.add_realm import RealmAdder
from chatd.federation.amp.admission import Admission
from chatd.federation.amp.dialer import FIRST_PAUSE, Dialer, Endpoint
from chatd.federation.amp.link import PeerLink
from chatd.federation.amp.peers import Peer, PeerTable
from chatd.federation.amp.place_finder import PlaceFinder
from chatd.federation.amp.rate_limited_log import RateLimitedLog
from chatd.federation.amp.resting import Resting
from chatd.federation.amp.trust import Authentication
from chatd.federation.amp.unconfirmed import UnconfirmedRealms
from chatd.federation.amp.wire import Introduction, Refused
from chatd.federation.federation import Federation
from chatd.federation.parcels import encode
from chatd.service.context import Context
from chatd.store.peers import KnownPeer

YOUNG = 10.0  # seconds within which two links count as dialled at the same time
CLOSING_TIME = 3.0  # seconds after which a shutdown drops the links that are not closed

log = Logger()


class LinkManager:
    """The host of all links: they ask it, and tell it what happens to them."""

    def __init__(
        self,
        context: Context,
        federation: Federation,
        peers: PeerTable,
        endpoint: Endpoint,
        unconfirmed: UnconfirmedRealms,
        finder: PlaceFinder,
    ) -> None:
        self.clock = context.clock
        self.sender_rates = SenderRates(context.config.limits.commands_per_second)
        self.links: dict[PeerLink, float] = {}  # the open connections, and since when by the clock
        self.dialer = Dialer(context, self, endpoint, peers, finder)
        self.resting = Resting(context, federation, peers, self.dialer)
        self.adder = RealmAdder(context, peers, self.dialer)
        self._admission = Admission(context, endpoint, peers, self.adder, unconfirmed)
        self.context = context
        self.federation = federation
        self._peers = peers
        self._instance = context.random_bytes(16)
        # Unknown clients can't use up the lines of the realms that this side dials.
        self._warnings = {dialled: RateLimitedLog(self.clock) for dialled in (False, True)}
        self._stopping: Signal | None = None  # during the shutdown: a link was lost
        # As they were last looked at
        self._config = context.config.peers
        self._blocked = context.blocked_realms
        # Whether this node may have a link with the peer whose start has that instance; the last argument
        # says whether this node has dialled (chatd.federation.amp.link_leases)
        self.obtain: Callable[[Peer, bytes, bool], Awaitable[bool]] | None = None
        # Told of a realm with which a link of this node has come up or was lost
        self.on_link: Callable[[str], object] = lambda _realm: None
        context.on_config(self._reconfigure)
        context.on_banned(self._reconfigure)

    def _reconfigure(self) -> None:
        """The configuration or the banned realms have changed: link with realms that are named now, end links
        that are forbidden, and make those anew whose certificates are judged by other rules."""
        self.sender_rates.allow(self.context.config.limits.commands_per_second)
        before, now = self._config, self.context.config.peers
        unblocked, self._blocked = self._blocked, self.context.blocked_realms
        unblocked -= self._blocked
        self._config = now
        others = (before.trust, before.ca_file) != (now.trust, now.ca_file)
        renewed = set(self._peers.reconfigure())
        for peer in self._peers.by_key.values():
            link = peer.link
            blocked = peer.known.key in self._blocked
            if blocked:
                cancel(peer.timer)
            if link is not None and (others or blocked or peer in renewed):
                guarded("a link was not closed", link.close)
            elif peer in renewed or peer.known.key in unblocked:
                self.dialer.soon(peer, 0.0)

    async def stop(self) -> None:
        """Dial no more, and close all links. What is under way goes over the next ones."""
        self._stopping = Signal()
        self.dialer.stop()
        for link in list(self.links):
            guarded("a link was not closed", link.close)
        dropping = Timer(self.clock, self._abort)
        dropping.start(CLOSING_TIME)
        while self.links:
            await self._stopping.wait()
        dropping.cancel()

    def _abort(self) -> None:
        for link in list(self.links):
            guarded("a link was not aborted", link.abort)

    # For the links

    def connected(self, link: PeerLink) -> None:
        """There is a connection; the realm at the other end is not known yet."""
        self.links[link] = self.clock.seconds()
        if self._stopping is not None:
            link.abort()

    def authenticate(self, link: PeerLink) -> Authentication:
        """Identify the other end by its certificate. Raises ChatError."""
        return self._admission.authenticate(link)

    def introduce(self) -> Introduction:
        """What this realm says of itself."""
        return Introduction(
            self.context.config.realm,
            wire.VERSION,
            list(capabilities.ALL),
            self._instance,
            self.federation.keys.announcement,
        )

    async def introduce_to(self, realm: str) -> Introduction:
        """As `introduce`, with how this realm stands with that one."""
        standing = await self.federation.standings.tell(realm)
        return msgspec.structs.replace(self.introduce(), standing=encode(standing))

    def refused(self, realm: str, error: ChatError) -> None:
        """The realm with that key was not let in, although its certificate was accepted."""
        peer = self._peers.get(realm)
        if peer is not None and peer.link is None:
            peer.error = str(error)

    async def accept(self, link: PeerLink, other: Introduction) -> None:
        """Make `link` the link to its realm. Raises Refused if there is a better one, or if the name is not
        that of the certificate."""
        peers, name = self._peers, _name_in(other)
        if key_of(name) != link.realm:
            raise Refused("wrong-name")
        await self._admission.make_room(link.realm)
        if self._stopping is not None or link.transport is None:
            raise Refused("shutting-down")
        # Another certificate may have been accepted for this realm since the handshake.
        authentication = self.authenticate(link)
        peer = peers.get(link.realm) or peers.add(KnownPeer(link.realm, name))
        if self.obtain is not None and not await self.obtain(
            peer, other.instance, bool(link.dialled)
        ):
            raise Refused("busy")
        self._check_better(link, peer)
        known = peers.linked(msgspec.structs.replace(peer.known, name=name))
        if authentication.remember:
            known = msgspec.structs.replace(known, certificate=authentication.pem)
        await peers.remember(peer, known)
        await self._learn_keys(link.realm, other.keys)
        if link.transport is None or peers.get(link.realm) is not peer or not peer.owned:
            raise Refused("gone")
        self.authenticate(link)
        self._check_better(link, peer)
        old, peer.link = peer.link, link
        peer.source = link.route.source
        if old is not None:
            peer.delivery.link_down()
            self.federation.link_down(link.realm)
            old.abort()

    async def _learn_keys(self, realm: str, keys: bytes | None) -> None:
        """Note the keys with which a realm signs. Raises Refused."""
        try:
            await self.federation.keys.learn(realm, keys or b"")
        except BadSignature:
            raise Refused("bad-keys") from None

    def _check_better(self, link: PeerLink, peer: Peer) -> None:
        """Raises Refused if the peer has a link that is better than `link`. Both ends come to the same
        result."""
        if self.keeps(peer, link.other.instance, link.dialled):
            raise Refused(wire.ALREADY_LINKED)

    def keeps(self, peer: Peer, instance: bytes, dialled: bool) -> bool:
        """Whether the link that the peer has is better than a new one with its start of that `instance`.
        `dialled`: this realm has dialled the new one."""
        old = peer.link
        if (
            old is None
            or instance != old.other.instance
            or dialled == old.dialled
            or self.clock.seconds() - self.links[old] > YOUNG
        ):
            return False
        return dialled != (self._peers.own_key < peer.known.key)

    def ready(self, link: PeerLink) -> None:
        """The link is up at both ends."""
        peer = self._peers.get(link.realm)
        if peer is None or peer.link is not link:
            link.close()
            return
        peer.failures = 0
        peer.error = None
        peer.wanted = peer.resting = False
        peer.missed_until = 0.0
        peer.reached = peer.reached or link.dialled
        self.dialer.finder.forget(link.realm)
        peer.since = self.context.now()
        cancel(peer.timer)
        log.info(
            "linked with {realm} at {address}", realm=peer.known.name, address=link.route.address
        )
        peer.delivery.link_up(link)
        self.federation.link_up(peer.known.key)
        self.on_link(peer.known.key)
        self.dialer.settled(peer)

    def lost(self, link: PeerLink, reason: ChatError | None) -> None:
        """The connection is gone. `reason` says why the link never came up, if it is known."""
        self.links.pop(link, None)
        peer = self._peers.get(link.realm)
        if peer is not None and peer.link is link:
            self._peer_lost(peer, reason)
        if self._stopping is not None:
            self._stopping.notify()

    def _peer_lost(self, peer: Peer, reason: ChatError | None) -> None:
        if peer.resting:
            log.info("the link with {realm} rests", realm=peer.known.name)
        else:
            log.info("the link with {realm} is lost", realm=peer.known.name)
        peer.link, peer.missed_at = None, self.clock.seconds()
        remembering = self._peers.remember(peer, self._peers.linked(peer.known))
        in_background("the end of a link was not written", remembering)
        peer.since = self.context.now()
        peer.error = None if peer.resting else str(reason) if reason else "the link was lost"
        peer.delivery.link_down()
        self.federation.receiver.lost(peer.known.key)
        self.federation.link_down(peer.known.key)
        self.on_link(peer.known.key)
        if peer.known.rests and not peer.resting:
            self.dialer.again(peer)
        else:
            self.dialer.soon(peer)
        in_background("nothing was looked up in the outbox", self._dial_if_waiting(peer))

    async def _dial_if_waiting(self, peer: Peer) -> None:
        """Dial a realm that would not be dialled otherwise, or later, if something waits for it or somebody
        here follows who is online there."""
        key = peer.known.key
        if peer.known.host is not None and not peer.known.rests:
            return
        waits = await self.federation.outbox.waits(key)
        followed = not waits and await self.federation.presence.is_followed(key)
        if peer.link is not None or self._peers.get(key) is not peer:
            return
        if waits:
            self.dialer.want(peer)
        elif followed and peer.missed_until:
            self.dialer.again(peer, FIRST_PAUSE)

    def is_added(self, realm: str) -> bool:
        """Whether somebody here has added the realm with that key."""
        return self._peers.is_added(realm)

    def warn_of(self, source: str, dialled: str, sentence: str) -> None:
        """Log a mistake of a client at `source`, or of the realm with the key `dialled` if that is not empty,
        unless too many were logged."""
        self._warnings[bool(dialled)].warn(dialled or source, sentence)

    def new_bucket(self) -> TokenBucket:
        """The rate limit of what one realm may send."""
        return TokenBucket.of(self.context.config.peers.messages_per_second)


def _name_in(introduction: Introduction) -> str:
    """The name of the other realm; empty if it is malformed."""
    try:
        return parse_name(introduction.realm)
    except BadName:
        return ""
