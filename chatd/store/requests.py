"""Message requests: the first message of a person of a realm that was not added here, until the account
accepts it. Jobs and queries for the Database.

There is a row for each sender and name, whether or not there is such an account. So the sender's realm gets
the same answers, after the same work. A conversation that has a row is not accepted; one without is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from functools import cache
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from twisted.python.failure import Failure

from chatd.base.errors import RequestPending, UnknownRequest
from chatd.base.model import Account, Party
from chatd.base.names import Address, key_of
from chatd.base.replies import RequestInfo
from chatd.store import accounts as account_store
from chatd.store import conversations as conversation_store
from chatd.store.backend import Backend
from chatd.store.blocks import is_blocked, is_separated
from chatd.store.engine import backend_of
from chatd.store.marks import mark_read
from chatd.store.new_entries import NewMessage, Stored
from chatd.store.origins import KnownEntry
from chatd.store.preferences import prefer
from chatd.store.prepared import prepared
from chatd.store.reputation import note_decision, paused_until
from chatd.store.schema import accounts, contacts, messages, participants, requests
from chatd.store.versions import VersionWriter

LIFE: Final = 30 * 24 * 3600 * 1000  # ms after which an unanswered or declined request expires
MAX_OF_SENDER: Final = 20  # requests of one person that wait for an answer
MAX_OF_REALM: Final = 1000  # those of all people of one realm
MAX_RECEIVED: Final = 100  # those of one account; further ones are hidden from it
OPEN, DECLINED, HIDDEN = "open", "declined", "hidden"

Receive = Callable[[sa.Connection, Sequence[NewMessage]], list[Stored | KnownEntry | Failure]]


class NewRequest(msgspec.Struct, frozen=True):
    """A message from `sender`, of the realm with the key `realm`, to the name with the key `name`. The
    conversation of `new` is not known yet."""

    name: str
    sender: Address
    realm: str
    number: int
    new: NewMessage


class RequestOutcome(Enum):
    """What became of a request that was not refused. It waits for an answer, or seems to. The account knows
    the sender by now. Or it was stored before, and its realm sends it again."""

    WAITS = 0
    KNOWN = 1
    REPEATED = 2


class AnsweredRequest(msgspec.Struct, frozen=True):
    """A request that an account has answered. `name` is the key of the account, `realm` that of its sender's
    realm, and `number` that of the message's parcel."""

    account_id: int
    name: str
    address: str
    realm: str
    number: int
    conversation: int


class Declined(msgspec.Struct, frozen=True):
    """What declining a request has changed: whether it pauses the sender's realm, and what the account has
    `read` by that (chatd.store.marks.move_marks)."""

    pauses: bool
    read: dict[int, int]


class StoredRequest(msgspec.Struct, frozen=True):
    """A request that an account sees, and its message."""

    account: Account
    new: NewMessage
    stored: Stored
    state: RequestOutcome = RequestOutcome.WAITS


def ask(
    connection: sa.Connection, receive: Receive, request: NewRequest, now: int, allowed: bool = True
) -> StoredRequest | RequestPending | RequestOutcome:
    """Store a request. `receive` stores its message. Returns a StoredRequest if an account sees it, and
    RequestPending if the sender may not ask now, of which nothing is written. Unless `allowed`, only a
    request that was stored before is not refused."""
    pair = _pair(request.name, request.sender.key)
    known = connection.execute(sa.select(requests).where(pair)).first()
    if known is not None and known.number == request.number:
        return RequestOutcome.REPEATED
    if not allowed or (known is not None and known.at > now - LIFE):
        return RequestPending(name=request.name)
    if not _has_room(connection, request, now) or paused_until(connection, request.realm, now):
        return RequestPending(name=request.name)
    _expire(connection, now, pair)
    account = account_store.find_account(connection, request.name)
    if account is not None and _is_known(connection, account, request.sender.key):
        found = _store_message(connection, receive, account, request, now, RequestOutcome.KNOWN)
        return found or RequestOutcome.REPEATED
    values: dict[str, object] = {"number": request.number, "at": now, "state": HIDDEN}
    found = None
    if account is not None and _is_shown(connection, account, request, now):
        found = _store_message(connection, receive, account, request, now)
    if found is not None:
        place, seq = found.new.conversation, found.stored.seq
        shown = {"account_id": found.account.id, "conversation_id": place, "seq": seq}
        values |= {"state": OPEN, **shown}
    if known is not None:
        connection.execute(sa.update(requests).where(pair).values(values))
        return found or RequestOutcome.WAITS
    sender = request.sender
    values |= {"name": request.name, "sender": sender.key, "address": str(sender)}
    connection.execute(sa.insert(requests).values({**values, "realm": request.realm}))
    return found or RequestOutcome.WAITS


