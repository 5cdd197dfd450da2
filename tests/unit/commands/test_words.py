"""Which command a typed word means: verbs, aliases, and misspelt words."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from chatd.base.errors import UnknownCommand
from chatd.commands.table import BY_VERB, TABLE
from chatd.commands.words import MEANT, row_of
from chatd.lines.dialect import Request, Unreadable
from chatd.lines.dialects.plain import PlainDialect


class Words(TestCase):
    def test_words_are_unique(self) -> None:
        words = [word for row in TABLE for word in (row.verb, *row.aliases)]
        self.assertEqual(len(words), len(set(words)))
        self.assertEqual(set(words) & set(MEANT), set())
        self.assertEqual(set(MEANT.values()) - {row.verb for row in TABLE}, set())

    def test_verbs_and_aliases_in_any_case(self) -> None:
        for word, row in BY_VERB.items():
            self.assertIs(row_of(word), row)
            self.assertIs(row_of(word.upper()), row)

    def advice(self, word: str) -> str:
        with self.assertRaises(UnknownCommand) as caught:
            row_of(word)
        error = caught.exception
        self.assertEqual(error.code, "unknown-command")
        return str(error.details.get("advice", ""))

    def test_misspelt_words(self) -> None:
        """One letter too many, too few or wrong, two swapped ones, or only the beginning of the word."""
        cases = {
            "sendd": "send",
            "snd": "send",
            "semd": "send",
            "sned": "send",
            "lgoin": "login",
            "HELPP": "help",
            "conv": "conversations",
            "list": "groups",
        }
        for word, verb in cases.items():
            self.assertEqual(
                self.advice(word), f"did you mean {verb}? help lists all commands", word
            )

    def test_unlike_any_command(self) -> None:
        for word in ("nonsense", "", "x", "zz", "get", "z" * 5000, "sénd", "ping\x07", "{", "//"):
            self.assertEqual(self.advice(word), "", word)

    def test_a_slash_is_no_part_of_the_verb(self) -> None:
        for line, verb in ((b"/help", "help"), (b"/?", "help"), (b" /Exit", "quit")):
            request = PlainDialect().read(line)
            assert isinstance(request, Request)
            self.assertEqual(request.row.verb, verb)
        self.assertRaises(Unreadable, PlainDialect().read, b"//help")
