"""The addresses that this realm knows to have moved, in memory."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection

from chatd.base.errors import MovedAway
from chatd.base.model import Account
from chatd.base.names import Address, parse_foreign_address
from chatd.store.account_moves import FOLLOWED, MAX_HOPS, SETTLING, Move, StoredMove
from chatd.store.conversations import find_direct


class MovedAddresses:
    """The moves that are in force: not those that are over, or wait for a key."""

    def __init__(self) -> None:
        self._by_key: dict[str, Move] = {}
        self._away: dict[int, Move] = {}
        self._settling: set[str] = set()  # keys of old addresses

    def note(self, moves: Iterable[StoredMove]) -> None:
        """Take moves as they are stored now, in place of what was known of these addresses."""
        for each in moves:
            move = each.move
            before = self._by_key.pop(move.old.key, None)
            self._settling.discard(move.old.key)
            if before is not None and before.old.id is not None:
                self._away.pop(before.old.id, None)
            if each.state in (SETTLING, FOLLOWED):
                self._by_key[move.old.key] = move
                if each.state == SETTLING:
                    self._settling.add(move.old.key)
                if move.old.id is not None:
                    self._away[move.old.id] = move

    def of(self, key: str) -> Move | None:
        """The move of the address with that key."""
        return self._by_key.get(key)

    def current(self, address: Address) -> Address:
        """Where the person with a localized address lives now."""
        if not self._by_key:
            return address
        for _ in range(MAX_HOPS):
            move = self._by_key.get(address.key)
            if move is None:
                break
            address = parse_foreign_address(move.new.name)
        return address

    def resolve(self, connection: Connection, account_id: int, address: Address) -> Address:
        """As `current`, for an account: while parcels of its conversation with the old address are on their
        way there, that is still the one to write to. May run in any thread."""
        move = self._by_key.get(address.key)
        if move is None:
            return address
        if address.key in self._settling and find_direct(connection, account_id, address.key):
            return address
        return self.current(address)

    def away(self, account_id: int) -> Move | None:
        """The move of an account of this realm that lives elsewhere now."""
        return self._away.get(account_id)

    @property
    def anyone_away(self) -> bool:
        """Whether any account of this realm has moved."""
        return bool(self._away)

    def check(self, account: Account) -> None:
        """Raises MovedAway."""
        move = self._away.get(account.id)
        if move is not None:
            raise MovedAway(to=move.new.name)
