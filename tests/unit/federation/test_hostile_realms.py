"""A realm with a valid certificate and bad intentions: what it can make this realm store, reveal and log."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, func, select
from twisted.protocols import amp
from twisted.trial.unittest import SynchronousTestCase

from chatd.base import names
from chatd.base.errors import NotRequested
from chatd.base.names import MAX_NAME, key_of
from chatd.federation.amp import contents, wire
from chatd.federation.amp import unconfirmed as strangers_module
from chatd.federation.amp.link import MAX_SHOWN
from chatd.federation.amp.rate_limited_log import MAX_LINES
from chatd.federation.name_guesses import MAX_UNKNOWN
from chatd.federation.parcel_fields import MAX_NUMBER
from chatd.federation.parcels import Direct, DirectEdit, Invite, Joined, Left, Ref
from chatd.service.quotas import REALMS_OF_SOURCE
from chatd.store.schema import conversations
from tests.support.amp_peer import AmpPeer, batch, direct, hello
from tests.support.network import NetworkTestCase, outcome
from tests.support.signing import SigningRealm
from tests.unit.federation.amp.test_flow_control import Watched
from tests.unit.federation.test_name_guesses import GuessingTestCase

KIB = 1 << 10
DEEP = 50_000


class MemoryTestCase(GuessingTestCase):
    settings = {"strangers": "welcome"}

    def test_long_names_are_not_kept(self) -> None:
        """A sender's name may have 60,000 characters, and be sent again and again."""
        long = "é" * 10_000
        before = names._remembered_key_of.cache_info().currsize
        self.verdicts(Direct(long, "ana", 1, "x"), Direct("budi", long, 1, "x"))
        self.verdicts(Left("budi", long))
        self.assertLess(names._remembered_key_of.cache_info().currsize - before, 3)
        rates = self.one.realm.directory.manager.sender_rates
        rates._rate = 100.0
        self.verdicts(Direct(long, "ana", 1, "x"))
        self.assertEqual({len(sender) for (_, sender), _ in rates._buckets.items()}, {MAX_NAME})

    def test_long_keys(self) -> None:
        self.assertEqual(key_of("É" * 2000), "é" * 2000)

    def test_invented_realms_leave_nothing(self) -> None:
        self.patch(strangers_module, "MAX_UNCONFIRMED", 5)
        for number in range(30):
            raw = self.network.connect_by_hand(self.one, f"invented{number}", AmpPeer())
            raw.callRemote(wire.HelloCommand, **hello(f"invented{number}")).addErrback(
                lambda _: None
            )
            self.network.settle()
            outcome(raw.callRemote(wire.DeliverCommand, parcels=batch((1, direct("halo")))))
            self.network.settle()
        self.assertLess(len(self.one.federation.receiver._turns), 10)

    def test_batches_of_links_that_are_gone(self) -> None:
        """A batch whose link ends before its turn is dropped, because it is sent again over the next link."""
        disk = self.one.service.disk
        self.patch(disk, "_measure", lambda: -1)
        disk.look()
        for _ in range(5):
            for number in range(10):
                parcels = batch((number + 1, direct(f"{number}")))
                self.raw.callRemote(wire.DeliverCommand, parcels=parcels).addErrback(lambda _: None)
            self.network.settle()
            self.network.cut()
            self.network.settle()
            self.raw = self.network.connect_by_hand(self.one, "realm2", AmpPeer())
            self.greets()
        turn = self.one.federation.receiver._turns["realm2"]
        self.assertLess(len(turn.waiting), 6)
        self.patch(disk, "_measure", lambda: 1)
        self.network.advance(5)
        self.number = 0
        self.assertEqual(self.verdicts(*(direct(f"{each}") for each in range(10))), [""] * 10)
        texts = [each.text for each in self.ana.inbox()]
        self.assertEqual(texts, [f"{each}" for each in range(10)], "each once, and in order")


