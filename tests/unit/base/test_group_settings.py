"""Settings of groups: what is accepted, and what they mean."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chatd.base.errors import BadArgument, BadText, ChatError
from chatd.base.group_settings import (
    MAX_TITLE,
    MAX_TOPIC,
    check_setting,
    columns_of,
    settings_in_effect,
    settings_of,
)
from chatd.base.model import Group

GOOD = (
    ("title", " Rapat Besar ", "Rapat Besar"),
    ("title", "", ""),
    ("topic", "x" * MAX_TOPIC, "x" * MAX_TOPIC),
    ("visibility", "Private", "private"),
    ("past", "ALL", "all"),
    ("post", "anyone", "anyone"),
)
BAD: tuple[tuple[str, object, type[ChatError]], ...] = (
    ("title", "x" * (MAX_TITLE + 1), BadArgument),
    ("topic", "x" * (MAX_TOPIC + 1), BadArgument),
    ("topic", "a\nb", BadArgument),
    ("topic", "a\x07b", BadText),
    ("title", "a\N{RIGHT-TO-LEFT OVERRIDE}b", BadText),
    ("title", 7, BadArgument),
    ("visibility", "hidden", BadArgument),
    ("past", "", BadArgument),
)


class Settings(SynchronousTestCase):
    def test_checked(self) -> None:
        for key, value, expected in GOOD:
            self.assertEqual(check_setting(key, value), expected)
        for key, wrong, error in BAD:
            self.assertRaises(error, check_setting, key, wrong)

    def test_columns(self) -> None:
        """What other realms state wrongly is left out."""
        given: dict[str, str | bool | None] = {
            "title": "",
            "topic": "Pasar",
            "visibility": "private",
            "past": "joined",
            "post": "members",
            "colour": "red",
        }
        expected = {"title": None, "topic": "Pasar", "private": True, "past": "joined"}
        self.assertEqual(columns_of(given), expected | {"closed": True})
        self.assertEqual(columns_of({"closed": False}), {"closed": False})
        self.assertEqual(columns_of({"past": "never", "closed": "yes", "topic": None}), {})

    def test_shown(self) -> None:
        """Only members post to a private group, even if it is open again once it is public."""
        group = Group(1, "a", "a", "", False, private=True, topic="Pasar")
        expected = {"title": "", "topic": "Pasar", "visibility": "private", "past": "all"}
        self.assertEqual(settings_in_effect(group), expected | {"post": "members"})
        self.assertEqual(settings_of(group), expected | {"post": "anyone"})
