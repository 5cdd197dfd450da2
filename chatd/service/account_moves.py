"""Moves of accounts to other realms: both sides agree, the old realm makes the move, and tells others.

An account that has moved stays: it can be logged in to, to read and export, and to move back. What is written
to it follows it (chatd.service.move_follower), or is forwarded (chatd.service.moving_out).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec
from sqlalchemy import Connection
from twisted.logger import Logger

from chatd.base.errors import BadArgument, MovedAway, NoMove
from chatd.base.isolation import guarded
from chatd.base.model import Account, Party, party_of
from chatd.base.names import Address, key_of
from chatd.base.replies import MoveInfo
from chatd.service.accounts import Accounts
from chatd.service.context import Context
from chatd.service.move_follower import NOTHING, Followed, MoveFollower
from chatd.service.realm_news import MoveAgreed, MoveLuggage, MoveMade
from chatd.service.remote import IForwarder, IRealms, Notice, StagedNotice
from chatd.service.unknown_realms import UnknownRealms
from chatd.store import account_moves as store
from chatd.store.account_moves import AGREED, LUGGAGE, OFFER, WISH, Move, MovePlan
from chatd.store.accounts import find_account
from chatd.store.luggage import pack
from chatd.store.moving_out import begin_forwarding, keep_luggage, realms_to_tell, reroute
from chatd.store.operators import check_not_last, is_last_operator

# The plans that an account is shown
_SHOWN = {WISH: "moving", AGREED: "takes"}

log = Logger()


class Committed(msgspec.Struct, frozen=True):
    """A move that was made in a transaction, or `move` is None."""

    move: Move | None = None
    followed: Followed = NOTHING
    staged: Sequence[StagedNotice] = ()


class AccountMoves:
    """The moves of this realm's accounts, from here and to here."""

    def __init__(
        self,
        context: Context,
        accounts: Accounts,
        follower: MoveFollower,
        realms: IRealms,
        forwarder: IForwarder,
    ) -> None:
        self._context = context
        self._database = context.database
        self._accounts = accounts
        self._follower = follower
        self._realms = realms
        self._forwarder = forwarder
        self._unknown = UnknownRealms(context, realms)
        self._on_moved: list[Callable[[Move], object]] = []

    def on_moved(self, then: Callable[[Move], object]) -> None:
        """Call `then` when an account of this realm has moved."""
        self._on_moved.append(then)

    # What the accounts say

    async def all(self, account: Account) -> tuple[MoveInfo, ...]:
        """Where the account has moved, and the moves that are planned with it."""
        move = self._follower.moved.away(account.id)
        found = [] if move is None else [MoveInfo("moved", move.new.name, move.at)]
        plans = await self._database.read(store.plans_of, account.id, self._context.now())
        shown = [each for each in plans if each.kind in _SHOWN]
        found += [MoveInfo(_SHOWN[each.kind], each.address, each.at) for each in shown]
        return tuple(found)

    async def move(
        self, account: Account, to: Address, password: str, source: str
    ) -> tuple[Address, bool]:
        """Move the account to an address of another realm, as soon as that agrees. Returns the address, and
        whether the account has moved. Raises BadArgument, MovedAway, LastOperator, WrongPassword,
        TooManyAttempts, Busy, and as UnknownRealms.meet."""
        address = await self._elsewhere(account, to)
        await self._accounts.check_own_password(account, password, source)
        now = self._context.now()
        wish = MovePlan(WISH, address.key, str(address), 0, now)

        def job(connection: Connection) -> Committed:
            self._check_may_move(connection, account)
            store.plan(connection, account.id, wish)
            offer = store.find_plan(connection, account.id, OFFER, address.key, now)
            return Committed() if offer is None else self._commit(connection, account, offer)

        done = await self._committed(account, await self._database.run(job))
        return address, done

    async def agree(self, account: Account, old: Address) -> Address:
        """Agree that the account is the new address of one in another realm. Raises BadArgument,
        TooManyMoves, and as UnknownRealms.meet."""
        address = await self._elsewhere(account, old)
        now, realm = self._context.now(), key_of(address.realm or "")
        mover = self._forwarder.mover()

        def job(connection: Connection) -> Sequence[StagedNotice]:
            number, signed = mover.sign_agreement(connection, account.name, address, now)
            plan = MovePlan(AGREED, address.key, str(address), number, now)
            store.plan(connection, account.id, plan)
            news = MoveAgreed(account.name, address.name, signed)
            return self._forwarder.stage(connection, [Notice(realm, now, news)])

        self._forwarder.send_notices(await self._database.run(job))
        return address

    async def cancel(self, account: Account) -> None:
        """Forget what is planned with the account. Raises NoMove."""
        now = self._context.now()

        def job(connection: Connection) -> Sequence[StagedNotice] | None:
            plans = store.plans_of(connection, account.id, now)
            shown = [each for each in plans if each.kind != OFFER]
            for each in shown:
                store.drop_plan(connection, account.id, each.kind, each.key)
            notices = [
                Notice(key_of(realm), now, MoveAgreed(account.name, name, None))
                for each in shown
                if each.kind == AGREED
                for name, _, realm in (each.address.partition("@"),)
            ]
            return self._forwarder.stage(connection, notices) if shown else None

        staged = await self._database.run(job)
        if staged is None:
            raise NoMove
        self._forwarder.send_notices(staged)

    async def _elsewhere(self, account: Account, address: Address) -> Address:
        """An address of another realm, as that writes its name. Raises BadArgument, and as
        UnknownRealms.meet."""
        local = self._context.localize(address)
        if local.realm is None:
            raise BadArgument(
                argument="address", found=str(local), expected="an address of another realm"
            )
        await self._unknown.meet(account, local)
        self._realms.check_moves(key_of(local.realm))
        return Address(local.name, self._realms.name_of(key_of(local.realm)))

    def _check_may_move(self, connection: Connection, account: Account) -> None:
        """Raises MovedAway, LastOperator, UnknownUser."""
        moved = store.moved_account(connection, account.id)
        if moved is not None:
            raise MovedAway(to=moved.move.new.name)
        check_not_last(connection, account.id, self._context.now())

    # What other realms say

    async def offered(self, old: Address, new: Address, number: int, agreement: bytes) -> None:
        """The address `new`, of another realm, has agreed to be the new one of an account here. The move is
        made if the account wants that. Nobody is told whether there is such an account."""
        now = self._context.now()
        offer = MovePlan(OFFER, new.key, str(new), number, now, agreement)

        def job(connection: Connection) -> tuple[Account | None, Committed]:
            account = find_account(connection, old.key)
            if account is None or store.moved_account(connection, account.id) is not None:
                return None, Committed()
            store.keep_offer(connection, account.id, offer)
            wish = store.find_plan(connection, account.id, WISH, new.key, now)
            if wish is None or is_last_operator(connection, account.id, now):
                return account, Committed()
            return account, self._commit(connection, account, offer)

        account, committed = await self._database.run(job)
        if account is not None:
            await self._committed(account, committed)

    async def withdrawn(self, old: Address, new: Address) -> None:
        """The address `new` does not agree any more."""

        def job(connection: Connection) -> None:
            account = find_account(connection, old.key)
            if account is not None:
                store.drop_plan(connection, account.id, OFFER, new.key)

        await self._database.run(job)

    # Making a move

    def _commit(self, connection: Connection, account: Account, offer: MovePlan) -> Committed:
        """Move an account. Runs in the writer's thread."""
        now = self._context.now()
        new = Party(offer.key, offer.address, realm=key_of(offer.address.partition("@")[2]))
        mover = self._forwarder.mover()
        number, proof = mover.sign_move(connection, account.name, new, offer, now)
        move = Move(party_of(account), new, number, offer.number, now, proof)
        realms = realms_to_tell(connection, account, new.realm or "")
        return self._make(connection, account, move, realms)

    def _make(
        self, connection: Connection, account: Account, move: Move, realms: Iterable[str]
    ) -> Committed:
        """Make a move that this realm has signed, and tell the new realm and the `realms`. Nothing is done if
        it is not newer than the account's last one."""
        pages = pack(connection, account, self._context.config.realm, self._context.now())
        followed = self._follower.take_in(connection, move)
        if followed is NOTHING:
            return Committed()
        reroute(connection, self._context.writers.messages, account.id)
        begin_forwarding(connection, account.key)
        for kind in (WISH, OFFER, AGREED):
            store.drop_plan(connection, account.id, kind, None)
        return Committed(move, followed, self._stage(connection, account, move, pages, realms))

    def _stage(
        self,
        connection: Connection,
        account: Account,
        move: Move,
        pages: Sequence[bytes],
        realms: Iterable[str],
    ) -> list[StagedNotice]:
        """Tell the new realm first, with the luggage, and then the others."""
        keep_luggage(connection, account.id, pages)
        now, name, there = (
            self._context.now(),
            move.new.name.partition("@")[0],
            move.new.realm or "",
        )
        told = MoveMade(move.proof)
        notices = [Notice(there, now, told)]
        notices += [Notice(there, now, MoveLuggage(account.name, name, each)) for each in pages]
        staged = list(self._forwarder.stage(connection, notices))
        store.set_step(connection, account.key, LUGGAGE, staged[-1].number)
        others = [Notice(realm, now, told) for realm in realms]
        return [*staged, *self._forwarder.stage(connection, others)]

    async def make_again(self, move: Move) -> None:
        """This realm has lost, with a restore, that its account has moved, and gets its own proof back."""
        account = await self._accounts.find(move.old.name)
        await self._committed(account, await self._database.run(self._make, account, move, ()))

    async def _committed(self, account: Account, committed: Committed) -> bool:
        """After the commit. Returns whether the account has moved."""
        if committed.move is None:
            return False
        self._follower.followed(committed.followed)
        self._forwarder.send_notices(committed.staged)
        for then in self._on_moved:
            guarded("a move is continued at the next start", then, committed.move)
        log.info(
            "the account {account} has moved to {to}",
            account=account.name,
            to=committed.move.new.name,
        )
        return True
