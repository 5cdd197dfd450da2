"""What the client of tugas4 evaluates is always a text or a dictionary of texts, and always the right one."""

from __future__ import annotations

import ast
import io
import tokenize

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from chatd.lines.dialects.python_literals import dict_literal, text_literal

ANY_TEXT = st.text(st.characters())  # also lone surrogates and control characters
NASTY = st.one_of(ANY_TEXT, st.text("'\"\\ux0{}()\n\r\0é😀", max_size=12))


def tokens_of(source: str) -> list[tokenize.TokenInfo]:
    empty = (tokenize.NEWLINE, tokenize.NL, tokenize.ENDMARKER)
    return [
        each
        for each in tokenize.generate_tokens(io.StringIO(source).readline)
        if each.type not in empty
    ]


class Literals(SynchronousTestCase):
    @given(NASTY)
    @example("'); __import__('os').system('id') #")
    @example("\\")
    @example("\\'")
    @example("'''")
    @example("a\nb")
    @example("\\u0041")
    @example("é'\"\\")
    def test_text_comes_back(self, text: str) -> None:
        self.assertEqual(ast.literal_eval(text_literal(text)), text)

    @given(NASTY)
    def test_it_is_one_string_in_one_line_of_ascii(self, text: str) -> None:
        """So nothing in it can be evaluated."""
        literal = text_literal(text)
        self.assertTrue(literal.isascii() and literal.isprintable())
        self.assertEqual([each.type for each in tokens_of(literal)], [tokenize.STRING])

    @given(NASTY)
    def test_prefix(self, text: str) -> None:
        """Python 2 needs the prefix u for a text beyond ASCII, and knows no \\u without it."""
        literal = text_literal(text)
        self.assertEqual(literal.startswith("u"), not text.isascii())
        if text.isascii():
            self.assertNotRegex(literal.replace("\\\\", ""), r"\\[uU]")

    @given(st.dictionaries(NASTY, NASTY, max_size=4))
    def test_dictionary(self, texts: dict[str, str]) -> None:
        literal = dict_literal(texts)
        self.assertEqual(ast.literal_eval(literal), texts)
        self.assertEqual(
            {each.type for each in tokens_of(literal)} - {tokenize.STRING, tokenize.OP}, set()
        )
        self.assertTrue(literal.isascii() and literal.isprintable())

    def test_examples(self) -> None:
        self.assertEqual(text_literal("it's"), '"it\'s"')
        self.assertEqual(text_literal("h\u00e9"), "u'h\\xe9'")
        self.assertEqual(dict_literal({"msg": "a\nb"}), "{'msg': 'a\\nb'}")
