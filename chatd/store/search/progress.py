"""How far the index is: up to which id it has the messages.

Ids say only where to look for conversations with new messages. What the index has of a conversation, its
blocks say by numbers (seq), which become visible in their order.

Where several nodes write, a message may become visible after one with a higher id. So the index looks at ids
twice: when they are new, and again when all transactions are over that may have had a lower one. For that, a
transaction has to change or lock a row, and only then to take ids, each of which is higher than all that were
taken before.
"""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection

from chatd.store import driver
from chatd.store.engine import backend_of, placeholder
from chatd.store.search.interface import IndexMoved
from chatd.store.settings import get_setting, put_setting

_VERSION = "version of the search index"
_STORED = "searchable up to message"
_NEWEST = "SELECT coalesce(max(id), 0) FROM messages"


class Pending(NamedTuple):
    """No message up to the id `upto` can become visible once the transactions up to this one are over."""

    upto: int
    transaction: int


class IndexProgress:
    """Its ids are those of messages."""

    def __init__(self) -> None:
        self._stored: int | None = None  # the index has all up to it
        self._next = 0  # as `_stored`, once what was found is stored
        self._looked = 0  # all that were visible up to it were looked at
        self._settled = 0  # no other message up to it can become visible
        self._pending: Pending | None = None

    def forget(self) -> None:
        """Begin again from what is stored."""
        self._stored = self._pending = None

    def find(self, connection: Connection) -> tuple[int, int] | None:
        """The ids to look at: those after the first one, up to the second one. None if there are none."""
        if self._stored is None:
            self._stored = int(get_setting(connection, _STORED) or 0)
            self._looked = self._settled = self._stored
        newest = newest_id(connection)
        if newest < self._looked:
            self._go_back(self._stored, newest)
        if newest > self._settled:
            self._settle(connection, newest)
        after = self._stored if self._settled > self._stored else self._looked
        return (after, newest) if newest > after else None

    def _go_back(self, stored: int, newest: int) -> None:
        """Messages with higher ids were removed, so that these may be given again."""
        self._stored = min(stored, newest)
        self._settled = min(self._settled, newest)
        self._looked = newest
        self._pending = None

    def _settle(self, connection: Connection, newest: int) -> None:
        oldest, own = backend_of(connection).transactions(connection)
        if oldest > own:
            self._settled, self._pending = newest, None
            return
        if self._pending is not None and oldest > self._pending.transaction:
            self._settled, self._pending = self._pending.upto, None
        # Numbers of transactions are lower on a server to which the database was copied.
        if newest > self._settled and (self._pending is None or own < self._pending.transaction):
            self._pending = Pending(newest, own)

    def note_looked(self, after: int, upto: int) -> None:
        """All messages after an id that `find` has returned, up to another one, are going to be in the
        index."""
        stored = self._stored or 0
        self._next = min(self._settled, upto) if after == stored else stored
        self._looked = max(self._looked, upto)

    def note_prepared(self) -> int:
        """What was looked at is prepared. Returns the id that `store_progress` gets with it."""
        self._stored = self._next
        return self._next


def index_version(connection: Connection) -> int:
    """How many pieces the index has got."""
    return int(get_setting(connection, _VERSION) or 0)


def raise_version(connection: Connection, found: int) -> None:
    """Note that the index gets a piece, which was prepared when it had the version `found`. Raises IndexMoved
    if it has another one. No other process can store a piece until the end of the transaction."""
    mark = placeholder(connection)
    if not found:
        new = (
            f"INSERT INTO settings (name, value) VALUES ({mark}, '1') "  # noqa: S608 - only marks
            "ON CONFLICT (name) DO NOTHING"
        )
        changed = driver.execute(connection, new, (_VERSION,))
    else:
        raised = f"UPDATE settings SET value = {mark} WHERE name = {mark} AND value = {mark}"  # noqa: S608
        changed = driver.execute(connection, raised, (str(found + 1), _VERSION, str(found)))
    if changed.rowcount != 1:
        raise IndexMoved


def store_progress(connection: Connection, upto: int) -> None:
    """Note that the index has all messages up to this id."""
    put_setting(connection, _STORED, str(upto))


def newest_id(connection: Connection) -> int:
    """The highest id of a message; 0 if there is none."""
    [(newest,)] = driver.fetch(connection, _NEWEST)
    return int(newest)
