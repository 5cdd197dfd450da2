"""The links to other realms, and the questions over them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from zope.interface import implementer

from chatd.base.cache import Cache
from chatd.base.config import Config
from chatd.base.errors import (
    BadName,
    CertificateChanged,
    ChatError,
    RealmDown,
    RealmNotAllowed,
    UnknownRealm,
)
from chatd.base.isolation import guarded
from chatd.base.model import Added, Member, RealmInfo
from chatd.base.names import key_of, parse_name
from chatd.base.throttle import SenderRates, TokenBucket
from chatd.base.timers import Signal, cancel
from chatd.federation.amp import wire
from chatd.federation.amp.add_realm import RealmAdder
from chatd.federation.amp.delivery import Delivery
from chatd.federation.amp.dialer import Dialer, Endpoint
from chatd.federation.amp.file_sender import FileSender
from chatd.federation.amp.link import PeerLink
from chatd.federation.amp.peer_status import PeerStatus
from chatd.federation.amp.peers import Peer, PeerTable
from chatd.federation.amp.rate_limited_log import RateLimitedLog
from chatd.federation.amp.trust import Authentication
from chatd.federation.amp.unconfirmed import UnconfirmedRealms
from chatd.federation.amp.wire import Introduction, Refused
from chatd.federation.federation import Federation
from chatd.federation.links import ILinks
from chatd.federation.questions import Questions
from chatd.federation.receive import Receiver
from chatd.files.folder import Uploads
from chatd.service.chat_service import ChatService
from chatd.service.remote import QUEUED, Membership, OnOutcome
from chatd.store.mirrors import newest_news
from chatd.store.peers import KnownPeer

YOUNG = 10.0  # seconds in which two links count as dialled at the same time
EXPIRE_EVERY = 60.0
PRESENCE_TIME = 60.0  # seconds for which a peer's answer about presence is kept
CACHED_PRESENCE = 10_000
CLOSING_TIME = 3.0

T = TypeVar("T")
log = Logger()


@implementer(ILinks)
class Directory:
    """ILinks for federation, and the Host of all links. `attach` it to the service, then `start`."""

    def __init__(
        self,
        config: Config,
        clock: Any,
        door: Endpoint,
        uploads: Uploads,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self.clock = clock
        self.sender_rates = SenderRates(config.limits.commands_per_second)
        self._config = config
        self._door = door
        self._uploads = uploads
        self._random_bytes = random_bytes
        self._instance = random_bytes(16)
        self.registry = registry = PeerTable(config)
        self.dialer = Dialer(config.peers, self, door, registry, random_bytes)
        self._links: set[PeerLink] = set()
        self._complaints = RateLimitedLog(clock)
        # Of the realms that this side dials; strangers can't use up their lines.
        self._dialled_complaints = RateLimitedLog(clock)
        self._online: Cache[tuple[str, str], tuple[float, bool | None]] = Cache(CACHED_PRESENCE)
        self._expiring = LoopingCall(self._expire)
        self._expiring.clock = clock
        self._stopping = False
        self._link_lost = Signal()
        self.receiver: Receiver
        self.questions: Questions

    def attach(self, service: ChatService, federation: Federation) -> None:
        self._service = service
        self._federation = federation
        self.receiver = federation.receiver
        self.questions = federation.questions
        self.registry.attach(service, self._deliver)
        self._adding = RealmAdder(self._config, service, self.registry, self.dialer)
        self._strangers = UnconfirmedRealms(service, federation, self.registry)
        self._status = PeerStatus(self.clock, service, federation.outbox, self.registry)

    def load(self, known: Sequence[KnownPeer]) -> None:
        """Take what was remembered, and what the configuration says."""
        self.registry.load(known)

    def start(self) -> None:
        """Begin to dial, and to look for what waits too long."""
        for peer in self.registry.peers.values():
            self.dialer.soon(peer, 0.0)
        self._expiring.start(EXPIRE_EVERY, now=False)

    async def stop(self) -> None:
        """Close all links; what is under way goes over the next ones."""
        self._stopping = True
        if self._expiring.running:
            self._expiring.stop()
        self.dialer.stop()
        for link in list(self._links):
            guarded("a link was not closed", link.close)
        dropping = self.clock.callLater(CLOSING_TIME, self._abort)
        while self._links:
            await self._link_lost.wait()
        cancel(dropping)
        self._federation.outbox.tidy()
        await self._federation.files.drop_all()

    def _abort(self) -> None:
        for link in list(self._links):
            guarded("a link was not aborted", link.abort)

    def _deliver(self, peer: Peer) -> Delivery:
        service = self._service
        return Delivery(
            peer.known.key,
            self.clock,
            self._federation.outbox,
            self._federation.bounces,
            FileSender(service.database, self._uploads),
            lambda: peer.known.name,
        )

    # Host: what links need

    def connected(self, link: PeerLink) -> None:
        """There is a connection; who is at the other end is not known yet."""
        self._links.add(link)
        if self._stopping:
            link.abort()

    def authenticate(self, link: PeerLink) -> Authentication:
        """Raises what `trust.authenticate` does."""
        try:
            judged = self._door.authenticate(link, lambda realm: self._adding.known_of(realm, link))
        except CertificateChanged as error:
            peer = self.registry.get(key_of(str(error.details["realm"])))
            if peer is not None and peer.link is None:
                peer.error = str(error)  # whichever end has connected
            raise
        self._check_name(judged.realm)
        link.authentication = judged
        self._adding.judged(link, judged)
        return judged

    def _check_name(self, realm: str) -> None:
        """Raises RealmNotAllowed for a new realm with a misleading name."""
        if self.registry.get(realm) is not None or self._adding.is_adding(realm):
            return
        try:
            self.registry.check_name(realm, against=lambda _peer: True)
        except BadName as error:
            raise RealmNotAllowed(
                realm=realm, where=self._config.realm, reason=str(error)
            ) from None

    async def introduce(self, realm: str) -> Introduction:
        def newest_of(connection: Connection) -> int:
            message = self._service.context.writers.messages.newest_from(connection, realm)
            return max(message, newest_news(connection, realm))

        newest = await self._service.database.run(newest_of)
        return Introduction(
            self._config.realm, wire.VERSION, list(wire.CAPABILITIES), self._instance, newest
        )

    async def accept(self, link: PeerLink, other: Introduction) -> None:
        """Raises Refused if there is a better link, or the name is not the certificate's."""
        try:
            name = parse_name(other.realm)
        except BadName:
            name = ""
        if key_of(name) != link.realm:
            raise Refused("wrong-name")
        if other.last > 0:
            await self._federation.outbox.skip(other.last)
        if self.registry.get(link.realm) is None and not self._adding.is_adding(link.realm):
            await self._strangers.make_room(link.realm)
        if self._stopping or link.transport is None:
            raise Refused("shutting-down")
        # Another certificate may have been accepted for this realm since the handshake.
        judged = self.authenticate(link)
        peer = self.registry.get(link.realm) or self.registry.add(KnownPeer(link.realm, name))
        if peer.link is not None and not self._is_better(link, peer.link):
            raise Refused(wire.ALREADY_LINKED)
        known = self.registry.linked(msgspec.structs.replace(peer.known, name=name))
        if judged.remember:
            known = msgspec.structs.replace(known, certificate=judged.pem)
        await self.registry.remember(peer, known)
        if link.transport is None or self.registry.get(link.realm) is not peer:
            raise Refused("gone")
        self.authenticate(link)
        if peer.link is not None and not self._is_better(link, peer.link):
            raise Refused(wire.ALREADY_LINKED)  # there was none a moment ago
        old, peer.link = peer.link, link
        peer.source = link.route.source
        if old is not None:
            peer.delivery.link_down()
            old.abort()

    def _is_better(self, new: PeerLink, old: PeerLink) -> bool:
        """Which of two links to the same realm stays; both ends come to the same."""
        if new.instance != old.instance or new.dialled == old.dialled:
            return True
        if self.clock.seconds() - old.since > YOUNG:
            return True
        return new.dialled == (self.registry.own_key < new.realm)

    def ready(self, link: PeerLink) -> None:
        """The link is up at both ends."""
        peer = self.registry.get(link.realm)
        if peer is None or peer.link is not link:
            link.close()
            return
        peer.failures = 0
        peer.error = None
        peer.since = self._service.context.now()
        cancel(peer.timer)
        log.info(
            "linked with {realm} at {address}", realm=peer.known.name, address=link.route.address
        )
        peer.delivery.link_up(link)

    def lost(self, link: PeerLink, reason: ChatError | None) -> None:
        """The connection is gone. `reason` says why the link never came up, if it is known."""
        self._links.discard(link)
        peer = self.registry.get(link.realm)
        if peer is not None and peer.link is link:
            self._forget_link(peer, reason)
        self._link_lost.notify()

    def _forget_link(self, peer: Peer, reason: ChatError | None) -> None:
        log.info("the link with {realm} is lost", realm=peer.known.name)
        peer.link = None
        seen = self.registry.remember(peer, self.registry.linked(peer.known))
        seen.addErrback(lambda failure: log.failure("a link's end was not written", failure))
        peer.since = self._service.context.now()
        peer.error = str(reason) if reason else "the link was lost"
        peer.delivery.link_down()
        dropped = Deferred.fromCoroutine(self.receiver.lost(peer.known.key))
        dropped.addErrback(lambda failure: log.failure("files were not set aside", failure))
        self.dialer.soon(peer)

    def warn_of(self, source: str, dialled: str, sentence: str) -> None:
        if dialled:
            self._dialled_complaints.warn(dialled, sentence)
        else:
            self._complaints.warn(source, sentence)

    def new_bucket(self) -> TokenBucket:
        return TokenBucket.of(self._config.peers.messages_per_second)

    def new_reference(self) -> str:
        return self._random_bytes(4).hex()

    # ILinks

    def name_of(self, realm: str) -> str:
        return self.registry.find(realm).known.name

    def dispatch(
        self,
        realm: str,
        number: int,
        parcel: bytes,
        file: int | None,
        on_outcome: OnOutcome,
    ) -> None:
        peer = self.registry.get(realm)
        if peer is None:
            on_outcome(QUEUED)
            return
        try:
            peer.delivery.dispatch(number, parcel, file, on_outcome)
        except Exception:
            self._begin_anew(peer)

    def post(self, realm: str, number: int, parcel: bytes, file: int | None) -> None:
        peer = self.registry.get(realm)
        if peer is None:
            return
        try:
            peer.delivery.post(number, parcel, file)
        except Exception:
            self._begin_anew(peer)

    def _begin_anew(self, peer: Peer) -> None:
        """Within `except`: drop the link, because handing it a parcel failed. The next link sends all
        parcels, which are on disk; waiting senders are told that theirs are queued."""
        log.failure("a parcel was not handed to the link with {realm}", realm=peer.known.name)
        if peer.link is not None:
            guarded("the link was not dropped", peer.link.abort)

    def _ask(self, realm: str, question: Callable[[PeerLink], Awaitable[T]]) -> Deferred[T]:
        async def ask() -> T:
            peer = self.registry.find(realm)
            if peer.link is None or not peer.link.is_up:
                raise RealmDown(realm=peer.known.name)
            return await question(peer.link)

        return Deferred.fromCoroutine(ask())

    def join(self, realm: str, user: str, group: str) -> Deferred[Membership]:
        return self._ask(realm, lambda link: link.requests.join(user, group))

    def members(self, realm: str, user: str, group: str) -> Deferred[Sequence[Member]]:
        return self._ask(realm, lambda link: link.requests.members(user, group))

    def change(
        self, realm: str, user: str, group: str, change: str, users: Sequence[str]
    ) -> Deferred[Mapping[str, Sequence[str]]]:
        return self._ask(realm, lambda link: link.requests.change(user, group, change, users))

    def presence(self, realm: str, users: Collection[str]) -> Deferred[dict[str, bool]]:
        return Deferred.fromCoroutine(self._presence(realm, users))

    async def _presence(self, realm: str, users: Collection[str]) -> dict[str, bool]:
        now = self.clock.seconds()
        fresh = {
            user: found[1]
            for user in users
            if (found := self._online.get((realm, user))) is not None and found[0] > now
        }
        asked = [user for user in users if user not in fresh]
        if asked:
            answer = await self._ask(realm, lambda link: link.requests.presence(asked))
            for user in asked:
                fresh[user] = answer.get(user)
                self._online[realm, user] = now + PRESENCE_TIME, fresh[user]
        return {user: online for user, online in fresh.items() if online is not None}

    def is_added(self, realm: str) -> bool:
        return self.registry.is_added(realm)

    def source_of(self, realm: str) -> str:
        peer = self.registry.get(realm)
        return "" if peer is None else peer.source

    def add(self, realm: str, host: str, port: int, by_operator: bool) -> Deferred[Added]:
        return Deferred.fromCoroutine(self._adding.add(realm, host, port, by_operator))

    def forget(self, realm: str) -> Deferred[int]:
        if self.registry.get(realm) is None:
            return fail(UnknownRealm(realm=realm))
        return Deferred.fromCoroutine(self._forget(realm))

    async def _forget(self, realm: str) -> int:
        await self.registry.forget(realm)
        if realm in self._config.peers.known:
            # The configuration still names it.
            self.dialer.soon(self.registry.add(KnownPeer(realm, realm)))
        depths = await self._federation.outbox.depths()
        return depths[realm].queued if realm in depths else 0

    def all(self, detailed: bool = True) -> Deferred[Sequence[RealmInfo]]:
        return Deferred.fromCoroutine(self._status.all(detailed))

    # What waits too long

    async def _expire(self) -> None:
        before = self._service.context.now() - self._config.peers.expire * 1000
        try:
            while await self._federation.bounces.expire(before):
                pass
        except Exception:
            log.failure("what has waited too long could not be sent back")
        try:
            await self._strangers.forget_idle()
        except Exception:
            log.failure("realms that nobody talks with could not be forgotten")