def _is_known(connection: sa.Connection, account: Account, sender: str) -> bool:
    """Whether the account knows the sender by now, and has not blocked them."""
    strange = is_strange(connection, account.key, sender)
    return not strange and not is_blocked(connection, account.id, sender)


def _store_message(
    connection: sa.Connection,
    receive: Receive,
    account: Account,
    request: NewRequest,
    now: int,
    state: RequestOutcome = RequestOutcome.WAITS,
) -> StoredRequest | None:
    """Store the message of a request. Returns None if it was stored before."""
    place = conversation_store.open_remote(connection, account.id, request.sender, now)
    new = msgspec.structs.replace(request.new, conversation=place)
    stored = receive(connection, [new])[0]
    if isinstance(stored, Failure):
        stored.raiseException()
    return StoredRequest(account, new, stored, state) if isinstance(stored, Stored) else None


def _pair(name: str, sender: str) -> sa.ColumnElement[bool]:
    return sa.and_(requests.c.name == name, requests.c.sender == sender)


def _open(account_id: int, now: int) -> sa.ColumnElement[bool]:
    """A condition: a request waits for an answer of the account, which has not blocked its sender."""
    return sa.and_(
        requests.c.account_id == account_id,
        requests.c.state == OPEN,
        requests.c.at > now - LIFE,
        ~is_separated(requests.c.account_id, requests.c.sender),
    )


def _expire(connection: sa.Connection, now: int, but: sa.ColumnElement[bool]) -> None:
    """Forget the expired requests that no account has seen, `but` that one. The others stay, because they
    tell that their conversations are not accepted."""
    old = sa.and_(requests.c.at <= now - LIFE, requests.c.account_id.is_(None))
    connection.execute(sa.delete(requests).where(old, ~but))


def _has_room(connection: sa.Connection, request: NewRequest, now: int) -> bool:
    """Whether the sender and the realm may ask. That does not depend on the account."""
    theirs = sa.and_(requests.c.realm == request.realm, requests.c.at > now - LIFE)
    own = sa.and_(theirs, requests.c.sender == request.sender.key)
    limits = ((own, MAX_OF_SENDER), (theirs, MAX_OF_REALM))
    return all(_count(connection, which) < limit for which, limit in limits)


def _count(connection: sa.Connection, which: sa.ColumnElement[bool]) -> int:
    return connection.scalar(sa.select(sa.func.count()).select_from(requests).where(which)) or 0


def _is_shown(connection: sa.Connection, account: Account, request: NewRequest, now: int) -> bool:
    """Whether the account sees a request: not from a person it has blocked, or beside too many others."""
    if _count(connection, _open(account.id, now)) >= MAX_RECEIVED:
        return False
    return not is_blocked(connection, account.id, request.sender.key)


def strangers(
    connection: sa.Connection, pairs: Iterable[tuple[str, Address]]
) -> set[tuple[str, Address]]:
    """The pairs of a name's key and an address of another realm, without the pairs that know each other:
    the account has accepted the person, has written first, or has them as a contact. All are one query."""
    asked = {(name, sender.key): (name, sender) for name, sender in pairs}
    known = connection.execute(_acquainted(backend_of(connection)), {"asked": _as_json(asked)})
    return set(asked.values()) - {asked[row.name, row.sender] for row in known}


def is_strange(connection: sa.Connection, name: str, sender: str) -> bool:
    """Whether the account with that key, if there is one, does not know the person with the key `sender`."""
    asked = {"asked": _as_json([(name, sender)])}
    return connection.execute(_acquainted(backend_of(connection)), asked).first() is None


# A server refuses JSON with these, and with it the whole transaction. No name has them.
_NO_JSON = re.compile("[\0\ud800-\udfff]")


def _as_json(pairs: Iterable[tuple[str, str]]) -> str:
    """The pairs that may be known, as the parameter `asked`."""
    return json.dumps([pair for pair in pairs if not any(map(_NO_JSON.search, pair))])


def waits(
    account_id: sa.ColumnElement[int] | int, sender: sa.ColumnElement[str] | str
) -> sa.ColumnElement[bool]:
    """A condition: the person with that key has asked, and the account has not accepted that."""
    mine = requests.alias()
    this = sa.exists().where(mine.c.account_id == account_id, mine.c.sender == sender)
    return this.correlate_except(mine)  # else a subquery has an `accounts` of its own: all of them


# Cached, because building it takes longer than running it.
@cache
def _acquainted(backend: Backend) -> sa.Select[str, str]:
    """Select those of `asked`, pairs of an account's key and a sender's key as JSON, that know each other."""
    pairs = backend.pairs("asked")
    name, sender = pairs.c.first, pairs.c.second
    talks = sa.exists().where(
        participants.c.account_id == accounts.c.id,
        participants.c.peer_key == sender,
        ~waits(accounts.c.id, sender),
    )
    listed = sa.exists().where(contacts.c.account_id == accounts.c.id, contacts.c.key == sender)
    return (
        sa.select(name.label("name"), sender.label("sender"))
        .select_from(pairs.join(accounts, accounts.c.key == name))
        .where(sa.or_(talks, listed))
    )


