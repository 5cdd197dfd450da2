"""What a search asks for: words and filters, and how people write them.

`"` joins words: `"good morning" from:messi` finds messages of messi with that phrase.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

import msgspec

from chatd.base.errors import BadArgument
from chatd.base.folding import fold
from chatd.base.names import Address, Place, parse_address, parse_place, printable

MAX_WORDS = 32  # and filters of one kind
_TOKEN = re.compile(
    r"""(?P<filter>from|in|has|before|after):(?P<value>"[^"]*"|\S+)|"(?P<phrase>[^"]*)"|(?P<word>\S+)""",
    re.IGNORECASE,
)
_DATE = "a date, as in 2026-11-20 or 2026-11-20T10:15:03Z"


class SearchQuery(msgspec.Struct, frozen=True):
    """Messages that contain all of `words`, which are folded (chatd.base.folding), written by one of
    `senders` in one of `places` (each empty: any), and sent from `after` on and before `before` (ms since
    1970 UTC)."""

    words: tuple[str, ...] = ()
    senders: tuple[Address, ...] = ()
    places: tuple[Place, ...] = ()
    has_file: bool = False
    after: int | None = None
    before: int | None = None


def parse_query(text: str) -> SearchQuery:
    """Raises BadArgument for a filter that has no such value, BadName."""
    words: dict[str, None] = {}
    senders: dict[Address, None] = {}
    places: dict[Place, None] = {}
    has_file, after, before = False, None, None
    for found in _TOKEN.finditer(text):
        value = (found["value"] or "").strip('"')
        match (found["filter"] or "").lower():
            case "from":
                senders[parse_address(value.removeprefix("@"))] = None
            case "in":
                places[parse_place(value)] = None
            case "has":
                has_file = _has_file(value)
            case "after":
                date = _date("after", value)
                after = date if after is None else max(after, date)
            case "before":
                date = _date("before", value)
                before = date if before is None else min(before, date)
            case _:
                words[fold(found["phrase"] or found["word"] or "").strip()] = None
    words.pop("", None)
    for many in (words, senders, places):
        if len(many) > MAX_WORDS:
            expected = f"at most {MAX_WORDS} words, and as many filters of a kind"
            raise BadArgument(argument="text", found=f"{len(many)} of them", expected=expected)
    # A word within another one says nothing more.
    needed = [word for word in words if not any(word != each and word in each for each in words)]
    return SearchQuery(tuple(needed), tuple(senders), tuple(places), has_file, after, before)


def _has_file(value: str) -> bool:
    if value.lower() not in {"file", "files"}:
        raise BadArgument(argument="has", found=printable(value), expected="has:file")
    return True


def _date(name: str, value: str) -> int:
    """A date in ms since 1970 UTC. A date without a time means its beginning."""
    try:
        date = datetime.fromisoformat(value.upper())
        if date.tzinfo is None:
            if len(value) > len("2026-11-20"):
                raise ValueError(value)
            date = date.replace(tzinfo=UTC)
        return round(date.timestamp() * 1000)
    except (ValueError, OverflowError):
        raise BadArgument(argument=name, found=printable(value), expected=_DATE) from None
