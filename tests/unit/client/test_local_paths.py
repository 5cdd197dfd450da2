"""Names for received files, and paths as they are typed."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

import chatd.client
from chatd.client import local_paths

CLIENT = Path(chatd.client.__file__).parent
MESSAGE = {"conversation": 2, "seq": 3, "id": 7, "from": "budi", "at": "2026-11-20T10:15:03Z"}


class PathTests(TestCase):
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
