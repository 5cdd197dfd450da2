"""Commands whose reply was lost with the connection are carried out once, or the user is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.trial.unittest import TestCase

from chatd.client.actions import OpenChat, QueuedAction
from chatd.client.client import Client
from chatd.client.command_queue import CommandQueue
from chatd.client.connection import ConnectionLost, Target
from chatd.client.line_parser import parse_line
from chatd.client.local_store import Store
from chatd.client.render import Line, text_of
from chatd.client.state import Kind, Place
from chatd.commands import arguments as types


class Notes:
    """The output of the client; `lines` has all of it."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def answered(self, _reply: Any, lines: list[Line]) -> None:
        self.lines += map(text_of, lines)

    refused = answered

    def happened(self, _event: Any, lines: list[Line], notice: bool) -> None:
        self.lines += map(text_of, lines)

    def note(self, text: str) -> None:
        self.lines.append(text)

    def changed(self) -> None: ...


class FakeRealm:
    """Stores messages, each key once. It can lose a reply "before" or "after" it has executed the command. An
    `old` realm knows no keys."""

    def __init__(self) -> None:
        self.old = False
        self.keys: dict[tuple[str, str], dict[str, Any]] = {}
        self.messages: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.lose: list[str] = []

    def keep(self, text: str, **to: str) -> dict[str, Any]:
        seq = 1 + sum(1 for each in self.messages if to.items() <= each.items())
        message = {"id": len(self.messages) + 1, "seq": seq, "conversation": 1, "from": "lina"}
        self.messages.append({**message, **to, "text": text})
        return message

    async def ask(self, command: str, **given: Any) -> dict[str, Any]:
        self.asked.append(command)
        losing = self.lose.pop(0) if self.lose else ""
        if losing == "before":
            raise ConnectionLost
        reply = self.do(command, given)
        if losing == "after":
            raise ConnectionLost
        return reply

    def do(self, command: str, given: dict[str, Any]) -> dict[str, Any]:
        if command in ("send", "sendgroup"):
            if given.get("to") == "nobody":
                return {"status": "ERROR", "code": "unknown-user", "message": "no such user"}
            to = given.get("to") or [given.get("group")]
            names = [to] if isinstance(to, str) else to
            key = "to" if command == "send" else "group"
            once = given.get("key")
            if self.old and once is not None:
                sentence = f"{command} does not take key; usage: {command} …"
                return {"status": "ERROR", "code": "usage", "message": sentence}
            kept = []
            for name in names:
                message = self.keys.get((once or "", name))
                message = message or self.keep(given["text"], **{key: name})
                if once is not None:
                    self.keys[once, name] = message
                kept.append(message)
            first = {"seq": kept[0]["seq"], "message_id": kept[0]["id"]} if len(kept) == 1 else {}
            return {"status": "OK", "id": 1, "message": "Message sent", **first}
        if command == "history":
            if "nobody" in given.values():
                return {"status": "ERROR", "code": "unknown-user", "message": "no such user"}
            where = {"to": given["user"]} if "user" in given else {"group": given["group"]}
            found = [each for each in self.messages if where.items() <= each.items()]
            return {"status": "OK", "message": "", "messages": found[-given["n"] :]}
        return {"status": "OK", "message": "done", "messages": [], "conversations": []}


class FakeReconnector:
    is_up = True

    def __init__(self, link: FakeRealm) -> None:
        self._link = link

    async def link(self) -> FakeRealm:
        return self._link


