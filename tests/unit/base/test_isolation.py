"""An exception is injected into each loop over items of many owners: it must not affect the others.

The failure is logged once, with its traceback. A connection that failed is dropped.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, cast
from unittest import mock

import msgspec
from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredList, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer

from chatd.app.doors import all_of
from chatd.app.realm import Environment, Realm
from chatd.base.counters import Counters
from chatd.base.isolation import guarded
from chatd.base.model import Account, Message
from chatd.base.names import parse_address
from chatd.base.thread_pools import stop_pool
from chatd.federation.amp.delivery import Delivery
from chatd.federation.amp.link_sender import Destination, Suspects
from chatd.federation.outcome_waiters import OutcomeWaiters
from chatd.federation.parcels import KEPT, Direct, encode
from chatd.lines.dialects.jsonlines import JsonDialect
from chatd.net.eager import FlushQueue
from chatd.service.presence import IListener, Presence
from chatd.service.remote import QUEUED
from chatd.service.rooms import Rooms
from chatd.store.database import Database
from chatd.store.outbox import NewParcel
from chatd.store.writer import Writer
from tests.support.common import Listener
from tests.support.network import NetworkTestCase
from tests.unit.lines.cases import PASSWORD, ProtocolTestCase, settle
from tests.unit.store.test_database import add, job, make_engine, values

NOW = 1_795_169_703_000


class Mistake(Exception):
    """The injected exception."""


def fails(*_args: object, **_kw: object) -> Any:
    raise Mistake


@implementer(IListener)
class Bad(Listener):
    """A connection whose code fails. If dropping it fails too, that is logged as well."""

    deliver = flush = fails

    def drop(self) -> None:
        self.dropped = True
        raise Mistake


class Good:
    def __init__(self) -> None:
        self.flushed = 0

    def flush(self) -> None:
        self.flushed += 1

    def drop(self) -> None:
        raise AssertionError("it was dropped")


def message(number: int) -> Message:
    return Message(number, 1, number, 1000, "messi", to="lineker", text="halo")


class InMemory(SynchronousTestCase):
    def logged(self, count: int) -> None:
        self.assertEqual(len(self.flushLoggedErrors(Mistake)), count)

    def test_guarded(self) -> None:
        self.assertTrue(guarded("x", int, "1"))
        self.assertFalse(guarded("x", fails, 1, two=2))
        self.logged(1)

    def test_flush_of_all_connections(self) -> None:
        clock = Clock()
        queue, first, bad, last = FlushQueue(clock), Good(), Bad(), Good()
        for each in (first, bad, last):
            queue.add(each)
        clock.advance(0)
        self.assertEqual((first.flushed, last.flushed, bad.dropped), (1, 1, True))
        self.logged(2)
        queue.add(last)
        clock.advance(0)
        self.assertEqual(last.flushed, 2)

    def test_telling_listeners(self) -> None:
        """A failing listener is dropped; the others hear everything, and are counted."""
        counters = Counters()
        presence = Presence(counters)
        first, bad, last = Listener(), Bad(), Listener()
        for account, listener in ((1, first), (1, bad), (2, last)):
            presence.arrive(account, listener)
            presence.listen(account, listener, on=True)
        accounts = (1, 2)
        for number in (1, 2):
            presence.tell(accounts, message(number), None)
        presence.tell((2,), message(3), None)
        presence.flush()
        self.assertEqual(len(first.heard), 2)
        self.assertEqual(len(last.heard), 3)
        self.assertEqual(counters.delivered, 5)
        self.assertTrue(bad.dropped)
        self.logged(2)
        presence.tell(accounts, message(4), first)  # by way of the origins that differ
        presence.tell(accounts, message(5), last)
        presence.flush()
        self.assertEqual((len(first.heard), len(last.heard)), (3, 4))
        self.logged(0)

    def test_telling_with_several_origins(self) -> None:
        presence = Presence()
        first, bad, last = Listener(), Bad(), Listener()
        for listener in (first, bad, last):
            presence.arrive(1, listener)
            presence.listen(1, listener, on=True)
        accounts = (1,)
        presence.tell(accounts, message(1), bad)
        presence.tell(accounts, message(2), first)
        presence.flush()
        self.assertEqual((len(first.heard), len(last.heard), bad.dropped), (1, 2, True))
        self.logged(2)

    def test_a_room(self) -> None:
        rooms = Rooms(Presence())
        people = [Account(n, f"u{n}", f"u{n}", "", "") for n in range(4)]
        listeners: list[Any] = [Listener(), Listener(), Bad(), Listener()]
        for account, listener in zip(people, listeners, strict=True):
            rooms.join(listener, account, listener, "tamu")
        rooms.talk(listeners[0], "halo", 1)
        heard = [len(each.heard) for each in listeners]
        self.assertEqual(heard, [0, 1, 0, 1])
        self.assertTrue(listeners[2].dropped)
        self.logged(2)

    def test_closing_doors(self) -> None:
        """All doors are closed, even if closing one fails at once or later."""
        done: list[int] = []
        calls = [fails, lambda: fail(Mistake()), lambda: succeed(1).addCallback(done.append)]
        self.successResultOf(all_of("x", calls))
        self.assertEqual(done, [1])
        self.logged(2)

    def test_waiting_for_parcels(self) -> None:
        """All senders that wait for parcels are told that the link is gone, or that time is up."""
        heard: list[object] = []
        for by_time in (True, False):
            clock = Clock()
            waiters = OutcomeWaiters(clock)
            mocks = mock.Mock(), mock.Mock()
            restores = mock.Mock(is_needed=lambda *_: False)
            guests = mock.Mock(is_needed=lambda *_: False)
            to = Destination("r", str, clock, *mocks, waiters, Suspects(), restores, guests)
            delivery = Delivery(to)
            delivery.link_up(mock.Mock())
            for number, waiter in enumerate((heard.append, fails, heard.append)):
                delivery.dispatch(number, b"", None, None, waiter)
            if by_time:
                clock.advance(10)
            else:
                delivery.link_down()
            self.logged(1)
        self.assertEqual(heard, [QUEUED] * 4)


class WriterTest(SynchronousTestCase):
    def test_caches_after_a_rollback(self) -> None:
        """All caches are dropped after a rollback, and all hooks hear of a refused transaction."""
        writer = Writer(make_engine(Path(self.mktemp())))
        self.addCleanup(writer.close)
        told: list[str] = []
        for then in (fails, lambda: told.append("forget")):
            writer.on_rollback(then)
        for then in (fails, lambda: told.append("refused")):
            writer.on_refused(then)
        outcomes = writer.commit([job(fails)])
        self.assertEqual(told[:1], ["forget"])
        self.assertIsInstance(outcomes[0].value.value, Mistake)
        with mock.patch.object(writer, "_transact", fails):
            writer.commit([job(add, "a")])
        self.assertIn("refused", told)
        self.assertGreater(len(self.flushLoggedErrors(Mistake)), 1)


class Settling(TestCase):
    def setUp(self) -> None:
        self.engine = make_engine(Path(self.mktemp()))
        self.database = Database(self.engine, cast(Any, reactor))
        self.database.start()
        self.addCleanup(self.database.stop)

    async def test_outcomes_and_hooks(self) -> None:
        """An outcome that can't be told and a failing hook do not keep others from hearing."""
        told: list[int] = []
        self.database.on_settled(fails)
        self.database.on_settled(lambda: told.append(1))

        class Unwilling:
            callback = errback = fails

        waiting: list[Deferred[Any]] = [self.database.run(add, "a")]
        self.database.submit(lambda _db, items: items, "b", Unwilling())
        waiting.append(self.database.run(add, "c"))
        found: Any = await DeferredList(waiting)
        self.assertEqual([good for good, _ in found], [True, True])
        await settle()
        self.assertEqual(told, [1])
        self.assertEqual(len(self.flushLoggedErrors(Mistake)), 2)

    async def test_failing_transaction(self) -> None:
        """Whatever a transaction raises, its jobs are told, and later jobs run."""
        with mock.patch.object(Writer, "commit", fails):
            (outcome,) = await DeferredList([self.database.run(add, "a")], consumeErrors=True)
        self.assertFalse(outcome[0])
        await self.database.run(add, "b")
        self.assertEqual(await self.database.read(values), ["b"])
        self.assertEqual(len(self.flushLoggedErrors(Mistake)), 1)

    async def test_stopping_does_not_block_the_reactor(self) -> None:
        """`stop` fires when the pools have done their work, and the reactor keeps running meanwhile."""
        turns: list[int] = []

        def slow(_connection: object) -> None:
            reactor.callFromThread(turns.append, 1)  # type: ignore[attr-defined]
            while len(turns) < 3:
                pass

        reading = self.database.read(slow)
        stopped = self.database.stop()
        while len(turns) < 3:
            self.assertFalse(stopped.called)
            await settle()
            turns.append(1)
        await reading
        await stopped

    async def test_pool_that_can_not_be_stopped(self) -> None:
        """`stop_pool` fails instead of never firing."""
        with self.assertRaises(Mistake):
            await stop_pool(cast(Any, reactor), mock.Mock(stop=fails))


