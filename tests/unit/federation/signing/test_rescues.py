"""Statements of rescues: test vectors, who may found a group, and which of several rescues counts."""

from __future__ import annotations

from itertools import permutations

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from chatd.base.errors import BadSignature
from chatd.base.names import key_of
from chatd.federation.rescue_parts import (
    decode_branches,
    decode_follow,
    decode_proof,
    decode_rescue,
)
from chatd.federation.signing.group_rosters import (
    ADMIN,
    BANNED,
    MAX_FOUNDERS,
    MEMBER,
    RosterPlace,
    RosterRow,
    RosterStatement,
    check_rows,
    decode_roster_statement,
    decode_rows,
    encode_rows,
    founders_in,
    realm_in,
    state_roster,
)
from chatd.federation.signing.proofs import SigningKey
from chatd.federation.signing.rescues import (
    OpenedRescue,
    Rescue,
    RescueStatement,
    VerdictStatement,
    decode_verdict,
    is_due,
    open_rescue,
)
from chatd.federation.signing.statements import encode

KEY = SigningKey(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
AT = 1_764_200_000_000
PLACE = RosterPlace("realm1", 12, "bagan", 40)
ROWS = (
    RosterRow("messi@realm1", ADMIN, AT),
    RosterRow("budi@realm2", ADMIN, AT + 2),
    RosterRow("ana@realm3", ADMIN, AT + 1, 5),
    RosterRow("citra@realm2", MEMBER, AT + 3),
    RosterRow("dewi@realm3", BANNED, AT + 4),
)
ROSTER_HEX = (
    "9aae636861746420726f737465722031a67265616c6d310c46a5626167616e28cf0000019ac283aa0092aa616e614072"
    "65616c6d33ab62756469407265616c6d327ac4206bed54e1d190947234b1e00e715614aaf8ec31336e9abcfcf1b351b1"
    "ef90dff3"
)
RESCUE_HEX = (
    "9bae6368617464207265736375652031a67265616c6d33cd0384a67265616c6d310c46a3616e6107a5626167616e2ccf"
    "0000019ac283aa09"
)
RESCUE_HASH = "b66d51ebe64e2448e1d4e3201920fdc868bb54155fc660e580626a37aab95119"
VERDICT_HEX = (
    "97af636861746420766572646963742031a67265616c6d310c47c420b66d51ebe64e2448e1d4e3201920fdc868bb5415"
    "5fc660e580626a37aab95119c3cf0000019ac283aa0a"
)
ROWS_HEX = (
    "9594aa616e61407265616c6d3301cf0000019ac283aa010594ab62756469407265616c6d3201cf0000019ac283aa0200"
    "94ac6369747261407265616c6d3200cf0000019ac283aa030094ab64657769407265616c6d3302cf0000019ac283aa04"
    "0094ac6d65737369407265616c6d3101cf0000019ac283aa0000"
)


def roster(rows: tuple[RosterRow, ...] = ROWS, number: int = 70) -> bytes:
    statement, _ = state_roster(PLACE, rows, number, AT)
    return statement


def rescue(
    founder: str = "ana", realm: str = "realm3", seq: int = 44, stated: bytes | None = None
) -> Rescue:
    stated = stated or roster()
    number = decode_roster_statement(stated).number
    data = encode(
        RescueStatement(realm, 900, "realm1", 12, number, founder, 7, "bagan", seq, AT + 9)
    )
    return Rescue(data, KEY.sign([data])[0], stated, KEY.sign([stated])[0])


class VectorTests(TestCase):
    """docs/federation.md has the same bytes."""

    def test_rows(self) -> None:
        self.assertEqual(encode_rows(ROWS).hex(), ROWS_HEX)
        statement, rows = state_roster(PLACE, ROWS, 70, AT)
        self.assertEqual(rows.hex(), ROWS_HEX)
        self.assertEqual(statement.hex(), ROSTER_HEX)
        self.assertEqual(
            [row.address for row in check_rows(decode_roster_statement(statement), rows)],
            ["ana@realm3", "budi@realm2", "citra@realm2", "dewi@realm3", "messi@realm1"],
        )

    def test_rescue(self) -> None:
        found = rescue()
        self.assertEqual(found.statement.hex(), RESCUE_HEX)
        self.assertEqual(found.hash.hex(), RESCUE_HASH)
        self.assertEqual(open_rescue(found).place, 0)

    def test_verdict(self) -> None:
        data = encode(VerdictStatement("realm1", 12, 71, rescue().hash, True, AT + 10))
        self.assertEqual(data.hex(), VERDICT_HEX)
        self.assertEqual(decode_verdict(data).rescue, rescue().hash)


class FounderTests(TestCase):
    def test_admins_elsewhere_in_order(self) -> None:
        self.assertEqual(founders_in(ROWS, "realm1"), ("ana@realm3", "budi@realm2"))
        self.assertEqual(open_rescue(rescue("budi", "realm2")).place, 1)

    def test_longest_standing_member(self) -> None:
        """Without an admin elsewhere it is one member; a banned person is none."""
        rows = tuple(
            msgspec.structs.replace(row, role=MEMBER) if row.role == ADMIN else row for row in ROWS
        )
        self.assertEqual(founders_in(rows, "realm1"), ("ana@realm3",))
        self.assertEqual(founders_in(rows[:1], "realm1"), ())

    def test_nobody_else(self) -> None:
        for founder, realm in (
            ("citra", "realm2"),  # no admin
            ("ana", "realm2"),  # of another realm
            ("messi", "realm1"),  # of the lost home
            ("dewi", "realm3"),  # banned
        ):
            with self.assertRaises(BadSignature):
                open_rescue(rescue(founder, realm))

    def test_spelling(self) -> None:
        self.assertEqual(open_rescue(rescue("ANA", "realm3")).place, 0)

    def test_roster_of_another_group(self) -> None:
        found = rescue()
        other, _ = state_roster(msgspec.structs.replace(PLACE, group=13), ROWS, 70, AT)
        newer = roster(number=71)
        for wrong in (other, newer):
            with self.assertRaises(BadSignature):
                open_rescue(msgspec.structs.replace(found, roster=wrong))

    def test_bounds(self) -> None:
        many = [RosterRow(f"a{n}@realm{2 + n % 3}", ADMIN, n) for n in range(100)]
        self.assertEqual(len(founders_in(many, "realm1")), MAX_FOUNDERS)

    def test_malformed(self) -> None:
        good = roster()
        for bad in (b"", good[:-1], good + b"\0", b"\xc1", encode((1, 2, 3))):
            with self.assertRaises(BadSignature):
                decode_roster_statement(bad)
        statement, rows = state_roster(PLACE, ROWS, 70, AT)
        for bad in (rows + b"\0", rows[:-1], b"", encode_rows(ROWS[1:])):
            with self.assertRaises(BadSignature):
                check_rows(decode_roster_statement(statement), bad)
        fields = msgspec.msgpack.decode(good)
        with self.assertRaises(BadSignature):
            decode_roster_statement(msgspec.msgpack.encode([*fields, b"more"]))
        for decode in (decode_rows, decode_rescue, decode_branches, decode_follow, decode_proof):
            with self.assertRaises(BadSignature):
                decode(b"\xc1")
        for bad in (b"", b"\x90", rescue().statement):
            with self.assertRaises(BadSignature):
                decode_verdict(bad)

    def test_due(self) -> None:
        self.assertFalse(is_due(None, 10))
        self.assertFalse(is_due(9, 10))
        self.assertTrue(is_due(10, 10))


_realms = st.sampled_from(["realm1", "realm2", "realm3", "realm4"])
_rows = st.lists(
    st.builds(
        RosterRow,
        st.builds("{}@{}".format, st.sampled_from(["ana", "Budi", "citra"]), _realms),
        st.sampled_from([MEMBER, ADMIN, BANNED]),
        st.integers(0, 5),
    ),
    max_size=12,
    unique_by=lambda row: key_of(row.address),
).map(tuple)


def _rescues_of(rosters: list[tuple[RosterRow, ...]]) -> list[OpenedRescue]:
    """A rescue by everybody who may found the group, by each of the rosters."""
    found = []
    for number, rows in enumerate(rosters, 70):
        stated = roster(rows, number)
        for founder in decode_roster_statement(stated).founders:
            name, _, realm = founder.partition("@")
            found += [open_rescue(rescue(name, realm, seq, stated)) for seq in (41, 2**53 - 1)]
    return found


class RankTests(TestCase):
    @given(st.lists(_rows, min_size=1, max_size=3))
    def test_one_counts(self, rosters: list[tuple[RosterRow, ...]]) -> None:
        """In whatever order realms hear of rescues, they end with the same one; and it is by the newest
        roster that somebody has used."""
        rescues = _rescues_of(rosters)
        if not rescues:
            return
        best = min(rescues, key=lambda each: each.rank)
        newest = max(each.roster.number for each in rescues)
        self.assertEqual(best.roster.number, newest)
        self.assertEqual(best.place, 0)
        self.assertEqual(len({each.rank for each in rescues}), len(rescues))
        for order in list(permutations(rescues[:5]))[:24]:
            kept = order[0]
            for each in order[1:]:
                kept = each if each.rank < kept.rank else kept
            self.assertEqual(kept.rank, min(each.rank for each in rescues[:5]))

    def test_claims_do_not_help(self) -> None:
        """A realm that claims to have more entries does not outrank the founder who stands longer."""
        ana, budi = rescue("ana", "realm3", 41), rescue("budi", "realm2", 2**53 - 1)
        self.assertLess(open_rescue(ana).rank, open_rescue(budi).rank)

    @given(_rows)
    def test_founders(self, rows: tuple[RosterRow, ...]) -> None:
        """They are admins, or one member; never of the home, never banned, longest-standing first."""
        found = founders_in(rows, "realm1")
        by_key = {key_of(row.address): row for row in rows}
        roles = [by_key[key_of(each)].role for each in found]
        self.assertTrue(all(role == ADMIN for role in roles) or roles == [MEMBER])
        self.assertTrue(all(realm_in(each) != "realm1" for each in found))
        since = [by_key[key_of(each)].since for each in found]
        self.assertEqual(since, sorted(since))
        others = [row for row in rows if realm_in(row.address) != "realm1" and row.role != BANNED]
        self.assertEqual(bool(found), bool(others))

    @given(_rows)
    def test_any_order_of_rows(self, rows: tuple[RosterRow, ...]) -> None:
        statement: RosterStatement = decode_roster_statement(roster(rows))
        again = decode_roster_statement(roster(tuple(reversed(rows))))
        self.assertEqual(statement, again)
