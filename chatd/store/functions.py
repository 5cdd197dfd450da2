"""SQL functions that the engines call differently. Their modules, sqlite and postgres, compile them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.functions import FunctionElement


class Position(FunctionElement[int]):
    """Where the second text begins in the first, from 1 on, or 0."""

    type = sa.BigInteger()
    inherit_cache = True


class JsonInteger(FunctionElement[int]):
    """The number that a JSON object, in a text, has under a key; NULL if it has none, or if the text is
    NULL."""

    type = sa.BigInteger()
    inherit_cache = True


def arguments(element: Any, compiler: Any, options: Any) -> list[str]:
    """The arguments of one of these functions, compiled."""
    return [compiler.process(each, **options) for each in element.clauses]
