"""Values about peers, as commands show them. They are frozen, like those of chatd.base.replies."""

from __future__ import annotations

import msgspec


class RealmInfo(msgspec.Struct, frozen=True):
    """A peer as `realms` shows it. Times are in ms since 1970 UTC, or None.

    `state` is `up`, `down`, `connecting`, or `resting` while nothing is to be said, and `since` the time of
    its last change. `direction` is `out` if this realm dialled, `in` if the peer did. Until `paused`, message
    requests from the realm are refused.
    """

    realm: str
    state: str
    since: int
    direction: str | None
    address: str | None
    queued: int
    oldest: int | None
    error: str | None
    next_try: int | None
    paused: int | None = None


class Exposure(msgspec.Struct, frozen=True):
    """The numbers of messages sent to and received from another realm in one conversation."""

    conversation: str
    sent: int
    received: int


class Added(msgspec.Struct, frozen=True):
    """A realm that became a peer. `fingerprint` is empty if no certificate is remembered. `replaced` is the
    fingerprint of the certificate that was remembered before, and `exposed` counts the messages exchanged
    with its holder."""

    fingerprint: str
    replaced: str = ""
    exposed: tuple[Exposure, ...] = ()
