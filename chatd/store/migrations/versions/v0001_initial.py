"""The first schema: accounts, conversations with their messages, and attachments.

The migration is self-contained: it does not import chatd.store.schema, which changes over time.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

# SQLite assigns ids only if the type of the key is INTEGER.
_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_MS = "ms since 1970 UTC"


def upgrade() -> None:
    _people()
    _conversations()
    _contents()


def _people() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", _ID, nullable=False),
        sa.Column("name", sa.Text, nullable=False, comment="as typed (NFC)"),
        sa.Column("key", sa.Text, nullable=False, comment="the name without case"),
        sa.Column("password", sa.Text, nullable=False, comment="Argon2id hash, PHC string format"),
        sa.Column("display_name", sa.Text, nullable=False),
        sa.Column("country", sa.Text, nullable=False),
        sa.Column(
            "operator",
            sa.Boolean,
            nullable=False,
            server_default=sa.false(),
            comment="may add realms",
        ),
        sa.Column("created_at", sa.BigInteger, nullable=False, comment=_MS),
        sa.PrimaryKeyConstraint("id", name="accounts_key"),
        sa.UniqueConstraint("key", name="accounts_key_once"),
    )
    op.create_table(
        "sessions",
        sa.Column("id", _ID, nullable=False),
        sa.Column("token_hash", sa.LargeBinary, nullable=False, comment="SHA-256 of the token"),
        sa.Column("account_id", _ID, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False, comment=_MS),
        sa.Column("expires_at", sa.BigInteger, nullable=False, comment=_MS),
        sa.PrimaryKeyConstraint("id", name="sessions_key"),
        sa.UniqueConstraint("token_hash", name="sessions_token_hash_once"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="sessions_account_id_exists"),
    )
    op.create_index("sessions_by_account_id", "sessions", ["account_id"])
    op.create_index("sessions_by_expires_at", "sessions", ["expires_at"])
    op.create_table(
        "contacts",
        sa.Column("account_id", _ID, nullable=False, comment="whose list"),
        sa.Column("key", sa.Text, nullable=False, comment="the address without case"),
        sa.Column("address", sa.Text, nullable=False, comment="as shown: name, or name@realm"),
        sa.PrimaryKeyConstraint("account_id", "key", name="contacts_key"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="contacts_account_id_exists"),
    )


def _conversations() -> None:
    op.create_table(
        "conversations",
        sa.Column("id", _ID, nullable=False),
        sa.Column("kind", sa.Text, nullable=False, comment="direct or group"),
        sa.Column("created_at", sa.BigInteger, nullable=False, comment=_MS),
        sa.PrimaryKeyConstraint("id", name="conversations_key"),
    )
    op.create_table(
        "groups",
        sa.Column("conversation_id", _ID, nullable=False),
        sa.Column("name", sa.Text, nullable=False, comment="as typed (NFC)"),
        sa.Column("key", sa.Text, comment="the name without case; NULL once the group has ended"),
        sa.Column("code", sa.Text, comment="six characters; NULL once the group has ended"),
        sa.Column(
            "closed",
            sa.Boolean,
            nullable=False,
            server_default=sa.false(),
            comment="only members post",
        ),
        sa.PrimaryKeyConstraint("conversation_id", name="groups_key"),
        sa.ForeignKeyConstraint(
            ["conversation_id"], ["conversations.id"], name="groups_conversation_id_exists"
        ),
        sa.UniqueConstraint("key", name="groups_key_once"),
        sa.UniqueConstraint("code", name="groups_code_once"),
    )
    op.create_table(
        "participants",
        sa.Column("account_id", _ID, nullable=False),
        sa.Column("conversation_id", _ID, nullable=False),
        sa.Column(
            "peer", sa.Text, comment="direct: the other party's address as shown; NULL in a group"
        ),
        sa.Column(
            "peer_key", sa.Text, comment="direct: that address without case; NULL in a group"
        ),
        sa.Column(
            "read_seq",
            sa.BigInteger,
            nullable=False,
            server_default="0",
            comment="the read mark",
        ),
        sa.Column(
            "admin",
            sa.Boolean,
            nullable=False,
            server_default=sa.false(),
            comment="of a group",
        ),
        sa.Column("joined_at", sa.BigInteger, nullable=False, comment=_MS),
        sa.PrimaryKeyConstraint("account_id", "conversation_id", name="participants_key"),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="participants_account_id_exists"
        ),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            ["conversations.id"],
            name="participants_conversation_id_exists",
        ),
    )
    op.create_index("participants_by_conversation_id", "participants", ["conversation_id"])
    op.create_index(
        "participants_direct_once", "participants", ["account_id", "peer_key"], unique=True
    )


def _contents() -> None:
    op.create_table(
        "attachments",
        sa.Column("id", _ID, nullable=False),
        sa.Column("code", sa.Text, nullable=False, comment="by which it is fetched"),
        sa.Column("name", sa.Text, nullable=False, comment="the sender's, made safe"),
        sa.Column("size", sa.BigInteger, nullable=False, comment="bytes"),
        sa.Column("sha256", sa.Text, nullable=False, comment="hexadecimal"),
        sa.Column("mime", sa.Text, nullable=False, comment="media type, by the first bytes"),
        sa.Column("stored", sa.Text, nullable=False, comment="its name in the uploads folder"),
        sa.Column("owner_id", _ID, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False, comment=_MS),
        sa.PrimaryKeyConstraint("id", name="attachments_key"),
        sa.UniqueConstraint("code", name="attachments_code_once"),
        sa.UniqueConstraint("stored", name="attachments_stored_once"),
        sa.ForeignKeyConstraint(["owner_id"], ["accounts.id"], name="attachments_owner_id_exists"),
    )
    op.create_index("attachments_by_name", "attachments", ["name"])
    op.create_index("attachments_by_owner_id", "attachments", ["owner_id"])
    op.create_table(
        "messages",
        sa.Column("id", _ID, nullable=False, comment="in the order in which the realm took them"),
        sa.Column("conversation_id", sa.BigInteger, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False, comment="1, 2, 3 ... in its conversation"),
        sa.Column(
            "sender_id", sa.BigInteger, comment="the account, if the sender is of this realm"
        ),
        sa.Column("sender", sa.Text, nullable=False, comment="the sender's address as shown"),
        sa.Column("at", sa.BigInteger, nullable=False, comment=_MS),
        sa.Column("text", sa.Text, comment="NULL where it is an attachment"),
        sa.Column("attachment_id", _ID),
        sa.PrimaryKeyConstraint("id", name="messages_key"),
        sa.ForeignKeyConstraint(
            ["attachment_id"], ["attachments.id"], name="messages_attachment_id_exists"
        ),
    )
    op.create_index(
        "messages_by_conversation",
        "messages",
        ["conversation_id", "seq", "sender_id"],
        unique=True,
    )
    op.create_index(
        "messages_by_attachment",
        "messages",
        ["attachment_id"],
        sqlite_where=sa.text("attachment_id IS NOT NULL"),
        postgresql_where=sa.text("attachment_id IS NOT NULL"),
    )
