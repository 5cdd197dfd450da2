"""The interfaces through which the service reaches other realms. chatd.federation implements them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Literal, TypeAlias

import msgspec
from sqlalchemy import Connection
from twisted.internet.defer import Deferred
from zope.interface import Interface

from chatd.base.account_archive import ArchivedMessage, ArchivedOrigin
from chatd.base.attachments import Attachment
from chatd.base.entries import NO_PARTS, MadeChange, MadeFact, MemberFact, SentParts
from chatd.base.errors import ChatError
from chatd.base.model import Account, FormerHome, Group, Message, Party
from chatd.base.names import Address
from chatd.base.realms import Added, RealmInfo
from chatd.base.replies import Member
from chatd.service.presence import IListener
from chatd.service.realm_news import (
    MemberNews,
    MoveNews,
    MoveNotices,
    ReadNews,
    RequestAccepted,
    TypingNews,
)
from chatd.service.targets import Target
from chatd.store.account_moves import MovePlan
from chatd.store.new_entries import NewMessage, RemoteCopies, Stored
from chatd.store.origins import Origin
from chatd.store.outbox import NewParcel
from chatd.store.outcomes import SentEntry
from chatd.store.pending import NewPost
from chatd.store.sealing import NewSignature

# What may be asked of a group's home. `describe` is for everybody who knows the group, and the others are
# changes by admins. `bans` lists the banned addresses, after the given one if there is one.
GroupVerb: TypeAlias = Literal[
    "invite",
    "kick",
    "unban",
    "bans",
    "promote",
    "demote",
    "transfer",
    "close",
    "open",
    "set",
    "renewcode",
    "describe",
    "move",
    "stay",
]


class Membership(msgspec.Struct, frozen=True):
    """What a realm returns about one of its groups to someone who joins it."""

    group: str
    group_id: int


class SignedFact(msgspec.Struct, frozen=True):
    """What a member of another realm does to a group of this realm, as that realm has signed it. `origin` is
    the name of the entry. `relay` makes the parcel that carries it to other realms, from its seq."""

    made: MadeFact
    origin: Origin
    signature: NewSignature
    relay: Callable[[int], bytes]

    def says(self, made: MadeFact) -> bool:
        """Whether it is this fact."""
        own, other = self.made.fact, made.fact
        if self.made.author.key != made.author.key:
            return False
        if isinstance(own, MemberFact) and isinstance(other, MemberFact):
            return own.what == other.what and own.who.key == other.who.key
        return own == other


class Notice(msgspec.Struct, frozen=True):
    """News for the realm with the key `realm`; `at` is in ms since 1970 UTC. `sender_id` is the account to
    tell if it can't be delivered. Of several read marks of one reader in one conversation that wait, only the
    last is told; the receiving realm passes it to `Receipts.arrived`."""

    realm: str
    at: int
    news: MemberNews | MoveNotices | RequestAccepted | MoveNews | ReadNews
    sender_id: int | None = None


class StagedNotice(msgspec.Struct, frozen=True):
    """A notice that was stored in a transaction: its parcel, and the number of that."""

    notice: Notice
    number: int
    parcel: NewParcel


class ResentParcel(msgspec.Struct, frozen=True):
    """A parcel that waits for a `realm` in place of another one, because its recipient has moved. `entry` is
    the message that it carries; None: it carries a change of one."""

    realm: str
    number: int
    parcel: bytes
    file: int | None = None
    entry: SentEntry | None = None


# What became of a message at another realm


class DeliveryOutcome(msgspec.Struct, frozen=True):
    """Delivered, refused with an `error`, or `queued` because the other realm has not answered in time. `seq`
    is the number that a group's home has given to a delivered message. `requested`: it waits until its
    recipient accepts it."""

    error: ChatError | None = None
    queued: bool = False
    seq: int = 0
    requested: bool = False


DELIVERED = DeliveryOutcome()
QUEUED = DeliveryOutcome(queued=True)

OnOutcome: TypeAlias = Callable[[DeliveryOutcome], object]


class ISettled(Interface):
    """The deliveries whose outcomes became known during a watch."""

    def fresh(message: Message) -> Message:
        """The message, with the state that is known by now."""


class IMover(Interface):
    """Signs for accounts that move. All of it runs in the writer's thread."""

    def sign_agreement(
        connection: Connection, user: str, old: Address, at: int
    ) -> tuple[int, bytes]:
        """Sign that `user`, of this realm, has agreed to be the new address of `old`, of another one. Returns
        the number of the statement, and what the other realm gets."""

    def sign_move(
        connection: Connection, user: str, new: Party, agreement: MovePlan, at: int
    ) -> tuple[int, bytes]:
        """Sign that `user`, of this realm, has moved to `new`, which has agreed. Returns the number of the
        statement, and the proof of the move."""

    def readdress(connection: Connection, new: NewMessage, to: str, realm: str) -> RemoteCopies:
        """Make the copies of a message whose recipient is `to` now, of the realm with that key."""

    def send_on(
        connection: Connection, account_id: int, old: Party, new: Party
    ) -> Sequence[ResentParcel]:
        """Let what an account has written to the address `old`, and waits for its realm, wait for that of
        `new`. What goes to an account of this realm needs no parcel."""


