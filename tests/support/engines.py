"""Tests of what only one kind of database has."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar
from unittest import skipIf

from tests import ON_POSTGRES

T = TypeVar("T", bound=Callable[..., object])


def only_sqlite(what: str) -> Callable[[T], T]:
    """Skip a test, or a class of tests, on PostgreSQL, because it is about `what` of SQLite."""
    return skipIf(ON_POSTGRES, f"about {what} of SQLite")
