"""Which realms send message requests that people here do not want. Jobs and queries for the Database.

Each account counts once for a realm, by its last decision: it has accepted a request, or it has declined one
or blocked its sender. A realm whose requests are mostly unwanted is paused: its new requests are refused
until enough of these decisions are too old to count. So a pause needs no timer, and survives a restart.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

import sqlalchemy as sa

from chatd.store.schema import request_decisions, requests

COUNTED: Final = 7 * 24 * 3600 * 1000  # ms for which a decision counts
LEAST_UNWANTED: Final = 5  # accounts, so that one or two people can't pause a realm
RATIO: Final = 4  # unwanted for each wanted one

Decision = tuple[int, bool]  # when it was made, and whether the request was unwanted

_d = request_decisions.c


def note_decision(
    connection: sa.Connection, realm: str, account_id: int, unwanted: bool, now: int
) -> bool:
    """Note what an account thinks of the requests from a realm. Returns whether that pauses the realm."""
    rows = connection.execute(_counted(now).where(_d.realm == realm))
    decisions = {row.account_id: (row.at, row.unwanted) for row in rows}
    was_paused = _end(decisions.values()) is not None
    connection.execute(
        sa.delete(request_decisions).where(_d.realm == realm, _d.at <= now - COUNTED)
    )
    this = _d.realm == realm, _d.account_id == account_id
    connection.execute(sa.delete(request_decisions).where(*this))
    values = {"realm": realm, "account_id": account_id, "unwanted": unwanted, "at": now}
    connection.execute(sa.insert(request_decisions).values(values))
    decisions.pop(account_id, None)
    decisions[account_id] = now, unwanted
    return not was_paused and _end(decisions.values()) is not None


def note_block(connection: sa.Connection, account_id: int, key: str, now: int) -> str | None:
    """Note that an account has blocked the person or the realm with that key (chatd.store.blocks). It counts
    if a request came from there, or if the account has decided on another one from the realm. Returns the key
    of the realm if that pauses it."""
    person, at, realm = key.rpartition("@")
    if not at:
        return None
    theirs = requests.c.sender == key if person else requests.c.realm == realm
    asked = sa.select(requests.c.name).where(requests.c.account_id == account_id, theirs)
    decided = sa.select(_d.at).where(_d.account_id == account_id, _d.realm == realm)
    if all(connection.execute(each).first() is None for each in (asked, decided)):
        return None
    return realm if note_decision(connection, realm, account_id, True, now) else None


def paused_until(connection: sa.Connection, realm: str, now: int) -> int | None:
    """When the pause of a realm ends, in ms since 1970 UTC; None if it is not paused."""
    rows = connection.execute(_counted(now).where(_d.realm == realm))
    return _end([(row.at, row.unwanted) for row in rows])


def paused_realms(connection: sa.Connection, now: int) -> dict[str, int]:
    """The keys of all paused realms, and when each pause ends."""
    found: dict[str, list[Decision]] = {}
    for row in connection.execute(_counted(now)):
        found.setdefault(row.realm, []).append((row.at, row.unwanted))
    ends = ((realm, _end(decisions)) for realm, decisions in found.items())
    return {realm: end for realm, end in ends if end is not None}


def forget(connection: sa.Connection, realms: Collection[str]) -> None:
    """Forget all decisions about these realms."""
    connection.execute(sa.delete(request_decisions).where(_d.realm.in_(realms)))


def _counted(now: int) -> sa.Select[str, int, int, bool]:
    columns = _d.realm, _d.account_id, _d.at, _d.unwanted
    return sa.select(*columns).where(_d.at > now - COUNTED).order_by(_d.at)


def _end(decisions: Iterable[Decision]) -> int | None:
    """When so many of these decisions, oldest first, have ended that the others pause no realm."""
    left = list(decisions)
    unwanted = sum(each for _, each in left)
    wanted = len(left) - unwanted
    end = None
    for at, is_unwanted in left:
        if unwanted < LEAST_UNWANTED or unwanted < RATIO * wanted:
            return end
        end = at + COUNTED
        unwanted, wanted = unwanted - is_unwanted, wanted - (not is_unwanted)
    return end
