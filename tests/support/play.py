"""Realms as on a stage: several in one thread, on real SQLite files, and nothing happens but when the world
says so. What connects them are not sockets but cables, whose boxes can be looked at, held back and lost.

A `World` has `House`s, each with one realm that may be killed and opened again; in them live `Person`s. What
a person `begins` goes on while the world is `settle`d, step by step: the disk, the threads, the cables, the
timers that are due. Time stands still but for `advance`.
"""

from __future__ import annotations

import hashlib
import itertools
import sys
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, cast
from unittest import mock

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from twisted.internet import error as net
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.protocols import amp
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from chatd.app import realm as realm_module
from chatd.app import state as state_module
from chatd.base.config import Config, Limits, PeersConfig
from chatd.base.names import key_of
from chatd.federation.amp.identity_files import issue_certificate
from chatd.federation.amp.link import PeerLink, Route
from chatd.federation.amp.trust import Authentication, Policy, authenticate
from chatd.federation.parcels import Parcel, Verdict
from chatd.store import outbox as outbox_store
from chatd.store.peers import KnownPeer
from tests.support.common import START
from tests.support.databases import connect_without_sync, provide_schema
from tests.support.people import Person
from tests.support.stage import (
    Cable,
    End,
    PlayDatabase,
    PlayPasswords,
    PlayUploads,
)

PORT = 7000
MAX_STEPS = 20_000


def _ignore(unraisable: Any) -> None:
    # What was under way in a realm that was killed may have to wait even for its end.
    if "coroutine ignored GeneratorExit" not in str(unraisable.exc_value):
        sys.__unraisablehook__(unraisable)


sys.unraisablehook = _ignore


@cache
def certificate_of(realm: str, number: int = 0) -> x509.Certificate:
    """The realm's certificate; another `number` is one with another key."""
    key = ec.generate_private_key(ec.SECP256R1())
    return issue_certificate(key_of(realm), key, datetime.fromtimestamp(START, UTC), key, None)


class PlayRealm(realm_module.Realm):
    """One life of a house's realm."""

    clock: Clock
    database: PlayDatabase  # type: ignore[assignment]
    uploads: PlayUploads

    def __init__(self, house: House) -> None:
        clock = Clock()
        clock.advance(house.world.now)
        door = cast(Any, PlayDoor(house))
        self.clock = clock
        environment = realm_module.Environment(
            cast(Any, clock),
            house.random_bytes,
            clock,
            wall=lambda: clock.seconds() + house.stepped,
            endpoint=door,
        )
        super().__init__(house.config, environment)

    def open(self) -> None:
        provide_schema(self.config)
        with (
            mock.patch.object(state_module, "connect", connect_without_sync),
            mock.patch.multiple(
                realm_module, Database=PlayDatabase, Passwords=PlayPasswords, Uploads=PlayUploads
            ),
        ):
            super().open()


class PlayDoor:
    """Connects by cable. What certificates say of who is there, is real."""

    def __init__(self, house: House) -> None:
        self._house = house
        peers = house.config.peers
        self._policy = Policy(house.config.realm, peers.trust, (), peers.block)

    def dial(
        self, host: Any, realm: str, to: str, port: int, *, private: bool
    ) -> Deferred[PeerLink]:
        self._house.world.dialled_private.append(private)
        return Deferred.fromCoroutine(self._dial(host, realm, to, port))

    async def _dial(self, host: Any, realm: str, to: str, port: int) -> PeerLink:
        link = PeerLink(host, Route(f"{to}:{port}", realm))
        ready = link.ready
        near = End(link, self._house.certificate)
        await self._house.world.connect(near, (to, port))
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


