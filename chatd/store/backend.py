"""What chatd asks of a database engine, beside SQL that all of them know."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from chatd.store.driver import execute_many

READERS = 4  # threads that read; `chatd.store.database` starts them
CONNECTIONS = READERS + 4  # the writer, the search thread, that of beats, and one to spare
# Compiled statements that an engine keeps. chatd has more than the 500 that SQLAlchemy keeps by default.
STATEMENTS = 2000


class WriterTurns(ABC):
    """Lets one of several nodes at a time write (see chatd.store.node_turns). Called in the writer's thread,
    in its transactions. `node` is the id of this node, which may be set in any thread. A node that is silent
    for long in its turn loses it; the next turn takes longer to be lost if it is `patient`."""

    def __init__(self) -> None:
        self.node = 0
        self.patient = False
        self.reconnected = False  # the last turn began on another connection than the one before
        # Whether others may have had a turn since the last one, and not only stored something beside others
        self.turned = True
        self.others = False  # whether there were other nodes when the last turn began

    @abstractmethod
    def begin(self, connection: Connection, beside: bool) -> bool:
        """Wait for the turn of this node; or, `beside` others that have said so, for the end of a turn.
        Returns whether others may have changed something since the last one. Raises DBAPIError."""

    @abstractmethod
    def end(self, connection: Connection) -> None:
        """Tell the other nodes, once the transaction is committed, if it has changed anything. Raises
        DBAPIError."""

    @abstractmethod
    def forget(self) -> None:
        """The transaction of the last turn was not committed: what was seen may have to be seen again."""

    @property
    def is_lost(self) -> bool:
        """Whether the connection of the last turn is lost."""
        return False

    def was_committed(self, connection: Connection) -> bool | None:
        """Find out what became of the transaction of the last turn, if the answer to its commit was lost.
        Returns None if that can't be known any more. Raises DBAPIError if it is not known yet."""
        return None


class Backend(ABC):
    """One for each kind of database. `chatd.store.engine` finds that of a connection."""

    placeholder: str  # stands for a parameter in a statement that is passed to the driver directly
    paramstyle: str  # SQLAlchemy's name for that
    # A table `ids` of the ids that a parameter has, in its order. Its column is `value`.
    each_id: str
    # As `each_id`, from three parameters: beside each id the columns `messages` and `size` with numbers. None
    # if reading a part of a large value takes as long as reading all of it.
    each_span: str | None = None
    in_order: str  # ends a query that reads `each_id`, and keeps its order
    # How many large values a query should return at first: the driver reads them all before one can be used
    values_at_once: int
    is_shared = False  # several nodes may use one database
    has_sequences = False  # the ids of messages are numbered by a sequence of the server

    @abstractmethod
    def connect(self, url: str) -> Engine:
        """Return an engine for `url`, set up for durability and for readers beside the writer."""

    def reading(self, engine: Engine) -> Engine:
        """Return `engine` in a form whose transactions see one state of the database and change nothing."""
        return engine

    def set_up_writer(self, connection: Connection) -> None:  # noqa: B027 - most have nothing to do
        """Prepare the connection of the writer."""

    def lift_limits(self, connection: Connection) -> None:  # noqa: B027 - as above
        """Let the statements of this transaction take as long as they need, as those of an upgrade do."""

    def limit_waiting(self, connection: Connection) -> None:  # noqa: B027 - as above
        """Let the statements of this transaction fail if they wait for a second for others."""

    def unsuitable(self, connection: Connection) -> str | None:
        """Return why chatd can't use this database, and what to do, for the operator; None if it can."""
        return None

    def limit_log(self, connection: Connection, low: bool) -> None:  # noqa: B027 - as above
        """Keep the write-ahead log small if the disk is `low`, else as large as usual, if the log is on that
        disk."""

    def inform_planner(self, connection: Connection) -> None:  # noqa: B027 - as above
        """Give the query planner what it has to know of the tables, if it does not find that out."""

    def turns(self) -> WriterTurns | None:
        """Return the turns of a node's writer; None if there is one process only."""
        return None

    def alone(self, engine: Engine) -> AbstractContextManager[None]:
        """Let no other node write, or be in such a block, while this block runs. The block must not use a
        writer with turns, which would wait for it. Raises DBAPIError."""
        return nullcontext()

    @abstractmethod
    def change_mark(self, connection: Connection) -> int:
        """A number that is another one after the transaction of this connection has changed something. Raises
        DBAPIError."""

    def insert_many(
        self,
        connection: Connection,
        statement: str,
        table: sa.Table,
        columns: tuple[str, ...],
        rows: Sequence[Sequence[object]],
    ) -> None:
        """Insert several rows with values of these columns. `statement` inserts one row. Raises
        DBAPIError."""
        execute_many(connection, statement, rows)

    def time(self, connection: Connection, now: int) -> int:
        """Return the time by the server's clock, in ms since 1970 UTC; `now` if there is no server."""
        return now

    def ends_transaction(self, error: DBAPIError) -> bool:
        """Whether this error ends the whole transaction, not only the savepoint."""
        return isinstance(error, OperationalError | InterfaceError)

    @abstractmethod
    def damage_in(self, error: object) -> str | None:
        """Return the driver's message if its `error` says that the database is damaged, else None."""

    def is_outage(self, error: DBAPIError) -> bool:
        """Whether an error means that the server is missing or has ended the connection, so that no statement
        is to blame."""
        return False

    def transactions(self, connection: Connection) -> tuple[int, int]:
        """Return the numbers of two transactions. None of those before the first one is under way, and this
        transaction sees what they have changed. All that have changed or locked a row until now are before
        the second one. If the first number is higher than the second, no other transaction changes
        anything."""
        return 1, 0

    def quick_check(self, connection: Connection, limit: int) -> list[str]:
        """Return the first errors in the structure of the database, if its server does not look for them."""
        return []

    def foreign_key_problems(self, connection: Connection, limit: int) -> list[str]:
        """Return the first rows that refer to rows that do not exist, if the database may have any."""
        return []

    def file_of(self, engine: Engine) -> Path | None:
        """The database's file; None if it is in memory or on a server."""
        return None

    def size(self, connection: Connection) -> int | None:
        """The bytes that a database on a server has on its disk; None for others."""
        return None

    @abstractmethod
    def ids(self, ids: Iterable[int]) -> object:
        """The value of the parameter of `each_id`."""

    @abstractmethod
    def lookup(self, columns: str, outer: str, inner: str, chosen: str, found: str) -> str:
        """A query for `columns` of the table `inner`. Its rows are looked up by an index, once for each row
        of the table `outer`, whatever the planner expects. `chosen` is a condition on `outer`, and `found` is
        one on both."""

    def lacking_bits(self, table: str, found: str) -> str | None:
        """A query for ids whose rows have a value that lacks a bit. Its parameters are ids, and the number of
        a bit for each; several may have the same id. `found` is the condition on the row of `table`, whose
        value is `data`, for an `ids.value`. None if reading a part of a value takes as long as reading all of
        it."""
        return None

    def bytes_cursor(self, connection: Connection) -> Any:
        """A cursor of the driver for a query that returns large binary values."""
        return connection.connection.cursor()

    @abstractmethod
    def integers(self, parameter: str) -> sa.ScalarSelect[int]:
        """The numbers in the parameter, which is what `ids` returns. A statement with it stays the same for
        any of them."""

    @abstractmethod
    def pairs(self, parameter: str) -> sa.Subquery:
        """A table with the columns `first` and `second`: the pairs of texts in the JSON array that the
        parameter has."""
