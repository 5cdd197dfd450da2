"""Commands as values: one frozen class per command. chatd.commands.table describes each."""

from __future__ import annotations

from typing import Literal

import msgspec

from chatd.base.names import Address, Place
from chatd.base.texts import Secret


class Command(msgspec.Struct, frozen=True):
    """Something that a client asks for."""


class Register(Command, frozen=True):
    """`login` logs in to the new account; `outside` is only for those who are not logged in."""

    username: str
    password: Secret
    name: str | None = None
    country: str | None = None
    login: bool = True
    outside: bool = False


class LogIn(Command, frozen=True):
    username: str
    password: Secret


class ResumeSession(Command, frozen=True):
    token: Secret


class LogOut(Command, frozen=True):
    """`everywhere` ends all sessions of the account."""

    everywhere: bool = False


class ChangePassword(Command, frozen=True):
    old: Secret
    new: Secret


class ClaimRealm(Command, frozen=True):
    code: Secret


class ShowAccount(Command, frozen=True):
    pass


class ChangeProfile(Command, frozen=True):
    """What is not given stays as it is."""

    name: str | None = None
    country: str | None = None


class ListActive(Command, frozen=True):
    pass


class ListUsers(Command, frozen=True):
    """`others` leaves out oneself."""

    others: bool = False


class ListContacts(Command, frozen=True):
    pass


class AddContact(Command, frozen=True):
    user: Address


class DeleteContact(Command, frozen=True):
    user: Address


class SendMessage(Command, frozen=True):
    to: tuple[Address, ...]
    text: str
    key: str | None = None


class ReadInbox(Command, frozen=True):
    """`here` leaves out what comes from other realms, `direct` what stands in groups."""

    place: Place | None = None
    peek: bool = False
    here: bool = False
    direct: bool = False


class CountUnread(Command, frozen=True):
    pass


class MarkRead(Command, frozen=True):
    conversation: int
    seq: int


class ListConversations(Command, frozen=True):
    pass


class ShowHistory(Command, frozen=True):
    """With `before`, a seq, only what is older than that message."""

    place: Place
    n: int = 20
    before: int | None = None


class SearchMessages(Command, frozen=True):
    text: str


class AddGroup(Command, frozen=True):
    group: str


class JoinGroup(Command, frozen=True):
    group: Address


class LeaveGroup(Command, frozen=True):
    group: Address


class ListGroups(Command, frozen=True):
    pass


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


class CloseGroup(Command, frozen=True):
    group: Address


class OpenGroup(Command, frozen=True):
    group: Address


class SendGroupMessage(Command, frozen=True):
    group: Address | tuple[Address, ...]
    text: str
    key: str | None = None


class ReadGroupInbox(Command, frozen=True):
    group: Address


class SendFile(Command, frozen=True):
    to: tuple[Address, ...]
    filename: str
    size: int
    key: str | None = None


class SendGroupFile(Command, frozen=True):
    group: Address | tuple[Address, ...]
    filename: str
    size: int
    key: str | None = None


class ListFiles(Command, frozen=True):
    pass


class GetFile(Command, frozen=True):
    """A file by its code, or the newest of a name; with `only`, by that alone. `stamped` is a name and the
    time (ms) of the second in which it was sent, another way to say which; `place`, where it has to stand."""

    code: str
    only: Literal["code", "name"] | None = None
    stamped: tuple[str, int] | None = None
    place: Place | None = None


class JoinRoom(Command, frozen=True):
    room: str


class SendRoomMessage(Command, frozen=True):
    text: str


class LeaveRoom(Command, frozen=True):
    pass


class ListRooms(Command, frozen=True):
    pass


class SetListening(Command, frozen=True):
    on: bool


class ShowHelp(Command, frozen=True):
    verb: str | None = None


class CheckAlive(Command, frozen=True):
    pass


class Quit(Command, frozen=True):
    pass


class AddRealm(Command, frozen=True):
    realm: str
    host: str
    port: int


class DeleteRealm(Command, frozen=True):
    realm: str


class ListRealms(Command, frozen=True):
    pass


class SendRealmMessage(Command, frozen=True):
    realm: str
    user: str
    text: str
    key: str | None = None


class SendRealmGroupMessage(Command, frozen=True):
    realm: str
    group: str | tuple[str, ...]
    text: str
    key: str | None = None


class SendRealmFile(Command, frozen=True):
    realm: str
    user: str
    filename: str
    size: int


class SendRealmGroupFile(Command, frozen=True):
    realm: str
    group: str | tuple[str, ...]
    filename: str
    size: int


class ReadRealmInbox(Command, frozen=True):
    realm: str


class ReadOwnRealmInbox(Command, frozen=True):
    """Like ReadRealmInbox. `username` has to be the name of the account that asks."""

    realm: str
    username: str
