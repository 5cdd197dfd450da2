"""Rendered text can't control a terminal and has the right width; how messages and lists look."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

import chatd.client
from chatd.client import render, translations
from chatd.client.render import cells, colour_of, cut, safe, text_of, wrap
from chatd.client.render_lists import ListRenderer
from chatd.client.script import as_json
from chatd.client.state import State

CLIENT = Path(chatd.client.__file__).parent
MESSAGE = {"conversation": 2, "seq": 3, "id": 7, "from": "budi", "at": "2026-11-20T10:15:03Z"}


class SafeTextTests(TestCase):
    def test_control_characters(self) -> None:
        for text, shown in (
            ("\x1b[2Jgone\x07", "�[2Jgone�"),
            ("\x9b31m", "�31m"),
            ("a\rb\nc\u2028d", "a�b�c�d"),
            ("exe.\u202egnp\u202c", "exe.�gnp�"),
            ("\u2066x\u2069\u200f", "�x��"),
            ("in\u200bvisi\ufeffble\U000e0041", "invisible"),
            ("tab\tbed", "tab    bed"),
            ("👩\u200d👧 é 世界", "👩\u200d👧 é 世界"),
            ("Z" + "\u0335" * 50, "Z" + "\u0335" * 4),
            (None, "None"),
        ):
            self.assertEqual(safe(text), shown)

    @given(st.text())
    def test_any_text(self, text: str) -> None:
        shown = safe(text)
        self.assertFalse(set(shown) & {*map(chr, range(32)), "\x7f", *map(chr, range(0x80, 0xA0))})
        self.assertFalse(
            any(c in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069" for c in shown)
        )
        self.assertEqual(safe(shown), shown)

    def test_json_is_equal_and_safe(self) -> None:
        import json

        value = {"text": 'exe.\u202egnp \x85 é 世界 \\ "', "b": "\x7f"}
        written = as_json(value)
        self.assertEqual(json.loads(written), value)
        self.assertNotIn("\u202e", written)
        self.assertIn("世界", written)


class WidthTests(TestCase):
    def test_cells(self) -> None:
        self.assertEqual(cells("halo"), 4)
        self.assertEqual(cells("世界"), 4)
        self.assertEqual(cells("e\u0301"), 1)
        self.assertEqual(cut("世界你好", 5), "世界…")
        self.assertEqual(cut("halo", 4), "halo")

    @given(st.text(alphabet="ab 世界🎉é"), st.integers(20, 60))
    def test_wrapped(self, text: str, width: int) -> None:
        line = [("time", "10:15 "), ("", safe(text))]
        lines = wrap(line, width, 6)
        whole = "".join(text_of(each) for each in lines)
        self.assertEqual(whole.replace(" ", ""), text_of(line).replace(" ", ""))
        for each in lines:
            words = text_of(each).split()
            if all(cells(word) <= width - 6 for word in words):
                self.assertLessEqual(cells(text_of(each)), width)

    def test_several_lines(self) -> None:
        """Further lines are indented and marked, also where they are wrapped."""
        text = "satu\n\n10:16 lina: dua tiga empat lima"
        lines = wrap([("time", "10:15 "), ("", text)], 24, 6)
        self.assertEqual(
            [text_of(line) for line in lines],
            ["10:15 satu", "      | ", "      | 10:16 lina: dua", "        tiga empat lima"],
        )

    def test_urls_are_not_broken(self) -> None:
        link = "https://example.org/" + "x" * 100
        lines = wrap([("time", "10:15 "), ("", f"see {link} there")], 60, 6)
        self.assertTrue(any(link in text_of(line) for line in lines))

    def test_colours_of_senders(self) -> None:
        self.assertEqual(colour_of("Budi"), colour_of("budi"))
        self.assertGreater(len({colour_of(name) for name in "abcdefghij"}), 3)


class RendererTests(TestCase):
    def setUp(self) -> None:
        self.state = State("localhost")
        self.state.logged_in("lina", "Lina Dewi", "token")
        self.renderer = render.Renderer(self.state, stamps=True)
        self.lists = ListRenderer(self.state, self.renderer)
        self.addCleanup(translations.use, "en")

    def test_messages(self) -> None:
        for more, shown in (
            ({"to": "lina", "text": "halo"}, "budi: halo"),
            ({"group": "futsal", "text": "halo"}, "budi in futsal: halo"),
            ({"from": "lina", "to": "budi", "text": "halo"}, "lina to budi: halo"),
            (
                {"to": "lina", "file": {"name": "a\x1b.txt", "size": 12345, "code": "k3x9qa"}},
                "budi: file a�.txt (12,345 bytes) code k3x9qa",
            ),
        ):
            line = text_of(self.renderer.message({**MESSAGE, **more}))
            self.assertEqual(line, f"2026-11-20T10:15:03Z {shown}")

    def test_several_lines(self) -> None:
        """Further lines are marked, and a list of conversations shows the last message on one line."""
        message = {**MESSAGE, "to": "lina", "text": "satu\n* dua\x1b\r"}
        line = text_of(self.renderer.message(message))
        self.assertEqual(line, "2026-11-20T10:15:03Z budi: satu\n  | * dua\ufffd\ufffd")
        item = {"user": "budi", "name": "budi", "online": True, "unread": 0, "last": message}
        (line,) = map(text_of, self.lists.items({"status": "OK", "conversations": [item]}))
        self.assertEqual(line, "budi online: 2026-11-20T10:15:03Z budi: satu * dua\ufffd\ufffd")

    def test_titles(self) -> None:
        group = {"group": "tim_bola", "code": "abc:234", "members": 1, "title": "Tim \x1bBola"}
        (line,) = map(text_of, self.lists.items({"status": "OK", "groups": [group]}))
        self.assertEqual(line, "tim_bola (Tim \ufffdBola) code abc:234, 1 member")
        (line,) = map(text_of, self.lists.numbered_groups([group]))
        self.assertEqual(line, "  1 abc:234 tim_bola (Tim \ufffdBola)")

    def test_conversations(self) -> None:
        """The list of conversations, and what `unread` shows of some of them."""
        last = {**MESSAGE, "from": "budi", "to": "lina", "text": "halo"}
        direct = {"user": "budi", "name": "Budi S.", "online": True, "unread": 2, "last": last}
        group = {"group": "g", "code": "abc123", "members": 1, "admin": True, "last": None}
        away = {"user": "a@realm2", "name": "a@realm2", "unread": 0, "last": None}
        lost = {"group": "g@realm2", "rescue": "g@realm3\x1b", "unread": 1, "last": None}
        for item, shown in (
            (direct, "budi (Budi S.) online, 2 unread: 2026-11-20T10:15:03Z budi: halo"),
            ({**group, "name": "g", "unread": 0}, "g code abc123, 1 member, you are an admin"),
            (
                {**group, "name": "g", "unread": 0, "shut": ""},
                "g code abc123, 1 member, closed by the operators of its realm, you are an admin",
            ),
            (away, "a@realm2"),
            (lost, "g@realm2 , to go on as g@realm3\ufffd if its realm stays lost, 1 unread"),
            ({"user": "budi", "group": None, "unread": 2}, "2 from budi"),
        ):
            (line,) = self.lists.items({"status": "OK", "conversations": [item]})
            self.assertEqual(text_of(line), shown)

    def test_people_and_settings(self) -> None:
        at = {"at": MESSAGE["at"]}
        budi = {"username": "budi", "name": "Budi", "country": "", "online": True, "away": True}
        session = {"session": 3, "client": "plain", "address": "::1", "used": MESSAGE["at"]}
        report = {"report": 1, **at, "by": "ana", "reason": "ru\x1bde"}
        for name, item, shown in (
            ("users", {**budi, "status": "out\x1b"}, "budi (Budi) away: out�"),
            ("contacts", {"username": "budi", "online": False}, "budi offline"),
            (
                "files",
                {"from": "lina", "name": "a.txt", "size": 4, "code": "k3x9qa", **at},
                "2026-11-20T10:15:03Z lina: file a.txt (4 bytes) code k3x9qa",
            ),
            ("blocked", {"user": "budi", **at}, "2026-11-20T10:15:03Z budi"),
            ("blocked", {"realm": "realm2", **at}, "2026-11-20T10:15:03Z @@realm2"),
            ("sessions", session, "3 plain, ::1, last used 2026-11-20T10:15:03Z"),
            (
                "sessions",
                {**session, "client": "", "online": True, "current": True},
                "3 ::1, last used 2026-11-20T10:15:03Z, online, this session",
            ),
            ("reports", {**report, "message": None}, "1 2026-11-20T10:15:03Z ana: ru�de"),
            (
                "reports",
                {**report, "message": {**MESSAGE, "to": "ana", "text": "x"}},
                "1 2026-11-20T10:15:03Z ana: ru�de; 2026-11-20T10:15:03Z budi: x",
            ),
            (
                "invitations",
                {"group": "tim@realm2", "by": "ana@realm2", **at, "title": "Tim"},
                "2026-11-20T10:15:03Z ana@realm2 invites you to tim@realm2 (Tim)",
            ),
            (
                "requests",
                {"user": "ana@realm2", "text": "ha\x1blo", **at},
                "2026-11-20T10:15:03Z ana@realm2: ha�lo",
            ),
        ):
            (line,) = self.lists.items({"status": "OK", name: [item]})
            self.assertEqual(text_of(line), shown)

    def test_unknown_items_are_shown(self) -> None:
        """A realm of a later version may send items that this client does not know."""
        found = self.lists.items({"status": "OK", "planets": [{"name": "Mars\x1b", "moons": 2}]})
        self.assertEqual([text_of(line) for line in found], ["name Mars�, moons 2"])

    def test_mentions(self) -> None:
        for more, noticed in (
            ({"to": "lina", "text": "x"}, True),
            ({"group": "g", "text": "halo LINA!"}, True),
            ({"group": "g", "text": "ask lina dewi"}, True),
            ({"group": "g", "text": "linatech"}, False),
            ({"group": "g", "text": "hi"}, False),
            ({"group": "g", "from": "lina", "text": "lina"}, False),
        ):
            self.assertIs(self.state.mentions_me({**MESSAGE, **more}), noticed, more)
