"""Realms as on a stage: several in one thread, on real SQLite files, and nothing happens but when the world
says so. What connects them are not sockets but cables, whose boxes can be looked at, held back and lost.

A `World` has `House`s, each with one realm that may be killed and opened again; in them live `Person`s. What
a person `begins` goes on while the world is `settle`d, step by step: the disk, the threads, the cables, the
timers that are due. Time stands still but for `advance`.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import shutil
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, cast
from unittest import mock

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import Engine, event
from twisted.internet import error as net
from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.internet.task import Clock
from twisted.protocols import amp
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from chatd import commands as ask
from chatd import realm as realm_module
from chatd import state as state_module
from chatd.accounts import Login
from chatd.config import Config, Limits, Peers
from chatd.errors import StorageFailed
from chatd.model import Account, Event, FileInfo, Message, Reply
from chatd.names import Place, key_of, parse_address
from chatd.parcels import Parcel, Verdict
from chatd.peers import identity
from chatd.peers.link import PeerLink
from chatd.peers.trust import Judged, Policy, judge
from chatd.presence import IListener
from chatd.session import Client
from chatd.store import database as database_module
from chatd.store import outbox as outbox_store
from chatd.store.database import Job, Writer
from chatd.store.peers import KnownPeer
from chatd.uploads import Uploads
from tests.common import START

PORT = 7000
MAX_STEPS = 20_000


def _ignore(unraisable: Any) -> None:
    # What was under way in a realm that was killed may have to wait even for its end.
    if "coroutine ignored GeneratorExit" not in str(unraisable.exc_value):
        sys.__unraisablehook__(unraisable)


sys.unraisablehook = _ignore


# What a realm is made of


class PlayDatabase:
    """As chatd.store.database.Database, in this thread: jobs are committed, and reads answered, by `step`.

    `full` says that the disk is; `failing` is asked before each transaction whether it can't be committed.
    """

    def __init__(self, engine: Engine, _reactor: object) -> None:
        self._engine = engine
        self._writer = Writer(engine)
        self._settled: list[Callable[[], None]] = []
        self._jobs: list[Job] = []
        self._reads: deque[tuple[Deferred[Any], Callable[..., Any], tuple[Any, ...]]] = deque()
        self._stopped: Deferred[None] | None = None
        self.full = False
        self.failing: Callable[[], bool] = lambda: self.full

    def start(self) -> None: ...

    def stop(self) -> Deferred[None]:
        self._stopped = Deferred()
        return self._stopped

    def run(self, job: Callable[..., Any], *args: Any) -> Deferred[Any]:
        return self._submit(Job(Deferred(), job, args))

    def batch(self, job: Callable[..., Any], item: Any) -> Deferred[Any]:
        return self._submit(Job(Deferred(), job, (item,), True))

    def submit(self, job: Callable[..., Any], item: Any, done: Any) -> None:
        self._submit(Job(done, job, (item,), True))

    def _submit(self, job: Job) -> Deferred[Any]:
        if self._stopped is not None:
            job.done.errback(StorageFailed())
            return job.done
        self._jobs.append(job)
        return job.done

    def read(self, query: Callable[..., Any], *args: Any) -> Deferred[Any]:
        if self._stopped is not None:
            return fail(StorageFailed())
        done: Deferred[Any] = Deferred()
        self._reads.append((done, query, args))
        return done

    search = read

    def on_rollback(self, forget: Callable[[], None]) -> None:
        self._writer.on_rollback(forget)

    def on_refused(self, then: Callable[[], None]) -> None:
        self._writer.on_refused(then)

    def on_settled(self, then: Callable[[], None]) -> None:
        self._settled.append(then)

    def step(self, count: int | None = None) -> bool:
        """Commit the first `count` jobs, or all; whether there was anything to do."""
        jobs, self._jobs = self._jobs[:count], self._jobs[len(self._jobs[:count]) :]
        if not jobs:
            return self._end()
        if self.failing():
            for then in self._writer._refused:
                then()
            for job in jobs:
                job.done.errback(Failure(StorageFailed()))
            return True
        for outcome in self._writer.commit(jobs):
            if isinstance(outcome.value, Failure):
                outcome.done.errback(outcome.value)
            else:
                outcome.done.callback(outcome.value)
        for then in self._settled:
            then()
        return True

    def step_read(self) -> bool:
        if not self._reads:
            return False
        done, query, args = self._reads.popleft()
        try:
            value = self.now(query, *args)
        except Exception:
            done.errback(Failure())
        else:
            done.callback(value)
        return True

    def now(self, query: Callable[..., Any], *args: Any) -> Any:
        """What a query finds, without waiting."""
        with self._engine.connect() as connection, connection.begin():
            return query(connection, *args)

    def _end(self) -> bool:
        if self._stopped is None or self._stopped.called or self._reads:
            return False
        self.close()
        self._stopped.callback(None)
        return True

    def close(self) -> None:
        self._writer.close()
        self._engine.dispose()


class PlayPasswords:
    """As chatd.passwords.Passwords, without the cost."""

    def __init__(self, *_: object) -> None: ...

    def start(self) -> None: ...

    stop = start

    def hash(self, password: str) -> Deferred[str]:
        done: Deferred[str] = Deferred()
        done.callback(password)
        return done


class PlayUploads(Uploads):
    """As Uploads; what a thread would do is done by `step`."""

    def __init__(self, clock: Any, folder: Path) -> None:
        super().__init__(clock, folder)
        self._work: deque[tuple[Deferred[Any], Callable[..., Any], tuple[Any, ...]]] = deque()

    def start(self) -> None:
        for folder in (self._folder, self._incoming):
            folder.mkdir(mode=0o700, exist_ok=True)

    def stop(self) -> None: ...

    def clean(self, known: Any, keep_parts: float = math.inf) -> int:
        return super().clean(known, keep_parts)

    def in_thread(self, work: Callable[..., Any], *args: Any) -> Deferred[Any]:
        done: Deferred[Any] = Deferred()
        self._work.append((done, work, args))
        return done

    def step(self) -> bool:
        if not self._work:
            return False
        done, work, args = self._work.popleft()
        try:
            value = work(*args)
        except Exception:
            done.errback(Failure())
        else:
            done.callback(value)
        return True

    @property
    def parts(self) -> list[Path]:
        """The files of which something has come."""
        return sorted(self._incoming.glob("*.part"))


def _no_sync(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA synchronous = OFF").close()


def _connect(url: str) -> Engine:
    engine = database_module.connect(url)
    # Nothing here pulls the plug: closing the file is enough, and syncing it takes longest.
    event.listen(engine, "connect", _no_sync)
    return engine


@cache
def _empty_database() -> Path:
    """Made once: bringing a new one up to date takes longer than most tests."""
    folder = Path(tempfile.mkdtemp())
    state = state_module.StateFolder(folder)
    state.claim()
    state.open_database("").dispose()
    state.release()
    return folder / "chatd.db"


@cache
def certificate_of(realm: str, number: int = 0) -> x509.Certificate:
    """The realm's certificate; another `number` is one with another key."""
    key = ec.generate_private_key(ec.SECP256R1())
    return identity._issue(key_of(realm), key, datetime.fromtimestamp(START, UTC), key, None)


