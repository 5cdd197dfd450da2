"""What SQLite's query planner has to know about the tables.

Without statistics the planner takes every table for a small one, and the primary key for as good as any
index. It would look for the changes of a message among all changes of the conversation. ANALYZE would read
whole tables, and its result would depend on when it runs. These figures are made by hand, as
https://www.sqlite.org/fileformat2.html#stat1tab describes them.
"""

from __future__ import annotations

from sqlalchemy import Connection, text

# index -> its table, the number of rows, and how many of them agree in the first column, the first two ...
# The primary key of a table without rowids has the table's name.
STATISTICS = {
    "changes": ("changes", "1000000 1000 1"),
    "changes_by_target": ("changes", "1000000 1000 3"),
}

_KNOWN = text("SELECT idx, stat FROM sqlite_stat1")
_FORGET = text("DELETE FROM sqlite_stat1 WHERE tbl = :tbl")
_ADD = text("INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (:tbl, :idx, :stat)")


def inform_planner(connection: Connection) -> None:
    """Give SQLite's planner the statistics, unless it has some: an operator may have used ANALYZE. Other
    databases collect them by themselves."""
    if connection.dialect.name != "sqlite":
        return
    connection.execute(text("ANALYZE sqlite_schema"))  # makes the table, and reads no other
    known = {row.idx for row in connection.execute(_KNOWN)}
    if known.issuperset(STATISTICS):
        return
    for table in {table for table, _ in STATISTICS.values()}:
        connection.execute(_FORGET, {"tbl": table})
    rows = [{"tbl": table, "idx": idx, "stat": stat} for idx, (table, stat) in STATISTICS.items()]
    connection.execute(_ADD, rows)
    connection.execute(text("ANALYZE sqlite_schema"))  # lets this connection read them
