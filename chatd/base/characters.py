"""Invisible characters, and those that reorder the text around them.

They are refused or removed in names, display names and file names. Messages keep them, but isolated.
"""

from __future__ import annotations

import re
import unicodedata

# Default_Ignorable_Code_Point (Unicode 15): shown as nothing. Format characters of bidirectional text are
# among them.
IGNORABLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff"
)
# Characters with a width or a meaning, but no ink: Braille blank, interlinear annotations, a null notehead,
# fillers of Egyptian and Khitan.
_BLANK = "\u2800\ufff9-\ufffb\U0001d159\U00013441\U00013442\U00016fe4"
_CONTROL = "\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff"

# Longer file names are cut before normalisation, which takes quadratic time in a run of marks. File systems
# allow 255 bytes.
MAX_FILE_NAME = 512

INVISIBLE = re.compile(f"[{IGNORABLE}{_BLANK}]")
_VISIBLE = re.compile(rf"[^\s\x00-\x1f\x7f-\x9f\ud800-\udfff{IGNORABLE}{_BLANK}]")
_HARMFUL = re.compile(f"[{_CONTROL}{IGNORABLE}{_BLANK}]")
# Invisible parts of emoji and scripts: variation selectors, the tags of a flag, and a joiner or non-joiner
# between two visible characters.
_PART_OF_LETTER = re.compile(
    rf"(?<=[^\s{IGNORABLE}{_BLANK}])"
    rf"(?:\ufe0f?[\u200c\u200d](?=[^\s{IGNORABLE}{_BLANK}])"
    r"|[\ufe0e\ufe0f]|[\U000e0020-\U000e007e]+\U000e007f)"
)

_EMBED = "\u202a\u202b\u202d\u202e"  # embeddings and overrides, which POP_EMBED ends
_ISOLATE = "\u2066\u2067\u2068"  # isolates, which POP_ISOLATE ends
_POP_EMBED = "\u202c"
_POP_ISOLATE = "\u2069"
_FIRST_STRONG = "\u2068"
_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069\u2028\u2029]")


def is_blank(text: str) -> bool:
    """Whether `text` has no visible character."""
    return _VISIBLE.search(text) is None


def find_hidden(text: str) -> int | None:
    """The position of the first character in `text` that is invisible, reorders text or breaks the line; None
    if there is none. Joiners between two visible characters and variation selectors are allowed, since emoji
    and some scripts need them."""
    if text.isascii() and text.isprintable():
        return None
    # Keep the length, so that positions stay valid.
    rest = _PART_OF_LETTER.sub(lambda found: "x" * len(found[0]), text)
    found = _HARMFUL.search(rest)
    return None if found is None else found.start()


def without_hidden(text: str) -> str:
    """`text` in NFC, without control characters, line ends, and characters that are invisible or reorder
    text."""
    if text.isascii() and text.isprintable():
        return text
    return unicodedata.normalize("NFC", _HARMFUL.sub("", unicodedata.normalize("NFC", text)))


def isolated(text: str) -> str:
    """`text` with its bidirectional formatting ended (UAX 9), so that it can't reorder the text shown after
    it. A text without any is returned unchanged."""
    if text.isascii() or _BIDI.search(text) is None:
        return text
    shown = []
    ends: list[str] = []  # the characters that close the open ones
    for character in text:
        if character in _EMBED:
            ends.append(_POP_EMBED)
        elif character in _ISOLATE:
            ends.append(_POP_ISOLATE)
        elif character == _POP_EMBED:
            if not ends or ends[-1] != _POP_EMBED:
                continue
            ends.pop()
        elif character == _POP_ISOLATE:
            if _POP_ISOLATE not in ends:
                continue
            while ends.pop() != _POP_ISOLATE:
                shown.append(_POP_EMBED)
        elif character in "\u2028\u2029":
            character = " "
        shown.append(character)
    return "".join((_FIRST_STRONG, *shown, *reversed(ends), _POP_ISOLATE))


def isolated_lines(text: str, between: str) -> str:
    """The lines of `text`, each `isolated`, with `between` in place of each LF."""
    return between.join(map(isolated, text.split("\n")))
