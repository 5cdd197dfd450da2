"""What nodes keep in memory of one database, and tell each other about."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.ban_targets import parse_ban_target
from chatd.base.counters import Counters
from chatd.base.errors import BadToken, Banned, Muted, NotMember, StorageFailed, UnknownUser
from chatd.base.events import SessionEnded
from chatd.base.model import Account, Party
from chatd.base.names import UNFILTERED, Address
from chatd.base.roles import OPERATOR
from chatd.commands.sessions import ENDED
from chatd.federation.signing.key_book import KeyBook
from chatd.federation.signing.keys import RealmKey, encode_keys
from chatd.service.context import Context
from chatd.service.move_follower import Followed
from chatd.service.node_caches import MAX_READS, RETRY, NodeCache, NodeTable
from chatd.service.node_news import QUIET, NodeNews
from chatd.service.paced_read import BETWEEN, REST
from chatd.service.rechecks import Rechecks
from chatd.store.account_moves import FOLLOWED, Move, StoredMove, note_move
from chatd.store.database import Database
from chatd.store.mutes import EVERYWHERE
from chatd.store.roster import Delta
from tests.support.buses import MemoryBus
from tests.support.common import make_config, same_bytes
from tests.support.inline import InlineDatabase, outcome_of, result_of
from tests.support.signing import SigningRealm
from tests.support.two_services import TwoServices


class Caches(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        buses: list[MemoryBus] = []
        self.buses = [MemoryBus(name, buses) for name in ("one", "two")]
        self.caches: list[NodeCache[int, str]] = [
            NodeCache(10, NodeNews(bus, self.clock), "things", int) for bus in self.buses
        ]

    def test_told(self) -> None:
        """The others drop the entry, and keep nothing that was read before that."""
        here, there = self.caches
        changed: list[object] = []
        there.on_changed(lambda *each: changed.append(each))
        for number in (1, 2):
            there[number] = here[number] = "a"
        version = there.version
        here.tell(1)
        self.assertEqual(
            [list(each.items()) for each in self.caches], [[*here.items()], [(2, "a")]]
        )
        self.assertEqual(changed, [(1, "a")])
        self.assertFalse(there.keep(1, "a", version))
        self.assertNotIn(1, there)
        self.assertTrue(there.keep(1, "b", there.version))
        self.assertEqual((here.get(1), there.get(1)), ("a", "b"))

    def test_lost(self) -> None:
        here, there = self.caches
        changed: list[object] = []
        there.on_changed(lambda *each: changed.append(each))
        there[1] = there[2] = "a"
        version = there.version
        self.buses[0].lost = True
        here.tell(1)
        self.clock.advance(0)
        self.assertEqual((len(there), changed), (0, [(None, None)]))
        self.assertFalse(there.keep(2, "a", version))


class Jobs:
    """A database whose jobs a test answers."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, Deferred[Any]]] = []
        self.jobs = 0  # that took the turn of the writer

    def read(self, _job: Any, keys: Any) -> Deferred[Any]:
        done: Deferred[Any] = Deferred()
        self.asked.append((keys, done))
        return done

    def run(self, _job: Any, keys: Any) -> Deferred[Any]:
        self.jobs += 1
        return self.read(_job, keys)

    def answer(self, value: Any) -> Any:
        keys, done = self.asked.pop(0)
        done.callback(value)
        return keys


