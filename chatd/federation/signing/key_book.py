"""The realm's own signing keys and those of other realms: announced, learnt, remembered and forgotten."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import msgspec
from sqlalchemy import Connection
from twisted.logger import Logger

from chatd.base.background import in_background
from chatd.base.errors import BadSignature
from chatd.federation.signing.entries import Trust, Verifier
from chatd.federation.signing.keys import KeyRing, RealmKey, decode_keys, encode_keys
from chatd.federation.signing.proofs import Proof, SigningKey
from chatd.federation.signing.statements import decode_statement
from chatd.service.context import Context
from chatd.service.node_caches import NodeTable
from chatd.store import judged as store
from chatd.store import realm_keys as key_store
from chatd.store.judged import JudgedEntry, UnverifiedEntry
from chatd.store.realm_keys import StoredKey

PAGE = 32  # entries that are verified at a time
_proofs = msgspec.msgpack.Decoder(Proof)

log = Logger()


class KeyBook:
    """`stored` are all keys in the database. Entries of version 1 are accepted without a signature until
    `unsigned_until` (ms since 1970 UTC). `on_judged` is called with the entries that are verified later, or
    turn out to be forged."""

    def __init__(
        self,
        context: Context,
        stored: Sequence[StoredKey],
        on_judged: Callable[[Sequence[JudgedEntry]], object],
        unsigned_until: int = 0,
    ) -> None:
        self.unsigned_until = unsigned_until
        self._database = context.database
        self._now = context.now
        self._versions = context.writers.versions
        self._realm = realm = context.realm_key
        self._on_judged = on_judged
        self.ring = KeyRing(
            (key.realm or realm, RealmKey(key.public, key.since, key.until)) for key in stored
        )
        self.verifier = Verifier(self.ring)
        self._table: NodeTable[str, list[StoredKey]] = NodeTable(
            context, "keys of realms", str, _read_keys, self._learnt_elsewhere
        )

    @property
    def announcement(self) -> bytes:
        """The public keys of this realm, for other realms."""
        return encode_keys(list(self.ring.of(self._realm).values()))

    async def learn(self, realm: str, announcement: bytes) -> None:
        """Note the keys that a realm announces in its own link, and verify the entries that wait for them.
        Keys that are known already are included: this realm may have been killed while it verified. Raises
        BadSignature if they can't be decoded."""
        try:
            announced = decode_keys(announcement)
        except (msgspec.DecodeError, RecursionError):
            raise BadSignature(reason="its keys can't be decoded") from None
        if realm == self._realm:
            return
        news = self.ring.news(realm, announced)
        if news:
            gone = self.ring.learn(realm, news)
            keys = [StoredKey(realm, key.id, key.public, key.since, key.until) for key in news]
            await self._database.run(key_store.learn, keys, gone)
            self._table.tell(realm)
        verifying = self._verify(realm, [key.id for key in announced])
        in_background("entries of {realm} stay unverified", verifying, realm=realm)

    async def use_own(self, key: SigningKey) -> None:
        """Note that this realm signs with another key from now on."""
        now = self._now()
        own = await self._database.run(_use_own, key.id, key.public, now)
        self._learnt_elsewhere((key_store.OWN,), own)
        self._table.tell(key_store.OWN)

    async def forget(self, realms: Collection[str]) -> None:
        """Forget the keys of realms that are forgotten."""
        for realm in realms:
            self.ring.forget(realm)
        await self._database.run(key_store.forget_keys, realms)
        for realm in realms:
            self._table.tell(realm)

    def _learnt_elsewhere(self, realms: Sequence[str] | None, stored: Sequence[StoredKey]) -> None:
        """Other nodes have learnt or forgotten keys. This one may be about to store others, which stay."""
        by_realm: dict[str, list[RealmKey]] = {realm: [] for realm in realms or ()}
        for key in stored:
            if key.realm is not None:
                known = RealmKey(key.public, key.since, key.until)
                by_realm.setdefault(key.realm, []).append(known)
        for name, keys in by_realm.items():
            realm = name or self._realm  # chatd.store.realm_keys.OWN is empty
            if keys:
                self.ring.learn(realm, self.ring.news(realm, keys))
            else:
                self.ring.forget(realm)

    async def _verify(self, realm: str, keys: Sequence[bytes]) -> None:
        """Verify the entries of a realm that were signed with these keys, page by page."""
        after = (0, 0)
        while True:
            page = await self._database.read(store.unverified, realm, keys, after, PAGE)
            if not page:
                return
            status = {each: self._status(realm, each) for each in page}
            self._on_judged(await self._database.run(store.judge, self._versions, status))
            after = (page[-1].conversation, page[-1].seq)

    def _status(self, realm: str, entry: UnverifiedEntry) -> str:
        try:
            statement = decode_statement(entry.statement)
            proof = _proofs.decode(entry.proof)
            trust = self.verifier.check(entry.statement, realm, statement.at, proof)
        except (BadSignature, msgspec.DecodeError):
            log.warn(
                "an entry in the name of {realm} was not signed there: conversation {conversation}, "
                "seq {seq}",
                realm=realm,
                conversation=entry.conversation,
                seq=entry.seq,
            )
            return Trust.FORGED.value
        return trust.value


def _use_own(connection: Connection, ident: bytes, public: bytes, now: int) -> list[StoredKey]:
    """Store it. Returns all keys of this realm."""
    key_store.use_own(connection, ident, public, now)
    return _read_keys(connection, (key_store.OWN,))


def _read_keys(connection: Connection, realms: Sequence[str] | None) -> list[StoredKey]:
    keys = key_store.all_keys(connection)
    return keys if realms is None else [key for key in keys if key.realm in realms]
