"""One log for each conversation: changes of messages as entries, what is known of a log, and signed entries.

The migration is self-contained: it does not import chatd.store.schema, which changes over time.
"""

from __future__ import annotations

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
_TEXT = "NULL where it is an attachment, or opaque, or deleted"
_ORIGIN_REALM = "key of the realm of its author; NULL: ours"
_ORIGIN_ID = "its number there"
_NUMBER = "ours, and it crosses: its number here"
_WITH_FILE = "attachment_id IS NOT NULL"
_WITH_ORIGIN = "origin_id IS NOT NULL"
_ORIGIN = ["origin_realm", "origin_id", "conversation_id"]


def upgrade() -> None:
    op.create_table(
        "privacy",
        sa.Column("account_id", _id_type(), nullable=False),
        sa.Column(
            "receipts",
            sa.Boolean,
            nullable=False,
            comment="shows others how far it has read, and sees that of others",
        ),
        sa.PrimaryKeyConstraint("account_id", name="privacy_key"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="privacy_account_id_exists"),
    )
    if op.get_context().dialect.name == "sqlite":
        _rebuild_messages()
        _rebuild_outbox()
    else:
        _alter_messages()
        _alter_outbox()
    _create_index("messages_by_number", ["number"], "number IS NOT NULL")
    _create_index("messages_by_deletion", ["conversation_id", "seq"], "deleted_at IS NOT NULL")
    _create_index("messages_by_shown_id", ["shown_id"], "shown_id IS NOT NULL")
    _create_log()
    _create_realms()
    _add_pending()
    _rebuild_sends()
    _create_search()


