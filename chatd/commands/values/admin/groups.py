"""Groups, as operators and moderators manage them."""

from __future__ import annotations

from chatd.base.names import Address
from chatd.commands.values.base import Command

__all__ = [
    "DeleteGroup",
    "InspectGroup",
    "ListManagedGroups",
    "OpenShutGroup",
    "PassOnGroup",
    "ShutGroup",
]


class ListManagedGroups(Command, frozen=True):
    """`text` is a part of the names or titles to list, and `members` the least number of members. `after` is
    the last name of the page before."""

    text: str | None = None
    visibility: str | None = None
    home: str | None = None
    members: int | None = None
    state: str | None = None
    limit: int | None = None
    after: Address | None = None


class InspectGroup(Command, frozen=True):
    group: Address


class ShutGroup(Command, frozen=True):
    """`reason` is what the members are told."""

    group: Address
    reason: str | None = None


class OpenShutGroup(Command, frozen=True):
    group: Address


class PassOnGroup(Command, frozen=True):
    """`user` becomes the only admin; with `keep_admins`, one of them."""

    group: Address
    user: Address
    keep_admins: bool | None = None


class DeleteGroup(Command, frozen=True):
    group: Address
