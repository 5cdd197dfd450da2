"""What realms know of each other: signatures, keys, invitations, and posts that wait for their number.

The migration is self-contained: it does not import chatd.store.schema, which changes over time.
"""

from __future__ import annotations

import msgspec
import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

_PARCEL = ("realm", "id", "sender_id", "attachment_id", "created_at", "parcel")


def upgrade() -> None:
    if op.get_context().dialect.name == "sqlite":
        _rebuild_outbox()
    else:
        _alter_outbox()
    _create_payloads()
    _index_outbox()
    _create_privacy()
    _add_realms_of_contacts()
    _create_received()
    _create_signatures()
    _create_peer_marks()
    _create_realm_keys()
    _create_invitations()
    _create_invited()
    _create_join_requests()
    _create_change_requests()
    _create_pasts()
    _create_awaiting()
    _add_pending()
    _rebuild_sends()


def _id_type() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


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
        sa.Column("mac", sa.LargeBinary),
        sa.Column("payload_id", sa.BigInteger),
        sa.PrimaryKeyConstraint("realm", "id", name="outbox_key"),
        sqlite_with_rowid=False,
    )
    old = sa.table("outbox_before", *(sa.column(each) for each in _PARCEL))
    op.get_bind().execute(table.insert().from_select(list(_PARCEL), sa.select(old)))
    op.drop_table("outbox_before")


def _alter_outbox() -> None:
    comment = "only the newest parcel about it has to wait; NULL: all have"
    op.add_column("outbox", sa.Column("subject", sa.Text, comment=comment))
    comment = "keyed hash of the parcel; NULL: of an older version"
    op.add_column("outbox", sa.Column("mac", sa.LargeBinary, comment=comment))
    comment = "payloads.id; NULL: the parcel is here"
    op.add_column("outbox", sa.Column("payload_id", sa.BigInteger, comment=comment))
    op.alter_column("outbox", "attachment_id", comment="the file that it names")
    comment = "what crosses (chatd.federation.parcels), encoded; empty: in payloads"
    op.alter_column("outbox", "parcel", comment=comment)


def _create_payloads() -> None:
    """One row has the parcel that waits for several realms."""
    op.create_table(
        "payloads",
        sa.Column("id", sa.BigInteger, nullable=False, comment="the number of the parcel"),
        sa.Column("parcel", sa.LargeBinary, nullable=False, comment="as outbox.parcel"),
        sa.PrimaryKeyConstraint("id", name="payloads_key"),
    )


def _add_realms_of_contacts() -> None:
    comment = "key of their realm; NULL: ours"
    if op.get_context().dialect.name == "sqlite":
        _rebuild_contacts(comment)
        realm = "substr(key, instr(key, '@') + 1)"
    else:
        op.add_column("contacts", sa.Column("realm", sa.Text, comment=comment))
        realm = "split_part(key, '@', 2)"
    op.execute(f"UPDATE contacts SET realm = {realm} WHERE key LIKE '%@%'")  # noqa: S608
    op.create_index("contacts_by_key", "contacts", ["key"])
    op.create_index(
        "contacts_by_realm",
        "contacts",
        ["realm", "key"],
        sqlite_where=sa.text("realm IS NOT NULL"),
        postgresql_where=sa.text("realm IS NOT NULL"),
    )


