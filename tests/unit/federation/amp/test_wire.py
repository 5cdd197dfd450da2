"""The values of AMP boxes: encoded, decoded, and malformed."""

from __future__ import annotations

import os
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.protocols import amp
from twisted.trial.unittest import SynchronousTestCase

from chatd.federation.amp import contents, wire
from chatd.federation.amp.wire import Refused
from chatd.federation.file_supply import MAX_PIECE
from chatd.federation.parcels import (
    KEPT,
    MAX_PARCEL,
    UNREADABLE,
    Direct,
    Left,
    Verdict,
    encode,
    try_decode,
)

HALO = Direct("ana", "budi", 1, "halo")
LEFT = Left("ana", "bagan")


class BatchTestCase(SynchronousTestCase):
    def test_there_and_back(self) -> None:
        items = [(1, encode(HALO)), (2, encode(LEFT)), (900, encode(HALO))]
        self.assertEqual(
            contents.decode_batch(contents.encode_batch(items)), [(1, HALO), (2, LEFT), (900, HALO)]
        )
        self.assertEqual(contents.decode_batch(contents.encode_batch([])), [])

    def test_one_unknown(self) -> None:
        items = [(1, encode(HALO)), (2, encode(["sticker", 1])), (3, encode(LEFT))]
        self.assertEqual(
            contents.decode_batch(contents.encode_batch(items)), [(1, HALO), (2, None), (3, LEFT)]
        )

    def test_more_than_is_known(self) -> None:
        """A later version may add fields to a parcel."""
        data = encode([[1, ["left", "ana", "bagan", None, "and why"]]])
        self.assertEqual(contents.decode_batch(data), [(1, LEFT)])

    def test_no_batch(self) -> None:
        good = encode(HALO)
        for data in (
            b"",
            b"\x00",
            encode("batch"),
            encode([[1]]),
            encode([["1", "x"]]),
            contents.encode_batch([(0, good)]),
            contents.encode_batch([(-1, good)]),
            contents.encode_batch([(1 << 63, good)]),
            contents.encode_batch([(1, good)])[:-1],
            contents.encode_batch([(n, good) for n in range(1, wire.MAX_TAKEN + 2)]),
        ):
            with self.assertRaises(Refused) as caught:
                contents.decode_batch(data)
            self.assertEqual(caught.exception.code, "bad-batch")
        most = contents.encode_batch([(n, good) for n in range(1, wire.MAX_TAKEN + 1)])
        self.assertEqual(len(contents.decode_batch(most)), wire.MAX_TAKEN)

    @given(st.binary(max_size=200))
    def test_anything(self, data: bytes) -> None:
        try:
            batch = contents.decode_batch(data)
        except Refused:
            return
        for number, parcel in batch:
            assert number > 0
            assert parcel is None or encode(parcel)

    @given(st.recursive(st.none() | st.booleans() | st.integers(-9, 1 << 63) | st.text(), st.lists))
    def test_anything_in_a_parcel(self, said: Any) -> None:
        parcel = try_decode(encode(said))
        assert parcel is None or try_decode(encode(parcel)) == parcel


class VerdictsTestCase(SynchronousTestCase):
    def test_there_and_back(self) -> None:
        verdicts = [KEPT, Verdict("unknown-user", {"name": "x"}), Verdict(seq=7), UNREADABLE]
        self.assertEqual(contents.decode_verdicts(contents.encode_verdicts(verdicts), 4), verdicts)

    def test_all_kept(self) -> None:
        """The usual answer is empty."""
        self.assertEqual(contents.encode_verdicts([KEPT] * 1000), b"")
        self.assertEqual(contents.decode_verdicts(b"", 3), [KEPT] * 3)

    def test_no_answer_to_that(self) -> None:
        two = contents.encode_verdicts([UNREADABLE] * 2)
        self.assertIsNone(contents.decode_verdicts(two, 3))
        self.assertIsNone(contents.decode_verdicts(b"rubbish", 3))

    def test_fit_into_a_value(self) -> None:
        """The verdicts on any batch fit into the answer: each is shorter than its parcel."""
        names = ["x" * length for length in (1, 20, 64)]
        for name in names:
            items: list[tuple[int, bytes]] = []
            size = 0
            while size < MAX_PARCEL - 300 and len(items) < wire.MAX_TAKEN:
                items.append((len(items) + 1, encode(Direct("a", name, 0, "x"))))
                size += len(items[-1][1]) + 16
            self.assertLess(len(contents.encode_batch(items)), 65_536)
            verdicts = [Verdict("unknown-user", {"name": name})] * len(items)
            self.assertLess(len(contents.encode_verdicts(verdicts)), 65_536)