class Connections(ProtocolTestCase):
    async def test_closing_all_connections(self) -> None:
        """A connection that can't be finished is dropped, and one that can't be aborted affects no other."""
        wires = [self.wire() for _ in range(9)]
        door = self.door_of(JsonDialect)
        orders = {tuple(door._protocols) for _ in range(3)}
        self.assertEqual(len(orders), 1, "the one in the middle is not the last")
        bad: Any = next(iter(orders))[4]
        others = [wire for wire in wires if wire.protocol is not bad]
        with mock.patch.object(bad, "finish", fails):
            door.finish()
        self.assertTrue(all(wire.transport.disconnecting for wire in others))
        self.assertTrue(bad.transport.aborted)
        self.assertEqual(len(self.flushLoggedErrors(Mistake)), 1)
        with mock.patch.object(bad.transport, "abortConnection", fails):
            door.abort()
        self.assertTrue(all(wire.transport.aborted for wire in others))
        self.assertEqual(len(self.flushLoggedErrors(Mistake)), 1)

    async def test_connection_that_fails_while_closing(self) -> None:
        """It is no longer counted, and all sessions are detached except the one that fails."""
        wire = await self.logged_in()
        client = wire.protocol.connection.own
        with mock.patch.object(client, "leave", fails):
            self.lose(wire)
        self.assertEqual(len(self.flushLoggedErrors(Mistake)), 1)
        self.assertEqual(self.realm.connections.total, 0)
        self.assertEqual(len(self.door_of(JsonDialect)._protocols), 0)

    async def test_ending_the_other_sessions(self) -> None:
        """A change of the password ends all other sessions, even if one can't be told."""
        wires = [await self.logged_in() for _ in range(4)]
        with mock.patch.object(wires[2].protocol, "deliver", fails):
            changed = await wires[0].ask(command="password", old=PASSWORD, new=f"{PASSWORD}2")
        self.assertEqual(changed["status"], "OK", changed)
        await settle()
        self.assertEqual([wire.protocol.connection.in_use for wire in wires], [True] + [False] * 3)
        self.assertEqual(len(self.flushLoggedErrors(Mistake)), 1)

    async def test_all_parts_are_stopped(self) -> None:
        config = msgspec.structs.replace(self.realm.config, state=Path(self.mktemp()))
        realm = Realm(config, Environment(cast(Any, reactor), os.urandom, cast(Any, reactor)))
        realm.open()
        with mock.patch.object(realm.directory, "stop", fails):
            await realm.close()
        self.assertFalse(realm.database._thread.is_alive())
        self.assertIsNone(realm.state._lock)
        self.assertEqual(len(self.flushLoggedErrors(Mistake)), 1)


