"""Columns and constraints that many tables of version 0012 have."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa


def id_type() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def at() -> sa.Column[int]:
    return sa.Column("at", sa.BigInteger, nullable=False, comment="ms since 1970 UTC")


def conversation(comment: str | None = None) -> sa.Column[Any]:
    """The column that `of_conversation` is for."""
    return sa.Column("conversation_id", id_type(), nullable=False, comment=comment)


def of_account(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["account_id"], ["accounts.id"], name=f"{table}_account_id_exists"
    )


def of_conversation(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["conversation_id"], ["conversations.id"], name=f"{table}_conversation_id_exists"
    )


def of_participant(table: str) -> sa.ForeignKeyConstraint:
    key = ["account_id", "conversation_id"]
    return sa.ForeignKeyConstraint(
        key,
        [f"participants.{each}" for each in key],
        name=f"{table}_account_id_exists",
        ondelete="CASCADE",
    )
