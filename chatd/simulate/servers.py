"""A realm of a simulated network, which is killed and started again."""

from __future__ import annotations

import hashlib
import itertools
import sys
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import func, select
from twisted.internet import error as net
from twisted.internet.defer import CancelledError, Deferred

from chatd.app.realm import Environment, Realm
from chatd.base.config import Config, GroupsConfig, Limits, PeersConfig
from chatd.base.names import key_of
from chatd.base.roles import OPERATOR, USER
from chatd.federation.amp.identity_files import issue_certificate
from chatd.federation.amp.link import PeerLink, Route
from chatd.federation.amp.trust import Authentication, Policy, authenticate
from chatd.federation.parcels import Parcel, Verdict
from chatd.simulate.clocks import TimerClock
from chatd.simulate.connections import PeerTransport
from chatd.simulate.databases import provide_schema
from chatd.simulate.people import Person
from chatd.simulate.stepped import SteppedDatabase, SteppedUploads
from chatd.store.peers import KnownPeer
from chatd.store.schema import outbox

if TYPE_CHECKING:
    from chatd.simulate.network import Network

PORT = 7000
START = 1_795_169_703.0  # 2026-11-20T10:15:03Z: when a simulation begins


def _ignore(unraisable: Any) -> None:
    # A coroutine of a realm that was killed may await something even while it is closed.
    if "coroutine ignored GeneratorExit" not in str(unraisable.exc_value):
        sys.__unraisablehook__(unraisable)


sys.unraisablehook = _ignore


@cache
def certificate_of(realm: str, number: int = 0) -> x509.Certificate:
    """Return a certificate of the realm. Each `number` has a key of its own."""
    seed = hashlib.sha256(f"{realm} {number}".encode()).digest()
    key = ec.derive_private_key(int.from_bytes(seed), ec.SECP256R1())
    return issue_certificate(key_of(realm), key, datetime.fromtimestamp(START, UTC), key, None)


class Stuck(AssertionError):
    """What the caller of a simulation waits for does not happen."""


class SimulatedRealm(Realm):
    """The realm of a server, from its start to its end."""

    clock: TimerClock
    database: SteppedDatabase  # type: ignore[assignment]
    uploads: SteppedUploads

    def __init__(self, server: Server) -> None:
        self.clock = TimerClock()
        self.clock.advance(server.network.now)
        environment = server.environment(self.clock)
        super().__init__(server.config, environment, server.network.start_options)

    def open(self) -> None:
        provide_schema(self.config)
        super().open()


class SimulatedDoor:
    """Dials over fake connections. Certificates are checked as in production."""

    def __init__(self, server: Server) -> None:
        self._server = server
        peers = server.config.peers
        self._policy = Policy(server.config.realm, peers.trust, (), peers.block)

    def dial(
        self, host: Any, realm: str, to: str, port: int, *, private: bool
    ) -> Deferred[PeerLink]:
        self._server.network.dialled_private.append(private)
        return Deferred.fromCoroutine(self._dial(host, realm, to, port))

    async def _dial(self, host: Any, realm: str, to: str, port: int) -> PeerLink:
        link = PeerLink(host, Route(f"{to}:{port}", realm))
        ready = link.ready
        near = PeerTransport(link, self._server.certificate)
        try:
            await self._server.network.connect(near, (to, port))
        except CancelledError:
            ready.addErrback(lambda _failure: None)  # the connection may be made nevertheless
            raise
        await ready
        return link

    def authenticate(self, link: PeerLink, known_of: Any) -> Authentication:
        return authenticate(
            [cast(Any, link.transport).other.certificate],
            datetime.fromtimestamp(link.host.clock.seconds(), UTC),
            policy=self._policy,
            known_of=known_of,
            address=link.route.address,
            expected=link.route.expected,
        )


