"""Rendered text can't control a terminal, has the right width, and comes in two languages."""

from __future__ import annotations

import io
import string
from pathlib import Path

from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from twisted.trial.unittest import TestCase

import chatd.client
from chatd.base.errors import ChatError, UnknownGroup, UnknownUser, WrongPassword, every_error
from chatd.client import file_transfer, local_paths, pictures, render, translations
from chatd.client.file_transfer import PartialDownload
from chatd.client.render import cells, colour_of, cut, safe, text_of, wrap
from chatd.client.script import as_json
from chatd.client.state import State
from chatd.commands.table import TABLE
from chatd.commands.words import row_of

CLIENT = Path(chatd.client.__file__).parent
MESSAGE = {"conversation": 2, "seq": 3, "id": 7, "from": "budi", "at": "2026-11-20T10:15:03Z"}


class Safety(TestCase):
    def test_nothing_acts(self) -> None:
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
    def test_whatever_it_is(self, text: str) -> None:
        shown = safe(text)
        self.assertFalse(set(shown) & {*map(chr, range(32)), "\x7f", *map(chr, range(0x80, 0xA0))})
        self.assertFalse(
            any(c in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069" for c in shown)
        )
        self.assertEqual(safe(shown), shown)

    def test_json_is_the_same_and_acts_on_nothing(self) -> None:
        import json

        value = {"text": 'exe.\u202egnp \x85 é 世界 \\ "', "b": "\x7f"}
        written = as_json(value)
        self.assertEqual(json.loads(written), value)
        self.assertNotIn("\u202e", written)
        self.assertIn("世界", written)


class Widths(TestCase):
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

    def test_a_link_stays_whole(self) -> None:
        link = "https://example.org/" + "x" * 100
        lines = wrap([("time", "10:15 "), ("", f"see {link} there")], 60, 6)
        self.assertTrue(any(link in text_of(line) for line in lines))

    def test_senders_keep_their_colour(self) -> None:
        self.assertEqual(colour_of("Budi"), colour_of("budi"))
        self.assertGreater(len({colour_of(name) for name in "abcdefghij"}), 3)


class Painting(TestCase):
    def setUp(self) -> None:
        self.state = State("localhost")
        self.state.logged_in("lina", "Lina Dewi", "token")
        self.renderer = render.Renderer(self.state, stamps=True)
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

    def test_conversations(self) -> None:
        """The list of conversations, and what `unread` shows of some of them."""
        last = {**MESSAGE, "from": "budi", "to": "lina", "text": "halo"}
        direct = {"user": "budi", "name": "Budi S.", "online": True, "unread": 2, "last": last}
        group = {"group": "g", "code": "abc123", "members": 1, "admin": True, "last": None}
        away = {"user": "a@realm2", "name": "a@realm2", "unread": 0, "last": None}
        for item, shown in (
            (direct, "budi (Budi S.) online, 2 unread: 2026-11-20T10:15:03Z budi: halo"),
            ({**group, "name": "g", "unread": 0}, "g code abc123, 1 member, you are an admin"),
            (away, "a@realm2"),
            ({"user": "budi", "group": None, "unread": 2}, "2 from budi"),
        ):
            (line,) = self.renderer.items({"status": "OK", "conversations": [item]})
            self.assertEqual(text_of(line), shown)

    def test_whatever_comes_is_shown(self) -> None:
        """A realm of a later version may send items that this client does not know."""
        found = self.renderer.items({"status": "OK", "planets": [{"name": "Mars\x1b", "moons": 2}]})
        self.assertEqual([text_of(line) for line in found], ["name Mars�, moons 2"])

    def test_being_noticed(self) -> None:
        for more, noticed in (
            ({"to": "lina", "text": "x"}, True),
            ({"group": "g", "text": "halo LINA!"}, True),
            ({"group": "g", "text": "ask lina dewi"}, True),
            ({"group": "g", "text": "linatech"}, False),
            ({"group": "g", "text": "hi"}, False),
            ({"group": "g", "from": "lina", "text": "lina"}, False),
        ):
            self.assertIs(self.state.mentions_me({**MESSAGE, **more}), noticed, more)


class Languages(TestCase):
    def setUp(self) -> None:
        self.addCleanup(translations.use, "en")

    def test_the_documents_texts(self) -> None:
        translations.use("id")
        reply = {"status": "OK", "message": "Message sent", "username": "alam"}
        self.assertEqual(
            translations.said("send", reply, {"to": "alam"}), "Message sent to user [alam]."
        )
        self.assertEqual(translations.said("auth", reply, {}), "Login [alam] telah berhasil")
        self.assertEqual(translations.said("whoami", {"message": "You are x"}, {}), "You are x")
        queued = {"status": "OK", "message": "Message queued", "queued": True}
        self.assertEqual(translations.said("send", queued, {"to": "a@b"}), "Message queued")

    def test_refusals(self) -> None:
        for error, shown in (
            (UnknownUser(name="x"), "User x tidak ada di realm ini"),
            (UnknownUser(name="x", where="realm2"), "User x tidak ada di realm2"),
            (UnknownGroup(name="x"), "Grup x tidak ada di realm ini; groups menampilkan daftarnya"),
            (WrongPassword(name="a {b}"), "Itu bukan password a {b}; coba lagi"),
        ):
            self.assertEqual(translations.of_error(error), str(error))
            translations.use("id")
            self.assertEqual(translations.of_error(error), shown)
            self.assertEqual(
                translations.refused(error.code, "another sentence"), "another sentence"
            )
            translations.use("en")

    def test_parts_of_refusals(self) -> None:
        """Reasons, advice and expected values are translated too."""
        translations.use("id")
        for line, shown in (
            ("sned x", "Tidak ada perintah sned; maksud Anda send? help menampilkan semuanya"),
            ("whoami x", "whoami tidak memerlukan argumen; pemakaian: whoami"),
            (
                "history budi many",
                "n tidak dapat berisi many; yang diharapkan: bilangan bulat, 1 atau lebih",
            ),
            (
                "addrealm r localhost 0",
                "port tidak dapat berisi 0; yang diharapkan: port TCP, 1 sampai 65535",
            ),
            ("listen perhaps", "on tidak dapat berisi perhaps; yang diharapkan: on atau off"),
        ):
            verb, _, rest = line.partition(" ")
            with self.assertRaises(ChatError) as caught:
                row_of(verb).from_words(rest)
            self.assertEqual(translations.of_error(caught.exception), shown)

    def test_nothing_is_left_out(self) -> None:
        keywords = {"tr": None, "trn": (1, 2), "later": None}
        wanted = {
            message if isinstance(message, str) else message[0]
            for _, _, message, _, _ in extract_from_dir(
                str(CLIENT), [("**.py", "python")], keywords=keywords
            )
        }
        wanted |= {error.sentence for error in every_error()} | {row.help for row in TABLE}
        path = CLIENT / "locale" / "id" / "LC_MESSAGES" / "chatd-client.po"
        with path.open("rb") as file:
            catalogue = read_po(file, abort_invalid=True)
        have = {}
        for message in catalogue:
            if not message.context and message.id:
                one, other = (
                    each if isinstance(each, str) else (each or [""])[0]
                    for each in (message.id, message.string)
                )
                have[one] = other
        self.assertEqual(wanted - set(have), set())
        for one, other in have.items():
            self.assertTrue(other, one)
            self.assertLessEqual(self.fields(other), self.fields(one), one)

    def fields(self, sentence: str) -> set[str]:
        return {field for _, field, _, _ in string.Formatter().parse(sentence) if field}


class Names(TestCase):
    def test_safe_names(self) -> None:
        for name, made in (
            ("plan.txt", "plan.txt"),
            ("../../etc/passwd", "passwd"),
            ("..", "_.."),
            (".bashrc", "_.bashrc"),
            ("", "_"),
            ("C:\\x\\y.txt", "y.txt"),
            ("a\x00b\x1b\n\u202e.txt", "a_b___.txt"),
            ("a\u3164b.txt", "a_b.txt"),
            ("  spaces.txt ", "spaces.txt"),
        ):
            self.assertEqual(local_paths.safe_name(name), made)
        long = local_paths.safe_name("世" * 300 + ".tar.gz")
        self.assertLessEqual(len(long.encode()), 255)
        self.assertTrue(long.endswith(".gz"))

    @given(st.text())
    def test_never_outside(self, name: str) -> None:
        made = local_paths.safe_name(name)
        self.assertNotIn("/", made)
        self.assertNotIn(made, ("", ".", ".."))

    def test_folders(self) -> None:
        base = Path("base")
        self.assertEqual(file_transfer.folder_for(base, "lina", None), base / "download/lina")
        self.assertEqual(file_transfer.folder_for(base, "..", "futsal"), base / "downloadgroup/_..")

    def test_words_and_quotes(self) -> None:
        for text, words in (
            ("a b", ["a", "b"]),
            ("'a b' \"c d\" e\\ f", ["a b", "c d", "e f"]),
            ("it's", ["it's"]),
            ('say "hi', ["say", '"hi']),
            ("a'b c'd", ["ab cd"]),
            ("", []),
        ):
            self.assertEqual(local_paths.split(text), words)

    @given(st.text(alphabet="ab '\"\\世", min_size=1))
    def test_quoting(self, text: str) -> None:
        self.assertEqual(local_paths.split(local_paths.quote(text)), [text])


class SavingTests(TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())

    def test_the_name_comes_last(self) -> None:
        saving = PartialDownload(self.folder, "plan.txt")
        saving.write(b"Friday")
        self.assertFalse((self.folder / "plan.txt").exists())
        self.assertEqual(saving.keep().read_bytes(), b"Friday")
        self.assertEqual(len(list(self.folder.iterdir())), 1)

    def test_given_up(self) -> None:
        saving = PartialDownload(self.folder, "plan.txt")
        saving.write(b"Fri")
        saving.drop()
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_a_link_in_its_place(self) -> None:
        """An existing entry is not replaced, even if it is a broken symbolic link."""
        self.folder.mkdir()
        (self.folder / "plan.txt").symlink_to(self.folder / "elsewhere")
        saving = PartialDownload(self.folder, "plan.txt")
        self.assertEqual(saving.keep().name, "plan (1).txt")
        self.assertFalse((self.folder / "elsewhere").exists())


class PicturesTests(TestCase):
    def picture(self, width: int, height: int, kind: str = "PNG", mode: str = "RGB") -> bytes:
        data = io.BytesIO()
        Image.new(mode, (width, height), "red").save(data, kind)
        return data.getvalue()

    def test_two_pixels_a_cell(self) -> None:
        lines = pictures.preview(self.picture(4, 4))
        self.assertEqual([text_of(line) for line in lines], ["▀▀▀▀", "▀▀▀▀"])
        self.assertEqual(lines[0][0][0], "fg:#ff0000 bg:#ff0000")

    def test_within_bounds(self) -> None:
        for size in ((4000, 10), (10, 4000), (999, 998), (1, 1)):
            lines = pictures.preview(self.picture(*size))
            self.assertLessEqual(len(lines), pictures.ROWS)
            self.assertTrue(all(len(line) <= pictures.COLUMNS for line in lines))
            self.assertTrue(lines)

    def test_kinds(self) -> None:
        for kind, mode in (("JPEG", "RGB"), ("GIF", "P"), ("PNG", "RGBA"), ("WEBP", "RGB")):
            self.assertTrue(pictures.preview(self.picture(30, 30, kind, mode)), kind)

    def test_what_is_none(self) -> None:
        bomb = self.picture(20_000, 20_000, mode="1")
        self.assertLess(len(bomb), pictures.MAX_BYTES)
        for data in (
            b"",
            b"GIF89a",
            bomb,
            self.picture(9, 9)[:40],
            b"%!PS-Adobe",
            b"x" * 5_000_000,
        ):
            self.assertEqual(pictures.preview(data), [])