class IForwarder(Interface):
    """Sends to other realms what the service has stored. Parcels in the outbox outlive the daemon, and are
    sent when their realm can be reached."""

    # Before something is stored, or in the transaction that stores it

    def copies(
        sender: Account,
        target: Target,
        at: int,
        text: str | None,
        file: Attachment | None,
        parts: SentParts = NO_PARTS,
    ) -> RemoteCopies:
        """Make the copies of a message for the target's other realms, to be stored with it. Raises
        NotSupportedThere for an opaque message."""

    def change_copies(
        connection: Connection, made: MadeChange, target: Target
    ) -> RemoteCopies | None:
        """Make the copies of a change of a message for the target's other realms, to be stored with it; None
        if it stays here. For a group of another realm, it is the request to the group's home, which alone
        makes the change. Runs in the writer's thread, in the transaction that makes the change."""

    def deletion_copies(
        connection: Connection, made: Sequence[MadeChange], target: Target
    ) -> Sequence[RemoteCopies | None]:
        """As `change_copies`, for deletions of messages of a group of this realm by the realm itself, in the
        order of the messages."""

    def post_parcel(
        sender: Account,
        target: Target,
        at: int,
        text: str | None,
        file: Attachment | None,
        parts: SentParts = NO_PARTS,
    ) -> NewParcel:
        """Make the parcel of a message to a group of another realm, which alone stores the message."""

    def fact_copies(group: Group, made: MadeFact, realms: tuple[str, ...]) -> RemoteCopies:
        """Make the copies of an entry about a group of this realm, for realms with members. Its author is of
        this realm."""

    def sign_facts(
        connection: Connection, home: str, group: int | str, facts: Sequence[MadeFact]
    ) -> list[bytes]:
        """Sign what people of this realm want to do to a group of the realm `home`, which has the id `group`,
        or its name if the id is not known here. Returns what IRealms takes. Runs in the writer's thread."""

    def mover() -> IMover:
        """What signs and forwards for accounts that move."""

    def stage(connection: Connection, notices: Sequence[Notice]) -> Sequence[StagedNotice]:
        """Store notices in the transaction of `connection`. Runs in the writer's thread."""

    # After the commit

    def send_notices(staged: Sequence[StagedNotice]) -> None:
        """Send notices that were staged."""

    def resend(sent: Sequence[ResentParcel]) -> None:
        """Send what IMover.send_on has returned."""

    def relay(stored: Stored, file: int | None) -> None:
        """Send the copies of a group's message or change. `file` is the id of its attachment."""

    def deliver(
        realm: str,
        stored: Stored,
        file: int | None,
        entry: SentEntry,
        on_outcome: OnOutcome | None = None,
    ) -> None:
        """Send the copy of a direct message. `on_outcome` is called once, within seconds: with the outcome,
        or with QUEUED. An outcome that is not told to it is an event."""

    def send_change(
        stored: Stored, copies: RemoteCopies, target: Target
    ) -> Deferred[DeliveryOutcome]:
        """Send the copies of a change. For a group of another realm, it fires within seconds with the answer
        of the group's home. Otherwise it fires at once, in a direct conversation with QUEUED if the other
        realm is not linked or still gets what it has lost; the author is told later if the change is
        refused."""

    def send_post(
        post: NewPost,
        place: Stored,
        origin: IListener | None = None,
        on_outcome: OnOutcome | None = None,
    ) -> None:
        """Send the parcel of a message to a group of another realm. `on_outcome` is called once, within
        seconds: when the message has come back with its number, with the error for which it was refused, or
        with QUEUED. The message does not go to the listener `origin` when it comes back, if that waits for
        it."""

    def tell_typing(realm: str, news: TypingNews) -> None:
        """Tell the realm that somebody is writing, if it is linked now; else it is forgotten. The receiving
        realm passes it to `TypingNotices.arrived`."""

    def until_left(user: str, realm: str) -> Deferred[None]:
        """Wait until the realm knows which of its groups `user` has left. Errs with RealmDown."""

    def watch() -> AbstractContextManager[ISettled]:
        """A context in which messages are read. Its value has the outcomes that come meanwhile, and those
        that are not stored yet."""

    def flush() -> object:
        """Remove delivered parcels from the outbox before the next job of the database."""


