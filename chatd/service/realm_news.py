"""What realms report to each other: who is in groups, and what people do with conversations."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from chatd.base.group_settings import Fields
from chatd.base.model import Party

# Membership changes that realms report to each other


class MemberJoined(msgspec.Struct, frozen=True):
    """`user`, of the receiving realm, is a member of a group of the sending realm, and gets the messages
    after `seq`. They see the entries from `first` on. `about` has the group's settings, and the hash of its
    picture. `at`: since when they are a member. With the `seal`, the sending realm recognises its report
    after a restore."""

    group: str
    group_id: int
    user: str
    seq: int
    first: int = 0
    about: Fields = {}
    at: int = 0
    seal: bytes = b""


class MemberRemoved(msgspec.Struct, frozen=True):
    """`user`, of the receiving realm, is no longer a member of a group of the sending realm. `by` has caused
    it, as the entry `seq` reports."""

    group: str
    group_id: int
    user: str
    seq: int = 0
    by: str = ""


class MemberInvited(msgspec.Struct, frozen=True):
    """`by` invites `user`, of the receiving realm, to a group of the sending realm."""

    group: str
    group_id: int
    user: str
    by: str
    title: str | None = None


class MemberLeft(msgspec.Struct, frozen=True):
    """`user`, of the sending realm, has left a group of the receiving realm."""

    group: str
    group_id: int
    user: str


class MoveOffered(msgspec.Struct, frozen=True):
    """`by`, an admin, wants a group of the sending realm to move to the receiving one (`on`), or does not
    want that any more."""

    group: str
    group_id: int
    by: str
    on: bool


class GroupHasMoved(msgspec.Struct, frozen=True):
    """A group has moved to another realm, as the encoded `steps` prove."""

    steps: tuple[bytes, ...]


MemberNews: TypeAlias = MemberJoined | MemberRemoved | MemberInvited | MemberLeft
MoveNotices: TypeAlias = MoveOffered | GroupHasMoved


class RequestAccepted(msgspec.Struct, frozen=True):
    """`user`, of the sending realm, has accepted the message request of `sender`, of the receiving one, which
    was the entry `number` there."""

    number: int
    user: str
    sender: str


# What realms tell each other of accounts that move


class MoveAgreed(msgspec.Struct, frozen=True):
    """`user`, of the sending realm, has agreed to be the new address of `old`, of the receiving one. The
    sending realm has signed the `agreement`; None: it does not hold any more."""

    user: str
    old: str
    agreement: bytes | None


class MoveMade(msgspec.Struct, frozen=True):
    """An account has moved, as `proof` says."""

    proof: bytes


class MoveLuggage(msgspec.Struct, frozen=True):
    """A page of what `old`, of the sending realm, had, for its new address `user`, of the receiving one: an
    encoded array (chatd.federation.luggage)."""

    old: str
    user: str
    items: bytes


class MemberMoved(msgspec.Struct, frozen=True):
    """`user`, of the sending realm, is `to` now in a group of the receiving realm."""

    group: str
    group_id: int
    user: str
    to: Party


class MoveClaimed(msgspec.Struct, frozen=True):
    """`user`, of the sending realm, says to `to`, of the receiving one, that they were `old`."""

    user: str
    to: str
    old: str


MoveNews: TypeAlias = MoveAgreed | MoveMade | MoveLuggage | MemberMoved | MoveClaimed


# What people do with a conversation, without writing to it. Names without a realm are of the sending realm. A
# group is named by the key of its home and its id there. Its members tell its home, which tells the other
# realms with members.


class DirectRead(msgspec.Struct, frozen=True):
    """`reader` has read what `user`, of the receiving realm, wrote to them, up to the message that was the
    entry `number` of the receiving realm."""

    reader: str
    user: str
    number: int


class GroupRead(msgspec.Struct, frozen=True):
    """`reader` has read a group up to `seq`."""

    reader: str
    home: str
    group_id: int
    seq: int


class DirectTyping(msgspec.Struct, frozen=True):
    """`who` is writing to `user`, of the receiving realm."""

    who: str
    user: str


class GroupTyping(msgspec.Struct, frozen=True):
    """`who` is writing to a group."""

    who: str
    home: str
    group_id: int


ReadNews: TypeAlias = DirectRead | GroupRead
TypingNews: TypeAlias = DirectTyping | GroupTyping
