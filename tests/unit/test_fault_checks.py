"""The checks of a run with faults find what is wrong, and accept what is right (tests.nodes.checks)."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.nodes import checks
from tests.nodes.checks import Log
from tests.nodes.kicks import Episode
from tests.nodes.operations import OK, UNANSWERED, Attempt, Operation
from tests.nodes.people import Place

PLACE = "office@alpha"
ANA, BUDI = "ana@alpha", "budi@alpha"


def send(name: str, began: float, seq: int | None, who: str = ANA, **more: Any) -> Operation:
    """A message that was acknowledged half a second after it was sent."""
    attempt = Attempt(0, began, began + 0.5, OK)
    reply = {"status": OK, "seq": seq, "state": "stored"}
    return Operation(who, "send", PLACE, {"text": name}, name, [attempt], reply, **more)


def change(verb: str, name: str, seq: int, /, **request: Any) -> Operation:
    reply = {"status": OK, "seq": seq}
    return Operation(ANA, verb, PLACE, request, name, [Attempt(0, 9.0, 9.5, OK)], reply)


def message(seq: int, text: str, who: str = "ana", **more: Any) -> dict[str, Any]:
    return {"kind": "message", "conversation": 1, "seq": seq, "from": who, "text": text, **more}


def log(*entries: dict[str, Any], label: str = PLACE, realm: str = "alpha") -> Log:
    return Log(label, realm, entries)


class Messages(SynchronousTestCase):
    def test_lost(self) -> None:
        """What was acknowledged has to be there, with its seq. What was refused need not."""
        there, missing, moved = send("a:1", 0, 1), send("a:2", 1, 2), send("a:3", 2, 3)
        refused = send("a:4", 3, None)
        refused.reply = {"status": "ERROR", "code": "not-member"}
        stored = log(message(1, "a:1"), message(4, "a:3 edited 5"))
        self.assertEqual(checks.lost(stored, [there, refused]), [])
        self.assertIn("a:2", checks.lost(stored, [there, missing])[0])
        self.assertIn("a:3", checks.lost(stored, [moved])[0])

    def test_deleted(self) -> None:
        """A message that was deleted is known by its seq."""
        deleted = [send("a:1", 0, 1), change("delete", "a:1", 2, seq=1)]
        row = {"kind": "deleted", "conversation": 1, "seq": 2, "target": 1, "from": "ana"}
        blank = {**message(1, ""), "deleted": True}
        self.assertEqual(checks.lost(log(blank, row), deleted), [])
        self.assertEqual(checks.wrong_changes(log(blank, row), deleted), [])
        self.assertTrue(checks.lost(log(row), deleted))
        self.assertTrue(checks.wrong_changes(log(blank), deleted))

    def test_seqs_of_the_other_realm(self) -> None:
        """In a direct between two realms each numbers its own log."""
        label = "ana@alpha~citra@beta"
        sent = send("a:1", 0, 7)
        sent.place = label
        here = log(message(7, "a:1"), label=label)
        there = log(message(1, "a:1"), label=label, realm="beta")
        self.assertEqual([*checks.lost(here, [sent]), *checks.lost(there, [sent])], [])
        self.assertTrue(checks.lost(log(message(1, "a:1"), label=label), [sent]))

    def test_doubled_and_invented(self) -> None:
        stored = log(message(1, "a:1"), message(2, "a:1"), message(3, "a:9"))
        self.assertIn("a:1", checks.doubled(stored)[0])
        self.assertIn("a:9", checks.invented(stored, [send("a:1", 0, 1)])[0])
        self.assertEqual(checks.doubled(log(message(1, "a:1"), message(2, "a:2"))), [])

    def test_gaps(self) -> None:
        self.assertEqual(checks.gaps(log(message(1, "a"), message(2, "b"))), [])
        self.assertTrue(checks.gaps(log(message(1, "a"), message(3, "b"))))
        self.assertTrue(checks.gaps(log(message(2, "a"), message(3, "b"))))

    def test_order(self) -> None:
        """A message that was sent after another one was acknowledged comes later. Messages that were under
        way at the same time may have any order."""
        first, second = send("a:1", 0.0, 1), send("b:1", 1.0, 2, BUDI)
        beside = send("b:2", 0.6, 3, BUDI)
        right = log(message(1, "a:1"), message(2, "b:1", "budi"), message(3, "b:2", "budi"))
        self.assertEqual(checks.disordered(right, [first, second, beside]), [])
        early = send("b:3", 0.4, 1, BUDI)
        swapped = log(message(1, "b:3", "budi"), message(2, "a:1"))
        self.assertEqual(checks.disordered(swapped, [first, early]), [])
        wrong = log(message(1, "b:1", "budi"), message(2, "a:1"))
        self.assertIn("b:1", checks.disordered(wrong, [first, second])[0])

    def test_order_elsewhere(self) -> None:
        """In another realm that holds for each sender alone."""
        first, second = send("a:1", 0.0, None), send("a:2", 1.0, None)
        other = send("c:1", 1.0, None, "citra@beta")
        there = log(message(1, "c:1"), message(2, "a:1"), message(3, "a:2"), realm="beta")
        self.assertEqual(checks.disordered(there, [first, second, other]), [])
        wrong = log(message(1, "a:2"), message(2, "a:1"), realm="beta")
        self.assertTrue(checks.disordered(wrong, [first, second, other]))

    def test_edits(self) -> None:
        """The text is that of the last edit, or of one whose outcome nobody knows."""
        edits = [
            change("edit", "a:1", 2, text="a:1 edited 1"),
            change("edit", "a:1", 3, text="a:1 edited 2"),
        ]
        entries = [
            {"kind": "edited", "seq": seq, "target": 1, "from": "ana", "conversation": 1}
            for seq in (2, 3)
        ]
        old, new = message(1, "a:1 edited 1"), message(1, "a:1 edited 2")
        self.assertEqual(checks.wrong_changes(log(new, *entries), edits), [])
        self.assertTrue(checks.wrong_changes(log(old, *entries), edits))
        self.assertTrue(checks.wrong_changes(log(new, entries[0]), edits))
        edits[0].attempts.insert(0, Attempt(1, 8.0, 9.0, UNANSWERED))
        self.assertEqual(checks.wrong_changes(log(old, *entries), edits), [])


class OtherLogs(SynchronousTestCase):
    def test_listeners(self) -> None:
        """A listener has the same entries, perhaps with an earlier text."""
        entries = [message(1, "a:1 edited 2"), message(2, "a:2")]
        stored = log(*entries)
        theirs = {1: message(1, "a:1"), 2: message(2, "a:2")}
        self.assertEqual(checks.differing(stored, theirs, "budi"), [])
        for wrong in (
            {1: theirs[1]},
            {**theirs, 3: message(3, "a:3")},
            {**theirs, 2: message(2, "b")},
        ):
            self.assertTrue(checks.differing(stored, wrong, "budi"), wrong)

    def test_mirrors(self) -> None:
        """Another realm has the entries of a group from the first that it has."""
        home = log(message(1, "a:1"), message(2, "a:2"), message(3, "a:3"))
        for entries, fits in (
            ([message(2, "a:2", "ana@alpha"), message(3, "a:3", "ana@alpha")], True),
            ([message(2, "a:2")], False),
            ([message(1, "a:1"), message(3, "a:3")], False),
            ([message(3, "a:2")], False),
            ([message(3, "a:3"), message(4, "a:4")], False),
        ):
            mirror = log(*entries, realm="beta")
            self.assertEqual(checks.mirrors(home, mirror) == [], fits, entries)


class Kicks(SynchronousTestCase):
    def setUp(self) -> None:
        self.episode = Episode(Place([ANA, BUDI], "office"), BUDI, kick=change("kick", "", 3))
        self.assertEqual(self.episode.kicked, 9.5)
        kicked = {"kind": "member", "seq": 2, "who": "budi", "what": "kicked", "conversation": 1}
        self.entries = [message(1, "b:1", "budi"), kicked, message(3, "a:1")]

    def found(self) -> list[str]:
        return checks.after_kick(self.episode, log(*self.entries))

    def read(self, began: float) -> Operation:
        found = send("", began, None, BUDI)
        found.verb = "history"
        return found

    def test_right(self) -> None:
        """Reads may succeed for a second, and what was stored before the kick may be pushed later."""
        self.episode.operations = [send("b:1", 9.0, 1, BUDI), self.read(10.4)]
        self.episode.pushed = [("b:1", 10.2)]
        self.assertEqual(self.found(), [])

    def test_read(self) -> None:
        self.episode.operations = [self.read(10.6)]
        self.assertTrue(self.found())

    def test_write(self) -> None:
        self.episode.operations = [send("b:2", 9.6, 4, BUDI)]
        self.assertTrue(self.found())

    def test_stored(self) -> None:
        """What was sent before the kick may not be stored after it."""
        self.entries.append(message(4, "b:2", "budi"))
        self.assertTrue(self.found())

    def test_pushed(self) -> None:
        self.episode.pushed = [("a:1", 9.4)]
        self.assertTrue(self.found())

    def test_no_entry(self) -> None:
        del self.entries[1]
        self.assertTrue(self.found())

    def test_after_leaving(self) -> None:
        outside = send("g:1", 9.6, 4)
        outside.verb = "outside"
        self.assertTrue(checks.after_leaving([outside]))
        outside.reply = {"status": "ERROR", "code": "not-member"}
        self.assertEqual(checks.after_leaving([outside]), [])
