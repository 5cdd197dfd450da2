"""The realms that this one knows: where they are, what certificate they show, and the link to each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, Protocol, TypeVar

import msgspec
from cryptography.x509 import load_pem_x509_certificate
from sqlalchemy import Connection
from twisted.internet.defer import Deferred, DeferredList, fail, succeed
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from chatd.cache import Cache
from chatd.config import Config
from chatd.errors import (
    BadName,
    CertificateChanged,
    ChatError,
    RealmDown,
    RealmExists,
    RealmNotAllowed,
    UnknownRealm,
)
from chatd.inbound import Inbound
from chatd.isolation import guarded
from chatd.model import Member, RealmInfo
from chatd.names import key_of, parse_name
from chatd.parcels import Verdict
from chatd.peers import wire
from chatd.peers.delivery import Delivery
from chatd.peers.link import Introduction, PeerLink, Unsettled
from chatd.peers.reach import place_of, why
from chatd.peers.transfer import Transfers
from chatd.peers.trust import Judged, Known, fingerprint
from chatd.peers.wire import Refused
from chatd.realms import IRealms, Membership
from chatd.service import ChatService
from chatd.store import peers as store
from chatd.store.groups import newest_news
from chatd.store.peers import KnownPeer
from chatd.throttle import TokenBucket
from chatd.timers import cancel, patiently
from chatd.uploads import Uploads

FIRST_PAUSE = 1.0  # seconds before the first new try; each further pause is twice as long
LONGEST_PAUSE = 300.0
YOUNG = 10.0  # seconds in which two links count as dialled at the same time
MAX_STRANGERS = 1000  # realms that came by themselves and are remembered
EXPIRE_EVERY = 60.0
PRESENCE_TIME = 60.0  # seconds for which one believes who is online elsewhere
CACHED_PRESENCE = 10_000
CLOSING_TIME = 3.0

T = TypeVar("T")
log = Logger()


class IDoor(Protocol):
    """How links come about: see chatd.peers.door."""

    def dial(self, host: Directory, realm: str, to: str, port: int) -> Deferred[PeerLink]: ...

    def judge(self, link: PeerLink, known_of: Callable[[str], Known]) -> Judged: ...


class Peer:
    """One other realm. `since` is when its link came up or went, in milliseconds since 1970 UTC."""

    def __init__(self, known: KnownPeer, fingerprint: str | None, now: int) -> None:
        self.known = known
        self.fingerprint = fingerprint
        self.link: PeerLink | None = None
        self.delivery: Delivery
        self.since = now
        self.error: str | None = None
        self.failures = 0
        self.dialling = False
        self.timer: Any = None

    @property
    def shown(self) -> str:
        """The fingerprint of the certificate that is remembered; nothing if none is."""
        pem = self.known.certificate
        return "" if pem is None else fingerprint(load_pem_x509_certificate(pem.encode()))

    @property
    def address(self) -> str | None:
        host, port = self.known.host, self.known.port
        return None if host is None or port is None else place_of(host, port)


@implementer(IRealms)
class Directory:
    """IRealms for the service, and the Host of all links. `attach` it to the service, then `start`."""

    def __init__(
        self,
        config: Config,
        clock: Any,
        door: IDoor,
        uploads: Uploads,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self.clock = clock
        self._config = config
        self._door = door
        self._uploads = uploads
        self._random_bytes = random_bytes
        self._instance = random_bytes(16)
        self._own_key = key_of(config.realm)
        self._peers: dict[str, Peer] = {}
        self._links: set[PeerLink] = set()
        self._dials: set[Deferred[PeerLink]] = set()
        self._adding: set[str] = set()
        self._online: Cache[tuple[str, str], tuple[float, bool | None]] = Cache(CACHED_PRESENCE)
        self._expiring = LoopingCall(self._expire)
        self._expiring.clock = clock
        self._stopping = False
        self.inbound: Inbound

    def attach(self, service: ChatService) -> None:
        self._service = service
        self.inbound = service.inbound

    def load(self, known: Sequence[KnownPeer]) -> None:
        """Take what was remembered, and what the configuration says."""
        for each in known:
            self._add(each)
        for key in self._config.peers.known:
            if key != self._own_key and key not in self._peers:
                self._add(KnownPeer(key, key))

    def start(self) -> None:
        """Begin to dial, and to look for what waits too long."""
        for peer in self._peers.values():
            self._dial_soon(peer, 0.0)
        self._expiring.start(EXPIRE_EVERY, now=False)

    async def stop(self) -> None:
        """Close all links; what is under way goes over the next ones."""
        self._stopping = True
        if self._expiring.running:
            self._expiring.stop()
        for peer in self._peers.values():
            cancel(peer.timer)
        for dialling in list(self._dials):
            guarded("a dial was not cancelled", dialling.cancel)
        gone = []
        for link in list(self._links):
            guarded("a link was not closed", link.close)
            gone.append(link.gone)
        await patiently(self.clock, DeferredList(gone), CLOSING_TIME, self._abort)
        self._service.outbox.tidy()
        await self._service.arrivals.drop_all()

    def _abort(self) -> None:
        for link in list(self._links):
            guarded("a link was not aborted", link.abort)

    # Knowing realms

    def _add(self, known: KnownPeer) -> Peer:
        configured = self._config.peers.known.get(known.key)
        fingerprint = None
        if configured is not None:
            fingerprint = configured.fingerprint
            if configured.address is not None:
                host, _, port = configured.address.rpartition(":")
                known = msgspec.structs.replace(known, host=host.strip("[]"), port=int(port))
        service = self._service
        peer = Peer(known, fingerprint, service.accounts.now())
        peer.delivery = Delivery(
            known.key,
            self.clock,
            service.outbox,
            service.returns,
            Transfers(service.database, self._uploads),
            lambda: peer.known.name,
        )
        self._peers[known.key] = peer
        return peer

    def _find(self, realm: str) -> Peer:
        peer = self._peers.get(realm)
        if peer is None:
            raise UnknownRealm(realm=realm)
        return peer

    def _known(self, realm: str) -> Known:
        """What is known of whoever shows a certificate of that realm."""
        peer = self._peers.get(realm)
        added = realm in self._adding or realm in self._config.peers.known
        if peer is None:
            return Known(added)
        added = added or peer.known.host is not None
        return Known(added, peer.fingerprint, peer.known.certificate)

    def _remember(self, peer: Peer, known: KnownPeer) -> Deferred[None]:
        if known == peer.known and known.certificate is not None:
            return succeed(None)
        peer.known = known
        now = self._service.accounts.now()
        return self._service.database.run(store.remember, known, now)

    # Host: what links need

    def met(self, link: PeerLink) -> None:
        """There is a connection; who is at the other end is not known yet."""
        self._links.add(link)
        if self._stopping:
            link.abort()

    def judge(self, link: PeerLink) -> Judged:
        """Raises what `trust.judge` does."""
        try:
            judged = self._door.judge(link, self._known)
        except CertificateChanged as error:
            peer = self._peers.get(key_of(str(error.details["realm"])))
            if peer is not None and peer.link is None:
                peer.error = str(error)  # whoever of the two has connected
            raise
        strangers = sum(peer.known.host is None for peer in self._peers.values())
        if judged.realm not in self._peers and not link.dialled and strangers >= MAX_STRANGERS:
            raise RealmNotAllowed(
                realm=judged.realm, where=self._config.realm, reason="it knows too many already"
            )
        link.judged = judged
        return judged

    async def introduce(self, realm: str) -> Introduction:
        def newest_of(connection: Connection) -> int:
            message = self._service.messages.writer.newest_from(connection, realm)
            return max(message, newest_news(connection, realm))

        newest = await self._service.database.run(newest_of)
        return Introduction(
            self._config.realm, wire.VERSION, list(wire.CAPABILITIES), self._instance, newest
        )

    async def up(self, link: PeerLink, other: Introduction) -> None:
        """Raises Refused if there is a better link, or the name is not the certificate's."""
        try:
            name = parse_name(other.realm)
        except BadName:
            name = ""
        if key_of(name) != link.realm:
            raise Refused("wrong-name")
        if other.last > 0:
            await self._service.outbox.skip(other.last)
        if self._stopping or link.transport is None:
            raise Refused("shutting-down")
        peer = self._peers.get(link.realm) or self._add(KnownPeer(link.realm, name))
        if peer.link is not None and not self._is_better(link, peer.link):
            raise Refused(wire.ALREADY_LINKED)
        assert link.judged is not None  # noqa: S101 - or it would not have come here
        known = msgspec.structs.replace(peer.known, name=name)
        if link.judged.remember:
            known = msgspec.structs.replace(known, certificate=link.judged.pem)
        await self._remember(peer, known)
        if link.transport is None:
            raise Refused("gone")
        if peer.link is not None and not self._is_better(link, peer.link):
            raise Refused(wire.ALREADY_LINKED)  # there was none a moment ago
        old, peer.link = peer.link, link
        if old is not None:
            peer.delivery.link_down()
            old.abort()

    def _is_better(self, new: PeerLink, old: PeerLink) -> bool:
        """Which of two links to the same realm stays; both ends come to the same."""
        if new.instance != old.instance or new.dialled == old.dialled:
            return True
        if self.clock.seconds() - old.since > YOUNG:
            return True
        return new.dialled == (self._own_key < new.realm)

    def ready(self, link: PeerLink) -> None:
        """The link is up at both ends."""
        peer = self._peers.get(link.realm)
        if peer is None or peer.link is not link:
            link.close()
            return
        peer.failures = 0
        peer.error = None
        peer.since = self._service.accounts.now()
        cancel(peer.timer)
        log.info("linked with {realm} at {address}", realm=peer.known.name, address=link.address)
        peer.delivery.link_up(link)

    def down(self, link: PeerLink, reason: ChatError | None) -> None:
        """The link is gone; `reason` says why it never was up, if that is so."""
        self._links.discard(link)
        peer = self._peers.get(link.realm)
        if peer is None or peer.link is not link:
            return
        log.info("the link with {realm} is lost", realm=peer.known.name)
        peer.link = None
        peer.since = self._service.accounts.now()
        peer.error = str(reason) if reason else "the link was lost"
        peer.delivery.link_down()
        dropped = Deferred.fromCoroutine(self.inbound.lost(link.realm))
        dropped.addErrback(lambda failure: log.failure("files were not set aside", failure))
        self._dial_soon(peer)

    def new_bucket(self) -> TokenBucket:
        return TokenBucket.of(self._config.peers.messages_per_second)

    def new_reference(self) -> str:
        return self._random_bytes(4).hex()

    # Dialling

    def _dial_soon(self, peer: Peer, pause: float | None = None) -> None:
        """Dial again after a while that grows, and differs from realm to realm."""
        if self._stopping or peer.known.host is None or peer.link is not None or peer.dialling:
            return
        if peer.known.key in self._config.peers.block:
            peer.error = "it is blocked here"
            return
        if pause is None:
            longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(peer.failures, 16))
            pause = longest * (0.5 + self._random_bytes(1)[0] / 512)
        cancel(peer.timer)
        peer.timer = self.clock.callLater(pause, self._dial, peer)

    def _dial(self, peer: Peer) -> None:
        if self._stopping or peer.link is not None or peer.dialling:
            return
        known = peer.known
        assert known.host is not None and known.port is not None  # noqa: S101, PT018
        peer.dialling = True
        dialling = self._connect(known.name, known.host, known.port)
        dialling.addBoth(self._dialled, peer)
        dialling.addErrback(lambda failure: log.failure("dialling", failure))

    def _connect(self, name: str, host: str, port: int) -> Deferred[PeerLink]:
        def over(result: Any) -> Any:
            self._dials.discard(dialling)
            return result

        dialling = self._door.dial(self, name, host, port)
        self._dials.add(dialling)
        return dialling.addBoth(over)

    def _dialled(self, result: object, peer: Peer) -> None:
        peer.dialling = False
        if isinstance(result, Failure) and peer.link is None and not self._stopping:
            error = why(result, peer.known.name, peer.address or "")
            if str(error) != peer.error:
                log.warn("{realm}: {error}", realm=peer.known.name, error=str(error))
            peer.error = str(error)
            peer.failures += 1
            if self._peers.get(peer.known.key) is peer:
                self._dial_soon(peer)

    # IRealms

    def name_of(self, realm: str) -> str:
        return self._find(realm).known.name

    def dispatch(
        self,
        realm: str,
        number: int,
        parcel: bytes,
        file: int | None,
        then: Callable[[Verdict | None], Any],
    ) -> None:
        peer = self._peers.get(realm)
        if peer is None:
            then(None)
            return
        try:
            peer.delivery.dispatch(number, parcel, file, then)
        except Exception:
            self._begin_anew(peer)

    def post(self, realm: str, number: int, parcel: bytes, file: int | None) -> None:
        peer = self._peers.get(realm)
        if peer is None:
            return
        try:
            peer.delivery.post(number, parcel, file)
        except Exception:
            self._begin_anew(peer)

    def _begin_anew(self, peer: Peer) -> None:
        """Within `except`: drop the link, since handing it a parcel failed. All parcels are on disk, and go
        over the next one; whoever waits is told that theirs is queued."""
        log.failure("a parcel was not handed to the link with {realm}", realm=peer.known.name)
        if peer.link is not None:
            guarded("the link was not dropped", peer.link.abort)

    def _ask(self, realm: str, question: Callable[[PeerLink], Awaitable[T]]) -> Deferred[T]:
        async def ask() -> T:
            peer = self._find(realm)
            if peer.link is None or not peer.link.is_up:
                raise RealmDown(realm=peer.known.name)
            return await question(peer.link)

        return Deferred.fromCoroutine(ask())

    def join(self, realm: str, user: str, group: str) -> Deferred[Membership]:
        return self._ask(realm, lambda link: link.join(user, group))

    def members(self, realm: str, user: str, group: str) -> Deferred[Sequence[Member]]:
        return self._ask(realm, lambda link: link.members(user, group))

    def change(
        self, realm: str, user: str, group: str, change: str, users: Sequence[str]
    ) -> Deferred[dict[str, Any]]:
        return self._ask(realm, lambda link: link.change(user, group, change, users))

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
            answer = await self._ask(realm, lambda link: link.presence(asked))
            for user in asked:
                fresh[user] = answer.get(user)
                self._online[realm, user] = now + PRESENCE_TIME, fresh[user]
        return {user: online for user, online in fresh.items() if online is not None}

    def add(self, realm: str, host: str, port: int) -> Deferred[str]:
        return Deferred.fromCoroutine(self._add_realm(realm, host, port))

    async def _add_realm(self, realm: str, host: str, port: int) -> str:
        key = key_of(realm)
        if key in self._config.peers.block:
            raise RealmNotAllowed(
                realm=realm, where=self._config.realm, reason="[peers] block names it"
            )
        peer = self._peers.get(key)
        if key in self._adding or (peer is not None and peer.known.host is not None):
            raise RealmExists(realm=realm)
        self._adding.add(key)
        address = place_of(host, port)
        refused: ChatError | None = None
        try:
            await self._connect(realm, host, port)
        except Unsettled:
            if key not in self._peers or self._peers[key].link is None:
                raise why(Failure(), realm, address) from None
        except Exception:
            refused = why(Failure(), realm, address)
            # Who does not let this realm in may do so once its operator has added it, too.
            if not isinstance(refused, RealmNotAllowed) or refused.details["where"] != realm:
                raise refused from None
        finally:
            self._adding.discard(key)
        peer = self._peers.get(key) or self._add(KnownPeer(key, realm))
        await self._remember(peer, msgspec.structs.replace(peer.known, host=host, port=port))
        if peer.link is None:
            if refused is not None:
                peer.error = str(refused)
                peer.failures += 1
            self._dial_soon(peer)
            if refused is not None:
                raise refused
        return peer.shown

    def forget(self, realm: str) -> Deferred[int]:
        peer = self._peers.get(realm)
        if peer is None:
            return fail(UnknownRealm(realm=realm))
        del self._peers[realm]
        cancel(peer.timer)
        if peer.link is not None:
            peer.delivery.link_down()
            peer.link.close()
        return Deferred.fromCoroutine(self._forget(realm))

    async def _forget(self, realm: str) -> int:
        await self._service.database.run(store.forget, realm)
        if realm in self._config.peers.known:
            # What the configuration says holds, whatever was remembered besides.
            self._dial_soon(self._add(KnownPeer(realm, realm)))
        depths = await self._service.outbox.depths()
        return depths[realm].queued if realm in depths else 0

    def all(self) -> Deferred[Sequence[RealmInfo]]:
        return Deferred.fromCoroutine(self._all())

    async def _all(self) -> Sequence[RealmInfo]:
        return self._infos(await self._service.outbox.depths())

    def _infos(self, depths: dict[str, Any]) -> tuple[RealmInfo, ...]:
        found = []
        for key in sorted(self._peers):
            peer, depth = self._peers[key], depths.get(key)
            link = peer.link if peer.link is not None and peer.link.is_up else None
            found.append(
                RealmInfo(
                    peer.known.name,
                    "up" if link else "connecting" if peer.dialling else "down",
                    peer.since,
                    None if link is None else "out" if link.dialled else "in",
                    peer.address,
                    depth.queued if depth else 0,
                    depth.oldest if depth else None,
                    peer.error,
                    None if link else self._next_dial(peer),
                )
            )
        return tuple(found)

    def _next_dial(self, peer: Peer) -> int | None:
        """When `peer` will be dialled, in milliseconds since 1970 UTC; None if it won't."""
        if peer.timer is None or not peer.timer.active():
            return None
        left: float = peer.timer.getTime() - self.clock.seconds()
        return self._service.accounts.now() + int(left * 1000)

    # What waits too long

    async def _expire(self) -> None:
        before = self._service.accounts.now() - self._config.peers.expire * 1000
        try:
            while await self._service.returns.expire(before):
                pass
        except Exception:
            log.failure("what has waited too long could not be sent back")
