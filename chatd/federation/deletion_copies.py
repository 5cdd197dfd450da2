"""Makes the copies of many deletions at once for the other realms of a group of this realm."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection

from chatd.base.entries import EntryRef, MadeChange
from chatd.federation import parcels
from chatd.federation.group_entries import GroupEntries
from chatd.service.targets import Target
from chatd.store import crossing
from chatd.store import outbox as outbox_store
from chatd.store.earlier_numbers import number_entry
from chatd.store.new_entries import RemoteCopies
from chatd.store.schema import messages


def copies_of_deletions(
    connection: Connection,
    entries: GroupEntries,
    made: Sequence[MadeChange],
    target: Target,
    realms: tuple[str, ...],
) -> list[RemoteCopies | None]:
    """The copies of at least one deletion, in the order of the messages. The first ones have the parcels that
    were emptied, because they had the contents of any of these messages."""
    if not realms:
        return [None] * len(made)
    place = target.conversation
    numbers = crossing.numbers_between(connection, place, made[0].seq, made[-1].seq)
    blanked = tuple(outbox_store.blank(connection, numbers, parcels.blanked))
    copies: list[RemoteCopies | None] = []
    for each in made:
        if each.ref is None:
            ref = EntryRef(None, number_entry(connection, messages, place, each.seq))
            each = msgspec.structs.replace(each, ref=ref)
        copies.append(RemoteCopies(realms, entries.change(each, target), None, blanked))
        blanked = ()
    return copies
