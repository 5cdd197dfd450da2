"""Messages to people in other realms: delivered, queued, and bounced."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from cryptography.x509 import Certificate

from chatd.base.errors import UnknownRealm, UnknownUser
from chatd.base.model import DELIVERED, QUEUED, REFUSED
from chatd.base.names import Address, Place, parse_address
from chatd.commands import values as ask
from chatd.federation.outcome_waiters import PATIENCE
from chatd.simulate.databases import copy_state
from tests.support.network import LinkedTestCase, PeerTransport, outcome


class SendingTestCase(LinkedTestCase):
    """While the link is up, the reply states the outcome."""

    def test_known(self) -> None:
        reply = self.ana.sends("budi@realm2", "halo")
        self.assertEqual(reply.message, "Message sent")
        self.assertEqual(self.budi.reads(), ["ana@realm1: halo"])
        self.assertEqual(self.ana.history("budi@realm2"), ["ana: halo"])
        self.assertEqual(self.budi.history("ana@realm1"), ["ana@realm1: halo"])
        self.assertEqual(self.one.parcels_waiting(), 0)

    def test_back(self) -> None:
        """One link serves both directions."""
        self.ana.sends("budi@realm2", "halo")
        self.assertEqual(self.budi.sends("ana@realm1", "halo juga").message, "Message sent")
        self.assertEqual(self.ana.history("budi@realm2"), ["ana: halo", "budi@realm2: halo juga"])
        self.assertEqual(len(self.network.dialled), 1)

    def test_names_without_case(self) -> None:
        self.ana.sends("BUDI@Realm2", "satu")
        self.ana.sends("budi@realm2", "dua")
        self.assertEqual(self.ana.history("Budi@REALM2"), ["ana: satu", "ana: dua"])
        self.assertEqual(self.budi.reads(), ["ana@realm1: satu", "ana@realm1: dua"])

    def test_by_full_address(self) -> None:
        """An address may name this realm."""
        self.ana.sends("ana@realm1", "dear diary")
        self.assertEqual(self.ana.history("ana"), ["ana: dear diary"])

    def test_unknown(self) -> None:
        """The verdict comes while ana waits: the message stays with her, marked."""
        with self.assertRaises(UnknownUser) as caught:
            self.ana.sends("dewi@realm2", "halo")
        self.assertEqual(str(caught.exception), "There is no user dewi in realm2")
        place = Place(parse_address("dewi@realm2"))
        (message,) = self.ana.does(ask.ShowHistory(place, 9)).items
        self.assertEqual((message.state, message.reason), (REFUSED, str(caught.exception)))
        self.assertEqual(self.ana.inbox(), [])
        self.assertEqual(self.one.parcels_waiting(), 0)
        self.ana.sends("budi@realm2", "halo")
        self.one.restart()
        self.network.advance(60)
        self.assertEqual(self.ana.history("dewi@realm2"), ["ana: halo"])
        self.assertEqual(self.ana.inbox(), [])

    def test_list(self) -> None:
        """Of recipients here and there, the known ones get the message and the unknown ones are named."""
        self.one.person("dewi")
        reply = self.ana.sends("budi@realm2,nobody@realm2,dewi,noone,citra@realm2", "halo")
        self.assertEqual(reply.message, "Message sent; there is no user noone, nobody@realm2")
        self.assertEqual(self.budi.reads(), ["ana@realm1: halo"])
        self.assertEqual(self.citra.reads(), ["ana@realm1: halo"])
        self.assertEqual(self.one.person("dewi").reads(), ["ana: halo"])

    def test_list_of_unknown(self) -> None:
        with self.assertRaises(UnknownUser) as caught:
            self.ana.sends("nobody@realm2,noone@realm2", "halo")
        self.assertIn("nobody@realm2, noone@realm2", str(caught.exception))

    def test_unknown_realm(self) -> None:
        with self.assertRaises(UnknownRealm):
            self.ana.sends("budi@realm9", "halo")
        self.assertEqual(
            self.ana.sends("budi@realm2,budi@realm9", "halo").message,
            "Message sent; there is no user budi@realm9",
        )

    def test_listening(self) -> None:
        """Other listeners get the message; the sender's own connection does not."""
        self.budi.does(ask.CheckAlive())
        self.ana.sends("budi@realm2", "halo")
        self.assertEqual([each.text for each in self.budi.events], ["halo"])  # type: ignore[union-attr]
        self.assertEqual(self.ana.events, [])

    def test_pipelined(self) -> None:
        """Many messages at once are sent in few boxes, and each gets its own reply."""
        replies = [
            outcome(self.ana.begins_to_send(to, f"{to[:4]} {number}"))
            for number in range(50)
            for to in ("budi@realm2", "nobody@realm2")
        ]
        self.network.settle()
        self.assertTrue(all(each[0].message == "Message sent" for each in replies[::2]))
        self.assertTrue(all(isinstance(each[0], UnknownUser) for each in replies[1::2]))
        expected = [f"ana@realm1: budi {number}" for number in range(50)]
        self.assertEqual(self.budi.reads(), expected)
        self.assertLess(self.connection.near.log.count("Deliver"), 5)


