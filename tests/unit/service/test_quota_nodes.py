"""Quotas and limits that hold for all nodes of a realm together."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar, cast
from unittest import mock

from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.config import Limits
from chatd.base.errors import (
    ChatError,
    GroupExists,
    MessageQuota,
    QuotaExceeded,
    RealmQuota,
    StorageFailed,
    TooManyFailedJoins,
    TooManyTakenNames,
    TooManyUnknown,
    TooManyUploads,
    UnknownGroup,
)
from chatd.base.model import Account, Party
from chatd.base.names import Address
from chatd.base.throttle import Quota
from chatd.federation.name_guesses import MAX_UNKNOWN, NameGuesses
from chatd.service.guesses import (
    FREE_JOINS,
    FREE_JOINS_OF_ADDRESS,
    TAKEN_PER_HOUR,
    FailedJoins,
    TakenNames,
)
from chatd.service.node_counts import GROWTH_TOLD
from chatd.service.node_limits import share_quota
from chatd.service.node_news import NodeNews
from chatd.service.quotas import DAY, LEAST, MessageQuotas
from chatd.service.soft_state import ASK_AGAIN, BETWEEN
from chatd.service.upload_limits import UnderWay
from chatd.store.usage import used_on
from tests.support import ROOT
from tests.support.buses import MemoryBus
from tests.support.common import ClockedTestCase
from tests.support.inline import outcome_of, result_of
from tests.support.node_servers import NodesTestCase

KIB = 1 << 10
HOUR = 3600
ANA = Account(1, "ana", "ana", "Ana", "")

T = TypeVar("T")


class MessagesAtSeveralNodes(ClockedTestCase):
    """Two nodes count in one database."""

    limits = {"account_messages": 10 * KIB}

    def setUp(self) -> None:
        super().setUp()
        self.one, self.two = self.node(), self.node()

    def node(self) -> MessageQuotas:
        realm = self.realm
        return MessageQuotas(
            self.clock, realm.database, realm.service.disk, 10 * KIB, 2 * KIB, shared=True
        )

    async def charge(self, quotas: MessageQuotas, size: int) -> bool:
        """Charge account 7, and store that. Returns whether it was allowed."""
        try:
            quotas.charge_account(7, size, self.realm.service.context.now())
        except MessageQuota:
            return False
        finally:
            await quotas.save()
        return True

    async def test_sum(self) -> None:
        """What was used at one node counts at the other one, and neither overwrites the other's."""
        day = self.realm.service.context.now() // DAY
        for _ in range(5):
            self.assertTrue(await self.charge(self.one, KIB))
            self.assertTrue(await self.charge(self.two, KIB))
        self.assertFalse(await self.charge(self.two, 1))
        self.assertTrue(await self.charge(self.one, 1))  # it has not heard of the other's last one
        for _ in range(3):
            self.assertFalse(await self.charge(self.one, 1))
        self.assertEqual(await self.realm.database.read(used_on, day), [(7, 10 * KIB + 1)])
        third = self.node()
        third.load(day, [(7, 10 * KIB)])
        self.assertFalse(await self.charge(third, 1))

    async def test_realms(self) -> None:
        """Other realms, and their network sources, count as accounts do."""
        now, owners = self.realm.service.context.now(), ("realm2", "from 192.0.2.1")
        self.one.charge_all(owners, 2 * KIB, now)
        await self.one.save()
        self.two.charge_all(owners, 1, now)  # it has not heard of that
        await self.two.save()
        self.assertRaises(RealmQuota, self.two.charge_all, owners, 1, now)
        self.two.charge_all(owners[1:], 1, now)

    async def test_used_while_stored(self) -> None:
        """What is used until the sum arrives counts too."""
        self.one.charge_account(7, KIB, self.realm.service.context.now())
        saving = self.one.save()
        self.one.charge_account(7, 2 * KIB, self.realm.service.context.now())
        await self.charge(self.two, 4 * KIB)
        await saving
        await self.charge(self.one, LEAST)
        self.assertEqual(self.one._used[7], 7 * KIB + LEAST)

    async def test_slow_database(self) -> None:
        """What is still being stored counts, although the sum of an earlier time arrives."""
        running: list[Deferred[list[tuple[int, int]]]] = []

        def run(*_: object) -> Deferred[list[tuple[int, int]]]:
            running.append(Deferred())
            return running[-1]

        now = self.realm.service.context.now()
        with mock.patch.object(self.realm.database, "run", run):
            for _ in range(2):
                self.one.charge_account(7, 5 * KIB, now)
                self.one.save()
            running[0].callback([(7, 5 * KIB)])
            self.assertRaises(MessageQuota, self.one.charge_account, 7, 1, now)
            running[1].errback(StorageFailed())
            self.assertRaises(MessageQuota, self.one.charge_account, 7, 1, now)
        await self.one.save()
        self.assertEqual(self.one._used[7], 5 * KIB)  # nothing else is in the database

    async def test_given_back_elsewhere(self) -> None:
        """A node that refuses because of another's use learns when that is cancelled."""
        await self.charge(self.one, 10 * KIB)
        await self.charge(self.two, LEAST)
        self.assertFalse(await self.charge(self.two, KIB))
        self.one.give_back(7, 10 * KIB)
        await self.one.save()
        self.assertFalse(await self.charge(self.two, KIB))
        self.assertTrue(await self.charge(self.two, KIB))

    async def test_not_stored(self) -> None:
        """What could not be stored is added later, once."""
        with mock.patch.object(self.realm.database, "run", return_value=fail(StorageFailed())):
            await self.charge(self.one, KIB)
        self.one.charge_account(7, KIB, self.realm.service.context.now())
        await self.one.save()
        await self.one.save()
        await self.charge(self.two, LEAST)
        self.assertEqual(self.two._used[7], 2 * KIB + LEAST)


