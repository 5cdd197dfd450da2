"""What version 0012 changes in tables of older versions."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from chatd.store.migrations.columns import of_account, of_conversation, of_participant
from chatd.store.migrations.moved_groups import moves_column


def change_tables() -> None:
    if op.get_context().dialect.name == "sqlite":
        _rebuild_groups()
        _rebuild_participants()
        _rebuild_remote_members()
        _rebuild_sessions()
        _rebuild_privacy()
        _rebuild_peers()
    else:
        for column in _group_columns():
            op.add_column("groups", column)
        op.add_column("participants", _first_seq())
        op.add_column("remote_members", _first_seq())
        for column in _session_columns():
            op.add_column("sessions", column)
        for column in _privacy_columns():
            op.add_column("privacy", column)
        op.add_column("peers", _rests())
    _index_people_of_other_realms()
    op.execute("UPDATE sessions SET used_at = created_at")


def _rests() -> sa.Column[bool]:
    return sa.Column(
        "rests",
        sa.Boolean,
        nullable=False,
        server_default=sa.false(),
        comment="either side can dial, so there is no link while nothing is to be said",
    )


def _group_columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("topic", sa.Text, comment="what it is about"),
        sa.Column("private", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column(
            "past",
            sa.Text,
            nullable=False,
            server_default="all",
            comment="what new members see of the past: all, or joined (nothing)",
        ),
        moves_column(),
    ]


def _first_seq() -> sa.Column[int]:
    return sa.Column(
        "first_seq",
        sa.BigInteger,
        nullable=False,
        server_default="0",
        comment="the first entry that the member may see",
    )


def _session_columns() -> list[sa.Column[Any]]:
    return [
        sa.Column(
            "used_at",
            sa.BigInteger,
            nullable=False,
            server_default="0",
            comment="ms since 1970 UTC",
        ),
        sa.Column(
            "client",
            sa.Text,
            nullable=False,
            server_default="",
            comment="of the last login or resume",
        ),
        sa.Column(
            "address", sa.Text, nullable=False, server_default="", comment="that it came from"
        ),
    ]


def _privacy_columns() -> list[sa.Column[Any]]:
    return [
        sa.Column(name, sa.Boolean, nullable=False, server_default=sa.true(), comment=comment)
        for name, comment in (
            ("presence", "shows others whether it is online"),
            ("invitations", "people of this realm may add it to groups without asking"),
        )
    ]


# SQLite adds columns after the constraints, so the tables are copied.


def _copy(name: str, kept: list[str], *elements: Any, **options: Any) -> None:
    """Copy the columns `kept` of a table into a new one."""
    op.rename_table(name, f"{name}_before")
    table = op.create_table(name, *elements, **options)
    old = sa.table(f"{name}_before", *map(sa.column, kept))
    op.get_bind().execute(table.insert().from_select(kept, sa.select(old)))


def _rebuild_groups() -> None:
    op.drop_index("groups_by_home", "groups")
    kept = ["conversation_id", "name", "key", "code", "closed", "realm", "home_id", "title"]
    _copy(
        "groups",
        kept,
        sa.Column("conversation_id", sa.Integer, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("key", sa.Text),
        sa.Column("code", sa.Text),
        sa.Column("closed", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("realm", sa.Text),
        sa.Column("home_id", sa.BigInteger),
        sa.Column("title", sa.Text),
        *_group_columns(),
        sa.PrimaryKeyConstraint("conversation_id", name="groups_key"),
        of_conversation("groups"),
        sa.UniqueConstraint("key", name="groups_key_once"),
        sa.UniqueConstraint("code", name="groups_code_once"),
    )
    op.drop_table("groups_before")
    op.create_index("groups_by_home", "groups", ["realm", "home_id"], unique=True)


def _rebuild_participants() -> None:
    """`skipped` refers to the table, and is copied too."""
    op.drop_index("participants_direct_once", "participants")
    op.drop_index("participants_by_standing", "participants")
    kept = ["account_id", "conversation_id", "peer", "peer_key", "read_seq", "admin"]
    _copy(
        "participants",
        [*kept, "joined_at", "realm"],
        sa.Column("account_id", sa.Integer, nullable=False),
        sa.Column("conversation_id", sa.Integer, nullable=False),
        sa.Column("peer", sa.Text),
        sa.Column("peer_key", sa.Text),
        sa.Column("read_seq", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("admin", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("joined_at", sa.BigInteger, nullable=False),
        sa.Column("realm", sa.Text),
        _first_seq(),
        sa.PrimaryKeyConstraint("account_id", "conversation_id", name="participants_key"),
        of_account("participants"),
        of_conversation("participants"),
    )
    _rebuild_skipped()
    op.drop_table("participants_before")
    op.create_index(
        "participants_direct_once", "participants", ["account_id", "peer_key"], unique=True
    )
    standing = ["conversation_id", "admin", "joined_at"]
    op.create_index("participants_by_standing", "participants", standing)


def _rebuild_skipped() -> None:
    key = ["account_id", "conversation_id"]
    _copy(
        "skipped",
        [*key, "seq"],
        sa.Column("account_id", sa.BigInteger, nullable=False),
        sa.Column("conversation_id", sa.BigInteger, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint(*key, "seq", name="skipped_key"),
        of_participant("skipped"),
        sqlite_with_rowid=False,
    )
    op.drop_table("skipped_before")


def _rebuild_remote_members() -> None:
    indexes = {
        "remote_members_by_standing": ["conversation_id", "admin", "joined_at"],
        "remote_members_by_realm": ["conversation_id", "realm"],
    }
    for name in indexes:
        op.drop_index(name, "remote_members")
    _copy(
        "remote_members",
        ["conversation_id", "key", "address", "realm", "admin", "joined_at"],
        sa.Column("conversation_id", sa.Integer, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("realm", sa.Text, nullable=False),
        sa.Column("admin", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("joined_at", sa.BigInteger, nullable=False),
        _first_seq(),
        sa.PrimaryKeyConstraint("conversation_id", "key", name="remote_members_key"),
        of_conversation("remote_members"),
    )
    op.drop_table("remote_members_before")
    for name, columns in indexes.items():
        op.create_index(name, "remote_members", columns)


def _rebuild_sessions() -> None:
    for column in ("account_id", "expires_at"):
        op.drop_index(f"sessions_by_{column}", "sessions")
    _copy(
        "sessions",
        ["id", "token_hash", "account_id", "created_at", "expires_at"],
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("token_hash", sa.LargeBinary, nullable=False),
        sa.Column("account_id", sa.Integer, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        *_session_columns(),
        sa.PrimaryKeyConstraint("id", name="sessions_key"),
        sa.UniqueConstraint("token_hash", name="sessions_token_hash_once"),
        of_account("sessions"),
    )
    op.drop_table("sessions_before")
    for column in ("account_id", "expires_at"):
        op.create_index(f"sessions_by_{column}", "sessions", [column])


def _rebuild_privacy() -> None:
    _copy(
        "privacy",
        ["account_id", "receipts", "version"],
        sa.Column("account_id", sa.Integer, nullable=False),
        sa.Column("receipts", sa.Boolean, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        *_privacy_columns(),
        sa.PrimaryKeyConstraint("account_id", name="privacy_key"),
        of_account("privacy"),
    )
    op.drop_table("privacy_before")


def _rebuild_peers() -> None:
    _copy(
        "peers",
        ["key", "name", "host", "port", "certificate", "created_at", "confirmed", "linked_at"],
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("host", sa.Text),
        sa.Column("port", sa.Integer),
        sa.Column("certificate", sa.Text),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("confirmed", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("linked_at", sa.BigInteger),
        _rests(),
        sa.PrimaryKeyConstraint("key", name="peers_key"),
    )
    op.drop_table("peers_before")


def _index_people_of_other_realms() -> None:
    op.create_index(
        "participants_by_realm",
        "participants",
        ["realm", "peer_key"],
        sqlite_where=sa.text("realm IS NOT NULL"),
        postgresql_where=sa.text("realm IS NOT NULL"),
    )
    op.create_index("remote_members_by_person", "remote_members", ["key"])
