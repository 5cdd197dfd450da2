"""Private groups, and what a member may see of a group's past; blocks, profiles, reports, settings of
conversations, accounts that are being deleted, and what is shown of sessions; pictures of people and groups;
message requests; realms that are linked only when there is something to say; roles, disabled accounts,
the audit log, and invitations; nodes that serve a realm together.

The migration is self-contained: it does not import chatd.store.schema, which changes over time.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from chatd.store.migrations.account_moves import create_tables_of_account_moves
from chatd.store.migrations.announcements import create_tables_of_announcements
from chatd.store.migrations.changed_tables import change_tables
from chatd.store.migrations.cluster import create_tables_of_the_cluster
from chatd.store.migrations.columns import (
    at,
    conversation,
    id_type,
    of_account,
    of_conversation,
    of_participant,
)
from chatd.store.migrations.imports import create_tables_of_imports
from chatd.store.migrations.invitations import create_tables_of_invitations
from chatd.store.migrations.managed_groups import create_tables_of_managed_groups
from chatd.store.migrations.moderation import create_tables_of_moderation
from chatd.store.migrations.moved_groups import create_tables_of_moved_groups
from chatd.store.migrations.operating import create_tables_of_operating
from chatd.store.migrations.rescues import create_tables_of_rescues

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    change_tables()
    _create_tables_of_people()
    _create_reports()
    _create_file_macs()
    _create_tables_of_members()
    _create_preferences()
    _create_tables_of_pictures()
    _create_acceptances()
    _create_requests()
    _create_request_decisions()
    _create_untold_marks()
    create_tables_of_imports()
    create_tables_of_rescues()
    create_tables_of_moved_groups()
    create_tables_of_account_moves()
    create_tables_of_operating()
    create_tables_of_invitations()
    create_tables_of_moderation()
    create_tables_of_announcements()
    create_tables_of_managed_groups()
    create_tables_of_the_cluster()


def _create_tables_of_people() -> None:
    op.create_table(
        "blocks",
        sa.Column("account_id", id_type(), nullable=False, comment="who blocks"),
        sa.Column(
            "key",
            sa.Text,
            nullable=False,
            comment="an address without case, or @ and the key of a realm",
        ),
        sa.Column(
            "address", sa.Text, nullable=False, comment="as shown: name, name@realm, or @@realm"
        ),
        at(),
        sa.PrimaryKeyConstraint("account_id", "key", name="blocks_key"),
        of_account("blocks"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "profiles",
        sa.Column("account_id", id_type(), nullable=False),
        sa.Column("status", sa.Text, nullable=False, server_default="", comment="a short text"),
        sa.PrimaryKeyConstraint("account_id", name="profiles_key"),
        of_account("profiles"),
    )
    op.create_table(
        "departures",
        sa.Column("account_id", id_type(), nullable=False),
        sa.Column("erase", sa.Boolean, nullable=False, comment="its messages are deleted first"),
        at(),
        sa.PrimaryKeyConstraint("account_id", name="departures_key"),
        of_account("departures"),
    )


def _create_reports() -> None:
    op.create_table(
        "reports",
        sa.Column("id", id_type(), nullable=False),
        sa.Column("account_id", id_type(), nullable=False, comment="who reports"),
        conversation(),
        sa.Column("seq", sa.BigInteger, nullable=False, comment="of the message"),
        sa.Column("reason", sa.Text, nullable=False),
        at(),
        sa.PrimaryKeyConstraint("id", name="reports_key"),
        of_account("reports"),
        of_conversation("reports"),
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
        at(),
        sa.Column("seal", sa.LargeBinary, nullable=False, comment="of the realm that has sent it"),
        sa.PrimaryKeyConstraint("account_id", "conversation_id", name="admissions_key"),
        of_participant("admissions"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "returned_kicks",
        sa.Column("realm", sa.Text, nullable=False, comment="key of the realm that returns it"),
        conversation("a group here"),
        sa.Column("key", sa.Text, nullable=False, comment="the address without case"),
        sa.Column("address", sa.Text, nullable=False, comment="as shown: name@realm"),
        sa.Column(
            "member_realm", sa.Text, nullable=False, comment="key of the realm of the address"
        ),
        sa.Column("by", sa.Text, nullable=False, comment="the address of the admin"),
        at(),
        sa.Column("back", sa.Boolean, nullable=False, comment="they have written since"),
        sa.PrimaryKeyConstraint("realm", "conversation_id", "key", name="returned_kicks_key"),
        of_conversation("returned_kicks"),
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
        of_participant("preferences"),
        sqlite_with_rowid=False,
    )


def _create_tables_of_pictures() -> None:
    op.create_table(
        "pictures",
        sa.Column("attachment_id", id_type(), nullable=False),
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
        at(),
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
        at(),
        sa.Column(
            "state",
            sa.Text,
            nullable=False,
            comment="open, declined, or hidden: no account sees it",
        ),
        sa.Column("account_id", id_type(), comment="NULL: no account has seen it"),
        sa.Column("conversation_id", id_type()),
        sa.Column("seq", sa.BigInteger, comment="of the message"),
        sa.PrimaryKeyConstraint("name", "sender", name="requests_key"),
        of_account("requests"),
        of_conversation("requests"),
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
        sa.Column("account_id", id_type(), nullable=False),
        sa.Column(
            "unwanted", sa.Boolean, nullable=False, comment="declined, or the sender was blocked"
        ),
        at(),
        sa.PrimaryKeyConstraint("realm", "account_id", name="request_decisions_key"),
        of_account("request_decisions"),
        sqlite_with_rowid=False,
    )
    op.create_index("request_decisions_by_at", "request_decisions", ["at"])


def _create_untold_marks() -> None:
    op.create_table(
        "untold_marks",
        sa.Column("conversation_id", sa.BigInteger, nullable=False),
        sa.Column("key", sa.Text, nullable=False, comment="whose: the address without case"),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("conversation_id", "key", name="untold_marks_key"),
        sqlite_with_rowid=False,
    )
