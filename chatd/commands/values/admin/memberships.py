"""Groups that operators make in the name of accounts, and members whom they add."""

from __future__ import annotations

from chatd.commands.values.base import Command

__all__ = ["AddMember", "MakeGroup"]


class MakeGroup(Command, frozen=True):
    """`user` is the group's admin."""

    group: str
    user: str
    title: str | None = None


class AddMember(Command, frozen=True):
    group: str
    user: str