class PlayRealm(realm_module.Realm):
    """One life of a house's realm."""

    clock: Clock
    database: PlayDatabase  # type: ignore[assignment]
    uploads: PlayUploads

    def __init__(self, house: House) -> None:
        clock = Clock()
        clock.advance(house.world.now)
        super().__init__(house.config, clock, house.random_bytes, clock, cast(Any, PlayDoor(house)))

    def open(self) -> None:
        path = self.config.state
        if not (path / "chatd.db").exists():
            path.mkdir(parents=True, exist_ok=True)
            shutil.copy(_empty_database(), path / "chatd.db")
        with (
            mock.patch.object(state_module, "connect", _connect),
            mock.patch.multiple(
                realm_module, Database=PlayDatabase, Passwords=PlayPasswords, Uploads=PlayUploads
            ),
        ):
            super().open()


# Cables


class End:
    """One end of a cable: the transport of the protocol there.

    What is written waits in `out` until the world delivers it, box by box. `held` keeps all of it there;
    `holding` and `losing` are kinds of boxes (see `kind_of`) that stop it, and that are lost on the way.
    `lost` counts those, and `log` tells the kinds of all that was delivered.
    """

    def __init__(self, protocol: Any, certificate: x509.Certificate) -> None:
        self.protocol = protocol
        self.certificate = certificate
        self.other: End
        self.out: deque[bytes] = deque()
        self.held = False
        self.holding: set[str] = set()
        self.losing: set[str] = set()
        self.lost = 0
        self.log: list[str] = []
        self.boxes: list[dict[bytes, bytes]] = []
        self.paused = False
        self.pauses = 0
        self.closed = False
        self.closing = False
        self.aborting = False
        self._asked: dict[bytes, str] = {}

    def write(self, data: bytes) -> None:
        if not self.closed and not self.closing:
            self.out.append(data)

    def loseConnection(self) -> None:  # noqa: N802
        self.closing = True

    def abortConnection(self) -> None:
        self.aborting = True

    def pauseProducing(self) -> None:
        self.paused = True
        self.pauses += 1

    def resumeProducing(self) -> None:
        self.paused = False

    def kind_of(self, data: bytes) -> str:
        """`Deliver`, `Deliver answer`, `Deliver error` ..., of a box that is written here."""
        box = amp.parseString(data)[0]
        for key, suffix in ((b"_answer", "answer"), (b"_error", "error")):
            if key in box:
                return f"{self.other._asked.get(box[key], '?')} {suffix}"
        return str(box[b"_command"].decode())

    @property
    def waiting(self) -> list[str]:
        """The kinds of what was written and is not delivered."""
        return [self.kind_of(data) for data in self.out]

    def deliver(self) -> bool:
        """One box, to the other end, if nothing keeps it back."""
        if not self.out or self.held or self.closed or self.other.paused or self.other.closed:
            return False
        kind = self.kind_of(self.out[0])
        if kind in self.holding:
            return False
        data = self.out.popleft()
        box = amp.parseString(data)[0]
        if b"_ask" in box:
            self._asked[box[b"_ask"]] = kind
        if kind in self.losing:
            self.lost += 1
        else:
            self.log.append(kind)
            self.boxes.append(box)
            self.other.protocol.dataReceived(data)
        return True

    def lose(self, reason: Exception) -> None:
        if not self.closed:
            self.closed = True
            self.out.clear()
            self.protocol.connectionLost(Failure(reason))


