"""The link between two realms: requests, limits, silence and errors."""

from __future__ import annotations

from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.protocols import amp

from chatd.base.errors import (
    AlreadyMember,
    PeerFailed,
    UnknownGroup,
)
from chatd.federation import parcels
from chatd.federation.amp import contents, wire
from chatd.federation.amp import link as module
from chatd.federation.amp import responder as answering
from chatd.federation.amp.wire import Refused, parse_refused
from chatd.federation.parcels import KEPT, Verdict, encode
from tests.support.amp_peer import AmpPeerTestCase, batch, direct
from tests.support.network import NetworkTestCase, outcome


class AnswerTestCase(AmpPeerTestCase):
    """Requests of an accepted realm, well-formed or not: the link stays."""

    def setUp(self) -> None:
        super().setUp()
        self.greets()

    def delivers(self, *numbered: tuple[int, Any]) -> list[Verdict]:
        answer = self.asks(wire.DeliverCommand, parcels=batch(*numbered))
        self.assertNotIsInstance(answer, Exception)
        verdicts = contents.decode_verdicts(answer["verdicts"], len(numbered))
        assert verdicts is not None
        return verdicts

    def stays(self) -> None:
        self.network.advance(5)
        self.assertEqual(self.asks(wire.PingCommand), {})

    def test_parcels(self) -> None:
        self.assertEqual(self.delivers((1, direct("satu")), (2, direct("dua"))), [KEPT, KEPT])
        self.assertEqual(self.ana.reads(), ["budi@realm2: satu", "budi@realm2: dua"])

    def test_empty_batch(self) -> None:
        self.assertEqual(self.delivers(), [])

    def test_later_kinds(self) -> None:
        """Parcels of unknown kinds in a batch are refused, and the others arrive."""
        verdicts = self.delivers(
            (1, direct("satu")),
            (2, ["sticker", "budi", "ana", 1, "smile"]),
            (3, direct("dua")),
            (4, ["direct", "budi"]),
            (5, {"no": "array"}),
            (6, ["direct", "budi", "ana", 1, "tiga", *[None] * 3, [], None, None, b"", "more"]),
        )
        bad = parcels.UNREADABLE
        self.assertEqual(verdicts, [KEPT, bad, KEPT, bad, bad, KEPT])
        self.assertEqual(
            self.ana.reads(), ["budi@realm2: satu", "budi@realm2: dua", "budi@realm2: tiga"]
        )

    def test_no_batch(self) -> None:
        for data in (b"", b"\xc1", b"rubbish", encode({"a": 1}), encode([[1]])):
            self.assertEqual(self.refuses(wire.DeliverCommand, parcels=data), "bad-batch")
        self.stays()

    def test_malformed_returns(self) -> None:
        for data in (b"", b"\xc1", encode([[1]]), encode([[-1, 1]]), encode({"a": 1})):
            self.assertEqual(self.refuses(wire.ReturnCommand, parcels=data), "bad-batch")
            self.assertEqual(self.refuses(wire.TailsCommand, groups=data), "bad-batch")
        for item in ([1, 2], [1, "x", True], [1, ["direct"]], [1, None, False, 7]):
            self.assertEqual(self.asks(wire.ReturnCommand, parcels=encode([item])), {})
        self.assertEqual(self.asks(wire.TailsCommand, groups=encode([1, -1])), {"tails": b"\x80"})
        for upto in (-5, 1 << 70):
            self.assertEqual(self.asks(wire.ReturnCommand, parcels=encode([]), upto=upto), {})
        self.stays()

    def test_absurd_numbers(self) -> None:
        for number in (0, -1, 1 << 63, (1 << 64) - 1):
            self.assertEqual(
                self.refuses(wire.DeliverCommand, parcels=batch((number, direct("halo")))),
                "bad-batch",
            )
        self.stays()
        self.assertEqual(self.ana.inbox(), [])

    def test_too_many(self) -> None:
        """More parcels than the protocol allows, so that the answer might not fit into a box."""
        many = [(number, ["direct", "b", "x", 0]) for number in range(1, 3001)]
        self.assertEqual(self.refuses(wire.DeliverCommand, parcels=batch(*many)), "bad-batch")
        self.stays()

    def test_longest_verdicts(self) -> None:
        many = [(number, direct("a", to="x" * 30)) for number in range(1, wire.MAX_TAKEN + 1)]
        verdicts = self.delivers(*many[:950])
        self.assertEqual({each.code for each in verdicts}, {"unknown-user"})
        self.stays()

    def test_questions(self) -> None:
        code = self.ana.creates("bagan")
        self.assertEqual(
            self.refuses(wire.FindCommand, user="budi", group="nusantara"), "unknown-group"
        )
        self.assertEqual(self.refuses(wire.FindCommand, user="b u d i", group="bagan"), "bad-name")
        self.assertEqual(self.asks(wire.FindCommand, user="budi", group=code)["group"], "bagan")
        self.assertEqual(self.joins("budi", "bagan")["group"], "bagan")
        self.assertEqual(self.joins("budi", "bagan")["group"], "bagan")
        entry = self.signer.joins("budi", group="bagan")
        for wrong in (b"", b"\x90", entry[:-1], self.signer.joins("citra", group="bagan")):
            asked = {"user": "budi", "group": "bagan", "entry": wrong}
            self.assertEqual(self.refuses(wire.JoinCommand, **asked), "bad-signature")
        members = self.asks(wire.MembersCommand, user="budi", group="bagan", start=0)
        found = msgspec.msgpack.decode(members["members"])
        self.assertEqual([each["username"] for each in found], ["ana", "budi@realm2"])
        self.assertEqual(members["more"], 0)
        for start in (2, 1 << 70, -5):
            self.assertEqual(
                self.asks(wire.MembersCommand, user="budi", group="bagan", start=start)["more"], 0
            )
        self.assertEqual(
            self.refuses(wire.MembersCommand, user="citra", group="bagan", start=0), "not-member"
        )
        change = {"user": "budi", "group": "bagan"}
        self.assertEqual(
            self.refuses(wire.ChangeCommand, **change, change="close", users=[]), "not-admin"
        )
        for verb, users in (("burn", []), ("kick", []), ("close", ["ana"]), ("", ["x"] * 9)):
            self.assertEqual(
                self.refuses(wire.ChangeCommand, **change, change=verb, users=users),
                "unknown-group",
            )
        online = self.asks(
            wire.PresenceCommand, users=["ana", "Ana", "nobody", "", "a b", "x" * 70]
        )
        self.assertEqual(
            msgspec.msgpack.decode(online["states"]), {"ana": "online", "Ana": "online"}
        )
        self.stays()

    def test_internal_error(self) -> None:
        """An unexpected exception is logged with a reference, and the link stays."""

        def fails(*_: object) -> Any:
            raise ZeroDivisionError

        self.patch(self.one.federation.questions, "join", fails)
        error = self.joins("budi", "bagan")
        self.assertEqual(error.code, "internal")
        self.assertRegex(error.details["reference"], r"^[0-9a-f]{8}$")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.stays()

    def test_file_of_nothing(self) -> None:
        """Files that the realm has not got, and places in them that do not exist."""
        for number in (1, 1 << 40):
            for offset in (0, -1, 1 << 62):
                asked = {"realm": "realm1", "number": number, "offset": offset, "size": 10}
                self.assertEqual(self.refuses(wire.FileCommand, **asked), "unknown-file")
        for number in (0, -1, 1 << 64):
            asked = {"realm": "realm1", "number": number, "offset": 0, "size": 10}
            self.assertEqual(self.refuses(wire.FileCommand, **asked), "bad-number")
        self.stays()

    def test_unknown_command(self) -> None:
        """A command of a later version."""

        class Dance(wire.PeerCommand):
            pass

        class Wave(wire.PeerCommand):
            requiresAnswer = False  # noqa: N815 - Twisted's name

        found = self.begins(Dance)
        self.network.settle()
        self.assertIsInstance(found[0], amp.UnhandledCommand)
        self.stays()
        self.raw.callRemote(Wave)
        self.stays()

    def test_storage_fails(self) -> None:
        """Batches after one that was not stored would overtake it, so they are refused too."""
        self.one.realm.database.full = True
        first = self.begins(wire.DeliverCommand, parcels=batch((1, direct("satu"))))
        second = self.begins(wire.DeliverCommand, parcels=batch((2, direct("dua"))))
        self.network.settle()
        self.one.realm.database.full = False
        self.assertEqual(parse_refused(first[0].code).code, "storage-failed")
        self.assertEqual(parse_refused(second[0].code).code, "storage-failed")
        self.assertEqual(
            self.refuses(wire.DeliverCommand, parcels=batch((3, direct("tiga")))), "storage-failed"
        )
        self.assertEqual(self.ana.inbox(), [])
        self.assertEqual(self.asks(wire.PingCommand), {})

    def test_nothing_overtakes(self) -> None:
        """Only the first of two transactions fails: the parcels of the second are refused too."""
        self.delivers((1, direct("nol")))
        failing = [True, False, False, False]
        self.one.realm.database.failing = lambda: bool(failing) and failing.pop(0)
        inbound = self.one.federation.receiver
        first = outcome(Deferred.fromCoroutine(inbound.receive("realm2", [(2, direct("satu"))])))
        found = [self.begins(wire.DeliverCommand, parcels=batch((3, direct("dua"))))]
        self.end.deliver()
        self.one.realm.database.step(1)
        found.append(self.begins(wire.DeliverCommand, parcels=batch((4, direct("tiga")))))
        self.network.settle()
        del first
        self.assertEqual(
            [parse_refused(each[0].code).code for each in found], ["storage-failed"] * 2
        )

    def test_hangs_up(self) -> None:
        """Goodbye is ignored once the link is up."""
        self.raw.callRemote(wire.GoodbyeCommand, code="x", reason="y" * 1000)
        self.stays()

    def test_further_mistakes_do_not_keep_it_open(self) -> None:
        """The time for closing a link begins once, whatever the other end sends meanwhile."""
        link = self.end.other.protocol
        self.end.other.held = True
        asked = outcome(link.call(wire.PingCommand))
        for _ in range(3):
            link.protocol_error("nonsense")
            self.network.advance(module.CLOSE_TIME * 0.4)
        self.assertTrue(self.raw.is_lost)
        self.assertEqual(len(asked), 1)


