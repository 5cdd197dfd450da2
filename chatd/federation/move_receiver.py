"""Receives what other realms say about accounts that move.

A move counts if the old realm has signed that its account has moved, and the new one that its account has
agreed. So no realm moves the people of another, or moves somebody to an address whose owner does not want
that. Whichever realm brings the proof, it is the same.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import assert_never

from twisted.logger import Logger

from chatd.base.background import in_background
from chatd.base.errors import (
    BadSignature,
    ChatError,
    RealmQuota,
    UnknownRealm,
    UnknownUser,
)
from chatd.base.model import Account, Party
from chatd.base.names import Address, key_of, parse_foreign_address, parse_foreign_name, parse_name
from chatd.base.throttle import Quota
from chatd.federation.links import ILinks
from chatd.federation.parcels import (
    KEPT,
    AccountMove,
    AddressClaim,
    Agreed,
    Luggage,
    MoveParcel,
    Verdict,
)
from chatd.federation.realm_quotas import RealmQuotas
from chatd.federation.signing.key_book import KeyBook
from chatd.federation.signing.move_statements import open_agreement, open_move
from chatd.service.chat_service import ChatService
from chatd.service.node_limits import share_quota
from chatd.service.quotas import LEAST
from chatd.store import account_moves as store
from chatd.store.account_moves import LIFE, SETTLING, WAITS, Move
from chatd.store.luggage import LuggageRoom, unpack

PER_HOUR = 100  # moves of people of one realm that have an effect here
DAY = 24 * 3600 * 1000  # ms by which clocks may differ

log = Logger()


class MoveReceiver:
    def __init__(
        self, service: ChatService, links: ILinks, keys: KeyBook, quotas: RealmQuotas
    ) -> None:
        self._context = service.context
        self._database = service.database
        self._accounts = service.accounts
        self._blocks = service.blocks
        self._moves = service.moves
        self._claims = service.claims
        self._follower = service.follower
        self._links = links
        self._keys = keys
        self._quotas = quotas
        self._taken = Quota(PER_HOUR)
        share_quota(self._taken, service.context.news, service.context.clock, "moves-of-realms")
        self._on_verified: Callable[[str], object] = lambda _realm: None

    def on_verified(self, then: Callable[[str], object]) -> None:
        """Call `then` with the key of a realm when its part of moves was verified."""
        self._on_verified = then

    async def receive(self, realm: str, parcel: MoveParcel) -> Verdict:
        """Take a parcel. Raises BadSignature, BadName, RealmQuota."""
        self._quotas.charge_bytes(realm, LEAST)
        match parcel:
            case Agreed():
                await self._agreed(realm, parcel)
            case AccountMove(proof):
                await self.take(proof, realm)
            case Luggage():
                await self._luggage(realm, parcel)
            case AddressClaim():
                await self._claim(realm, parcel)
            case _:
                assert_never(parcel)
        return KEPT

    async def _agreed(self, realm: str, parcel: Agreed) -> None:
        new = Address(parse_foreign_name(parcel.sender), self._links.name_of(realm))
        old = Address(parse_name(parcel.to))
        if parcel.agreement is None:
            await self._moves.withdrawn(old, new)
            return
        stated = open_agreement(parcel.agreement, self._keys.verifier)
        named = (stated.realm, key_of(stated.name), stated.old_realm, key_of(stated.old))
        if named != (realm, key_of(new.name), self._context.realm_key, old.key):
            raise BadSignature(reason="it is about somebody else")
        await self._moves.offered(old, new, stated.number, parcel.agreement)

    # Moves

    def read(self, proof: bytes) -> tuple[Move, bool]:
        """The move that a proof proves, without ids of accounts, and whether the new realm's part is
        verified, too. Raises BadSignature, BadName."""
        stated = open_move(proof, self._keys.verifier)
        notice = stated.notice
        if abs(notice.at - stated.agreement.at) > LIFE + DAY:
            raise BadSignature(reason="its parts are not of the same time")
        old = self._party(notice.name, notice.realm)
        new = self._party(notice.new, notice.new_realm)
        at = min(notice.at, self._context.now())
        return Move(old, new, notice.number, notice.agreed, at, proof), stated.is_verified

    def _party(self, name: str, realm: str) -> Party:
        parse_foreign_name(name)
        if realm == self._context.realm_key:
            return Party(key_of(name), name)
        try:
            shown = self._links.name_of(realm)
        except UnknownRealm:
            shown = realm
        address = Address(name, shown)
        return Party(address.key, str(address), realm=realm)

    async def _with_accounts(self, move: Move) -> Move:
        """The move with the ids of those who are of this realm. Raises UnknownUser."""
        old, new = move.old, move.new
        if old.realm is None:
            old = await self._local(old)
        if new.realm is None:
            new = await self._local(new)
        return Move(old, new, move.number, move.agreed, move.at, move.proof)

    async def _local(self, party: Party) -> Party:
        account = await self._accounts.find(party.name)
        return Party(account.key, account.name, account.id)

    async def take(self, proof: bytes, realm: str) -> Move:
        """Let people here follow a move, whose proof `realm` has brought. If the key of the new realm is not
        known, they follow once it is. Raises BadSignature, BadName, UnknownUser, RealmQuota."""
        read, verified = self.read(proof)
        move = await self._with_accounts(read)
        known = self._follower.moved.of(move.old.key)
        if known is not None and known.number >= move.number:
            return move
        self._count(move.old.realm or realm)
        if move.old.realm is None:
            # This realm was restored from a backup, and has forgotten that its account has moved.
            await self._moves.make_again(move)
            return move
        followed = await self._follower.take(move, SETTLING if verified else WAITS)
        if not verified and followed.changed and move.new.realm is not None:
            self._links.wake((move.new.realm,))
        return move

    def _count(self, realm: str) -> None:
        """Raises RealmQuota."""
        wait = self._taken.take(realm, self._context.clock.seconds())
        if wait:
            raise RealmQuota(limit=PER_HOUR, minutes=int(wait // 60) + 1)

    def link_up(self, realm: str) -> None:
        """The keys of that realm are known now."""
        in_background("moves were not verified", self._verify(realm))

    async def _verify(self, realm: str) -> None:
        for each in await self._database.read(store.waiting_for, realm):
            verified = False  # unless the keys that the realm has just told prove it
            try:
                move, verified = self.read(each.move.proof)
            except ChatError as error:
                log.info("a move is not what it seems: {error}", error=error)
            if verified:
                await self._follower.take(move)
            else:
                await self._database.run(store.forget_move, each.move.old.key)
        self._on_verified(realm)

    async def _claim(self, realm: str, claim: AddressClaim) -> None:
        """Somebody says that they had an address of another realm. They are not told what becomes of that."""
        new = self._party(claim.sender, realm)
        address = parse_foreign_address(claim.old)
        if address.realm is None or key_of(address.realm) == realm:
            raise BadSignature(reason="it is not about another realm")
        with suppress(UnknownUser):
            account = await self._find(claim.to)
            await self._claims.arrived(account, new, self._context.localize(address))

    # Luggage

    async def _luggage(self, realm: str, parcel: Luggage) -> None:
        """What an account takes along is for the address that it has moved to. Raises BadSignature."""
        name, account = parse_foreign_name(parcel.sender), await self._find(parcel.to)
        old = Address(name, self._links.name_of(realm))
        known = await self._database.read(store.find_move, old.key)
        if known is None or known.move.new.id != account.id or known.move.old.realm != realm:
            raise BadSignature(reason="its account has not moved there")
        own, limit = self._context.realm_key, self._context.config.limits.account_contacts
        now = self._context.now()
        room = LuggageRoom(own, limit, old)
        blocked = await self._database.run(unpack, account, parcel.items, room, now)
        for key in blocked:
            self._blocks.follow(account.id, key)

    async def _find(self, name: str) -> Account:
        return await self._accounts.find(parse_name(name))
