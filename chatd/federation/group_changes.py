"""Receives changes of messages in groups that other realms have signed."""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

import msgspec
from sqlalchemy import Connection
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatd.base.emoji import is_emoji
from chatd.base.entries import Deletion, Edit, EntryRef, MadeChange, MessageChange, Pin, React
from chatd.base.errors import BadSignature, ChatError, MessageDeleted, UnknownMessage
from chatd.base.model import Party
from chatd.base.texts import check_text
from chatd.federation import parcels
from chatd.federation.forwarder import Forwarder
from chatd.federation.parcels import KEPT, Relay, Verdict
from chatd.federation.realm_quotas import RealmQuotas
from chatd.federation.refusals import verdict_of
from chatd.federation.signing.entries import OpenedEntry
from chatd.federation.signing.statements import (
    DeletionAttributes,
    EditAttributes,
    GroupAttributes,
    MemberAttributes,
    MessageAttributes,
    PinAttributes,
    ReactionAttributes,
    StatedRef,
)
from chatd.service.chat_service import ChatService
from chatd.service.quotas import cost_of_change
from chatd.service.targets import Target
from chatd.store import crossing, pasts
from chatd.store import outbox as outbox_store
from chatd.store.bans import check_ban
from chatd.store.lineage import check_home_now
from chatd.store.message_changes import ChangeResult, WantedChange
from chatd.store.new_entries import RemoteCopies
from chatd.store.parcel_stream import ParcelStream, StreamPlace
from chatd.store.roster import Roster

log = Logger()


class EntryChange(msgspec.Struct, frozen=True):
    """A change to make of the message `entry` of a group. `wanted` has no seq yet. `copies` carry it to other
    realms, if this one is the group's home; then `guest` is its author. `relay` is the parcel that the home
    has sent."""

    wanted: WantedChange
    entry: EntryRef
    target: Target
    copies: RemoteCopies | None = None
    guest: tuple[Roster, Party] | None = None
    relay: Relay | None = None


def change_of(
    opened: OpenedEntry, address: Callable[[str], str], ref: Callable[[StatedRef], EntryRef]
) -> MessageChange:
    """The change that an entry states, with addresses and entries as `address` and `ref` write them; a blank
    one for an edit of a message that was deleted since. Raises BadSignature if it is none that is known here,
    BadName, BadText, EmptyText."""
    attributes = opened.attributes
    match attributes:
        case None if opened.statement.kind == "edited":
            return Edit("")
        case EditAttributes(mentions, reply):
            text, answered = check_text(opened.text or ""), None if reply is None else ref(reply)
            return Edit(text, tuple(map(address, mentions)), answered)
        case DeletionAttributes():
            return Deletion()
        case ReactionAttributes(emoji, on) if is_emoji(emoji):
            return React(emoji, on)
        case PinAttributes(on):
            return Pin(on)
        case (
            None
            | MessageAttributes()
            | ReactionAttributes()
            | MemberAttributes()
            | GroupAttributes()
        ):
            raise BadSignature(reason="this realm knows no such entries")
        case _:
            assert_never(attributes)


