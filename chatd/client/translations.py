"""Translations of the client's texts: gettext catalogues, read from their .po files.

`tr` translates a sentence of the client. `said` and `refused` translate the English sentences of the realm:
those of successful commands by the whole sentence, by verb or with their details (chatd.client.sentences),
those of errors by code. Untranslated text is shown unchanged.
"""

from __future__ import annotations

import gettext
import io
import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from typing import Any

from chatd.base.attachments import LOSSES
from chatd.base.errors import ChatError, every_error
from chatd.client.sentences import MORE, PARTS, SUCCESSES, later

__all__ = ["later"]

LANGUAGES = ("en", "id")
REPLY = "reply"
WAITING = ("queued", "requested")  # states of sent messages that the realm's sentence tells


_NUMBERS = ("n", "m", "more")  # details that are numbers
# Details that follow another one immediately, and may be missing
_SHAPES = {"until": r"(?: until \S+)?(?: \(.+\))?"}
_WORDS = re.compile(r"([\w:-]+(?:, [\w:-]+)*) or ([\w:-]+)")

_catalogue: gettext.NullTranslations = gettext.NullTranslations()


def use(language: str) -> None:
    """Switch to `language`."""
    global _catalogue
    _catalogue = _load(language)


def _load(language: str) -> gettext.NullTranslations:
    # Reading the .po file directly avoids a compile step when the package is installed.
    from babel.messages import mofile, pofile

    path = resources.files("chatd.client") / "locale" / language / "LC_MESSAGES" / "chatd-client.po"
    compiled = io.BytesIO()
    with path.open("rb") as source:
        mofile.write_mo(compiled, pofile.read_po(source))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


def tr(sentence: str, **details: object) -> str:
    found = _catalogue.gettext(sentence)
    return found.format_map(details) if details else found


def trn(one: str, many: str, n: int, **details: object) -> str:
    return _catalogue.ngettext(one, many, n).format_map({"n": n, **details})


def trc(context: str, sentence: str) -> str:
    """Like `tr`, for a sentence whose translation depends on `context`."""
    return _catalogue.pgettext(context, sentence)


def said(verb: str, reply: Mapping[str, Any], details: Mapping[str, object]) -> str:
    """The sentence for a successful command. `details`: the user's arguments, by name."""
    message = str(reply.get("message", ""))
    if message and (whole := _catalogue.gettext(message)) != message:
        return whole
    found = _catalogue.pgettext(REPLY, verb)
    waits = any(each.get("state") in WAITING for each in (reply, *reply.get("sent", ())))
    if found == verb or waits or reply.get("unknown"):
        return _of_realm(message)  # it has information that the other sentence lacks
    try:
        return found.format_map({**reply, **details})
    except (KeyError, IndexError, ValueError):
        return _of_realm(message)


def _of_realm(message: str) -> str:
    """The translation of a sentence with details, or the sentence itself if there is none."""
    if more := _pattern(MORE).fullmatch(message):
        details = {"list": _of_realm(more["list"]), "more": more["more"]}
        return _catalogue.gettext(MORE).format_map(details)
    return _filled(SUCCESSES, message)


def _filled(sentences: Iterable[str], text: str) -> str:
    """The translation of the first of these sentences that `text` is with its details; else the text."""
    for sentence in sentences:
        translated = _catalogue.gettext(sentence)
        if translated != sentence and (found := _pattern(sentence).fullmatch(text)):
            return translated.format_map(found.groupdict())
    return text


def refused(code: str, message: str) -> str:
    """The translation of a refusal's sentence, or the realm's own sentence if there is none."""
    for sentence, pattern in _patterns().get(code, ()):
        translated = _catalogue.gettext(sentence)
        if translated != sentence and (found := pattern.fullmatch(message)):
            details = {name: _part(name, text) for name, text in found.groupdict().items()}
            return translated.format_map(details)
    return message


def _part(name: str, text: str) -> str:
    """The translation of one detail of a refusal."""
    found = _filled(PARTS.get(name, ()), text)
    if name == "expected" and found == text and (words := _WORDS.fullmatch(text)):
        return tr("{words} or {last}", words=words[1], last=words[2])
    return found


def loss(reason: str) -> str:
    """The translation of the reason for which a file is lost."""
    return _catalogue.gettext(reason) if reason in LOSSES.values() else reason


def of_error(error: ChatError) -> str:
    """The translated sentence of an error that the client raised itself."""
    return refused(error.code, str(error))


@cache
def _patterns() -> Mapping[str, tuple[tuple[str, re.Pattern[str]], ...]]:
    """By code: each sentence, with a pattern that extracts the details from a filled-in sentence."""
    found: dict[str, tuple[tuple[str, re.Pattern[str]], ...]] = {}
    for error in every_error():
        defaults = {name: f"{{{name}}}" for name in _fields(error.sentence)}
        given = {name: text for name, text in error.defaults.items() if name not in _SHAPES}
        sentences = [error.sentence.format_map({**defaults, **given}), error.sentence]
        found[error.code] = tuple((each, _pattern(each)) for each in dict.fromkeys(sentences))
    return found


def _fields(sentence: str) -> list[str]:
    return re.findall(r"\{(\w+)\}", sentence)


@cache
def _pattern(sentence: str) -> re.Pattern[str]:
    """What matches a sentence with its details."""
    parts = re.split(r"\{(\w+)\}", sentence)
    seen: set[str] = set()
    pattern = ""
    for at, part in enumerate(parts):
        if at % 2 == 0:
            # After a number, a noun may be in the singular.
            counted = at > 0 and parts[at - 1] in _NUMBERS
            escaped = re.escape(part)
            pattern += re.sub(r"s(?=\\ |$)", "s?", escaped, count=1) if counted else escaped
        elif part in _NUMBERS:
            pattern += f"(?P<{part}>[0-9]+)"
        elif part in seen:
            pattern += f"(?P={part})"
        elif part in _SHAPES:
            pattern += f"(?P<{part}>{_SHAPES[part]})"
        else:
            seen.add(part)
            pattern += f"(?P<{part}>.+?)"
    return re.compile(pattern, re.DOTALL)
