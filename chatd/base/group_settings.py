"""What the admins of a group set: its title and topic, who finds it, what new members see of the past, and
who may post."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from chatd.base.characters import find_hidden
from chatd.base.errors import BadArgument, BadText
from chatd.base.model import PAST_ALL, PAST_JOINED, PRIVATE, PUBLIC, Group
from chatd.base.names import printable
from chatd.base.texts import check_text

MAX_TITLE, MAX_TOPIC = 128, 500  # characters
MEMBERS, ANYONE = "members", "anyone"
WORDS: Mapping[str, tuple[str, str]] = {
    "visibility": (PUBLIC, PRIVATE),
    "past": (PAST_ALL, PAST_JOINED),
    "post": (MEMBERS, ANYONE),
}
TEXTS = {"title": MAX_TITLE, "topic": MAX_TOPIC}
SETTINGS = (*TEXTS, *WORDS)

# What an entry says of a new code, which is not in the log
RENEWED: dict[str, str | bool | None] = {"groupcode": "renewed"}

# The field that says that the operators have closed a group for everybody, and why. It is None once they have
# opened it again.
SHUT = "shut"
MAX_REASON = 500  # characters

# Settings by name, as entries of the log have them
Fields: TypeAlias = Mapping[str, str | bool | None]
# The attributes of a Group that they set
Columns: TypeAlias = dict[str, str | bool | None]


def check_setting(key: str, value: object) -> str:
    """A value for one of SETTINGS. Raises BadArgument, BadText."""
    if not isinstance(value, str):
        raise BadArgument(argument=key, found="that", expected="a string")
    if key in WORDS:
        word = value.lower()
        if word not in WORDS[key]:
            raise BadArgument(
                argument=key, found=printable(value), expected=" or ".join(WORDS[key])
            )
        return word
    text, limit = value.strip(), TEXTS[key]
    if len(text) > limit:
        raise BadArgument(argument=key, found="that long", expected=f"up to {limit} characters")
    if "\n" in text or "\r" in text:
        raise BadArgument(argument=key, found="several lines", expected="one line")
    if text:
        check_text(text)
    if (hidden := find_hidden(text)) is not None:
        what = (
            f"A {key} can't contain characters that are invisible or change the direction of text"
        )
        raise BadText(what=what, position=hidden + 1)
    return text


def columns_of(fields: Fields) -> Columns:
    """The attributes of a Group that settings mean, which are columns except for `shut`. Unknown settings and
    bad values are left out: they come from other realms."""
    found: Columns = {}
    for key, value in fields.items():
        if key == "closed" and isinstance(value, bool):
            found["closed"] = value
            continue
        if key == SHUT and not isinstance(value, bool):
            found[SHUT] = printable(value, MAX_REASON) if value else value
            continue
        try:
            checked = check_setting(key, value) if key in SETTINGS else None
        except (BadArgument, BadText):
            continue
        if checked is None:
            continue
        if key in TEXTS:
            found[key] = checked or None
        elif key == "visibility":
            found["private"] = checked == PRIVATE
        elif key == "past":
            found["past"] = checked
        else:
            found["closed"] = checked == MEMBERS
    return found


def columns_left(fields: Fields, later: Iterable[Fields]) -> Columns:
    """As `columns_of`, without the attributes that later settings mean too."""
    overtaken = {name for each in later for name in columns_of(each)}
    wanted = columns_of(fields)
    return {name: wanted[name] for name in wanted.keys() - overtaken}


def settings_of(group: Group) -> dict[str, str]:
    """The settings of a group by name, as they were set."""
    return {
        "title": group.title or "",
        "topic": group.topic or "",
        "visibility": group.visibility,
        "past": group.past,
        "post": MEMBERS if group.closed else ANYONE,
    }


def settings_in_effect(group: Group) -> dict[str, str]:
    """The settings of a group by name. Only members post to a private one, whatever was set."""
    return settings_of(group) | ({"post": MEMBERS} if group.private else {})
