"""How much there is in the realm. A query for the Database."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Select, func, select

from chatd.store.accounts import DELETED
from chatd.store.files import IS_HERE
from chatd.store.schema import accounts, attachments, disabled, groups, messages, peers, sessions


def count_all(connection: Connection, now: int) -> dict[str, int]:
    """The numbers of accounts, sessions, groups and so on, and the bytes of all files."""
    queries: dict[str, Select[Any]] = {
        "accounts": select(func.count(accounts.c.id)).where(~accounts.c.key.startswith(DELETED)),
        "disabled": select(func.count(disabled.c.account_id)),
        "sessions": select(func.count(sessions.c.id)).where(sessions.c.expires_at > now),
        "groups": select(func.count(groups.c.key)).where(groups.c.realm.is_(None)),
        "messages": select(func.count(messages.c.id)),
        "files": select(func.count(attachments.c.id)).where(IS_HERE),
        "size": select(func.coalesce(func.sum(attachments.c.size), 0)).where(IS_HERE),
        "peers": select(func.count(peers.c.key)),
    }
    return {name: int(connection.scalar(query) or 0) for name, query in queries.items()}
