"""The values that all layers share. They are frozen and independent of storage and wire formats."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import msgspec

from chatd.base.errors import ChatError
from chatd.base.realms import Exposure, RealmInfo

MAX_OPAQUE = 32 << 10  # bytes of an opaque body
MAX_READERS = 100  # members of a group in which read receipts and typing are shown

# The delivery of a message (Message.state)
STORED = "stored"
QUEUED = "queued"
DELIVERED = "delivered"
REFUSED = "refused"


class Account(msgspec.Struct, frozen=True):
    """A registered user. `picture` is the hash of their picture. The hash of the password is not here: only
    the store reads it, at a login."""

    id: int
    name: str
    key: str
    display_name: str
    country: str
    operator: bool
    status: str = ""
    picture: str | None = None


class Device(msgspec.Struct, frozen=True):
    """What a session is used with: the name of the client program or of its dialect, and its network
    address."""

    client: str = ""
    address: str = ""


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


# Whether the bytes of a file are here (Attachment.state)
HERE = "here"
ARRIVING = "arriving"
LOST = "lost"

# Why a file is lost, by the code of the reason
LOSSES = {
    "file-refused": "this realm has no room for it",
    "file-gone": "the realm that it came from has it no longer",
    "file-damaged": "the bytes that came are not those that were announced",
    "file-stalled": "nothing of it has come for 24 hours",
    "file-expired": "it has not come in time",
    "file-missing": "it is missing from the disk of the realm that it came from",
}


class Attachment(msgspec.Struct, frozen=True):
    """A file attached to a message. `stored` is its name in the uploads folder; `at` is in ms since 1970.

    `arrival` is None if its bytes are here, empty while they arrive from another realm, and else the code of
    the reason for which they are lost. A picture has its `width` and `height` in pixels. `received` is the
    SHA-256 of the bytes as the sender sent them, if location data were removed from them.
    """

    id: int
    code: str
    name: str
    size: int
    sha256: str
    mime: str
    stored: str
    at: int
    arrival: str | None = None
    width: int | None = None
    height: int | None = None
    received: str | None = None

    @property
    def state(self) -> str:
        """Whether its bytes are here."""
        return HERE if self.arrival is None else LOST if self.arrival else ARRIVING

    @property
    def reason(self) -> str | None:
        """Why it is lost, or None."""
        return LOSSES.get(self.arrival, self.arrival) if self.arrival else None


class StoredFile(msgspec.Struct, frozen=True):
    """A complete file on disk, with the name `stored` in the uploads folder. `width`, `height` and `received`
    as in Attachment; a file that is no picture has the size 0."""

    stored: str
    size: int
    sha256: str
    mime: str
    width: int = 0
    height: int = 0
    received: str | None = None


def attachment_of(ident: int, code: str, name: str, file: StoredFile, at: int) -> Attachment:
    """The attachment with a file that is here."""
    return Attachment(
        ident,
        code,
        name,
        file.size,
        file.sha256,
        file.mime,
        file.stored,
        at,
        width=file.width or None,
        height=file.height or None,
        received=file.received,
    )


class Opaque(msgspec.Struct, frozen=True):
    """Content that the server stores and passes on without reading it: its media type, and its bytes."""

    media: str
    body: bytes


class EmojiReactions(msgspec.Struct, frozen=True):
    """One emoji on a message. `people` are addresses: all `count` of them, or some if there are too many."""

    emoji: str
    people: tuple[str, ...]
    count: int


class Message(msgspec.Struct, frozen=True):
    """A message in a conversation in its current state, and the event that announces it to listeners.

    `at` is in milliseconds since 1970 UTC. Either `to`, the recipient of a direct message, or `group`, the
    name of the group, is set, and one of `text`, `file` and `opaque`; none of these once it is deleted. `seq`
    is 0 for a message to a group of another realm that this realm has not numbered yet. `title` is that of
    the group, in events only.

    `state` is its delivery: `stored` (it does not cross), `queued`, `delivered`, or `refused` with a
    `reason`. `waits` has the key of the realm that a queued message waits for, and the number of its parcel.
    `edited` is the time of the last edit. `reply` is the seq of the message that it replies to. `forwarded`
    is the address that wrote the message it was forwarded from. `mentions` are addresses. `unverified`: its
    signature could not be checked. `blocked`: the reader has blocked its sender. `withheld`: its content is
    not shown, and the text says why.
    """

    id: int
    conversation: int
    seq: int
    at: int
    sender: str
    to: str | None = None
    group: str | None = None
    text: str | None = None
    file: Attachment | None = None
    title: str | None = None
    state: str = STORED
    reason: str | None = None
    edited: int | None = None
    deleted: bool = False
    reply: int | None = None
    forwarded: str | None = None
    mentions: tuple[str, ...] = ()
    reactions: tuple[EmojiReactions, ...] = ()
    pinned: bool = False
    unverified: bool = False
    opaque: Opaque | None = None
    waits: tuple[str, int] | None = None
    blocked: bool = False
    withheld: bool = False


class Receipt(msgspec.Struct, frozen=True, omit_defaults=True):
    """The place and the state of a sent message (`Message.state`).

    Numbers are 0 while they are unknown: a message to a group of another realm gets its seq there. `at` is in
    ms since 1970 UTC. A refused message has the `reason`.
    """

    conversation: int
    seq: int
    id: int
    to: str
    state: str = STORED
    at: int = 0
    reason: str | None = None

    @property
    def queued(self) -> bool:
        """Whether it waits for another realm."""
        return self.state == QUEUED


class Sent(msgspec.Struct, frozen=True):
    """The result of sending a message: a receipt per recipient, and the error of each recipient that was
    refused."""

    receipts: tuple[Receipt, ...]
    refused: Mapping[str, ChatError] = {}


# Who finds a group, and what its new members see of the past
PUBLIC, PRIVATE = "public", "private"
PAST_ALL, PAST_JOINED = "all", "joined"


class Group(msgspec.Struct, frozen=True):
    """A group; `id` is the id of its conversation. Only members may post to a closed group. New members see
    `all` of its past, or nothing before they `joined`.

    The name of a group of another realm is `group@realm`; then `realm` is the key of that realm and `home_id`
    the id of the group there.
    """

    id: int
    name: str
    key: str
    code: str
    closed: bool
    realm: str | None = None
    home_id: int | None = None
    title: str | None = None
    topic: str | None = None
    private: bool = False
    past: str = PAST_ALL

    @property
    def members_only(self) -> bool:
        """Whether only members may post."""
        return self.closed or self.private

    @property
    def visibility(self) -> str:
        return PRIVATE if self.private else PUBLIC


class NewGroup(msgspec.Struct, frozen=True):
    """A group to create. Without a `name` it gets one made of its title. A title that is the name is not
    kept."""

    name: str | None = None
    title: str | None = None
    private: bool = False


class Party(msgspec.Struct, frozen=True):
    """A participant of a group of this realm: the local account `id`, or a user of the realm with the key
    `realm`."""

    key: str
    name: str
    id: int | None = None
    realm: str | None = None


def party_of(account: Account) -> Party:
    return Party(account.key, account.name, account.id)


PrivacyKey: TypeAlias = Literal["receipts", "presence", "invitations"]


class Privacy(msgspec.Struct, frozen=True):
    """What an account shows and allows: `receipts` and `presence` to others, and to be added to groups
    without being asked."""

    receipts: bool = True
    presence: bool = True
    invitations: bool = True


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
    """`away`: online, but away."""

    username: str
    online: bool
    away: bool = False


class GroupInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """A group in a list. Only members may post to a `closed` one. `member` and `admin` describe the user who
    asked."""

    group: str
    code: str
    members: int
    closed: bool
    member: bool
    admin: bool
    title: str | None = None
    visibility: str = PUBLIC


class GroupDetails(msgspec.Struct, frozen=True):
    """A group with its settings. `member` and `admin` describe the user who asked. `members` is None if only
    the group's home knows how many there are, and it is down. `conversation` is 0 for a group elsewhere
    without members here."""

    group: str
    conversation: int
    settings: dict[str, str]
    member: bool
    admin: bool
    members: int | None = None
    code: str = ""


class Member(msgspec.Struct, frozen=True):
    username: str
    admin: bool
    online: bool


class Ban(msgspec.Struct, frozen=True):
    """An address that is banned from a group."""

    username: str


class BlockInfo(msgspec.Struct, frozen=True):
    """What an account has blocked: an address, or a realm as `@@realm`. `at` is in ms since 1970 UTC."""

    address: str
    at: int

    @property
    def fields(self) -> dict[str, str | int | bool]:
        """What is blocked, as programs read it: a `user`, or a `realm`."""
        realm = self.address.removeprefix("@@")
        return {"user": self.address} if realm == self.address else {"realm": realm}


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


class UnreadCount(msgspec.Struct, frozen=True):
    """The number of unread messages in a conversation, and the seq of the first one. Either `user` or `group`
    is set."""

    conversation: int
    unread: int
    user: str | None = None
    group: str | None = None
    first_unread: int | None = None


NotifyLevel: TypeAlias = Literal["all", "mentions", "none"]


class Preferences(msgspec.Struct, frozen=True):
    """What an account has chosen for a conversation. `notify`: of which messages its clients notify it, at
    `until` (ms since 1970 UTC) of all of them again. `archived`: clients show it apart from the others."""

    notify: NotifyLevel = "all"
    until: int | None = None
    archived: bool = False

    def at(self, now: int) -> Preferences:
        """The preferences at that time (ms since 1970 UTC)."""
        if self.until is None or self.until > now:
            return self
        return msgspec.structs.replace(self, notify="all", until=None)


class ConversationInfo(msgspec.Struct, frozen=True):
    """A conversation in the user's list, with its newest message. Either `user` or `group` is set.

    `name` is a display name, an address or the name of a group. `unread` counts messages, and `first_unread`
    is the seq of the first one. `read` is the read mark and `seq` the newest number. `online` is None if
    unknown, as for users of other realms. `picture` is the path of the picture of the user or group.
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
    the newest message with it. `picture` has what is known of a picture (chatd.base.pictures)."""

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
    """A command as help describes it. `errors` are the codes of its errors, besides the common ones."""

    command: str
    aliases: tuple[str, ...]
    usage: str
    about: str
    login: bool
    arguments: tuple[ArgumentInfo, ...]
    errors: tuple[str, ...]


# What the list of a reply contains.
Item: TypeAlias = (
    Message
    | UserInfo
    | Contact
    | GroupInfo
    | Member
    | Ban
    | BlockInfo
    | SessionInfo
    | ReportInfo
    | ReaderName
    | InvitationInfo
    | UnreadCount
    | ConversationInfo
    | RoomInfo
    | FileInfo
    | RealmInfo
    | CommandInfo
    | Exposure
    | LogEntry
    | SyncedLog
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