class House:
    """A realm's folder and name, and the realm while it runs. `name` is how the realm writes itself."""

    def __init__(self, world: World, name: str, folder: Path, **settings: Any) -> None:
        self.world = world
        self.name = name
        limits = Limits(**{"commands_per_second": 0, **settings.pop("limits", {})})
        peers = PeersConfig(**{"add": "anyone", **settings})
        self.config = Config(realm=name, state=folder / name, limits=limits, peers=peers)
        self.certificate = certificate_of(name)
        self.where = f"{name}.test", PORT
        self.people: dict[str, Person] = {}
        self.deaths = 0
        self.stepped = 0.0  # seconds by which the wall clock was set forward
        self._random = itertools.count(1)
        self._life: PlayRealm | None = None
        self.open()

    def random_bytes(self, size: int) -> bytes:
        count = next(self._random)
        return hashlib.shake_256(f"{self.name} {count}".encode()).digest(size)

    @property
    def realm(self) -> PlayRealm:
        assert self._life is not None, f"{self.name} is down"
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
        life = PlayRealm(self)
        life.open()
        self._life = life
        life.start()

    def close(self) -> None:
        """As an operator does it."""
        self.world.result(Deferred.fromCoroutine(self.realm.close()), patience=10.0)
        self._life = None

    def kill(self) -> None:
        """As the machine does it: what is not on disk is gone."""
        life, self._life = self.realm, None
        self.deaths += 1
        for cable in self.world.cables:
            for end in cable.ends:
                if getattr(end.protocol, "host", None) is life.directory.manager:
                    end.closed = True
                    end.out.clear()
                    end.other.lose(net.ConnectionLost())
        life.database.close()
        life.state.release()

    def restart(self) -> None:
        """Killed, and started again."""
        self.kill()
        self.open()

    def person(self, name: str, *, operator: bool | None = None) -> Person:
        """Somebody of this realm; a new account if need be, which is an operator's or not."""
        person = self.people.get(name)
        if person is None:
            person = self.people[name] = Person(self, name)
            adding = self.service.accounts.add(name, "surabaya", None, None)
            person.account = self.world.result(adding)
            if operator is not None:
                person.account = msgspec.structs.replace(person.account, operator=operator)
        return person

    def parcels_waiting(self) -> int:
        """How many parcels are in the outbox."""
        self.federation.outbox.tidy()
        self.world.settle()
        depths = self.realm.database.now(outbox_store.depths)
        return sum(depth.queued for depth in depths.values())

    def receives(self, realm: str, *numbered: tuple[int, Parcel | None]) -> list[Verdict]:
        """What becomes of parcels that another realm has sent."""
        receiving = self.federation.receiver.receive(realm, list(numbered))
        verdicts: list[Verdict] = self.world.result(receiving)
        return verdicts

    def peers(self) -> dict[str, Any]:
        """What `realms` shows, by name."""
        return {each.realm: each for each in self.world.result(self.realm.directory.all())}

    def add(self, other: House, as_name: str = "", *, by_operator: bool = True) -> None:
        """`addrealm`."""
        where = other.where
        adding = self.realm.directory.add(as_name or other.name, *where, by_operator)
        self.world.result(adding)

    def knows(self, realm: str) -> None:
        """A realm that has been here, and is not."""
        self.realm.directory.peers.add(KnownPeer(key_of(realm), realm))


