"""Statements that are made once, and executed with other values each time.

Making a statement takes SQLAlchemy longer than executing it, and so does finding its compiled form. A
statement without values is a constant of its module instead. For the few statements where this is still too
slow, see chatd.store.driver.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import sqlalchemy as sa

Statement = TypeVar("Statement", bound=sa.Executable)


def prepared(make: Callable[..., Statement]) -> Callable[..., tuple[Statement, dict[str, Any]]]:
    """Let `make` return its statement and the values to execute it with:

        @prepared
        def _of_realm(realm: Any) -> sa.Select[Any]:
            return sa.select(groups.c.name).where(groups.c.realm == realm)

        names = connection.scalars(*_of_realm("realm2"))

    `make` is called once, with a bound parameter in place of each positional argument. A collection is for
    `in_`. No argument may be None where it is compared: that would need IS NULL. A limit is an argument, too,
    because tests lower it.

    Keyword arguments are passed as they are, such as a table. There is a statement for each combination of
    them that occurs, so they have few values.
    """
    names = [
        f"{name}_given"
        for name, parameter in inspect.signature(make).parameters.items()
        if parameter.kind is not parameter.KEYWORD_ONLY
    ]
    made: dict[tuple[Any, ...], Statement] = {}

    @wraps(make)
    def with_values(*values: Any, **shape: Any) -> tuple[Statement, dict[str, Any]]:
        key = tuple(shape.items())
        statement = made.get(key)
        if statement is None:
            statement = made[key] = make(*map(sa.bindparam, names), **shape)
        return statement, dict(zip(names, values, strict=True))

    return with_values
