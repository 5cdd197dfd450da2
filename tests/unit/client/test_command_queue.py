"""Commands whose reply was lost with the connection are carried out once, or the user is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.trial.unittest import TestCase

from chatd.client import command_queue
from chatd.client.actions import OpenChat, QueuedAction
from chatd.client.addresses import Addresses
from chatd.client.client import Client
from chatd.client.command_queue import MAX_LOST, MAX_REFUSALS, CommandQueue
from chatd.client.connection import ConnectionLost, Target
from chatd.client.idempotency import KEYED, REPEATABLE
from chatd.client.line_parser import parse_line
from chatd.client.local_store import Store
from chatd.client.state import Kind
from chatd.commands import arguments as types
from chatd.commands import values as ask
from chatd.commands.table import BY_COMMAND
from tests.unit.client.fakes import FakeRealm, FakeReconnector, RecordingOutput

# Commands that could be done twice, or that would be refused the second time.
NEVER_REPEATED = (
    ask.Register,
    ask.ClaimRealm,
    ask.ChangePassword,
    ask.AcceptInvitation,
    ask.DeclineInvitation,
    ask.LiftBan,
    ask.TransferGroup,
    ask.RenewCode,
    ask.RescueGroup,
    ask.RevokeSession,
    ask.CloseReport,
    ask.AddAccount,
    ask.InviteToRealm,
    ask.ResetPassword,
    ask.LogOutAccount,
    ask.RemoveAccessBan,
    ask.RemoveMute,
    ask.OpenShutGroup,
    ask.DeleteGroup,
    ask.CloseOpenReport,
    ask.DeleteAccount,
    ask.Announce,
    ask.MoveAccount,
    ask.CancelMove,
    ask.ClaimAccount,
    ask.AcceptMove,
    ask.DeclineMove,
    ask.ExportData,
    ask.RemoveAccount,
    ask.ExportAccount,
    ask.DismissMessage,
    ask.SendRoomMessage,
    ask.SendRoomFile,
    ask.GetFile,
    ask.DeleteFile,
    ask.GetRoomFile,
    ask.GetPicture,
    ask.SetPicture,
    ask.ImportArchive,
    ask.CancelImport,
    ask.Quit,
)


ALONE, SEVERAL = Addresses((Target(),)), Addresses((Target("one"), Target("two")))


class CommandQueueTests(TestCase):
    def setUp(self) -> None:
        self.realm = FakeRealm()
        self.out = RecordingOutput()
        self.pauses: list[float] = []
        self.left: list[str] = []

    def play(
        self,
        *lines: str,
        before: Callable[[Client], None] = lambda client: None,
        addresses: Addresses = ALONE,
        live: bool = True,
    ) -> Client:
        """Run these lines as lina, and wait until they are done."""

        async def all_of_it() -> Client:
            client = Client(addresses, Store(Path(self.mktemp())), self.out, live)
            client.reconnector = FakeReconnector(self.realm)  # type: ignore[assignment]
            client.state.logged_in("lina", "Lina", "token")
            before(client)

            async def transfer(todo: QueuedAction) -> None:
                self.out.note(f"transfer {todo}")

            async def sleep(seconds: float) -> None:
                self.pauses.append(seconds)

            jobs = CommandQueue(client, transfer, sleep, lambda low, high: high)
            working = asyncio.create_task(jobs.run())
            for line in lines:
                todo = await parse_line(line, client.state, None)
                assert isinstance(todo, QueuedAction)
                if isinstance(todo, OpenChat):
                    client.state.chat = todo.place
                jobs.put(line, todo)
            idle = asyncio.create_task(jobs.idle())
            await asyncio.wait({idle, working}, timeout=5, return_when=asyncio.FIRST_COMPLETED)
            self.left = jobs.left()
            if working.done():
                working.result()
            self.assertTrue(idle.done())
            working.cancel()
            return client

        return asyncio.run(all_of_it())

    def texts(self) -> list[str]:
        return [message["text"] for message in self.realm.messages]

    def shown(self) -> str:
        return "\n".join(self.out.lines)

    def test_request_lost_on_the_way(self) -> None:
        self.realm.lose = ["before"]
        self.play("send budi halo")
        self.assertEqual(self.texts(), ["halo"])
        self.assertIn("Message sent", self.shown())

    def test_reply_lost(self) -> None:
        """The request is repeated under its key, and the message is stored once."""
        self.realm.lose = ["after", "after", "before"]
        self.play("send budi halo")
        self.assertEqual(self.texts(), ["halo"])
        self.assertIn("Message sent", self.shown())

    def test_same_text_from_another_device(self) -> None:
        """The user's own message from another device is not mistaken for the lost one."""
        self.realm.keep("ok", to="budi")
        self.realm.lose = ["before"]
        self.play("send budi ok")
        self.assertEqual(self.texts(), ["ok", "ok"])

    def test_every_send_has_its_own_key(self) -> None:
        """The same text sent twice is two messages. The keys are valid."""
        self.play("send budi halo", "send budi halo", "sendgroup futsal halo")
        self.assertEqual(self.texts(), ["halo"] * 3)
        keys = [key for key, _ in self.realm.keys]
        self.assertEqual(len(set(keys)), 3)
        for key in keys:
            self.assertEqual(types.KEY.from_text("key", key), key)

    def test_reply_to_a_list_lost(self) -> None:
        """Recipients who have the message do not get it again."""
        self.realm.lose = ["after"]
        self.play("send budi,cica halo")
        self.assertEqual([each["to"] for each in self.realm.messages], ["budi", "cica"])

    def test_older_realm_without_keys(self) -> None:
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

    def test_changes_and_replies(self) -> None:
        """A reply is sent once, under a key. A change of a message has the same result twice as once."""
        self.realm.lose = ["after", "", "after"]
        self.play("reply @budi 1 halo", "edit @budi 1 Jumat")
        self.assertEqual(self.texts(), ["halo"])
        self.assertEqual(self.realm.asked, ["reply", "reply", "edit", "edit"])
        self.assertNotIn("may or may not", self.shown())

    def test_realm_that_can_not_store_it_now(self) -> None:
        """A message is sent again under its key, in order, with growing pauses; after a minute it is
        refused."""
        self.realm.refuses = ["storage-failed", "shutting-down", "", "storage-failed"]
        self.play("send budi one", "send budi two")
        self.assertEqual(self.texts(), ["one", "two"])
        self.assertEqual(self.pauses, [1, 2, 1])
        self.assertEqual(len({key for key, _ in self.realm.keys}), 2)
        self.assertIn(
            "can't store this at the moment; it is sent again: send budi two", self.shown()
        )
        self.realm.refuses = ["storage-failed"] * (MAX_REFUSALS + 1)
        self.pauses.clear()
        self.play("chat budi", "three")
        self.assertEqual((self.texts(), sum(self.pauses)), (["one", "two"], 63))
        self.assertIn("The realm can't store", self.out.lines[-1])

    def test_refusal_without_a_key(self) -> None:
        """An older realm knows no keys, so nothing is sent again."""
        self.realm.old = True
        self.realm.refuses = ["", "storage-failed"]
        self.play("send budi one")
        self.assertEqual((self.texts(), self.pauses), ([], []))

    def test_script(self) -> None:
        """It repeats nothing, except if there are other nodes and it is safe."""
        for addresses, line, asked in (
            (ALONE, "send budi one", 1),
            (SEVERAL, "roomchat vamos", 1),
        ):
            self.realm.asked.clear()
            self.realm.lose = ["after"]
            with self.assertRaises(ConnectionLost):
                self.play(line, addresses=addresses, live=False)
            self.assertEqual((len(self.realm.asked), self.left), (asked, [line]))
        self.realm.lose = ["after", "before"]
        self.play("send budi two", addresses=SEVERAL, live=False)
        self.assertEqual(self.texts(), ["one", "two"])

    def test_request_that_ends_every_connection(self) -> None:
        """A script does not try for ever."""
        self.realm.lose = ["before"] * 100
        with self.assertRaises(ConnectionLost):
            self.play("whoami", addresses=SEVERAL, live=False)
        self.assertEqual(len(self.realm.asked), MAX_LOST + 1)

    def test_silent_node(self) -> None:
        """If there are other nodes, a message does not wait for long for the reply of one that is silent."""
        self.patch(command_queue, "SEND_TIME", 0.01)
        self.realm.lose = ["silence"]
        self.play("send budi halo", addresses=SEVERAL)
        self.assertEqual((self.texts(), self.realm.aborted), (["halo"], 1))

    def test_every_command_is_decided(self) -> None:
        decided = {*KEYED, *REPEATABLE, *NEVER_REPEATED}
        self.assertEqual(decided, set(BY_COMMAND))
        self.assertEqual(len(decided), len(KEYED) + len(REPEATABLE) + len(NEVER_REPEATED))

    def test_lost_again_and_again(self) -> None:
        self.realm.lose = ["before"] * 6
        self.play("send budi halo")
        self.assertEqual(self.texts(), ["halo"])

    def test_harmless_commands_are_repeated(self) -> None:
        self.realm.lose = ["after"]
        self.play("addgroup futsal", "whoami")
        self.assertEqual(self.realm.asked[:3], ["addgroup", "addgroup", "contacts"])

    def test_other_commands_are_reported(self) -> None:
        self.realm.lose = ["after"]
        self.play("roomchat vamos", "password old new-password")
        self.assertEqual(self.realm.asked, ["roomchat", "password"])
        self.assertIn("before the reply to roomchat arrived", self.shown())
        self.assertNotIn("new-password", self.shown())

    def test_group_of_another_realm(self) -> None:
        self.realm.lose = ["before", "after"]
        self.play("sendgroup futsal@realm2 halo")
        self.assertEqual(self.texts(), ["halo"])

    def test_chat_with_unknown_user(self) -> None:
        client = self.play("chat nobody", "halo")
        self.assertEqual(self.texts(), [])
        self.assertIsNone(client.state.chat)
        self.assertIn("Not sent, because there is no chat with nobody: halo", self.shown())

    def test_bare_name_of_a_group_in_a_chat(self) -> None:
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

    def test_group_that_was_just_joined(self) -> None:
        """It is known as a group before the realm has listed the groups again."""
        found: list[Kind] = []

        def look(client: Client) -> None:
            def do(command: str, given: dict[str, Any]) -> dict[str, Any]:
                if command == "mygroups":
                    found.append(client.state.resolve("futsal@realm2").kind)
                return FakeRealm.do(self.realm, command, given)

            self.realm.do = do  # type: ignore[method-assign]

        self.play("join futsal@realm2", before=look)
        self.play("accept futsal@realm2", before=look)
        self.assertEqual(found, [Kind.GROUP, Kind.GROUP])

    def test_deleted_file(self) -> None:
        """The reply has the number of messages where others have messages."""
        done = {"status": "OK", "message": "File deleted, with 2 messages", "messages": 2}
        self.realm.do = lambda command, given: done  # type: ignore[method-assign]
        self.play("deletefile k3x9qa")
        self.assertEqual(self.out.lines, [done["message"], "messages: 2"])

    def test_deleted_account(self) -> None:
        """The client is logged out."""
        client = self.play("deleteaccount secret keep")
        self.assertIsNone(client.state.user)

    def test_lines_of_another_user_are_dropped(self) -> None:
        """Lines that wait for a login are not sent in another user's name."""

        def as_budi(client: Client) -> None:
            client.state.user = "budi"

        async def all_of_it() -> None:
            client = Client(ALONE, Store(Path(self.mktemp())), self.out, live=True)
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
