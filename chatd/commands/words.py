"""The command that a typed word stands for, or a similar one for a word that is none."""

from __future__ import annotations

from chatd.base.errors import UnknownCommand
from chatd.base.names import printable
from chatd.commands.rows import Row
from chatd.commands.table import BY_VERB

# Words that people try, and that are ambiguous or mean something else in one of the clients.
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
MIN_NEAR, MAX_NEAR = 3, 24  # most characters of a misspelt verb


def _without_one(word: str) -> set[str]:
    """The word, and the word without any one of its characters. Two words share one of these if they differ
    by one character, or by two exchanged ones."""
    return {word, *(word[:at] + word[at + 1 :] for at in range(len(word)))}


_NEAR: dict[str, str] = {}
for _verb in BY_VERB:
    if len(_verb) >= MIN_NEAR:
        for _part in _without_one(_verb):
            _NEAR.setdefault(_part, _verb)


def nearest(word: str) -> str | None:
    """The verb that a misspelt word most likely stands for."""
    if word in MEANT:
        return MEANT[word]
    if not MIN_NEAR <= len(word) <= MAX_NEAR or not word.isascii() or not word.isprintable():
        return None
    for part in sorted(_without_one(word), key=len, reverse=True):
        if part in _NEAR:
            return _NEAR[part]
    begun = {row.verb for verb, row in BY_VERB.items() if verb.startswith(word)}
    return begun.pop() if len(begun) == 1 else None


def row_of(word: str) -> Row:
    """The row of a verb or an alias, in whatever case. Raises UnknownCommand, with the nearest verb."""
    row = BY_VERB.get(word) or BY_VERB.get(word.lower())
    if row is not None:
        return row
    near = nearest(word.lower())
    if near is None:
        raise UnknownCommand(verb=printable(word))
    advice = f"did you mean {near}? help lists all commands"
    raise UnknownCommand(verb=printable(word), advice=advice)
