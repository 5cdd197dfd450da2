"""Events: what listening connections are told. One frozen class for each kind.

An event that belongs to a conversation has its id in `conversation`, and `seq`, the number of the entry
that it announces or is about. Times are in ms since 1970 UTC. Persons are addresses as shown. Dialects write
events with `match`; one that does not know a kind skips it there.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from chatd.base.attachments import Attachment
from chatd.base.errors import ChatError
from chatd.base.model import Message, Preferences


class Edited(msgspec.Struct, frozen=True):
    """The author has changed the text of the message `target`. `text` is its current text, and `mentions` are
    the addresses that this mentions. `unverified`, here and below: the signature of the entry could not be
    checked, or is wrong."""

    conversation: int
    seq: int
    target: int
    text: str | None
    at: int
    by: str
    group: str | None = None
    mentions: tuple[str, ...] = ()
    unverified: bool = False


class Deleted(msgspec.Struct, frozen=True):
    """The content of the message `target` is deleted."""

    conversation: int
    seq: int
    target: int
    at: int
    by: str
    group: str | None = None
    unverified: bool = False


class Reaction(msgspec.Struct, frozen=True):
    """`by` has added an emoji to the message `target` (`on`), or has removed it."""

    conversation: int
    seq: int
    target: int
    at: int
    by: str
    emoji: str
    on: bool
    group: str | None = None
    unverified: bool = False


class Pinned(msgspec.Struct, frozen=True):
    """`by` has pinned the message `target` (`on`), or has unpinned it."""

    conversation: int
    seq: int
    target: int
    at: int
    by: str
    on: bool
    group: str | None = None
    unverified: bool = False


class MemberChange(msgspec.Struct, frozen=True):
    """`what` happened to `who` in the group (chatd.base.entries.Happening). `by` has caused it.

    `seq` is 0 where this realm does not know the entry. `removed`: the listener is `who`, and no longer a
    member. With the `conversation` 0 they were invited only, and are no longer.
    """

    conversation: int
    group: str
    who: str
    what: str = "kicked"
    seq: int = 0
    at: int = 0
    by: str = ""
    removed: bool = False
    unverified: bool = False

    @property
    def sentence(self) -> str:
        """The change, as the person reads it who was removed."""
        if not self.conversation:
            return f"Your invitation to {self.group} was withdrawn"
        return f"You were removed from {self.group}"


class GroupChange(msgspec.Struct, frozen=True):
    """`by` has changed what `fields` has: for example the title, or who may post."""

    conversation: int
    seq: int
    group: str
    at: int
    by: str
    fields: dict[str, str | bool | None]
    unverified: bool = False


class AddressChange(msgspec.Struct, frozen=True):
    """The other person of a direct conversation has moved: they were `old`, and are `new` now. Messages to
    the conversation go to the new address."""

    conversation: int
    seq: int
    at: int
    old: str
    new: str
    group: str | None = None
    unverified: bool = False


# The changes of messages, each with the seq of its `target`
ChangeOfMessage: TypeAlias = Edited | Deleted | Reaction | Pinned
# The entries of a log that are no messages.
Change: TypeAlias = ChangeOfMessage | MemberChange | GroupChange | AddressChange


class StateChange(msgspec.Struct, frozen=True):
    """The delivery of the message `seq` has the outcome `state`: queued, delivered, or refused for `reason`.
    `id` is the message's; `seq` is 0 while it has none. `code` is that of the refusal. Or the signature of
    the entry `seq` is `verified` or `forged` now; `id` is 0 if that is no message."""

    conversation: int
    seq: int
    id: int
    state: str
    reason: str | None = None
    code: str | None = None


class FileChange(msgspec.Struct, frozen=True):
    """The file of the message `seq` is `here`, or `lost` for `reason`. `code` is that of the reason."""

    conversation: int
    seq: int
    state: str
    reason: str | None = None
    code: str | None = None


class ReadMoved(msgspec.Struct, frozen=True):
    """`who` has read the conversation up to `seq`."""

    conversation: int
    seq: int
    who: str


class Typing(msgspec.Struct, frozen=True):
    """`who` is writing in the conversation. It holds for 6 s."""

    conversation: int
    who: str


class PresenceChange(msgspec.Struct, frozen=True):
    """`who` is online, away or offline."""

    who: str
    state: str


class ProfileChange(msgspec.Struct, frozen=True):
    """The profile of `who` has changed. `picture` is the path of their picture; None if they have none."""

    who: str
    name: str
    country: str
    status: str = ""
    picture: str | None = None


class ConversationChange(msgspec.Struct, frozen=True):
    """The listener has a new conversation, or has changed its `preferences`: it is muted, unmuted, archived
    or unarchived. `user` or `group` names it."""

    conversation: int
    user: str | None = None
    group: str | None = None
    what: str = "new"
    preferences: Preferences | None = None


class GroupRescue(msgspec.Struct, frozen=True):
    """A group whose home is lost was founded again, with the address `to`: that is `pending` here, the group
    has `moved` there from its address `was`, or it stays (`void`)."""

    conversation: int
    group: str
    state: str
    was: str
    to: str
    at: int


class BlockChange(msgspec.Struct, frozen=True):
    """Over another connection, the listener has blocked an address or a realm (`on`), or has lifted that
    block. `address` is as in BlockInfo."""

    address: str
    on: bool


class Invitation(msgspec.Struct, frozen=True):
    """`by` invites the listener to a group. `realm` is the name of its realm, if that is another."""

    group: str
    by: str
    at: int
    realm: str | None = None
    title: str | None = None


class MessageRequest(msgspec.Struct, frozen=True):
    """`user`, of another realm, has written to the listener for the first time, and waits to be accepted."""

    user: str
    conversation: int
    seq: int
    at: int
    text: str | None


class ImportChange(msgspec.Struct, frozen=True):
    """The import of the listener is `running`, `done`, `failed` or `cancelled`. `messages` were imported, and
    `conversations` of `of` have been read. `code` and `reason` say why it has failed."""

    state: str
    messages: int
    conversations: int
    of: int
    code: str | None = None
    reason: str | None = None

    @property
    def sentence(self) -> str:
        """The state, as people read it."""
        done = f"{self.messages} messages"
        match self.state:
            case "running":
                return f"Your archive is being imported: {done} so far"
            case "done":
                return f"Your archive is imported: {done}"
            case "cancelled":
                return f"Your import is cancelled; {done} were imported"
            case _:
                return f"Your import has failed after {done}: {self.reason}"


class RoomTalk(msgspec.Struct, frozen=True):
    """A message or a file in the listener's room. Such messages are not stored."""

    room: str
    sender: str
    display_name: str
    text: str
    at: int
    file: Attachment | None = None


class RoomChange(msgspec.Struct, frozen=True):
    """`who` has entered the listener's room, or else left it."""

    room: str
    who: str
    display_name: str
    entered: bool


class RoomsChanged(msgspec.Struct, frozen=True):
    """Somebody has entered or left some room. `rooms` lists them all."""


class Closing(msgspec.Struct, frozen=True):
    """The connection will be closed because of `error`."""

    error: ChatError


class SessionEnded(msgspec.Struct, frozen=True):
    """Another connection ended the session, by a logout or a change of the password."""

    reason: str


Event: TypeAlias = (
    Message
    | Change
    | StateChange
    | FileChange
    | ReadMoved
    | Typing
    | PresenceChange
    | ProfileChange
    | ConversationChange
    | GroupRescue
    | BlockChange
    | Invitation
    | MessageRequest
    | ImportChange
    | RoomTalk
    | RoomChange
    | RoomsChanged
    | Closing
    | SessionEnded
)
