"""The index finds on PostgreSQL what it finds on SQLite, whatever the locale of the database."""

from __future__ import annotations

from typing import ClassVar

from sqlalchemy import Engine

from tests.support.search_index import IndexTestCase
from tests.support.search_postgres import empty_engine, files_with, rewrite_tables
from tests.unit.store.search import test_index


class OnPostgres(IndexTestCase):
    locale: ClassVar[str] = "C"

    def make_engine(self) -> Engine:
        return empty_engine(self.locale)

    def check_nowhere(self, text: bytes) -> None:
        """It is in no file of the database once the tables are rewritten."""
        rewrite_tables(self.locale)
        self.assertEqual(files_with(self.locale, text), [])


class Table(OnPostgres, test_index.Table):
    pass


class TableWithIndex(OnPostgres, test_index.TableWithIndex):
    pass


class TableWithPartOfIndex(OnPostgres, test_index.TableWithPartOfIndex):
    pass


class TableInUTF8(Table):
    locale = "C.UTF-8"


class TableWithIndexInUTF8(TableWithIndex):
    locale = "C.UTF-8"


class EarlierMessages(OnPostgres, test_index.EarlierMessages):
    pass


class Selecting(OnPostgres, test_index.Selecting):
    pass


class Counting(OnPostgres, test_index.Counting):
    pass


class Building(OnPostgres, test_index.Building):
    pass
