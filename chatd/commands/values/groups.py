"""Groups, their members and invitations."""

from __future__ import annotations

from chatd.base.model import PUBLIC
from chatd.base.names import Address, Place
from chatd.commands.values.base import Command

__all__ = [
    "AcceptInvitation",
    "AddGroup",
    "CloseGroup",
    "DeclineInvitation",
    "DemoteAdmin",
    "InviteMembers",
    "JoinGroup",
    "KickMember",
    "LeaveGroup",
    "LiftBan",
    "ListBans",
    "ListGroups",
    "ListInvitations",
    "ListMembers",
    "ListOwnGroups",
    "ListRequests",
    "MoveGroup",
    "OpenGroup",
    "PromoteMember",
    "RenewCode",
    "RescueGroup",
    "SetGroup",
    "ShowGroup",
    "TransferGroup",
]


class AddGroup(Command, frozen=True):
    """Without `group`, the name is made of the title. A title that is the name is not kept."""

    group: str | None
    title: str | None = None
    visibility: str = PUBLIC


class JoinGroup(Command, frozen=True):
    group: Address


class ListInvitations(Command, frozen=True):
    pass


class AcceptInvitation(Command, frozen=True):
    """Also accepts the message request of a user."""

    group: Address | Place


class DeclineInvitation(Command, frozen=True):
    """Also declines the message request of a user."""

    group: Address | Place


class ListRequests(Command, frozen=True):
    pass


class LeaveGroup(Command, frozen=True):
    group: Address


class ListGroups(Command, frozen=True):
    """`members`: with the names of members."""

    members: bool = False


class ListOwnGroups(Command, frozen=True):
    pass


class ListMembers(Command, frozen=True):
    group: Address


class InviteMembers(Command, frozen=True):
    group: Address
    users: tuple[Address, ...]


class KickMember(Command, frozen=True):
    group: Address
    user: Address


class ListBans(Command, frozen=True):
    group: Address


class LiftBan(Command, frozen=True):
    group: Address
    user: Address


class PromoteMember(Command, frozen=True):
    group: Address
    user: Address


class ShowGroup(Command, frozen=True):
    group: Address


class SetGroup(Command, frozen=True):
    """A setting by its `key` and `value`, or several by their names."""

    group: Address
    key: str | None = None
    value: str | None = None
    title: str | None = None
    topic: str | None = None
    visibility: str | None = None
    past: str | None = None
    post: str | None = None


class DemoteAdmin(Command, frozen=True):
    group: Address
    user: Address


class TransferGroup(Command, frozen=True):
    group: Address
    user: Address


class RescueGroup(Command, frozen=True):
    """Found a group again in this realm, because the realm where it lives is lost."""

    group: Address


class MoveGroup(Command, frozen=True):
    """Agree that a group moves to a realm; `none`: it stays where it is."""

    group: Address
    realm: str


class RenewCode(Command, frozen=True):
    group: Address


class CloseGroup(Command, frozen=True):
    group: Address


class OpenGroup(Command, frozen=True):
    group: Address