def _rebuild_contacts(comment: str) -> None:
    """Copy the table, as in `_rebuild_messages`."""
    op.rename_table("contacts", "contacts_before")
    table = op.create_table(
        "contacts",
        sa.Column("account_id", sa.Integer, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("realm", sa.Text, comment=comment),
        sa.PrimaryKeyConstraint("account_id", "key", name="contacts_key"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="contacts_account_id_exists"),
    )
    kept = ["account_id", "key", "address"]
    old = sa.table("contacts_before", *map(sa.column, kept))
    op.get_bind().execute(table.insert().from_select(kept, sa.select(old)))
    op.drop_table("contacts_before")


def _index_outbox() -> None:
    for name, columns, where in (
        ("outbox_by_subject", ["realm", "subject"], "subject IS NOT NULL"),
        ("outbox_by_payload", ["payload_id"], "payload_id IS NOT NULL"),
        ("outbox_by_attachment", ["attachment_id"], "attachment_id IS NOT NULL"),
    ):
        condition = sa.text(where)
        op.create_index(name, "outbox", columns, sqlite_where=condition, postgresql_where=condition)


def _create_privacy() -> None:
    op.create_table(
        "privacy",
        sa.Column("account_id", _id_type(), nullable=False),
        sa.Column(
            "receipts",
            sa.Boolean,
            nullable=False,
            comment="shows others how far it has read, and sees that of others",
        ),
        sa.Column(
            "version",
            sa.BigInteger,
            nullable=False,
            comment="when that was switched: above the version of each conversation until then",
        ),
        sa.PrimaryKeyConstraint("account_id", name="privacy_key"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="privacy_account_id_exists"),
    )


def _create_received() -> None:
    op.create_table(
        "received",
        sa.Column("realm", sa.Text, nullable=False, comment="key of the realm that sent them"),
        sa.Column("number", sa.BigInteger, nullable=False, comment="their numbers there"),
        sa.PrimaryKeyConstraint("realm", "number", name="received_key"),
        sqlite_with_rowid=False,
    )


def _create_signatures() -> None:
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


def _create_peer_marks() -> None:
    op.create_table(
        "peer_marks",
        sa.Column("realm", sa.Text, nullable=False, comment="key of the other realm"),
        sa.Column(
            "received",
            sa.BigInteger,
            nullable=False,
            comment="its parcels up to this number were kept or refused",
        ),
        sa.Column(
            "acknowledged",
            sa.BigInteger,
            nullable=False,
            comment="our newest parcel that it has acknowledged",
        ),
        sa.Column(
            "settled",
            sa.BigInteger,
            nullable=False,
            comment="the first number of our last start after which it has returned what we lacked",
        ),
        sa.PrimaryKeyConstraint("realm", name="peer_marks_key"),
        sqlite_with_rowid=False,
    )


def _create_realm_keys() -> None:
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


def _create_invitations() -> None:
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


def _create_invited() -> None:
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


def _create_join_requests() -> None:
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


_WAITING = """
SELECT outbox.realm, outbox.id, sender_id, attachment_id, parcel, coalesce(peers.name, outbox.realm)
FROM outbox LEFT JOIN peers ON key = outbox.realm
WHERE sender_id IS NOT NULL ORDER BY outbox.id
"""
_MIRROR = """
SELECT conversation_id FROM groups JOIN participants USING (conversation_id)
WHERE groups.realm = :realm AND name = :group AND account_id = :account
"""
_ADD = """
INSERT INTO pending (id, account_id, conversation_id, "group", realm, number, at, text, attachment_id)
VALUES (:id, :account, :conversation, :group, :realm, :number, :at, :text, :file)
"""
_NAME = "UPDATE sends SET message_id = :id WHERE realm = :realm AND parcel = :number"
_KEYS = """
UPDATE pending SET "key" = (
    SELECT "key" FROM sends WHERE sends.realm = pending.realm AND parcel = number
)
"""


def _create_pasts() -> None:
    """What was written to groups elsewhere before the last member here has joined may be missing."""
    after = "entries after this seq and up to the other may be missing"
    earlier = "how many messages are missing, by the home"
    other, false = "the home was restored: its entries may have other seqs than here", sa.false()
    lost = "this realm may have lost entries after this seq"
    op.create_table(
        "pasts",
        sa.Column("conversation_id", sa.BigInteger, nullable=False),
        sa.Column("first", sa.BigInteger, nullable=False, comment="the first that is wanted"),
        sa.Column("after", sa.BigInteger, nullable=False, comment=after),
        sa.Column("upto", sa.BigInteger, nullable=False),
        sa.Column("earlier", sa.BigInteger, nullable=False, server_default="0", comment=earlier),
        sa.Column("fetched", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("renumbered", sa.Boolean, server_default=false, nullable=False, comment=other),
        sa.Column("lost_after", sa.BigInteger, comment=lost),
        sa.PrimaryKeyConstraint("conversation_id", name="pasts_key"),
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO pasts (conversation_id, first, after, upto) "
        "SELECT g.conversation_id, 0, 0, r.floor FROM groups g JOIN rosters r "
        "ON r.conversation_id = g.conversation_id "
        "WHERE g.realm IS NOT NULL AND g.key IS NOT NULL AND r.members > 0"
    )


def _create_awaiting() -> None:
    realm = "key of the message's author's realm; empty: ours"
    parcel = "of a change; NULL: a message here that replies to it"
    op.create_table(
        "awaiting",
        sa.Column("conversation_id", sa.BigInteger, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False, comment="of the entry"),
        sa.Column("realm", sa.Text, nullable=False, comment=realm),
        sa.Column("number", sa.BigInteger, nullable=False, comment="of the message there"),
        sa.Column("parcel", sa.LargeBinary, comment=parcel),
        sa.PrimaryKeyConstraint("conversation_id", "seq", name="awaiting_key"),
        sqlite_with_rowid=False,
    )
    op.create_index("awaiting_by_message", "awaiting", ["conversation_id", "realm", "number"])


def _add_pending() -> None:
    """The messages that wait for the homes of their groups become pending, each with an id of its own."""
    if op.get_context().as_sql:
        return  # statements are printed, and there are no rows to read
    connection = op.get_bind()
    ident = connection.scalar(sa.text("SELECT coalesce(max(id), 0) FROM messages")) or 0
    for realm, number, sender, file, parcel, name in connection.execute(sa.text(_WAITING)).all():
        kind, *fields = msgspec.msgpack.decode(parcel)
        if kind != "post":
            continue
        ident += 1
        _, group, at, _, text = fields[:5]
        row = {"id": ident, "account": sender, "group": f"{group}@{name}", "realm": realm}
        row |= {"number": number, "at": at, "text": text, "file": file}
        row["conversation"] = connection.scalar(sa.text(_MIRROR), row)
        connection.execute(sa.text(_ADD), row)
        connection.execute(sa.text(_NAME), row)
    connection.execute(sa.text(_KEYS))


def _create_change_requests() -> None:
    op.create_table(
        "change_requests",
        sa.Column("number", sa.BigInteger, nullable=False, comment="of the parcel"),
        sa.Column("realm", sa.Text, nullable=False, comment="key of the group's realm"),
        sa.Column("conversation_id", sa.BigInteger, nullable=False),
        sa.Column("target", sa.BigInteger, nullable=False, comment="the seq of the message"),
        sa.Column("account_id", sa.BigInteger, nullable=False, comment="who changes it"),
        sa.Column("at", sa.BigInteger, nullable=False, comment="ms since 1970 UTC"),
        sa.Column("parcel", sa.LargeBinary, nullable=False, comment="signed"),
        sa.PrimaryKeyConstraint("number", name="change_requests_key"),
        sqlite_with_rowid=False,
    )
    op.create_index("change_requests_by_target", "change_requests", ["conversation_id", "target"])
    op.create_index("change_requests_by_realm", "change_requests", ["realm", "number"])


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
