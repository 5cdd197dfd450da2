"""Invitations to the realm. Jobs and queries for the Database."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    case,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from chatd.base.errors import BadInvitation, InvitationNotFound
from chatd.base.invitation_records import RealmInvitationInfo
from chatd.base.model import Account
from chatd.store.accounts import add_account
from chatd.store.engine import inserted_id
from chatd.store.schema import realm_invitations

_T = realm_invitations.c


class RealmInvitation(msgspec.Struct, frozen=True):
    """A new invitation. Times are in ms since 1970 UTC."""

    code_hash: bytes
    actor: str
    uses: int
    at: int
    expires_at: int
    note: str


def add_invitation(connection: Connection, new: RealmInvitation) -> int:
    """Store an invitation. Returns its number."""
    values = msgspec.structs.asdict(new)
    return inserted_id(connection.execute(insert(realm_invitations), {**values, "used": 0}))


def list_invitations(
    connection: Connection, now: int, limit: int, before: int | None
) -> tuple[list[RealmInvitationInfo], int]:
    """The newest `limit` invitations with numbers below `before`, newest first, and how many more there
    are."""
    wanted = _T.id < (1 << 62 if before is None else before)
    columns = _T.id, _T.at, _T.actor, _T.uses, _T.used, _T.expires_at, _T.revoked_at, _T.note
    rows = connection.execute(select(*columns).where(wanted).order_by(_T.id.desc()).limit(limit))
    found = [
        RealmInvitationInfo(
            number,
            _state(uses, used, expires_at, revoked_at, now),
            uses,
            used,
            at,
            expires_at,
            by,
            note,
        )
        for number, at, by, uses, used, expires_at, revoked_at, note in rows
    ]
    total: int = connection.scalar(select(func.count(_T.id)).where(wanted)) or 0
    return found, total - len(found)


def _state(uses: int, used: int, expires_at: int, revoked_at: int | None, now: int) -> str:
    if revoked_at is not None:
        return "revoked"
    if used >= uses:
        return "spent"
    return "open" if expires_at > now else "expired"


def revoke_invitation(connection: Connection, number: int, now: int) -> None:
    """End an invitation. Raises InvitationNotFound."""
    chosen = update(realm_invitations).where(_T.id == number)
    revoked_at = func.coalesce(_T.revoked_at, now)
    if not connection.execute(chosen.values(revoked_at=revoked_at)).rowcount:
        raise InvitationNotFound(invitation=number)


def _usable(code_hash: bytes, now: int) -> ColumnElement[bool]:
    open_ = _T.expires_at > now, _T.used < _T.uses, _T.revoked_at.is_(None)
    return and_(_T.code_hash == code_hash, *open_)


def is_usable(connection: Connection, code_hash: bytes, now: int) -> bool:
    """Whether an account may be created with the code."""
    return connection.scalar(select(_T.id).where(_usable(code_hash, now))) is not None


def add_invited_account(
    connection: Connection,
    code_hash: bytes,
    name: str,
    password: str,
    display_name: str,
    country: str,
    now: int,
) -> Account:
    """Create an account, and count the use of the invitation. `password` is a hash. Raises BadInvitation,
    UserExists."""
    spent_at = case((_T.used + 1 >= _T.uses, now))
    chosen = update(realm_invitations).where(_usable(code_hash, now))
    counted = chosen.values(used=_T.used + 1, spent_at=spent_at)
    if not connection.execute(counted).rowcount:
        raise BadInvitation
    return add_account(connection, name, password, display_name, country, now)


def ended_before(connection: Connection, before: int, limit: int) -> list[int]:
    """The numbers of the first `limit` invitations that were used up, revoked or expired before a time."""
    ended = or_(*(end < before for end in (_T.expires_at, _T.revoked_at, _T.spent_at)))
    return list(connection.scalars(select(_T.id).where(ended).order_by(_T.id).limit(limit)))


def remove_invitations(connection: Connection, numbers: Sequence[int]) -> None:
    """Remove invitations. Their numbers are not used again."""
    connection.execute(delete(realm_invitations).where(_T.id.in_(numbers)))
