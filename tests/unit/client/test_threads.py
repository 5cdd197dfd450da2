"""Messages that were shown: picking one, and catching up with what was missed."""

from __future__ import annotations

import asyncio
from typing import Any

from twisted.trial.unittest import TestCase

from chatd.client.catch_up import MAX_PAGES, missed
from chatd.client.state import Kind, Place, State
from chatd.client.threads import MAX_SHOWN, Thread, Threads

BUDI = Place("budi", Kind.USER)


def message(seq: int, sender: str = "budi", text: str = "", **more: Any) -> dict[str, Any]:
    to = "lina" if sender == "budi" else "budi"
    found = {"conversation": 3, "seq": seq, "id": seq, "from": sender, "to": to}
    return {**found, "text": text or f"text {seq}", **more}


class PickingTests(TestCase):
    def setUp(self) -> None:
        self.state = State("localhost")
        self.state.logged_in("lina", "Lina", "token")
        self.state.chat = BUDI
        for seq in (1, 2, 4):
            self.state.see(message(seq))

    def picks(self, *back: bool) -> list[int | None]:
        found = []
        for each in back:
            self.state.pick(each)
            found.append(None if self.state.picked is None else self.state.picked.seq)
        return found

    def test_up_and_down(self) -> None:
        """The last message is picked first; after the last one none is."""
        self.assertEqual(self.picks(True, True, True, True), [4, 2, 1, 1])
        self.assertEqual(self.picks(False, False, False, False), [2, 4, None, None])

    def test_deleted(self) -> None:
        """Deleted messages can't be picked."""
        self.state.apply({"event": "deleted", "conversation": 3, "seq": 5, "target": 4})
        self.assertEqual(self.picks(True), [2])
        self.state.see(message(6, deleted=True, text=" "))
        self.assertEqual(self.picks(False, True), [None, 2])

    def test_edited(self) -> None:
        self.state.apply({"event": "edited", "conversation": 3, "seq": 5, "target": 4, "text": "!"})
        self.state.pick(True)
        self.assertEqual(self.state.picked and self.state.picked.text, "!")

    def test_nothing_shown(self) -> None:
        self.state.chat = Place("other", Kind.USER)
        self.assertEqual(self.picks(True, False), [None, None])

    def test_pending(self) -> None:
        """A message that has no number yet can't be picked."""
        self.state.see({**message(5), "seq": None, "id": 99})
        self.assertEqual(self.picks(True), [4])

    def test_bounded(self) -> None:
        thread = Thread()
        for seq in range(1, MAX_SHOWN + 10):
            thread.see(message(seq))
        self.assertEqual(len(thread.messages()), MAX_SHOWN)
        self.assertIsNone(thread.get(1))

    def test_read(self) -> None:
        """A mark is shown once, when it passes the user's last message."""
        self.state.see(message(6, "lina"))

        def told(seq: int) -> bool:
            return self.state.read_by({"conversation": 3, "seq": seq, "who": "budi"})

        self.assertEqual([told(5), told(6), told(6), told(7)], [False, True, False, False])


class FakeLog:
    """A realm that has `entries`, and answers `sync` in pages of `page`."""

    def __init__(self, *entries: dict[str, Any], page: int = 2, reset: int | None = None) -> None:
        self.entries = list(entries)
        self.page = page
        self.reset = reset
        self.asked: list[dict[str, Any]] = []

    async def ask(self, command: str, **given: Any) -> dict[str, Any]:
        assert command == "sync"
        self.asked.append(given)
        found = [each for each in self.entries if each["seq"] > given["after"]][: self.page]
        reply = {"status": "OK", "entries": found, "version": 7, "states": []}
        if self.reset is not None:
            reply["reset"], self.reset = self.reset, None
        elif len(self.asked) == 1:
            reply["states"] = [{"seq": 1, "id": 1, "state": "refused", "reason": "no"}]
        return reply


def entry(seq: int) -> dict[str, Any]:
    return {"kind": "message", **message(seq)}


class CatchUpTests(TestCase):
    def setUp(self) -> None:
        self.threads = Threads()
        self.thread = self.threads.of(BUDI.key)
        self.thread.see(message(2))

    def missed(self, realm: Any) -> list[tuple[str, int]]:
        async def collect() -> list[tuple[str, int]]:
            found = []
            async for event in missed(realm, self.threads):
                found.append((event["event"], event["seq"]))
            return found

        return asyncio.run(collect())

    def test_pages(self) -> None:
        realm = FakeLog(*map(entry, range(1, 7)))
        expected = [("message", 3), ("message", 4), ("state", 1), ("message", 5), ("message", 6)]
        self.assertEqual(self.missed(realm), expected)
        self.assertEqual(self.missed(realm), [])
        self.assertEqual(realm.asked[-1]["version"], 7)

    def test_many(self) -> None:
        """After a long time, only the first pages are shown."""
        realm = FakeLog(*map(entry, range(1, 100)))
        self.assertEqual(len(self.missed(realm)), 2 * MAX_PAGES + 1)
        self.assertEqual(len(realm.asked), MAX_PAGES)

    def test_without_number(self) -> None:
        """An entry without a number is shown, and those after it as well."""
        broken = {**entry(3), "seq": None}

        class Broken(FakeLog):
            async def ask(self, command: str, **given: Any) -> dict[str, Any]:
                reply = await super().ask(command, **given)
                return {**reply, "entries": [broken, *reply["entries"]]}

        found = self.missed(Broken(entry(3), page=5))
        self.assertIn(("message", None), found)
        self.assertIn(("message", 3), found)

    def test_restored_realm(self) -> None:
        """A realm that was restored from a backup says from where to read again."""
        realm = FakeLog(*map(entry, range(1, 4)), reset=1)
        self.assertEqual(self.missed(realm), [("message", 2), ("message", 3)])

    def test_gaps(self) -> None:
        """The reply to a command may come before the event of an earlier entry, and the connection may be
        lost in between. What was seen is not shown again."""
        self.thread.see(message(4))
        self.thread.see(message(6))
        realm = FakeLog(*map(entry, range(1, 8)), page=3)
        entries = [seq for kind, seq in self.missed(realm) if kind == "message"]
        self.assertEqual(entries, [3, 5, 7])
        self.assertEqual([each["after"] for each in realm.asked], [2, 6, 7])

    def test_page(self) -> None:
        """A page of the history has messages only: other entries are between them."""
        for seq in (4, 7):
            self.thread.see(message(seq))
        self.thread.has_page({"messages": [message(4), message(7)]})
        realm = FakeLog(*map(entry, range(1, 9)))
        self.assertEqual(self.missed(realm), [("message", 8), ("state", 1)])

    def test_refused(self) -> None:
        class Stranger(FakeLog):
            async def ask(self, command: str, **given: Any) -> dict[str, Any]:
                return {"status": "ERROR", "code": "unknown-conversation", "message": ""}

        self.assertEqual(self.missed(Stranger()), [])

    def test_conversations_without_number(self) -> None:
        """A conversation that was opened and has no message is not asked for."""
        self.threads.of(("user", "other"))
        realm = FakeLog()
        self.missed(realm)
        self.assertEqual(len(realm.asked), 1)
