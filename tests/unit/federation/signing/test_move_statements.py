"""What realms sign about accounts that move: the true proof, and proofs that prove nothing."""

from __future__ import annotations

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.errors import BadSignature
from chatd.federation.signing.entries import Verifier
from chatd.federation.signing.keys import KeyRing, RealmKey
from chatd.federation.signing.move_statements import (
    MAX_MOVE_PROOF,
    MoveAgreement,
    MoveNotice,
    MoveProof,
    SignedMove,
    StatedMove,
    encode,
    open_agreement,
    open_move,
    proof_of,
)
from tests.support.signing import START, SigningRealm

AGREEMENT = MoveAgreement("realm2", 7, "anna", "realm1", "ana", START)
NOTICE = MoveNotice("realm1", 8, "ana", "realm2", "anna", 7, START)


class MoveStatements(SynchronousTestCase):
    def setUp(self) -> None:
        self.realms = {name: SigningRealm(name) for name in ("realm1", "realm2")}
        self.verifier = self.knowing("realm1", "realm2")

    def knowing(self, *names: str) -> Verifier:
        """What checks signatures where the keys of these realms are known."""
        known = [(name, RealmKey(self.realms[name].key.public, 0)) for name in names]
        return Verifier(KeyRing(known))

    def signed(self, statement: MoveAgreement | MoveNotice) -> SignedMove:
        data = encode(statement)
        return SignedMove(data, self.realms[statement.realm].key.sign([data])[0])

    def proof(self, notice: MoveNotice = NOTICE, agreement: MoveAgreement = AGREEMENT) -> bytes:
        return proof_of(self.signed(notice), encode(self.signed(agreement)))

    def reason(self, data: bytes) -> object:
        """Why a proof of a move is refused."""
        return self.assertRaises(BadSignature, open_move, data, self.verifier).details["reason"]

    def test_proof(self) -> None:
        found = open_move(self.proof(), self.verifier)
        self.assertEqual(found, StatedMove(NOTICE, AGREEMENT, is_verified=True))

    def test_key_of_the_new_realm(self) -> None:
        """A proof says if the key of the new realm is not known. An agreement alone needs that key."""
        self.verifier = self.knowing("realm1")
        found = open_move(self.proof(), self.verifier)
        self.assertEqual(found, StatedMove(NOTICE, AGREEMENT, is_verified=False))
        with self.assertRaises(BadSignature):
            open_agreement(encode(self.signed(AGREEMENT)), self.verifier)
        self.verifier = self.knowing("realm2")
        opened = open_agreement(encode(self.signed(AGREEMENT)), self.verifier)
        self.assertEqual(opened, AGREEMENT)

    def test_key_of_the_old_realm(self) -> None:
        self.verifier = self.knowing("realm2")
        self.assertEqual(self.reason(self.proof()), "its key was never announced")

    def test_two_moves(self) -> None:
        """The two parts have to name the same people, realms and agreement."""
        replace = msgspec.structs.replace
        for name, other in (
            ("new", "dewi"),
            ("agreed", 9),
            ("name", "budi"),
            ("new_realm", "realm3"),
        ):
            proof = self.proof(replace(NOTICE, **{name: other}))
            self.assertEqual(self.reason(proof), "its two parts are about different moves", name)
        within = self.proof(replace(NOTICE, new_realm="realm1"), replace(AGREEMENT, realm="realm1"))
        self.assertEqual(self.reason(within), "its two parts are about different moves")

    def test_unreadable(self) -> None:
        """Bytes that are no statements, or too many of them, are refused at each place."""
        good, other = self.signed(NOTICE), self.signed(AGREEMENT)
        broken = SignedMove(b"x", other.proof)
        for proof in (b"", b"x", encode(MoveProof(broken, other)), encode(MoveProof(good, broken))):
            self.assertEqual(self.reason(proof), "it can't be decoded")
        self.assertEqual(self.reason(bytes(MAX_MOVE_PROOF + 1)), "it is too long")
        for agreement in (b"x", encode(broken), encode(good), bytes(MAX_MOVE_PROOF + 1)):
            with self.assertRaises(BadSignature):
                open_agreement(agreement, self.verifier)

    def test_forged(self) -> None:
        """A signature of another realm is none."""
        data = encode(AGREEMENT)
        forged = SignedMove(data, self.realms["realm1"].key.sign([data])[0])
        with self.assertRaises(BadSignature):
            open_agreement(encode(forged), self.verifier)