class NothingForNothingTestCase(GuessingTestCase):
    settings = {"messages": 2 * KIB, "strangers": "welcome"}

    def conversations(self) -> int:
        def count(connection: Connection) -> int:
            return connection.scalar(select(func.count()).select_from(conversations)) or 0

        found: int = self.one.realm.database.now(count)
        return found

    def test_refused_messages_open_no_conversation(self) -> None:
        """They would cost their realm nothing."""
        before = self.conversations()
        self.assertIsNotNone(self.one.person("dewi").client)
        long = self.one.config.limits.message + 1
        for at, text in enumerate(("", " ", "a\x07b", "x" * long)):
            code = self.verdicts(Direct(f"s{at}", "dewi", 1, text))[0]
            self.assertIn(code, ("empty-text", "bad-text", "message-too-long"))
        self.assertEqual(self.conversations(), before)

    def test_beyond_the_quota(self) -> None:
        """Nor do messages beyond the quota. They are refused for that reason, and not as to an unknown
        user."""
        self.assertEqual(self.verdicts(direct("x" * 2000)), [""])
        before = self.conversations()
        self.assertEqual(self.verdicts(Direct("other", "dewi", 1, "x" * 100)), ["realm-quota"])
        self.assertEqual(self.conversations(), before)

    def test_mentions_count(self) -> None:
        """A short text with many of them takes as much room as a long one."""
        many = tuple(f"{'x' * 60}{number}@realm3" for number in range(25))
        short = Direct("budi", "dewi", 1, "halo", mentions=many)
        self.assertEqual(self.verdicts(short), [""])
        edit = DirectEdit("budi", "dewi", 1, Ref(True, 1), "dua", many)
        self.assertEqual(self.verdicts(edit), ["realm-quota"])
        self.network.advance(2)
        self.assertEqual(self.verdicts(short), ["realm-quota"])

    def test_beyond_the_quota_it_is_read_slowly(self) -> None:
        self.verdicts(direct("x" * 2000))
        self.begins(wire.DeliverCommand, parcels=batch((50, direct("x" * 500))))
        self.network.settle()
        near = self.end.other
        self.assertTrue(near.paused)
        self.network.advance(2)
        self.assertFalse(near.paused)

    def test_invented_names_share_what_their_address_may_bring(self) -> None:
        registry = self.one.realm.directory.peers
        codes = []
        for number in range(REALMS_OF_SOURCE + 2):
            name = f"invented{number}"
            self.raw = self.network.connect_by_hand(self.one, name, AmpPeer())
            self.asks(wire.HelloCommand, **hello(name))
            registry.find(name).source = "192.0.2.1"
            codes += self.verdicts(direct("x" * 2000))
        self.assertEqual(codes, [""] * REALMS_OF_SOURCE + ["realm-quota"] * 2)
        registry.find(name).source = "192.0.2.2"
        self.network.advance(2)
        self.assertEqual(self.verdicts(direct("x" * 2000)), [""], "others go on")


class SilenceTestCase(GuessingTestCase):
    """The time of an answer does not tell whether a name exists: the same number of queries is made."""

    def jobs(self, parcel: Any) -> int:
        """How many jobs of the writer a parcel causes."""
        counted: list[object] = []
        database = self.one.realm.database
        submit = database._submit

        def counting(job: Any) -> Any:
            counted.append(job)
            return submit(job)

        with self.subTest(parcel=parcel):
            database._submit = counting  # type: ignore[method-assign]
            try:
                self.assertEqual(self.verdicts(parcel), [""])
            finally:
                del database._submit
        return len(counted)

    def test_left(self) -> None:
        self.ana.creates("bagan")
        for number in range(MAX_UNKNOWN):
            self.verdicts(Left("budi", f"nothing{number}"))
        some = self.jobs(Left("budi", "bagan"))
        self.assertEqual(some, self.jobs(Left("budi", "nothing")))


class FullTestCase(NetworkTestCase):
    def test_members_do_not_protect_invented_realms(self) -> None:
        """Invented realms that join a group and never acknowledge anything are forgotten like others."""
        self.patch(strangers_module, "MAX_UNCONFIRMED", 10)
        one = self.network.server("realm1")
        one.person("ana").creates("bagan")
        for number in range(11):
            name = f"invented{number}"
            raw: AmpPeer = self.network.connect_by_hand(one, name, Mute())
            found = outcome(raw.callRemote(wire.HelloCommand, **hello(name)))
            self.network.settle()
            self.assertEqual(found[0]["realm"], "realm1", name)
            entry = SigningRealm(name).joins("budi", group="bagan")
            join = {"user": "budi", "group": "bagan", "entry": entry}
            outcome(raw.callRemote(wire.JoinCommand, **join))
            self.network.settle()
            self.network.cut()
            self.network.settle()
        self.assertEqual(len(one.peers()), 10)


