"""The command line of chatctl: every command of operators, with its arguments."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from chatd.commands.table import BY_VERB, TABLE
from chatd.ctl.arguments import (
    as_json,
    given_in,
    helped,
    make_parser,
    offline_note,
    option_of,
    rows,
)
from chatd.ctl.exits import WrongUsage
from tests.unit.commands.admin_cases import ADMIN_CASES


def words_of(verb: str, given: dict[str, Any]) -> list[str]:
    """The command line for a command with those arguments."""
    row = BY_VERB[verb]
    words, options = verb.split(".")[1:], []
    for arg in row.args:
        if arg.name not in given or arg.type.shape == "secret":
            continue
        value = given[arg.name]
        if not arg.named:
            words.append(value if isinstance(value, str) else str(value))
        elif arg.type.shape == "on|off":
            options.append(option_of(arg))
        else:
            options.append(f"{option_of(arg)}={value}")
    return [*words, *options]


class Arguments(SynchronousTestCase):
    def test_every_command(self) -> None:
        """The command line gives the same command as the other dialects."""
        parser = make_parser()
        tried = set()
        for verb, _, given, command in ADMIN_CASES:
            options = parser.parse_args(words_of(verb, given))
            row = options.row
            secrets = {arg.name: given[arg.name] for arg in row.args if arg.type.shape == "secret"}
            found = {**as_json(row, given_in(row, options)), **secrets}
            self.assertEqual(row.from_names(found), command)
            tried.add(verb)
        self.assertEqual(tried, {row.verb for row in TABLE if row.verb.startswith("admin.")})

    def test_no_command_begins_another(self) -> None:
        """Otherwise its arguments could be taken for the rest of the other's name."""
        verbs = [f"{row.verb}." for row in TABLE if "." in row.verb]
        begun = [(one, other) for one in verbs for other in verbs if other.startswith(one)]
        self.assertEqual([pair for pair in begun if pair[0] != pair[1]], [])

    def test_secrets_are_not_arguments(self) -> None:
        """Other users of the machine see the arguments of processes."""
        parser = make_parser()
        with self.assertRaises(WrongUsage):
            parser.parse_args(["user", "passwd", "messi", "rahasia-99"])
        options = parser.parse_args(["user", "passwd", "messi", "--password-stdin"])
        self.assertTrue(options.password_stdin)

    def test_a_text_of_several_words(self) -> None:
        options = make_parser().parse_args(["user", "disable", "messi", "too", "loud"])
        self.assertEqual(given_in(options.row, options), {"user": "messi", "reason": "too loud"})
        options = make_parser().parse_args(["user", "disable", "messi"])
        self.assertEqual(given_in(options.row, options), {"user": "messi"})

    def test_common_options_stand_anywhere(self) -> None:
        for words in (["--json", "-c", "x", "stats"], ["stats", "--json", "--config", "x"]):
            options = make_parser().parse_args(words)
            self.assertEqual((options.json, options.config), (True, "x"))

    def test_help(self) -> None:
        parser = make_parser()
        for words in rows():
            self.assertIn(f"usage: chatctl {words}", helped(words.split(), parser))
        self.assertIn("passwd", helped(["user"], parser))
        self.assertIn("Exit status: 0", helped([], parser))
        for words in ("nonsense", "user nonsense", "stats nonsense"):
            with self.assertRaises(WrongUsage):
                helped(words.split(), parser)


class OfflineNotes(SynchronousTestCase):
    """What help says of stopped realms."""

    def test_notes(self) -> None:
        found = {words for words, row in rows().items() if offline_note(row)}
        self.assertLessEqual({"backup", "check", "user passwd"}, found)
        self.assertEqual(found & {"restore", "vacuum", "reload", "stats"}, set())
        self.assertIn("has to be stopped", rows()["restore"].help)


class Flags(SynchronousTestCase):
    def test_help_names_no_value(self) -> None:
        """A flag of chatctl has no value, although it is on or off in other dialects."""
        self.assertIn("--quick", helped(["check"], make_parser()))
        self.assertNotIn("on or off", helped(["check"], make_parser()).lower())
