"""The mentions in a text: `@name`, `@name@realm`, and `@all`."""

from __future__ import annotations

import re

from chatd.base.errors import BadName
from chatd.base.names import Address, parse_address

ALL = "@all"  # how a mention of everybody is stored: no address begins so
MAX_MENTIONS = 50  # in one text; the others are text only

_MENTION = re.compile(r"(?<![\w@.-])@([\w.-]{1,64}(?:@[\w.-]{1,64})?)")


def mentions_in(text: str) -> tuple[list[Address], bool]:
    """The addresses that a text mentions, as far as their form goes, without repetitions, and whether it
    mentions everybody."""
    found: dict[str, Address] = {}
    everybody = False
    for match in _MENTION.finditer(text):
        word = match[1].rstrip(".-")
        if word.lower() == ALL[1:]:
            everybody = True
            continue
        try:
            address = parse_address(word)
        except BadName:
            continue
        found.setdefault(address.key, address)
        if len(found) >= MAX_MENTIONS:
            break
    return list(found.values()), everybody
