"""Handlers of the commands with which operators watch the realm."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection

from chatd import __version__
from chatd.base.records import NodeInfo
from chatd.base.replies import Reply
from chatd.cluster.figures import ClusterFigures
from chatd.commands import values as ask
from chatd.commands.client import Client
from chatd.commands.handlers.replies import list_reply
from chatd.commands.restricted import ActHandlers
from chatd.service.audit import Act
from chatd.store import nodes
from chatd.store.leases import count_leases
from chatd.store.statistics import count_all

ACT_HANDLERS = ActHandlers()

MAX_ENTRIES = 500  # on a page of the audit log
ENTRIES = 50
ALONE = "This realm has one process, because its database is not on a server"


@ACT_HANDLERS.of(ask.ReadAudit)
async def audit(client: Client, command: ask.ReadAudit, _act: Act) -> Reply:
    limit = min(command.limit or ENTRIES, MAX_ENTRIES)
    found, more = await client.service.audit.list(limit, command.before)
    sentence = "1 entry" if len(found) == 1 else f"{len(found)} entries"
    return list_reply(sentence, found, "entries", more)


@ACT_HANDLERS.of(ask.ListNodes)
async def list_nodes(client: Client, _command: ask.ListNodes, _act: Act) -> Reply:
    context = client.service.context
    figures = context.cluster_figures()
    if figures is None:
        return list_reply(ALONE, (), "nodes", 0)
    found = await client.service.database.read(_nodes, figures.node, context.now())
    sentence = "1 node" if len(found) == 1 else f"{len(found)} nodes"
    reply = list_reply(sentence, found, "nodes", 0)
    return msgspec.structs.replace(reply, fields={**reply.fields, **_bus_fields(figures)})


def _nodes(connection: Connection, here: str, now: int) -> tuple[NodeInfo, ...]:
    """A query: the nodes, in the order in which they have joined."""
    leases = count_leases(connection, now)
    found = []
    for node in nodes.list_nodes(connection, now):
        state = "here" if node.name == here else "alive" if node.is_alive else "silent"
        about = (node.address, node.started, node.silent, leases.get(node.id, 0))
        found.append(NodeInfo(node.name, state, *about))
    return tuple(found)


def _bus_fields(figures: ClusterFigures) -> dict[str, str | int | bool]:
    """What the node that answers has sent and heard on the bus since its start; times in ms."""
    counts = figures.bus
    fields: dict[str, str | int | bool] = {
        "sent": counts.sent,
        "received": counts.received,
        "gaps": counts.gaps,
        "quiet": round(figures.quiet * 1000),
    }
    if figures.delay is not None:
        fields["delay"] = round(figures.delay * 1000)
    return fields


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
