"""The world of the scale simulation: its realms, their connections, and the messages of their people."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any, cast

import msgspec
import sqlalchemy as sa
from twisted.internet import error as net
from twisted.internet.address import IPv6Address
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from chatd.app.realm import Realm
from chatd.base.names import Address
from chatd.federation.amp.connect import CONNECT_TIME
from chatd.federation.amp.peers import Peer
from chatd.federation.amp.pem import certificate_pem
from chatd.simulate.databases import DATABASE, connect_without_sync, empty_database
from chatd.simulate.scale.clocks import RealmClock, WorldTime
from chatd.simulate.scale.measures import Letter, Sample, ScaleMeasures
from chatd.simulate.scale.population import Population, name_of, user_of
from chatd.simulate.scale.realms import PORT, EventDatabase, Site
from chatd.simulate.scale.settings import ScaleSettings
from chatd.simulate.scale.wires import WireEnd, join
from chatd.simulate.servers import START
from chatd.store.accounts import add_account
from chatd.store.peers import KnownPeer
from chatd.store.schema import messages, outbox, peers

DELAYS = (0.005, 0.1)  # seconds from one realm to another: the range of pairs
START_SPREAD = 60.0  # seconds over which the realms of a world start
SAMPLE_EVERY = 30.0  # seconds


class ScaleWorld:
    """`build` it, let it `run`, and `close` it."""

    def __init__(self, settings: ScaleSettings, folder: Path) -> None:
        self.settings = settings
        self.folder = folder
        self.time = WorldTime(START)
        self.clock = RealmClock(self.time)
        self.random = Random(f"{settings.seed} world")  # noqa: S311 - not for secrets
        self.population = Population(settings)
        self.measures = ScaleMeasures()
        self.sites: list[Site] = []
        self.dead: set[int] = set()  # realms that do not run for long
        self._by_name: dict[str, Site] = {}
        self._letters = 0
        self._sending = False

    # The realms

    def build(self) -> None:
        """Make the states of all realms. Each has all its accounts, and knows the realms of its people's
        contacts."""
        template = self._template()
        for number in range(self.settings.realms):
            name = name_of(number)
            site = Site(self, number, name, self.folder / name)
            self.sites.append(site)
            self._by_name[name] = site
        for site, known in zip(self.sites, self.population.known(), strict=True):
            site.config.state.mkdir(mode=0o700)
            shutil.copyfile(template, site.config.state / DATABASE)
            self._introduce(site, [self.sites[each] for each in sorted(known)])

    def _template(self) -> Path:
        path = self.folder / "template.db"
        shutil.copyfile(empty_database(), path)
        engine = connect_without_sync(f"sqlite:///{path}")
        with engine.begin() as connection:
            for number in range(self.settings.users):
                add_account(connection, user_of(number), "surabaya", "", "", int(START * 1000))
        engine.dispose()
        return path

    def _introduce(self, site: Site, others: list[Site]) -> None:
        now = int(self.time.now * 1000)
        known = [
            KnownPeer(
                other.name,
                other.name,
                other.name,
                PORT,
                certificate_pem(other.certificate).decode(),
                confirmed=True,
                linked_at=now,
                rests=not self.settings.kept,
            )
            for other in others
        ]
        engine = connect_without_sync(f"sqlite:///{site.config.state / DATABASE}")
        with engine.begin() as connection:
            rows = [{**msgspec.structs.asdict(each), "created_at": now} for each in known]
            connection.execute(sa.insert(peers), rows)
        engine.dispose()

    def start(self, site: Site) -> None:
        """Start a realm that is down."""
        site.open(_keep_links if self.settings.kept else lambda _realm: None)

    def start_all(self) -> None:
        """Start all realms but the dead ones, spread over a minute."""
        for site in self.sites:
            if site.number not in self.dead:
                self.clock.callLater(self.random.uniform(0, START_SPREAD), self.start, site)

    def running(self) -> list[Site]:
        return [site for site in self.sites if site.realm is not None]

    # Connections

    def delay(self, one: int, two: int) -> float:
        """Seconds from one of the two realms to the other."""
        least, most = DELAYS
        return least + (most - least) * (hash((min(one, two), max(one, two))) % 1000) / 1000

    def connect(self, site: Site, protocol: Any, to: str) -> Deferred[None]:
        """Connect `protocol` to the realm at the host `to`."""
        target = self._by_name[to]
        made: Deferred[None] = Deferred()
        up = target.realm is not None
        self.measures.dialled(self.time.now, target.number, up=up)
        pause = 2 * self.delay(site.number, target.number)
        if not up and not target.refuses:
            pause = CONNECT_TIME
        site.clock.callLater(pause, self._answer, site, protocol, target, made)
        return made

    def _answer(self, site: Site, protocol: Any, target: Site, made: Deferred[None]) -> None:
        if made.called:
            return  # the dial was given up
        if target.realm is None:
            error = net.ConnectionRefusedError() if target.refuses else net.TimeoutError()
            made.errback(Failure(error))
            return
        delay = self.delay(site.number, target.number)
        far = WireEnd(target.accept(self.address(site)), target.certificate, target.clock, delay)
        join(self.wire(site, protocol, delay), far)
        target.hold(far)
        made.callback(None)

    def address(self, site: Site) -> IPv6Address:
        """Where the connections of a realm come from."""
        return IPv6Address("TCP", f"2001:db8:{site.number:x}::1", 50000)

    def wire(self, site: Site, protocol: Any, delay: float) -> WireEnd:
        end = WireEnd(protocol, site.certificate, site.clock, delay)
        site.hold(end)
        return end

    # Messages

    def chat(self) -> None:
        """Let people write from now on, until `stop_chat`."""
        self._sending = True
        self._plan_message()

    def stop_chat(self) -> None:
        self._sending = False

    def _plan_message(self) -> None:
        settings = self.settings
        rate = settings.realms * settings.users * settings.messages / 86400
        self.clock.callLater(self.random.expovariate(rate), self._message)

    def _message(self) -> None:
        if not self._sending:
            return
        self._plan_message()
        random, users = self.random, self.settings.users
        source, sender, reader = (
            random.randrange(self.settings.realms),
            random.randrange(users),
            random.randrange(users),
        )
        site = self.sites[source]
        remote = random.random() < self.settings.remote
        target = self.population.contact(random, source, sender) if remote else source
        if site.realm is None:
            return
        if remote:
            self.write(site, sender, target, reader)
            return
        self.measures.locals += 1
        sending = site.send(user_of(sender), Address(user_of(reader)), "halo")
        sending.addErrback(self._failed)

    def write(self, site: Site, sender: int, target: int, reader: int) -> Letter:
        """Let somebody write to somebody in another realm."""
        self._letters += 1
        letter = Letter(self.time.now, site.number, target)
        self.measures.letters[self._letters] = letter
        to = Address(user_of(reader), name_of(target))
        sending = site.send(user_of(sender), to, f"surat {self._letters}")

        def accepted(_sent: object) -> None:
            letter.accepted = self.time.now

        sending.addCallbacks(accepted, self._failed)
        return letter

    def _failed(self, failure: Failure) -> None:
        self.measures.failures[type(failure.value).__name__] += 1

    def arrived(self, text: str) -> None:
        """A realm has stored a message of another one."""
        word, _, number = text.partition(" ")
        if word == "surat":
            self.measures.arrived(int(number), self.time.now)

    # Measuring

    def sample(self) -> None:
        """Note the state of the world, from now on every `SAMPLE_EVERY` seconds."""
        self.clock.callLater(SAMPLE_EVERY, self.sample)
        running = self.running()
        names = {name_of(each) for each in self.dead}
        depths = [waiting(site) for site in running]
        self.measures.samples.append(
            Sample(
                self.time.now - START,
                sum(len(site.ends) for site in running) // 2,
                max((sum(each.values()) for each in depths), default=0),
                sum(sum(each.values()) for each in depths),
                sum(count for each in depths for name, count in each.items() if name in names),
            )
        )

    def close(self) -> None:
        for site in self.running():
            site.kill()


_WAITING = sa.select(outbox.c.realm, sa.func.count()).group_by(outbox.c.realm)
_TEXTS = sa.select(messages.c.text).where(
    messages.c.text.startswith("surat "), messages.c.sender_id.is_(None)
)


def _database(site: Site) -> EventDatabase:
    return cast(EventDatabase, cast(Realm, site.realm).database)


def waiting(site: Site) -> dict[str, int]:
    """How many parcels wait in a realm that runs, by the realm that they are for."""
    return dict(_database(site).now(lambda db: db.execute(_WAITING).all()))


def received(site: Site) -> list[int]:
    """The numbers of the messages of other realms that are in the database of one that runs."""
    texts = _database(site).now(lambda db: db.scalars(_TEXTS).all())
    return [int(text.partition(" ")[2]) for text in texts]


def _keep_links(realm: Realm) -> None:
    """Let a realm dial all others that it knows when it starts, and keep all links, as realms did before
    there was `rest`."""
    directory: Any = realm.directory
    directory.manager.resting.check = lambda _link: None

    def dial(found: Iterable[Peer]) -> None:
        for peer in found:
            directory.manager.dialer.soon(peer, 0.0)

    directory._dial_spread = dial
