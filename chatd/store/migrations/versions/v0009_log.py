"""One log for each conversation: changes of messages as entries, and what is known of a log.

The migration is self-contained: it does not import chatd.store.schema, which changes over time.
"""

from __future__ import annotations

import os
from hashlib import blake2b
from typing import Any

import msgspec
import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

_MESSAGE = (
    "id",
    "conversation_id",
    "seq",
    "sender_id",
    "sender",
    "at",
    "text",
    "attachment_id",
    "origin_realm",
    "origin_id",
)
_IN_MAC = ("conversation_id", "seq", "at", "attachment_id", "sender", "text")
_TEXT = "NULL where it is an attachment, or opaque, or deleted"
_ORIGIN_REALM = "key of the realm of its author; NULL: ours"
_ORIGIN_ID = "its number there"
_NUMBER = "ours, and it crosses: its number here"
_WITH_FILE = "attachment_id IS NOT NULL"
_WITH_ORIGIN = "origin_id IS NOT NULL"
_FILE = ["conversation_id", "seq", "attachment_id", "at"]
_ORIGIN = ["origin_realm", "origin_id", "conversation_id"]


def upgrade() -> None:
    if op.get_context().dialect.name == "sqlite":
        _rebuild_messages()
    else:
        _alter_messages()
    _create_index("messages_by_number", ["number"], "number IS NOT NULL")
    _create_index("messages_by_deletion", ["conversation_id", "seq"], "deleted_at IS NOT NULL")
    _create_index("messages_by_shown_id", ["shown_id"], "shown_id IS NOT NULL")
    _create_changes()
    _create_reactions()
    _create_reaction_counts()
    _create_erased_files()
    _create_arrivals()
    _create_file_outcomes()
    _create_pins()
    _create_heads()
    _create_terms()
    _create_local_changes()
    _create_remote_marks()
    _create_pending()


def _id_type() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _new_columns() -> list[sa.Column[object]]:
    return [
        sa.Column(
            "shown_id",
            sa.BigInteger,
            comment="the id that it had while it was pending; NULL: id",
        ),
        sa.Column(
            "seal",
            sa.LargeBinary,
            comment="of the realm that wrote it in a direct; only that can check it",
        ),
        sa.Column(
            "mac", sa.LargeBinary, comment="keyed hash of the content; NULL once it is deleted"
        ),
        sa.Column("reply", sa.BigInteger, comment="the seq of the message that it replies to"),
        sa.Column("edited_at", sa.BigInteger, comment="ms since 1970 UTC"),
        sa.Column("deleted_at", sa.BigInteger, comment="ms since 1970 UTC"),
        sa.Column(
            "forwarded",
            sa.Text,
            comment="the address that wrote the message it was forwarded from",
        ),
        sa.Column("mentions", sa.Text, comment="JSON: the addresses that it mentions"),
        sa.Column("media", sa.Text, comment="opaque: the media type of `body`"),
        sa.Column("body", sa.LargeBinary, comment="opaque: bytes that nobody here reads"),
        sa.Column(
            "refused",
            sa.Text,
            comment="JSON: why another realm refused it, code and sentence",
        ),
        sa.Column(
            "imported",
            sa.Boolean,
            comment="from an archive: not verified, or else verified; NULL: it is not",
        ),
    ]


def _create_index(name: str, columns: list[str], where: str | None, unique: bool = False) -> None:
    condition = None if where is None else sa.text(where)
    op.create_index(
        name,
        "messages",
        columns,
        unique=unique,
        sqlite_where=condition,
        postgresql_where=condition,
    )