class Server:
    """A realm's name and state folder, and the realm while it runs. `name` is its own spelling, and `label`
    names the process in traces."""

    is_stopped = False  # the process is, as by SIGSTOP

    def __init__(self, network: Network, name: str, folder: Path, **settings: Any) -> None:
        self.network = network
        self.name = self.label = name
        limits = Limits(**{"commands_per_second": 0, **settings.pop("limits", {})})
        groups = GroupsConfig(**settings.pop("groups", {}))
        peers = PeersConfig(**{"add": "anyone", "strangers": "welcome", **settings})
        self.config = Config(
            realm=name, state=folder / name, limits=limits, peers=peers, groups=groups
        )
        self.certificate = certificate_of(name)
        self.where = f"{name}.test", PORT
        self.people: dict[str, Person] = {}
        self.lives = 0  # starts
        self.stepped = 0.0  # seconds by which the wall clock was set forward
        self._random = itertools.count(1)
        self._life: SimulatedRealm | None = None
        self._stopped_ends: list[PeerTransport] = []
        self._begin()
        self.open()

    def _begin(self) -> None:
        """Complete the configuration."""

    def random_bytes(self, size: int) -> bytes:
        count = next(self._random)
        return hashlib.shake_256(f"{self.label} {count}".encode()).digest(size)

    @property
    def folders(self) -> list[Path]:
        """The folders with what the realm has stored."""
        return [self.config.state]

    def environment(self, clock: TimerClock) -> Environment:
        """What the realm gets from outside."""
        return Environment(
            cast(Any, clock),
            self.random_bytes,
            clock,
            wall=lambda: clock.seconds() + self.stepped,
            endpoint=cast(Any, SimulatedDoor(self)),
            threads=self.network.threads,
        )

    @property
    def realm(self) -> SimulatedRealm:
        if self._life is None:
            raise Stuck(f"{self.name} is down")
        return self._life

    @property
    def is_open(self) -> bool:
        return self._life is not None

    @property
    def host(self) -> Any:
        return None if self._life is None else self._life.directory.manager

    @property
    def service(self) -> Any:
        return self.realm.service

    @property
    def federation(self) -> Any:
        return self.realm.federation

    def open(self) -> None:
        self.lives += 1
        life = SimulatedRealm(self)
        if self.start(life):
            self._life = life
            life.start()

    def start(self, life: SimulatedRealm) -> bool:
        """Open what will be the realm. Returns whether it is open. Raises StartError."""
        life.open()
        return True

    def close(self) -> None:
        """Stop the realm in order."""
        self.network.result(Deferred.fromCoroutine(self.realm.close()), patience=10.0)
        self._life = None

    def kill(self) -> None:
        """Stop the realm as a crash does: what is not on disk is lost."""
        life, self._life, self.is_stopped = self.realm, None, False
        for connection in self.network.connections:
            for end in connection.ends:
                if getattr(end.protocol, "host", None) is life.directory.manager:
                    end.closed = True
                    end.out.clear()
                    end.other.lose(net.ConnectionLost())
        life.database.close()
        life.state.release()

    def stop_process(self) -> None:
        """Let the process do nothing until `continue_process`."""
        self.is_stopped = True
        self._stopped_ends = self.network.ends_at(self.host)
        for end in self._stopped_ends:
            end.stop_process()

    def continue_process(self) -> None:
        """Let the process go on. Its clocks went on meanwhile."""
        if not self.is_stopped:
            return
        self.is_stopped = False
        clock = self.realm.clock
        clock.rightNow = max(clock.rightNow, self.network.now)
        for end in self._stopped_ends:
            end.continue_process()

    def restart(self) -> None:
        """Kill the realm, and start it again."""
        self.kill()
        self.open()

    def person(self, name: str, *, operator: bool | None = None) -> Person:
        """Return a user of this realm. The account is created if it does not exist yet."""
        person = self.people.get(name)
        if person is None:
            person = self.people[name] = Person(self, name)
            adding = self.service.accounts.add(name, "surabaya", None, None)
            person.account = self.network.result(adding)
            if operator is not None:
                role = OPERATOR if operator else USER
                person.account = msgspec.structs.replace(person.account, role=role)
        return person

    def parcels_waiting(self, but: str | None = None) -> int:
        """Return the number of parcels in the outbox, without those to the realm `but`."""
        self.federation.outbox.tidy()
        self.network.settle()
        count = select(func.count()).select_from(outbox)
        if but is not None:
            count = count.where(outbox.c.realm != but)
        return int(self.realm.database.now(lambda connection: connection.scalar(count)))

    def receives(self, realm: str, *numbered: tuple[int, Parcel | None]) -> list[Verdict]:
        """Receive parcels from another realm, and return their verdicts."""
        receiving = self.federation.receiver.receive(realm, list(numbered))
        verdicts: list[Verdict] = self.network.result(receiving)
        return verdicts

    def peers(self) -> dict[str, Any]:
        """Return what `realms` shows, by name."""
        return {each.realm: each for each in self.network.result(self.realm.directory.all())}

    def add(self, other: Server, as_name: str = "", *, by_operator: bool = True) -> None:
        """Add the other realm, as `addrealm` does."""
        self.network.result(self.begins_to_add(other, as_name, by_operator=by_operator))

    def begins_to_add(
        self, other: Server, as_name: str = "", *, by_operator: bool = True
    ) -> Deferred[Any]:
        return self.realm.directory.add(as_name or other.name, *other.where, by_operator)

    def knows(self, realm: str) -> None:
        """Add a realm that was connected earlier and is not now."""
        self.realm.directory.peers.add(KnownPeer(key_of(realm), realm))
