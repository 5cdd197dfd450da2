"""Tests of chatd.simulate.hostile: what arrives of the boxes of a hostile realm."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec
from twisted.protocols import amp
from twisted.trial.unittest import SynchronousTestCase

from chatd.simulate.connections import parsed
from chatd.simulate.hostile import HABITS, INVENTED, HostileRealm
from chatd.simulate.trace import Trace

PARCELS = [[7, ["direct", "ana", "budi", 1, "satu"]], [8, ["read", "ana", "budi", 3]]]
BOXES: dict[str, dict[str, Any]] = {
    "Deliver": {"parcels": PARCELS},
    "Return": {"parcels": PARCELS},
    "Hello": {"standing": [5, 6, 0, []]},
    "Deliver answer": {"verdicts": []},
    "Tails answer": {"tails": {1: 2}},
    "Typing": {},
}


def box_of(kind: str, fields: dict[str, Any]) -> bytes:
    values = {key.encode(): msgspec.msgpack.encode(value) for key, value in fields.items()}
    if kind.endswith(" answer"):
        return bytes(amp.Box({b"_answer": b"1", **values}).serialize())
    ask = {} if kind == "Typing" else {b"_ask": b"1"}
    return bytes(amp.Box({b"_command": kind.encode(), **ask, **values}).serialize())


class HostileTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.realm = HostileRealm("realm2", Random(1), Trace(lambda: 0.0, None))  # noqa: S311

    def change(self, kind: str) -> list[bytes]:
        data = box_of(kind, BOXES[kind])
        return self.realm._change(kind, parsed(data), data)

    def test_honest(self) -> None:
        """Without a habit, the boxes are those of the realm."""
        for kind, fields in BOXES.items():
            self.assertEqual(self.change(kind), [box_of(kind, fields)])

    def test_habits(self) -> None:
        """Each habit changes something, and all that arrives are boxes, but for garbage."""
        for habit in HABITS:
            self.realm.habits = {habit}
            changed = 0
            for _ in range(60):
                for kind, fields in BOXES.items():
                    arrived = self.change(kind)
                    changed += arrived != [box_of(kind, fields)]
                    for data in arrived if habit != "garbage" else ():
                        (box,) = amp.parseString(data)
                        self.assertEqual(dict(box), parsed(data))
            self.assertGreater(changed, 0, habit)

    def test_turn(self) -> None:
        found = set()
        for _ in range(200):
            self.realm.turn()
            self.assertTrue(self.realm.habits <= set(HABITS) and self.realm.habits)
            found |= self.realm.habits
        self.assertEqual(found, set(HABITS))

    def test_answers_to_invented_requests(self) -> None:
        """The realm itself does not get them: it has not asked."""
        own = box_of("Deliver answer", {})
        for box, kept in (
            ({b"_answer": b"1"}, True),
            ({b"_answer": INVENTED + b"1"}, False),
            ({b"_error": INVENTED + b"2"}, False),
            ({b"_command": b"Ping", b"_ask": INVENTED}, True),
        ):
            self.assertEqual(self.realm._hide("", box, own), [own] if kept else [])