class WaitingTestCase(LinkedTestCase):
    """A message without a verdict within five seconds is queued; the sender is told the later outcome."""

    settings = {"expire": 3600}

    def test_slow(self) -> None:
        self.connection.near.held = True
        reply = outcome(self.ana.begins_to_send("budi@realm2", "halo"))
        self.network.advance(PATIENCE - 0.1)
        self.assertEqual(reply, [])
        self.network.advance(0.2)
        self.assertEqual(
            reply[0].message,
            "Message sent; queued until it can be delivered: budi@realm2",
        )
        self.assertEqual(self.one.parcels_waiting(), 1)
        self.connection.near.held = False
        self.network.settle()
        self.assertEqual(self.budi.reads(), ["ana@realm1: halo"])
        self.assertEqual(self.one.parcels_waiting(), 0)
        self.assertEqual(self.ana.inbox(), [])

    def test_each_waits_for_its_own(self) -> None:
        self.connection.near.held = True
        first = outcome(self.ana.begins_to_send("budi@realm2", "satu"))
        self.network.advance(3)
        second = outcome(self.ana.begins_to_send("budi@realm2", "dua"))
        self.network.advance(2.5)
        self.assertEqual((len(first), len(second)), (1, 0))
        self.connection.near.held = False
        self.network.settle()
        self.assertEqual(second[0].message, "Message sent")

    def test_late_refusal(self) -> None:
        """The message was queued: the realm tells ana which message was not delivered, to which address,
        and why."""
        self.connection.near.held = True
        self.ana.begins_to_send("dewi@realm2", "halo, dewi")
        self.network.advance(6)
        self.connection.near.held = False
        self.network.settle()
        (notice,) = self.ana.inbox()
        self.assertEqual(notice.sender, "system")
        self.assertEqual(
            notice.text,
            'Your message "halo, dewi" of 2026-11-20T10:15:03Z to dewi@realm2 was not delivered: '
            "There is no user dewi in realm2",
        )
        self.assertEqual(self.ana.history("system"), [f"system: {notice.text}"])
        self.assertEqual(self.one.parcels_waiting(), 0)
        # It was said, and is not unsaid.
        self.assertEqual(self.ana.history("dewi@realm2"), ["ana: halo, dewi"])

    def test_down(self) -> None:
        self.part()
        reply = self.ana.sends("budi@realm2", "halo")
        self.assertIn("queued", reply.message)
        self.assertEqual(reply.data["state"], "queued")
        self.network.advance(600)
        self.meet()
        (message,) = self.budi.inbox()
        self.assertEqual(message.text, "halo")
        self.assertEqual(message.at, 1_795_169_703_000, "when it was sent, not when it came")
        self.assertEqual(self.one.parcels_waiting(), 0)

    def test_down_and_unknown(self) -> None:
        self.part()
        self.ana.sends("dewi@realm2", "x" * 100)
        self.meet()
        (notice,) = self.ana.reads()
        self.assertIn(f'"{"x" * 60}…"', notice)
        self.assertIn("There is no user dewi in realm2", notice)

    def test_cut_while_waiting(self) -> None:
        """The link breaks before the verdict: the sender is told at once that the message is queued."""
        self.connection.far.held = True
        reply = outcome(self.ana.begins_to_send("budi@realm2", "halo"))
        self.network.settle()
        self.assertEqual(reply, [])
        self.network.cut()
        self.network.settle()
        self.assertIn("queued", reply[0].message)

    def test_expires(self) -> None:
        self.part()
        self.ana.sends("budi@realm2", "halo")
        self.network.advance(1800)
        self.ana.sends("budi@realm2", "masih ada?")
        self.network.advance(1800 - 60)
        self.assertEqual(self.ana.inbox(), [])
        self.network.advance(180)
        self.assertEqual(
            self.ana.reads(),
            [
                (
                    'system: Your message "halo" of 2026-11-20T10:15:03Z to budi@realm2 was not '
                    "delivered: realm2 could not be reached in time"
                )
            ],
        )
        self.assertEqual(self.one.parcels_waiting(), 1)
        self.meet()
        self.assertEqual(self.budi.reads(), ["ana@realm1: masih ada?"])

    def test_notices_wake(self) -> None:
        """Listeners are told at once of a bounce."""
        self.part()
        self.ana.sends("dewi@realm2", "halo")
        self.meet()
        (event,) = self.ana.events
        self.assertEqual(event.sender, "system")  # type: ignore[union-attr]

    def test_forgotten_realm(self) -> None:
        """Messages for a forgotten realm stay queued, and are sent when it is added again."""
        self.part()
        self.ana.sends("budi@realm2", "halo")
        self.assertEqual(self.network.result(self.one.realm.directory.forget("realm2")), 1)
        with self.assertRaises(UnknownRealm):
            self.ana.sends("budi@realm2", "halo?")
        self.network.refusing.clear()
        self.network.advance(600)
        self.assertEqual(self.budi.inbox(), [])
        self.one.add(self.two)
        self.assertEqual(self.budi.reads(), ["ana@realm1: halo"])

    def test_forgotten_and_expired(self) -> None:
        """The sender is told even then."""
        self.part()
        self.ana.sends("budi@realm2", "halo")
        self.network.result(self.one.realm.directory.forget("realm2"))
        self.network.advance(3600 + 120)
        (notice,) = self.ana.reads()
        self.assertIn("budi@realm2 was not delivered", notice)


