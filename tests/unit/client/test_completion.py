"""What the Tab key offers: commands, names and paths."""

from __future__ import annotations

from pathlib import Path

from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from twisted.trial.unittest import TestCase

from chatd.client.completion import LineCompleter
from chatd.client.state import AnnouncedFile, Kind, Menu, Place, State


class CompletionTests(TestCase):
    def setUp(self) -> None:
        self.state = State("localhost")
        self.state.logged_in("lina", "Lina", "token")
        self.state.names.users.add("henderson", "Hendra", "budi")
        self.state.names.groups.add("futsal")
        self.state.names.realms.add("realm2")

    def offered(self, text: str) -> list[str]:
        found = LineCompleter(self.state).get_completions(Document(text), CompleteEvent())
        return sorted(text[: len(text) + each.start_position] + each.text for each in found)

    def test_commands(self) -> None:
        self.assertEqual(self.offered("sendf"), ["sendfile ", "sendfilerealm "])
        self.assertEqual(self.offered("cont"), ["contact ", "contacts "])
        self.state.menu = Menu.GROUP
        self.assertEqual(self.offered("cr"), ["create "])

    def test_several_words(self) -> None:
        """Verbs of several words are completed word by word, and then their arguments."""
        self.assertEqual(self.offered("adm"), ["admin "])
        self.assertEqual(self.offered("admin au"), ["admin audit "])
        self.assertEqual(self.offered("admin user dis"), ["admin user disable "])
        self.assertEqual(self.offered("admin user disable bu"), ["admin user disable budi"])
        self.assertEqual(
            self.offered("admin user role budi mod"), ["admin user role budi moderator"]
        )
        self.assertEqual(self.offered("admin nonsense x"), [])

    def test_names(self) -> None:
        self.assertEqual(self.offered("send HEN"), ["send Hendra", "send henderson"])
        self.assertEqual(self.offered("send budi,hende"), ["send budi,henderson"])
        self.assertEqual(self.offered("invite futsal budi hende"), ["invite futsal budi henderson"])
        self.assertEqual(self.offered("sendgroup fu"), ["sendgroup futsal"])
        self.assertEqual(self.offered("sendprivaterealm re"), ["sendprivaterealm realm2"])
        self.assertEqual(self.offered("chat b"), ["chat budi"])
        self.assertEqual(self.offered("listen o"), ["listen off", "listen on"])
        self.assertEqual(self.offered("notify budi men"), ["notify budi mentions"])
        self.assertEqual(self.offered("privacy pres"), ["privacy presence"])
        self.assertEqual(self.offered("archive budi of"), ["archive budi off"])
        self.assertEqual(self.offered("addgroup tim pr"), ["addgroup tim private"])
        self.assertEqual(self.offered("setgroup futsal to"), ["setgroup futsal topic"])
        self.assertEqual(self.offered("send budi some te"), [])

    def test_files(self) -> None:
        folder = Path(self.mktemp())
        (folder / "sub dir").mkdir(parents=True)
        (folder / "a b.txt").write_text("x")
        (folder / ".hidden").write_text("x")
        self.assertEqual(
            self.offered(f"sendfile budi {folder}/"),
            [f"sendfile budi {folder}/a\\ b.txt", f"sendfile budi {folder}/sub\\ dir/"],
        )
        self.assertEqual(
            self.offered(f"sendfile budi x {folder}/a\\ b"), [f"sendfile budi x {folder}/a\\ b.txt"]
        )

    def test_files_of_messages(self) -> None:
        """Files are fetched by code or name, and deleted by code."""
        self.state.files["k3x9qa"] = AnnouncedFile("kopi.txt", None)
        self.assertEqual(self.offered("getfile k"), ["getfile k3x9qa", "getfile kopi.txt"])
        self.assertEqual(self.offered("deletefile k"), ["deletefile k3x9qa"])

    def test_in_a_chat(self) -> None:
        self.state.chat = Place("budi", Kind.USER)
        self.assertEqual(self.offered("sen"), [])
        self.assertEqual(self.offered("/wh"), ["/who ", "/whoami "])
