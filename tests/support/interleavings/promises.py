"""What must be true after a run, and whenever a transaction has been committed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from tests.support.interleavings.workload import BROKEN, Attempt

_SEQS = """
SELECT conversation_id, min(seq), max(seq), count(*), count(DISTINCT seq) FROM (
    SELECT conversation_id, seq FROM messages UNION ALL SELECT conversation_id, seq FROM changes
) AS entries GROUP BY conversation_id
HAVING min(seq) <> 1 OR max(seq) <> count(*) OR count(*) <> count(DISTINCT seq)
"""
_ORDER = """
SELECT conversation_id, seq, id FROM (
    SELECT conversation_id, seq, id, lag(id) OVER (PARTITION BY conversation_id ORDER BY seq) AS before
    FROM messages
) AS numbered WHERE before >= id
"""
_ENTRIES = """
SELECT conversation_id, seq, sender, 'said', number FROM messages UNION ALL
SELECT conversation_id, seq, author, data, number FROM changes WHERE kind = 'member'
"""
_NUMBERED = """
SELECT number, conversation_id, seq FROM messages WHERE number IS NOT NULL UNION ALL
SELECT number, conversation_id, seq FROM changes WHERE number IS NOT NULL
"""
GONE = ("kicked", "left")


def broken_now(control: Any) -> Iterator[str]:
    """Faults in the committed data, at any time."""
    for row in control.execute(_SEQS).fetchall():
        yield f"the entries of a log (conversation, first, last, count, different) are {row}"


class Promises:
    """Checks a database in which all `attempts` have ended."""

    def __init__(self, control: Any, attempts: Sequence[Attempt]) -> None:
        self._control = control
        self._attempts = attempts
        self._rows = {
            row[0]: row[1:]
            for row in self._read("SELECT id, conversation_id, seq, sender, text FROM messages")
        }

    def _read(self, statement: str) -> list[Any]:
        return list(self._control.execute(statement).fetchall())

    def broken(self) -> list[str]:
        checks = (
            broken_now(self._control),
            self._ids(),
            self._acknowledged(),
            self._once(),
            self._refused(),
            self._directs(),
            self._logs(),
            self._parcels(),
            self._leases(),
        )
        return [problem for check in checks for problem in check]

    def _ids(self) -> Iterator[str]:
        for row in self._read(_ORDER):
            yield f"the id (conversation, seq, id) is not higher than the one before: {row}"

    def _acknowledged(self) -> Iterator[str]:
        """Each acknowledged message is stored, at the acknowledged place."""
        for attempt in self._attempts:
            receipt = attempt.receipt
            if receipt is None:
                continue
            conversation, seq, sender, text = self._rows.get(receipt.id, (0, 0, "", ""))
            if (conversation, seq, sender) != (receipt.conversation, receipt.seq, attempt.sender):
                yield f"lost: {attempt}; found {conversation, seq, sender, text}"
            elif text is not None and text.removesuffix(" edited") != attempt.text:
                yield f"{attempt} has another text: {text}"

    def _once(self) -> Iterator[str]:
        """Nothing is stored twice, and all sends of one key have one place."""
        by_id = {each.receipt.id: each.text for each in self._attempts if each.receipt is not None}
        texts = Counter(
            by_id.get(ident, "") if text is None else text.removesuffix(" edited")
            for ident, (_, _, _, text) in self._rows.items()
        )
        yield from (f"stored {count} times: {text}" for text, count in texts.items() if count > 1)
        places = defaultdict(set)
        for each in self._attempts:
            if each.receipt is not None:
                places[each.text].add((each.receipt.conversation, each.receipt.seq))
        yield from (f"{text} has the places {at}" for text, at in places.items() if len(at) > 1)

    def _refused(self) -> Iterator[str]:
        """A refused message is not stored, unless another send with its key was accepted or is in doubt."""
        accepted = {
            each.text for each in self._attempts if each.receipt is not None or each.in_doubt
        }
        stored = {text.removesuffix(" edited") for *_, text in self._rows.values() if text}
        for attempt in self._attempts:
            if attempt.text in stored and attempt.text not in accepted:
                yield f"stored, but refused: {attempt}"

    def _directs(self) -> Iterator[str]:
        """Two people have one conversation."""
        found = self._read(
            "SELECT account_id, peer_key, count(*) FROM participants WHERE peer_key IS NOT NULL "
            "GROUP BY account_id, peer_key HAVING count(*) > 1"
        )
        yield from (f"several conversations: {row}" for row in found)

    def _logs(self) -> Iterator[str]:
        """Only members write to a group, and the log tells who the members are."""
        groups = dict(self._read("SELECT conversation_id, name FROM groups"))
        members: dict[int, set[str]] = {group: set() for group in groups}
        for group, seq, who, data, _ in sorted(self._read(_ENTRIES), key=lambda row: row[:2]):
            if group not in groups:
                continue
            if data == "said":
                if who not in members[group]:
                    yield f"{who} has written to {groups[group]} as {seq}, and is no member"
                continue
            fact = msgspec.json.decode(data)
            if fact["what"] == "joined":
                members[group].add(fact["who"])
            elif fact["what"] in GONE:
                members[group].discard(fact["who"])
        now = self._read(
            "SELECT conversation_id, name FROM participants JOIN accounts ON id = account_id"
        )
        for group, name in groups.items():
            found = {who for place, who in now if place == group}
            logged = {who for who in members[group] if "@" not in who}
            if found != logged:
                yield f"the members of {name} are {found}, and in the log {logged}"

    def _parcels(self) -> Iterator[str]:
        """Each entry that crosses has a number of its own, and its parcel waits. In a conversation, the
        numbers agree with the seqs."""
        rows = self._read(_NUMBERED)
        numbers = Counter(number for number, *_ in rows)
        yield from (f"the number {each} is used {n} times" for each, n in numbers.items() if n > 1)
        waiting = [number for (number,) in self._read("SELECT id FROM outbox")]
        missing = set(numbers) - set(waiting)
        if missing:
            yield f"no parcels wait for {missing}"
        last: dict[int, int] = {}
        for conversation, _, number in sorted((place, seq, number) for number, place, seq in rows):
            if number <= last.get(conversation, 0):
                yield f"the number {number} in {conversation} is not higher than the one before"
            last[conversation] = number

    def _leases(self) -> Iterator[str]:
        found = self._read(f"SELECT value FROM settings WHERE name = '{BROKEN}'")  # noqa: S608 - a constant
        yield from (f"something was changed under the lost epoch {epoch}" for (epoch,) in found)
