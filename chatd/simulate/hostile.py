"""A hostile realm: a real one, whose boxes somebody changes before they reach the other realms.

So it has people, groups and links, its certificate is its own, and what it signs is signed. But it repeats,
reorders, moves, invents and withholds parcels, answers and entries, lies in Hello and after restores, and
floods. What it changes may be anything that can be encoded.
"""

from __future__ import annotations

from collections import deque
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from chatd.simulate.connections import FakeConnection
    from chatd.simulate.trace import Trace

PARCELS = ("Deliver", "Return")
HABITS = (
    *("repeat", "reorder", "withhold", "replay", "alter"),
    *("lie", "silence", "garbage", "ask", "flood"),
)
MOST = 30  # boxes in a flood
KEPT = 200  # parcels that are kept for a replay
INVENTED = b"x"  # the beginning of the tags of requests that the realm has not made itself
PICTURES = (b"picture", b"body")  # are decoded in a process, which a simulation does not have
MAX_VALUE = 0xFFFF  # bytes of a value in a box
ODD: tuple[Any, ...] = (
    *(None, True, False, "", b"", [], {}, "ana", "budi", "citra", "realm1", "realm2", "realm3"),
    *("ana@realm1", "budi@realm2", "#", "@", "@all", "joined", "kicked", "promoted", "bagan"),
    *(-1, 0, 1, 5, 2**31, 2**53, 2**53 - 1, 2**63 - 1, 2**64 - 1, 1.5, "x" * 5000, b"\xff" * 40),
    *("\x00", "\u202e", "9" * 40, [1, 2], {"what": "joined"}),
)

Box = dict[bytes, bytes]


