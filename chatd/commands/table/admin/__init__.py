"""The commands of operators and moderators: their verbs begin with `admin`. There is a module per subject."""

from __future__ import annotations

from chatd.commands.rows import Row
from chatd.commands.table.admin import (
    account_data,
    accounts,
    announcements,
    bans,
    data,
    groups,
    invitations,
    memberships,
    messages,
    mutes,
    peers,
    realm,
    reports,
    upkeep,
)

ROWS: tuple[Row, ...] = (
    *accounts.ROWS,
    *account_data.ROWS,
    *announcements.ROWS,
    *bans.ROWS,
    *data.ROWS,
    *groups.ROWS,
    *messages.ROWS,
    *mutes.ROWS,
    *invitations.ROWS,
    *memberships.ROWS,
    *peers.ROWS,
    *realm.ROWS,
    *reports.ROWS,
    *upkeep.ROWS,
)
