"""What version 0012 adds for realms that several nodes serve together."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from chatd.store.migrations.columns import at, id_type


def create_tables_of_the_cluster() -> None:
    _create_nodes()
    _create_leases()
    _create_bus_payloads()
    _create_realm_secrets()


def _create_nodes() -> None:
    op.create_table(
        "nodes",
        sa.Column("id", id_type(), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("started", sa.BigInteger, nullable=False, comment="ms since 1970 UTC"),
        sa.Column("beat", sa.BigInteger, nullable=False, comment="ms since 1970 UTC"),
        sa.Column(
            "commits",
            sa.BigInteger,
            nullable=False,
            comment="counts its transactions that changed something: each turn 65536, others 1",
        ),
        sa.Column("address", sa.Text, nullable=False, comment="the host on which it runs"),
        sa.PrimaryKeyConstraint("id", name="nodes_key"),
        sa.UniqueConstraint("name", name="nodes_name_once"),
        sqlite_autoincrement=True,
    )


def _create_leases() -> None:
    op.create_table(
        "leases",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("node", sa.BigInteger, nullable=False, comment="the id of a node; 0: nobody"),
        sa.Column(
            "epoch",
            sa.BigInteger,
            nullable=False,
            comment="grows each time a node takes the lease",
        ),
        sa.Column(
            "until",
            sa.BigInteger,
            nullable=False,
            comment="ms since 1970 UTC; then others may take it",
        ),
        sa.PrimaryKeyConstraint("name", name="leases_key"),
        sqlite_with_rowid=False,
    )


def _create_bus_payloads() -> None:
    op.create_table(
        "bus_payloads",
        sa.Column("id", id_type(), nullable=False),
        at(),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("id", name="bus_payloads_key"),
        sqlite_autoincrement=True,
    )


def _create_realm_secrets() -> None:
    op.create_table(
        "realm_secrets",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column(
            "fingerprint",
            sa.Text,
            nullable=False,
            comment="of the one that all nodes use; empty: the next start makes it",
        ),
        sa.Column(
            "sealed",
            sa.LargeBinary,
            comment="with the key file of the nodes; NULL: each node has a copy made by hand",
        ),
        at(),
        sa.PrimaryKeyConstraint("name", name="realm_secrets_key"),
        sqlite_with_rowid=False,
    )