def _id_type() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _new_columns() -> list[sa.Column[object]]:
    return [
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
            "shown_id",
            sa.BigInteger,
            comment="the id that it had while it was pending; NULL: id",
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
    in_order = sa.select(old).order_by(old.c.id)
    op.get_bind().execute(table.insert().from_select([*_MESSAGE, "number"], in_order))
    op.drop_table("messages_before")
    _create_index(
        "messages_by_conversation", ["conversation_id", "seq", "sender_id"], None, unique=True
    )
    _create_index("messages_by_attachment", ["attachment_id"], _WITH_FILE)
    _create_index("messages_by_file", ["conversation_id", "attachment_id"], _WITH_FILE)
    _create_index("messages_by_origin", _ORIGIN, _WITH_ORIGIN, unique=True)


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
    op.drop_index("messages_by_origin", "messages")
    _create_index("messages_by_origin", _ORIGIN, _WITH_ORIGIN, unique=True)


_PARCEL = ("realm", "id", "sender_id", "attachment_id", "created_at", "parcel")


def _rebuild_outbox() -> None:
    """Copy the table, as in `_rebuild_messages`."""
    op.rename_table("outbox", "outbox_before")
    table = op.create_table(
        "outbox",
        sa.Column("realm", sa.Text, nullable=False),
        sa.Column("id", sa.BigInteger, nullable=False),
        sa.Column("sender_id", sa.BigInteger),
        sa.Column("attachment_id", sa.BigInteger),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("parcel", sa.LargeBinary, nullable=False),
        sa.Column("subject", sa.Text),
        sa.PrimaryKeyConstraint("realm", "id", name="outbox_key"),
        sqlite_with_rowid=False,
    )
    old = sa.table("outbox_before", *(sa.column(each) for each in _PARCEL))
    op.get_bind().execute(table.insert().from_select(list(_PARCEL), sa.select(old)))
    op.drop_table("outbox_before")


def _alter_outbox() -> None:
    comment = "only the newest parcel about it has to wait; NULL: all have"
    op.add_column("outbox", sa.Column("subject", sa.Text, comment=comment))


def _create_log() -> None:
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
        sa.PrimaryKeyConstraint("conversation_id", "seq", name="changes_key"),
        sqlite_with_rowid=False,
    )
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
    op.create_table(
        "erased_files",
        sa.Column("stored", sa.Text, nullable=False, comment="its name in the uploads folder"),
        sa.PrimaryKeyConstraint("stored", name="erased_files_key"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "pins",
        sa.Column("conversation_id", sa.BigInteger, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False, comment="of the message"),
        sa.Column("by", sa.Text, nullable=False, comment="the address of the person who pinned it"),
        sa.Column("at", sa.BigInteger, nullable=False, comment="ms since 1970 UTC"),
        sa.PrimaryKeyConstraint("conversation_id", "seq", name="pins_key"),
        sqlite_with_rowid=False,
    )
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
    op.create_table(
        "terms",
        sa.Column("conversation_id", sa.BigInteger, nullable=False),
        sa.Column("term", sa.BigInteger, nullable=False),
        sa.Column("first", sa.BigInteger, nullable=False, comment="the seq of its first entry"),
        sa.PrimaryKeyConstraint("conversation_id", "term", name="terms_key"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "local_changes",
        sa.Column("conversation_id", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.Text, nullable=False, comment="state, file or mark"),
        sa.Column("subject", sa.Text, nullable=False, comment="a seq, or an address without case"),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("conversation_id", "kind", "subject", name="local_changes_key"),
        sqlite_with_rowid=False,
    )
    op.create_index("local_changes_by_version", "local_changes", ["conversation_id", "version"])
    op.create_table(
        "remote_marks",
        sa.Column("conversation_id", sa.BigInteger, nullable=False),
        sa.Column("key", sa.Text, nullable=False, comment="the address without case"),
        sa.Column("address", sa.Text, nullable=False, comment="as shown: name@realm"),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("conversation_id", "key", name="remote_marks_key"),
        sqlite_with_rowid=False,
    )
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
        sa.PrimaryKeyConstraint("id", name="pending_key"),
        sa.UniqueConstraint("number", name="pending_number_once"),
    )
    op.create_index("pending_by_account", "pending", ["account_id", "conversation_id"])


def _create_realms() -> None:
    with_subject = sa.text("subject IS NOT NULL")
    op.create_index(
        "outbox_by_subject",
        "outbox",
        ["realm", "subject"],
        sqlite_where=with_subject,
        postgresql_where=with_subject,
    )
    op.create_table(
        "received",
        sa.Column("realm", sa.Text, nullable=False, comment="key of the realm that sent them"),
        sa.Column("number", sa.BigInteger, nullable=False, comment="their numbers there"),
        sa.PrimaryKeyConstraint("realm", "number", name="received_key"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "signatures",
        sa.Column("conversation_id", sa.BigInteger, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False, comment="of the message or change"),
        sa.Column(
            "realm",
            sa.Text,
            nullable=False,
            comment="key of the realm that signed, also if it is ours",
        ),
        sa.Column("key", sa.LargeBinary, nullable=False, comment="the id of the signing key"),
        sa.Column(
            "statement", sa.LargeBinary, nullable=False, comment="what is signed, with the hash"
        ),
        sa.Column("proof", sa.LargeBinary, nullable=False, comment="signature and audit path"),
        sa.Column("salt", sa.LargeBinary, comment="of the hash; NULL once the content is deleted"),
        sa.Column(
            "attributes",
            sa.LargeBinary,
            comment="the content but for its text or body; NULL likewise",
        ),
        sa.Column("status", sa.Text, nullable=False, comment="verified, unverified or forged"),
        sa.PrimaryKeyConstraint("conversation_id", "seq", name="signatures_key"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "signatures_unverified",
        "signatures",
        ["realm"],
        sqlite_where=sa.text("status = 'unverified'"),
        postgresql_where=sa.text("status = 'unverified'"),
    )
    op.create_table(
        "realm_keys",
        sa.Column("realm", sa.Text, nullable=False, comment="the realm's key; empty: this realm"),
        sa.Column("id", sa.LargeBinary, nullable=False),
        sa.Column("public", sa.LargeBinary, nullable=False, comment="Ed25519, 32 bytes"),
        sa.Column("since", sa.BigInteger, nullable=False, comment="ms since 1970 UTC"),
        sa.Column("until", sa.BigInteger, comment="ms since 1970 UTC; NULL: in use"),
        sa.PrimaryKeyConstraint("realm", "id", name="realm_keys_key"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "invitations",
        sa.Column("account_id", _id_type(), nullable=False),
        sa.Column("key", sa.Text, nullable=False, comment="the group's address without case"),
        sa.Column("group", sa.Text, nullable=False, comment="as shown: group@realm"),
        sa.Column("realm", sa.Text, nullable=False, comment="key of the group's realm"),
        sa.Column("home_id", sa.BigInteger, nullable=False, comment="the group's id there"),
        sa.Column("title", sa.Text),
        sa.Column("by", sa.Text, nullable=False, comment="the address of the person who invites"),
        sa.Column("at", sa.BigInteger, nullable=False, comment="ms since 1970 UTC"),
        sa.Column(
            "declined",
            sa.Boolean,
            nullable=False,
            server_default=sa.false(),
            comment="until it expires, the same group's further invitations are not shown",
        ),
        sa.PrimaryKeyConstraint("account_id", "key", name="invitations_key"),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="invitations_account_id_exists"
        ),
        sqlite_with_rowid=False,
    )
    op.create_index("invitations_by_at", "invitations", ["at"])
    op.create_table(
        "invited",
        sa.Column("conversation_id", _id_type(), nullable=False, comment="a group here"),
        sa.Column("key", sa.Text, nullable=False, comment="the address without case"),
        sa.Column("at", sa.BigInteger, nullable=False, comment="ms since 1970 UTC"),
        sa.PrimaryKeyConstraint("conversation_id", "key", name="invited_key"),
        sa.ForeignKeyConstraint(
            ["conversation_id"], ["conversations.id"], name="invited_conversation_id_exists"
        ),
        sqlite_with_rowid=False,
    )
    op.create_index("invited_by_at", "invited", ["conversation_id", "at"])
    op.create_table(
        "join_requests",
        sa.Column("account_id", _id_type(), nullable=False),
        sa.Column("key", sa.Text, nullable=False, comment="name@realm or code@realm, without case"),
        sa.Column("realm", sa.Text, nullable=False, comment="key of the group's realm"),
        sa.Column("at", sa.BigInteger, nullable=False, comment="ms since 1970 UTC"),
        sa.PrimaryKeyConstraint("account_id", "key", name="join_requests_key"),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="join_requests_account_id_exists"
        ),
        sqlite_with_rowid=False,
    )
    op.create_index("join_requests_by_realm", "join_requests", ["account_id", "realm"])


def _add_pending() -> None:
    """The messages that wait for the homes of their groups become pending, each with an id of its own."""
    if op.get_context().as_sql:
        return  # statements are printed, and there are no rows to read
    connection = op.get_bind()
    ident = connection.scalar(sa.text("SELECT coalesce(max(id), 0) FROM messages")) or 0
    waiting = connection.execute(
        sa.text(
            "SELECT outbox.realm, outbox.id, sender_id, attachment_id, parcel, "
            "coalesce(peers.name, outbox.realm) FROM outbox LEFT JOIN peers ON key = outbox.realm "
            "WHERE sender_id IS NOT NULL ORDER BY outbox.id"
        )
    )
    for realm, number, sender, file, parcel, name in waiting.all():
        kind, *fields = msgspec.msgpack.decode(parcel)
        if kind != "post":
            continue
        ident += 1
        _, group, at, _, text = fields[:5]
        address = f"{group}@{name}"
        conversation = connection.scalar(
            sa.text(
                "SELECT conversation_id FROM groups JOIN participants USING (conversation_id) "
                "WHERE groups.realm = :realm AND name = :name AND account_id = :account"
            ),
            {"realm": realm, "name": address, "account": sender},
        )
        connection.execute(
            sa.text(
                'INSERT INTO pending (id, account_id, conversation_id, "group", realm, number, '
                "at, text, attachment_id) VALUES (:id, :account, :conversation, :group, :realm, "
                ":number, :at, :text, :file)"
            ),
            {
                "id": ident,
                "account": sender,
                "conversation": conversation,
                "group": address,
                "realm": realm,
                "number": number,
                "at": at,
                "text": text,
                "file": file,
            },
        )
        connection.execute(
            sa.text("UPDATE sends SET message_id = :id WHERE realm = :realm AND parcel = :number"),
            {"id": ident, "realm": realm, "number": number},
        )


def _rebuild_sends() -> None:
    """The state of a message is looked up by its id, no longer by its parcel."""
    seq = "if it is only elsewhere: its number there"
    ident = "of what was sent, also while it is pending"
    refused = sa.Column(
        "refused", sa.Text, comment="if it was dismissed: why it was refused, as in pending"
    )
    if op.get_context().dialect.name != "sqlite":
        op.drop_column("sends", "realm")
        op.drop_column("sends", "parcel")
        op.add_column("sends", refused)
        op.alter_column("sends", "seq", comment=seq)
        op.alter_column("sends", "message_id", comment=ident)
        return
    op.drop_index("sends_by_at", "sends")
    op.rename_table("sends", "sends_before")
    table = op.create_table(
        "sends",
        sa.Column("account_id", sa.BigInteger, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("place", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("conversation_id", sa.BigInteger),
        sa.Column("seq", sa.BigInteger),
        sa.Column("message_id", sa.BigInteger),
        sa.Column("attachment_id", sa.BigInteger),
        refused,
        sa.PrimaryKeyConstraint("account_id", "key", "place", name="sends_key"),
        sqlite_with_rowid=False,
    )
    kept = [column.name for column in table.columns if column.name != "refused"]
    old = sa.table("sends_before", *map(sa.column, kept))
    op.get_bind().execute(table.insert().from_select(kept, sa.select(old)))
    op.drop_table("sends_before")
    op.create_index("sends_by_at", "sends", ["at"])


def _create_search() -> None:
    op.create_table(
        "search_blocks",
        sa.Column("id", _id_type(), nullable=False),
        sa.Column("conversation_id", sa.BigInteger, nullable=False),
        sa.Column("first_seq", sa.BigInteger, nullable=False, comment="of what it covers"),
        sa.Column("last_seq", sa.BigInteger, nullable=False),
        sa.Column("first_id", sa.BigInteger, nullable=False, comment="of its messages"),
        sa.Column("last_id", sa.BigInteger, nullable=False),
        sa.Column(
            "earliest",
            sa.BigInteger,
            nullable=False,
            comment="time of a message, ms since 1970 UTC",
        ),
        sa.Column("latest", sa.BigInteger, nullable=False, comment="ms since 1970 UTC"),
        sa.Column("messages", sa.BigInteger, nullable=False, comment="how many"),
        sa.Column("size", sa.BigInteger, nullable=False, comment="bytes of their texts"),
        sa.PrimaryKeyConstraint("id", name="search_blocks_key"),
    )
    op.create_index(
        "search_blocks_by_conversation",
        "search_blocks",
        ["conversation_id", "last_seq"],
        unique=True,
    )
    op.create_table(
        "search_parts",
        sa.Column("id", _id_type(), nullable=False, comment="the block's id * 4 + the part"),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("id", name="search_parts_key"),
    )
    op.create_table(
        "search_changes",
        sa.Column("id", _id_type(), nullable=False),
        sa.Column("conversation_id", sa.BigInteger, nullable=False),
        sa.Column(
            "seq",
            sa.BigInteger,
            nullable=False,
            comment="of a message with another text than indexed",
        ),
        sa.PrimaryKeyConstraint("id", name="search_changes_key"),
    )
    op.create_index("search_changes_by_conversation", "search_changes", ["conversation_id", "seq"])
    if op.get_context().dialect.name == "sqlite":
        for name, when in (
            ("changed", "UPDATE OF text, attachment_id, deleted_at, media"),
            ("removed", "DELETE"),
        ):
            values = "VALUES (old.conversation_id, old.seq)"
            insert = f"INSERT INTO search_changes (conversation_id, seq) {values}"
            op.execute(
                f"CREATE TRIGGER messages_{name} AFTER {when} ON messages\nBEGIN {insert}; END"
            )
