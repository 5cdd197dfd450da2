"""Messages of other people."""

from __future__ import annotations

from chatd.base.names import Address
from chatd.commands.values.base import Command

__all__ = ["DeleteAnyMessage", "ShowAnyMessage"]


class ShowAnyMessage(Command, frozen=True):
    """`where` is a group, or the id of a conversation."""

    where: Address | int
    seq: int


class DeleteAnyMessage(Command, frozen=True):
    """`where` is a group, or the id of a conversation. The `reason` is for the audit log."""

    where: Address | int
    seq: int
    reason: str | None = None
