"""Moves of accounts: what is planned, and which moves this realm knows. Jobs and queries for the Database."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import sqlalchemy as sa

from chatd.base.errors import TooManyMoves
from chatd.base.model import Party
from chatd.store.schema import (
    account_moves,
    accounts,
    blocks,
    contacts,
    earlier_addresses,
    move_plans,
    participants,
    remote_members,
    requests,
)

LIFE: Final = 7 * 24 * 3600 * 1000  # ms for which a plan is kept
MAX_PLANS: Final = 5  # of an account, of each kind
MAX_OFFERS: Final = 50  # agreements of other addresses that are kept for an account
MAX_OF_REALM: Final = 5  # of these from one realm
MAX_HOPS: Final = 8  # moves that are followed from an address
RECENT: Final = 90 * 24 * 3600 * 1000  # ms
MAX_RETURNED: Final = 10_000  # moves that are told to a realm again that was restored
WISH, OFFER, AGREED = "wish", "offer", "agreed"
WAITS, SETTLING, FOLLOWED, OVER = "waits", "settling", "followed", "over"
LUGGAGE, DONE = "luggage", "done"


class MovePlan(msgspec.Struct, frozen=True):
    """What an account, or the other address, has said about a move: see the table. `at` is in ms since 1970
    UTC."""

    kind: str
    key: str
    address: str
    number: int
    at: int
    agreement: bytes | None = None


class Move(msgspec.Struct, frozen=True):
    """`old` is `new` now. `number` is that of the notice at the old realm, and `agreed` that of the agreement
    at the new one. `proof` has both. People of this realm have ids."""

    old: Party
    new: Party
    number: int
    agreed: int
    at: int
    proof: bytes


class StoredMove(msgspec.Struct, frozen=True):
    """A move, and how far this realm has followed it. `step` is that of an account of this realm which has
    moved."""

    move: Move
    state: str
    step: str | None = None
    luggage: int | None = None


# Plans


def plans_of(connection: sa.Connection, account_id: int, now: int) -> list[MovePlan]:
    """What is planned with an account, oldest first."""
    rows = connection.execute(
        sa.select(*(move_plans.c[name] for name in MovePlan.__struct_fields__))
        .where(move_plans.c.account_id == account_id, move_plans.c.at > now - LIFE)
        .order_by(move_plans.c.at, move_plans.c.key)
    )
    return [MovePlan(*row) for row in rows]


def find_plan(
    connection: sa.Connection, account_id: int, kind: str, key: str, now: int
) -> MovePlan | None:
    """The plan of that kind with the address that has this key."""
    found = [each for each in plans_of(connection, account_id, now) if each.kind == kind]
    return next((each for each in found if each.key == key), None)


def plan(connection: sa.Connection, account_id: int, new: MovePlan) -> None:
    """Store a plan in place of an earlier one with the same address. An account has one wish. Raises
    TooManyMoves."""
    mine = sa.and_(move_plans.c.account_id == account_id, move_plans.c.kind == new.kind)
    connection.execute(sa.delete(move_plans).where(mine, move_plans.c.at <= new.at - LIFE))
    same = sa.true() if new.kind == WISH else move_plans.c.key == new.key
    connection.execute(sa.delete(move_plans).where(mine, same))
    count = sa.select(sa.func.count()).select_from(move_plans).where(mine)
    if (connection.scalar(count) or 0) >= MAX_PLANS:
        raise TooManyMoves(limit=MAX_PLANS)
    values = msgspec.structs.asdict(new)
    connection.execute(sa.insert(move_plans).values(account_id=account_id, **values))


def keep_offer(connection: sa.Connection, account_id: int, offer: MovePlan) -> None:
    """Store that another address has agreed. Anybody may say so: the oldest offers make room, of the same
    realm first, and that of the address which the account wants stays."""
    mine = sa.and_(move_plans.c.account_id == account_id, move_plans.c.kind == OFFER)
    wish = sa.select(move_plans.c.key).where(
        move_plans.c.account_id == account_id, move_plans.c.kind == WISH
    )
    connection.execute(
        sa.delete(move_plans).where(
            mine, sa.or_(move_plans.c.key == offer.key, move_plans.c.at <= offer.at - LIFE)
        )
    )
    realm = offer.key.partition("@")[2]
    for which, most in (
        (move_plans.c.key.endswith(f"@{realm}", autoescape=True), MAX_OF_REALM),
        (sa.true(), MAX_OFFERS),
    ):
        older = (
            sa.select(move_plans.c.key)
            .where(mine, which, move_plans.c.key.not_in(wish))
            .order_by(move_plans.c.at.desc(), move_plans.c.key)
            .offset(most - 1)
        )
        gone = connection.scalars(older).all()
        if gone:
            connection.execute(sa.delete(move_plans).where(mine, move_plans.c.key.in_(gone)))
    connection.execute(
        sa.insert(move_plans).values(account_id=account_id, **msgspec.structs.asdict(offer))
    )


def drop_plan(connection: sa.Connection, account_id: int, kind: str, key: str | None) -> bool:
    """Forget a plan of that kind, or all of them without a `key`. Returns whether there was one."""
    mine = [move_plans.c.account_id == account_id, move_plans.c.kind == kind]
    if key is not None:
        mine.append(move_plans.c.key == key)
    return bool(connection.execute(sa.delete(move_plans).where(*mine)).rowcount)


# Moves


_COLUMNS = (
    account_moves.c.key,
    account_moves.c.address,
    account_moves.c.account_id,
    account_moves.c.realm,
    account_moves.c.new_key,
    account_moves.c.new_address,
    sa.select(accounts.c.id)
    .where(accounts.c.key == account_moves.c.new_key, account_moves.c.new_realm.is_(None))
    .scalar_subquery(),
    account_moves.c.new_realm,
    account_moves.c.number,
    account_moves.c.agreed,
    account_moves.c.at,
    account_moves.c.proof,
    account_moves.c.state,
    account_moves.c.step,
    account_moves.c.luggage,
)


def _stored(row: Any) -> StoredMove:
    old, new = Party(*row[:4]), Party(*row[4:8])
    return StoredMove(Move(old, new, *row[8:12]), *row[12:])


def all_moves(connection: sa.Connection) -> list[StoredMove]:
    """The moves that this realm knows."""
    rows = connection.execute(sa.select(*_COLUMNS).order_by(account_moves.c.key))
    return [_stored(row) for row in rows]


def find_move(connection: sa.Connection, key: str) -> StoredMove | None:
    """The last move of the address with that key."""
    row = connection.execute(sa.select(*_COLUMNS).where(account_moves.c.key == key)).first()
    return None if row is None else _stored(row)


def has_come(connection: sa.Connection, key: str, now: int) -> bool:
    """Whether an account of this realm is the new address of somebody who has moved lately."""
    found = sa.select(account_moves.c.key).where(
        account_moves.c.new_key == key,
        account_moves.c.new_realm.is_(None),
        account_moves.c.state != OVER,
        account_moves.c.at > now - RECENT,
    )
    return connection.scalar(found.limit(1)) is not None


def moves_for(connection: sa.Connection, realm: str) -> list[StoredMove]:
    """The moves that a realm may have lost: of its people, to it, and those of this realm's people."""
    rows = connection.execute(
        sa.select(*_COLUMNS)
        .where(
            account_moves.c.state != OVER,
            sa.or_(
                account_moves.c.realm == realm,
                account_moves.c.new_realm == realm,
                account_moves.c.account_id.is_not(None),
                account_moves.c.new_realm.is_(None),
            ),
        )
        .order_by(account_moves.c.at)
        .limit(MAX_RETURNED)
    )
    return [_stored(row) for row in rows]


