"""Translations of the client's texts: gettext catalogues, read from their .po files.

`tr` translates a sentence of the client. `said` and `refused` translate the English sentences of the realm:
those of successful commands by the whole sentence or by verb, those of errors by code. Untranslated text is
shown unchanged.
"""

from __future__ import annotations

import gettext
import io
import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from chatd.base.attachments import LOSSES
from chatd.base.errors import ChatError, every_error

LANGUAGES = ("en", "id")
REPLY = "reply"
WAITING = ("queued", "requested")  # states of sent messages that the realm's sentence tells


def later(sentence: str) -> str:
    """Mark a sentence for the catalogue; it is translated where it is used."""
    return sentence


# Parts of refusals that are sentences themselves, by the name of the detail.
_PARTS: Mapping[str, tuple[str, ...]] = {
    "advice": (
        later("did you mean {near}? help lists all commands"),
        later("roomfiles lists them"),
    ),
    "reason": (
        later("{verb} takes no argument"),
        later("Too many arguments"),
        later("{name} is missing"),
        later("it has invisible characters; leave them out"),
        later("it has characters that stand for several others; write those instead"),
        later(
            "it mixes scripts; use letters of one script, or of Latin with Chinese, Japanese or Korean"
        ),
    ),
    "expected": (
        later("a whole number, {minimum} or more"),
        later("a TCP port, 1 to 65535"),
        later("on or off"),
        later("on, all or off"),
    ),
}

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
        return message  # the realm's sentence has information that the catalogue lacks
    try:
        return found.format_map({**reply, **details})
    except (KeyError, IndexError, ValueError):
        return message


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
    for sentence in _PARTS.get(name, ()):
        if found := _pattern(sentence).fullmatch(text):
            return _catalogue.gettext(sentence).format_map(found.groupdict())
    return text


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
        sentences = [error.sentence.format_map({**defaults, **error.defaults}), error.sentence]
        found[error.code] = tuple((each, _pattern(each)) for each in dict.fromkeys(sentences))
    return found


def _fields(sentence: str) -> list[str]:
    return re.findall(r"\{(\w+)\}", sentence)


def _pattern(sentence: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", sentence)
    seen: set[str] = set()
    pattern = ""
    for at, part in enumerate(parts):
        if at % 2 == 0:
            pattern += re.escape(part)
        elif part in seen:
            pattern += f"(?P={part})"
        else:
            seen.add(part)
            pattern += f"(?P<{part}>.+?)"
    return re.compile(pattern, re.DOTALL)
