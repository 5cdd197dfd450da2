"""Converts text to roff, the language of man pages, with the few man(7) macros that the pages need."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def escaped(text: str) -> str:
    """Plain text in which no character has a meaning to roff."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    return re.sub(r"^\.", r"\\&.", text, flags=re.MULTILINE)


def inline(text: str) -> str:
    """Text with Markdown's `code`, **bold** and [links](url). Links lose their addresses."""
    text = re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", text).replace("\\|", "|")
    parts = re.split(r"`([^`]+)`|\*\*([^*]+)\*\*", text)
    found = []
    for index, part in enumerate(parts):
        if part:
            found.append(escaped(part) if index % 3 == 0 else bold(part))
    return "".join(found)


def bold(text: str) -> str:
    return f"\\fB{escaped(text)}\\fP"


def italic(text: str) -> str:
    return f"\\fI{escaped(text)}\\fP"


def title(name: str, section: int, date: str, source: str, purpose: str) -> list[str]:
    """The head of a page: the title line and the section NAME."""
    head = f'.TH {name.upper()} {section} "{date}" "{source}"'
    return [head, ".SH NAME", f"{escaped(name)} \\- {escaped(purpose)}"]


def section(name: str, *lines: str) -> list[str]:
    return [f".SH {escaped(name)}", *lines]


def paragraph(text: str) -> list[str]:
    return [".PP", inline(text)]


def entry(terms: Sequence[str], *paragraphs: str) -> list[str]:
    """A term, or several that share a description. Terms are roff already; paragraphs are Markdown."""
    first, *others = terms
    lines = [".TP", first]
    for term in others:
        lines += [".TQ", term]
    body, *rest = paragraphs or ("",)
    lines.append(inline(body) or "\\&")
    for text in rest:
        lines += [".IP", inline(text)]
    return lines


def example(lines: Iterable[str]) -> list[str]:
    """Lines that keep their indentation and line breaks."""
    return [".RS 4", ".EX", *(escaped(line) for line in lines), ".EE", ".RE"]
