"""What becomes of each command: one function a command, from a Client and its command to a Result.

Preconditions are not checked here: a command's row says them, and the Client has seen to them.
"""

from __future__ import annotations

from collections.abc import Mapping

from chatd.commands import values as ask
from chatd.commands.handlers import files, general, groups, messages, people, realms, rooms
from chatd.commands.session import Handler

HANDLERS: Mapping[type[ask.Command], Handler] = {
    **people.HANDLERS,
    **messages.HANDLERS,
    **groups.HANDLERS,
    **files.HANDLERS,
    **rooms.HANDLERS,
    **realms.HANDLERS,
    **general.HANDLERS,
}
