"""The members of a rescued group by the rosters of its lost homes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection

from chatd.base.errors import BadName
from chatd.base.names import parse_foreign_address
from chatd.federation.rescue_parts import decode_rescue
from chatd.federation.signing.group_rosters import ADMIN, BANNED, RosterRow, decode_rows
from chatd.federation.signing.rescues import OpenedRescue, open_rescue
from chatd.store import group_rosters as roster_store
from chatd.store import rescues as store
from chatd.store.handovers import HandedAddress, HandedMember
from chatd.store.rescued_members import RescuedMembers


def lost_rosters(
    connection: Connection, conversation: int, opened: OpenedRescue
) -> Iterator[tuple[str, int, Sequence[RosterRow]]]:
    """The lost home of a rescued group, the last entry of its roster, and its rows; then those of the homes
    that were lost before it, the last one first."""
    earlier = {each.realm: each for each in store.rescues_of(connection, conversation)}
    while True:
        home = opened.stated.home
        kept = roster_store.roster_of_mirror(connection, conversation, home)
        rows = () if kept is None or kept.rows is None else decode_rows(kept.rows)
        yield home, opened.roster.seq, rows
        before = earlier.pop(home, None)
        if before is None:
            return
        opened = open_rescue(decode_rescue(before.rescue))


def listed(rows: Sequence[RosterRow]) -> RescuedMembers:
    """The members and bans of a roster. The lost home has written it: what is no address with a realm is left
    out."""
    rows = [row for row in rows if _is_address(row.address)]
    return RescuedMembers(
        [
            HandedMember(row.address, row.role == ADMIN, row.since, row.first)
            for row in rows
            if row.role != BANNED
        ],
        [HandedAddress(row.address, row.since) for row in rows if row.role == BANNED],
    )


def _is_address(text: str) -> bool:
    try:
        return parse_foreign_address(text).realm is not None
    except BadName:
        return False
