"""Lets direct messages, and changes of them, wait for the realm of a new address in place of the old one.

It runs in the writer's thread.

Each gets a new parcel, with a new number, in the transaction that removes the old one. So it never waits for
both.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import msgspec
from sqlalchemy import Connection

from chatd.base.model import Party
from chatd.federation import parcels
from chatd.federation.parcels import Direct, DirectChange, Ref
from chatd.service.remote import ResentParcel
from chatd.store import outbox as outbox_store
from chatd.store import resending
from chatd.store.account_moves import address_at, note_earlier
from chatd.store.conversations import find_direct
from chatd.store.following import stays
from chatd.store.outbox import NewParcel, OutboxWriter, QueuedParcel
from chatd.store.resending import SentDirect

Readdressable: TypeAlias = Direct | DirectChange


class WaitingDirect(NamedTuple):
    """A message, or a change of one, that waits in the outbox."""

    queued: QueuedParcel
    parcel: Readdressable
    sent: SentDirect


def send_on_waiting(
    connection: Connection, writer: OutboxWriter, account_id: int, old: Party, new: Party
) -> list[ResentParcel]:
    """Send on all that an account has written to the old address, in order. Returns the new parcels. What
    this realm does not show in a conversation with the new address still waits."""
    place = find_direct(connection, account_id, old.key)
    if place is None or old.realm is None:
        return []
    if new.realm is None and stays(connection, account_id, new):
        return []
    resent = []
    for number in resending.waiting_numbers(connection, old.realm, place):
        queued = outbox_store.get(connection, old.realm, number)
        sent = resending.find_sent(connection, number)
        parcel = None if queued is None else parcels.try_decode(queued.parcel)
        if queued is not None and sent is not None and isinstance(parcel, Readdressable):
            waiting = WaitingDirect(queued, parcel, sent)
            resent.append(send_on(connection, writer, old, new, waiting))
    return [each for each in resent if each is not None]


def send_on(
    connection: Connection, writer: OutboxWriter, old: Party, new: Party, waiting: WaitingDirect
) -> ResentParcel | None:
    """Send on what a parcel carries. Returns the new parcel; None if the new address is of this realm."""
    queued, parcel, sent = waiting
    entry = sent.entry
    outbox_store.remove(connection, old.realm or "", queued.id)
    if sent.is_message:
        note_earlier(connection, entry.conversation, entry.seq - 1, old)
    if new.realm is None:
        resending.renumber(connection, sent, None)
        return None
    data = parcels.encode(_readdressed(connection, parcel, sent, new.name))
    file = queued.attachment_id
    item = NewParcel(new.realm, data, queued.created_at, queued.sender_id, file)
    [number] = writer.store(connection, [item])
    resending.renumber(connection, sent, number)
    return ResentParcel(new.realm, number, data, file, entry if sent.is_message else None)


def _readdressed(
    connection: Connection, parcel: Readdressable, sent: SentDirect, to: str
) -> Readdressable:
    """The parcel for the new address. Other messages that were sent on have new numbers; the new realm does
    not know those from before."""
    name, place = to.partition("@")[0], sent.entry.conversation
    about = sent.reply if isinstance(parcel, Direct) else sent.target
    number = None
    if about is not None and address_at(connection, place, about) is None:
        number = resending.number_at(connection, place, about)
    ref = None if number is None else Ref(True, number)
    if isinstance(parcel, Direct):
        return msgspec.structs.replace(parcel, to=name, reply=ref, seal=b"")
    return msgspec.structs.replace(parcel, to=name, target=ref or parcel.target, seal=b"")