class RateTestCase(AmpPeerTestCase):
    settings = {"messages_per_second": 100}

    def test_slows(self) -> None:
        """Beyond the rate and the burst the link is not read for a while."""
        self.greets()
        answers = [self.begins(wire.PingCommand) for _ in range(700)]
        self.network.settle()
        done = sum(map(len, answers))
        self.assertLess(done, 510)
        self.network.advance(1)
        self.assertLess(sum(map(len, answers)), done + 110)
        self.network.advance(5)
        self.assertEqual(sum(map(len, answers)), 700)
        self.assertFalse(self.raw.is_lost)

    def test_tails(self) -> None:
        """Each group that is asked for counts."""
        self.greets()
        self.begins(wire.TailsCommand, groups=encode(list(range(1000))))
        answer = self.begins(wire.PingCommand)
        self.network.settle()
        self.assertEqual(answer, [])
        self.network.advance(6)
        self.assertEqual(len(answer), 1)

    def test_many_in_one_piece(self) -> None:
        """Requests that were read together are counted together."""
        self.greets()
        transport: Any = self.raw.transport
        link = transport.other.protocol
        for _ in range(10):
            for _ in range(100):
                self.begins(wire.PingCommand)
            data = b"".join(transport.out)
            transport.out.clear()
            link.dataReceived(data)
        self.network.settle()
        self.assertTrue(transport.other.paused)
        self.network.advance(4)
        self.assertTrue(transport.other.paused, "1000 at 100 a second, and 500 were saved up")
        self.network.advance(1.1)
        self.assertFalse(transport.other.paused)


