"""Accounts, sessions, people and contacts."""

from __future__ import annotations

from typing import Literal

from chatd.base.model import PrivacyKey
from chatd.base.names import Address, Place
from chatd.base.texts import Secret
from chatd.commands.values.base import Command

__all__ = [
    "AcceptMove",
    "AddContact",
    "BlockPerson",
    "CancelImport",
    "CancelMove",
    "ChangePassword",
    "ChangePrivacy",
    "ChangeProfile",
    "ClaimAccount",
    "ClaimRealm",
    "DeclineMove",
    "DeleteAccount",
    "DeleteContact",
    "ExportData",
    "GetPicture",
    "ImportArchive",
    "ListActive",
    "ListBlocks",
    "ListContacts",
    "ListMoves",
    "ListSessions",
    "ListUsers",
    "LogIn",
    "LogOut",
    "MoveAccount",
    "Register",
    "RemovePicture",
    "ResumeSession",
    "RevokeSession",
    "SetAway",
    "SetPicture",
    "SetStatus",
    "ShowAccount",
    "ShowImport",
    "TakeAccount",
    "UnblockPerson",
]


class Register(Command, frozen=True):
    """`invite`: the code of an invitation. `login`: log in to the new account. `outside`: refuse if the
    client is logged in."""

    username: str
    password: Secret
    name: str | None = None
    country: str | None = None
    invite: Secret | None = None
    login: bool = True
    outside: bool = False


class LogIn(Command, frozen=True):
    username: str
    password: Secret


class ResumeSession(Command, frozen=True):
    token: Secret


class LogOut(Command, frozen=True):
    """`everywhere`: end all sessions of the account."""

    everywhere: bool = False


class ListSessions(Command, frozen=True):
    pass


class RevokeSession(Command, frozen=True):
    session: int


class ChangePassword(Command, frozen=True):
    old: Secret
    new: Secret


class DeleteAccount(Command, frozen=True):
    """`messages`: what becomes of those of the account."""

    password: Secret
    messages: Literal["keep", "erase"]


class MoveAccount(Command, frozen=True):
    """`address` is that of another realm."""

    address: Address
    password: Secret


class TakeAccount(Command, frozen=True):
    """`address` is that of another realm, of which this account becomes the new address."""

    address: Address


class ClaimAccount(Command, frozen=True):
    """`address` is that of another realm, which is lost."""

    address: Address


class AcceptMove(Command, frozen=True):
    """`address` is the new one of somebody who says that they had another."""

    address: Address


class DeclineMove(Command, frozen=True):
    address: Address


class ListMoves(Command, frozen=True):
    pass


class CancelMove(Command, frozen=True):
    pass


class ExportData(Command, frozen=True):
    pass


class ImportArchive(Command, frozen=True):
    """An archive of `size` bytes follows."""

    filename: str
    size: int


class ShowImport(Command, frozen=True):
    pass


class CancelImport(Command, frozen=True):
    pass


class ClaimRealm(Command, frozen=True):
    code: Secret


class ShowAccount(Command, frozen=True):
    pass


class ChangeProfile(Command, frozen=True):
    """A value of None stays unchanged."""

    name: str | None = None
    country: str | None = None


class SetStatus(Command, frozen=True):
    """An empty text removes the status."""

    text: str = ""


class SetAway(Command, frozen=True):
    on: bool


class ListActive(Command, frozen=True):
    pass


class ListUsers(Command, frozen=True):
    """`others`: leave out the user who asks."""

    others: bool = False


class ListContacts(Command, frozen=True):
    pass


class AddContact(Command, frozen=True):
    """Of several users, those that can't be added are left out."""

    user: Address | tuple[Address, ...]


class DeleteContact(Command, frozen=True):
    """Of several users, those that are no contacts are left out."""

    user: Address | tuple[Address, ...]


class BlockPerson(Command, frozen=True):
    """`user` is an address, or the name of a realm."""

    user: Address | str


class UnblockPerson(Command, frozen=True):
    """`user` is an address, or the name of a realm."""

    user: Address | str


class ListBlocks(Command, frozen=True):
    pass


class SetPicture(Command, frozen=True):
    """A file of `size` bytes follows, of which the picture is made."""

    place: Place
    filename: str
    size: int


class RemovePicture(Command, frozen=True):
    place: Place


class GetPicture(Command, frozen=True):
    place: Place


class ChangePrivacy(Command, frozen=True):
    """Without a setting, they are shown. `key` and `value` are another form of the others."""

    key: PrivacyKey | None = None
    value: bool | None = None
    receipts: bool | None = None
    presence: bool | None = None
    invitations: bool | None = None
