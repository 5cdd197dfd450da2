"""What an account exports besides its messages. Queries for the Database."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from chatd.base.attachments import Attachment
from chatd.base.model import Account
from chatd.base.timestamps import timestamp
from chatd.store.accounts import contacts_of
from chatd.store.blocks import blocks_of
from chatd.store.files import COLUMNS, file_in
from chatd.store.macs import keyed_hash
from chatd.store.privacy import privacy_of
from chatd.store.schema import accounts, attachments


def profile_of(connection: sa.Connection, account: Account) -> dict[str, Any]:
    """The account, its contacts, blocks and choices."""
    created = connection.scalar(sa.select(accounts.c.created_at).where(accounts.c.id == account.id))
    return {
        "username": account.name,
        "name": account.display_name,
        "country": account.country,
        "status": account.status,
        "created": timestamp(created or 0),
        "contacts": contacts_of(connection, account.id),
        "blocked": [each.address for each in blocks_of(connection, account.id)],
        "privacy": msgspec.structs.asdict(privacy_of(connection, account.id)),
    }


def sent_files(connection: sa.Connection, account_id: int) -> list[Attachment]:
    """The files that the account has sent, oldest first."""
    rows = connection.execute(
        sa.select(*COLUMNS).where(attachments.c.owner_id == account_id).order_by(attachments.c.id)
    )
    return [file_in(keyed_hash(connection), row) for row in rows]
