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


async def transfer(service: ChatService, group: str, user: str, keep: bool = False) -> None:
    """Make a member the only admin of a group, or one of its admins."""
    found = await service.managed_groups.find_here(LOCAL, parse_address(group))
    await service.managed_groups.transfer(found, parse_address(user), keep)


async def delete(service: ChatService, group: str) -> None:
    """Let a group be deleted, which is done in the background."""
    found = await service.managed_groups.find_here(LOCAL, parse_address(group))
    await service.managed_groups.delete(act_of(service, "admin.group.delete"), found)


def close_at(server: Server, group: str = "bagan", reason: str = "") -> None:
    """Close a group of a staged realm."""
    server.network.result(begin(close(server.service, group, reason)))


def open_at(server: Server, group: str = "bagan") -> None:
    """Open a group of a staged realm."""
    server.network.result(begin(open_again(server.service, group)))


def transfer_at(server: Server, user: str, keep: bool = False, group: str = "bagan") -> None:
    """Pass on a group of a staged realm."""
    server.network.result(begin(transfer(server.service, group, user, keep)))


def delete_at(server: Server, group: str = "bagan") -> None:
    """Let a group of a staged realm be deleted."""
    server.network.result(begin(delete(server.service, group)))


def begin(coroutine: Any) -> Deferred[Any]:
    return Deferred.fromCoroutine(coroutine)