class RefusedTestCase(SynchronousTestCase):
    def test_there_and_back(self) -> None:
        refused = Refused("unknown-user", name="Hé", limit=5)
        again = wire.parse_refused(str(refused))
        self.assertEqual((again.code, again.details), ("unknown-user", {"name": "Hé", "limit": 5}))

    def test_as_amp_does_it(self) -> None:
        """AMP makes the exception anew from the description alone."""
        made = wire.PeerCommand.reverseErrors[  # type: ignore[attr-defined]
            b"REFUSED"
        ](str(Refused("group-closed", group="g")))
        again = wire.parse_refused(made.code)
        self.assertEqual((again.code, again.details), ("group-closed", {"group": "g"}))

    def test_anything(self) -> None:
        for said in ("", "x", "[]", '["a"]', '["a", 1]', "[1, {}]", '["a", {"b": 1}, 2]', "\ud800"):
            self.assertEqual(wire.parse_refused(said).code, wire.INTERNAL, said)

    def test_no_details(self) -> None:
        """What can't be a detail is left out: a node could not pass it on to another one."""
        more = '"a": [1], "b": {"c": 1}, "d": 1.5, "e": null, "f": ' + "9" * 60
        refused = wire.parse_refused('["group-full", {"group": "g", "limit": 7, ' + more + "}]")
        self.assertEqual(
            (refused.code, refused.details), ("group-full", {"group": "g", "limit": 7})
        )
        msgspec.msgpack.encode(refused.details)


class CommandsTestCase(SynchronousTestCase):
    def test_large_numbers(self) -> None:
        """Another realm can't answer with a number that a node could not pass on to another one."""
        found = 0
        for command in vars(wire).values():
            for name, kind in getattr(command, "response", ()):
                self.assertFalse(
                    isinstance(kind, amp.Integer) and command is not wire.HelloCommand, command
                )
                if isinstance(kind, wire.AnsweredNumber):
                    box = amp.Box({name: b"9" * 19})
                    with self.assertRaises(ValueError, msg=f"{command} {name!r}"):
                        kind.fromBox(name, box, {}, None)
                    kind.fromBox(name, amp.Box({name: b"9" * 18}), {}, None)
                    found += 1
        self.assertGreater(found, 5)

    def test_one_error_for_all(self) -> None:
        """An undeclared error would end the link."""
        for command in vars(wire).values():
            if isinstance(command, type) and issubclass(command, amp.Command):
                self.assertEqual(command.errors, {Refused: b"REFUSED"}, command)

    def test_greatest_values(self) -> None:
        """The longest values fit into a box."""
        items = [(n, encode(HALO)) for n in range(1, wire.MAX_BATCH + 1)]
        boxes = [
            wire.DeliverCommand.makeArguments({"parcels": contents.encode_batch(items)}, None),
            wire.FileCommand.makeResponse({"data": os.urandom(MAX_PIECE)}, None),
            wire.PresenceCommand.makeArguments(
                {"users": ["\U0001f600" * 64] * wire.MAX_NAMES}, None
            ),
            wire.ChangeCommand.makeArguments(
                {
                    "user": "x" * 64,
                    "group": "x" * 64,
                    "change": "invite",
                    "users": [f"{'é' * 64}@{'é' * 64}"] * wire.MAX_NAMES,
                },
                None,
            ),
        ]
        for box in boxes:
            box.serialize()


class CommandNamesTestCase(SynchronousTestCase):
    def test_names_on_the_wire(self) -> None:
        """The names of the Python classes do not matter to other realms."""
        names = [command.commandName for command in wire.PeerCommand.__subclasses__()]
        expected = (
            "Hello Goodbye Ping Rest Deliver File FileReady Return Tails Guests Typing Find Join"
        )
        questions = "Members Change Presence PresenceChanged Profile GroupPicture ProfileChanged"
        moves = "RosterChanged Roster Rescue Follow Lineage Handover Past"
        self.assertEqual(names, f"{expected} {questions} {moves}".encode().split())
