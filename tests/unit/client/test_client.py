"""How the client handles events, without a connection."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from twisted.trial.unittest import TestCase

from chatd.client.addresses import Addresses
from chatd.client.client import Client
from chatd.client.connection import Target
from chatd.client.local_store import Store
from chatd.client.state import Kind, Place
from tests.unit.client.fakes import FakeRealm, FakeReconnector, RecordingOutput


class EventTests(TestCase):
    def setUp(self) -> None:
        self.out = RecordingOutput()

    def client(self) -> Client:
        client = Client(Addresses((Target(),)), Store(Path(self.mktemp())), self.out, live=True)
        client.state.logged_in("lina", "Lina", "token")
        return client

    def test_event_is_shown_once(self) -> None:
        async def play() -> None:
            client = self.client()
            event = {"event": "message", "id": 7, "seq": 1, "conversation": 3, "from": "budi",
                     "to": "lina", "text": "halo", "at": "2026-11-20T10:15:03Z"}  # fmt: skip
            client.on_event(event)
            client.on_event(event)
            self.assertEqual(client.state.total_unread, 1)

        asyncio.run(play())
        self.assertEqual(len(self.out.lines), 1)

    def test_malformed_events(self) -> None:
        """Malformed events are skipped, and later ones are handled."""

        async def play() -> None:
            client = self.client()
            nonsense: Any
            for nonsense in (
                {"event": "message", "id": [], "from": {}, "text": 7},
                {"event": "message", "id": 1, "file": "x", "from": "budi"},
                {"event": "message", "id": 2, "seq": "x", "from": "budi"},
                {"event": "message"},
                {"event": {}, "message": None},
                {"event": "room", "room": 5, "at": []},
            ):
                client.on_event(nonsense)
            self.out.lines.clear()
            client.on_event({"event": "message", "id": 7, "seq": 1, "conversation": 3,
                             "from": "budi", "to": "lina", "text": "halo"})  # fmt: skip

        asyncio.run(play())
        self.assertEqual(len(self.out.lines), 1)
        self.assertIn("budi: halo", self.out.lines[0])

    def test_change_during_catching_up(self) -> None:
        """A change that is pushed and is also in the reply to `sync` is shown once; a newer one, too."""
        halo = {"id": 7, "seq": 1, "conversation": 3, "from": "budi", "to": "lina", "text": "halo"}
        client = self.client()

        def edit(seq: int, text: str) -> dict[str, Any]:
            facts = {"seq": seq, "target": 1, "from": "budi", "text": text}
            return {"event": "edited", "conversation": 3, **facts}

        class Realm(FakeRealm):
            def do(self, command: str, given: dict[str, Any]) -> dict[str, Any]:
                if command == "sync":
                    client.on_event(edit(2, "dua"))
                    client.on_event(edit(3, "tiga"))
                    entries = [{"kind": "edited", **edit(2, "dua")}] if given["after"] < 2 else []
                    return {"status": "OK", "entries": entries}
                return super().do(command, given)

        client.on_event({"event": "message", **halo})
        asyncio.run(client.settle_in(Realm(), again=True))
        shown = [line for line in self.out.lines if "changed #1" in line]
        self.assertEqual([line.rpartition(" ")[2] for line in shown], ["dua", "tiga"])

    def test_missing(self) -> None:
        """What `sync` could not give yet is not passed over."""
        halo = {"id": 7, "seq": 1, "conversation": 3, "from": "budi", "to": "lina", "text": "halo"}
        client = self.client()

        class Realm(FakeRealm):
            def do(self, command: str, given: dict[str, Any]) -> dict[str, Any]:
                if command == "sync" and given["after"] == 1:
                    last = {"kind": "message", **halo, "id": 8, "seq": 9, "text": "lagi"}
                    missing = {"after": 1, "upto": 8}
                    return {"status": "OK", "entries": [last], "missing": missing}
                return super().do(command, given)

        client.on_event({"event": "message", **halo})
        asyncio.run(client.settle_in(Realm(), again=True))
        shown = [line for line in self.out.lines if "still to come" in line or "lagi" in line]
        self.assertEqual(["lagi" in line for line in shown], [False, True])

    def test_what_waits_for_an_answer(self) -> None:
        """Invitations and message requests are counted until they are answered, here or elsewhere."""
        waiting = {
            "invitations": [{"group": "tim@realm2", "by": "ana@realm2"}],
            "requests": [{"user": "ana@realm2", "text": "halo"}],
        }

        class Realm(FakeRealm):
            def do(self, command: str, given: dict[str, Any]) -> dict[str, Any]:
                if command in waiting:
                    return {"status": "OK", command: waiting[command]}
                return super().do(command, given)

        client = self.client()
        asyncio.run(client.settle_in(Realm(), again=False))
        self.assertEqual(client.state.asking, {"#tim@realm2", "@ana@realm2"})
        self.assertIn("2 people or groups wait for your answer", self.out.lines[-1])
        client.on_event({"event": "request", "user": "eka@realm2", "text": "hai"})
        self.assertIn("eka@realm2 asks to write to you: accept @eka@realm2", self.out.lines[-1])
        client.on_event({"event": "conversation", "user": "ana@realm2", "what": "declined"})
        self.assertEqual(client.state.asking, {"#tim@realm2", "@eka@realm2"})
        gone = {"event": "member", "what": "kicked", "who": client.state.user}
        client.on_event({**gone, "group": "tim@realm2", "message": "withdrawn"})
        self.assertEqual(client.state.asking, {"@eka@realm2"})
        client.state.logged_out(expired=False)
        self.assertEqual(client.state.asking, set())

    def test_open_chat_marks_messages_as_read(self) -> None:
        asked: list[Any] = []

        class Recording(FakeRealm):
            async def ask(self, command: str, **given: Any) -> dict[str, Any]:
                asked.append((command, given))
                return {"status": "OK"}

        async def play() -> None:
            client = self.client()
            client.reconnector = FakeReconnector(Recording())  # type: ignore[assignment]
            client.state.chat = Place("Budi", Kind.USER)
            client.on_event({"event": "message", "id": 7, "seq": 4, "conversation": 3,
                             "from": "budi", "to": "lina", "text": "halo"})  # fmt: skip
            await asyncio.sleep(0.01)
            self.assertEqual(client.state.total_unread, 0)

        asyncio.run(play())
        self.assertEqual(asked, [("read", {"conversation": 3, "seq": 4})])

    def test_session_ended(self) -> None:
        async def play() -> None:
            client = self.client()
            client.store.logged_in(client.nodes.addresses, "lina", "token")
            client.on_event({"event": "session-ended", "message": "The password was changed"})
            self.assertFalse(client.state.is_logged_in)
            self.assertIsNone(client.store.token(client.nodes.addresses, "lina"))

        asyncio.run(play())
        self.assertEqual(self.out.lines, ["The password was changed"])
