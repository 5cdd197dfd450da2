"""Files of other realms whose bytes are still to come. Jobs and queries for the Database.

The message of a file is stored at once, with a row for the file. Its bytes are reserved until they are here,
or lost.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from chatd.base.attachments import Attachment, StoredFile
from chatd.base.errors import QuotaExceeded, TooMuchArriving
from chatd.store.content import note_erased
from chatd.store.files import (
    COLUMNS,
    Owner,
    add_picture,
    file_in,
    insert_attachment,
    used_by_realm,
    used_bytes,
)
from chatd.store.lineage import was_guest
from chatd.store.macs import keyed_hash
from chatd.store.origins import Origin
from chatd.store.prepared import prepared
from chatd.store.schema import (
    arrivals,
    attachments,
    groups,
    messages,
    participants,
    remote_members,
)
from chatd.store.versions import Kind, Subject, VersionWriter

MAX_ARRIVING = 1000  # files of one realm; as many wait
MAX_PLACES = 10_000  # messages with one file whose readers are told of its state

_ARRIVES = arrivals.c.lost.is_(None)
_HAS_ROOM = _ARRIVES & arrivals.c.waits.is_(False)
_WAITS = _ARRIVES & arrivals.c.waits.is_(True)


class ArrivalLimits(msgspec.Struct, frozen=True):
    """Bytes: of the files of one sender, of one realm, and of those of one realm that arrive at a time."""

    sender: int
    realm: int
    arriving: int


class Welcome(msgspec.Struct, frozen=True):
    """What becomes of a file that is announced: it is `lost` for the reason with that code, it `waits` until
    there is room for it, or it arrives."""

    lost: str | None = None
    waits: bool = False


class Announced(msgspec.Struct, frozen=True):
    """A file that the realm with the key `realm` has announced."""

    owner: Owner
    realm: str
    name: str
    size: int
    sha256: str
    mime: str


class Arrival(NamedTuple):
    """A file that arrives. `at` is when its message came, in ms since 1970 UTC."""

    id: int
    realm: str
    name: str
    size: int
    sha256: str
    stored: str
    at: int


class FilePlace(NamedTuple):
    """A message with a file. `author` is an account here, or None; the realm `origin_realm` names it
    `origin_id`, and this realm `number`."""

    conversation: int
    seq: int
    author: int | None
    origin_realm: str | None
    origin_id: int | None
    number: int | None


class SettledFile(msgspec.Struct, frozen=True):
    """A file that has come or is lost: its messages, with the accounts that read them, and the realms that
    get it from here. `erased` as in `content.erase_file`."""

    realm: str
    places: Sequence[tuple[FilePlace, Sequence[int], Sequence[str]]]
    erased: tuple[str, ...] = ()


def check_room(connection: sa.Connection, file: Announced, limits: ArrivalLimits) -> None:
    """Raises QuotaExceeded if there is no room for a file, and TooMuchArriving. Files of one realm are
    announced one after another, so that no other one takes the room meanwhile."""
    for limit, used in (
        (limits.sender, used_bytes(connection, file.owner)),
        (limits.realm, used_by_realm(connection, file.realm)),
    ):
        if file.size > limit - used:
            raise QuotaExceeded(limit=limit, left=max(0, limit - used))
    count, size = _reserved(connection, file.realm)
    if count >= MAX_ARRIVING or file.size > limits.arriving - size:
        raise TooMuchArriving(limit=limits.arriving, left=max(0, limits.arriving - size))


def _reserved(connection: sa.Connection, realm: str) -> tuple[int, int]:
    """The number and the bytes of the files that arrive from a realm."""
    count, size = connection.execute(
        sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(attachments.c.size), 0))
        .join_from(arrivals, attachments, attachments.c.id == arrivals.c.attachment_id)
        .where(arrivals.c.realm == realm, _HAS_ROOM)
    ).one()
    return count, size


def may_wait(connection: sa.Connection, realm: str) -> bool:
    """Whether another file of a realm may wait for room."""
    query = sa.select(sa.func.count()).where(arrivals.c.realm == realm, _WAITS)
    return (connection.scalar(query) or 0) < MAX_ARRIVING


def fitting(connection: sa.Connection, realm: str, limit: int) -> list[int]:
    """The ids of the oldest waiting files of a realm for which there is room, if its arriving files may have
    `limit` bytes together."""
    rows = connection.execute(*_waiting(realm, MAX_ARRIVING)).all()
    if not rows:
        return []
    count, size = _reserved(connection, realm)
    found = []
    for ident, more in rows[: MAX_ARRIVING - count]:
        size += more
        if size > limit:
            break
        found.append(ident)
    return found


@prepared
def _waiting(realm: Any, limit: Any) -> sa.Select[Any]:
    return (
        sa.select(attachments.c.id, attachments.c.size)
        .join_from(arrivals, attachments, attachments.c.id == arrivals.c.attachment_id)
        .where(arrivals.c.realm == realm, _WAITS)
        .order_by(attachments.c.id)
        .limit(limit)
    )


def let_in(connection: sa.Connection, files: Collection[int], now: int) -> None:
    """Waiting files arrive from now on."""
    connection.execute(
        sa.update(arrivals)
        .where(arrivals.c.attachment_id.in_(files))
        .values(waits=False, heard_at=now)
    )


def announce(
    connection: sa.Connection,
    file: Announced,
    names: tuple[str, str],
    now: int,
    welcome: Welcome,
) -> Attachment:
    """Add the row of a file. `names` are its code, and the name of its part in the uploads folder. Raises
    CodeTaken."""
    code, part = names
    stored = StoredFile(part, file.size, file.sha256, file.mime)
    added = insert_attachment(connection, file.owner, code, file.name, stored, now)
    connection.execute(
        sa.insert(arrivals).values(
            attachment_id=added.id,
            realm=file.realm,
            heard_at=now,
            **msgspec.structs.asdict(welcome),
        )
    )
    return msgspec.structs.replace(added, arrival=welcome.lost or "")


_ARRIVAL = (
    attachments.c.id,
    arrivals.c.realm,
    attachments.c.name,
    attachments.c.size,
    attachments.c.sha256,
    attachments.c.stored,
    attachments.c.created_at,
)


def _select() -> sa.Select[Any]:
    return sa.select(*_ARRIVAL).join_from(
        arrivals, attachments, attachments.c.id == arrivals.c.attachment_id
    )


def arriving(
    connection: sa.Connection, realm: str, but: Collection[int], limit: int
) -> list[Arrival]:
    """Return the oldest files that arrive from a realm, without those with the ids `but`."""
    rows = connection.execute(*_arriving(realm, list(but), limit))
    return [Arrival(*row) for row in rows]


@prepared
def _arriving(realm: Any, but: Any, limit: Any) -> sa.Select[Any]:
    wanted = arrivals.c.realm == realm, _HAS_ROOM, attachments.c.id.not_in(but)
    return _select().where(*wanted).order_by(attachments.c.id).limit(limit)


def expected(connection: sa.Connection, realm: str, limit: int) -> list[int]:
    """Return the ids of files of a realm that arrive, or wait for that."""
    query = sa.select(arrivals.c.attachment_id).where(arrivals.c.realm == realm, _ARRIVES)
    return list(connection.scalars(query.limit(limit)))


def overdue(
    connection: sa.Connection, heard: int, began: int, limit: int
) -> list[tuple[int, bool]]:
    """Return the ids of files of which nothing has come since `heard`, or that were announced before `began`
    (ms since 1970 UTC), and whether it is for the latter."""
    rows = connection.execute(*_overdue(heard, began, limit))
    return [(ident, bool(expired)) for ident, expired in rows]


@prepared
def _overdue(heard: Any, began: Any, limit: Any) -> sa.Select[Any]:
    late = attachments.c.created_at < began
    return (
        sa.select(attachments.c.id, late)
        .join_from(arrivals, attachments, attachments.c.id == arrivals.c.attachment_id)
        .where(_ARRIVES, late | (arrivals.c.heard_at < heard))
        .limit(limit)
    )


def heard(connection: sa.Connection, ident: int, now: int) -> None:
    """Note that bytes of a file have come."""
    connection.execute(
        sa.update(arrivals).where(arrivals.c.attachment_id == ident).values(heard_at=now)
    )


def entries_with(connection: sa.Connection, ident: int, limit: int) -> list[Origin]:
    """Return the names of the oldest entries with a file, those of other realms first."""
    number = sa.func.coalesce(messages.c.origin_id, messages.c.number)
    rows = connection.execute(
        sa.select(messages.c.origin_realm, number)
        .where(messages.c.attachment_id == ident, number.is_not(None))
        .order_by(messages.c.origin_id.is_(None), messages.c.id)
        .limit(limit)
    ).all()
    return [(origin, number) for origin, number in rows]


def arrived(
    connection: sa.Connection, versions: VersionWriter, ident: int, file: StoredFile
) -> SettledFile | None:
    """The bytes of a file are here, as `file`. Returns None if it does not arrive any more."""
    here = sa.and_(arrivals.c.attachment_id == ident, _ARRIVES)
    realm = connection.scalar(sa.select(arrivals.c.realm).where(here))
    if realm is None:
        return None
    connection.execute(sa.delete(arrivals).where(here))
    connection.execute(
        sa.update(attachments)
        .where(attachments.c.id == ident)
        .values(stored=file.stored, mime=file.mime)
    )
    add_picture(connection, ident, file)
    return _settled(connection, versions, ident, realm)


def lose(
    connection: sa.Connection, versions: VersionWriter, ident: int, reason: str
) -> SettledFile | None:
    """A file will not come. Returns None if it does not arrive any more."""
    here = sa.and_(arrivals.c.attachment_id == ident, _ARRIVES)
    row = connection.execute(
        sa.select(arrivals.c.realm, attachments.c.stored)
        .join_from(arrivals, attachments, attachments.c.id == arrivals.c.attachment_id)
        .where(here)
    ).first()
    if row is None:
        return None
    connection.execute(sa.update(arrivals).where(here).values(lost=reason))
    settled = _settled(connection, versions, ident, row.realm)
    return msgspec.structs.replace(settled, erased=note_erased(connection, row.stored))


def _settled(
    connection: sa.Connection, versions: VersionWriter, ident: int, realm: str
) -> SettledFile:
    rows = connection.execute(
        sa.select(
            messages.c.conversation_id,
            messages.c.seq,
            messages.c.sender_id,
            messages.c.origin_realm,
            messages.c.origin_id,
            messages.c.number,
        )
        .where(messages.c.attachment_id == ident)
        .order_by(messages.c.id)
        .limit(MAX_PLACES)
    ).all()
    places = [FilePlace(*row) for row in rows]
    versions.note(connection, {file_of(each.conversation, each.seq) for each in places})
    conversations = {each.conversation for each in places}
    readers = {each: _readers(connection, each) for each in conversations}
    return SettledFile(realm, [(each, *readers[each.conversation].of(each.seq)) for each in places])


def file_of(conversation: int, seq: int) -> Subject:
    """The subject of the file of a message."""
    return Subject(conversation, Kind.FILE, str(seq))


class FileReaders(msgspec.Struct, frozen=True):
    """The accounts that read a conversation, each with the first entry that it sees, and the other realms
    that get what is sent there from here."""

    accounts: Sequence[tuple[int, int]]
    realms: Sequence[str]

    def of(self, seq: int) -> tuple[list[int], Sequence[str]]:
        """The accounts that see an entry, and the realms."""
        return [account for account, first in self.accounts if first <= seq], self.realms


def _readers(connection: sa.Connection, conversation: int) -> FileReaders:
    rows = connection.execute(
        sa.select(participants.c.account_id, participants.c.first_seq, participants.c.realm).where(
            participants.c.conversation_id == conversation
        )
    ).all()
    guests = connection.scalars(
        sa.select(remote_members.c.realm)
        .where(remote_members.c.conversation_id == conversation)
        .distinct()
    ).all()
    realms = {row.realm for row in rows if row.realm is not None} | set(guests)
    return FileReaders([(row.account_id, row.first_seq) for row in rows], sorted(realms))


def requested(connection: sa.Connection, asker: str, entry: Origin) -> Attachment | None:
    """Return the file of an entry that members of the realm `asker` see, or that was posted to a group of it.
    None if it has no file, or not any more."""
    realm, number = entry
    here = messages.c.conversation_id
    crosses = sa.or_(
        *(
            sa.exists().where(table.c.conversation_id == here, table.c.realm == asker)
            for table in (participants, groups)
        ),
        sa.exists().where(
            remote_members.c.conversation_id == here,
            remote_members.c.realm == asker,
            remote_members.c.first_seq <= messages.c.seq,
        ),
    )
    if realm is None:
        named = (messages.c.number == number) & messages.c.origin_id.is_(None)
    else:
        named = (messages.c.origin_realm == realm) & (messages.c.origin_id == number)
    files = (
        sa.select(*COLUMNS)
        .join_from(messages, attachments, attachments.c.id == messages.c.attachment_id)
        .where(named)
        .limit(1)
    )
    row = connection.execute(files.where(crosses)).first()
    if row is None:
        row = connection.execute(files.where(was_guest(asker))).first()
    return None if row is None else file_in(keyed_hash(connection), row)