class GroupChanges:
    """What a person may change is checked at the group's home, as if they were of that realm. Other realms
    check only that edits are their authors'."""

    def __init__(self, service: ChatService, forwarder: Forwarder, quotas: RealmQuotas) -> None:
        self._database = service.database
        self._changes = service.changes
        self._messages = service.messages
        self._writers = service.context.writers
        self._forwarder = forwarder
        self._quotas = quotas

    def make(self, realm: str, change: EntryChange, stream: ParcelStream) -> Deferred[Verdict]:
        """Make a change that `realm` has brought, unless it was made before. Fires with the verdict once it
        is on disk. Raises MessageTooLong, RealmQuota."""
        wanted = change.wanted.change
        if isinstance(wanted, Edit):
            self._messages.check_text(wanted.text)
        size = cost_of_change(wanted)
        self._quotas.charge_bytes(realm, size)
        making = self._database.run(self._make_in_order, stream.next(), change)
        return making.addCallbacks(
            self._made, self._not_made, (change, realm, size), {}, (realm, size)
        )

    def _make_in_order(
        self, connection: Connection, place: StreamPlace, change: EntryChange
    ) -> ChangeResult | ChatError | None:
        """As `make_now`. Raises StorageFailed if an earlier job of the stream could not be done."""
        refusals = self._writers.messages.refusals
        return place.run(refusals, self.make_now, connection, change)

    def make_now(
        self, connection: Connection, change: EntryChange
    ) -> ChangeResult | ChatError | None:
        """Make a change in the transaction of `connection`. Runs in the writer's thread. Returns None if it
        was made before, or the error for which it can't be made; then nothing was written."""
        wanted = change.wanted
        assert wanted.origin is not None  # noqa: S101 - it comes from another realm
        if crossing.is_made(connection, wanted.conversation, wanted.origin):
            return None
        seq = crossing.seq_of(connection, wanted.conversation, change.entry)
        if seq is None:
            if change.relay is not None:
                keep_waiting(connection, change.entry, change.relay, wanted.conversation)
            return UnknownMessage(seq=0)
        try:
            if change.guest is not None:
                check_home_now(connection, wanted.conversation, None)
            if change.guest is not None and not wanted.erases:
                roster, guest = change.guest
                check_ban(connection, roster.group, guest)
            return self._writers.changes.make(
                connection,
                msgspec.structs.replace(wanted, seq=seq),
                lambda connection, made: self._copies(connection, change, made),
            )
        except ChatError as error:
            return error

    def _copies(
        self, connection: Connection, change: EntryChange, made: MadeChange
    ) -> RemoteCopies | None:
        """The copies of a change, for the realms that see its message. A deletion goes to all, and empties
        the copies of the message that still wait."""
        copies = change.copies
        if copies is None:
            return None
        place, realms = change.target.conversation, copies.realms
        # A change that was returned is for those who were members when it was made.
        if not change.wanted.late:
            realms = self._forwarder.realms_now(connection, change.target)
        if not isinstance(made.change, Deletion):
            realms = crossing.realms_seeing(connection, place, made.seq, realms)
            return msgspec.structs.replace(copies, realms=realms) if realms else None
        numbers = crossing.numbers_of(connection, place, made.seq)
        blanked = outbox_store.blank(connection, numbers, parcels.blanked)
        if not realms and not blanked:
            return None
        return msgspec.structs.replace(copies, realms=realms, blanked=tuple(blanked))

    def _made(
        self, made: ChangeResult | ChatError | None, change: EntryChange, realm: str, size: int
    ) -> Verdict:
        """The verdict on a change that is on disk, was made before, or can't be made. Never raises."""
        if not isinstance(made, ChangeResult):
            if change.relay is None or not isinstance(made, UnknownMessage):
                self._quotas.give_back_bytes(realm, size)  # nothing is kept
            # A message that is not here, or no longer here, counts as deleted. The refusal of a relay would
            # reach no author.
            is_gone = isinstance(made, UnknownMessage) and (
                change.wanted.relayed or isinstance(change.wanted.change, Deletion)
            )
            return (
                KEPT
                if made is None or is_gone or isinstance(made, MessageDeleted)
                else verdict_of(made)
            )
        try:
            self._changes.publish(made, change.target, None)
            if made.stored is not None and made.copies is not None:
                self._forwarder.send_change(made.stored, made.copies, change.target)
        except Exception:
            log.failure("a change from another realm was stored, but not passed on")
        return Verdict(seq=0 if made.stored is None else made.stored.seq)

    def tell_adopted(self, change: EntryChange, made: ChangeResult) -> None:
        """Tell of a change by somebody of this realm that is in the log now."""
        self._changes.publish(made, change.target, None)

    def _not_made(self, failure: Failure, realm: str, size: int) -> Failure:
        self._quotas.give_back_bytes(realm, size)
        return failure


def keep_waiting(
    connection: Connection, message: EntryRef, relay: Relay, conversation: int
) -> None:
    """Keep a change of a message that is not here, if the message may still come."""
    pasts.await_message(connection, conversation, relay.seq, message, parcels.encode(relay))