class BusyTestCase(AmpPeerTestCase):
    def test_pauses(self) -> None:
        """The number of requests that are being answered is bounded; reading resumes when some are done."""
        self.greets()
        working: list[Deferred[Any]] = []

        def slow(*_: object) -> Deferred[Any]:
            working.append(Deferred())
            return working[-1]

        self.patch(self.one.federation.questions, "presence", slow)
        answers = [self.begins(wire.PresenceCommand, users=["ana"]) for _ in range(100)]
        self.network.settle()
        self.assertEqual(len(working), answering.MAX_BUSY)
        for each in working[: answering.MAX_BUSY // 2 - 1]:
            each.callback({})
        self.network.settle()
        self.assertEqual(len(working), answering.MAX_BUSY)
        while any(not each.called for each in working):
            for each in working:
                if not each.called:
                    each.callback({})
            self.network.settle()
        self.assertEqual(len(working), 100)
        self.assertTrue(all(answers))


class AliveTestCase(NetworkTestCase):
    """realm1 and realm2 are linked."""

    def setUp(self) -> None:
        super().setUp()
        self.one, self.two = self.network.pair()
        self.ana, self.budi = self.one.person("ana"), self.two.person("budi")
        self.connection = self.network.connection(self.one, self.two)

    def test_keep_alive(self) -> None:
        """A silent link is pinged."""
        self.network.advance(600)
        self.assertTrue(self.connection.is_open)
        pings = self.connection.near.log.count("Ping") + self.connection.far.log.count("Ping")
        self.assertGreater(pings, 15)
        self.assertLess(pings, 45)

    def test_dark(self) -> None:
        """A link on which nothing arrives is dropped at both ends."""
        self.connection.go_silent()
        self.network.advance(module.QUIET_TIME + module.ANSWER_TIME - 1)
        self.assertEqual(self.one.peers()["realm2"].state, "up")
        self.network.refusing[self.two.where] = RuntimeError()
        self.network.advance(2)
        self.assertEqual(self.one.peers()["realm2"].state, "down")
        self.assertEqual(self.two.peers()["realm1"].state, "down")

    def test_no_answer(self) -> None:
        """A batch that is not answered ends the link, and is sent again over the next one."""
        self.connection.far.holding = {"Deliver answer"}
        sent = outcome(self.ana.begins_to_send("budi@realm2", "halo"))
        self.network.advance(module.ANSWER_TIME - 1)
        self.assertIn("queued", sent[0].message)
        self.assertTrue(self.connection.is_open)
        self.network.advance(5)
        self.assertFalse(self.connection.is_open)
        self.assertTrue(self.network.connection(self.one, self.two).is_open)
        self.assertEqual(self.budi.reads(), ["ana@realm1: halo"])
        self.assertEqual(self.one.parcels_waiting(), 0)

    def test_refusals_in_own_words(self) -> None:
        """A refusal of the other realm is reported like one of this realm."""
        with self.assertRaises(UnknownGroup) as caught:
            self.ana.joins("bagan@realm2")
        self.assertEqual(str(caught.exception), "There is no group bagan in realm2")
        self.budi.creates("bagan")
        self.ana.joins("bagan@realm2")
        with self.assertRaises(AlreadyMember):
            self.ana.joins("bagan@realm2")

    def test_odd_answers(self) -> None:
        """A malformed answer is reported as the other realm's failure, in bounded size."""
        link = self.connection.near.protocol
        for said in (Refused("no-such-code"), Refused("unknown-group", odd=1), Refused("")):

            def fails(*_: object, error: Refused = said) -> Any:
                raise error

            self.patch(self.two.federation.questions, "find", fails)
            with self.assertRaises(PeerFailed):
                self.ana.joins("bagan@realm2")
        for details in ({"name": "x\x1b[2J"}, {"name": "y" * 10_000}):

            def refuses(*_: object, said: dict[str, str] = details) -> Any:
                raise Refused("unknown-group", **said)

            self.patch(self.two.federation.questions, "find", refuses)
            with self.assertRaises(UnknownGroup) as caught:
                self.ana.joins("bagan@realm2")
            self.assertNotIn("\x1b", str(caught.exception))
            self.assertLess(len(str(caught.exception)), 200)
        self.assertTrue(link.is_up)
