"""Accounts, as operators manage them."""

from __future__ import annotations

from chatd.base.roles import USER, Role
from chatd.base.texts import Secret
from chatd.commands.values.base import Command

__all__ = [
    "AddAccount",
    "DisableAccount",
    "EnableAccount",
    "InspectAccount",
    "ListAccountSessions",
    "ListAccounts",
    "LogOutAccount",
    "SetPassword",
    "SetRole",
]


class ListAccounts(Command, frozen=True):
    """`name` is a part of the names to list. `after` is the last name of the page before."""

    name: str | None = None
    role: Role | None = None
    state: str | None = None
    limit: int | None = None
    after: str | None = None


class InspectAccount(Command, frozen=True):
    user: str


class AddAccount(Command, frozen=True):
    user: str
    password: Secret
    role: Role = USER
    name: str | None = None
    country: str | None = None


class SetPassword(Command, frozen=True):
    user: str
    password: Secret


class SetRole(Command, frozen=True):
    user: str
    role: Role


class DisableAccount(Command, frozen=True):
    user: str
    reason: str | None = None


class EnableAccount(Command, frozen=True):
    user: str


class ListAccountSessions(Command, frozen=True):
    user: str


class LogOutAccount(Command, frozen=True):
    """`session` is the only session to end."""

    user: str
    session: int | None = None
