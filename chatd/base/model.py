"""The values that all layers share: accounts, messages and groups. They are frozen and independent of
storage and wire formats."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

import msgspec

from chatd.base.attachments import Attachment
from chatd.base.errors import ChatError
from chatd.base.roles import MODERATOR, OPERATOR, USER, Role, includes

MAX_OPAQUE = 32 << 10  # bytes of an opaque body
MAX_READERS = 100  # members of a group in which read receipts and typing are shown

# The delivery of a message (Message.state)
STORED = "stored"
QUEUED = "queued"
DELIVERED = "delivered"
REFUSED = "refused"
REQUESTED = "requested"


class Account(msgspec.Struct, frozen=True):
    """A registered user. `picture` is the hash of their picture. The hash of the password is not here: only
    the store reads it, at a login."""

    id: int
    name: str
    key: str
    display_name: str
    country: str
    role: Role = USER
    status: str = ""
    picture: str | None = None

    @property
    def operator(self) -> bool:
        """Whether the account is an operator of the realm."""
        return self.role == OPERATOR

    @property
    def moderator(self) -> bool:
        """Whether the account is a moderator or an operator of the realm."""
        return includes(self.role, MODERATOR)


class Device(msgspec.Struct, frozen=True):
    """What a session is used with: the name of the client program or of its dialect, and its network
    address."""

    client: str = ""
    address: str = ""


class Opaque(msgspec.Struct, frozen=True):
    """Content that the server stores and passes on without reading it: its media type, and its bytes."""

    media: str
    body: bytes


class EmojiReactions(msgspec.Struct, frozen=True):
    """One emoji on a message. `people` are addresses: all `count` of them, or some if there are too many."""

    emoji: str
    people: tuple[str, ...]
    count: int


class Message(msgspec.Struct, frozen=True, gc=False):
    """A message in a conversation in its current state, and the event that announces it to listeners.

    `at` is in milliseconds since 1970 UTC. Either `to`, the recipient of a direct message, or `group`, the
    name of the group, is set, and one of `text`, `file` and `opaque`; none of these once it is deleted. `seq`
    is 0 for a message to a group of another realm that this realm has not numbered yet. `title` is that of
    the group, in events only.

    `state` is its delivery: `stored` (it does not cross), `queued`, `requested` (it waits to be accepted),
    `delivered`, or `refused` with a `reason`. `waits` has the key of the realm that a queued message waits
    for, and the number of its parcel. `edited` is the time of the last edit. `reply` is the seq of the
    message that it replies to. `forwarded` is the address that wrote the message it was forwarded from.
    `mentions` are addresses. `unverified`: its signature could not be checked. `blocked`: the reader has
    blocked its sender. `withheld`: its content is not shown, and the text says why. `imported`: it is from an
    archive that the reader has imported, and its signature could not be checked.
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
    imported: bool = False


class Receipt(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
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


class FormerHome(msgspec.Struct, frozen=True):
    """A realm in which a group has lived: its key, and the group's id and the key of its name there."""

    realm: str
    home_id: int
    name: str


class Group(msgspec.Struct, frozen=True):
    """A group; `id` is the id of its conversation. Only members may post to a closed group. New members see
    `all` of its past, or nothing before they `joined`. `shut` is why the operators of its home have closed it
    for everybody, which may be empty; None: they have not. It may have lived in other realms: `former` has
    these homes, the first one first.

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
    shut: str | None = None
    former: tuple[FormerHome, ...] = ()

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
