"""Numbers and stores messages in batches, with the parcels for other realms. Jobs for the Database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from msgspec.structs import replace
from sqlalchemy import Connection, func, select
from twisted.python.failure import Failure

from chatd.base.errors import StorageFailed
from chatd.store import change_requests
from chatd.store.beside import LogLocks, begin_terms
from chatd.store.change_rows import insert_changes, parcels_of
from chatd.store.conversations import last_seq
from chatd.store.crossing import seqs_of
from chatd.store.engine import backend_of
from chatd.store.epochs import Epochs
from chatd.store.forwarded_files import with_files
from chatd.store.macs import encode_values, keyed_hash
from chatd.store.message_ids import MessageIds
from chatd.store.message_rows import (
    PLAIN_COLUMNS,
    full_row,
    has_more_than_text,
    is_special,
    own_number,
    row_of,
    sent_number,
)
from chatd.store.new_entries import NO_EXTRAS, NewChange, NewMessage, RemoteCopies, Stored
from chatd.store.once import store_once
from chatd.store.origins import KnownEntry, Origin, stored_places
from chatd.store.outbox import NewParcel, OutboxWriter
from chatd.store.outcomes import take_returned
from chatd.store.parcel_stream import StreamPlace
from chatd.store.pasts import await_message
from chatd.store.rerouted import Rerouted
from chatd.store.row_inserter import RowInserter
from chatd.store.schema import messages
from chatd.store.sealing import NewSignature, Numbered, make_parcels
from chatd.store.search.fresh import FreshMessages
from chatd.store.signatures import SignatureWriter
from chatd.store.terms import begin_term

MAX_CACHED_SEQS = 100_000


class MessageWriter:
    """Numbers messages and stores them, with the parcels that carry them to other realms. It runs in the
    writer's thread and caches the last number of each conversation, so that a batch is one statement."""

    def __init__(self, outbox: OutboxWriter) -> None:
        self._outbox = outbox
        self._last_seq: dict[int, int] = {}
        self._ids = MessageIds()
        self.locks = LogLocks()
        self._rows = RowInserter(messages)
        self._signatures = SignatureWriter()
        self.fresh = FreshMessages()  # those that the index for searching lacks
        self.refusals = 0  # transactions that were not committed
        # realm -> the newest number that came from there
        self._newest: dict[str, int] = {}
        self.epochs = Epochs[NewMessage]()
        self.rerouted = Rerouted[NewMessage]()

    def forget(self) -> None:
        """Drop the caches: after a rollback they may be ahead of the database."""
        self._last_seq.clear()
        self.fresh.clear()
        self._ids.forget()
        self._newest.clear()
        self.epochs.forget()

    def may_be_beside(self, item: NewMessage) -> bool:
        """Whether `send` can store the message beside other nodes that write."""
        plain = item.forwards is None and not is_special(item)
        return plain and self._ids.counting and self._outbox.stored_term is not None

    def lock_logs(
        self, connection: Connection, items: Sequence[NewMessage], waited: Sequence[bool]
    ) -> Sequence[bool]:
        """Lock logs of messages that are stored beside other nodes, and learn their numbers and epochs. Waits
        for the logs of items that are `waited` for. Returns for each item whether its log is locked. Raises
        StorageFailed if the term is not stored."""
        term = self._outbox.stored_term
        if term is None:
            raise StorageFailed
        wanted = {item.conversation for item in items}
        must = {item.conversation for item, wait in zip(items, waited, strict=True) if wait}
        logs, ids = self.locks.lock(connection, wanted, must, term, len(items))
        self._ids.give(ids)
        for log in logs:
            self._last_seq[log.conversation] = log.last
            self.epochs.learn(log.conversation, log.epoch)
        if begun := [log for log in logs if not log.begun]:
            begin_terms(connection, term, begun)
        locked = {log.conversation for log in logs}
        return [item.conversation in locked for item in items]

    def refused(self) -> None:
        """Note that a whole transaction was not committed."""
        self.refusals += 1

    def receive(
        self,
        connection: Connection,
        items: Sequence[NewMessage],
        place: StreamPlace | None = None,
    ) -> list[Stored | KnownEntry | Failure]:
        """As `send`, for those of `items` that were not stored before, by their origins.

        Raises StorageFailed if an earlier job of the stream in which this one has its `place` has failed.
        """
        if place is None:
            return self._receive(connection, items)
        return place.run(self.refusals, self._receive, connection, items)

    def _receive(
        self, connection: Connection, items: Sequence[NewMessage]
    ) -> list[Stored | KnownEntry | Failure]:
        placed = [(item.conversation, item.origin) for item in items if item.origin is not None]
        known = stored_places(connection, self._may_be_known(connection, placed))
        results = store_once(placed, items, known, partial(self.send, connection), _repeated)
        for _, (realm, number) in placed:
            if realm is not None and number > self._newest[realm]:
                self._newest[realm] = number
        return results

    def _may_be_known(
        self, connection: Connection, placed: Sequence[tuple[int, Origin]]
    ) -> list[tuple[int, Origin]]:
        """Those of these messages that may be stored already. Numbers of a realm mostly grow."""
        newest = {
            realm: self.newest_from(connection, realm)
            for realm in {realm for _, (realm, _) in placed}
            if realm is not None
        }
        return [
            (conversation, (realm, number))
            for conversation, (realm, number) in placed
            if realm is None or number <= newest[realm]
        ]

    def newest_from(self, connection: Connection, realm: str) -> int:
        """Return the newest number that `realm` has given to a message here."""
        newest = self._newest.get(realm)
        if newest is None:
            newest = self._newest[realm] = connection.execute(
                select(func.coalesce(func.max(messages.c.origin_id), 0)).where(
                    messages.c.origin_realm == realm
                )
            ).scalar_one()
        return newest

    def newest(self, connection: Connection, conversation: int) -> int:
        """Return the number of a conversation's newest entry, or 0."""
        last = self._last_seq.get(conversation)
        return last_seq(connection, conversation) if last is None else last

    def moved(self, conversation: int) -> None:
        """Another realm has numbered the log of a group until now, or does from now on."""
        self._last_seq.pop(conversation, None)

    def next_seq(self, connection: Connection, conversation: int, given: int | None = None) -> int:
        """Number the next entry of a conversation. `given` is the number of its home realm, if that numbers
        it. The first number after a start begins a term of the log."""
        seqs = self._last_seq
        last = seqs.get(conversation)
        if last is None:
            if len(seqs) >= MAX_CACHED_SEQS:
                seqs.clear()
            last = last_seq(connection, conversation)
            begin_term(connection, conversation, self._outbox.term(connection), last + 1)
        # A home that was restored from a backup may use a seq again: keep numbering upward.
        seqs[conversation] = seq = max(last + 1, given or 0)
        return seq

    def _use_seq(self, conversation: int, seq: int) -> None:
        """An entry from before a join gets this number, which may be the newest."""
        if seq > self._last_seq.get(conversation, seq):
            self._last_seq[conversation] = seq

    def add_change(self, connection: Connection, new: NewChange) -> Stored:
        """Number and insert a change, and its parcels. It has no id; its place has 0."""
        return self.add_changes(connection, [new])[0]

    def add_changes(self, connection: Connection, items: Sequence[NewChange]) -> list[Stored]:
        """As `add_change`, for several in this order. Those of this realm are signed together."""
        places = [self._place(connection, new) for new in items]
        made = iter(
            make_parcels(
                [
                    Numbered(new.copies.parcel, given, seq)
                    for new, (seq, given) in zip(items, places, strict=True)
                    if new.copies is not None
                ]
            )
        )
        parcels, stored = list[NewParcel](), list[Stored]()
        signed = list[tuple[int, int, NewSignature]]()
        shared = backend_of(connection).is_shared
        for new, (seq, given) in zip(items, places, strict=True):
            parcel, signature = (b"", None) if new.copies is None else next(made)
            signature = signature or new.signature
            if signature is not None:
                signed.append((new.conversation, seq, signature))
            parcels += parcels_of(new, parcel, given)  # none if it only empties copies that wait
            realms = () if new.copies is None else new.copies.realms
            epoch = self.epochs.of(connection, new.conversation) if shared else None
            stored.append(Stored(0, seq, given, parcel, realms, epoch=epoch))
            if (own := own_number(new)) is not None:
                change_requests.forget(connection, own)
        if parcels:
            self._outbox.store(connection, parcels)
        self._signatures.add(connection, signed)
        insert_changes(connection, items, places)
        return stored

    def _place(self, connection: Connection, new: NewChange) -> tuple[int, int]:
        """The seq of a change, and the number of its parcels, or 0."""
        if new.past and new.seq is not None:
            seq = new.seq
            self._use_seq(new.conversation, seq)
        else:
            seq = self.next_seq(connection, new.conversation, new.seq)
        if new.copies is None:
            return seq, 0
        return seq, sent_number(new) or self._outbox.take(connection)

    def send(
        self, connection: Connection, items: Sequence[NewMessage]
    ) -> Sequence[Stored | Failure]:
        """As `store`, for messages of people, who may lose the right to write or the file that they forward,
        at any time. Returns a Failure for each message that is refused for that reason."""
        checked = self.epochs.checked(connection, items)
        checked = self.rerouted.checked(connection, checked)
        checked = with_files(connection, checked)
        if checked is items:
            return self.epochs.stated(connection, items, self.store(connection, items))
        allowed = [each for each in checked if isinstance(each, NewMessage)]
        places = self.epochs.stated(connection, allowed, self.store(connection, allowed))
        stored = iter(places)
        return [each if isinstance(each, Failure) else next(stored) for each in checked]

    def add_request(self, connection: Connection, new: NewChange, copies: RemoteCopies) -> Stored:
        """Insert only the parcels of a change, which the home of the group makes and numbers."""
        given = self._outbox.next(connection)
        [(parcel, _)] = make_parcels([Numbered(copies.parcel, given, 0)])
        self._outbox.store(connection, parcels_of(new, parcel, given))
        change_requests.keep(connection, new, copies.realms[0], given, parcel)
        return Stored(0, 0, given, parcel)

    def store(self, connection: Connection, items: Sequence[NewMessage]) -> list[Stored]:
        """Number and insert `items` in this order, and their parcels."""
        if not any(map(is_special, items)):
            return self._store_plain(connection, items)
        start = self._ids.take(connection, len(items))[0]
        seqs, keyed = self._last_seq, keyed_hash(connection)
        rows = []
        rare = signed = False
        stored: list[Stored] = []
        crossing: list[int] = []  # the indexes of items that go to other realms
        first = 0  # the number of the first one
        taken = take_returned(connection, items, start)
        for ident, item in enumerate(items, start):
            last = seqs.get(conversation := item.conversation)
            if last is None:
                seq = self.next_seq(connection, conversation, item.seq)
            else:
                given = item.seq
                seqs[conversation] = seq = last + 1 if given is None or given <= last else given
            shown = taken.get(ident) if taken else None
            number = 0
            if item.copies is not None and item.copies.realms:
                first = first or self._outbox.next(connection)
                number = own_number(item) or first + len(crossing)
                crossing.append(len(stored))
            stored.append(Stored(shown or ident, seq, number))
            rows.append(row_of(item, ident, seq, shown, number, keyed))
            rare = rare or item.extras is not None
            signed = signed or item.signature is not None
        if rare:
            self._insert_rare(connection, items, rows, stored)
        else:
            self._rows.insert(connection, rows)
        self.fresh.add(rows, [item.conversation for item in items if has_more_than_text(item)])
        if crossing:
            self._cross(connection, items, stored, crossing)
        if signed:
            self._signatures.add(connection, list(_signatures(items, stored)))
        return stored

    def _store_plain(self, connection: Connection, items: Sequence[NewMessage]) -> list[Stored]:
        """As `store`, for texts without anything else, which most messages are."""
        if not items:
            return []
        seqs = self._last_seq
        keyed = keyed_hash(connection)
        rows: list[tuple[object, ...]] = []
        stored: list[Stored] = []
        for ident, item in zip(self._ids.take(connection, len(items)), items, strict=True):
            conversation, sender, at, text = item.conversation, item.sender, item.at, item.text
            last = seqs.get(conversation)
            if last is None:
                seq = self.next_seq(connection, conversation)
            else:
                seqs[conversation] = seq = last + 1
            mac = None
            if keyed is not None:  # as `mac_of`, without a call
                hashed = keyed.copy()
                hashed.update(encode_values((conversation, seq, at, None, sender, text)))
                mac = hashed.digest()
            rows.append((ident, conversation, seq, item.sender_id, sender, at, text, mac))
            stored.append(Stored(ident, seq))
        self._rows.insert(connection, rows, PLAIN_COLUMNS)
        self.fresh.add(rows)
        return stored

    def store_at(self, connection: Connection, item: NewMessage, seq: int) -> Stored:
        """Store a message of another realm's group in the free place `seq`."""
        self._use_seq(item.conversation, seq)
        ident = self.next_id(connection)
        shown = take_returned(connection, [item], ident).get(ident)
        row = row_of(item, ident, seq, shown, 0, keyed_hash(connection))
        stored = [Stored(shown or ident, seq)]
        self._insert_rare(connection, [item], [row], stored)
        self._signatures.add(connection, list(_signatures([item], stored)))
        realm, number = item.origin or (None, 0)
        if realm is not None:
            self._newest[realm] = max(self.newest_from(connection, realm), number)
        return stored[0]

    def _cross(
        self,
        connection: Connection,
        items: Sequence[NewMessage],
        stored: list[Stored],
        crossing: Sequence[int],
    ) -> None:
        """Store the parcels of the items with these indexes, and the signatures of drafts. Adds to `stored`
        which parcel carries each."""
        parcels: list[NewParcel] = []
        signed: list[tuple[int, int, NewSignature]] = []
        sources = [
            Numbered(copies.parcel, stored[index].number, stored[index].seq)
            for index in crossing
            if (copies := items[index].copies) is not None
        ]
        for index, (parcel, signature) in zip(crossing, make_parcels(sources), strict=True):
            item = items[index]
            copies = item.copies
            assert copies is not None  # noqa: S101 - it crosses
            stored[index] = place = replace(stored[index], parcel=parcel, realms=copies.realms)
            for realm in copies.realms:
                about = copies.sender_id, item.attachment_id, place.number
                parcels.append(NewParcel(realm, parcel, item.at, *about))
            if signature is not None:
                signed.append((item.conversation, place.seq, signature))
        self._outbox.store(connection, parcels)
        self._signatures.add(connection, signed)

    def _insert_rare(
        self,
        connection: Connection,
        items: Sequence[NewMessage],
        rows: Sequence[tuple[object, ...]],
        stored: list[Stored],
    ) -> None:
        """Insert rows of messages of which some have extras. Adds to `stored` what each replies to."""
        keyed = keyed_hash(connection)
        replies = seqs_of(connection, [item.reply_to for item in items], rows)
        full = []
        for index, (item, row, reply) in enumerate(zip(items, rows, replies, strict=True)):
            extras = item.extras or NO_EXTRAS
            if item.reply_to is not None and extras.deleted_at is None:
                extras = replace(extras, reply=reply)
                if reply is None:
                    await_message(connection, item.conversation, stored[index].seq, item.reply_to)
            stored[index] = replace(stored[index], reply=extras.reply)
            full.append(full_row(row, extras, keyed))
        self._rows.insert(connection, full)

    def next_id(self, connection: Connection) -> int:
        """Take the id of a message that is pending."""
        return self._ids.take(connection, 1)[0]


def _signatures(
    items: Sequence[NewMessage], stored: Sequence[Stored]
) -> Iterator[tuple[int, int, NewSignature]]:
    """The signatures that came with `items`, with their places."""
    for item, place in zip(items, stored, strict=True):
        if item.signature is not None:
            yield item.conversation, place.seq, item.signature


def _repeated(_item: NewMessage, stored: Stored | Failure) -> KnownEntry | Failure:
    return stored if isinstance(stored, Failure) else KnownEntry(stored.seq)