class TheirState(msgspec.Struct, frozen=True, array_like=True):
    """The state of a person of the realm that tells it, or of a guest in one of its groups. `named` are the
    keys of people of the receiving realm who share a conversation with the person. For those with the keys in
    `unseen`, whom the person has blocked, the person is offline."""

    user: str
    state: str
    named: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()


class RemoteProfile(msgspec.Struct, frozen=True):
    """What another realm tells of one of its people: the display name, the hash of the picture (empty: there
    is none), and the picture, if the asker did not know that hash."""

    name: str
    picture: str
    body: bytes = b""


class RemotePicture(msgspec.Struct, frozen=True):
    """The picture of a group of another realm and its hash, which is empty if there is none."""

    picture: str
    body: bytes = b""


class Rescued(msgspec.Struct, frozen=True):
    """A group that was founded again here, and the names of the realms whose members have not followed
    yet."""

    group: Group
    waits: Sequence[str]


class IRealms(Interface):
    """The other realms, and questions that they answer at once. Realms are named by their keys.

    All Deferreds err with UnknownRealm, RealmDown, or the error with which the other realm refused.
    """

    def name_of(realm: str) -> str:
        """How the realm writes its name. Raises UnknownRealm."""

    def is_welcome(realm: str) -> bool:
        """Whether the people of the realm are no strangers: it was added, or all realms are welcome. May be
        called in any thread."""

    def follows_moves(realm: str) -> bool:
        """Whether the realm follows accounts that move, as far as is known. May be called in any thread."""

    def check_moves(realm: str) -> None:
        """Raises NotSupportedThere if the realm is known not to follow accounts that move."""

    def is_linked(realm: str) -> bool:
        """Whether the realm is linked with this one, at any node. May be called in any thread."""

    def is_kept(realm: str) -> bool:
        """Whether this node, and no other one, links with the realm."""

    def is_added(realm: str) -> bool:
        """Whether somebody here has added the realm, or it has only linked on its own."""

    def find(realm: str, user: str, group: str) -> Deferred[Membership]:
        """The group there with that name or code, which `user`, of this realm, wants to join."""

    def join(realm: str, user: str, group: str, entry: bytes) -> Deferred[Membership]:
        """Make `user`, of this realm, a member of a group there. `entry` is the signed fact."""

    def members(realm: str, user: str, group: str) -> Deferred[Sequence[Member]]:
        """The members of a group there that `user` is in, as that realm names them."""

    def change(
        realm: str,
        user: str,
        group: str,
        change: GroupVerb,
        users: Sequence[str],
        entries: Sequence[bytes] = (),
    ) -> Deferred[Mapping[str, Sequence[str]]]:
        """Make a change for `user`, an admin of a group there. `entries` are the signed facts of the change:
        one for each of `users`, if it has any. Returns lists of addresses."""

    def presence(realm: str, users: Collection[str]) -> Deferred[dict[str, TheirState]]:
        """The states of `users` there: online, away or offline. Unknown ones are left out."""

    def hears_presence(realm: str) -> bool:
        """Whether this node tells the realm of presence: it is linked here, somebody has added it, and it
        takes that."""

    def presence_changed(realm: str, states: Sequence[TheirState]) -> None:
        """Tell the realm these states, if it is linked with this node."""

    def profile(realm: str, user: str, known: str) -> Deferred[RemoteProfile]:
        """The profile of a user there. `known` is the hash of the picture that is known here, or empty. Fails
        with UnknownUser."""

    def group_picture(realm: str, user: str, group: str) -> Deferred[RemotePicture]:
        """The picture of a group there, for `user`, of this realm."""

    def profile_changed(realm: str, user: str) -> None:
        """Tell the realm, if it is linked, that the profile of a user of this realm has changed."""

    def wake(realms: Iterable[str]) -> None:
        """Link soon with those of the realms whose links rest, because somebody follows who is online there.
        Each is then asked."""

    def takes_moves(realm: str) -> bool:
        """Whether groups may move to and from the realm, as far as is known: it says what it takes only while
        it is linked."""

    def begin_move(realm: str) -> None:
        """Go on with the moves of groups from that realm to this one."""

    def begin_past(realm: str) -> None:
        """Fetch in the background what is missing of groups there with members here."""

    def fetch_past(conversation: int) -> Deferred[None]:
        """Fetch the newest entries that are missing of a group of another realm. Fires when they have come,
        or can't be fetched now. Never errs."""

    def rescue_group(account: Account, group: Address) -> Deferred[Rescued]:
        """Let an account found a group of a lost realm again. Errs with UnknownGroup, NotMember,
        GroupLivesHere, HomeNotLost, NoRoster, NotFounder, RescueExists."""

    def look_up(realm: str, account: int) -> Deferred[None]:
        """Make the realm with that name a peer, unless it is one, because the account with that id names it.
        Errs with UnknownRealm if realms of such names are not looked up, RealmNotFound, LookupDenied,
        TooManyLookups, Busy, BadName, and why the realm that was found is not accepted."""

    def add(realm: str, host: str, port: int, by_operator: bool) -> Deferred[Added]:
        """Make a realm a peer. Errs with the reason; only operators are told more than that it was not
        reached."""

    def forget(realm: str) -> Deferred[int]:
        """Forget a peer. Fires with the number of parcels that still wait for it. Errs with UnknownRealm."""

    def all(detailed: bool = True) -> Deferred[Sequence[RealmInfo]]:
        """The peers and their links. `detailed` includes why a realm that no operator has added is not
        reached."""


class SignedContent(msgspec.Struct, frozen=True):
    """What the author's realm has signed of a message of a group: `author` and all other addresses are
    complete, `at` is in ms since 1970 UTC, `reply` names the message that it replies to. `edited`: it is the
    last edit that is signed."""

    author: str
    at: int
    origin: ArchivedOrigin
    mentions: tuple[str, ...] = ()
    forwarded: str | None = None
    reply: ArchivedOrigin | None = None
    edited: bool = False


class ISignedEntries(Interface):
    """Checks the signatures in archives. chatd.federation implements it."""

    def check(message: ArchivedMessage, homes: Collection[FormerHome]) -> SignedContent | None:
        """What is signed of a message of the group that has had these homes. None if that is not known, or if
        the message has anything that is not signed."""
