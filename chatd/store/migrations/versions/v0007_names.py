"""One namespace for accounts and groups, names compared by NFKC, and display names without hidden characters.

The migration is self-contained: it does not import chatd.store.schema, which changes over time. The new table
stays empty here, because a start fills it whenever it was built with other Unicode data.

Two names of one kind may differ only in compatibility characters (a full-width `messi` and `messi`). Then the
one that is written like its key, or else the older one, gets the new key. The other one keeps its old key
everywhere. `settings` records it, and the name is compared by its old key from then on.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

# The columns with keys of realms, and with keys of addresses.
_REALMS = (
    ("groups", "realm"),
    ("participants", "realm"),
    ("remote_members", "realm"),
    ("attachments", "realm"),
    ("messages", "origin_realm"),
    ("outbox", "realm"),
    ("sends", "realm"),
    ("message_bytes", "realm"),
)
_ADDRESSES = (
    ("accounts", "key", "id"),
    ("groups", "key", "conversation_id"),
    ("participants", "peer_key", "account_id, conversation_id"),
    ("contacts", "key", "account_id"),
    ("remote_members", "key", "conversation_id"),
    ("bans", "key", "conversation_id"),
    ("attachments", "sender_key", "id"),
)
_HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u202a-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3"
    "\U0001d159\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# Characters that emoji and some scripts need are kept in display names.
_HIDDEN_IN_NAME = re.compile(
    f"(?![\u200c\u200d\ufe0e\ufe0f\U000e0020-\U000e007f]){_HIDDEN.pattern}"
)


def upgrade() -> None:
    connection = op.get_bind()
    _add_names()
    if op.get_context().as_sql:
        return  # statements are printed, and there are no rows to read
    _renew_keys(connection)
    _clean(connection, "attachments", "name", _HIDDEN, "file")
    _clean(connection, "accounts", "display_name", _HIDDEN_IN_NAME, None)
    _clean(connection, "accounts", "country", _HIDDEN_IN_NAME, "")


def _add_names() -> None:
    op.create_table(
        "names",
        sa.Column(
            "key",
            sa.Text,
            nullable=False,
            comment="the name as it is compared (NFKC, case-folded)",
        ),
        sa.Column("kind", sa.Text, nullable=False, comment="user or group"),
        sa.Column("skeleton", sa.Text, nullable=False, comment="what it looks like (UTS 39)"),
        sa.PrimaryKeyConstraint("key", "kind", name="names_key"),
        sqlite_with_rowid=False,
    )
    op.create_index("names_by_skeleton", "names", ["skeleton"])


def _key_of(name: str) -> str:
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFD", name).casefold())
    return unicodedata.normalize("NFKC", folded.casefold())


def _changed(connection: sa.Connection, table: str, column: str, order: str) -> Iterable[str]:
    """The distinct values of a column that are not valid keys any more, oldest first."""
    rows = connection.execute(
        sa.text(f"SELECT {column} FROM {table} WHERE {column} IS NOT NULL ORDER BY {order}")  # noqa: S608
    )
    return dict.fromkeys(
        row[0] for row in rows if not row[0].isascii() and _key_of(row[0]) != row[0]
    )


def _renew_keys(connection: sa.Connection) -> None:
    realms = _changed(connection, "peers", "key", "created_at, key")
    for realm in realms:
        if _renew(connection, "peers", "key", realm):
            for table, column in _REALMS:
                _renew(connection, table, column, realm)
    kept: set[str] = set()
    while found := _renew_addresses(connection, kept):
        kept |= found
    settings = sa.table("settings", sa.column("name"), sa.column("value"))
    rows = [{"name": f"older key {key}", "value": ""} for key in sorted(kept)]
    if rows:
        connection.execute(sa.insert(settings), rows)


def _renew_addresses(connection: sa.Connection, kept: set[str]) -> set[str]:
    """Renew the keys of addresses except those in `kept`. Returns the keys whose new key was taken somewhere.
    They must be kept everywhere, so nothing is changed then."""
    found: set[str] = set()
    with connection.begin_nested() as attempt:
        for table, column, order in _ADDRESSES:
            for key in _changed(connection, table, column, order):
                if key not in kept and not _renew(connection, table, column, key):
                    found.add(key)
        if found:
            attempt.rollback()
    return found


def _renew(connection: sa.Connection, table: str, column: str, key: str) -> bool:
    """Returns whether the new key was free. If not, the old one stays."""
    try:
        with connection.begin_nested():
            connection.execute(
                sa.text(f"UPDATE {table} SET {column} = :new WHERE {column} = :old"),  # noqa: S608
                {"new": _key_of(key), "old": key},
            )
    except sa.exc.IntegrityError:
        return False
    return True


def _clean(
    connection: sa.Connection, table: str, column: str, hidden: re.Pattern[str], instead: str | None
) -> None:
    """Remove characters that hide or reorder text from displayed names. An empty result is replaced by
    `instead`, or by the account's name if that is None."""
    other = "name" if instead is None else "''"
    query = sa.text(f"SELECT id, {column}, {other} FROM {table}")  # noqa: S608
    for ident, text, name in connection.execute(query).all():
        if text.isascii() and text.isprintable():
            continue
        cleaned = unicodedata.normalize("NFC", hidden.sub("", text)).strip()
        if not cleaned:
            cleaned = name if instead is None else instead
        if cleaned != text:
            connection.execute(
                sa.text(f"UPDATE {table} SET {column} = :new WHERE id = :id"),  # noqa: S608
                {"new": cleaned, "id": ident},
            )
