"""The handlers of commands: one function per command, from a Client and its command to an Answer.

A handler does not check the preconditions in the command's row; the Client has checked them.
"""

from __future__ import annotations

from collections.abc import Mapping

from chatd.commands.client import Handler
from chatd.commands.handlers import (
    accounts,
    admin,
    changes,
    files,
    general,
    groups,
    imports,
    messages,
    pictures,
    reading,
    realms,
    reports,
    rooms,
)
from chatd.commands.restricted import restricted
from chatd.commands.values import Command

HANDLERS: Mapping[type[Command], Handler] = {
    **accounts.HANDLERS,
    **imports.HANDLERS,
    **pictures.HANDLERS,
    **messages.HANDLERS,
    **changes.HANDLERS,
    **reading.HANDLERS,
    **groups.HANDLERS,
    **files.HANDLERS,
    **rooms.HANDLERS,
    **realms.HANDLERS,
    **general.HANDLERS,
    **reports.HANDLERS,
    **restricted({**reports.ACT_HANDLERS, **admin.ACT_HANDLERS}),
}
