"""Handlers of the commands of operators and moderators."""

from __future__ import annotations

from collections.abc import Mapping

from chatd.commands.handlers.admin import (
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
from chatd.commands.restricted import ActHandler
from chatd.commands.values import Command

ACT_HANDLERS: Mapping[type[Command], ActHandler] = {
    **account_data.ACT_HANDLERS,
    **accounts.ACT_HANDLERS,
    **announcements.ACT_HANDLERS,
    **bans.ACT_HANDLERS,
    **data.ACT_HANDLERS,
    **groups.ACT_HANDLERS,
    **messages.ACT_HANDLERS,
    **mutes.ACT_HANDLERS,
    **invitations.ACT_HANDLERS,
    **memberships.ACT_HANDLERS,
    **peers.ACT_HANDLERS,
    **realm.ACT_HANDLERS,
    **reports.ACT_HANDLERS,
    **upkeep.ACT_HANDLERS,
}
