"""Links with other realms: peers, the outbox, and the realm that each row belongs to.

The migration is self-contained: it does not import chatd.store.schema, which changes over time.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

# SQLite assigns ids only if the type of the key is INTEGER.
_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_MS = "ms since 1970 UTC"


def upgrade() -> None:
    if op.get_context().dialect.name == "sqlite":
        _rebuild()
    else:
        _alter()
    _add_tables()
    _add_indexes()


def _added() -> dict[str, list[sa.Column[object]]]:
    return {
        "groups": [
            sa.Column("realm", sa.Text, comment="key of the realm it lives in, if that is another"),
            sa.Column("home_id", sa.BigInteger, comment="the group's id there"),
        ],
        "participants": [
            sa.Column(
                "realm",
                sa.Text,
                comment="key of the realm that the other party or the group is of; NULL: ours",
            ),
        ],
        "attachments": [
            sa.Column(
                "sender_key",
                sa.Text,
                comment="the sender's address without case, if of another realm",
            ),
            sa.Column("realm", sa.Text, comment="key of the realm that it came from; NULL: ours"),
        ],
        "messages": [
            sa.Column(
                "origin_realm", sa.Text, comment="key of the realm that it came from; NULL: ours"
            ),
            sa.Column("origin_id", sa.BigInteger, comment="its parcel's number there"),
        ],
    }


def _alter() -> None:
    for table, columns in _added().items():
        for column in columns:
            op.add_column(table, column)
    op.alter_column(
        "attachments",
        "owner_id",
        existing_type=_ID,
        nullable=True,
        comment="NULL: of another realm",
    )


def _rebuild() -> None:
    """Copy the tables, because SQLite can't make a column nullable, and adds columns after the constraints.

    Alembic's batches would drop a table while others refer to it. For that, foreign keys have to be switched
    off, which is impossible in a transaction. Here the old tables are renamed, and dropped when nothing
    refers to them, so foreign keys hold at every moment.
    """
    connection = op.get_bind()
    indexes = connection.scalars(
        sa.text(
            "SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND tbl_name IN "
            "('groups', 'participants', 'attachments', 'messages')"
        )
    ).all()
    tables = _whole_tables()
    for name in tables:
        op.rename_table(name, f"{name}_0001")
    for name, (columns, constraints) in tables.items():
        kept = [column.name for column in columns]
        table = op.create_table(name, *columns, *_added()[name], *constraints)
        old = sa.table(f"{name}_0001", *(sa.column(each) for each in kept))
        connection.execute(table.insert().from_select(kept, sa.select(old)))
    for name in reversed(tables):
        op.drop_table(f"{name}_0001")
    for index in indexes:
        connection.exec_driver_sql(index)


def _whole_tables() -> dict[str, tuple[list[sa.Column[object]], list[sa.Constraint]]]:
    """The tables of 0001 for SQLite, which has no comments, in the order of their references."""
    return {
        "groups": (
            [
                sa.Column("conversation_id", sa.Integer, nullable=False),
                sa.Column("name", sa.Text, nullable=False),
                sa.Column("key", sa.Text),
                sa.Column("code", sa.Text),
                sa.Column("closed", sa.Boolean, nullable=False, server_default=sa.false()),
            ],
            [
                sa.PrimaryKeyConstraint("conversation_id", name="groups_key"),
                sa.ForeignKeyConstraint(
                    ["conversation_id"], ["conversations.id"], name="groups_conversation_id_exists"
                ),
                sa.UniqueConstraint("key", name="groups_key_once"),
                sa.UniqueConstraint("code", name="groups_code_once"),
            ],
        ),
        "participants": (
            [
                sa.Column("account_id", sa.Integer, nullable=False),
                sa.Column("conversation_id", sa.Integer, nullable=False),
                sa.Column("peer", sa.Text),
                sa.Column("peer_key", sa.Text),
                sa.Column("read_seq", sa.BigInteger, nullable=False, server_default="0"),
                sa.Column("admin", sa.Boolean, nullable=False, server_default=sa.false()),
                sa.Column("joined_at", sa.BigInteger, nullable=False),
            ],
            [
                sa.PrimaryKeyConstraint("account_id", "conversation_id", name="participants_key"),
                sa.ForeignKeyConstraint(
                    ["account_id"], ["accounts.id"], name="participants_account_id_exists"
                ),
                sa.ForeignKeyConstraint(
                    ["conversation_id"],
                    ["conversations.id"],
                    name="participants_conversation_id_exists",
                ),
            ],
        ),
        "attachments": (
            [
                sa.Column("id", sa.Integer, nullable=False),
                sa.Column("code", sa.Text, nullable=False),
                sa.Column("name", sa.Text, nullable=False),
                sa.Column("size", sa.BigInteger, nullable=False),
                sa.Column("sha256", sa.Text, nullable=False),
                sa.Column("mime", sa.Text, nullable=False),
                sa.Column("stored", sa.Text, nullable=False),
                sa.Column("owner_id", sa.Integer),  # it was NOT NULL
                sa.Column("created_at", sa.BigInteger, nullable=False),
            ],
            [
                sa.PrimaryKeyConstraint("id", name="attachments_key"),
                sa.UniqueConstraint("code", name="attachments_code_once"),
                sa.UniqueConstraint("stored", name="attachments_stored_once"),
                sa.ForeignKeyConstraint(
                    ["owner_id"], ["accounts.id"], name="attachments_owner_id_exists"
                ),
            ],
        ),
        "messages": (
            [
                sa.Column("id", sa.Integer, nullable=False),
                sa.Column("conversation_id", sa.BigInteger, nullable=False),
                sa.Column("seq", sa.BigInteger, nullable=False),
                sa.Column("sender_id", sa.BigInteger),
                sa.Column("sender", sa.Text, nullable=False),
                sa.Column("at", sa.BigInteger, nullable=False),
                sa.Column("text", sa.Text),
                sa.Column("attachment_id", sa.Integer),
            ],
            [
                sa.PrimaryKeyConstraint("id", name="messages_key"),
                sa.ForeignKeyConstraint(
                    ["attachment_id"], ["attachments.id"], name="messages_attachment_id_exists"
                ),
            ],
        ),
    }


def _add_tables() -> None:
    op.create_table(
        "remote_members",
        sa.Column("conversation_id", _ID, nullable=False, comment="a group here"),
        sa.Column("key", sa.Text, nullable=False, comment="the member's address without case"),
        sa.Column("address", sa.Text, nullable=False, comment="as shown: name@realm"),
        sa.Column("realm", sa.Text, nullable=False, comment="key of the member's realm"),
        sa.Column("admin", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("joined_at", sa.BigInteger, nullable=False, comment=_MS),
        sa.PrimaryKeyConstraint("conversation_id", "key", name="remote_members_key"),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            ["conversations.id"],
            name="remote_members_conversation_id_exists",
        ),
    )
    op.create_table(
        "peers",
        sa.Column("key", sa.Text, nullable=False, comment="the realm's name without case"),
        sa.Column("name", sa.Text, nullable=False, comment="as the realm itself writes it"),
        sa.Column("host", sa.Text, comment="where it is reached; NULL: it comes to us"),
        sa.Column("port", sa.Integer),
        sa.Column(
            "certificate",
            sa.Text,
            comment="PEM: the one that it has to show; NULL: not seen yet",
        ),
        sa.Column("created_at", sa.BigInteger, nullable=False, comment=_MS),
        sa.PrimaryKeyConstraint("key", name="peers_key"),
    )
    op.create_table(
        "outbox",
        sa.Column(
            "realm", sa.Text, nullable=False, comment="key of the realm that it has to reach"
        ),
        sa.Column("id", sa.BigInteger, nullable=False, comment="1, 2, 3 ... and never again"),
        sa.Column(
            "sender_id",
            sa.BigInteger,
            comment="the account to be told if it can't be delivered",
        ),
        sa.Column("attachment_id", sa.BigInteger, comment="the file that has to go first"),
        sa.Column("created_at", sa.BigInteger, nullable=False, comment=_MS),
        sa.Column(
            "parcel",
            sa.LargeBinary,
            nullable=False,
            comment="what crosses (chatd.federation.parcels), encoded",
        ),
        sa.PrimaryKeyConstraint("realm", "id", name="outbox_key"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "settings",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("name", name="settings_key"),
        comment="what the realm remembers of itself",
    )


def _add_indexes() -> None:
    op.create_index("groups_by_home", "groups", ["realm", "home_id"], unique=True)
    op.create_index("attachments_by_realm", "attachments", ["realm"])
    op.create_index(
        "messages_by_origin",
        "messages",
        ["origin_realm", "origin_id"],
        unique=True,
        sqlite_where=sa.text("origin_id IS NOT NULL"),
        postgresql_where=sa.text("origin_id IS NOT NULL"),
    )
