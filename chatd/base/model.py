"""The values that the whole daemon speaks of. All frozen; none of them knows how it is stored or sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

from chatd.base.errors import ChatError

MAX_COUNTED = 1000  # unread messages of one conversation in the list of them


class Account(msgspec.Struct, frozen=True):
    """A registered user. The password's hash is not here: only the store reads it, at a login."""

    id: int
    name: str
    key: str
    display_name: str
    country: str
    operator: bool


class Attachment(msgspec.Struct, frozen=True):
    """A file that a message carries; `stored` is its name in the uploads folder."""

    id: int
    code: str
    name: str
    size: int
    sha256: str
    mime: str
    stored: str
    at: int


class StoredFile(msgspec.Struct, frozen=True):
    """A file that has arrived whole and is on disk, under the name `stored` in the uploads folder."""

    stored: str
    size: int
    sha256: str
    mime: str


class Message(msgspec.Struct, frozen=True):
    """One message in one conversation, and the event that tells a listener of it.

    `at` is in milliseconds since 1970 UTC. `to` is the other party of a direct message, `group` the
    name of the group; one of the two is set, and so is one of `text` and `file`. `queued`: it waits for
    the realm of its recipient.
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
    queued: bool = False


class Receipt(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a message that was sent stands now.

    `queued`: it waits for its realm. Numbers are 0 as long as they are not known: a message to a group of
    another realm gets them there.
    """

    conversation: int
    seq: int
    id: int
    to: str
    queued: bool = False


class Sent(msgspec.Struct, frozen=True):
    """What became of a message to one or several: where it stands, and who did not get it, and why."""

    receipts: tuple[Receipt, ...]
    refused: Mapping[str, ChatError] = {}


class Group(msgspec.Struct, frozen=True):
    """A group; `id` is its conversation's. Only members may post to a closed one, from whatever realm.

    A group of another realm is called `group@realm` here; then `realm` is the key of that realm, and
    `home_id` the group's id there.
    """

    id: int
    name: str
    key: str
    code: str
    closed: bool
    realm: str | None = None
    home_id: int | None = None


class Party(msgspec.Struct, frozen=True):
    """Someone who takes part in a group of this realm: the account `id`, or somebody of the realm with
    the key `realm`."""

    key: str
    name: str
    id: int | None = None
    realm: str | None = None


def party_of(account: Account) -> Party:
    return Party(account.key, account.name, account.id)


class RealmInfo(msgspec.Struct, frozen=True):
    """A peer as `realms` shows it. Times are in ms since 1970 UTC, and None where there is none.

    `state` is `up`, `down`, or `connecting`, `since` when it became so; `direction` says who dialled:
    `out` or `in`.
    """

    realm: str
    state: str
    since: int
    direction: str | None
    address: str | None
    queued: int
    oldest: int | None
    error: str | None
    next_try: int | None


class UserInfo(msgspec.Struct, frozen=True):
    username: str
    name: str
    country: str
    online: bool


class Contact(msgspec.Struct, frozen=True):
    username: str
    online: bool


class GroupInfo(msgspec.Struct, frozen=True):
    """A group as a list shows it; `member` and `admin` are about the one who asks."""

    group: str
    code: str
    members: int
    closed: bool
    member: bool
    admin: bool


class Member(msgspec.Struct, frozen=True):
    username: str
    admin: bool
    online: bool


class Ban(msgspec.Struct, frozen=True):
    """An address that is banned from a group."""

    username: str


class UnreadCount(msgspec.Struct, frozen=True):
    """How many messages of a conversation one has not been given; `user` or `group` is set."""

    conversation: int
    unread: int
    user: str | None = None
    group: str | None = None


class ConversationInfo(msgspec.Struct, frozen=True):
    """A conversation as the list of one's own shows it, with its newest message; `user` or `group` is set.

    `name` is what people call it: someone's display name, an address, a group's name. `unread` is counted
    up to MAX_COUNTED; `read` is the mark, `seq` the newest number. `online` is None where nobody here
    knows it: of people of other realms.
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


class RoomInfo(msgspec.Struct, frozen=True):
    room: str
    users: tuple[str, ...]


class FileInfo(msgspec.Struct, frozen=True):
    """A file that one may fetch, as a list shows it."""

    code: str
    name: str
    size: int
    sender: str
    at: int


class RoomTalk(msgspec.Struct, frozen=True):
    """Event: somebody said something in the room that the listener is in. Nothing of it is kept."""

    room: str
    sender: str
    display_name: str
    text: str
    at: int


class MemberChange(msgspec.Struct, frozen=True):
    """Event: an admin has removed the listener, whose name is `who`, from the group."""

    conversation: int
    group: str
    who: str
    what: str = "kicked"

    @property
    def sentence(self) -> str:
        return f"You were removed from {self.group}"


class Closing(msgspec.Struct, frozen=True):
    """Event: the connection is about to be closed, and why."""

    error: ChatError


class SessionEnded(msgspec.Struct, frozen=True):
    """Event: the session was ended from elsewhere (logged out on another connection or
    everywhere, password changed)."""

    reason: str


Event: TypeAlias = Message | RoomTalk | MemberChange | Closing | SessionEnded


class ArgumentInfo(msgspec.Struct, frozen=True):
    """An argument as help describes it; by name it may be given under any of `keys`."""

    name: str
    type: str
    about: str
    optional: bool
    keys: tuple[str, ...]


class CommandInfo(msgspec.Struct, frozen=True):
    """A command as help describes it; `errors` are the codes of its own refusals."""

    command: str
    aliases: tuple[str, ...]
    usage: str
    about: str
    login: bool
    arguments: tuple[ArgumentInfo, ...]
    errors: tuple[str, ...]


class Exposure(msgspec.Struct, frozen=True):
    """How many messages went to another realm and came from it in one conversation."""

    conversation: str
    sent: int
    received: int


class Added(msgspec.Struct, frozen=True):
    """A realm that became a peer. `fingerprint` is empty if no certificate is remembered. `replaced` is the
    fingerprint of another certificate that was remembered before, and `exposed` the messages exchanged with
    the holder of that certificate."""

    fingerprint: str
    replaced: str = ""
    exposed: tuple[Exposure, ...] = ()


# What the list of a reply contains.
Item: TypeAlias = (
    Message
    | UserInfo
    | Contact
    | GroupInfo
    | Member
    | Ban
    | UnreadCount
    | ConversationInfo
    | RoomInfo
    | FileInfo
    | RealmInfo
    | CommandInfo
    | Exposure
)


class Reply(msgspec.Struct, frozen=True):
    """What a command came to: a sentence, facts by name, and a list of one kind of items.

    Dialects render it: `json` all of it, `plain` all but `data`, which is for programs; the older ones
    the parts that they name.
    """

    message: str
    fields: dict[str, str | int | bool] = {}
    data: dict[str, Any] = {}
    items: tuple[Item, ...] = ()
    items_name: str = ""
