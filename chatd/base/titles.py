"""Names for groups that people give a title of several words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator

from chatd.base.characters import INVISIBLE
from chatd.base.errors import BadName
from chatd.base.names import MAX_NAME, check_new_name, parse_name

NAMELESS = "group"  # the name of a group whose title has nothing that a name may have
_NUMBERS = range(2, 10)
_RANDOM = 3  # names with random numbers, once those before are taken
_SUFFIX = len("_123456")
_BETWEEN = re.compile("__+")


def name_of(title: str) -> str:
    """The words of a title as a valid name, joined with `_`; NAMELESS if that is not possible."""
    text = unicodedata.normalize("NFKC", INVISIBLE.sub("", title))
    words = "".join(each if _is_allowed(each) else "_" for each in text)
    name = _BETWEEN.sub("_", words)[: MAX_NAME - _SUFFIX].strip("._-")
    try:
        name = parse_name(name)
        check_new_name(name)
    except BadName:
        return NAMELESS
    return name


def _is_allowed(character: str) -> bool:
    return character in "._-" or unicodedata.category(character)[0] in "LMN"


def names_for(title: str, random_bytes: Callable[[int], bytes]) -> Iterator[str]:
    """Names for a group with that title, the best first. There are few, so that trying all of them is
    cheap."""
    name = name_of(title)
    yield name
    for number in _NUMBERS:
        yield f"{name}_{number}"
    for _ in range(_RANDOM):
        yield f"{name}_{int.from_bytes(random_bytes(4), 'big') % 1_000_000:06}"