class JobsTests(TestCase):
    def setUp(self) -> None:
        self.realm = FakeRealm()
        self.out = Notes()

    def play(self, *lines: str, before: Callable[[Client], None] = lambda client: None) -> Client:
        """Run these lines as lina, and wait until they are done."""

        async def all_of_it() -> Client:
            client = Client(Target(), Store(Path(self.mktemp())), self.out, live=True)
            client.reconnector = FakeReconnector(self.realm)  # type: ignore[assignment]
            client.state.logged_in("lina", "Lina", "token")
            before(client)

            async def transfer(todo: QueuedAction) -> None:
                self.out.note(f"transfer {todo}")

            jobs = CommandQueue(client, transfer)
            working = asyncio.create_task(jobs.run())
            for line in lines:
                todo = await parse_line(line, client.state, None)
                assert isinstance(todo, QueuedAction)
                if isinstance(todo, OpenChat):
                    client.state.chat = todo.place
                jobs.put(line, todo)
            await asyncio.wait_for(jobs.idle(), 5)
            working.cancel()
            return client

        return asyncio.run(all_of_it())

    def texts(self) -> list[str]:
        return [message["text"] for message in self.realm.messages]

    def shown(self) -> str:
        return "\n".join(self.out.lines)

    def test_it_never_arrived(self) -> None:
        self.realm.lose = ["before"]
        self.play("send budi halo")
        self.assertEqual(self.texts(), ["halo"])
        self.assertIn("Message sent", self.shown())

    def test_it_had_arrived(self) -> None:
        """The request is repeated under its key, and the message is stored once."""
        self.realm.lose = ["after", "after", "before"]
        self.play("send budi halo")
        self.assertEqual(self.texts(), ["halo"])
        self.assertIn("Message sent", self.shown())

    def test_another_devices_message(self) -> None:
        """The user's own message from another device is not mistaken for the lost one."""
        self.realm.keep("ok", to="budi")
        self.realm.lose = ["before"]
        self.play("send budi ok")
        self.assertEqual(self.texts(), ["ok", "ok"])

    def test_each_has_a_key(self) -> None:
        """The same text sent twice is two messages. The keys are valid."""
        self.play("send budi halo", "send budi halo", "sendgroup futsal halo")
        self.assertEqual(self.texts(), ["halo"] * 3)
        keys = [key for key, _ in self.realm.keys]
        self.assertEqual(len(set(keys)), 3)
        for key in keys:
            self.assertEqual(types.KEY.from_text("key", key), key)

    def test_half_a_list(self) -> None:
        """Recipients who have the message do not get it again."""
        self.realm.lose = ["after"]
        self.play("send budi,cica halo")
        self.assertEqual([each["to"] for each in self.realm.messages], ["budi", "cica"])

    def test_an_older_realm(self) -> None:
        """It gets requests without a key. An unanswered one is not repeated, and the user is told."""
        self.realm.old = True
        self.play("send budi one", "chat budi", "two")
        self.assertEqual(self.texts(), ["one", "two"])
        for line, losing in (
            ("send budi three", ["", "after"]),
            ("sendgroup futsal four", ["", "after"]),
        ):
            self.realm.lose = losing
            self.play(line)
            self.assertIn(f"this may or may not have been sent: {line}", self.shown())
        self.assertEqual(self.texts(), ["one", "two", "three", "four"])
        self.realm.lose = ["before"]  # a request that it refuses for its key has no effect
        self.play("send budi five")
        self.assertEqual(self.texts()[4:], ["five"])

    def test_in_a_chat(self) -> None:
        self.realm.lose = ["", "", "", "after"]  # history, inbox, unread of opening it
        self.play("chat budi", "halo")
        self.assertEqual(self.texts(), ["halo"])

    def test_lost_again_and_again(self) -> None:
        self.realm.lose = ["before"] * 6
        self.play("send budi halo")
        self.assertEqual(self.texts(), ["halo"])

    def test_what_can_be_repeated_is(self) -> None:
        self.realm.lose = ["after"]
        self.play("addgroup futsal", "whoami")
        self.assertEqual(self.realm.asked[:3], ["addgroup", "addgroup", "contacts"])

    def test_what_can_not_is_told(self) -> None:
        self.realm.lose = ["after"]
        self.play("roomchat vamos", "password old new-password")
        self.assertEqual(self.realm.asked, ["roomchat", "password"])
        self.assertIn("before the reply to roomchat arrived", self.shown())
        self.assertNotIn("new-password", self.shown())

    def test_a_group_of_another_realm(self) -> None:
        self.realm.lose = ["before", "after"]
        self.play("sendgroup futsal@realm2 halo")
        self.assertEqual(self.texts(), ["halo"])

    def test_a_chat_with_nobody(self) -> None:
        client = self.play("chat nobody", "halo")
        self.assertEqual(self.texts(), [])
        self.assertIsNone(client.state.chat)
        self.assertIn("Not sent, because there is no chat with nobody: halo", self.shown())

    def test_a_chat_that_is_a_groups(self) -> None:
        """A bare name means a user if there is one of that name, else a group."""

        def ask_user_only(command: str, given: dict[str, Any]) -> dict[str, Any]:
            if given.get("user") == "futsal":
                return {"status": "ERROR", "code": "unknown-user", "message": ""}
            return FakeRealm.do(self.realm, command, given)

        self.realm.do = ask_user_only  # type: ignore[method-assign]
        client = self.play("chat futsal", "halo")
        assert client.state.chat is not None
        self.assertIs(client.state.chat.kind, Kind.GROUP)
        self.assertEqual(self.realm.messages[0]["group"], "futsal")

    def test_what_another_user_typed(self) -> None:
        """Lines that wait for a login are not sent in another user's name."""

        def as_budi(client: Client) -> None:
            client.state.user = "budi"

        async def all_of_it() -> None:
            client = Client(Target(), Store(Path(self.mktemp())), self.out, live=True)
            client.reconnector = FakeReconnector(self.realm)  # type: ignore[assignment]
            client.state.logged_in("lina", "Lina", "token")
            jobs = CommandQueue(client, lambda todo: None)
            todo = await parse_line("send cica halo", client.state, None)
            assert isinstance(todo, QueuedAction)
            jobs.put("send cica halo", todo)
            as_budi(client)
            working = asyncio.create_task(jobs.run())
            await asyncio.wait_for(jobs.idle(), 5)
            working.cancel()

        asyncio.run(all_of_it())
        self.assertEqual(self.texts(), [])
        self.assertIn("Not done, because lina typed it: send cica halo", self.shown())


class EventsTests(TestCase):
    """How the client handles events, without a link."""

    def setUp(self) -> None:
        self.out = Notes()

    def client(self) -> Client:
        client = Client(Target(), Store(Path(self.mktemp())), self.out, live=True)
        client.state.logged_in("lina", "Lina", "token")
        return client

    def test_shown_once(self) -> None:
        async def play() -> None:
            client = self.client()
            event = {"event": "message", "id": 7, "seq": 1, "conversation": 3, "from": "budi",
                     "to": "lina", "text": "halo", "at": "2026-11-20T10:15:03Z"}  # fmt: skip
            client.on_event(event)
            client.on_event(event)
            self.assertEqual(client.state.total_unread, 1)

        asyncio.run(play())
        self.assertEqual(len(self.out.lines), 1)

    def test_whatever_a_realm_says(self) -> None:
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

    def test_read_where_it_is_talked(self) -> None:
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

    def test_the_session_ends(self) -> None:
        async def play() -> None:
            client = self.client()
            client.store.logged_in(client.target, "lina", "token")
            client.on_event({"event": "session-ended", "message": "The password was changed"})
            self.assertFalse(client.state.is_logged_in)
            self.assertIsNone(client.store.token(client.target, "lina"))

        asyncio.run(play())
        self.assertEqual(self.out.lines, ["The password was changed"])
