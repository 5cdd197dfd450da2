"""What a realm reads from the database when it starts."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from sqlalchemy import Connection

from chatd.federation.signing.proofs import SigningKey
from chatd.service.quotas import DAY
from chatd.store.access_bans import AccessBan, all_bans
from chatd.store.account_moves import StoredMove, all_moves
from chatd.store.blocks import all_blocks
from chatd.store.file_quotas import all_quotas
from chatd.store.mutes import Mute, all_mutes
from chatd.store.operators import has_had_operator
from chatd.store.peer_marks import StoredMarks, read_marks
from chatd.store.peers import KnownPeer, all_peers
from chatd.store.privacy import all_hidden
from chatd.store.realm_keys import StoredKey, all_keys, begin_signing, use_own
from chatd.store.usage import Owner, used_on


class StoredState(msgspec.Struct, frozen=True):
    """What a start reads from the database. `has_operator`: the realm has or ever had an operator."""

    keys: list[StoredKey]
    unsigned_until: int
    peers: list[KnownPeer]
    day: int
    used: list[tuple[Owner, int]]
    has_operator: bool
    marks: StoredMarks
    blocks: list[tuple[int, str]]
    bans: list[AccessBan]
    mutes: list[Mute]
    hidden: list[int]
    moves: list[StoredMove]
    file_quotas: list[tuple[int, int]]


def read_state(
    connection: Connection,
    own: SigningKey,
    date: float,
    expire: float,
    random_bytes: Callable[[int], bytes],
) -> StoredState:
    """Read it at a `date` (s since 1970 UTC), and store the key `own` as the realm's. `expire`: how long (s)
    parcels wait for other realms."""
    now = int(date * 1000)
    unsigned_until = begin_signing(connection, now, int(expire * 1000))
    use_own(connection, own.id, own.public, now)
    day = now // DAY
    return StoredState(
        all_keys(connection),
        unsigned_until,
        all_peers(connection),
        day,
        used_on(connection, day),
        has_had_operator(connection),
        read_marks(connection, random_bytes),
        all_blocks(connection),
        all_bans(connection, now),
        all_mutes(connection, now),
        all_hidden(connection),
        all_moves(connection),
        all_quotas(connection),
    )
