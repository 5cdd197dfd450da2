"""Gives accounts their roles, and knows whether the realm ever had one. Jobs for the Database."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, delete, insert, select

from chatd.base.ban_targets import ACCOUNT
from chatd.base.errors import AlreadyClaimed, LastOperator
from chatd.base.model import Account
from chatd.base.principals import Principal
from chatd.base.roles import OPERATOR, USER, Role
from chatd.store.account_moves import OVER
from chatd.store.accounts import account_of
from chatd.store.schema import access_bans, account_moves, accounts, disabled, roles, settings
from chatd.store.settings import get_setting, put_setting

SETTING = "first_operator"
# Begins the names of settings that end with the hashes of codes with which the realm can be claimed. Each
# node has a code.
OFFERED = "operator_code "


_FIRST = (
    select(accounts.c.name)
    .join_from(accounts, roles)
    .where(roles.c.role == OPERATOR)
    .order_by(accounts.c.id)
    .limit(1)
)


def has_had_operator(connection: Connection) -> bool:
    """Whether the realm has or ever had an operator."""
    if get_setting(connection, SETTING) is not None:
        return True
    # Older versions did not record that a realm had an operator.
    first = connection.scalar(_FIRST)
    if first is None:
        return False
    put_setting(connection, SETTING, first)
    return True


def appoint(connection: Connection, account_id: int) -> Account:
    """Make an account an operator. Returns the changed account."""
    return set_role(connection, account_id, OPERATOR)


def set_role(connection: Connection, account_id: int, role: Role) -> Account:
    """Give an account a role. Returns the changed account."""
    connection.execute(delete(roles).where(roles.c.account_id == account_id))
    if role != USER:
        connection.execute(insert(roles).values(account_id=account_id, role=role))
    account = account_of(connection, account_id)
    if role == OPERATOR and get_setting(connection, SETTING) is None:
        put_setting(connection, SETTING, account.name)
        offered = settings.c.name.startswith(OFFERED, autoescape=True)
        connection.execute(delete(settings).where(offered))
    return account


def check_actor(connection: Connection, actor: Principal) -> None:
    """Raises NotOperator, NotModerator if an account no longer has the actor's role, or is disabled."""
    if actor.account is None:
        return  # somebody at the control socket
    found = select(roles.c.role).where(roles.c.account_id == actor.account)
    off = select(disabled.c.account_id).where(disabled.c.account_id == actor.account)
    role: Role = connection.scalar(found.where(~off.exists())) or USER
    msgspec.structs.replace(actor, role=role).check(actor.role)


def able_operators(connection: Connection, now: int) -> dict[int, str]:
    """The ids and names of the operators that can work as such: they are not disabled or banned, and have not
    moved to another realm. Bans of networks do not count."""
    banned = access_bans.c.until.is_(None) | (access_bans.c.until > now)
    moved = account_moves.c.state != OVER
    kept_out = (
        select(disabled.c.account_id).where(disabled.c.account_id == accounts.c.id),
        select(access_bans.c.key).where(
            access_bans.c.kind == ACCOUNT, access_bans.c.key == accounts.c.key, banned
        ),
        select(account_moves.c.key).where(account_moves.c.account_id == accounts.c.id, moved),
    )
    found = select(accounts.c.id, accounts.c.name).join_from(accounts, roles)
    able = found.where(roles.c.role == OPERATOR, *(~each.exists() for each in kept_out))
    return {row.id: row.name for row in connection.execute(able.order_by(accounts.c.id))}


def is_last_operator(connection: Connection, account_id: int, now: int) -> bool:
    """Whether no other account can work as an operator of the realm."""
    return list(able_operators(connection, now)) == [account_id]


def check_not_last(connection: Connection, account_id: int, now: int) -> None:
    """Raises LastOperator if no other account can work as an operator of the realm."""
    if is_last_operator(connection, account_id, now):
        raise LastOperator


def claim(connection: Connection, account_id: int) -> Account:
    """Make an account the realm's first operator. Raises AlreadyClaimed if it ever had one."""
    if has_had_operator(connection):
        raise AlreadyClaimed
    return appoint(connection, account_id)


def offer_code(connection: Connection, code_hash: bytes) -> None:
    """Let the realm be claimed with the code that has this hash, at all nodes."""
    put_setting(connection, OFFERED + code_hash.hex(), "")


def is_offered(connection: Connection, code_hash: bytes) -> bool:
    """Whether the realm can be claimed with the code that has this hash."""
    return get_setting(connection, OFFERED + code_hash.hex()) is not None
