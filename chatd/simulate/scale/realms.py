"""One of many realms: the daemon's, with threads that are events and links without TLS."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress

from chatd.app.realm import Environment, Realm, Threads
from chatd.base.config import Config, Limits, PeersConfig
from chatd.base.model import Account, Sent
from chatd.base.names import Address
from chatd.federation.amp.link import PeerLink, Route
from chatd.federation.amp.pending_links import PendingLinks
from chatd.federation.amp.trust import Authentication, Policy, authenticate
from chatd.federation.parcels import Direct
from chatd.simulate.databases import connect_without_sync
from chatd.simulate.scale.clocks import RealmClock
from chatd.simulate.scale.wires import WireEnd
from chatd.simulate.servers import certificate_of
from chatd.simulate.stepped import InstantPasswords, SteppedDatabase, SteppedUploads

if TYPE_CHECKING:
    from chatd.simulate.scale.world import ScaleWorld

COMMIT_TIME = 0.002  # seconds that a transaction and its queries take
PORT = 7000


class EventDatabase(SteppedDatabase):
    """Commits what was handed over within `COMMIT_TIME` together."""

    def __init__(self, engine: Any, clock: RealmClock, *_: object) -> None:
        super().__init__(engine)
        self._clock = clock
        self._planned = False

    def _submit(self, job: Any) -> Deferred[Any]:
        self._plan()
        return super()._submit(job)

    def read(self, query: Callable[..., Any], *args: Any) -> Deferred[Any]:
        self._plan()
        return super().read(query, *args)

    def stop(self) -> Deferred[None]:
        self._plan()
        return super().stop()

    def _plan(self) -> None:
        if not self._planned:
            self._planned = True
            self._clock.callLater(COMMIT_TIME, self._work)

    def _work(self) -> None:
        self._planned = False
        self.step()
        while self.step_read():
            pass
        if self._jobs or self._reads or (self._stopped is not None and not self._stopped.called):
            self._plan()


class EventUploads(SteppedUploads):
    """Does its work as soon as the caller has returned."""

    def __init__(self, clock: RealmClock, *args: Any) -> None:
        super().__init__(clock, *args)
        self._realm_clock = clock

    def in_thread(self, work: Callable[..., Any], *args: Any) -> Deferred[Any]:
        self._realm_clock.callLater(0, self.step)
        return super().in_thread(work, *args)


THREADS = Threads(
    connect_without_sync,
    cast(Any, EventDatabase),
    cast(Any, InstantPasswords),
    cast(Any, EventUploads),
)


class DialDoor:
    """Dials the realms of the world. Certificates are checked as in the daemon."""

    def __init__(self, site: Site, config: Config) -> None:
        self._site = site
        self._policy = Policy(config.realm, config.peers.trust, (), config.peers.block)

    def dial(
        self, host: Any, realm: str, to: str, port: int, *, private: bool
    ) -> Deferred[PeerLink]:
        return Deferred.fromCoroutine(self._dial(host, realm, to, port))

    async def _dial(self, host: Any, realm: str, to: str, port: int) -> PeerLink:
        link = PeerLink(host, Route(f"{to}:{port}", realm))
        ready = link.ready
        await self._site.world.connect(self._site, link, to)
        return await ready

    def authenticate(self, link: PeerLink, known_of: Any) -> Authentication:
        return authenticate(
            [cast(Any, link.transport).other.certificate],
            datetime.fromtimestamp(link.host.clock.seconds(), UTC),
            policy=self._policy,
            known_of=known_of,
            address=link.route.address,
            expected=link.route.expected,
        )


class Site:
    """A realm's name, its folder and its connections, and the realm while it runs."""

    def __init__(self, world: ScaleWorld, number: int, name: str, folder: Path) -> None:
        self.world = world
        self.number = number
        self.name = name
        self.certificate = certificate_of(name)
        self.config = Config(
            realm=name,
            state=folder,
            limits=Limits(commands_per_second=0),
            peers=PeersConfig(discover=False),
        )
        self.realm: Realm | None = None
        self.clock: RealmClock
        self.ends: dict[WireEnd, None] = {}  # those that are open, in their order
        self.refuses = True  # while it is down: connections are refused, and not merely unanswered
        self.spent = 0.0  # the real time, in seconds, of its earlier lives
        self._random = itertools.count(1)

    @property
    def busy(self) -> float:
        """The real time, in seconds, that this realm took."""
        return self.spent + (0.0 if self.realm is None else self.clock.busy)

    def random_bytes(self, size: int) -> bytes:
        count = next(self._random)
        seed = f"{self.world.settings.seed} {self.name} {count}"
        return hashlib.shake_256(seed.encode()).digest(size)

    def open(self, prepare: Callable[[Realm], None]) -> None:
        """Start the realm. `prepare` is called before it begins to dial."""
        clock = self.clock = RealmClock(self.world.time)
        environment = Environment(
            cast(Any, clock),
            self.random_bytes,
            cast(Any, clock),
            wall=clock.seconds,
            endpoint=cast(Any, DialDoor(self, self.config)),
            threads=THREADS,
        )
        realm = Realm(self.config, environment)
        realm.open()
        self._watch(realm)
        self.realm = realm
        self._pending = PendingLinks(realm.directory.manager)
        # Nobody is connected, and the disk is not what is measured: two timers that would run each second.
        realm.service.disk.stop()
        prepare(realm)
        realm.directory.start()

    def accept(self, address: IAddress) -> PeerLink:
        """The protocol of a connection from there."""
        return self._pending.buildProtocol(address)

    def hold(self, end: WireEnd) -> None:
        """Note a connection until it ends."""
        self.ends[end] = None
        end.on_lost = lambda: self.ends.pop(end, None)

    def _watch(self, realm: Realm) -> None:
        """Note each message that this realm has stored for another one."""
        receiver: Any = realm.federation.receiver
        receive, arrived = receiver.receive, self.world.arrived

        async def noted(sender: str, batch: Any, stream: Any = None) -> Any:
            verdicts = await receive(sender, batch, stream)
            for (_, parcel), verdict in zip(batch, verdicts, strict=True):
                if type(parcel) is Direct and not verdict.code:
                    arrived(parcel.text or "")
            return verdicts

        receiver.receive = noted

    def send(self, sender: str, to: Address, text: str) -> Deferred[Sent]:
        """Let somebody of this realm, which runs, send a message."""
        return Deferred.fromCoroutine(self._send(sender, to, text))

    async def _send(self, sender: str, to: Address, text: str) -> Sent:
        assert self.realm is not None  # noqa: S101 - the caller has checked it
        service = self.realm.service
        account: Account = await service.accounts.find(sender)
        return await service.messages.send(account, (to,), text, None)

    def kill(self) -> None:
        """End the realm at once. Other realms notice when their connections end."""
        realm, self.realm = self.realm, None
        assert realm is not None  # noqa: S101 - the caller has checked it
        self._end()
        cast(EventDatabase, realm.database).close()
        realm.state.release()

    def stop(self) -> Deferred[None]:
        """Stop the realm in order. Fires when it is down."""
        realm, self.realm = self.realm, None
        assert realm is not None  # noqa: S101 - the caller has checked it
        realm.refuse()
        return Deferred.fromCoroutine(realm.close()).addBoth(lambda _: self._end())

    def _end(self) -> None:
        self.clock.stopped = True
        self.spent += self.clock.busy
        for end in list(self.ends):
            end.vanish()
        self.ends.clear()
