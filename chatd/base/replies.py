"""What commands answer: a reply, and the items of its list. All values are frozen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

from chatd.base.model import PUBLIC, Message, Preferences
from chatd.base.realms import Exposure, RealmInfo
from chatd.base.records import AdminRecord
from chatd.base.roles import Role


class SessionInfo(msgspec.Struct, frozen=True):
    """A session of the account that asks. Times are in ms since 1970 UTC; `used` is exact to an hour.
    `online`: a connection uses it. `current`: it is the one that asks."""

    session: int
    created: int
    used: int
    client: str
    address: str
    online: bool = False
    current: bool = False


class UserInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """A user in a list. `away`: online, but away. `picture` is the path of their picture."""

    username: str
    name: str
    country: str
    online: bool
    away: bool = False
    status: str = ""
    picture: str | None = None


class Contact(msgspec.Struct, frozen=True, omit_defaults=True):
    """`away`: online, but away. `name` is the display name of a person of another realm and `picture` the
    path of their picture, if they are known."""

    username: str
    online: bool
    away: bool = False
    name: str = ""
    picture: str | None = None


class GroupInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """A group in a list. Only members may post to a `closed` one. `member` and `admin` describe the user who
    asked. `picture` is the path of the group's picture. `shut` is why the operators of its home have closed
    it for everybody, which may be empty; None: they have not."""

    group: str
    code: str
    members: int
    closed: bool
    member: bool
    admin: bool
    title: str | None = None
    visibility: str = PUBLIC
    picture: str | None = None
    shut: str | None = None


class FormerGroup(msgspec.Struct, frozen=True, omit_defaults=True):
    """A group that the account was a member of, by an archive. With the code one can join a private one."""

    group: str
    title: str | None = None
    code: str = ""
    visibility: str = PUBLIC


class GroupDetails(msgspec.Struct, frozen=True):
    """A group with its settings. `member` and `admin` describe the user who asked. `members` is None if only
    the group's home knows how many there are, and it is down. `conversation` is 0 for a group elsewhere
    without members here. `shut` is as in GroupInfo."""

    group: str
    conversation: int
    settings: dict[str, str]
    member: bool
    admin: bool
    members: int | None = None
    code: str = ""
    shut: str | None = None


class Member(msgspec.Struct, frozen=True, omit_defaults=True):
    """`name` and `picture` are as in Contact."""

    username: str
    admin: bool
    online: bool
    name: str = ""
    picture: str | None = None


class Ban(msgspec.Struct, frozen=True):
    """An address that is banned from a group."""

    username: str


class MoveInfo(msgspec.Struct, frozen=True):
    """A move of an account: it has `moved` to the address; it is `moving` there, once that agrees; or it
    `takes` the place of that address. Or the address `claims` that it was the address `old`, in a realm that
    is lost. `at` is in ms since 1970 UTC."""

    what: str
    address: str
    at: int
    old: str | None = None


def blocked_fields(address: str) -> dict[str, str | int | bool]:
    """What is blocked, as programs read it: a `user`, or of `@@realm` a `realm`."""
    realm = address.removeprefix("@@")
    return {"user": address} if realm == address else {"realm": realm}


class BlockInfo(msgspec.Struct, frozen=True):
    """What an account has blocked: an address, or a realm as `@@realm`. `at` is in ms since 1970 UTC."""

    address: str
    at: int

    @property
    def fields(self) -> dict[str, str | int | bool]:
        """What is blocked, as programs read it."""
        return blocked_fields(self.address)


class ReportInfo(msgspec.Struct, frozen=True):
    """A report of a message to the moderators, by the account `by`. `message` is None if it is gone. `at` is
    in ms since 1970 UTC."""

    report: int
    at: int
    by: str
    reason: str
    message: Message | None


class ReaderName(msgspec.Struct, frozen=True):
    """The address of a person who has read a message."""

    username: str


class InvitationInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """An invitation to a group, by the address `by`. `realm` is the group's, if that is another. `at` is in
    ms since 1970 UTC."""

    group: str
    by: str
    at: int
    realm: str | None = None
    title: str | None = None


class RequestInfo(msgspec.Struct, frozen=True):
    """A message of a person whom the account has not accepted. `at` is in ms since 1970 UTC. The text is None
    if it was deleted."""

    user: str
    conversation: int
    seq: int
    at: int
    text: str | None


class UnreadCount(msgspec.Struct, frozen=True):
    """The number of unread messages in a conversation, and the seq of the first one. Either `user` or `group`
    is set."""

    conversation: int
    unread: int
    user: str | None = None
    group: str | None = None
    first_unread: int | None = None


class ConversationInfo(msgspec.Struct, frozen=True):
    """A conversation in the user's list, with its newest message. Either `user` or `group` is set.

    `name` is a display name, an address or the name of a group. `unread` counts messages, and `first_unread`
    is the seq of the first one. `read` is the read mark and `seq` the newest number. `online` is None if
    unknown, as for users of other realms. `picture` is the path of the picture of the user or group.
    `request` is the state of the user's message request, if it is not accepted (chatd.store.requests).
    `rescue` is the address with which the group goes on if its home stays lost (events.GroupRescue).
    """

    conversation: int
    name: str
    unread: int
    read: int
    seq: int
    last: Message | None = None
    user: str | None = None
    online: bool | None = None
    group: GroupInfo | None = None
    first_unread: int | None = None
    away: bool = False
    preferences: Preferences = Preferences()
    picture: str | None = None
    request: str | None = None
    rescue: str | None = None


class LogEntry(msgspec.Struct, frozen=True):
    """An entry of a log: a message, or one of the changes in chatd.base.events."""

    entry: Any


class SyncedLog(msgspec.Struct, frozen=True):
    """The end of a log. `epoch` grows with each change of membership or rights."""

    conversation: int
    seq: int
    epoch: int


class RoomInfo(msgspec.Struct, frozen=True):
    room: str
    users: tuple[str, ...]


class FileInfo(msgspec.Struct, frozen=True):
    """A file in a list of files that the user may download. In the list of a conversation, `seq` is that of
    the newest message with it. `picture` has the size and the thumbnail of a picture
    (chatd.base.pictures)."""

    code: str
    name: str
    size: int
    sender: str
    at: int
    seq: int | None = None
    picture: Mapping[str, Any] = {}


class ArgumentInfo(msgspec.Struct, frozen=True):
    """An argument as help describes it. `keys` are its names in a request with named arguments."""

    name: str
    type: str
    about: str
    optional: bool
    keys: tuple[str, ...]


class CommandInfo(msgspec.Struct, frozen=True):
    """A command as help describes it. `errors` are the codes of its errors, besides the common ones. `role`:
    who may use it, if not everybody."""

    command: str
    aliases: tuple[str, ...]
    usage: str
    about: str
    login: bool
    arguments: tuple[ArgumentInfo, ...]
    errors: tuple[str, ...]
    role: Role | msgspec.UnsetType = msgspec.UNSET


# What the list of a reply contains.
Item: TypeAlias = (
    Message
    | UserInfo
    | Contact
    | GroupInfo
    | FormerGroup
    | Member
    | Ban
    | BlockInfo
    | MoveInfo
    | SessionInfo
    | ReportInfo
    | ReaderName
    | InvitationInfo
    | RequestInfo
    | UnreadCount
    | ConversationInfo
    | RoomInfo
    | FileInfo
    | RealmInfo
    | CommandInfo
    | Exposure
    | LogEntry
    | SyncedLog
    | AdminRecord
)


class Reply(msgspec.Struct, frozen=True):
    """The result of a command: a sentence, named fields, and a list of items. `pending` has the reader's
    messages that are pending (seq 0).

    The `json` dialect shows all of it, `plain` everything except `data`, which is for programs, and the older
    dialects the parts that they define.
    """

    message: str
    fields: dict[str, str | int | bool] = {}
    data: dict[str, Any] = {}
    items: tuple[Item, ...] = ()
    items_name: str = ""
    pending: tuple[Message, ...] = ()
