"""What changes in a conversation without an entry: states of messages and files, read marks, and whether a
message is verified.

Each such change raises the `version` of its conversation. `sync` reports what changed since a version. What
an account changes for all of its conversations gets a version above those of all. Jobs and queries for the
Database.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from enum import StrEnum
from typing import Any, NamedTuple

import sqlalchemy as sa

from chatd.store.driver import execute_many
from chatd.store.engine import placeholder
from chatd.store.prepared import prepared
from chatd.store.schema import heads, local_changes, privacy

VERSION_BITS = 10  # of a version: its place in the term, which it may exceed as a number may
MAX_CACHED = 100_000  # conversations
STATES = 64  # messages whose states have one subject, so that few rows are kept


class Kind(StrEnum):
    """A kind of change, as the table names it."""

    STATE = "state"
    FILE = "file"
    MARK = "mark"
    TRUST = "trust"


class Subject(NamedTuple):
    """What has changed. `name` is a seq, or an address without case."""

    conversation: int
    kind: Kind
    name: str


def first_of(term: int) -> int:
    """The version that stands for the beginning of a term. No change has it."""
    return term << VERSION_BITS


def term_of(version: int) -> int:
    """The term in which a version was given."""
    return version >> VERSION_BITS


def state_of(conversation: int, seq: int) -> Subject:
    """The subject of the delivery of a message: the first seq of the STATES messages that share it."""
    return Subject(conversation, Kind.STATE, str(seq - seq % STATES))


def states_of(places: Iterable[tuple[int, int]]) -> set[Subject]:
    """As `state_of`, for many messages of few conversations: each has a conversation and a seq."""
    firsts = {(conversation, seq - seq % STATES) for conversation, seq in places}
    return {state_of(*first) for first in firsts}


class VersionWriter:
    """Raises versions, in the writer's thread. `term` returns the term of this start. Versions begin with it,
    so that they grow after a restore of a backup too."""

    def __init__(self, term: Callable[[sa.Connection], int]) -> None:
        self._term = term
        self._last: dict[int, int] = {}
        self._switched: int | None = None  # the last version for all; None as `_top`
        self._top: int | None = None  # the highest version of all; None if it was not looked up

    def forget(self) -> None:
        """Drop the cache: after a rollback it may be ahead of the database."""
        self._last.clear()

    def renew(self) -> None:
        """Drop the cache, and what was looked up once: other nodes may have raised versions since."""
        self._last.clear()
        self._switched = self._top = None

    def note(self, connection: sa.Connection, subjects: Collection[Subject]) -> None:
        """Raise the versions of the conversations of `subjects`, and keep what has changed with them."""
        if not subjects:
            return
        floor = self._above(connection)
        raised: dict[int, int] = {}
        for conversation in {subject.conversation for subject in subjects}:
            raised[conversation] = max(self._version(connection, conversation), floor) + 1
        mark = placeholder(connection)
        execute_many(
            connection,
            f"INSERT INTO heads (conversation_id, version) VALUES ({mark}, {mark}) "  # noqa: S608
            "ON CONFLICT (conversation_id) DO UPDATE SET version = excluded.version",
            list(raised.items()),
        )
        execute_many(
            connection,
            "INSERT INTO local_changes (conversation_id, kind, subject, version) "  # noqa: S608
            f"VALUES ({mark}, {mark}, {mark}, {mark}) "
            "ON CONFLICT (conversation_id, kind, subject) DO UPDATE SET version = excluded.version",
            [(*subject, raised[subject.conversation]) for subject in set(subjects)],
        )
        self._last.update(raised)
        if self._top is not None:
            self._top = max(self._top, *raised.values())

    def raise_all(self, connection: sa.Connection) -> int:
        """Return a version above those of all conversations. Later changes get higher ones."""
        if self._top is None:
            self._top = connection.scalar(sa.select(sa.func.max(heads.c.version))) or 0
        self._top = self._switched = max(self._top, self._above(connection)) + 1
        return self._top

    def _above(self, connection: sa.Connection) -> int:
        """New versions are above this one."""
        if self._switched is None:
            self._switched = connection.scalar(sa.select(sa.func.max(privacy.c.version))) or 0
        return max(self._switched, first_of(self._term(connection)))

    def _version(self, connection: sa.Connection, conversation: int) -> int:
        found = self._last.get(conversation)
        if found is None:
            if len(self._last) >= MAX_CACHED:
                self._last.clear()
            found = self._last[conversation] = version_of(connection, conversation)
        return found


def version_of(connection: sa.Connection, conversation: int) -> int:
    """Return the version of a conversation: 0 before the first change."""
    return connection.scalar(*_version(conversation)) or 0


@prepared
def _version(conversation: Any) -> sa.Select[Any]:
    return sa.select(heads.c.version).where(heads.c.conversation_id == conversation)


def changed_between(
    connection: sa.Connection, conversation: int, kind: Kind, after: int, upto: int
) -> set[str]:
    """Return the names of the subjects of a kind that changed after the version `after`, and up to `upto`."""
    found = connection.scalars(
        sa.select(local_changes.c.subject).where(
            local_changes.c.conversation_id == conversation,
            local_changes.c.version > after,
            local_changes.c.version <= upto,
            local_changes.c.kind == kind,
        )
    )
    return set(found)


def page_end(connection: sa.Connection, conversation: int, after: int, limit: int) -> int | None:
    """Return the version up to which about `limit` subjects have changed after a version; None if that are
    all."""
    return connection.scalar(
        sa.select(local_changes.c.version)
        .where(local_changes.c.conversation_id == conversation, local_changes.c.version > after)
        .order_by(local_changes.c.version)
        .offset(limit - 1)
        .limit(1)
    )
