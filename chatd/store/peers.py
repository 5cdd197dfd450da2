"""The realms that this one knows. Jobs and queries for the Database."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, delete, insert, select, update

from chatd.store.schema import peers


class KnownPeer(msgspec.Struct, frozen=True):
    """A realm: its key and name, where it is reached (if this side dials), and the certificate that it
    has to show, as PEM."""

    key: str
    name: str
    host: str | None = None
    port: int | None = None
    certificate: str | None = None


def all_peers(connection: Connection) -> list[KnownPeer]:
    rows = connection.execute(
        select(peers.c.key, peers.c.name, peers.c.host, peers.c.port, peers.c.certificate).order_by(
            peers.c.key
        )
    )
    return [KnownPeer(*row) for row in rows]


def remember(connection: Connection, peer: KnownPeer, now: int) -> None:
    """Keep what is known of a realm, in place of what was; `now` is in ms since 1970 UTC."""
    values = msgspec.structs.asdict(peer)
    changed = connection.execute(update(peers).where(peers.c.key == peer.key).values(**values))
    if changed.rowcount == 0:
        connection.execute(insert(peers).values(**values, created_at=now))


def forget(connection: Connection, key: str) -> None:
    connection.execute(delete(peers).where(peers.c.key == key))
