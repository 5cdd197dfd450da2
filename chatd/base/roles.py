"""The roles of accounts in their realm: user, moderator and operator. Each includes those before it."""

from __future__ import annotations

from typing import Literal, TypeAlias

Role: TypeAlias = Literal["user", "moderator", "operator"]

USER: Role = "user"
MODERATOR: Role = "moderator"
OPERATOR: Role = "operator"
ROLES: tuple[Role, ...] = (USER, MODERATOR, OPERATOR)


def includes(role: Role, needed: Role) -> bool:
    """Whether somebody with `role` may do what `needed` may."""
    return ROLES.index(role) >= ROLES.index(needed)
