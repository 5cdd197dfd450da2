"""Reads the old database, which is in SQLite and which nobody else uses meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

from sqlalchemy import Engine, Table

from chatd.store.transfer.digests import RowDigest, TableDigest
from chatd.store.transfer.tables import page_size, select_rows
from chatd.store.transfer.values import Converter, Misfit, Page, Row

MAX_MISFITS = 1000  # that are listed


def _decoded(data: bytes) -> str:
    """Texts that are not UTF-8 get surrogates, which `Converter` finds, and do not end the reading."""
    return data.decode("utf-8", "surrogateescape")


class OldStore:
    """The tables of the old database. `close` it in the end."""

    def __init__(self, engine: Engine) -> None:
        self._pooled = engine.raw_connection()
        raw: Any = self._pooled.driver_connection
        self._raw = raw
        raw.text_factory = _decoded

    def close(self) -> None:
        """Close the connection, whose texts nobody else wants as they are here."""
        self._pooled.invalidate()

    def pages(self, table: Table, after: Row | None = None) -> Iterator[Page]:
        """The rows of a table by their keys, as SQLite has them. `after`: only those behind this key."""
        cursor = self._raw.execute(select_rows(table, after is not None), after or ())
        while page := cursor.fetchmany(page_size(table)):
            yield page

    def look_at(self, table: Table, misfits: list[Misfit]) -> TableDigest:
        """The digest of a table. Values that PostgreSQL can't store are added to `misfits`, and then the
        digest is of no use."""
        digest, converter = RowDigest(table), Converter(table)
        for page in self.pages(table):
            if found := converter.misfits(page):
                misfits += found[: max(0, MAX_MISFITS - len(misfits))]
            else:
                digest.add(converter.convert(page))
        return digest.result()

    def highest_ids(self) -> dict[str, int]:
        """The highest id that each table has given, also if its row is gone: these are not given again."""
        with closing(self._raw.execute("SELECT name, seq FROM sqlite_sequence")) as cursor:
            return {name: int(seq) for name, seq in cursor}
