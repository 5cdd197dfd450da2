"""The turns of several nodes that write to one PostgreSQL database.

The jobs of a writer were made for a single writer: they read something, decide, and change something else,
and keep numbers in memory between transactions. So one node at a time has the turn. An advisory lock gives
it, until the end of the transaction; the server hands it out in the order in which nodes have asked.

Storing messages is different, because it is frequent, and a commit may wait for a standby. Nodes do that
beside each other: they share the lock, lock the conversations of their messages (chatd.store.beside), and
take all numbers from the database.

Each transaction that changes something counts in its node's row of the table `nodes`. A node whose turn
begins compares the rows of the others with what it saw last, and knows whether what it keeps in memory still
agrees with the database. A node that others have removed, because it was silent, has no row: it can't commit
changes until it has joined again.

The count also tells a node whether a transaction was committed when the connection was lost before the answer
came: on the same server, or on a standby that has taken over since.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from chatd.store.backend import WriterTurns
from chatd.store.driver import fetch, wrapped_errors

# Identifies the lock among all advisory locks in the database.
LOCK = int.from_bytes(b"chatd")

# A node that pauses for so long in its turn, between two statements, loses it: one that was stopped, or has
# lost its network, must not keep the others waiting. A patient turn is for a single slow job.
LONGEST_SILENCE = 4000  # ms
PATIENT_SILENCE = 20_000  # ms

# How long a node waits, when it looks for its last transaction, for a server that still has it under way
LOOKS_FOR = 2000  # ms

# Each statement sees what was committed before it. So the counts are read after the lock was obtained.
_TAKE = (
    "SELECT pg_postmaster_start_time()::text, "
    "set_config('idle_in_transaction_session_timeout', %s, true), {}"
)
_LOCK = _TAKE.format(f"pg_advisory_xact_lock({LOCK})")
_SHARE = _TAKE.format(f"pg_advisory_xact_lock_shared({LOCK})")
_OTHERS = "SELECT id, commits FROM nodes WHERE id <> %s ORDER BY id"
# A turn adds so much to the count of its node. Others compare the multiples of that, to see whether it has
# had a turn. Other transactions add 1, and a carry only looks like a turn. There is room for more turns than
# a node has in its life.
TURN = 1 << 16

# A transaction has an id once it has changed something. The server finds it before the update. It is a beat
# as well, unless the node has left (0).
_COUNT = (
    "WITH changed AS MATERIALIZED (SELECT pg_current_xact_id_if_assigned()::text AS id), "
    "counted AS (UPDATE nodes SET commits = commits + %s, beat = CASE beat WHEN 0 THEN 0 "
    "ELSE (extract(epoch FROM clock_timestamp()) * 1000)::bigint END FROM changed "
    "WHERE nodes.id = %s AND changed.id IS NOT NULL RETURNING commits) "
    "SELECT changed.id, (SELECT commits FROM counted) FROM changed"
)
# The lock waits for a transaction that is still under way.
_LIMIT = "SELECT set_config('lock_timeout', %s, true)"
_COMMITS = "SELECT commits FROM nodes WHERE id = %s FOR UPDATE"
# Another server, or one that was restored, may have used the id of the transaction again.
_STATUS = (
    "SELECT CASE pg_postmaster_start_time()::text WHEN %s THEN pg_xact_status(%s::text::xid8) END"
)


def wait_for_turn(connection: Connection) -> None:
    """Let no other node write until the end of this transaction. It may be silent for as long as its
    connection allows. Raises DBAPIError."""
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})").close()


class NodeRemoved(OperationalError):
    """The other nodes have removed this one, so its transaction was rolled back."""

    def __init__(self) -> None:
        super().__init__(None, None, Exception("the other nodes have removed this one"))


class NotKnownYet(OperationalError):
    """The server still has the transaction under way."""

    def __init__(self) -> None:
        super().__init__(None, None, Exception("the last transaction is still under way"))


class CountedCommit(NamedTuple):
    """A transaction that changes something: its node's count of them, its id, and the time at which its
    server was started."""

    node: int
    commits: int
    transaction: str
    server: str


class NodeTurns(WriterTurns):
    """The turns of one node. `node` is its id, or 0 before it has joined: then others do not learn of
    changes."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: list[tuple[int, int]] | None = None
        self._turns: list[tuple[int, int]] | None = None
        self._step = TURN
        self._connection: Any = None
        self._server = ""  # when it was started
        # The transaction of this turn; None: it changes nothing
        self._last: CountedCommit | None = None

    def begin(self, connection: Connection, beside: bool) -> bool:
        raw: Any = connection.connection.driver_connection
        take = _SHARE if beside else _LOCK
        with wrapped_errors(connection, take), raw.pipeline():  # one round trip, with BEGIN
            silence = PATIENT_SILENCE if self.patient else LONGEST_SILENCE
            taken = raw.execute(take, (str(silence),))
            others = raw.execute(_OTHERS, (self.node,))
            server, seen = taken.fetchone()[0], others.fetchall()
        # Behind a pooler, the connection stays when the server is another one. This stays so until a
        # transaction has run to its end, because this one may fail before it is noted.
        if self._connection not in (None, raw) or self._server not in ("", server):
            self.reconnected = True
        self._connection, self._server = raw, server
        self.others, self._step = bool(seen), 1 if beside else TURN
        turns = [(node, commits // TURN) for node, commits in seen]
        self.turned = self.reconnected or turns != self._turns
        self._turns = turns
        same = not beside and seen == self._seen and not self.reconnected
        self._seen = None if beside else seen  # others that are beside this one count later
        return not same

    def end(self, connection: Connection) -> None:
        self._last = None
        if self.node:
            [(transaction, commits)] = fetch(connection, _COUNT, (self._step, self.node))
            if transaction is not None:
                if commits is None:
                    raise NodeRemoved
                self._last = CountedCommit(self.node, commits, transaction, self._server)
        self.reconnected = False

    def forget(self) -> None:
        self._seen = self._turns = None

    @property
    def is_lost(self) -> bool:
        return self._connection is not None and bool(self._connection.closed)

    def was_committed(self, connection: Connection) -> bool | None:
        last = self._last
        if last is None:
            # There was nothing to store; or the node has not joined yet, and nothing was counted.
            return True if self.node else None
        fetch(connection, _LIMIT, (str(LOOKS_FOR),))
        found = fetch(connection, _COMMITS, (last.node,))
        if found:
            return bool(found[0][0] == last.commits)
        # The other nodes have removed this one meanwhile.
        [(status,)] = fetch(connection, _STATUS, (last.server, last.transaction))
        if status == "in progress":
            raise NotKnownYet
        return None if status is None else status == "committed"