class SharedLimits(SynchronousTestCase):
    """Four nodes, on a bus that loses nothing."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.buses: list[MemoryBus] = []
        self.news = [NodeNews(MemoryBus(f"node{n}", self.buses), self.clock) for n in range(4)]
        for bus, news in zip(self.buses, self.news, strict=True):
            news.name = bus.name

    def settle(self) -> None:
        """Let the nodes exchange what each has."""
        for bus in self.buses:
            bus.start(bus.name, 1)
        self.clock.pump([0] * 8 + [ASK_AGAIN, BETWEEN, 0, 0, 0])

    def each(self, make: Callable[[NodeNews], T]) -> list[T]:
        return [make(news) for news in self.news]

    def test_quota(self) -> None:
        """Uses and refunds count at all nodes; uses at the same moment are paid back."""
        quotas = self.each(lambda news: share_quota(Quota(4), news, self.clock, "some"))
        now = self.clock.seconds()
        self.assertEqual([each.take("a", now) for each in quotas], [0.0] * 4)
        self.assertEqual([each.take("a", now) for each in quotas], [900.0] * 4)
        quotas[0].give_back("a")
        self.assertEqual(quotas[1].take("a", now), 0.0)
        for bus in self.buses:
            bus.lost = True
        later = now + 900
        self.assertEqual([each.take("a", later) for each in quotas], [0.0] * 4)
        self.assertEqual(quotas[0].take("b", later), 0.0)
        for each in quotas:
            each.used_elsewhere("a", later)
        self.assertEqual([each.take("a", later) for each in quotas], [1800.0] * 4)

    def test_no_limit(self) -> None:
        """Without a limit nothing is told or kept."""
        quotas = self.each(lambda news: share_quota(Quota(0), news, self.clock, "some"))
        quotas[0].take("a", 0)
        quotas[0].give_back("a")
        quotas[1].used_elsewhere("a", 0)
        self.assertEqual((self.buses[0].published, quotas[1]._left), ([], {}))

    def test_taken_names(self) -> None:
        def make(news: NodeNews) -> TakenNames:
            taken = TakenNames(self.clock, limited=True)
            taken.share(news, "taken")
            return taken

        nodes = self.each(make)
        for number in range(TAKEN_PER_HOUR):
            with nodes[number % 4].attempt("ana"):
                pass  # a name that was free
            with self.assertRaises(GroupExists), nodes[number % 4].attempt("ana"):
                raise GroupExists(name="bagan")
        for node in nodes:
            with self.assertRaises(TooManyTakenNames), node.attempt("ana"):
                raise AssertionError

    def joins(self) -> list[FailedJoins]:
        def make(news: NodeNews) -> FailedJoins:
            joins = FailedJoins(self.clock)
            joins.share(news)
            return joins

        return self.each(make)

    def tried(self, node: FailedJoins, party: Party, source: str | None = None) -> Deferred[object]:
        async def attempt() -> None:
            async with node.attempt(party, source):
                raise UnknownGroup(name="a")

        return Deferred.fromCoroutine(attempt()).addErrback(lambda failure: failure.type)

    def test_failed_joins(self) -> None:
        nodes, party = self.joins(), Party("ana", "ana", 1)
        for number in range(FREE_JOINS + 1):
            tried = self.tried(nodes[number % 4], party)
            self.assertIs(self.successResultOf(tried), UnknownGroup)
        for node in nodes:
            self.assertIs(self.successResultOf(self.tried(node, party)), TooManyFailedJoins)

    def test_joins_from_an_address(self) -> None:
        nodes = self.joins()
        for number in range(FREE_JOINS_OF_ADDRESS + 1):
            party = Party(f"p{number}", f"p{number}", number)
            tried = self.tried(nodes[number % 4], party, "192.0.2.1")
            self.assertIs(self.successResultOf(tried), UnknownGroup)
        self.assertNoResult(self.tried(nodes[3], Party("q", "q", 1000), "192.0.2.1"))

    def test_names_of_groups(self) -> None:
        """Another realm is told of so many groups that they do not exist, whichever node it asks."""
        links = mock.Mock()
        links.is_welcome.return_value = False
        links.source_of.return_value = "192.0.2.1"
        rosters = mock.Mock(find=mock.AsyncMock(side_effect=UnknownGroup(name="a")))

        def make(news: NodeNews) -> NameGuesses:
            database = mock.Mock(read=mock.AsyncMock(return_value=False))
            context = mock.Mock(news=news, clock=self.clock, database=database)
            return NameGuesses(context, rosters, links)

        nodes = self.each(make)
        one, other = Party("a@r2", "a@r2", realm="r2"), Party("a@r3", "a@r3", realm="r3")
        for number in range(MAX_UNKNOWN):
            asked = nodes[number % 4].check_group(one, Address(f"g{number}"))
            self.assertIs(outcome_of(asked), UnknownGroup)
        for node in nodes:
            for party in (one, other):  # both from one address
                self.assertIs(outcome_of(node.check_group(party, Address("z"))), TooManyUnknown)
        self.assertIs(outcome_of(nodes[2].check_group(one, Address("g0"))), UnknownGroup)

    def test_none_is_forgotten(self) -> None:
        """All limits that the service and federation keep in memory are shared."""
        kinds = "Quota|FailureGate|JoinGate|CodeGuesses|TakenNames|FailedJoins|PasswordGuard"
        found: list[str] = []
        for path in (ROOT / "chatd").glob("*/**/*.py"):
            if not path.is_relative_to(ROOT / "chatd/client"):
                text = path.read_text()
                for name in re.findall(rf"self\.(\w+) = (?:{kinds})\(", text):
                    found.append(name)
                    ways = f"share_quota(self.{name}, ", f"self.{name}.share("
                    self.assertTrue(any(way in text for way in ways), f"{path}: {name}")
        self.assertGreater(len(found), 15)

    def test_uploads(self) -> None:
        """Files that arrive at other nodes count, until they have arrived or their node has gone."""

        def make(news: NodeNews) -> UnderWay:
            database = mock.Mock(read=mock.AsyncMock(return_value=100))
            context = mock.Mock(news=news, clock=self.clock, database=database)
            context.config.limits = Limits(account_uploads=3, file=KIB)
            context.file_quotas.of.return_value = 100 + KIB
            uploads = mock.Mock(suspended=mock.AsyncMock(return_value={}))
            return UnderWay(context, uploads, mock.Mock())

        one, two, *_ = self.each(make)
        self.settle()
        self.assertEqual(self.begun(one, 500), KIB)
        self.clock.advance(0)
        allowed = self.begun(two, 0)
        self.assertIs(self.begun(two, 600), QuotaExceeded)
        two.grow(ANA, 0, 524, cast(int, allowed))
        self.assertRaises(QuotaExceeded, two.grow, ANA, 524, 1, cast(int, allowed))
        self.clock.pump([0, GROWTH_TOLD, 0])
        self.assertIs(self.begun(one, 1), QuotaExceeded)
        self.begun(one, 0)
        self.clock.advance(0)
        self.assertIs(self.begun(two, 0), TooManyUploads)
        one.end(ANA, 500)
        self.clock.advance(0)
        self.assertEqual(two.counts.of("1"), (2, 524))
        self.news[0].gone("node1")
        self.assertEqual(one.counts.of("1"), (1, 0))

    def begun(self, node: UnderWay, size: int) -> object:
        """What beginning an upload of ana returns, or the class of its error."""
        try:
            return result_of(node.begin(ANA, size))
        except ChatError as error:
            return type(error)


class WholeNodes(NodesTestCase):
    def test_sum(self) -> None:
        """What is used at one node is known at the other one a second after the first use there."""
        nodes = [node.service.quotas for node in (self.a, self.b)]
        for quotas in nodes:
            quotas.charge_account(7, KIB, self.a.service.context.now())
            self.network.advance(1.5)
        self.assertEqual(nodes[1]._used[7], 2 * KIB)


del NodesTestCase  # it is no test
