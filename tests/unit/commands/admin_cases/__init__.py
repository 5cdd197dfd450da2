"""The commands of operators and moderators, as lines and as JSON say them. There is a module per subject."""

from __future__ import annotations

from typing import Any

from chatd.commands.values import Command
from tests.unit.commands.admin_cases import (
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

# Verb, rest of a line, named arguments, command
ADMIN_CASES: tuple[tuple[str, str, dict[str, Any], Command], ...] = (
    *account_data.CASES,
    *accounts.CASES,
    *announcements.CASES,
    *bans.CASES,
    *data.CASES,
    *groups.CASES,
    *messages.CASES,
    *mutes.CASES,
    *invitations.CASES,
    *memberships.CASES,
    *peers.CASES,
    *realm.CASES,
    *reports.CASES,
    *upkeep.CASES,
)
