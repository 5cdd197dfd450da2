"""The actions of typed lines: verbs, menus, chats, and prompts for missing arguments."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from twisted.trial.unittest import TestCase

from chatd.base.errors import ChatError
from chatd.base.names import Address
from chatd.base.texts import Secret
from chatd.client.actions import (
    EnterMenu,
    GetFiles,
    GoBack,
    ListNumberedGroups,
    OpenChat,
    QuitClient,
    Request,
    SayInChat,
    SendFiles,
    ShowHelp,
)
from chatd.client.help_text import help_lines
from chatd.client.input_errors import NoSuchCommand, NotUnderstood
from chatd.client.line_parser import by_name, parse_line
from chatd.client.state import Kind, Menu, Place, State
from chatd.commands import values as ask
from chatd.commands.rows import Arg
from chatd.commands.table import BY_VERB


class ParsingTestCase(TestCase):
    def setUp(self) -> None:
        self.state = State("localhost")
        self.state.logged_in("lina", "Lina", "token")
        self.asked: list[str] = []

    def ask(self, line: str, *answers: str | None, pasted: bool = False) -> Any:
        """The action of `line`, with these answers to the prompts."""
        left = list(answers)

        async def answer(prompt: str, arg: Arg) -> str | None:
            self.asked.append(prompt)
            return left.pop(0)

        found = asyncio.run(parse_line(line, self.state, answer if answers else None, pasted))
        self.assertEqual(left, [], "answers that were not asked for")
        return found


class ParsingTests(ParsingTestCase):
    def command(self, line: str, *answers: str | None) -> Any:
        found = self.ask(line, *answers)
        self.assertIsInstance(found, Request)
        return found.command

    # Whole lines

    def test_lines_of_the_plain_dialect(self) -> None:
        found = self.command("send budi,cica@realm2  two  spaces ")
        self.assertEqual(
            found, ask.SendMessage((Address("budi"), Address("cica", "realm2")), " two  spaces ")
        )
        self.assertEqual(self.command("LS"), ask.ListUsers())
        self.assertEqual(self.command("mkgr futsal"), ask.AddGroup("futsal"))
        self.assertEqual(self.command("  whoami  "), ask.ShowAccount())
        self.assertIsNone(self.ask("   "))

    def test_every_verb_is_known(self) -> None:
        for verb in BY_VERB:
            if verb in ("help", "quit"):
                continue
            try:
                self.assertIsNotNone(self.ask(verb), verb)
            except ChatError as error:
                self.assertEqual(error.code, "usage", verb)

    def test_several_words(self) -> None:
        """Verbs of several words, with options anywhere; missing arguments are asked for."""
        self.assertEqual(self.command("Admin user LIST limit=5"), ask.ListAccounts(limit=5))
        self.assertEqual(
            self.command("admin user add budi role=moderator", "surabaya"),
            ask.AddAccount("budi", Secret("surabaya"), "moderator"),
        )
        self.assertEqual(self.asked, ["Password :"])
        found = self.ask("/admin audit")
        self.assertEqual((found.row.verb, found.verb), ("admin.audit", "admin audit"))

    def test_mistakes(self) -> None:
        for line, code in (
            ("sned budi halo", "unknown-command"),
            ("send", "usage"),
            ("whoami now", "usage"),
            ("history budi many", "bad-argument"),
            ("send b@d@x halo", "bad-name"),
            ("sendfile budi", "usage"),
            ("getfile", "usage"),
        ):
            with self.assertRaises(ChatError) as caught:
                self.ask(line)
            self.assertEqual(caught.exception.code, code, line)

    def test_by_name(self) -> None:
        """Values of all types become what the json dialect expects."""
        for line, expected in (
            ("auth lina secret", {"username": "lina", "password": "secret"}),
            ("send budi,cica halo", {"to": ["budi", "cica"], "text": "halo"}),
            ("sendgroup futsal halo", {"group": "futsal", "text": "halo"}),
            ("sendgroup a,b halo", {"group": ["a", "b"], "text": "halo"}),
            ("inbox futsal", {"place": "futsal"}),
            ("inbox", {}),
            ("history budi 3", {"place": "budi", "n": 3}),
            ("invite futsal a b", {"group": "futsal", "users": ["a", "b"]}),
            ("listen on", {"on": True}),
            ("listen off", {"on": False}),
            ("privacy presence off", {"key": "presence", "value": False}),
            ("react budi 3 👍", {"place": "budi", "seq": 3, "emoji": "👍", "on": True}),
            ("react budi 3 👍 off", {"place": "budi", "seq": 3, "emoji": "👍", "on": False}),
            (
                "addrealm realm2 localhost 8890",
                {"realm": "realm2", "host": "localhost", "port": 8890},
            ),
        ):
            found = self.ask(line)
            names = by_name(found.row, found.command)
            self.assertEqual(names, expected)
            self.assertEqual(found.row.from_names(names), found.command)

    def test_register_of_the_third_document(self) -> None:
        """There the password is given twice. It must not become the display name, which everybody sees."""
        found = self.command("register lina correct-horse correct-horse")
        self.assertEqual(found, ask.Register("lina", Secret("correct-horse")))

    # Prompts

    def test_prompts_for_all_arguments(self) -> None:
        found = self.command("register", "alam", "password", "Alam Cahya", "Indonesia")
        self.assertEqual(self.asked, ["Username :", "Password :", "Name :", "Nationality :"])
        self.assertEqual(found, ask.Register("alam", Secret("password"), "Alam Cahya", "Indonesia"))

    def test_optional_arguments(self) -> None:
        self.assertEqual(
            self.command("register", "alam", "password", "", ""),
            ask.Register("alam", Secret("password")),
        )
        self.assertEqual(self.command("inbox"), ask.ReadInbox())

    def test_prompts_for_missing_arguments_only(self) -> None:
        self.assertEqual(
            self.command("send budi", "halo  all"), ask.SendMessage((Address("budi"),), "halo  all")
        )
        self.assertEqual(self.asked, ["Message:"])
        self.assertEqual(self.command("login lina", "pw"), ask.LogIn("lina", Secret("pw")))

    def test_cancelled_prompts(self) -> None:
        self.assertIsNone(self.ask("send", "budi", None))
        self.assertIsNone(self.ask("send", ""))
        self.assertIsNone(self.ask("send file", None))
        self.assertIsNone(self.ask("get file", ""))

    def test_invalid_answer_to_a_prompt(self) -> None:
        self.assertRaises(ChatError, self.ask, "send", "b@d@x")

    # The second document

    def test_chat_without_arguments(self) -> None:
        self.assertEqual(
            self.command("chat", "budi", "halo"), ask.SendMessage((Address("budi"),), "halo")
        )
        self.assertEqual(self.asked, ["Recipient username:", "Message:"])

    def test_two_word_commands(self) -> None:
        self.assertEqual(self.command("list file"), ask.ListFiles())
        self.assertEqual(self.ask("get file", "endgame.PNG").words, ("endgame.PNG",))
        self.assertEqual(self.ask("get file endgame.PNG").words, ("endgame.PNG",))
        found = self.ask("send file", "~/endgame.PNG", "budi,cica")
        self.assertEqual(self.asked[-2:], ["File Name: ", "Recipient Username:"])
        self.assertEqual(found.to, {"to": ["budi", "cica"]})
        self.assertEqual(found.files, (Path.home() / "endgame.PNG",))
        self.assertEqual(
            self.command("send file hello"), ask.SendMessage((Address("file"),), "hello")
        )

    # Files

    def test_several_files(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        for name in ("a.jpg", "b.jpg", "c d.txt"):
            (folder / name).write_text("x")
        found = self.ask(f"sendfile budi {folder}/*.jpg '{folder}/c d.txt' {folder}/e.txt")
        self.assertIsInstance(found, SendFiles)
        self.assertEqual(
            [each.name for each in found.files], ["a.jpg", "b.jpg", "c d.txt", "e.txt"]
        )
        found = self.ask(f"sendgroupfilerealm realm2 futsal {folder}/c d.txt")
        self.assertEqual(found.files, (folder / "c d.txt",))
        self.assertEqual(found.to, {"realm": "realm2", "group": "futsal"})

    def test_several_downloads(self) -> None:
        self.assertEqual(
            self.ask("getfile k3x9qa tuta2g"), GetFiles(("k3x9qa", "tuta2g"), "k3x9qa tuta2g")
        )
        self.assertTrue(self.ask("downloadgroup_file futsal plan.txt").grouped)
        self.assertEqual(self.ask("getfile 'my plan.txt'").words, ("my plan.txt",))
        self.assertEqual(
            self.ask("roomgetfile plan.txt"),
            GetFiles(("plan.txt",), "plan.txt", verb="roomgetfile"),
        )
        self.assertEqual(self.ask("export"), GetFiles(("export",), "export", verb="export"))

    # Menus and chats

    def test_menus(self) -> None:
        self.assertEqual(self.ask("contact"), EnterMenu(Menu.CONTACT))
        self.state.menu = Menu.CONTACT
        self.assertEqual(self.command("get"), ask.ListContacts())
        self.assertEqual(self.command("add budi"), ask.AddContact(Address("budi")))
        self.assertEqual(self.command("del budi"), ask.DeleteContact(Address("budi")))
        self.assertEqual(self.ask("chat budi").place.kind, Kind.USER)
        self.assertEqual(self.command("inbox"), ask.ReadInbox())
        self.assertEqual(self.ask("back"), GoBack())
        self.state.menu = Menu.GROUP
        self.assertEqual(self.ask("get"), ListNumberedGroups())
        self.assertEqual(self.command("create futsal"), ask.AddGroup("futsal"))
        self.assertEqual(self.command("join k3x9qa"), ask.JoinGroup(Address("k3x9qa")))
        self.state.menu = Menu.LIST
        self.assertEqual(self.command("get"), ask.ReadInbox())
        self.state.menu = Menu.MAIN
        self.assertRaises(ChatError, self.ask, "get")
        for word in ("quit", "exit", "bye"):
            self.assertEqual(self.ask(word), QuitClient())
        self.assertEqual(self.ask("? send"), ShowHelp("send"))
        self.assertEqual(self.ask("help send"), ShowHelp("send"))

    def test_help_of_several_words(self) -> None:
        """One line for all of them, and one for each of those that begin so."""

        def shown(verb: str) -> list[str]:
            return [line[0][1] for line in help_lines(verb, Menu.MAIN)]

        self.assertIn("admin …", shown(""))
        self.assertEqual([each for each in shown("") if each.startswith("admin u")], [])
        self.assertIn("admin user show user", shown("admin user"))
        self.assertEqual(shown("admin stats"), ["admin stats"])
        self.assertEqual(shown("admin.stats"), ["admin stats"])
        self.assertEqual(shown("admin nonsense"), [])

    def test_groups_by_number(self) -> None:
        self.state.menu = Menu.GROUP
        self.state.names.numbered = ("futsal", "bagan")
        place = self.ask("chat 2").place
        self.assertEqual((place.name, place.kind), ("bagan", Kind.GROUP))
        self.assertRaises(NotUnderstood, self.ask, "chat 3")
        self.assertRaises(NotUnderstood, self.ask, "chat 0")
        self.assertEqual(self.ask("chat other").place.name, "other")

    def test_bare_name(self) -> None:
        self.state.names.my_groups.add("futsal")
        self.assertIs(self.ask("chat Futsal").place.kind, Kind.GROUP)
        self.assertIs(self.ask("chat budi").place.kind, Kind.USER)
        self.state.names.users.add("futsal")
        self.assertIs(self.ask("chat futsal").place.kind, Kind.USER)
        self.assertIs(self.ask("chat #futsal").place.kind, Kind.GROUP)
        for line, name, kind in (
            ("chat #abc:234", "abc:234", Kind.GROUP),
            ("chat @futsal", "futsal", Kind.USER),
        ):
            place = self.ask(line).place
            self.assertEqual((place.name, place.kind), (name, kind))
        self.assertEqual(self.ask("chat budi halo").text, "halo")

    def test_in_a_chat(self) -> None:
        self.state.chat = Place("budi", Kind.USER)
        for line, said in (
            ("halo", "halo"),
            ("send cica halo", "send cica halo"),
            ("quit", "quit"),
            (" back", " back"),
            ("//etc/passwd is broken", "/etc/passwd is broken"),
            ("//inbox", "/inbox"),
        ):
            found = self.ask(line)
            self.assertIsInstance(found, SayInChat)
            self.assertEqual(found.text, said)
        self.assertEqual(self.ask("back"), GoBack())
        self.assertEqual(self.command("/inbox"), ask.ReadInbox())
        self.assertIsInstance(self.ask("/chat cica"), OpenChat)
        self.assertIsNone(self.ask("  "))

    def test_unknown_command_in_a_chat(self) -> None:
        """Nothing is sent. The sentence suggests a similar command if there is one."""
        self.state.chat = Place("budi", Kind.USER)
        for line, part in (
            ("/etc/passwd is broken", "There is no command /etc/passwd; to send it"),
            ("/qiut", "did you mean /quit? To send it as a message, begin with //"),
            ("/sned budi x", "did you mean /send?"),
            ("/", "There is no command /;"),
            ("/ halo", "There is no command /;"),
            ("/\x1b[31m", "There is no command /\N{REPLACEMENT CHARACTER}[31m;"),
        ):
            with self.assertRaises(NoSuchCommand) as caught:
                self.ask(line)
            self.assertIn(part, str(caught.exception))
            self.assertEqual(caught.exception.code, "unknown-command")
        self.state.chat = None
        self.assertEqual(self.command("/whoami"), ask.ShowAccount())

    def test_lines_pasted_into_a_chat(self) -> None:
        """A pasted line is always a message."""
        self.state.chat = Place("budi", Kind.USER)
        for line in ("/quit", "/nothing", "back", "//x", "halo"):
            found = self.ask(line, pasted=True)
            self.assertEqual((found.place, found.text), (self.state.chat, line))
        self.assertIsNone(self.ask(" ", pasted=True))
        self.state.chat = None
        self.assertEqual(self.command("whoami"), ask.ShowAccount())

    def test_file_to_a_chat(self) -> None:
        path = Path(self.mktemp())
        path.write_text("x")
        self.state.chat = Place("budi", Kind.USER)
        found = self.ask(f"/sendfile {path}")
        self.assertEqual((found.place, found.files), (self.state.chat, (path,)))

    def test_missing_file_in_a_chat(self) -> None:
        """A word with a slash is a path and not a recipient, so nothing is asked."""
        self.state.chat = Place("budi", Kind.USER)
        found = self.ask("/sendfile ./no-such-file")
        self.assertEqual((found.place, found.files), (self.state.chat, (Path("no-such-file"),)))


class PickedTests(ParsingTestCase):
    """Lines in a chat in which a message is picked."""

    def setUp(self) -> None:
        super().setUp()
        self.state.chat = Place("budi", Kind.USER)
        self.state.see(
            {"conversation": 3, "seq": 7, "id": 9, "from": "budi", "to": "lina", "text": "?"}
        )
        self.state.pick(back=True)

    def about(self, line: str) -> tuple[str, dict[str, Any]]:
        found = self.ask(line)
        self.assertIsInstance(found, Request)
        return found.row.verb, by_name(found.row, found.command)

    def test_text_is_a_reply(self) -> None:
        verb, given = self.about("ya, betul")
        self.assertEqual((verb, given["seq"], given["text"]), ("reply", 7, "ya, betul"))

    def test_pasted_text_is_a_reply(self) -> None:
        found = self.ask("/satu\ndua", pasted=True)
        self.assertEqual(by_name(found.row, found.command)["text"], "/satu\ndua")

    def test_commands_on_messages(self) -> None:
        for line, verb, more in (
            ("/edit baru", "edit", {"text": "baru"}),
            ("/delete", "delete", {}),
            ("/react 👍", "react", {"emoji": "👍"}),
            ("/pin", "pin", {"on": True}),
            ("/forward ana", "forward", {}),
        ):
            found, given = self.about(line)
            self.assertEqual((found, given["seq"]), (verb, 7))
            self.assertLessEqual(more.items(), given.items())

    def test_groups(self) -> None:
        self.state.chat = Place("bola", Kind.GROUP)
        verb, given = self.about("/delete")
        self.assertEqual(verb, "delete")
        self.assertIn("bola", given.values())

    def test_other_commands_are_as_always(self) -> None:
        self.assertEqual(self.ask("/users").row.verb, "users")
        self.assertIsInstance(self.ask("back"), GoBack)