class WhileRestoringTestCase(LinkedTestCase):
    """After a restart, realm2 first gets what it may have lost: not before `go_on` is called."""

    def setUp(self) -> None:
        super().setUp()
        self.ana.sends("budi@realm2", "satu")
        made = PeerTransport.__init__

        def hold(end: PeerTransport, protocol: Any, certificate: Certificate) -> None:
            made(end, protocol, certificate)
            end.holding = {"Return"}

        self.patch(PeerTransport, "__init__", hold)
        self.two.restart()
        self.network.advance(5)
        self.held = self.connection.transport_of(self.one)
        self.assertEqual(self.held.waiting, ["Return"])

    def go_on(self) -> None:
        self.held.holding.clear()
        self.network.settle()

    def test_waiting(self) -> None:
        """A sender who waits is told the outcome, once it is known."""
        known = outcome(self.ana.begins_to_send("budi@realm2", "halo"))
        unknown = outcome(self.ana.begins_to_send("dewi@realm2", "halo"))
        self.network.settle()
        self.assertEqual((known, unknown), ([], []))
        self.go_on()
        self.assertEqual((known[0].message, known[0].data["state"]), ("Message sent", DELIVERED))
        self.assertIsInstance(unknown[0], UnknownUser)
        self.assertEqual(self.budi.reads(), ["ana@realm1: satu", "ana@realm1: halo"])
        self.assertEqual(self.ana.inbox(), [])

    def test_not_in_time(self) -> None:
        reply = outcome(self.ana.begins_to_send("budi@realm2", "halo"))
        self.network.advance(PATIENCE)
        self.assertEqual(reply[0].data["state"], QUEUED)
        self.go_on()
        self.assertEqual(self.budi.reads(), ["ana@realm1: satu", "ana@realm1: halo"])

    def test_cut(self) -> None:
        reply = outcome(self.ana.begins_to_send("budi@realm2", "halo"))
        self.network.cut()
        self.network.settle()
        self.assertEqual(reply[0].data["state"], QUEUED)

    def test_change(self) -> None:
        """The author of a change is told that it waits."""
        place = Place(parse_address("budi@realm2"))
        told = self.ana.does(ask.EditMessage(place, 1, "SATU"))
        self.assertIs(told.data["queued"], True)
        self.go_on()
        self.assertEqual(self.budi.history("ana@realm1"), ["ana@realm1: SATU"])
        told = self.ana.does(ask.EditMessage(place, 1, "satu"))
        self.assertNotIn("queued", told.data)


