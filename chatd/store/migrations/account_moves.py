"""What version 0012 adds for accounts that move from one realm to another."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from chatd.store.migrations.columns import at, id_type, of_account


def create_tables_of_account_moves() -> None:
    _create_account_moves()
    _create_earlier_addresses()
    _create_move_claims()
    _create_move_luggage()
    _create_move_plans()
    _create_moving_groups()


def _create_account_moves() -> None:
    op.create_table(
        "account_moves",
        sa.Column("key", sa.Text, nullable=False, comment="the old address without case"),
        sa.Column("address", sa.Text, nullable=False, comment="the old address as shown"),
        sa.Column("realm", sa.Text, comment="key of the old realm; NULL: ours"),
        sa.Column(
            "account_id",
            sa.BigInteger,
            comment="the account that has moved, if it is of this realm",
        ),
        sa.Column("new_key", sa.Text, nullable=False, comment="the new address without case"),
        sa.Column("new_address", sa.Text, nullable=False, comment="the new address as shown"),
        sa.Column("new_realm", sa.Text, comment="key of the new realm; NULL: ours"),
        sa.Column(
            "number", sa.BigInteger, nullable=False, comment="of the notice, at the old realm"
        ),
        sa.Column(
            "agreed", sa.BigInteger, nullable=False, comment="of the agreement, at the new realm"
        ),
        at(),
        sa.Column(
            "proof", sa.LargeBinary, nullable=False, comment="the notice and the agreement, signed"
        ),
        sa.Column(
            "state",
            sa.Text,
            nullable=False,
            comment="waits: for a key; settling: for parcels on their way; followed; over: moved back",
        ),
        sa.Column("step", sa.Text, comment="of an account of this realm: luggage or done"),
        sa.Column(
            "luggage", sa.BigInteger, comment="the number of the last parcel with its luggage"
        ),
        sa.Column(
            "forwarded",
            sa.BigInteger,
            nullable=False,
            server_default="0",
            comment="the id of the last message that was forwarded to the new address",
        ),
        sa.PrimaryKeyConstraint("key", name="account_moves_key"),
        sqlite_with_rowid=False,
    )
    op.create_index("account_moves_of_accounts", "account_moves", ["account_id"])


def _create_earlier_addresses() -> None:
    op.create_table(
        "earlier_addresses",
        sa.Column("conversation_id", sa.BigInteger, nullable=False),
        sa.Column("upto", sa.BigInteger, nullable=False, comment="the last seq of that time"),
        sa.Column("key", sa.Text, nullable=False, comment="the address without case"),
        sa.Column("address", sa.Text, nullable=False, comment="as shown"),
        sa.Column("realm", sa.Text, comment="key of its realm; NULL: ours"),
        sa.PrimaryKeyConstraint("conversation_id", "upto", name="earlier_addresses_key"),
        sqlite_with_rowid=False,
    )
    op.create_index("earlier_addresses_by_realm", "earlier_addresses", ["realm", "conversation_id"])


def _create_move_claims() -> None:
    op.create_table(
        "move_claims",
        sa.Column("account_id", id_type(), nullable=False, comment="who is asked"),
        sa.Column("key", sa.Text, nullable=False, comment="the new address without case"),
        sa.Column("address", sa.Text, nullable=False, comment="as shown"),
        sa.Column("realm", sa.Text, nullable=False, comment="key of the new realm"),
        sa.Column("old_key", sa.Text, nullable=False, comment="the address that they say they had"),
        sa.Column("old_address", sa.Text, nullable=False, comment="as shown"),
        at(),
        sa.Column("declined", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.PrimaryKeyConstraint("account_id", "key", name="move_claims_key"),
        of_account("move_claims"),
        sqlite_with_rowid=False,
    )
    op.create_index("move_claims_by_realm", "move_claims", ["realm", "at"])


def _create_move_luggage() -> None:
    op.create_table(
        "move_luggage",
        sa.Column("account_id", sa.BigInteger, nullable=False),
        sa.Column("page", sa.BigInteger, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False, comment="as it crosses"),
        sa.PrimaryKeyConstraint("account_id", "page", name="move_luggage_key"),
        sqlite_with_rowid=False,
    )


def _create_move_plans() -> None:
    op.create_table(
        "move_plans",
        sa.Column("account_id", id_type(), nullable=False),
        sa.Column(
            "kind",
            sa.Text,
            nullable=False,
            comment="wish: it wants to move there; "
            "offer: that address has agreed to be its new one; "
            "agreed: it has agreed to be the new address of that one",
        ),
        sa.Column("key", sa.Text, nullable=False, comment="the other address without case"),
        sa.Column("address", sa.Text, nullable=False, comment="as shown"),
        sa.Column(
            "number", sa.BigInteger, nullable=False, comment="of the agreement; 0: of a wish"
        ),
        at(),
        sa.Column("agreement", sa.LargeBinary, comment="of an offer: as its realm has signed it"),
        sa.PrimaryKeyConstraint("account_id", "kind", "key", name="move_plans_key"),
        of_account("move_plans"),
        sqlite_with_rowid=False,
    )


def _create_moving_groups() -> None:
    op.create_table(
        "moving_groups",
        sa.Column("account_id", sa.BigInteger, nullable=False),
        sa.Column("realm", sa.Text, nullable=False, comment="key of the group's realm"),
        sa.Column("home_id", sa.BigInteger, nullable=False, comment="the group's id there"),
        sa.Column("name", sa.Text, nullable=False, comment="the group's name there"),
        sa.Column(
            "read_seq", sa.BigInteger, nullable=False, comment="the read mark of the old address"
        ),
        at(),
        sa.PrimaryKeyConstraint("account_id", "realm", "home_id", name="moving_groups_key"),
        sqlite_with_rowid=False,
    )
    op.create_index("moving_groups_by_realm", "moving_groups", ["realm"])
