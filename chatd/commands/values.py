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


class Auth(Command, frozen=True):
    username: str
    password: Secret


class Resume(Command, frozen=True):
    token: Secret


class Logout(Command, frozen=True):
    """`everywhere` ends all sessions of the account."""

    everywhere: bool = False


class ChangePassword(Command, frozen=True):
    old: Secret
    new: Secret


class Claim(Command, frozen=True):
    code: Secret


class WhoAmI(Command, frozen=True):
    pass


class Profile(Command, frozen=True):
    """What is not given stays as it is."""

    name: str | None = None
    country: str | None = None


class Info(Command, frozen=True):
    pass


class Users(Command, frozen=True):
    """`others` leaves out oneself."""

    others: bool = False


class Contacts(Command, frozen=True):
    pass


class AddContact(Command, frozen=True):
    user: Address


class DeleteContact(Command, frozen=True):
    user: Address


class Send(Command, frozen=True):
    to: tuple[Address, ...]
    text: str
    key: str | None = None


class Inbox(Command, frozen=True):
    """`here` leaves out what comes from other realms, `direct` what stands in groups."""

    place: Place | None = None
    peek: bool = False
    here: bool = False
    direct: bool = False


class Unread(Command, frozen=True):
    pass


class Read(Command, frozen=True):
    conversation: int
    seq: int


class Conversations(Command, frozen=True):
    pass


class History(Command, frozen=True):
    """With `before`, a seq, only what is older than that message."""

    place: Place
    n: int = 20
    before: int | None = None


class Search(Command, frozen=True):
    text: str


class AddGroup(Command, frozen=True):
    group: str


class JoinGroup(Command, frozen=True):
    group: Address


class LeaveGroup(Command, frozen=True):
    group: Address


class Groups(Command, frozen=True):
    pass


class MyGroups(Command, frozen=True):
    pass


class Members(Command, frozen=True):
    group: Address


class Invite(Command, frozen=True):
    group: Address
    users: tuple[Address, ...]


class Kick(Command, frozen=True):
    group: Address
    user: Address


class Bans(Command, frozen=True):
    group: Address


class Unban(Command, frozen=True):
    group: Address
    user: Address


class Promote(Command, frozen=True):
    group: Address
    user: Address


class CloseGroup(Command, frozen=True):
    group: Address


class OpenGroup(Command, frozen=True):
    group: Address


class SendGroup(Command, frozen=True):
    group: Address | tuple[Address, ...]
    text: str
    key: str | None = None


class InboxGroup(Command, frozen=True):
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


class Files(Command, frozen=True):
    pass


class GetFile(Command, frozen=True):
    """A file by its code, or the newest of a name; with `only`, by that alone. `stamped` is a name and the
    time (ms) of the second in which it was sent, another way to say which; `place`, where it has to stand."""

    code: str
    only: Literal["code", "name"] | None = None
    stamped: tuple[str, int] | None = None
    place: Place | None = None


class RoomJoin(Command, frozen=True):
    room: str


class RoomChat(Command, frozen=True):
    text: str


class RoomLeave(Command, frozen=True):
    pass


class Rooms(Command, frozen=True):
    pass


class Listen(Command, frozen=True):
    on: bool


class Help(Command, frozen=True):
    verb: str | None = None


class Ping(Command, frozen=True):
    pass


class Quit(Command, frozen=True):
    pass


class AddRealm(Command, frozen=True):
    realm: str
    host: str
    port: int


class DeleteRealm(Command, frozen=True):
    realm: str


class Realms(Command, frozen=True):
    pass


class SendRealm(Command, frozen=True):
    realm: str
    user: str
    text: str
    key: str | None = None


class SendGroupRealm(Command, frozen=True):
    realm: str
    group: str | tuple[str, ...]
    text: str
    key: str | None = None


class SendFileRealm(Command, frozen=True):
    realm: str
    user: str
    filename: str
    size: int


class SendGroupFileRealm(Command, frozen=True):
    realm: str
    group: str | tuple[str, ...]
    filename: str
    size: int


class RealmInbox(Command, frozen=True):
    realm: str


class InboxRealm(Command, frozen=True):
    """As RealmInbox, with a `username` that has to be one's own."""

    realm: str
    username: str