def _rebuild_messages() -> None:
    """Copy the table, because SQLite adds columns after the constraints. Nothing refers to it."""
    for index in ("by_conversation", "by_attachment", "by_file", "by_origin"):
        op.drop_index(f"messages_{index}", "messages")
    op.rename_table("messages", "messages_before")
    table = op.create_table(
        "messages",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("conversation_id", sa.BigInteger, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("sender_id", sa.BigInteger),
        sa.Column("sender", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("text", sa.Text),
        sa.Column("attachment_id", sa.Integer),
        sa.Column("origin_realm", sa.Text),
        sa.Column("origin_id", sa.BigInteger),
        sa.Column("number", sa.BigInteger),
        *_new_columns(),
        sa.PrimaryKeyConstraint("id", name="messages_key"),
        sa.ForeignKeyConstraint(
            ["attachment_id"], ["attachments.id"], name="messages_attachment_id_exists"
        ),
    )
    old = sa.table("messages_before", *(sa.column(each) for each in (*_MESSAGE, "parcel")))
    _prepare_macs()
    mac = sa.func.mac_of(*(old.c[each] for each in _IN_MAC))
    in_order = sa.select(old, mac).order_by(old.c.id)
    op.get_bind().execute(table.insert().from_select([*_MESSAGE, "number", "mac"], in_order))
    op.drop_table("messages_before")
    _create_index(
        "messages_by_conversation", ["conversation_id", "seq", "sender_id"], None, unique=True
    )
    _create_index("messages_by_attachment", ["attachment_id"], _WITH_FILE)
    _create_index("messages_by_file", _FILE, _WITH_FILE)
    _create_index("messages_by_origin", _ORIGIN, _WITH_ORIGIN, unique=True)


def _prepare_macs() -> None:
    """Make the key of the MACs and the function that copies of messages get theirs from (see
    chatd.store.macs), because a second pass over the table takes much longer."""
    key = os.urandom(32)
    encode = msgspec.msgpack.Encoder().encode

    def mac_of(*values: object) -> bytes:
        return blake2b(encode(values), digest_size=8, key=key).digest()

    connection = op.get_bind()
    driver: Any = connection.connection.driver_connection
    driver.create_function("mac_of", len(_IN_MAC), mac_of, deterministic=True)
    settings = sa.table("settings", sa.column("name"), sa.column("value"))
    connection.execute(sa.insert(settings).values(name="content key", value=key.hex()))


def _alter_messages() -> None:
    op.alter_column("messages", "parcel", new_column_name="number")
    for name, comment in (
        ("text", _TEXT),
        ("origin_realm", _ORIGIN_REALM),
        ("origin_id", _ORIGIN_ID),
        ("number", _NUMBER),
    ):
        op.alter_column("messages", name, comment=comment)
    for column in _new_columns():
        op.add_column("messages", column)
    for index in ("by_file", "by_origin"):
        op.drop_index(f"messages_{index}", "messages")
    _create_index("messages_by_file", _FILE, _WITH_FILE)
    _create_index("messages_by_origin", _ORIGIN, _WITH_ORIGIN, unique=True)


def _create_changes() -> None:
    op.create_table(
        "changes",
        sa.Column("conversation_id", sa.BigInteger, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False, comment="shared with messages"),
        sa.Column(
            "kind",
            sa.Text,
            nullable=False,
            comment="edited, deleted, reaction, pinned, member, group",
        ),
        sa.Column("at", sa.BigInteger, nullable=False, comment="ms since 1970 UTC"),
        sa.Column(
            "author_id", sa.BigInteger, comment="the account, if the author is of this realm"
        ),
        sa.Column("author", sa.Text, nullable=False, comment="the author's address as shown"),
        sa.Column("target", sa.BigInteger, comment="the seq of the message that it changes"),
        sa.Column("data", sa.Text, comment="JSON: the fields of the kind; no content of messages"),
        sa.Column("origin_realm", sa.Text, comment="key of the realm of its author; NULL: ours"),
        sa.Column("origin_id", sa.BigInteger, comment="its number there"),
        sa.Column("number", sa.BigInteger, comment="ours, and it crosses: its number here"),
        sa.Column(
            "seal",
            sa.LargeBinary,
            comment="of the realm that wrote it in a direct; only that can check it",
        ),
        sa.Column("mac", sa.LargeBinary, comment="keyed hash of what it says"),
        sa.PrimaryKeyConstraint("conversation_id", "seq", name="changes_key"),
        sqlite_with_rowid=False,
    )
    _index_changes()


def _index_changes() -> None:
    op.create_index(
        "changes_by_number",
        "changes",
        ["number"],
        sqlite_where=sa.text("number IS NOT NULL"),
        postgresql_where=sa.text("number IS NOT NULL"),
    )
    op.create_index(
        "changes_by_origin",
        "changes",
        _ORIGIN,
        unique=True,
        sqlite_where=sa.text("origin_id IS NOT NULL"),
        postgresql_where=sa.text("origin_id IS NOT NULL"),
    )
    op.create_index("changes_by_target", "changes", ["conversation_id", "target"])


def _create_reactions() -> None:
    op.create_table(
        "reactions",
        sa.Column("conversation_id", sa.BigInteger, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False, comment="of the message"),
        sa.Column("emoji", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False, comment="the person's address without case"),
        sa.Column("address", sa.Text, nullable=False, comment="as shown: name, or name@realm"),
        sa.Column("at", sa.BigInteger, nullable=False, comment="ms since 1970 UTC"),
        sa.PrimaryKeyConstraint("conversation_id", "seq", "emoji", "key", name="reactions_key"),
        sqlite_with_rowid=False,
    )


def _create_reaction_counts() -> None:
    op.create_table(
        "reaction_counts",
        sa.Column("conversation_id", sa.BigInteger, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False, comment="of the message"),
        sa.Column("emoji", sa.Text, nullable=False),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False, comment="ms since 1970 UTC"),
        sa.PrimaryKeyConstraint("conversation_id", "seq", "emoji", name="reaction_counts_key"),
        sqlite_with_rowid=False,
    )


def _create_erased_files() -> None:
    op.create_table(
        "erased_files",
        sa.Column("stored", sa.Text, nullable=False, comment="its name in the uploads folder"),
        sa.PrimaryKeyConstraint("stored", name="erased_files_key"),
        sqlite_with_rowid=False,
    )


def _create_arrivals() -> None:
    op.create_table(
        "arrivals",
        sa.Column("attachment_id", sa.BigInteger, nullable=False),
        sa.Column("realm", sa.Text, nullable=False, comment="key of the realm that has the bytes"),
        sa.Column("heard_at", sa.BigInteger, nullable=False, comment="ms since 1970 UTC"),
        sa.Column("lost", sa.Text, comment="why it will not come, a code; NULL: it arrives"),
        sa.Column(
            "waits",
            sa.Boolean,
            nullable=False,
            server_default=sa.false(),
            comment="it arrives later: no bytes are reserved for it yet",
        ),
        sa.PrimaryKeyConstraint("attachment_id", name="arrivals_key"),
        sqlite_with_rowid=False,
    )
    arriving = sa.text("lost IS NULL")
    op.create_index(
        "arrivals_by_realm", "arrivals", ["realm"], sqlite_where=arriving, postgresql_where=arriving
    )


def _create_file_outcomes() -> None:
    op.create_table(
        "lost_files",
        sa.Column("conversation_id", sa.BigInteger, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False, comment="of the message"),
        sa.Column("lost", sa.Text, nullable=False, comment="why, a code"),
        sa.PrimaryKeyConstraint("conversation_id", "seq", name="lost_files_key"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "posted_files",
        sa.Column("number", sa.BigInteger, nullable=False, comment="of the post's parcel"),
        sa.Column("realm", sa.Text, nullable=False, comment="key of the group's realm"),
        sa.Column("group", sa.Text, nullable=False, comment="its address as shown: group@realm"),
        sa.Column("attachment_id", sa.BigInteger, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False, comment="ms since 1970 UTC"),
        sa.PrimaryKeyConstraint("number", name="posted_files_key"),
        sqlite_with_rowid=False,
    )
    op.create_index("posted_files_by_attachment", "posted_files", ["attachment_id"])


def _create_pins() -> None:
    op.create_table(
        "pins",
        sa.Column("conversation_id", sa.BigInteger, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False, comment="of the message"),
        sa.Column("by", sa.Text, nullable=False, comment="the address of the person who pinned it"),
        sa.Column("at", sa.BigInteger, nullable=False, comment="ms since 1970 UTC"),
        sa.PrimaryKeyConstraint("conversation_id", "seq", name="pins_key"),
        sqlite_with_rowid=False,
    )


def _create_heads() -> None:
    op.create_table(
        "heads",
        sa.Column("conversation_id", sa.BigInteger, nullable=False),
        sa.Column(
            "epoch",
            sa.BigInteger,
            nullable=False,
            server_default="0",
            comment="grows with each change of membership or rights",
        ),
        sa.Column(
            "version",
            sa.BigInteger,
            nullable=False,
            server_default="0",
            comment="grows with what changes without an entry: states, files, read marks",
        ),
        sa.PrimaryKeyConstraint("conversation_id", name="heads_key"),
    )


def _create_terms() -> None:
    op.create_table(
        "terms",
        sa.Column("conversation_id", sa.BigInteger, nullable=False),
        sa.Column("term", sa.BigInteger, nullable=False),
        sa.Column("first", sa.BigInteger, nullable=False, comment="the seq of its first entry"),
        sa.PrimaryKeyConstraint("conversation_id", "term", name="terms_key"),
        sqlite_with_rowid=False,
    )


def _create_local_changes() -> None:
    op.create_table(
        "local_changes",
        sa.Column("conversation_id", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.Text, nullable=False, comment="state, file, mark or trust"),
        sa.Column("subject", sa.Text, nullable=False, comment="a seq, or an address without case"),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("conversation_id", "kind", "subject", name="local_changes_key"),
        sqlite_with_rowid=False,
    )
    op.create_index("local_changes_by_version", "local_changes", ["conversation_id", "version"])


def _create_remote_marks() -> None:
    op.create_table(
        "remote_marks",
        sa.Column("conversation_id", sa.BigInteger, nullable=False),
        sa.Column("key", sa.Text, nullable=False, comment="the address without case"),
        sa.Column("address", sa.Text, nullable=False, comment="as shown: name@realm"),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("conversation_id", "key", name="remote_marks_key"),
        sqlite_with_rowid=False,
    )


def _create_pending() -> None:
    op.create_table(
        "pending",
        sa.Column(
            "id", _id_type(), nullable=False, comment="of the message, also once it is numbered"
        ),
        sa.Column("account_id", sa.BigInteger, nullable=False, comment="who sent it"),
        sa.Column(
            "conversation_id",
            sa.BigInteger,
            comment="the group's here; NULL: the sender is no member",
        ),
        sa.Column("group", sa.Text, nullable=False, comment="its address as shown: group@realm"),
        sa.Column("realm", sa.Text, nullable=False, comment="key of the group's realm"),
        sa.Column("number", sa.BigInteger, nullable=False, comment="of its parcel"),
        sa.Column("at", sa.BigInteger, nullable=False, comment="ms since 1970 UTC"),
        sa.Column("text", sa.Text),
        sa.Column("attachment_id", sa.BigInteger),
        sa.Column("reply", sa.BigInteger),
        sa.Column("forwarded", sa.Text),
        sa.Column("mentions", sa.Text, comment="JSON: the addresses that it mentions"),
        sa.Column("media", sa.Text),
        sa.Column("body", sa.LargeBinary),
        sa.Column("refused", sa.Text, comment="JSON: why it was refused, code and sentence"),
        sa.Column("key", sa.Text, comment="that of the send (table sends); NULL: it has none"),
        sa.Column(
            "mac", sa.LargeBinary, comment="keyed hash of the content; NULL: of an older version"
        ),
        sa.PrimaryKeyConstraint("id", name="pending_key"),
        sa.UniqueConstraint("number", name="pending_number_once"),
    )
    op.create_index("pending_by_account", "pending", ["account_id", "conversation_id"])
    with_file = sa.text(_WITH_FILE)
    op.create_index(
        "pending_by_attachment",
        "pending",
        ["attachment_id"],
        sqlite_where=with_file,
        postgresql_where=with_file,
    )
