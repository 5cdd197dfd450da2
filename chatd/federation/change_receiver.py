"""Receives changes of messages in directs from other realms."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatd.base.emoji import is_emoji
from chatd.base.entries import Deletion, Edit, EntryRef, MessageChange, Pin, React
from chatd.base.errors import AccountMoved, ChatError, MessageDeleted, NotAccepted, UnknownMessage
from chatd.base.model import Account, Party
from chatd.base.names import Address, key_of, parse_foreign_name, parse_name
from chatd.base.texts import check_text
from chatd.federation.changes import change_in, entry_of
from chatd.federation.links import ILinks
from chatd.federation.name_guesses import NameGuesses
from chatd.federation.parcel_reader import ParcelReader
from chatd.federation.parcels import KEPT, UNREADABLE, DirectChange, DirectDeletion, Verdict
from chatd.federation.realm_quotas import RealmQuotas
from chatd.federation.refusals import verdict_of
from chatd.service.chat_service import ChatService
from chatd.service.quotas import cost_of_change
from chatd.service.readdressing import moved_error
from chatd.service.targets import Target
from chatd.store import accounts as account_store
from chatd.store import conversations as conversation_store
from chatd.store import crossing
from chatd.store.blocks import is_blocked
from chatd.store.message_changes import ChangeResult, ChangeWriter, WantedChange
from chatd.store.origins import Origin
from chatd.store.parcel_stream import ParcelStream, StreamPlace
from chatd.store.requests import is_strange

# How far (ms) the time of a pin may be ahead. Each pin of a message is later than the one before, also if it
# is made within the same millisecond, or the clocks differ a little.
AHEAD = 60_000

log = Logger()


class ArrivedChange(msgspec.Struct, frozen=True):
    """A change that `author`, of another realm, wants to make of the message `entry` in the conversation with
    the account that has the key `recipient`. `stated_at` is when it was made by their clock, and `at` the
    same, but not in the future. `wins`: it counts if an opposite one was made here at the same time.
    `unadded`: nobody here has added the author's realm."""

    recipient: str
    author: Party
    entry: EntryRef
    change: MessageChange
    at: int
    stated_at: int
    wins: bool
    origin: Origin
    seal: bytes = b""
    unadded: bool = False


class MadeHere(msgspec.Struct, frozen=True):
    """A change that is on disk, and who hears of it."""

    result: ChangeResult
    target: Target


