"""The errors: stable codes, and sentences that get all of their details."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from string import Formatter

from twisted.trial.unittest import SynchronousTestCase

import chatd
from chatd.base import errors
from chatd.base.errors import ChatError, every_error, none_known

SOURCES = sorted(Path(chatd.__file__).parent.rglob("*.py"))
BY_NAME = {error.__name__: error for error in every_error()}


def fields(error: type[ChatError]) -> set[str]:
    """The details that the error's sentence contains."""
    return {field for _, field, _, _ in Formatter().parse(error.sentence) if field}


def needed(error: type[ChatError]) -> set[str]:
    """The details that must be given."""
    return fields(error) - set(error.defaults)


def _error_name(node: ast.expr | None) -> str | None:
    name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", None)
    return name if name in BY_NAME else None


@cache
def uses() -> list[tuple[str, str, set[str]]]:
    """Each place in chatd that makes a ChatError: the place, the class, and the details it gives."""
    return list(_uses())


def _uses() -> Iterator[tuple[str, str, set[str]]]:
    for path in SOURCES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and (name := _error_name(node.func)):
                details = {keyword.arg or "**" for keyword in node.keywords}
                details.update("positional" for _ in node.args)
                yield f"{path.name}:{node.lineno}", name, details
            elif isinstance(node, ast.Raise) and (name := _error_name(node.exc)):
                yield f"{path.name}:{node.lineno}", name, set()


class Errors(SynchronousTestCase):
    def test_codes_are_unique(self) -> None:
        codes = [error.code for error in every_error()]
        self.assertEqual(len(codes), len(set(codes)))
        self.assertGreater(len(codes), 30)

    def test_codes_are_plain_words(self) -> None:
        """A code consists of lower-case words with hyphens, so it fits into any dialect."""
        for error in every_error():
            self.assertRegex(error.code, r"\A[a-z]+(-[a-z]+)*\Z")

    def test_every_error_has_a_sentence(self) -> None:
        """All ChatErrors except BadRequest, which is only a base class, have a code and a sentence of their
        own."""
        for error in vars(errors).values():
            if isinstance(error, type) and issubclass(error, ChatError):
                if error in (ChatError, errors.BadRequest):
                    self.assertNotIn(error, every_error())
                else:
                    # A class without a code of its own is another sentence for the code of its parent.
                    known = error if "code" in vars(error) else error.__base__
                    self.assertIn(known, every_error())
                    self.assertIn("sentence", vars(error))

    def test_sentences_are_filled(self) -> None:
        """Every sentence is filled in with its details, and shows each of them."""
        for error in every_error():
            details = {field: f"<{field}>" for field in fields(error)}
            filled = error(**details)
            self.assertEqual(filled.details, details)
            for shown in details.values():
                self.assertIn(shown, str(filled))
            self.assertNotIn("{", str(filled))
            self.assertFalse(str(filled).endswith("."), error)

    def test_braces_in_details(self) -> None:
        """Braces in a name are not treated as placeholders."""
        self.assertIn("{x}", str(errors.UnknownUser(name="{x}")))

    def test_details_at_every_use(self) -> None:
        """Every place that makes an error gives the details of its sentence (except those with a default),
        and no others."""
        found = list(uses())
        self.assertGreater(len(found), 50)
        for where, name, details in found:
            error = BY_NAME[name]
            self.assertLessEqual(details, fields(error), f"{where}: {name}")
            self.assertGreaterEqual(details, needed(error), f"{where}: {name}")

    def test_defaults(self) -> None:
        """Defaults fill in missing details of the sentence, never all of them. Given details override them,
        and defaults are not details."""
        with_defaults = [error for error in every_error() if error.defaults]
        self.assertIn(errors.UnknownUser, with_defaults)
        for error in with_defaults:
            self.assertLess(set(error.defaults), fields(error), error)
            details = {field: f"<{field}>" for field in needed(error)}
            filled = error(**details)
            self.assertEqual(filled.details, details)
            for shown in (*details.values(), *error.defaults.values()):
                self.assertIn(str(shown), str(filled))
            for name, default in error.defaults.items():
                given = str(error(**details, **{name: "<given>"}))
                self.assertIn("<given>", given)
                if default != "":  # nothing is said by default
                    self.assertNotIn(str(default), given)

    def test_realm_of_an_unknown_name(self) -> None:
        """In this realm, unless another one is named."""
        self.assertEqual(
            str(errors.UnknownUser(name="nobody")), "There is no user nobody in this realm"
        )
        self.assertEqual(
            str(errors.UnknownUser(name="nobody", where="realm2")),
            "There is no user nobody in realm2",
        )
        self.assertEqual(
            str(errors.UnknownGroup(name="bola", where="realm2")),
            "There is no group bola in realm2",
        )

    def test_every_error_is_used(self) -> None:
        self.assertEqual(set(BY_NAME), {name for _, name, _ in uses()})

    def test_missing_detail(self) -> None:
        with self.assertRaises(KeyError):
            errors.UnknownUser()
        with self.assertRaises(KeyError):
            errors.UnknownUser(where="realm2")

    def test_unknown_recipients(self) -> None:
        """For one address, its own error; for several, their names, or the unknown realms; if somebody is
        known who did not get it, the reason."""
        user, realm = errors.UnknownUser(name="x"), errors.UnknownRealm(realm="r")
        other, refused = errors.UnknownRealm(realm="s"), errors.MessageTooLong(size=2, limit=1)
        for found, expected in (
            ({"x": user}, user),
            ({"y@r": realm}, realm),
            ({"x": user, "y@r": realm}, errors.UnknownUser(name="x, y@r")),
            ({"y@r": realm, "z@s": other, "w@r": realm}, errors.UnknownRealm(realm="r, s")),
            ({"x": user, "y@r": refused, "z": user}, refused),
        ):
            error = none_known(found)
            self.assertEqual((type(error), str(error)), (type(expected), str(expected)))