def waiting_for(connection: sa.Connection, realm: str) -> list[StoredMove]:
    """The moves to a realm whose key was not known."""
    rows = connection.execute(
        sa.select(*_COLUMNS).where(
            account_moves.c.new_realm == realm, account_moves.c.state == WAITS
        )
    )
    return [_stored(row) for row in rows]


def forget_move(connection: sa.Connection, key: str) -> None:
    connection.execute(sa.delete(account_moves).where(account_moves.c.key == key))


def is_of_interest(connection: sa.Connection, old: Party, new: Party) -> bool:
    """Whether somebody here has to do with an address: has it as a contact, in a conversation, a group, a
    request or a block. Nothing is kept of other people's moves."""
    if old.id is not None or new.id is not None:
        return True
    asked = (
        sa.exists().where(contacts.c.key == old.key),
        sa.exists().where(participants.c.realm == old.realm, participants.c.peer_key == old.key),
        sa.exists().where(remote_members.c.key == old.key),
        sa.exists().where(requests.c.realm == old.realm, requests.c.sender == old.key),
        sa.exists().where(blocks.c.key == old.key),
        sa.exists().where(account_moves.c.key == old.key),
    )
    return any(connection.scalar(sa.select(each)) for each in asked)


def note_move(connection: sa.Connection, move: Move, state: str) -> bool:
    """Note a move. Returns False if it is not newer than what is known of the old address: then nothing is
    changed. A move is newer if both its parts are; so neither can be used a second time."""
    known = find_move(connection, move.old.key)
    if known is not None:
        if known.move.number == move.number and known.state == WAITS:
            _set(connection, move.old.key, state=state)
            return True
        if known.move.number >= move.number or (
            known.move.new.key == move.new.key and known.move.agreed >= move.agreed
        ):
            return False
        connection.execute(sa.delete(account_moves).where(account_moves.c.key == move.old.key))
    old, new = move.old, move.new
    connection.execute(
        sa.insert(account_moves).values(
            key=old.key,
            address=old.name,
            realm=old.realm,
            account_id=old.id,
            new_key=new.key,
            new_address=new.name,
            new_realm=new.realm,
            number=move.number,
            agreed=move.agreed,
            at=move.at,
            proof=move.proof,
            state=state,
        )
    )
    return True