class Mute(AmpPeer):
    """Accepts no parcel."""

    def ampBoxReceived(self, box: Any) -> None:
        if box.get(b"_command") != b"Deliver":
            super().ampBoxReceived(box)


class MembershipTestCase(GuessingTestCase):
    def test_unrequested_groups(self) -> None:
        """A home makes nobody a member who has not asked for it. They get an invitation, up to a limit that
        all realms share which nobody here has added."""
        dewi = self.one.person("dewi")
        codes = [self.verdicts(Joined(f"palsu{at}", at + 1, "dewi", 0))[0] for at in range(12)]
        self.assertEqual(codes, [NotRequested.code] * 12)
        self.raw = self.network.connect_by_hand(self.one, "realm3", AmpPeer())
        self.asks(wire.HelloCommand, **hello("realm3"))
        code = self.verdicts(Joined("lain", 1, "dewi", 0))[0]
        self.assertEqual(code, NotRequested.code)
        code = self.verdicts(Invite("lagi", 2, "dewi", "budi"))[0]
        self.assertEqual(code, "", "it is not told whether there is such a person")
        self.assertEqual(dewi.mine(), [])
        self.assertEqual(dewi.invitations(), [f"palsu{at}@realm2" for at in range(10)])


class NumbersTestCase(NetworkTestCase):
    def test_claims_move_no_numbers(self) -> None:
        """What a realm says, or the numbers that it uses, do not change how parcels are numbered here."""
        one = self.network.server("realm1")
        writers = one.service.context.writers

        def following(connection: Connection) -> int:
            return int(writers.parcels.next(connection))

        before = one.realm.database.now(following)
        raw = self.network.connect_by_hand(one, "realm2", Liar())
        raw.callRemote(wire.HelloCommand, **hello())
        self.network.settle()
        highest = batch((MAX_NUMBER, direct("halo")))
        raw.callRemote(wire.DeliverCommand, parcels=highest)
        self.network.settle()
        self.assertEqual(one.realm.database.now(following), before)


class LogTestCase(GuessingTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.log = Watched(self)

    def test_nonsense_in_answers(self) -> None:
        """Any nonsense in place of an answer causes a short log line now and then, and no traceback."""
        for number in range(50):
            self.ana.begins_to_send(f"x{number}@realm2", "halo")
            self.network.settle()
            self.raw = self.network.connect_by_hand(self.one, "realm2", Liar())
            self.raw.callRemote(wire.HelloCommand, **hello()).addErrback(lambda _: None)
            self.network.settle()
        self.assertLess(len(self.log.warnings), MAX_LINES)
        self.assertLess(max(map(len, self.log.warnings)), MAX_SHOWN + 200)
        self.assertEqual(self.log.tracebacks, [])

    def test_goodbyes(self) -> None:
        """Also from a realm that this one has dialled."""
        two = self.network.server("realm3")
        adding = self.one.realm.directory.add("realm3", *two.where, True)
        adding.addErrback(lambda _: None)
        link = next(iter(self.one.realm.directory.manager.links), None)
        assert link is not None
        for _ in range(100):
            link.warn("realm3 does not let this realm in")
        self.network.settle()
        self.assertLess(len(self.log.warnings), 3)


class Liar(AmpPeer):
    """Answers each delivery with a made-up error."""

    transport: Any

    def ampBoxReceived(self, box: Any) -> None:
        if box.get(b"_command") == b"Deliver":
            said = {b"_error": box[b"_ask"], b"_error_code": b"what\x1b[2J"}
            error = amp.AmpBox({**said, b"_error_description": b"x" * 60_000})
            self.transport.write(error.serialize())
        else:
            super().ampBoxReceived(box)


class DepthTestCase(SynchronousTestCase):
    """Data that is nested too deep to be decoded counts as unreadable, and does no other harm."""

    def test_refusals(self) -> None:
        refused = wire.parse_refused('["a",{"b":' + "[" * DEEP + "]" * DEEP + "}]")
        self.assertEqual(refused.code, wire.INTERNAL)

    def test_verdicts(self) -> None:
        deep = b"\x91\x93\xa1a\x81\xa1b" + b"\x91" * DEEP + b"\x90\x00"
        self.assertIsNone(contents.decode_verdicts(deep, 1))

    def test_batches(self) -> None:
        with self.assertRaises(wire.Refused) as caught:
            contents.decode_batch(b"\x91\x92\x01" + b"\x91" * DEEP + b"\x90")
        self.assertEqual(caught.exception.code, "bad-batch")