class ChangeReceiver:
    """The author of a change is of the realm that brings it. What they may change is checked as for people of
    this realm."""

    def __init__(
        self,
        service: ChatService,
        links: ILinks,
        guesses: NameGuesses,
        reader: ParcelReader,
        quotas: RealmQuotas,
    ) -> None:
        self._guesses = guesses
        self._moved = service.follower.moved
        self._context = service.context
        self._database = service.database
        self._changes = service.changes
        self._messages = service.messages
        self._writers = service.context.writers
        self._links = links
        self._reader = reader
        self._quotas = quotas

    def receive(
        self, realm: str, number: int, parcel: DirectChange, stream: ParcelStream
    ) -> Verdict | Deferred[Verdict]:
        """Make a change, unless it was made before. A Deferred fires with the verdict once it is on disk.

        Raises BadName, BadText, EmptyText, MessageTooLong, RealmQuota, UnknownRealm.
        """
        change = change_in(parcel)
        address = Address(parse_foreign_name(parcel.sender), self._links.name_of(realm))
        recipient = key_of(parse_name(parcel.to))
        if change is None:
            return KEPT  # the message was deleted since, and the deletion follows
        if isinstance(change, React) and not is_emoji(change.emoji):
            return UNREADABLE
        if isinstance(change, Edit):
            change = self._checked(realm, change)
        arrived = ArrivedChange(
            recipient,
            Party(address.key, str(address), realm=realm),
            entry_of(parcel.target, realm),
            change,
            min(parcel.at, self._context.now() + (AHEAD if isinstance(change, Pin) else 0)),
            parcel.at,
            realm > self._context.realm_key,
            (realm, number),
            parcel.seal,
            not self._guesses.is_free(realm),
        )
        size = cost_of_change(change)
        self._quotas.charge_bytes(realm, size)
        making = self._database.run(self._make, stream.next(), arrived)
        return making.addCallbacks(
            self._made, self._not_made, (realm, size, parcel), {}, (realm, size)
        )

    def _make(
        self, connection: Connection, place: StreamPlace, arrived: ArrivedChange
    ) -> MadeHere | ChatError | None:
        """Runs in the writer's thread. Raises StorageFailed."""
        writers = self._writers
        refusals = writers.messages.refusals
        return place.run(refusals, make, connection, writers.changes, arrived)

    def _checked(self, realm: str, edit: Edit) -> Edit:
        check_text(edit.text)
        self._messages.check_text(edit.text)
        mentions = tuple(self._reader.address(realm, each) for each in edit.mentions)
        return msgspec.structs.replace(edit, mentions=mentions)

    def _made(
        self, made: MadeHere | ChatError | None, realm: str, size: int, parcel: DirectChange
    ) -> Verdict:
        """The verdict on a change that is on disk, was made before, or can't be made. Never raises."""
        if not isinstance(made, MadeHere):
            self._quotas.give_back_bytes(realm, size)
            # A message that is not here, or no longer here, counts as deleted.
            moved = self._moved_away(realm, parcel) if isinstance(made, UnknownMessage) else None
            if moved is not None:
                return verdict_of(moved)
            gone = isinstance(made, UnknownMessage) and isinstance(parcel, DirectDeletion)
            if made is None or gone or isinstance(made, MessageDeleted):
                return KEPT
            return verdict_of(made)
        try:
            self._changes.publish(made.result, made.target, None)
        except Exception:
            log.failure("a change from another realm was stored, but not passed to listeners")
        return KEPT

    def _moved_away(self, realm: str, parcel: DirectChange) -> AccountMoved | None:
        """A message that is not here may have gone to the new address of its recipient."""
        move = self._moved.of(key_of(parcel.to))
        if move is None or move.old.id is None or not self._links.follows_moves(realm):
            return None
        return moved_error(move.old.name, move.new.name, move.proof)

    def _not_made(self, failure: Failure, realm: str, size: int) -> Failure:
        self._quotas.give_back_bytes(realm, size)
        return failure


def make(
    connection: Connection, writer: ChangeWriter, arrived: ArrivedChange
) -> MadeHere | ChatError | None:
    """Make a change. Returns None if it was made before, or the error for which it can't be made. After an
    error nothing was written."""
    found = _find(connection, arrived)
    if isinstance(found, ChatError):
        return found
    account, place = found
    if crossing.is_made(connection, place, arrived.origin):
        return None
    seq = crossing.seq_of(connection, place, arrived.entry)
    if seq is None:
        return UnknownMessage(seq=0)
    if isinstance(arrived.change, Pin):
        # Both sides may pin and unpin a message at once. Both come to the same result.
        newest = crossing.newest_pin(connection, place, seq, own=True)
        if (newest, not arrived.wins) > (arrived.stated_at, arrived.wins):
            return None
    wanted = WantedChange(
        place,
        seq,
        arrived.change,
        arrived.author,
        arrived.at,
        origin=arrived.origin,
        seal=arrived.seal,
    )
    try:
        result = writer.make(connection, wanted, lambda *_: None)
    except ChatError as error:
        return error
    return MadeHere(result, Target(place, frozenset((account.id,)), to=account.name))


def _find(connection: Connection, arrived: ArrivedChange) -> tuple[Account, int] | ChatError:
    """The recipient of a change and the conversation that it is for, or the error for which it can't be made:
    only deletions are taken from people who may not write."""
    is_deletion = isinstance(arrived.change, Deletion)
    recipient, author = arrived.recipient, arrived.author.key
    if arrived.unadded and not is_deletion and is_strange(connection, recipient, author):
        return NotAccepted(name=recipient)
    account = account_store.find_account(connection, recipient)
    if account is None:
        return UnknownMessage(seq=0)
    place = conversation_store.find_direct(connection, account.id, author)
    if place is None:
        return UnknownMessage(seq=0)
    if not is_deletion and is_blocked(connection, account.id, author):
        return NotAccepted(name=account.name)
    return account, place