class RestartTestCase(LinkedTestCase):
    """Acknowledged messages are neither lost nor duplicated when either realm crashes."""

    def test_sender_killed(self) -> None:
        self.part()
        for number in range(5):
            self.ana.sends("budi@realm2", str(number))
        self.one.restart()
        self.meet()
        self.assertEqual(self.budi.reads(), [f"ana@realm1: {number}" for number in range(5)])
        self.assertEqual(self.one.parcels_waiting(), 0)

    def test_sender_closed(self) -> None:
        self.part()
        self.ana.sends("budi@realm2", "halo")
        self.one.close()
        self.one.open()
        self.meet()
        self.assertEqual(self.budi.reads(), ["ana@realm1: halo"])

    def test_sender_killed_before_the_verdict(self) -> None:
        self.connection.far.holding = {"Deliver answer"}
        self.ana.begins_to_send("budi@realm2", "halo")
        self.ana.begins_to_send("dewi@realm2", "halo")
        self.network.settle()
        self.one.restart()
        self.network.advance(5)
        self.assertEqual(self.budi.reads(), ["ana@realm1: halo"])
        self.assertEqual(self.one.parcels_waiting(), 0)
        self.assertEqual(len(self.ana.inbox()), 1, "she was told of dewi")

    def test_receiver_killed(self) -> None:
        self.ana.sends("budi@realm2", "satu")
        self.two.kill()
        self.assertIn("queued", self.ana.sends("budi@realm2", "dua").message)
        self.two.open()
        self.network.advance(5)
        self.assertEqual(self.budi.reads(), ["ana@realm1: satu", "ana@realm1: dua"])

    def test_receiver_killed_before_it_was_kept(self) -> None:
        self.connection.near.held = True
        self.ana.begins_to_send("budi@realm2", "halo")
        self.network.settle()
        self.connection.near.held = False
        self.connection.near.deliver()  # it arrives, and is on its way to the disk
        self.two.restart()
        self.network.advance(5)
        self.assertEqual(self.budi.reads(), ["ana@realm1: halo"])

    def test_acknowledgement_lost(self) -> None:
        """A parcel is sent again over the next link, and recognized by its number."""
        self.connection.far.losing = {"Deliver answer"}
        self.ana.begins_to_send("budi@realm2", "halo")
        self.network.settle()
        self.assertEqual(self.connection.far.lost, 1)
        self.assertEqual(self.budi.reads(), ["ana@realm1: halo"])
        self.network.cut()
        self.network.advance(3)
        self.assertEqual(self.connection.near.log.count("Deliver"), 1)
        self.assertEqual(self.one.parcels_waiting(), 0)
        self.assertEqual(self.budi.inbox(), [])
        self.assertEqual(self.budi.history("ana@realm1"), ["ana@realm1: halo"])

    def test_acknowledgement_lost_and_receiver_killed(self) -> None:
        """Received numbers are known after a restart."""
        self.connection.far.losing = {"Deliver answer"}
        self.ana.begins_to_send("budi@realm2", "halo")
        self.network.settle()
        self.two.restart()
        self.network.advance(5)
        self.assertEqual(self.budi.history("ana@realm1"), ["ana@realm1: halo"])

    def test_killed_before_the_outbox_is_tidied(self) -> None:
        self.ana.sends("budi@realm2", "halo")
        self.one.restart()
        self.network.advance(5)
        self.assertEqual(self.budi.history("ana@realm1"), ["ana@realm1: halo"])
        self.assertEqual(self.one.parcels_waiting(), 0)

    def test_half_a_box(self) -> None:
        self.connection.near.held = True
        self.ana.begins_to_send("budi@realm2", "halo")
        self.network.settle()
        self.connection.near.held = False
        self.connection.split()
        self.network.advance(3)
        self.assertEqual(self.budi.reads(), ["ana@realm1: halo"])

    def test_older_state(self) -> None:
        """An older state of realm1 is restored: it gets back what it has lost, and what it sends then is
        new."""
        self.ana.sends("budi@realm2", "satu")
        self.one.close()
        copy_state(self.one.config.state, Path("backup"))
        self.one.open()
        self.network.advance(3)
        for text in ("dua", "tiga", "empat"):
            self.ana.sends("budi@realm2", text)
        self.one.close()
        shutil.rmtree(self.one.config.state)
        copy_state(Path("backup"), self.one.config.state)
        self.addCleanup(shutil.rmtree, "backup")
        self.one.open()
        self.network.advance(3)
        self.assertEqual(self.ana.sends("budi@realm2", "lima").message, "Message sent")
        self.assertEqual(
            self.ana.history("budi@realm2"),
            [f"ana: {text}" for text in ("satu", "dua", "tiga", "empat", "lima")],
        )
        self.assertEqual(
            self.budi.history("ana@realm1"),
            [f"ana@realm1: {text}" for text in ("satu", "dua", "tiga", "empat", "lima")],
        )

    def test_older_state_of_members(self) -> None:
        """The same holds if only membership news was sent."""
        self.ana.creates("bagan")
        self.one.close()
        copy_state(self.one.config.state, Path("backup"))
        self.addCleanup(shutil.rmtree, "backup")
        self.one.open()
        self.network.advance(3)
        self.budi.joins("bagan@realm1")
        self.one.close()
        shutil.rmtree(self.one.config.state)
        copy_state(Path("backup"), self.one.config.state)
        self.one.open()
        self.network.advance(3)
        self.ana.does(ask.InviteMembers(Address("bagan"), (Address("citra", "realm2"),)))
        self.network.settle()
        self.citra.accepts("bagan@realm1")
        self.assertEqual(self.citra.mine(), ["bagan@realm1"])
