"""The public keys with which realms sign, as far as this realm has learnt them.

A realm announces its own keys inside its own link, with the times of their validity. Keys are taken from no
other source, so no realm can speak for another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated

import msgspec

from chatd.federation.parcel_fields import Number
from chatd.federation.signing.proofs import key_id

MAX_ANNOUNCED = 16  # keys in one announcement: the newest ones
MAX_KEPT = 64  # keys of one realm
# How long after the end of its validity (ms) a key may still sign, because clocks differ.
GRACE = 24 * 3600 * 1000


class RealmKey(msgspec.Struct, frozen=True, array_like=True):
    """A public key (32 raw bytes), and the times of its validity in ms since 1970 UTC. Without `until` it is
    the current one."""

    public: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
    since: Number
    until: Number | None = None

    @property
    def id(self) -> bytes:
        return key_id(self.public)

    def holds(self, at: int) -> bool:
        """Whether the key may have signed what was made at `at`. The time before `since` is not checked: a
        clock that was set back would make a realm's own words invalid."""
        return self.until is None or at <= self.until + GRACE


_keys = msgspec.msgpack.Decoder(Annotated[list[RealmKey], msgspec.Meta(max_length=MAX_ANNOUNCED)])
encode = msgspec.msgpack.Encoder().encode


def encode_keys(keys: Sequence[RealmKey]) -> bytes:
    """The announcement of a realm's own keys, newest first."""
    newest = sorted(keys, key=lambda key: (key.until is None, key.since), reverse=True)
    return encode(newest[:MAX_ANNOUNCED])


def decode_keys(data: bytes) -> list[RealmKey]:
    """Raises msgspec.DecodeError (or its subclass ValidationError), RecursionError."""
    keys: list[RealmKey] = _keys.decode(data)
    return keys


class KeyRing:
    """The known keys of all realms, in memory, by the realm's key and the id of the signing key."""

    def __init__(self, known: Iterable[tuple[str, RealmKey]] = ()) -> None:
        self._realms: dict[str, dict[bytes, RealmKey]] = {}
        for realm, key in known:
            self._realms.setdefault(realm, {})[key.id] = key

    def get(self, realm: str, ident: bytes) -> RealmKey | None:
        """The key with that id, or None if it is not known."""
        return self._realms.get(realm, {}).get(ident)

    def of(self, realm: str) -> Mapping[bytes, RealmKey]:
        """All known keys of a realm."""
        return self._realms.get(realm, {})

    def news(self, realm: str, announced: Sequence[RealmKey]) -> list[RealmKey]:
        """Those of the announced keys that are not known yet, or known with another validity."""
        known = self.of(realm)
        return [key for key in announced if known.get(key.id) != key]

    def learn(self, realm: str, announced: Sequence[RealmKey]) -> list[bytes]:
        """Note the keys that a realm has announced. It keeps those that are no longer announced, because what
        they have signed stays. Beyond MAX_KEPT, the oldest are forgotten; returns the ids of these."""
        keys = self._realms.setdefault(realm, {})
        for key in announced:
            keys[key.id] = key
        surplus = len(keys) - MAX_KEPT
        if surplus <= 0:
            return []
        announced_ids = {key.id for key in announced}
        older = [key for key in keys.values() if key.id not in announced_ids]
        older.sort(key=lambda key: key.since)
        gone = [key.id for key in older[:surplus]]
        for ident in gone:
            del keys[ident]
        return gone

    def forget(self, realm: str) -> None:
        """Forget all keys of a realm."""
        self._realms.pop(realm, None)
