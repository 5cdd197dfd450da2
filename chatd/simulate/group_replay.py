"""What the log of a group says about who was entitled to what, computed without the code that decides it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from chatd.simulate.records import Violation, require
from chatd.store.schema import changes, messages


class LoggedEntry(msgspec.Struct, frozen=True):
    """An entry as the group's home has it. `kind` is `message`, or that of the change."""

    seq: int
    kind: str
    author: str
    target: int | None = None
    text: str | None = None
    data: dict[str, Any] = {}

    def is_about(self, what: str) -> bool:
        return self.kind == "member" and self.data["what"] == what


class Stay(msgspec.Struct):
    """A membership: from the entry `since` to the entry `until`, if it has ended. The member sees the entries
    from `first` on."""

    since: int
    first: int
    until: int | None = None

    def sees(self, seq: int, target: int | None = None) -> bool:
        return seq >= self.first and (target is None or target >= self.first)

    def hears(self, seq: int, target: int | None = None) -> bool:
        """Whether the member may be told of the entry. One who sees the whole past may also be told of
        entries that were written just before they joined."""
        ended = self.until is not None and seq > self.until
        return not ended and self.sees(seq, target)


def log_of(connection: sa.Connection, conversation: int) -> list[LoggedEntry]:
    """The log of a conversation, in order."""
    written = sa.select(messages.c.seq, messages.c.sender, messages.c.text).where(
        messages.c.conversation_id == conversation
    )
    made = sa.select(
        changes.c.seq, changes.c.kind, changes.c.author, changes.c.target, changes.c.data
    ).where(changes.c.conversation_id == conversation)
    found = [
        LoggedEntry(row.seq, "message", row.sender, text=row.text)
        for row in connection.execute(written)
    ]
    found += [
        LoggedEntry(row.seq, row.kind, row.author, row.target, data=json.loads(row.data or "{}"))
        for row in connection.execute(made)
    ]
    return sorted(found, key=lambda entry: entry.seq)


class GroupReplay:
    """The log of a group, replayed. People are addresses as the home writes them. `homes` has the former
    homes: for each the last seq that it has given, and its realm, which is empty if it is the present home
    too.

    `stays` has all memberships of each person, `admins` the admins in the end, and `unauthorized` the entries
    whose authors had no right to them.
    """

    def __init__(
        self,
        log: list[LoggedEntry],
        creator: str,
        *,
        private: bool,
        homes: Sequence[tuple[int, str]] = (),
    ) -> None:
        self.log = log
        self.stays: dict[str, list[Stay]] = {}
        self.admins: set[str] = set()
        self.unauthorized: list[LoggedEntry] = []
        self.private = private
        self.past = "joined" if private else "all"
        self.open = True  # while the group is public
        self._creator = creator
        self._homes = homes
        self._authors = {entry.seq: entry.author for entry in log if entry.kind == "message"}
        for entry in log:
            if not self._has_right(entry):
                self.unauthorized.append(entry)
            if entry.kind == "member":
                self._move(entry)
            elif entry.kind == "group":
                self._set(entry.data)

    def stay(self, who: str) -> Stay | None:
        """The present membership of a person."""
        stays = self.stays.get(who)
        return stays[-1] if stays and stays[-1].until is None else None

    def members(self) -> Iterator[tuple[str, Stay]]:
        for who in self.stays:
            stay = self.stay(who)
            if stay is not None:
                yield who, stay

    def is_for(self, realm: str, entry: LoggedEntry) -> bool:
        """Whether a person of another realm was ever entitled to the entry."""
        return any(
            stay.sees(entry.seq) and (stay.until is None or entry.seq <= stay.until)
            for who, stays in self.stays.items()
            if who.endswith(f"@{realm}")
            for stay in stays
        )

    def _has_right(self, entry: LoggedEntry) -> bool:
        author = entry.author
        if author.partition("@")[0] == "system":  # of the home then
            return True
        if entry.kind == "group" or entry.kind == "pinned":
            return author in self.admins
        if entry.kind == "member":
            who = entry.data["who"]
            if entry.data["what"] in ("joined", "left", "ended") and who == author:
                return True
            return author in self.admins
        if entry.kind == "deleted" and self._authors.get(entry.target or 0) == author:
            return True  # also after they have left
        may_write = entry.kind == "message" and self._is_guest(entry)
        return (may_write and self.open and not self.private) or self.stay(author) is not None

    def _is_guest(self, entry: LoggedEntry) -> bool:
        """Whether the author is of another realm than the home that the group had then."""
        home = next((realm for last, realm in self._homes if entry.seq <= last), "")
        return entry.author.partition("@")[2] != home

    def _move(self, entry: LoggedEntry) -> None:
        who, what = entry.data["who"], entry.data["what"]
        stay = self.stay(who)
        match what:
            case "joined":
                require(stay is None, "nobody joins twice", who)
                created = entry.seq == 1 and who == self._creator
                first = 0 if created or self.past == "all" else entry.seq
                self.stays.setdefault(who, []).append(Stay(entry.seq, first))
                if created:
                    self.admins.add(who)
            case "left" | "kicked":
                if stay is None:
                    raise Violation(f"nobody is removed twice: {who}")
                stay.until = entry.seq
                self.admins.discard(who)
            case "promoted":
                self.admins.add(who)
            case "demoted":
                self.admins.discard(who)

    def _set(self, fields: dict[str, Any]) -> None:
        if "visibility" in fields:
            self.private = fields["visibility"] == "private"
        if "past" in fields:
            self.past = fields["past"]
        if "post" in fields:
            self.open = fields["post"] == "anyone"
