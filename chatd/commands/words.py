"""Finds the command for a typed word, or suggests a similar one."""

from __future__ import annotations

from chatd.base.errors import UnknownCommand
from chatd.base.names import printable
from chatd.commands.rows import Row
from chatd.commands.table import BY_VERB

# Words that users try, with the verb to suggest. They are no aliases, since some clients use them
# differently.
MEANT = {
    "list": "groups",
    "channels": "groups",
    "create": "addgroup",
    "chat": "send",
    "message": "send",
    "write": "send",
    "post": "sendgroup",
    "upload": "sendfile",
    "download": "getfile",
    "nick": "profile",
    "whois": "users",
}
# The words that begin verbs of several words, and how many words these have at most
FIRST_WORDS = frozenset(verb.partition(".")[0] for verb in BY_VERB if "." in verb)
MOST_WORDS = max(verb.count(".") for verb in BY_VERB) + 1
MIN_NEAR, MAX_NEAR = 3, 24  # lengths of a word that gets a suggestion


def _without_one(word: str) -> set[str]:
    """The word itself, and with each one character removed. Two words share one of these if they differ by
    one character or by two swapped ones."""
    return {word, *(word[:at] + word[at + 1 :] for at in range(len(word)))}


_NEAR: dict[str, str] = {}
for _verb in BY_VERB:
    if len(_verb) >= MIN_NEAR:
        for _part in _without_one(_verb):
            _NEAR.setdefault(_part, _verb)


def nearest(word: str) -> str | None:
    """The verb that a misspelt word most likely means, or None."""
    if word in MEANT:
        return MEANT[word]
    if not MIN_NEAR <= len(word) <= MAX_NEAR or not word.isascii() or not word.isprintable():
        return None
    for part in sorted(_without_one(word), key=len, reverse=True):
        if part in _NEAR:
            return _NEAR[part]
    begun = {row.verb for verb, row in BY_VERB.items() if verb.startswith(word)}
    return begun.pop() if len(begun) == 1 else None


def in_words(verb: str) -> str:
    """A verb as it is written in a line."""
    return verb.replace(".", " ") if verb.partition(".")[0] in FIRST_WORDS else verb


def find_row(line: str) -> tuple[Row, str]:
    """The row of the verb that begins `line`, and the rest of the line. A slash before the verb, as in IRC,
    is ignored. Raises UnknownCommand with a suggestion."""
    verb, _, rest = line.partition(" ")
    row = BY_VERB.get(verb)
    if row is not None:
        return row, rest
    verb = verb.removeprefix("/")
    if verb.lower() not in FIRST_WORDS:
        return row_of(verb), rest
    words, found = [verb.lower()], None
    while (rest := rest.lstrip(" ")) and len(words) < MOST_WORDS:
        word, _, rest = rest.partition(" ")
        words.append(word.lower())
        if row := BY_VERB.get(".".join(words)):
            found = row, rest
    return found or (row_of(".".join(words)), "")


def row_of(word: str) -> Row:
    """The row of a verb or an alias, ignoring case. Raises UnknownCommand with a suggestion."""
    row = BY_VERB.get(word) or BY_VERB.get(word.lower())
    if row is not None:
        return row
    near = nearest(word.lower())
    shown = printable(in_words(word))
    if near is None:
        raise UnknownCommand(verb=shown)
    advice = f"did you mean {in_words(near)}? help lists all commands"
    raise UnknownCommand(verb=shown, advice=advice)
