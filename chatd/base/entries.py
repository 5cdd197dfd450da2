"""What people change about messages and groups, and how realms name the messages to each other.

These values are what is asked for. What was changed is an entry of the log, which `chatd.base.events` has as
it is shown.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, TypeAlias, get_args

import msgspec

from chatd.base.model import Opaque, Party

# The pattern of the type of an opaque message
_MEDIA_NAME = "[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,63}"  # RFC 6838, section 4.2
MEDIA_TYPE = f"{_MEDIA_NAME}/{_MEDIA_NAME}"


class Edit(msgspec.Struct, frozen=True):
    """Give a message another text. `mentions` are the addresses that the new text mentions. In groups across
    realms, `reply` is what the message replies to: realms that have not had its first text learn it here.

    An edit is blank if its message was deleted before the edit crossed to another realm. Its text is empty
    then, and it is only an entry of the log.
    """

    text: str
    mentions: tuple[str, ...] = ()
    reply: EntryRef | None = None

    @property
    def is_blank(self) -> bool:
        return not self.text


class Deletion(msgspec.Struct, frozen=True):
    """Remove the content of a message."""


class React(msgspec.Struct, frozen=True):
    """Add an emoji to a message (`on`), or take it back."""

    emoji: str
    on: bool = True


class Pin(msgspec.Struct, frozen=True):
    """Pin a message (`on`), or unpin it."""

    on: bool = True


MessageChange: TypeAlias = Edit | Deletion | React | Pin


class Right(StrEnum):
    """Who may make a change of a message."""

    AUTHOR = "its author"
    AUTHOR_OR_ADMIN = "its author, an admin of the group, or a moderator of the group's realm"
    MEMBER = "everybody in the conversation"
    ADMIN = "the admins of a group, and both sides of a direct conversation"


RIGHTS: dict[type[MessageChange], Right] = {
    Edit: Right.AUTHOR,
    Deletion: Right.AUTHOR_OR_ADMIN,
    React: Right.MEMBER,
    Pin: Right.ADMIN,
}


class EntryRef(msgspec.Struct, frozen=True):
    """The name of an entry in all realms: the key of its author's realm (None: this realm), and its number
    there."""

    realm: str | None
    number: int


class SentParts(msgspec.Struct, frozen=True):
    """What a message has besides its text or file, for other realms. `reply` names the message that it
    replies to (chatd.store.crossing.entry_at); `forwarded` and `mentions` are addresses as written here."""

    reply: EntryRef | None = None
    forwarded: str | None = None
    mentions: tuple[str, ...] = ()
    opaque: Opaque | None = None


NO_PARTS = SentParts()


class MadeChange(msgspec.Struct, frozen=True):
    """`author` has changed the message with the number `seq` in its conversation. `at` is in ms since 1970
    UTC. `ref` is None for a message that other realms do not have."""

    change: MessageChange
    author: Party
    at: int
    seq: int
    ref: EntryRef | None = None


Happening: TypeAlias = Literal[
    "joined", "left", "invited", "kicked", "promoted", "demoted", "ended", "moved"
]


HAPPENINGS: dict[str, Happening] = {each: each for each in get_args(Happening)}
# What can change of a group, and be told to other realms. `shut`: as in Group. `home` is its new
# address if it has moved, with its id there, and `last` the seq of the entry that says so.
GROUP_FIELDS = (
    *("closed", "title", "topic", "visibility", "past", "post", "picture", "groupcode"),
    *("shut", "home", "home_id", "last"),
)


class MemberFact(msgspec.Struct, frozen=True):
    """`what` happened to `who`. With the last member a group has `ended`. Who has `moved` is the author:
    their address is `who` now."""

    who: Party
    what: Happening


class GroupFact(msgspec.Struct, frozen=True):
    """What `fields` has of the group is so now: for example who may post."""

    fields: dict[str, str | bool | None]


class MadeFact(msgspec.Struct, frozen=True):
    """`author` has caused a change of a group. `at` is in ms since 1970 UTC."""

    fact: MemberFact | GroupFact
    author: Party
    at: int
