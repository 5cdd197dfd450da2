"""Messages that are sent on to the new address of their recipient: in order, whatever is slow."""

from __future__ import annotations

from twisted.internet.task import deferLater

from chatd.base.names import parse_address
from chatd.commands import values as ask
from chatd.store.account_moves import Move
from tests.unit.federation.test_account_moves import PASSWORD, MovesTestCase

TEXTS = ("dua", "tiga", "empat")


class OrderTestCase(MovesTestCase):
    """citra has written to ana three times while realm1 could not be reached, and ana moves meanwhile."""

    def setUp(self) -> None:
        super().setUp()
        self.citra.sends("ana@realm1", "satu")
        self.agree()
        self.network.cut()
        self.network.refusing[self.one.where] = OSError()
        self.network.settle()
        for text in TEXTS:
            self.citra.begins_to_send("ana@realm1", text)
        self.network.settle()
        self.ana.does(ask.MoveAccount(parse_address("anna@realm2"), PASSWORD))

    def check_order(self) -> None:
        self.citra.sends("anna@realm2", "lima")
        self.settle()
        self.assertEqual(self.anna.reads(), [f"citra@realm3: {each}" for each in (*TEXTS, "lima")])
        self.assertEqual(self.ana.reads(), ["citra@realm3: satu"])

    def test_slow_answer(self) -> None:
        """The later answers find the move already, while the first one still notes it."""
        moves = self.three.realm.federation.moves
        clock, take = moves._context.clock, moves.take
        pauses = [4.0, 3.0, 2.0, 1.0]  # seconds, for the notice of the move, too

        async def slowly(proof: bytes, realm: str) -> Move:
            move: Move = await take(proof, realm)
            await deferLater(clock, pauses.pop(0))
            return move

        self.patch(moves, "take", slowly)
        self.network.refusing.clear()
        self.network.advance(40.0)
        self.assertEqual(pauses, [])
        self.check_order()

    def test_unknown_key(self) -> None:
        """They wait until the key of the new realm is known, and go on in order."""
        moves = self.three.realm.federation.moves
        read, known = moves.read, [False]

        def unverified(proof: bytes) -> tuple[Move, bool]:
            move, verified = read(proof)
            return move, verified and known[0]

        self.patch(moves, "read", unverified)
        self.network.refusing.clear()
        self.network.advance(40.0)
        self.assertEqual(self.anna.reads(), [])
        self.assertEqual(self.conversations(self.citra), ["ana@realm1"])
        known[0] = True
        moves.link_up("realm2")
        self.settle()
        self.check_order()
