"""Whether an entry that another realm brings was signed by the realm of its author."""

from __future__ import annotations

from collections.abc import Iterable

from twisted.internet.task import deferLater

from chatd.base.errors import BadSignature
from chatd.base.model import FormerHome, Group
from chatd.base.names import SYSTEM, key_of
from chatd.federation.signing.entries import SignedEntry, Trust
from chatd.federation.signing.key_book import KeyBook
from chatd.federation.signing.statements import Statement
from chatd.service.context import Context
from chatd.store.origins import FIRST_NUMBER

MAX_AT_ONCE = 8  # signatures that are verified before other work gets its turn


class EntryTrust:
    def __init__(self, context: Context, keys: KeyBook) -> None:
        self._context = context
        self._keys = keys

    async def check(self, realm: str, entry: SignedEntry, stated: Statement) -> Trust:
        """Verify an entry that `realm` brings. Raises BadSignature, also if a key is unknown that must be
        known: that of the realm itself, or of this one."""
        proof, verifier = entry.proof, self._keys.verifier
        if proof is None:
            return self._unsigned(stated)
        if verifier.verified >= MAX_AT_ONCE:
            await deferLater(self._context.clock, 0.0)
            verifier.verified = 0
        trust = verifier.check(entry.statement, stated.realm, stated.at, proof)
        if trust is Trust.UNVERIFIED and stated.realm in (realm, self._context.realm_key):
            raise BadSignature(reason="its key was never announced")
        return trust

    def _unsigned(self, stated: Statement) -> Trust:
        """Accept an entry of version 1 that has waited while realms were updated. Raises BadSignature."""
        if stated.number >= FIRST_NUMBER or self._context.now() >= self._keys.unsigned_until:
            raise BadSignature(reason="it is not signed")
        return Trust.UNSIGNED

    async def check_own(self, realm: str, entry: SignedEntry, stated: Statement) -> None:
        """Check that `realm`, which brings an entry, has signed it itself, for one of its people. Raises
        BadSignature."""
        if stated.realm != realm:
            raise BadSignature(reason="it is the entry of another realm")
        if is_homes(stated):
            raise BadSignature(reason="only the home of the group acts by itself")
        if await self.check(realm, entry, stated) is not Trust.VERIFIED:
            raise BadSignature(reason="it is not signed")


def is_homes(stated: Statement) -> bool:
    """Whether an entry is what the home of a group does by itself."""
    return key_of(stated.author) == SYSTEM


def check_place(stated: Statement, home: str, ident: int, group: Group) -> None:
    """Raises BadSignature unless an entry was made for the group that has this id in the realm `home`, where
    it lives, or for one of its former homes. Its name there, as it is compared, stands for the id too. What a
    home does by itself is made by that home."""
    name = group.key.partition("@")[0]
    homes = (FormerHome(home, ident, name), *group.former)
    if not is_made_for(stated, homes):
        raise BadSignature(reason="it was made for another group")
    if is_homes(stated) and stated.realm != stated.home:
        raise BadSignature(reason="only the home of the group acts by itself")


def is_made_for(stated: Statement, homes: Iterable[FormerHome]) -> bool:
    """Whether an entry was made for the group that has, or has had, these homes."""
    return any(
        stated.home == each.realm and stated.group in (each.home_id, each.name) for each in homes
    )