class BetweenRealms(NetworkTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.one, self.two = self.network.pair()
        self.ana, self.budi = self.one.person("ana"), self.two.person("budi")

    def logged(self) -> int:
        return len(self.flushLoggedErrors(Mistake))

    def test_dispatch_fails(self) -> None:
        """The link is dropped, the sender is told `queued`, and the next link sends the outbox."""
        for method in ("dispatch", "post"):
            peer = self.one.realm.directory.peers.by_key["realm2"]
            number = self.network.result(
                self.one.federation.outbox.put(
                    NewParcel("realm2", encode(Direct("ana", "budi", NOW, method)), NOW)
                )
            )
            with mock.patch.object(peer.delivery, method, fails):
                parcel = encode(Direct("ana", "budi", NOW, method))
                if method == "post":
                    self.one.realm.directory.post("realm2", number, parcel, None)
                else:
                    self.one.realm.directory.dispatch(
                        "realm2", number, parcel, None, None, lambda _: None
                    )
            self.network.advance(10)
            self.assertEqual(self.logged(), 1)
            self.assertEqual(self.one.peers()["realm2"].state, "up")
        self.assertEqual(self.budi.reads(), ["ana@realm1: dispatch", "ana@realm1: post"])

    def test_publishing_fails(self) -> None:
        """A stored message that can't be published is an internal error, not silence."""
        with mock.patch.object(self.one.federation.forwarder, "deliver", fails):
            sending = self.one.service.messages.send(
                self.ana.account, [parse_address("budi@realm2")], "halo", None
            )
            self.network.settle()
            self.failureResultOf(sending, Mistake)

    def test_one_message_of_a_batch_fails(self) -> None:
        """Each message of a batch gets its verdict, and those after one that can't be told are told."""
        fan_out = self.two.service.messages.fan_out
        tell = fan_out.tell
        calls: list[int] = []

        def sometimes(*args: Any) -> Any:
            calls.append(1)
            return fails() if len(calls) == 1 else tell(*args)

        batch = [(n, Direct("ana", "budi", NOW, f"{n}")) for n in (101, 102, 103)]
        with mock.patch.object(fan_out, "tell", sometimes):
            verdicts = self.two.receives("realm1", *batch)
        self.assertEqual(verdicts, [KEPT] * 3)
        self.assertEqual(self.logged(), 1)
        self.assertEqual(len(self.budi.reads()), 3)

    def test_bounce_fails(self) -> None:
        """A parcel that can't be bounced is removed; the senders of the others are told."""
        self.network.refusing[self.two.where] = OSError()
        self.network.cut()
        bounces = self.one.federation.outcomes._bounces
        sentence = bounces.sentence

        def sometimes(realm: str, parcel: Any, error: Any) -> str:
            if parcel.text == "2":
                raise Mistake
            return str(sentence(realm, parcel, error))

        for text in "123":
            self.network.result(
                self.one.federation.outbox.put(
                    NewParcel(
                        "realm2", encode(Direct("ana", "budi", NOW, text)), NOW, self.ana.account.id
                    )
                )
            )
        with mock.patch.object(bounces, "sentence", sometimes):
            self.assertEqual(self.network.result(self.one.federation.outcomes.expire(NOW + 1)), 3)
        self.assertEqual(self.one.parcels_waiting(), 0)
        self.assertEqual(len(self.ana.reads()), 2)
        self.assertEqual(self.logged(), 2)