class HostileRealm:
    """What the realm `name` does to the boxes that it sends. `habits` are its ways; without any it is
    honest."""

    def __init__(self, name: str, random: Random, trace: Trace) -> None:
        self.name = name
        self.habits: set[str] = set()
        self._random = random
        self._trace = trace
        self._seen: deque[Any] = deque(maxlen=KEPT)  # parcels and entries that went to anybody
        self._invented = 0

    def turn(self) -> None:
        """Change the habits."""
        some = self._random.sample(HABITS, self._random.choice((1, 2, 4)))
        self.habits = set(some) - self.habits or set(some)
        self._trace.say(f"{self.name} begins to {', '.join(sorted(self.habits))}")

    def meet(self, connection: FakeConnection, near: str, far: str) -> None:
        """Change what the realm sends over a connection of the realms `near` and `far`."""
        for end, name in ((connection.near, near), (connection.far, far)):
            if name == self.name:
                end.change = self._change
                end.other.change = self._hide

    def _hide(self, _kind: str, box: Box, data: bytes) -> list[bytes]:
        """Keep answers to what was invented from the realm itself, which does not expect them."""
        tag = box.get(b"_answer", box.get(b"_error", b""))
        return [] if tag.startswith(INVENTED) else [data]

    def _change(self, kind: str, box: Box, data: bytes) -> list[bytes]:
        """What arrives in place of a box."""
        if kind in PARCELS:
            self._seen.extend(_decoded(box.get(b"parcels", b"\x90")) or [])
        if not self.habits or self._random.random() < 0.5:
            return [data]
        habit = self._random.choice(sorted(self.habits))
        changed: list[bytes] = getattr(self, f"_{habit}")(kind, dict(box), data)
        if changed != [data]:
            self._trace.say(f"{self.name}: {habit}, {kind}, {len(changed)} boxes")
        return changed

    # Parcels

    def _parcels(self, kind: str, box: Box, change: Any) -> list[bytes]:
        parcels = _decoded(box.get(b"parcels", b"")) if kind in PARCELS else None
        if not isinstance(parcels, list) or not parcels:
            return [_encoded(box)]
        changed = msgspec.msgpack.encode(change(parcels))
        if len(changed) <= MAX_VALUE:
            box[b"parcels"] = changed
        return [_encoded(box)]

    def _repeat(self, kind: str, box: Box, _data: bytes) -> list[bytes]:
        """Parcels come twice, also with other numbers."""

        def change(parcels: list[Any]) -> list[Any]:
            each = list(self._random.choice(parcels))
            if self._random.random() < 0.5:
                each[0] += self._random.choice((1, -1, 1000, 1 << 40))
            return [*parcels, each]

        return self._parcels(kind, box, change)

    def _reorder(self, kind: str, box: Box, _data: bytes) -> list[bytes]:
        def change(parcels: list[Any]) -> list[Any]:
            return self._random.sample(parcels, len(parcels))

        return self._parcels(kind, box, change)

    def _withhold(self, kind: str, box: Box, data: bytes) -> list[bytes]:
        """Parcels, or whole boxes, do not come."""
        if kind not in PARCELS:
            return [] if b"_ask" not in box and b"_command" in box else [data]
        return self._parcels(kind, box, lambda parcels: parcels[1:])

    def _replay(self, kind: str, box: Box, _data: bytes) -> list[bytes]:
        """Parcels of long ago, also those that went to others, and entries in other places."""

        def change(parcels: list[Any]) -> list[Any]:
            old = list(self._random.choice(self._seen))
            new = list(self._random.choice(parcels))
            if isinstance(new[1], list) and self._random.random() < 0.5:
                new[1] = self._mixed(new[1], old[1])
            else:
                new[1] = old[1]
            new[0] += self._random.choice((0, 1, 7, 1 << 30))
            return [*parcels, new]

        return self._parcels(kind, box, change) if self._seen else [_encoded(box)]

    def _mixed(self, one: list[Any], two: Any) -> list[Any]:
        """The parcel `one` with some fields of the other."""
        if not isinstance(two, list):
            return one
        return [
            two[at] if at < len(two) and self._random.random() < 0.5 else each
            for at, each in enumerate(one)
        ]

    # Anything

    def _alter(self, _kind: str, box: Box, _data: bytes) -> list[bytes]:
        """One thing in a box is different."""
        keys = sorted(key for key in box if not key.startswith(b"_") and key not in PICTURES)
        if not keys:
            return [_encoded(box)]
        key = self._random.choice(keys)
        value = _decoded(box[key])
        if isinstance(value, list | dict) and value:
            changed = msgspec.msgpack.encode(self._other(value))
        else:
            changed = str(self._random.choice(ODD)).encode("utf-8", "surrogatepass")
        if len(changed) <= MAX_VALUE:
            box[key] = changed
        return [_encoded(box)]

    def _other(self, value: Any) -> Any:
        """A value that differs in one place."""
        if isinstance(value, list) and value and self._random.random() < 0.9:
            at = self._random.randrange(len(value))
            return [*value[:at], self._other(value[at]), *value[at + 1 :]]
        if isinstance(value, dict) and value and self._random.random() < 0.9:
            key = self._random.choice(list(value))
            return {**value, key: self._other(value[key])}
        if isinstance(value, bytes) and value and self._random.random() < 0.7:
            inner = _decoded(value)
            if isinstance(inner, list | dict) and inner:
                return msgspec.msgpack.encode(self._other(inner))
            at = self._random.randrange(len(value))
            return value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]
        if isinstance(value, int) and self._random.random() < 0.5:
            return min(max(value + self._random.choice((-1, 1, 100)), -(2**63)), 2**64 - 1)
        return self._random.choice(ODD)

    def _lie(self, kind: str, box: Box, data: bytes) -> list[bytes]:
        """Wrong standings in Hello, wrong verdicts, wrong tails."""
        if not kind.startswith(("Hello", "Tails", "Guests", "Past", "Members")) and kind not in (
            "Deliver answer",
            "Return",
        ):
            return [data]
        if b"standing" in box:
            numbers = (0, 1, 2**40, 2**63 - 1, self._random.randrange(2**52))
            first = self._random.choice(numbers)
            gaps = [[1, first], [first, 2**62]][: self._random.randrange(3)]
            received, settled = self._random.choice(numbers), self._random.choice((0, first))
            box[b"standing"] = msgspec.msgpack.encode([received, first, settled, gaps])
            return [_encoded(box)]
        if kind == "Deliver answer":
            codes = ("", "unknown-user", "not-accepted", "bad-parcel", "too-much-arriving", "odd")
            code, seq = self._random.choice(codes), self._random.choice((0, 1, 2**52))
            verdict = [code, {"name": "ana", "limit": 1, "left": 0}, seq]
            box[b"verdicts"] = msgspec.msgpack.encode([verdict] * self._random.choice((1, 1, 2, 5)))
            return [_encoded(box)]
        return self._alter(kind, box, data)

    def _silence(self, kind: str, _box: Box, data: bytes) -> list[bytes]:
        """No answer comes."""
        return [] if kind.endswith(("answer", "error")) else [data]

    def _garbage(self, _kind: str, _box: Box, data: bytes) -> list[bytes]:
        """Bytes that are no box, seldom, because they end the link."""
        return [self._random.randbytes(40)] if self._random.random() < 0.05 else [data]

    def _ask(self, kind: str, box: Box, data: bytes) -> list[bytes]:
        """Ask once more, in the name of somebody else or about something else."""
        if b"_ask" not in box or kind == "Hello":
            return [data]
        (other,) = self._alter(kind, box | {b"_ask": self._tag()}, data)
        return [data, other]

    def _flood(self, kind: str, box: Box, data: bytes) -> list[bytes]:
        """The same request many times."""
        if b"_command" not in box or kind == "Hello":
            return [data]
        boxes = [data]
        for _ in range(self._random.randrange(MOST)):
            again = box | {b"_ask": self._tag()} if b"_ask" in box else box
            boxes.append(_encoded(again))
        return boxes

    def _tag(self) -> bytes:
        self._invented += 1
        return INVENTED + b"%d" % self._invented


def _decoded(data: bytes) -> Any:
    try:
        return msgspec.msgpack.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _encoded(box: Box) -> bytes:
    """The box, as AMP writes it."""
    parts = []
    for key, value in box.items():
        parts += [len(key).to_bytes(2), key, len(value).to_bytes(2), value]
    return b"".join((*parts, b"\0\0"))
