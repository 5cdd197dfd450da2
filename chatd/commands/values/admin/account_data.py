"""What operators do with an account and with what it has here."""

from __future__ import annotations

from chatd.commands.values.base import Command

__all__ = ["EraseAccount", "ExportAccount", "RemoveAccount", "RenameAccount", "SetQuota"]


class RemoveAccount(Command, frozen=True):
    user: str


class EraseAccount(Command, frozen=True):
    user: str


class ExportAccount(Command, frozen=True):
    user: str


class RenameAccount(Command, frozen=True):
    user: str
    name: str


class SetQuota(Command, frozen=True):
    """`files` are the bytes that the account's files may have; DEFAULT_QUOTA: the configured. Without it, the
    quota is shown."""

    user: str
    files: int | None = None