def end_earlier_move(connection: sa.Connection, move: Move) -> StoredMove | None:
    """The new address of a move may itself have moved earlier. If it has agreed to this move after that, it
    has come back, and its own move is over. Otherwise it has moved on: returns that move."""
    known = find_move(connection, move.new.key)
    if known is None or known.state == OVER:
        return None
    if known.move.number > move.agreed:
        return known
    _set(connection, move.new.key, state=OVER, step=None)
    return None


def set_state(connection: sa.Connection, key: str, state: str) -> None:
    _set(connection, key, state=state)


def set_step(connection: sa.Connection, key: str, step: str, luggage: int | None = None) -> None:
    """Note how far the move of an account of this realm is. `luggage` is the number of the last parcel that
    has to arrive before the next step."""
    values: dict[str, object] = {"step": step}
    if luggage is not None:
        values["luggage"] = luggage
    _set(connection, key, **values)


def set_forwarded(connection: sa.Connection, key: str, last: int) -> None:
    """Note the id of the last message that does not have to be forwarded any more."""
    _set(connection, key, forwarded=last)


def forwarded_upto(connection: sa.Connection, key: str) -> int:
    found = sa.select(account_moves.c.forwarded).where(account_moves.c.key == key)
    last: int | None = connection.scalar(found)
    return last or 0


def _set(connection: sa.Connection, key: str, **values: object) -> None:
    connection.execute(sa.update(account_moves).where(account_moves.c.key == key).values(**values))


def moved_account(connection: sa.Connection, account_id: int) -> StoredMove | None:
    """The move of an account of this realm that lives elsewhere now."""
    row = connection.execute(
        sa.select(*_COLUMNS).where(
            account_moves.c.account_id == account_id, account_moves.c.state != OVER
        )
    ).first()
    return None if row is None else _stored(row)


# Earlier addresses


def note_earlier(connection: sa.Connection, conversation: int, upto: int, old: Party) -> int:
    """Note that the entries of a conversation up to that seq are from the time of an earlier address, unless
    that is known. Returns the last seq of that time."""
    mine = earlier_addresses.c.conversation_id == conversation
    known: int | None = connection.scalar(
        sa.select(sa.func.max(earlier_addresses.c.upto)).where(
            mine, earlier_addresses.c.key == old.key
        )
    )
    others = connection.scalar(
        sa.select(sa.func.max(earlier_addresses.c.upto)).where(
            mine, earlier_addresses.c.key != old.key
        )
    )
    if known is not None and known >= (others or 0):
        return known
    connection.execute(
        sa.insert(earlier_addresses).values(
            conversation_id=conversation,
            upto=upto,
            key=old.key,
            address=old.name,
            realm=old.realm,
        )
    )
    return upto


def address_at(connection: sa.Connection, conversation: int, seq: int) -> Party | None:
    """The address that the other person had when the entry `seq` was made, if it was an earlier one."""
    row = connection.execute(
        sa.select(earlier_addresses.c.key, earlier_addresses.c.address, earlier_addresses.c.realm)
        .where(earlier_addresses.c.conversation_id == conversation, earlier_addresses.c.upto >= seq)
        .order_by(earlier_addresses.c.upto)
        .limit(1)
    ).first()
    return None if row is None else Party(row.key, row.address, realm=row.realm)