def has_asked(connection: sa.Connection, account: Account, sender: str) -> bool:
    """Whether the person with that key has asked, and the account has not accepted that."""
    asked = sa.select(requests.c.name).where(_pair(account.key, sender))
    return connection.scalar(asked) is not None


def is_declined(connection: sa.Connection, account: Account, sender: Address) -> bool:
    """Whether the account has declined what that person has asked."""
    state = sa.select(requests.c.state).where(_pair(account.key, sender.key))
    return connection.scalar(state) == DECLINED


def requests_of(connection: sa.Connection, account_id: int, now: int) -> list[RequestInfo]:
    """The account's open requests, oldest first."""
    rows = connection.execute(
        sa.select(
            requests.c.address,
            requests.c.conversation_id,
            requests.c.seq,
            requests.c.at,
            messages.c.text,
        )
        .outerjoin(
            messages,
            sa.and_(
                messages.c.conversation_id == requests.c.conversation_id,
                messages.c.seq == requests.c.seq,
            ),
        )
        .where(_open(account_id, now))
        .order_by(requests.c.at, requests.c.sender)
    )
    return [RequestInfo(*row) for row in rows]


def find_request(
    connection: sa.Connection, account: Account, sender: Address, declined: bool = False
) -> AnsweredRequest:
    """The account's open request of that person, also if it has expired; or a `declined` one, too. Raises
    UnknownRequest."""
    states = (OPEN, DECLINED) if declined else (OPEN,)
    wanted = sa.and_(requests.c.account_id == account.id, requests.c.state.in_(states))
    found = _answered(connection, sa.and_(_pair(account.key, sender.key), wanted))
    if not found:
        raise UnknownRequest(name=sender)
    return found[0]


_ANSWERED = sa.select(
    requests.c.account_id,
    requests.c.name,
    requests.c.address,
    requests.c.realm,
    requests.c.number,
    requests.c.conversation_id,
).order_by(requests.c.at)


def _answered(connection: sa.Connection, wanted: sa.ColumnElement[bool]) -> list[AnsweredRequest]:
    """The requests for which the condition holds, which accounts see."""
    return [AnsweredRequest(*row) for row in connection.execute(_ANSWERED.where(wanted))]


def accept(
    connection: sa.Connection, account: Account | Party, sender: str, now: int
) -> AnsweredRequest | None:
    """Accept what the person with that key has asked, also if it was declined before: then its conversation
    is taken out of the archive. Returns it if the account has its message."""
    this = _pair(account.key, sender)
    declined = connection.scalar(sa.select(requests.c.state).where(this)) == DECLINED
    found = _answered(connection, sa.and_(this, requests.c.account_id == account.id))
    connection.execute(sa.delete(requests).where(this))
    if not found:
        return None
    if declined:
        prefer(connection, found[0].account_id, found[0].conversation, {"archived": False})
    note_decision(connection, found[0].realm, found[0].account_id, False, now)
    return found[0]


def decline(
    connection: sa.Connection,
    versions: VersionWriter,
    account: Account,
    request: AnsweredRequest,
    now: int,
) -> Declined:
    """Decline a request, archive its conversation and mark it as read."""
    this = _pair(account.key, key_of(request.address))
    connection.execute(sa.update(requests).where(this).values(state=DECLINED))
    prefer(connection, account.id, request.conversation, {"archived": True})
    last = conversation_store.last_seq(connection, request.conversation)
    read = mark_read(connection, versions, account, request.conversation, last)
    return Declined(note_decision(connection, request.realm, account.id, True, now), read)


def accept_all(connection: sa.Connection, realm: str) -> list[AnsweredRequest]:
    """Accept all requests from a realm: its people are no strangers any more. Returns those whose message an
    account has, without those of people whom the account has blocked."""
    found = [AnsweredRequest(*row) for row in connection.execute(*_shown_from(realm))]
    connection.execute(*_delete_from(realm))
    return found


@prepared
def _shown_from(realm: Any) -> sa.Select[Any]:
    blocked = is_separated(requests.c.account_id, requests.c.sender)
    return _ANSWERED.where(requests.c.realm == realm, requests.c.account_id.is_not(None), ~blocked)


@prepared
def _delete_from(realm: Any) -> sa.Delete:
    return sa.delete(requests).where(requests.c.realm == realm)


def conceal(connection: sa.Connection, account: Account) -> None:
    """The account is deleted. Its requests stay as if they waited, so that their senders' realms are not
    told of that."""
    hidden = {"state": HIDDEN, "account_id": None, "conversation_id": None, "seq": None}
    theirs = requests.c.account_id == account.id
    connection.execute(sa.update(requests).where(theirs).values(hidden))
