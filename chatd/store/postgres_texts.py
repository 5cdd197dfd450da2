"""Texts that are passed to PostgreSQL, which has none with the character NUL."""

from __future__ import annotations

from functools import cache
from typing import Any

from psycopg.adapt import Dumper, PyFormat

NUL = "\x00"


def replace_nul(connection: Any) -> None:
    """Let this connection replace NUL in parameters by U+FFFD. What is stored was checked and has no control
    characters. But people look for names and codes that nothing has, and find nothing then, as in SQLite."""
    adapters = connection.adapters
    for kind in (PyFormat.BINARY, PyFormat.TEXT):  # the last one is preferred
        adapters.register_dumper(str, _without_nul(adapters.get_dumper(str, kind)))


@cache
def _without_nul(base: Any) -> type[Dumper]:
    class Replacing(Dumper):
        """As `base`, from which nothing can be derived."""

        format, oid = base.format, base.oid

        def __init__(self, cls: type, context: Any = None) -> None:
            super().__init__(cls, context)
            self._dump = base(cls, context).dump

        def dump(self, obj: str) -> Any:
            return self._dump(obj.replace(NUL, "\ufffd") if NUL in obj else obj)

    return Replacing
