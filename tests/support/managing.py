"""What operators do to groups in tests."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from chatd.base.names import parse_address
from chatd.base.principals import Principal
from chatd.base.roles import OPERATOR
from chatd.service.audit import Act
from chatd.service.chat_service import ChatService
from tests.support.network import Server

LOCAL = Principal("local", OPERATOR, is_local=True)


def act_of(service: ChatService, what: str = "admin.group.close") -> Act:
    """An act of somebody at the control socket."""
    return service.audit.act(LOCAL, what, None, "")


async def close(service: ChatService, group: str, reason: str = "") -> None:
    """Close a group for everybody."""
    found = await service.managed_groups.find_here(LOCAL, parse_address(group))
    await service.managed_groups.close(act_of(service), found, reason)


async def open_again(service: ChatService, group: str) -> None:
    """Open a group that is closed for everybody."""
    found = await service.managed_groups.find_here(LOCAL, parse_address(group))
    await service.managed_groups.open(act_of(service), found)


def close_at(server: Server, group: str = "bagan", reason: str = "") -> None:
    """Close a group of a staged realm."""
    server.network.result(begin(close(server.service, group, reason)))


def open_at(server: Server, group: str = "bagan") -> None:
    """Open a group of a staged realm."""
    server.network.result(begin(open_again(server.service, group)))


def begin(coroutine: Any) -> Deferred[Any]:
    return Deferred.fromCoroutine(coroutine)
