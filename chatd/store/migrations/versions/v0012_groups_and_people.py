"""Private groups, and what a member may see of a group's past; blocks, profiles, reports, settings of
conversations, accounts that are being deleted, and what is shown of sessions; pictures of people and groups;
message requests; realms that are linked only when there is something to say.

The migration is self-contained: it does not import chatd.store.schema, which changes over time.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from chatd.store.migrations.moved_groups import create_tables_of_moved_groups, moves_column

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
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
    _create_tables_of_people()
    _create_reports()
    _create_file_macs()
    _create_tables_of_members()
    _create_preferences()
    _create_tables_of_pictures()
    _create_acceptances()
    _create_requests()
    _create_request_decisions()
    _create_tables_of_imports()
    _create_tables_of_rescues()
    create_tables_of_moved_groups()
    _create_account_moves()
    _create_earlier_addresses()
    _create_move_claims()
    _create_move_luggage()
    _create_move_plans()
    _create_moving_groups()


def _rests() -> sa.Column[bool]:
    return sa.Column(
        "rests",
        sa.Boolean,
        nullable=False,
        server_default=sa.false(),
        comment="either side can dial, so there is no link while nothing is to be said",
    )


def _rebuild_peers() -> None:
    """Copy the table."""
    op.rename_table("peers", "peers_before")
    table = op.create_table(
        "peers",
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
    kept = [column.name for column in table.columns if column.name != "rests"]
    old = sa.table("peers_before", *map(sa.column, kept))
    op.get_bind().execute(table.insert().from_select(kept, sa.select(old)))
    op.drop_table("peers_before")


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
        sa.ForeignKeyConstraint(
            ["conversation_id"], ["conversations.id"], name="groups_conversation_id_exists"
        ),
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
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="participants_account_id_exists"
        ),
        sa.ForeignKeyConstraint(
            ["conversation_id"], ["conversations.id"], name="participants_conversation_id_exists"
        ),
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
        sa.ForeignKeyConstraint(
            key,
            [f"participants.{each}" for each in key],
            name="skipped_account_id_exists",
            ondelete="CASCADE",
        ),
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
        sa.ForeignKeyConstraint(
            ["conversation_id"], ["conversations.id"], name="remote_members_conversation_id_exists"
        ),
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
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="sessions_account_id_exists"),
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
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="privacy_account_id_exists"),
    )
    op.drop_table("privacy_before")


def _id_type() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _account_of(table: str) -> sa.ForeignKeyConstraint:
    name = f"{table}_account_id_exists"
    return sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=name)


def _of_participant(table: str) -> sa.ForeignKeyConstraint:
    key = ["account_id", "conversation_id"]
    return sa.ForeignKeyConstraint(
        key,
        [f"participants.{each}" for each in key],
        name=f"{table}_account_id_exists",
        ondelete="CASCADE",
    )


def _at() -> sa.Column[int]:
    return sa.Column("at", sa.BigInteger, nullable=False, comment="ms since 1970 UTC")


def _create_tables_of_people() -> None:
    op.create_table(
        "blocks",
        sa.Column("account_id", _id_type(), nullable=False, comment="who blocks"),
        sa.Column(
            "key",
            sa.Text,
            nullable=False,
            comment="an address without case, or @ and the key of a realm",
        ),
        sa.Column(
            "address", sa.Text, nullable=False, comment="as shown: name, name@realm, or @@realm"
        ),
        _at(),
        sa.PrimaryKeyConstraint("account_id", "key", name="blocks_key"),
        _account_of("blocks"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "profiles",
        sa.Column("account_id", _id_type(), nullable=False),
        sa.Column("status", sa.Text, nullable=False, server_default="", comment="a short text"),
        sa.PrimaryKeyConstraint("account_id", name="profiles_key"),
        _account_of("profiles"),
    )
    op.create_table(
        "departures",
        sa.Column("account_id", _id_type(), nullable=False),
        sa.Column("erase", sa.Boolean, nullable=False, comment="its messages are deleted first"),
        _at(),
        sa.PrimaryKeyConstraint("account_id", name="departures_key"),
        _account_of("departures"),
    )


def _create_reports() -> None:
    op.create_table(
        "reports",
        sa.Column("id", _id_type(), nullable=False),
        sa.Column("account_id", _id_type(), nullable=False, comment="who reports"),
        sa.Column("conversation_id", _id_type(), nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False, comment="of the message"),
        sa.Column("reason", sa.Text, nullable=False),
        _at(),
        sa.PrimaryKeyConstraint("id", name="reports_key"),
        _account_of("reports"),
        sa.ForeignKeyConstraint(
            ["conversation_id"], ["conversations.id"], name="reports_conversation_id_exists"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "reports_once", "reports", ["account_id", "conversation_id", "seq"], unique=True
    )


def _create_file_macs() -> None:
    op.create_table(
        "file_macs",
        sa.Column("attachment_id", sa.BigInteger, nullable=False),
        sa.Column(
            "mac",
            sa.LargeBinary,
            nullable=False,
            comment="keyed hash of code, name, size, SHA-256",
        ),
        sa.PrimaryKeyConstraint("attachment_id", name="file_macs_key"),
        sqlite_with_rowid=False,
    )


def _create_tables_of_members() -> None:
    op.create_table(
        "admissions",
        sa.Column("account_id", sa.BigInteger, nullable=False),
        sa.Column("conversation_id", sa.BigInteger, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False, comment="of the parcel"),
        sa.Column("at", sa.BigInteger, nullable=False, comment="ms since 1970 UTC"),
        sa.Column("seal", sa.LargeBinary, nullable=False, comment="of the realm that has sent it"),
        sa.PrimaryKeyConstraint("account_id", "conversation_id", name="admissions_key"),
        _of_participant("admissions"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "returned_kicks",
        sa.Column("realm", sa.Text, nullable=False, comment="key of the realm that returns it"),
        sa.Column("conversation_id", _id_type(), nullable=False, comment="a group here"),
        sa.Column("key", sa.Text, nullable=False, comment="the address without case"),
        sa.Column("address", sa.Text, nullable=False, comment="as shown: name@realm"),
        sa.Column(
            "member_realm", sa.Text, nullable=False, comment="key of the realm of the address"
        ),
        sa.Column("by", sa.Text, nullable=False, comment="the address of the admin"),
        sa.Column("at", sa.BigInteger, nullable=False, comment="ms since 1970 UTC"),
        sa.Column("back", sa.Boolean, nullable=False, comment="they have written since"),
        sa.PrimaryKeyConstraint("realm", "conversation_id", "key", name="returned_kicks_key"),
        sa.ForeignKeyConstraint(
            ["conversation_id"], ["conversations.id"], name="returned_kicks_conversation_id_exists"
        ),
        sqlite_with_rowid=False,
    )


def _create_preferences() -> None:
    op.create_table(
        "preferences",
        sa.Column("account_id", sa.BigInteger, nullable=False),
        sa.Column("conversation_id", sa.BigInteger, nullable=False),
        sa.Column("notify", sa.Text, comment="mentions or none; NULL: all"),
        sa.Column("until", sa.BigInteger, comment="when notify ends; ms since 1970 UTC"),
        sa.Column("archived", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.PrimaryKeyConstraint("account_id", "conversation_id", name="preferences_key"),
        _of_participant("preferences"),
        sqlite_with_rowid=False,
    )


def _index_people_of_other_realms() -> None:
    op.create_index(
        "participants_by_realm",
        "participants",
        ["realm", "peer_key"],
        sqlite_where=sa.text("realm IS NOT NULL"),
        postgresql_where=sa.text("realm IS NOT NULL"),
    )
    op.create_index("remote_members_by_person", "remote_members", ["key"])


def _create_tables_of_pictures() -> None:
    op.create_table(
        "pictures",
        sa.Column("attachment_id", _id_type(), nullable=False),
        sa.Column("width", sa.BigInteger, comment="pixels; NULL: not known"),
        sa.Column("height", sa.BigInteger, comment="pixels"),
        sa.Column(
            "received_sha256",
            sa.Text,
            comment="before location data were removed; NULL: none were",
        ),
        sa.PrimaryKeyConstraint("attachment_id", name="pictures_key"),
    )
    op.create_table(
        "avatars",
        sa.Column(
            "place",
            sa.Text,
            nullable=False,
            comment="@ and an address without case, or # of a group",
        ),
        sa.Column("hash", sa.Text, comment="of the picture; NULL: there is none"),
        sa.Column("body", sa.LargeBinary, comment="a square WebP"),
        sa.Column("name", sa.Text, comment="the display name, of people of other realms"),
        sa.Column("at", sa.BigInteger, nullable=False, comment="ms since 1970 UTC"),
        sa.Column("realm", sa.Text, comment="key of the realm that it came from; NULL: ours"),
        sa.PrimaryKeyConstraint("place", name="avatars_key"),
    )
    op.create_index(
        "avatars_by_realm",
        "avatars",
        ["realm", "at"],
        sqlite_where=sa.text("realm IS NOT NULL"),
        postgresql_where=sa.text("realm IS NOT NULL"),
    )


def _create_acceptances() -> None:
    op.create_table(
        "acceptances",
        sa.Column("request", sa.BigInteger, nullable=False, comment="the number of the message"),
        sa.Column(
            "realm", sa.Text, nullable=False, comment="key of the realm of who has accepted it"
        ),
        sa.Column("number", sa.BigInteger, nullable=False, comment="of the parcel that says so"),
        sa.Column("seal", sa.LargeBinary, nullable=False, comment="of that realm"),
        sa.PrimaryKeyConstraint("request", name="acceptances_key"),
        sqlite_with_rowid=False,
    )
    op.create_index("acceptances_by_number", "acceptances", ["realm", "number"])


def _create_requests() -> None:
    op.create_table(
        "requests",
        sa.Column(
            "name", sa.Text, nullable=False, comment="the key of the name that was written to"
        ),
        sa.Column("sender", sa.Text, nullable=False, comment="the address without case"),
        sa.Column("address", sa.Text, nullable=False, comment="the sender as shown"),
        sa.Column("realm", sa.Text, nullable=False, comment="the sender's, by its key"),
        sa.Column("number", sa.BigInteger, nullable=False, comment="of the parcel"),
        _at(),
        sa.Column(
            "state",
            sa.Text,
            nullable=False,
            comment="open, declined, or hidden: no account sees it",
        ),
        sa.Column("account_id", _id_type(), comment="NULL: no account has seen it"),
        sa.Column("conversation_id", _id_type()),
        sa.Column("seq", sa.BigInteger, comment="of the message"),
        sa.PrimaryKeyConstraint("name", "sender", name="requests_key"),
        _account_of("requests"),
        sa.ForeignKeyConstraint(
            ["conversation_id"], ["conversations.id"], name="requests_conversation_id_exists"
        ),
        sqlite_with_rowid=False,
    )
    op.create_index("requests_by_account", "requests", ["account_id", "sender"])
    op.create_index("requests_by_realm", "requests", ["realm", "at"])
    op.create_index("requests_by_at", "requests", ["at"])
    op.create_index(
        "requests_hidden",
        "requests",
        ["at"],
        sqlite_where=sa.text("account_id IS NULL"),
        postgresql_where=sa.text("account_id IS NULL"),
    )


def _create_request_decisions() -> None:
    op.create_table(
        "request_decisions",
        sa.Column("realm", sa.Text, nullable=False, comment="key of the senders' realm"),
        sa.Column("account_id", _id_type(), nullable=False),
        sa.Column(
            "unwanted", sa.Boolean, nullable=False, comment="declined, or the sender was blocked"
        ),
        _at(),
        sa.PrimaryKeyConstraint("realm", "account_id", name="request_decisions_key"),
        _account_of("request_decisions"),
        sqlite_with_rowid=False,
    )
    op.create_index("request_decisions_by_at", "request_decisions", ["at"])


def _create_tables_of_rescues() -> None:
    op.create_table(
        "reached",
        sa.Column("realm", sa.Text, nullable=False, comment="key of the other realm"),
        sa.Column("at", sa.BigInteger, nullable=False, comment="ms since 1970 UTC"),
        sa.Column(
            "away_from",
            sa.BigInteger,
            comment="when it was last reached before its last long absence; NULL: there was none",
        ),
        sa.Column("away_to", sa.BigInteger, comment="when it was reached again"),
        sa.PrimaryKeyConstraint("realm", name="reached_key"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "home_rosters",
        _roster_group(),
        sa.Column(
            "number", sa.BigInteger, nullable=False, comment="later rosters have higher ones"
        ),
        sa.Column("epoch", sa.BigInteger, nullable=False, comment="of the log when it was made"),
        sa.Column("at", sa.BigInteger, nullable=False, comment="ms since 1970 UTC"),
        sa.Column("statement", sa.LargeBinary, nullable=False),
        sa.Column("proof", sa.LargeBinary, nullable=False),
        sa.Column("rows", sa.LargeBinary, nullable=False, comment="the members, encoded"),
        sa.PrimaryKeyConstraint("conversation_id", name="home_rosters_key"),
        _group_of_roster("home_rosters"),
    )
    op.create_table(
        "mirror_rosters",
        _roster_group(),
        sa.Column("realm", sa.Text, nullable=False, comment="key of the home"),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("statement", sa.LargeBinary, nullable=False),
        sa.Column("proof", sa.LargeBinary, nullable=False),
        sa.Column("rows", sa.LargeBinary, comment="the members, encoded; NULL: they have not come"),
        sa.PrimaryKeyConstraint("conversation_id", name="mirror_rosters_key"),
        _group_of_roster("mirror_rosters"),
    )
    op.create_index("mirror_rosters_by_realm", "mirror_rosters", ["realm"])
    _create_rescues()


def _create_rescues() -> None:
    op.create_table(
        "rescues",
        sa.Column("conversation_id", _id_type(), nullable=False, comment="a group"),
        sa.Column("hash", sa.LargeBinary, nullable=False, comment="of the statement"),
        sa.Column("state", sa.Text, nullable=False, comment="see chatd.store.rescues"),
        sa.Column(
            "realm", sa.Text, nullable=False, comment="key of the realm that has founded the group"
        ),
        sa.Column("new_group", sa.BigInteger, nullable=False, comment="the group's id there"),
        sa.Column("home", sa.Text, nullable=False, comment="key of the lost home"),
        sa.Column(
            "seq", sa.BigInteger, nullable=False, comment="the last entry that the founder had"
        ),
        sa.Column("at", sa.BigInteger, nullable=False, comment="ms since 1970 UTC"),
        sa.Column("rescue", sa.LargeBinary, nullable=False, comment="encoded"),
        sa.Column(
            "verdict",
            sa.LargeBinary,
            comment="of the home that returned, encoded; NULL: none yet",
        ),
        sa.Column(
            "handed_over",
            sa.Boolean,
            nullable=False,
            server_default=sa.false(),
            comment="the present home has got what only this realm had",
        ),
        sa.PrimaryKeyConstraint("conversation_id", "hash", name="rescues_key"),
        _group_of_roster("rescues"),
        sqlite_with_rowid=False,
    )
    for column in ("realm", "home", "state"):
        op.create_index(f"rescues_by_{column}", "rescues", [column])
    op.create_table(
        "rescued_realms",
        sa.Column("conversation_id", _id_type(), nullable=False, comment="a group"),
        sa.Column("realm", sa.Text, nullable=False, comment="key of the other realm"),
        sa.Column("followed", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.PrimaryKeyConstraint("conversation_id", "realm", name="rescued_realms_key"),
        _group_of_roster("rescued_realms"),
        sqlite_with_rowid=False,
    )
    op.create_index("rescued_realms_by_realm", "rescued_realms", ["realm"])


def _roster_group() -> sa.Column[int]:
    return sa.Column("conversation_id", _id_type(), nullable=False)


def _group_of_roster(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["conversation_id"], ["conversations.id"], name=f"{table}_conversation_id_exists"
    )


def _create_tables_of_imports() -> None:
    op.create_table(
        "imports",
        sa.Column("account_id", _id_type(), nullable=False),
        sa.Column(
            "stored",
            sa.Text,
            comment="the archive's name in the uploads folder; NULL: it is removed",
        ),
        sa.Column("state", sa.Text, nullable=False, comment="running, done, failed or cancelled"),
        sa.Column("refused", sa.Text, comment="JSON: why it has failed, code and sentence"),
        sa.Column("began_at", sa.BigInteger, nullable=False, comment="ms since 1970 UTC"),
        sa.Column(
            "source", sa.Text, comment="the address of the account in the archive; NULL: not known"
        ),
        sa.Column("progress", sa.Text, nullable=False, comment="JSON: what it has done so far"),
        sa.PrimaryKeyConstraint("account_id", name="imports_key"),
        _account_of("imports"),
    )
    op.create_table(
        "imported_messages",
        sa.Column("account_id", sa.BigInteger, nullable=False),
        sa.Column(
            "key",
            sa.Text,
            nullable=False,
            comment="the author's realm and the number there, or the place in the archive",
        ),
        sa.Column("conversation_id", sa.BigInteger, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column(
            "signature",
            sa.LargeBinary,
            comment="JSON: its signature in the archive; NULL: it has none",
        ),
        sa.PrimaryKeyConstraint("account_id", "key", name="imported_messages_key"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "imported_messages_by_place", "imported_messages", ["conversation_id", "seq"], unique=True
    )
    op.create_table(
        "import_places",
        sa.Column("account_id", sa.BigInteger, nullable=False),
        sa.Column("origin", sa.Text, nullable=False, comment="the conversation there"),
        sa.Column("conversation_id", sa.BigInteger, nullable=False),
        sa.Column(
            "shift", sa.BigInteger, nullable=False, comment="the seq here less the one there"
        ),
        sa.Column(
            "first", sa.BigInteger, nullable=False, comment="the seqs here are at least this"
        ),
        sa.Column("last", sa.BigInteger, nullable=False, comment="the seqs here are at most this"),
        sa.PrimaryKeyConstraint("account_id", "origin", name="import_places_key"),
        sqlite_with_rowid=False,
    )


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
        _at(),
        sa.Column(
            "proof", sa.LargeBinary, nullable=False, comment="the notice and the agreement, signed"
        ),
        sa.Column(
            "state",
            sa.Text,
            nullable=False,
            comment="waits: for a key; settling: for parcels on their way; followed; over: moved back",
        ),
        sa.Column("step", sa.Text, comment="of an account of this realm: luggage, groups or done"),
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
        sa.Column("account_id", _id_type(), nullable=False),
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
        _at(),
        sa.Column("agreement", sa.LargeBinary, comment="of an offer: as its realm has signed it"),
        sa.PrimaryKeyConstraint("account_id", "kind", "key", name="move_plans_key"),
        _account_of("move_plans"),
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
        _at(),
        sa.PrimaryKeyConstraint("account_id", "realm", "home_id", name="moving_groups_key"),
        sqlite_with_rowid=False,
    )
    op.create_index("moving_groups_by_realm", "moving_groups", ["realm"])


def _create_move_claims() -> None:
    op.create_table(
        "move_claims",
        sa.Column("account_id", _id_type(), nullable=False, comment="who is asked"),
        sa.Column("key", sa.Text, nullable=False, comment="the new address without case"),
        sa.Column("address", sa.Text, nullable=False, comment="as shown"),
        sa.Column("realm", sa.Text, nullable=False, comment="key of the new realm"),
        sa.Column("old_key", sa.Text, nullable=False, comment="the address that they say they had"),
        sa.Column("old_address", sa.Text, nullable=False, comment="as shown"),
        _at(),
        sa.Column("declined", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.PrimaryKeyConstraint("account_id", "key", name="move_claims_key"),
        _account_of("move_claims"),
        sqlite_with_rowid=False,
    )
    op.create_index("move_claims_by_realm", "move_claims", ["realm", "at"])
