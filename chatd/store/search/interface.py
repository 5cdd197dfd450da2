"""What a database offers for searching.

tests/support/search_cases.py has what each implementation must find.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec
from sqlalchemy import Connection

from chatd.base.model import Account
from chatd.store.history import Page

MAX_REMAINING = 10_000  # hits after a page that are counted


class Wanted(msgspec.Struct, frozen=True):
    """A search: messages that contain all of `words`, which are folded (chatd.base.folding).

    `senders` are keys of addresses and `conversations` are ids; None means any. `after` and `before` are in
    ms since 1970 UTC. `before_id` selects the page: only messages that are older than the one with that id.
    """

    words: tuple[str, ...] = ()
    senders: frozenset[str] | None = None
    conversations: frozenset[int] | None = None
    has_file: bool = False
    after: int | None = None
    before: int | None = None
    before_id: int | None = None


class IndexMoved(Exception):
    """Another process has changed the index since a piece was prepared."""


class SearchIndex(Protocol):
    """Finds messages, and keeps an index of them.

    `search` always considers all messages: those that the index lacks are read one by one. What an account
    finds is in its own conversations only.
    """

    def search(self, connection: Connection, account: Account, wanted: Wanted, limit: int) -> Page:
        """A query: the newest `limit` messages by their times, newest first. What remains is counted up to
        MAX_REMAINING."""

    def prepare(self, connection: Connection) -> Sequence[object]:
        """A query: prepare some short pieces of what the index lacks. Empty if it is up to date.

        Call it again when all of them were stored, in their order, or after `forget`.
        """

    def store(self, connection: Connection, piece: object) -> None:
        """A job: put a piece that `prepare` has returned into the index. Raises IndexMoved."""

    @property
    def is_behind(self) -> bool:
        """Whether it lacks so much that `prepare` should be called soon."""

    def forget(self) -> None:
        """Begin again from what is stored, because a piece could not be."""