class World:
    """`random`, if given, decides what happens first where several things could."""

    def __init__(self, folder: Path, random: Random | None = None) -> None:
        self.now = START
        self.houses: dict[str, House] = {}
        self.cables: list[Cable] = []
        self.dialled: list[tuple[str, int]] = []  # all that ever was
        self.dialled_private: list[bool] = []  # and whether private addresses would do
        self.refusing: dict[tuple[str, int], Exception] = {}  # what connecting to there comes to
        self.silent: set[tuple[str, int]] = set()  # where nothing answers
        self.on_cable: Callable[[Cable], None] = lambda _cable: None
        self._calls: list[tuple[Deferred[Cable], End, tuple[str, int]]] = []
        self._folder = folder
        self._random = random

    def house(self, name: str, **settings: Any) -> House:
        """A realm; `settings` are those of [peers], and `limits`."""
        house = self.houses[name] = House(self, name, self._folder, **settings)
        return house

    def pair(self, **settings: Any) -> tuple[House, House]:
        """realm1 and realm2, linked; realm1 has dialled."""
        one, two = self.house("realm1", **settings), self.house("realm2", **settings)
        one.add(two)
        self.settle()
        return one, two

    # Cables

    def connect(self, near: End, where: tuple[str, int]) -> Deferred[Cable]:
        self.dialled.append(where)
        made: Deferred[Cable] = Deferred()
        self._calls.append((made, near, where))
        return made

    def _answer_call(self) -> bool:
        for call in self._calls:
            made, near, where = call
            if where in self.silent:
                continue
            self._calls.remove(call)
            error = self.refusing.get(where)
            there = [each for each in self.houses.values() if each.where == where and each.is_open]
            if error is not None or not there:
                made.errback(Failure(error or net.ConnectionRefusedError()))
            else:
                made.callback(self._plug(near, there[0]))
            return True
        return False

    def _plug(self, near: End, house: House) -> Cable:
        link = PeerLink(house.realm.directory.manager, Route("[2001:db8::1]:50000"))
        far = End(link, house.certificate)
        cable = Cable(near, far)
        self.cables.append(cable)
        self.on_cable(cable)
        for end in cable.ends:
            end.protocol.makeConnection(end)
        return cable

    def knock(self, house: House, realm: str, protocol: Any = None) -> Any:
        """Something that shows the certificate of `realm` and speaks AMP by hand, connected."""
        raw = protocol or amp.AMP()
        self._plug(End(raw, certificate_of(realm)), house)
        self.settle()
        return raw

    def cable(self, one: House, two: House) -> Cable:
        """The one that is open between the two."""
        found = self.open_cables(one, two)
        assert len(found) == 1, f"{len(found)} are open"
        return found[0]

    def open_cables(self, one: House, two: House) -> list[Cable]:
        return [
            cable
            for cable in self.cables
            if cable.is_open
            and {getattr(end.protocol, "host", None) for end in cable.ends} == {one.host, two.host}
        ]

    def cut(self) -> None:
        """All cables that are open."""
        for cable in self.cables:
            if cable.is_open:
                cable.cut()

    # What happens

    def _sources(self) -> list[Callable[[], bool]]:
        found: list[Callable[[], bool]] = [self._answer_call]
        for house in self.houses.values():
            life = house._life
            if life is not None:
                found.append(lambda database=life.database: self._commit(database))  # type: ignore[misc]
                found.append(life.database.step_read)
                found.append(life.uploads.step)
                found.append(lambda clock=life.clock: _turn(clock))  # type: ignore[misc]
        self.cables = [each for each in self.cables if not (each.near.closed and each.far.closed)]
        for cable in self.cables:
            for end in cable.ends:
                found.append(lambda cable=cable, end=end: cable.step(end))  # type: ignore[misc]
        return found

    def _commit(self, database: PlayDatabase) -> bool:
        return database.step(self._random.choice((None, 1, 3)) if self._random else None)

    def step(self) -> bool:
        """Let each that can go on do so once, or with `random` one of them; whether any could."""
        sources = self._sources()
        if self._random is None:
            done = [source() for source in sources]
            return any(done)
        self._random.shuffle(sources)
        return any(source() for source in sources)

    def settle(self) -> None:
        """Go on until nothing happens any more at this moment."""
        for _ in range(MAX_STEPS):
            if not self.step():
                return
        raise AssertionError("it goes round and round")

    def advance(self, seconds: float) -> None:
        """Let time pass, and what happens in it."""
        self.settle()
        end = self.now + seconds
        while True:
            due = [
                call.getTime()
                for house in self.houses.values()
                if house._life is not None
                for call in house._life.clock.getDelayedCalls()
            ]
            self.now = max(self.now, min([end, *due]))
            for house in self.houses.values():
                if house._life is not None:
                    clock = house._life.clock
                    # What is left of a fraction must not keep a timer from its turn.
                    clock.rightNow = max(clock.rightNow, self.now)
                    clock.advance(0)
            self.settle()
            if self.now >= end:
                return

    def until(self, condition: Callable[[], object], patience: float = 600.0) -> None:
        """Let time pass, in large steps, until something is so."""
        self.settle()
        end = self.now + patience
        while not condition():
            assert self.now < end, "waited in vain"
            self.advance(0.5)

    def result(self, done: Deferred[Any] | Coroutine[Any, Any, Any], patience: float = 0.0) -> Any:
        """What comes of it, now or within `patience` seconds; raises what it errs with."""
        waiting = done if isinstance(done, Deferred) else Deferred.fromCoroutine(done)
        found: list[Any] = []
        waiting.addBoth(found.append)
        self.settle()
        if not found and patience:
            self.until(lambda: found, patience)
        assert found, "it is still waiting"
        if isinstance(found[0], Failure):
            found[0].raiseException()
        return found[0]

    def close(self) -> None:
        """Let all be as it should, and close all houses."""
        for cable in self.cables:
            for end in cable.ends:
                end.held = False
                end.holding.clear()
        self._calls.clear()
        for house in self.houses.values():
            if house.is_open:
                house.realm.database.full = False
                house.close()


def _turn(clock: Clock) -> bool:
    """Do what is due."""
    if not any(call.getTime() <= clock.seconds() for call in clock.getDelayedCalls()):
        return False
    clock.advance(0)
    return True


def outcome(done: Deferred[Any]) -> list[Any]:
    """Holds what comes of it, once it does: a value, or the exception."""
    found: list[Any] = []
    done.addCallbacks(found.append, lambda failure: found.append(failure.value))
    return found


class PlayTestCase(SynchronousTestCase):
    """`self.world` is empty."""

    def setUp(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        self.world = World(folder)
        self.addCleanup(self.world.close)


class PairTestCase(PlayTestCase):
    """ana lives in realm1, budi and citra in realm2; realm1 has dialled realm2."""

    settings: dict[str, Any] = {}

    def setUp(self) -> None:
        super().setUp()
        self.one, self.two = self.world.pair(**self.settings)
        self.ana = self.one.person("ana")
        self.budi, self.citra = self.two.person("budi"), self.two.person("citra")

    @property
    def cable(self) -> Any:
        return self.world.cable(self.one, self.two)

    def part(self) -> None:
        """realm2 can't be reached for now."""
        self.world.refusing[self.two.where] = OSError()
        self.world.cut()
        self.world.settle()

    def meet(self) -> None:
        self.world.refusing.clear()
        self.world.until(lambda: self.world.open_cables(self.one, self.two))
        self.world.settle()


__all__ = ["Cable", "End", "House", "PairTestCase", "Person", "PlayTestCase", "World", "outcome"]
