"""The realms that an operator has confirmed, and the time of each realm's last link.

Realms with an address count as confirmed: an operator, or with `add = anyone` a user, gave the address, and
the certificate was stored after a connection to it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_KEPT = ("key", "name", "host", "port", "certificate", "created_at")


def upgrade() -> None:
    if op.get_context().dialect.name == "sqlite":
        _rebuild()
    else:
        for column in _added():
            op.add_column("peers", column)
    op.execute("UPDATE peers SET confirmed = true WHERE host IS NOT NULL")
    op.execute("UPDATE peers SET linked_at = created_at")


def _added() -> list[sa.Column[object]]:
    return [
        sa.Column(
            "confirmed",
            sa.Boolean,
            nullable=False,
            server_default=sa.false(),
            comment="an operator added it, and vouches for address and certificate",
        ),
        sa.Column("linked_at", sa.BigInteger, comment="ms since 1970 UTC"),
    ]


def _rebuild() -> None:
    """Copy the table, because SQLite adds columns after the constraints. Nothing refers to it."""
    op.rename_table("peers", "peers_before")
    table = op.create_table(
        "peers",
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("host", sa.Text),
        sa.Column("port", sa.Integer),
        sa.Column("certificate", sa.Text),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        *_added(),
        sa.PrimaryKeyConstraint("key", name="peers_key"),
    )
    old = sa.table("peers_before", *(sa.column(each) for each in _KEPT))
    op.get_bind().execute(table.insert().from_select(list(_KEPT), sa.select(old)))
    op.drop_table("peers_before")