class Cable:
    """A connection. `near` is the end of who dialled."""

    def __init__(self, near: End, far: End) -> None:
        self.near, self.far = near, far
        near.other, far.other = far, near
        self._shaken: list[End] = []

    @property
    def ends(self) -> tuple[End, End]:
        return self.near, self.far

    @property
    def is_open(self) -> bool:
        return not (self.near.closed or self.far.closed)

    def end_of(self, house: House) -> End:
        """The end in that house."""
        return next(end for end in self.ends if getattr(end.protocol, "host", None) is house.host)

    def step(self, end: End) -> bool:
        if end.closed:
            return False
        if end not in self._shaken:
            self._shaken.append(end)
            if hasattr(end.protocol, "handshakeCompleted"):
                end.protocol.handshakeCompleted()
            return True
        if len(self._shaken) < 2:
            return False
        if end.aborting:
            self.cut(net.ConnectionAborted())
            return True
        if end.deliver():
            return True
        if end.closing and not end.out:
            self.cut(net.ConnectionDone())
            return True
        return False

    def cut(self, reason: Exception | None = None) -> None:
        """The connection is gone, and all that was under way on it."""
        for end in self.ends:
            end.lose(reason or net.ConnectionLost())

    def split(self) -> None:
        """As `cut`, after half of each first box has come through."""
        for end in self.ends:
            if end.out and not end.closed and not end.other.closed:
                end.other.protocol.dataReceived(end.out[0][: len(end.out[0]) // 2])
        self.cut()

    def darken(self) -> None:
        """Nothing comes through any more, and nobody is told."""
        for end in self.ends:
            end.held = True


class PlayDoor:
    """Connects by cable. What certificates say of who is there, is real."""

    def __init__(self, house: House) -> None:
        self._house = house
        peers = house.config.peers
        self._policy = Policy(house.config.realm, peers.trust, (), peers.block)

    def dial(self, host: Any, realm: str, to: str, port: int) -> Deferred[PeerLink]:
        return Deferred.fromCoroutine(self._dial(host, realm, to, port))

    async def _dial(self, host: Any, realm: str, to: str, port: int) -> PeerLink:
        link = PeerLink(host, realm, f"{to}:{port}")
        ready = link.ready
        near = End(link, self._house.certificate)
        await self._house.world.connect(near, (to, port))
        await ready
        return link

    def judge(self, link: PeerLink, known_of: Any) -> Judged:
        return judge(
            [link.transport.other.certificate],
            datetime.fromtimestamp(link.host.clock.seconds(), UTC),
            policy=self._policy,
            known_of=known_of,
            address=link.address,
            expected=link.expected,
        )


# Houses, and who lives in them


@implementer(IListener)
class Person:
    """Somebody with an account, logged in on one connection that listens. `events` are what came there."""

    def __init__(self, house: House, name: str) -> None:
        self._house = house
        self.name = name
        self.events: list[Event] = []
        self._client: Client | None = None
        self._realm: PlayRealm | None = None
        self.account: Account

    def deliver(self, events: Sequence[Event]) -> None:
        self.events.extend(events)

    @property
    def client(self) -> Client:
        realm = self._house.realm
        if self._client is None or self._realm is not realm:
            self._realm = realm
            self._client = Client(realm.service, realm.sessions, self, "here", 1, lambda: None)
            token = hashlib.sha256(f"{self.name} {id(realm)}".encode()).digest()
            self._client.attach(Login(self.account, token, 1 << 50))
            realm.service.presence.listen(self.account.id, self, True)
        return self._client

    def leaves(self) -> None:
        """Close the connection."""
        self.client.leave(True)
        self._client = None

    def begins(self, command: ask.Command) -> Deferred[Any]:
        """Ask for something; what comes of it."""
        self.client.moment += 1
        return maybeDeferred(self.client.execute, command)

    def does(self, command: ask.Command) -> Any:
        return self._house.world.result(self.begins(command))

    def begins_to_send(self, to: str, text: str) -> Deferred[Any]:
        return self.begins(ask.Send(tuple(map(parse_address, to.split(","))), text))

    def sends(self, to: str, text: str) -> Reply:
        """A message to one address, or to several with commas between."""
        reply: Reply = self._house.world.result(self.begins_to_send(to, text))
        return reply

    def begins_to_post(self, group: str, text: str) -> Deferred[Any]:
        return self.begins(ask.SendGroup(parse_address(group), text))

    def posts(self, group: str, text: str) -> Reply:
        reply: Reply = self._house.world.result(self.begins_to_post(group, text))
        return reply

    def inbox(self) -> list[Message]:
        """All that is unread. The next thing that is done proves that it has come."""
        found: list[Message] = []
        while True:
            reply = self.does(ask.Inbox())
            found.extend(reply.items)
            if not reply.fields.get("remaining"):
                return found

    def reads(self) -> list[str]:
        """As `inbox`: `sender: text`, or the file's name."""
        return [f"{each.sender}: {_shown(each)}" for each in self.inbox()]

    def history(self, user: str = "", group: str = "") -> list[str]:
        """`sender: text` of all that was said with somebody, or in a group."""
        place = Place(
            parse_address(user) if user else None, parse_address(group) if group else None
        )
        return [
            f"{each.sender}: {_shown(each)}" for each in self.does(ask.History(place, 500)).items
        ]

    def members(self, group: str) -> list[str]:
        """Who is in a group: `*` before an admin, `+` after who is online."""
        return [
            f"{'*' if each.admin else ''}{each.username}{'+' if each.online else ''}"
            for each in self.does(ask.Members(parse_address(group))).items
        ]

    def mine(self) -> list[str]:
        """The groups that one is in."""
        return [each.group for each in self.does(ask.MyGroups()).items]

    def files(self) -> list[FileInfo]:
        return list(self.does(ask.Files()).items)

    def creates(self, group: str) -> str:
        """The group's code."""
        return str(self.does(ask.AddGroup(group)).fields["groupcode"])

    def joins(self, group: str) -> Reply:
        reply: Reply = self.does(ask.JoinGroup(parse_address(group)))
        return reply

    def begins_to_send_file(self, to: str, name: str, data: bytes) -> Deferred[Any]:
        """To people, or `#group`."""

        async def send() -> Any:
            self.client.moment += 1
            command: ask.Command
            if to.startswith("#"):
                command = ask.SendGroupFile(parse_address(to[1:]), name, len(data))
            else:
                command = ask.SendFile(tuple(map(parse_address, to.split(","))), name, len(data))
            receive = await self.client.execute(command)
            receive.upload.write(data)
            return await receive.finish()

        return Deferred.fromCoroutine(send())

    def sends_file(self, to: str, name: str, data: bytes) -> Reply:
        reply: Reply = self._house.world.result(self.begins_to_send_file(to, name, data))
        return reply

    def fetches(self, code: str) -> bytes:
        give = self.does(ask.GetFile(code))
        world = self._house.world
        data: bytes = world.result(give.download.file.read(give.download.file.size))
        world.result(give.download.file.close())
        return data


def _shown(message: Message) -> str:
    return (
        message.text if message.text is not None else f"file {message.file and message.file.name}"
    )


class House:
    """A realm's folder and name, and the realm while it runs. `name` is how the realm writes itself."""

    def __init__(self, world: World, name: str, folder: Path, **settings: Any) -> None:
        self.world = world
        self.name = name
        limits = Limits(**settings.pop("limits", {}))
        peers = Peers(**{"add": "anyone", **settings})
        self.config = Config(realm=name, state=folder / name, limits=limits, peers=peers)
        self.certificate = certificate_of(name)
        self.where = f"{name}.test", PORT
        self.people: dict[str, Person] = {}
        self.deaths = 0
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
        return None if self._life is None else self._life.directory

    @property
    def service(self) -> Any:
        return self.realm.service

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
                if getattr(end.protocol, "host", None) is life.directory:
                    end.closed = True
                    end.out.clear()
                    end.other.lose(net.ConnectionLost())
        life.database.close()
        life.state.release()

    def restart(self) -> None:
        """Killed, and started again."""
        self.kill()
        self.open()

    def person(self, name: str) -> Person:
        """Somebody of this realm; a new account if need be."""
        person = self.people.get(name)
        if person is None:
            person = self.people[name] = Person(self, name)
            adding = self.service.accounts.add(name, "surabaya", None, None)
            person.account = self.world.result(adding)
        return person

    def parcels_waiting(self) -> int:
        """How many parcels are in the outbox."""
        self.service.outbox.tidy()
        self.world.settle()
        depths = self.realm.database.now(outbox_store.depths)
        return sum(depth.queued for depth in depths.values())

    def receives(self, realm: str, *numbered: tuple[int, Parcel | None]) -> list[Verdict]:
        """What becomes of parcels that another realm has sent."""
        receiving = self.service.inbound.receive(realm, list(numbered))
        verdicts: list[Verdict] = self.world.result(receiving)
        return verdicts

    def peers(self) -> dict[str, Any]:
        """What `realms` shows, by name."""
        return {each.realm: each for each in self.world.result(self.realm.directory.all())}

    def add(self, other: House, as_name: str = "") -> None:
        """`addrealm`."""
        adding = self.realm.directory.add(as_name or other.name, *other.where)
        self.world.result(adding)

    def knows(self, realm: str) -> None:
        """A realm that has been here, and is not."""
        self.realm.directory._add(KnownPeer(key_of(realm), realm))


class World:
    """`random`, if given, decides what happens first where several things could."""

    def __init__(self, folder: Path, random: Random | None = None) -> None:
        self.now = START
        self.houses: dict[str, House] = {}
        self.cables: list[Cable] = []
        self.dialled: list[tuple[str, int]] = []  # all that ever was
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
        link = PeerLink(house.realm.directory, None, "[2001:db8::1]:50000")
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
            return any([source() for source in sources])
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
