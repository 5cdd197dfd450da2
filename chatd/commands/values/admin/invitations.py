"""Invitations to the realm, and links to reset a password."""

from __future__ import annotations

from chatd.commands.values.base import Command

__all__ = ["InviteToRealm", "ListRealmInvitations", "ResetPassword", "RevokeRealmInvitation"]


class InviteToRealm(Command, frozen=True):
    """`uses` is how many accounts it is for, and `expires` is in seconds."""

    uses: int | None = None
    expires: int | None = None
    note: str | None = None


class ListRealmInvitations(Command, frozen=True):
    """`before` is the last number of the page before."""

    limit: int | None = None
    before: int | None = None


class RevokeRealmInvitation(Command, frozen=True):
    invitation: int


class ResetPassword(Command, frozen=True):
    user: str