class Tables(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.buses: list[MemoryBus] = []
        self.database, self.took = Jobs(), list[Any]()
        self.there = self.table(MemoryBus("two", self.buses))
        self.here = self.table(MemoryBus("one", self.buses))

    def table(self, bus: MemoryBus) -> NodeTable[int, str]:
        database = cast(Database, self.database)
        config = make_config(Path())
        context = Context(
            config, self.clock, self.clock.seconds, database, same_bytes(), Counters(), bus
        )
        return NodeTable(context, "things", int, lambda _db, _keys: "", self.take)

    def take(self, keys: object, found: object) -> None:
        self.took.append((keys, found))

    def test_one_at_a_time(self) -> None:
        """What changes during a read is read afterwards."""
        self.here.tell(1)
        self.here.tell(2)
        self.here.tell(3)
        self.assertEqual(len(self.database.asked), 1)
        self.database.answer("a")
        self.database.answer("b")
        self.assertEqual(self.took, [([1], "a"), ([2, 3], "b")])
        self.assertEqual(self.database.asked, [])

    def test_lost(self) -> None:
        self.buses[1].lost = True
        self.here.tell(1)
        self.clock.advance(0)
        self.database.answer("all")
        self.assertEqual(self.took, [(None, "all")])

    def test_failed(self) -> None:
        """It is tried again."""
        self.here.tell(1)
        self.database.asked.pop(0)[1].errback(StorageFailed())
        self.assertEqual(self.database.asked, [])
        self.clock.advance(RETRY)
        self.here.tell(2)
        self.database.answer("a")
        self.database.answer("b")
        self.assertEqual(self.took, [([1], "a"), ([2], "b")])

    def test_paced(self) -> None:
        """However often something is lost, all is read at most twice a second, and the last loss is not
        forgotten."""
        self.buses[1].lost = True
        times = []
        for _ in range(30):
            self.here.tell(1)
            self.clock.advance(0.1)
            if self.database.asked:
                times.append(self.clock.seconds())
                self.database.answer("all")
        self.assertLessEqual(len(times), 3 / BETWEEN + 1)
        self.assertGreaterEqual(len(times), 3 / BETWEEN - 1)
        self.clock.advance(BETWEEN)
        self.assertEqual(len(self.database.asked), 1)

    def test_slow(self) -> None:
        """What takes long to read is read more rarely."""
        self.there.reset()
        self.clock.advance(2.0)
        self.there.reset()
        self.database.answer("all")
        self.clock.advance(REST * 2.0 - 0.1)
        self.assertEqual(self.database.asked, [])
        self.there.renew(3)  # single keys are read at once
        self.assertEqual(self.database.answer("three"), [3])
        self.clock.advance(0.2)
        self.assertEqual(self.database.answer("all"), None)

    def test_changed_here_meanwhile(self) -> None:
        """What was read before a change of this node is not used."""
        self.buses[0].silent = True
        self.there.renew(1)
        self.there.tell(1)
        self.database.answer("old")
        self.assertEqual(self.took, [])
        self.database.answer("new")
        self.assertEqual((self.took, self.database.jobs), ([([1], "new")], 0))

    def test_changed_here_all_the_time(self) -> None:
        """It is read in the turn of this node's changes then."""
        self.buses[0].silent = True
        self.there.renew(1)
        for _ in range(MAX_READS):
            self.there.tell(1)
            self.database.answer("old")
        self.there.tell(1)
        self.database.answer("new")
        self.assertEqual((self.took, self.database.jobs), ([([1], "new")], 1))

    def test_stopped(self) -> None:
        """After the end nothing is read again."""
        self.there.renew(1)
        self.there.reset()
        self.there._news.end()
        for _ in range(2):
            self.database.asked.pop(0)[1].errback(StorageFailed())
        self.there.renew(2)
        self.there.reset()
        self.clock.advance(10)
        self.assertEqual((self.database.asked, self.clock.getDelayedCalls()), ([], []))

    def test_timers(self) -> None:
        """The end cancels what is to be read later."""
        self.there.reset()
        self.database.asked.pop(0)[1].callback("")
        self.there.reset()  # too soon after that
        self.there.renew(1)
        self.database.asked.pop(0)[1].errback(StorageFailed())
        self.assertEqual(len(self.clock.getDelayedCalls()), 2)
        self.there._news.end()
        self.assertEqual(self.clock.getDelayedCalls(), [])


class Shared(TwoServices):
    """What one service changes is known to the other."""

    def test_ends(self) -> None:
        """Sessions that end here end there, with the same event, and are not resumed."""
        ana = self.account("ana")
        kept, ended, other = (self.log_in("ana") for _ in range(3))
        self.sessions_here.end_one(ended[0].token_hash, "A")
        self.assertEqual(
            [each[1].listener.got for each in (kept, ended, other)], [[], [SessionEnded("A")], []]
        )
        self.sessions_here.end_all(ana, "B", kept=kept[0].token_hash)
        self.assertEqual(
            [each[1].listener.got for each in (kept, other)], [[], [SessionEnded("B")]]
        )
        self.sessions_here.end_all(ana, "C")
        self.assertEqual(kept[1].listener.got, [SessionEnded("C")])
        self.assertEqual(self.sessions.attached, 0)

    def test_resumed_meanwhile(self) -> None:
        """A session that ends on another node while it is resumed here is not resumed from what was read
        before."""
        self.account("ana")
        login = result_of(self.there.accounts.login("ana", "secret password", "192.0.2.1"))
        database = cast(InlineDatabase, self.there.database)
        database.held_reads = True
        found: list[object] = []
        resuming = Deferred.fromCoroutine(self.there.accounts.resume(login.token))
        resuming.addErrback(lambda failure: found.append(failure.type))
        result_of(self.here.accounts.end_session(login.token_hash))
        self.sessions_here.end_one(login.token_hash, "A")
        database.held_reads = False
        database.answer()
        self.assertEqual(found, [BadToken])

    def test_ends_lost(self) -> None:
        """Those that are not in the database any more end."""
        self.account("ana")
        kept, ended = self.log_in("ana"), self.log_in("ana")
        result_of(self.here.accounts.end_session(ended[0].token_hash))
        self.lose()
        self.sessions_here.end_one(ended[0].token_hash, "A")
        self.heal()
        self.assertEqual(ended[1].listener.got, [SessionEnded(ENDED)])
        self.assertEqual(kept[1].listener.got, [])

    def test_profile(self) -> None:
        """The account is known as it is now, also in its sessions."""
        for number, lost in enumerate((False, True)):
            ana = self.account(f"ana{number}")
            session, _ = self.log_in(ana.name)
            for each in self.buses:
                each.lost = lost
            result_of(self.here.accounts.change_profile(ana, "Anna", "ID"))
            self.heal()
            self.assertEqual(session.account.display_name, "Anna")
            found = result_of(self.there.accounts.find(ana.name))
            self.assertEqual(found.display_name, "Anna")
            self.assertEqual(self.there.accounts.current(ana), ana)

    def test_stale_read(self) -> None:
        """What was read before a change on another node is not kept."""
        ana = self.account("ana")
        database = cast(InlineDatabase, self.there.database)
        database.held_reads = True
        finding = Deferred.fromCoroutine(self.there.accounts.find("ana"))
        result_of(self.here.accounts.change_profile(ana, "Anna", None))
        database.held_reads = False
        database.answer()
        self.assertEqual(result_of(finding).display_name, "ana")
        self.assertEqual(result_of(self.there.accounts.find("ana")).display_name, "Anna")

    def test_role(self) -> None:
        """A session on another node has the account's new role."""
        ana = self.account("ana")
        session, _ = self.log_in("ana")
        result_of(self.here.managed.set_role(self.act(), ana, OPERATOR))
        self.assertTrue(session.account.operator)

    def test_deleted(self) -> None:
        ana = self.account("ana")
        result_of(self.there.accounts.find("ana"))
        result_of(self.here.departures.remove(self.act(), ana, False))
        self.assertIs(outcome_of(self.there.accounts.find("ana")), UnknownUser)

    def test_banned(self) -> None:
        """The connections on another node are closed with the same error, and the ban is lifted there too."""
        ana = self.account("ana")
        for lost in (False, True):
            _, client = self.log_in("ana")
            for each in self.buses:
                each.lost = lost
            target = parse_ban_target("ana")
            bans = self.here.access_bans
            ban = result_of(bans.add(self.act(), target, ana, "spam", None))
            self.heal()
            [error] = client.listener.got
            self.assertEqual(str(error), str(bans.error(ban)))
            self.assertRaises(Banned, self.there.access_bans.check_account, ana)
            result_of(bans.remove(self.act(), target))
            self.heal()
            self.there.access_bans.check_account(ana)

    def test_banned_network(self) -> None:
        closed: list[bool] = []
        self.there.access_bans.on_network(lambda: closed.append(True))
        target = parse_ban_target("192.0.2.0/24")
        result_of(self.here.access_bans.add(self.act(), target, None, "", None))
        self.assertIsNotNone(self.there.access_bans.of_address("192.0.2.9"))
        self.assertEqual(closed, [True])

    def each_way(self, change: Callable[[], Any], check: Callable[[], object]) -> None:
        """Check after a change that is told, and after one whose news are lost."""
        for lost in (False, True):
            for each in self.buses:
                each.lost = lost
            result_of(change())
            self.heal()
            check()

    def test_mutes(self) -> None:
        mutes, check = self.here.mutes, self.there.mutes.check
        for lost in (False, True):
            for each in self.buses:
                each.lost = lost
            result_of(mutes.add(self.act(), "ana", "ana", EVERYWHERE, "", None))
            self.heal()
            self.assertRaises(Muted, check, "ana", 5, "g")
            result_of(mutes.remove(self.act(), "ana", "ana", EVERYWHERE))
            self.heal()
            check("ana", 5, "g")

    def test_blocks(self) -> None:
        """Blocking and unblocking have effect on the other node, also on conversations in memory."""
        ana, budi = self.account("ana"), self.account("budi")
        there = self.there
        to = (Address("ana"),)
        told: list[int] = []
        there.blocks.on_elsewhere(lambda: told.append(len(told)))
        for lost in (False, True):
            for each in self.buses:
                each.lost = lost
            targets, errors = result_of(there.directs.open(budi, to))
            self.assertEqual((len(targets), errors), (1, {}))
            result_of(self.here.blocks.block(ana, Address("budi")))
            self.heal()
            self.assertTrue(there.blocks.has(ana.id, "budi"))
            self.assertIsNone(there.directs.cached(budi, to[0]))
            result_of(self.here.blocks.unblock(ana, Address("budi")))
            self.heal()
            self.assertFalse(there.blocks.has(ana.id, "budi"))
        self.assertGreaterEqual(len(told), 4)

    def test_quotas(self) -> None:
        ana = self.account("ana")
        self.each_way(
            lambda: self.here.managed.set_quota(self.act(), ana, 5),
            lambda: self.assertEqual(self.there.context.file_quotas.of(ana), 5),
        )

    def test_keys(self) -> None:
        """The keys of another realm are learnt and forgotten on the other node too."""
        here, there = (
            KeyBook(each.context, (), lambda _judged: None) for each in (self.here, self.there)
        )
        for number, lost in enumerate((False, True)):
            realm = f"realm{number + 2}"
            key = RealmKey(SigningRealm(realm).key.public, 0, None)
            for each in self.buses:
                each.lost = lost
            result_of(here.learn(realm, encode_keys([key])))
            self.heal()
            self.assertEqual(there.ring.get(realm, key.id), key)
        for each in self.buses:
            each.lost = False
        result_of(here.forget(["realm2"]))
        self.assertEqual(len(there.ring.of("realm2")), 0)

    def test_moved(self) -> None:
        """Where somebody lives now is known to the other node."""
        for number, lost in enumerate((False, True)):
            old = Party(f"ana{number}@r2", f"ana{number}@r2", realm="r2")
            new = Party(f"ana{number}@r3", f"ana{number}@r3", realm="r3")
            move = Move(old, new, 1, 1, 0, b"")
            result_of(self.here.database.run(note_move, move, FOLLOWED))
            for each in self.buses:
                each.lost = lost
            self.here.follower.followed(Followed([], [StoredMove(move, FOLLOWED)]))
            self.heal()
            found = self.there.follower.moved.current(Address(f"ana{number}", "r2"))
            self.assertEqual(found, Address(f"ana{number}", "r3"))

    def group(self, number: int) -> tuple[Account, Account, Address]:
        """A group with two members, in memory on both nodes."""
        ana, budi = self.account(f"ana{number}"), self.account(f"budi{number}")
        name = Address(f"g{number}")
        result_of(self.here.groups.create(ana, name.name))
        result_of(self.here.groups.join(budi, name))
        result_of(self.there.rosters.find_mine(budi, name))
        return ana, budi, name

    def test_kicked(self) -> None:
        """The other node knows it at once, also if the news are lost."""
        for number, lost in enumerate((False, True)):
            ana, budi, name = self.group(number)
            for each in self.buses:
                each.lost = lost
            result_of(self.here.groups.kick(ana, name, Address(budi.name)))
            self.heal()
            self.assertIs(outcome_of(self.there.rosters.find_mine(budi, name)), NotMember)

    def test_quiet(self) -> None:
        """A node that does not hear the others asks the database who is a member."""
        ana, budi, name = self.group(0)
        bus = self.buses[1]
        self.patch(MemoryBus, "publish", lambda _bus, _message: None)
        result_of(self.here.groups.kick(ana, name, Address(budi.name)))
        result_of(self.there.rosters.find_mine(budi, name))
        self.patch(bus, "quiet_for", lambda: QUIET + 0.1)
        self.assertIs(outcome_of(self.there.rosters.find_mine(budi, name)), NotMember)

    def test_unread(self) -> None:
        """Who had nothing unread at one node gets what was sent at another one."""
        ana, budi = self.account("ana"), self.account("budi")
        here, there = self.here, self.there
        empty = result_of(there.reading.inbox(budi, UNFILTERED, {}))
        result_of(here.messages.send(ana, [Address("budi")], "halo", None))
        page = result_of(there.reading.inbox(budi, UNFILTERED, {}))
        self.assertEqual((len(empty.messages), len(page.messages)), (0, 1))
        self.assertEqual(len(result_of(there.reading.unread(budi, {}))), 1)

    def test_change_in_between(self) -> None:
        """A roster that lacks a change of another node is not taken for that after the next change."""
        _, _, name = self.group(0)
        rosters = self.there.rosters
        roster = rosters.cached(name.key)
        assert roster is not None
        ident = roster.group.id
        self.assertIs(rosters.apply(Delta(ident, banned=("a",), epoch=roster.epoch + 1)), roster)
        self.assertIsNone(rosters.apply(Delta(ident, banned=("b",), epoch=roster.epoch + 2)))
        self.assertIsNone(rosters.of_conversation(ident))

    def test_stale_roster(self) -> None:
        """A roster that was read before a change on another node is not kept."""
        ana, budi = self.account("ana"), self.account("budi")
        result_of(self.here.groups.create(ana, "g"))
        name = Address("g")
        result_of(self.here.groups.join(budi, name))
        rosters = self.there.rosters
        real, kicked = self.there.database.run, list[Any]()

        def run(*args: Any) -> Any:
            done = real(*args)
            if not kicked:
                kicked.append(result_of(self.here.groups.kick(ana, name, Address("budi"))))
            return done

        self.patch(self.there.database, "run", run)
        result_of(rosters.find_mine(budi, name))  # it was one when that was read
        self.assertIs(outcome_of(rosters.find_mine(budi, name)), NotMember)


class Checked(SynchronousTestCase):
    """Reads before the commands of a node that does not hear the others."""

    def setUp(self) -> None:
        self.reads: list[Deferred[None]] = []
        self.checks = Rechecks(NodeNews(MemoryBus("one", []), Clock()))
        self.checks.add(self.read)
        self.ended: list[str] = []

    def read(self) -> Deferred[None]:
        self.reads.append(Deferred())
        return self.reads[-1]

    def ask(self, name: str) -> None:
        asked = Deferred.fromCoroutine(self.checks.run())
        asked.addCallbacks(
            lambda _: self.ended.append(name), lambda _: self.ended.append(f"{name} fails")
        )

    def test_together(self) -> None:
        """Those who ask during a read wait for the next one, all for the same."""
        for name in "abc":
            self.ask(name)
        self.assertEqual(len(self.reads), 1)
        self.reads[0].callback(None)
        self.assertEqual((self.ended, len(self.reads)), (["a"], 2))
        self.reads[1].callback(None)
        self.assertEqual((sorted(self.ended), len(self.reads)), (["a", "b", "c"], 2))

    def test_failed(self) -> None:
        """A read that fails fails for all who wait for it. Those who have asked later get another one."""
        for name in "abc":
            self.ask(name)
        self.reads[0].errback(StorageFailed())
        self.assertEqual(self.ended, ["a fails"])
        self.ask("d")
        self.reads[1].errback(StorageFailed())
        self.assertEqual(sorted(self.ended), ["a fails", "b fails", "c fails"])
        self.reads[2].callback(None)
        self.assertEqual((sorted(self.ended)[3:], len(self.reads)), (["d"], 3))
