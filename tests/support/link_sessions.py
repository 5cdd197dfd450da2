"""Writes the boxes of a link as lines that people can follow: what is secret or random has a name instead."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable
from typing import Any

import msgspec

WIDTH = 118
UNBROKEN = "\N{NO-BREAK SPACE}"
PACKED = {"parcels", "verdicts", "keys", "standing", "entry", "states", "members", "result"}
TEXTS = {"capabilities", "users"}
RANDOM = {"instance"}
TIMES = range(10**12, 10**13)  # milliseconds
FIRST_NUMBER = 1 << 40  # numbers of parcels are higher, and other integers lower
HEAD = ("_command", "_answer", "_error", "_ask", "_error_code")


class SessionWriter:
    """Numbers are shown as n1, n2 …, in the order of their appearance; times as t."""

    def __init__(self) -> None:
        self._numbers: dict[int, str] = {}

    def write(self, boxes: Iterable[tuple[str, dict[bytes, bytes]]]) -> str:
        """The lines of boxes: who sends each, and its pairs."""
        return "".join(f"{self._box(who, box)}\n" for who, box in boxes)

    def _box(self, who: str, box: dict[bytes, bytes]) -> str:
        pairs = {key.decode(): value for key, value in box.items()}
        head = [f"{key}={pairs.pop(key).decode()}" for key in HEAD if key in pairs]
        lines = [f"{who}> {' '.join(head)}"]
        for key, value in sorted(pairs.items()):
            shown = f"{key} = {self._value(key, value)}"
            lines += textwrap.wrap(
                shown, WIDTH, initial_indent="    ", subsequent_indent="        ",
                break_long_words=False, break_on_hyphens=False,
            )  # fmt: skip
        return "\n".join(lines).replace(UNBROKEN, " ")

    def _value(self, key: str, value: bytes) -> str:
        if key in RANDOM:
            return self._bytes(value)
        if key in TEXTS:
            return self._shown(_texts(value))
        if key in PACKED:
            return self._shown(msgspec.msgpack.decode(value)) if value else "(empty)"
        if value.isdigit():
            return self._shown(int(value))
        return value.decode()

    def _shown(self, value: Any) -> str:
        match value:
            case bool() | None:
                return json.dumps(value).replace("null", "nil")
            case int() if value in TIMES:
                return "t"
            case int() if value >= FIRST_NUMBER:
                return self._numbers.setdefault(value, f"n{len(self._numbers) + 1}")
            case int():
                return str(value)
            case str():
                return json.dumps(value, ensure_ascii=False)
            case bytes():
                return self._bytes(value)
            case list() if _is_entry(value):
                statement, proof, salt, attributes, body = value
                said = self._shown(msgspec.msgpack.decode(statement))
                what = self._shown(msgspec.msgpack.decode(attributes)) if attributes else "(empty)"
                words = json.dumps(body.decode(), ensure_ascii=False) if body else "(empty)"
                return (
                    f"[statement {said}, proof {self._shown(proof)}, salt {self._bytes(salt)}, "
                    f"attributes {what}, body {words}]"
                )
            case list():
                return f"[{', '.join(map(self._shown, value))}]"
            case dict():
                pairs = sorted(value.items())
                shown = (f"{self._shown(key)}: {self._shown(each)}" for key, each in pairs)
                return f"{{{', '.join(shown)}}}"
        raise TypeError(value)

    def _bytes(self, value: bytes) -> str:
        return f"<{len(value)}{UNBROKEN}bytes>" if value else "(empty)"


def without_questions(
    boxes: Iterable[tuple[str, dict[bytes, bytes]]], command: bytes
) -> list[tuple[str, dict[bytes, bytes]]]:
    """The boxes without the questions of one command, which come at any time, and without their answers. The
    other questions are numbered as if there were none of these."""
    tags: dict[tuple[str, bytes], bytes | None] = {}  # who asks, its tag -> the new tag
    left = []
    for who, box in boxes:
        found = dict(box)
        if (tag := box.get(b"_ask")) is not None:
            count = sum(1 for asked, new in tags.items() if asked[0] == who and new is not None)
            kept = box[b"_command"] != command
            tags[who, tag] = b"%x" % (count + 1) if kept else None
            if not kept:
                continue
            found[b"_ask"] = tags[who, tag] or tag
        for key in (b"_answer", b"_error"):
            if key in box:
                [new] = [tags[each] for each in tags if each[0] != who and each[1] == box[key]]
                if new is None:
                    break
                found[key] = new
        else:
            left.append((who, found))
    return left


def _texts(data: bytes) -> list[str]:
    found = []
    while data:
        end = 2 + int.from_bytes(data[:2], "big")
        found.append(data[2:end].decode())
        data = data[end:]
    return found


def _is_entry(value: list[Any]) -> bool:
    return (
        len(value) == 5
        and isinstance(value[0], bytes)
        and isinstance(value[1], list)
        and value[0][:1] == b"\x9a"
    )
