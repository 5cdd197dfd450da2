"""Handlers of the commands with which operators watch the realm."""

from __future__ import annotations

from chatd import __version__
from chatd.base.replies import Reply
from chatd.commands import values as ask
from chatd.commands.client import Client
from chatd.commands.handlers.replies import list_reply
from chatd.commands.restricted import ActHandlers
from chatd.service.audit import Act
from chatd.store.statistics import count_all

ACT_HANDLERS = ActHandlers()

MAX_ENTRIES = 500  # on a page of the audit log
ENTRIES = 50


@ACT_HANDLERS.of(ask.ReadAudit)
async def audit(client: Client, command: ask.ReadAudit, _act: Act) -> Reply:
    limit = min(command.limit or ENTRIES, MAX_ENTRIES)
    found, more = await client.service.audit.list(limit, command.before)
    sentence = "1 entry" if len(found) == 1 else f"{len(found)} entries"
    return list_reply(sentence, found, "entries", more)


@ACT_HANDLERS.of(ask.ShowStats)
async def stats(client: Client, _command: ask.ShowStats, _act: Act) -> Reply:
    service = client.service
    counts = await service.database.read(count_all, service.context.now())
    fields: dict[str, str | int | bool] = {
        "realm": service.config.realm,
        "version": __version__,
        **counts,
        "online": len(service.presence.online()),
        "attached": client.sessions.attached,
    }
    return Reply(f"The realm {service.config.realm}", fields)
