"""Names of stored files, and media types."""

from __future__ import annotations

import unicodedata
from unittest import mock

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.errors import BadFileName
from chatd.files.file_names import MAX_NAME_BYTES, safe_name
from chatd.files.partial_file import guess_type
from tests.unit.files.cases import JPEG, PDF, PNG

# Names, and their safe forms.
NAMES = (
    ("pokijan.jpg", "pokijan.jpg"),
    ("Foto saya.JPG", "Foto saya.JPG"),
    ("/etc/passwd", "passwd"),
    ("../../x.txt", "x.txt"),
    ("C:\\Users\\messi\\gol.png", "gol.png"),
    (".bashrc", "bashrc"),
    ("...x", "x"),
    ("  x.txt  ", "x.txt"),
    ("a\x00b\x1b[2J\n.txt", "ab[2J.txt"),
    ("e\u0301.txt", "é.txt"),
    ("no-ending", "no-ending"),
    ("a.tar.gz", "a.tar.gz"),
    ("holiday_\u202egpj.exe", "holiday_gpj.exe"),
    ("\u200f\u2067.a\u2069.txt", "a.txt"),
    ("a\u3164\u200b.txt\u2060", "a.txt"),
    ("a" * 300, "a" * 200),
    ("a" * 300 + ".jpg", "a" * 196 + ".jpg"),
    ("é" * 150 + ".jpg", "é" * 98 + ".jpg"),
    ("a." + "b" * 300, "a." + "b" * 198),
)
NOT_NAMES = (
    "",
    ".",
    "..",
    "...",
    "/",
    "a/",
    "\\",
    " ",
    "\x00",
    ". .",
    "a/..",
    "\ud800",
    "\u3164",
    "\u202e.\u200b",
)


class SafeName(SynchronousTestCase):
    def test_kept(self) -> None:
        for name, safe in NAMES:
            self.assertEqual(safe_name(name), safe)

    def test_refused(self) -> None:
        """A name without safe characters is refused with a printable message."""
        for name in NOT_NAMES:
            with self.assertRaises(BadFileName) as caught:
                safe_name(name)
            self.assertTrue(str(caught.exception).isprintable())

    def test_long_ones_are_cut_before_they_are_normalised(self) -> None:
        """Normalizing many marks takes seconds. The end of a name stays, because it has the extension."""
        with mock.patch("unicodedata.normalize", wraps=unicodedata.normalize) as normalize:
            safe = safe_name("/tmp/a" + "\u0315\u0300" * 10_000 + ".png")
        self.assertTrue(safe.endswith(".png"))
        self.assertLessEqual(max(len(call.args[1]) for call in normalize.mock_calls), 512)

    @given(st.text(st.characters(exclude_categories=())))
    @example(". .bashrc")
    @example(".\u2003.x")
    @example("a" * 184 + "." + "\U0001f600" * 16)
    def test_any_text(self, name: str) -> None:
        """The safe name has no path, control characters or leading dots, and is not too long."""
        try:
            safe = safe_name(name)
        except BadFileName:
            return
        self.assertTrue(safe)
        for bad in "/\\\x00":
            self.assertNotIn(bad, safe)
        self.assertFalse({"Cc", "Cs"} & {unicodedata.category(c) for c in safe})
        self.assertFalse(safe.startswith("."), f"{name!r} became {safe!r}")
        self.assertEqual(safe.lstrip(), safe)
        self.assertLessEqual(len(safe.encode()), MAX_NAME_BYTES)

    @given(st.text(st.characters(exclude_categories=())))
    @example(". .bashrc")
    def test_safe_stays_safe(self, name: str) -> None:
        """A safe name does not change."""
        try:
            safe = safe_name(name)
        except BadFileName:
            return
        self.assertEqual(safe_name(safe.rstrip()), safe.rstrip())


class GuessType(SynchronousTestCase):
    def test_by_content(self) -> None:
        """The first bytes decide, whatever the name is."""
        self.assertEqual(guess_type(PNG, "x.txt"), "image/png")
        self.assertEqual(guess_type(JPEG, "x"), "image/jpeg")
        self.assertEqual(guess_type(PDF, "x.jpg"), "application/pdf")

    def test_by_ending(self) -> None:
        """If the bytes tell nothing, the extension decides."""
        self.assertEqual(guess_type(b"halo semua\n", "x.txt"), "text/plain")
        self.assertEqual(guess_type(b"", "x.png"), "image/png")

    def test_unknown(self) -> None:
        self.assertEqual(guess_type(b"halo", "x"), "application/octet-stream")
        self.assertEqual(guess_type(b"", "x"), "application/octet-stream")

    @given(st.binary(max_size=200), st.sampled_from(("x", "x.txt", "x.zzz", "x.jpg")))
    def test_any_bytes(self, head: bytes, name: str) -> None:
        """Any bytes have a type."""
        self.assertRegex(guess_type(head, name), r"\A[\w.+-]+/[\w.+-]+\Z")
