"""Answers of old realms, true and hostile, to messages for their accounts that have moved."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from twisted.internet.defer import Deferred, fail, succeed

from chatd.base.errors import AccountMoved, ChatError, PeerFailed, StorageFailed, UnknownRealm
from chatd.base.names import Place, parse_address
from chatd.commands import values as ask
from chatd.federation import moved_messages
from chatd.store.account_moves import find_move
from chatd.store.schema import outbox
from tests.unit.federation.test_account_moves import PASSWORD, MovesTestCase


class WaitingTestCase(MovesTestCase):
    """citra has written to ana while realm1 could not be reached, and ana moves meanwhile."""

    def setUp(self) -> None:
        super().setUp()
        self.dewi = self.two.person("dewi")
        self.citra.sends("ana@realm1", "satu")
        self.agree()
        self.agree(self.dewi, "budi@realm1")
        self.clara = self.three.person("clara")
        self.agree(self.clara, "dewi@realm2")
        self.network.cut()
        self.network.refusing[self.one.where] = OSError()
        self.network.settle()
        self.citra.begins_to_send("ana@realm1", "dua")
        self.network.settle()
        self.ana.does(ask.MoveAccount(parse_address("anna@realm2"), PASSWORD))
        self.outcomes = self.three.federation.outcomes
        [self.number] = self.waiting()

    def proof(self, name: str = "ana") -> bytes:
        stored = self.network.result(self.one.service.database.read(find_move, name))
        proof: bytes = stored.move.proof
        return proof

    def waiting(self) -> list[int]:
        """The numbers of the parcels for realm1."""
        query = sa.select(outbox.c.id).where(outbox.c.realm == "realm1").order_by(outbox.c.id)
        database = self.three.realm.database
        return list(database.now(lambda connection: connection.scalars(query).all()))

    def answer(self, proof: object, number: int | None = None) -> ChatError | None:
        moved = self.outcomes.moved("realm1", number or self.number, proof)
        error: ChatError | None = self.network.result(Deferred.fromCoroutine(moved))
        return error

    def check_sent(self, *texts: str) -> None:
        self.network.refusing.clear()
        self.network.advance(40.0)
        self.settle()
        self.assertEqual(self.anna.reads(), [f"citra@realm3: {each}" for each in texts])
        self.assertEqual(self.ana.reads(), ["citra@realm3: satu"])


class AnswersTestCase(WaitingTestCase):
    def test_without_proof(self) -> None:
        for proof in (None, 7, b"", b"x", self.proof()[:-1]):
            self.assertIsInstance(self.answer(proof), PeerFailed)
        self.assertEqual(self.waiting(), [self.number])
        self.check_sent("dua")

    def test_move_of_another(self) -> None:
        """A realm that answers with the true move of another of its people does not lead messages there."""
        self.budi.does(ask.MoveAccount(parse_address("dewi@realm2"), PASSWORD))
        self.assertIsInstance(self.answer(self.proof("budi")), PeerFailed)  # unknown to realm3
        self.citra.does(ask.BlockPerson(parse_address("budi@realm1")))  # so it has to do with budi
        self.assertIsInstance(self.answer(self.proof("budi")), PeerFailed)
        self.assertEqual(self.waiting(), [self.number])
        self.check_sent("dua")
        self.assertEqual(self.dewi.reads(), [])

    def test_not_waiting(self) -> None:
        """The answer to a parcel that waits no more still tells of the move."""
        self.assertIsNone(self.answer(self.proof(), self.number + 1000))
        self.assertEqual(self.waiting(), [self.number])
        self.assertIsNone(self.answer(self.proof()))
        self.assertIsNone(self.answer(self.proof()))
        self.assertEqual(self.conversations(self.citra), ["anna@realm2"])
        self.check_sent("dua")

    def test_other_parcel(self) -> None:
        """Only direct messages and changes of them are sent on."""
        self.citra.does(ask.TakeAccount(parse_address("budi@realm1")))
        [agreement] = [each for each in self.waiting() if each != self.number]
        self.assertIsInstance(self.answer(self.proof(), agreement), AccountMoved)

    def test_other_realm(self) -> None:
        """realm1 can answer a parcel for itself with a move of somebody of another realm: it is refused."""
        self.dewi.does(ask.MoveAccount(parse_address("clara@realm3"), PASSWORD))
        stored = self.network.result(self.two.service.database.read(find_move, "dewi"))
        self.assertIsInstance(self.answer(stored.move.proof), AccountMoved)
        self.assertEqual(self.waiting(), [self.number])
        self.check_sent("dua")
        self.assertEqual(self.clara.reads(), [])

    def test_blocked(self) -> None:
        """A message is not sent on to somebody whom its author has blocked."""
        self.citra.does(ask.BlockPerson(parse_address("anna@realm2")))
        self.assertIsInstance(self.answer(self.proof()), AccountMoved)
        self.check_sent()

    def test_full_disk(self) -> None:
        async def full(_proof: bytes, _realm: str) -> Any:
            raise StorageFailed

        self.patch(self.three.federation.moves, "take", full)
        with self.assertRaises(StorageFailed):
            self.answer(self.proof())
        self.assertEqual(self.waiting(), [self.number])

    def test_changes(self) -> None:
        """Changes of a message that is sent on are sent on after it."""
        place = Place(user=parse_address("ana@realm1"))
        [*_, last] = self.citra.does(ask.ShowHistory(place, 9)).items
        self.citra.begins(ask.EditMessage(place, last.seq, "dua!"))
        self.citra.begins(ask.ReactToMessage(place, last.seq, "👍"))
        self.network.settle()
        self.check_sent("dua!")
        there = Place(user=parse_address("citra@realm3"))
        [message] = self.anna.does(ask.ShowHistory(there, 9)).items
        self.assertEqual([each.emoji for each in message.reactions], ["👍"])
        self.assertEqual(self.waiting(), [])

    def test_replies(self) -> None:
        """A reply to what was sent on names that; a reply to an older message names nothing."""
        ana = parse_address("ana@realm1")
        place = Place(user=ana)
        first, second = (each.seq for each in self.citra.does(ask.ShowHistory(place, 9)).items)
        for text, seq in (("tiga", second), ("empat", first)):
            self.citra.begins(ask.SendMessage((ana,), text, reply=seq))
        self.network.settle()
        self.network.refusing.clear()
        self.network.advance(40.0)
        self.settle()
        there = Place(user=parse_address("citra@realm3"))
        shown = self.anna.does(ask.ShowHistory(there, 9)).items
        self.assertEqual([each.text for each in shown], ["dua", "tiga", "empat"])
        self.assertEqual([each.reply for each in shown], [None, shown[0].seq, None])


class UnknownRealmTestCase(WaitingTestCase):
    """realm3 has forgotten realm2, and can't reach it."""

    def setUp(self) -> None:
        super().setUp()
        for server in (self.two, self.three):
            self.network.refusing[server.where] = OSError()
        self.network.cut()
        self.network.settle()
        self.directory = self.three.realm.directory
        self.network.result(self.directory.forget("realm2"))

        def look_up(realm: str, account: int) -> Deferred[None]:
            self.assertEqual((realm, account), ("realm2", self.citra.account.id))
            self.three.knows(realm)
            return succeed(None)

        self.patch(self.directory, "look_up", look_up)

    def test_found(self) -> None:
        """The message waits for the key of the new realm, which is looked up for its author."""
        self.assertIsNone(self.answer(self.proof()))
        self.assertEqual(self.waiting(), [self.number])
        self.assertEqual(self.conversations(self.citra), ["ana@realm1"])
        self.check_sent("dua")
        self.assertEqual(self.waiting(), [])

    def test_not_found(self) -> None:
        self.patch(self.directory, "look_up", lambda *_: fail(UnknownRealm(realm="realm2")))
        self.assertIsInstance(self.answer(self.proof()), AccountMoved)

    def test_not_waiting(self) -> None:
        """Nothing is looked up for a parcel that waits no more."""
        self.patch(self.directory, "look_up", lambda *_: fail(AssertionError()))
        self.assertIsInstance(self.answer(self.proof(), self.number + 1000), AccountMoved)

    def test_too_many(self) -> None:
        self.patch(moved_messages, "MAX_HELD", 0)
        self.assertIsInstance(self.answer(self.proof()), AccountMoved)

    def test_blocked_meanwhile(self) -> None:
        """A message that can't be sent on once the key is known is refused, and its author told."""
        self.assertIsNone(self.answer(self.proof()))
        self.citra.does(ask.BlockPerson(parse_address("anna@realm2")))
        del self.network.refusing[self.two.where]
        self.three.add(self.two)
        self.settle()
        self.assertEqual(self.waiting(), [])
        self.assertEqual(self.anna.reads(), [])
        [told] = [each for each in self.citra.reads() if each.startswith("system")]
        self.assertIn("anna@realm2", told)

    def test_full_disk(self) -> None:
        """A message that could not be sent on stays, and is sent on when realm1 answers again."""
        self.assertIsNone(self.answer(self.proof()))
        moves = self.three.federation.moves
        take, full = moves.take, [True]

        async def sometimes(proof: bytes, realm: str) -> Any:
            if full.pop():
                raise StorageFailed
            return await take(proof, realm)

        self.patch(moves, "take", sometimes)
        del self.network.refusing[self.two.where]
        self.three.add(self.two)
        self.settle()
        self.assertEqual((self.waiting(), full), ([self.number], []))
        self.patch(moves, "take", take)
        self.check_sent("dua")
