"""What an account exports besides the messages that it reads. Queries for the Database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from chatd.base.account_archive import (
    FORMAT,
    ArchivedConversation,
    ArchivedGroup,
    ArchivedOrigin,
    ArchivedProfile,
    ArchivedSignature,
    origin_of,
)
from chatd.base.attachments import Attachment
from chatd.base.model import Account
from chatd.base.names import ARCHIVE_SIGN
from chatd.base.timestamps import timestamp
from chatd.store.accounts import contacts_of
from chatd.store.avatars import find, place_of_user
from chatd.store.blocks import blocks_of
from chatd.store.files import COLUMNS, file_in, visible_files
from chatd.store.groups import list_groups
from chatd.store.import_places import IMPORTED_GROUP
from chatd.store.macs import keyed_hash
from chatd.store.preferences import COLUMNS as PREFERENCES
from chatd.store.preferences import preferences_in
from chatd.store.privacy import privacy_of
from chatd.store.schema import (
    accounts,
    attachments,
    changes,
    groups,
    import_places,
    imported_messages,
    messages,
    participants,
    preferences,
    signatures,
)

MAX_GROUPS = 10_000
_signatures = msgspec.json.Decoder(ArchivedSignature)


class Provenance(msgspec.Struct, frozen=True):
    """Where a message comes from, and what its author's realm has signed of its present content. `key` names
    it in archives, if it is from one."""

    origin: ArchivedOrigin | None = None
    signed: ArchivedSignature | None = None
    key: str | None = None


def profile_of(connection: sa.Connection, account: Account, realm: str) -> ArchivedProfile:
    """The account of the realm with that name, its contacts, blocks, groups and choices."""
    created = connection.scalar(sa.select(accounts.c.created_at).where(accounts.c.id == account.id))
    picture = find(connection, place_of_user(account.name))
    mine, _ = list_groups(connection, account.id, True, MAX_GROUPS)
    return ArchivedProfile(
        format=FORMAT,
        realm=realm,
        username=account.name,
        name=account.display_name,
        country=account.country,
        status=account.status,
        created=timestamp(created or 0),
        picture=None if picture is None else picture.body,
        contacts=tuple(contacts_of(connection, account.id)),
        blocked=tuple(each.address for each in blocks_of(connection, account.id)),
        groups=tuple(
            ArchivedGroup(each.group, each.title, each.code, each.visibility, each.admin)
            for each in mine
        ),
        privacy=msgspec.structs.asdict(privacy_of(connection, account.id)),
    )


def conversation_head(
    connection: sa.Connection, account_id: int, conversation: int, realm: str
) -> ArchivedConversation:
    """A conversation as the account has it. `realm` is the key of this realm. One that the account takes no
    part in any more has no name."""
    row = _side_of(connection, account_id, conversation)
    if row is None:
        return ArchivedConversation(conversation)
    chosen = preferences_in(row.notify, None, row.archived)
    name, peer = row.name, row.peer
    home, home_id = (row.realm or realm, row.home_id or conversation) if name else (None, None)
    is_archive = (peer or "").startswith(ARCHIVE_SIGN)
    if is_archive and (origin := _group_of(connection, account_id, conversation)) is not None:
        name, peer = peer.removeprefix(ARCHIVE_SIGN), None
        home, home_id = origin
    first, last = _ends(connection, conversation, row.first_seq)
    return ArchivedConversation(
        conversation,
        name,
        peer,
        home,
        home_id,
        is_archive,
        first,
        last,
        # What is chosen until a time soon ends by itself.
        notify="all" if row.until is not None else chosen.notify,
        archived=chosen.archived,
    )


def _side_of(connection: sa.Connection, account_id: int, conversation: int) -> Any:
    """What names a conversation for the account, and what the account has chosen for it, as a row; None
    if the account takes no part in it."""
    return connection.execute(
        sa.select(
            participants.c.peer,
            participants.c.first_seq,
            groups.c.name,
            groups.c.realm,
            groups.c.home_id,
            *PREFERENCES,
        )
        .select_from(participants)
        .outerjoin(groups, groups.c.conversation_id == participants.c.conversation_id)
        .outerjoin(
            preferences,
            (preferences.c.account_id == participants.c.account_id)
            & (preferences.c.conversation_id == participants.c.conversation_id),
        )
        .where(
            participants.c.account_id == account_id, participants.c.conversation_id == conversation
        )
    ).first()


def _group_of(
    connection: sa.Connection, account_id: int, conversation: int
) -> tuple[str, int] | None:
    """The key of the realm of the group that was imported into a conversation, and the group's id there; None
    if it was no group."""
    origin: str | None = connection.scalar(
        sa.select(import_places.c.origin).where(
            import_places.c.account_id == account_id,
            import_places.c.conversation_id == conversation,
            import_places.c.origin.like(f"{IMPORTED_GROUP}%"),
        )
    )
    if origin is None:
        return None
    home, _, home_id = origin.removeprefix(IMPORTED_GROUP).rpartition(":")
    return home, int(home_id)


def _ends(connection: sa.Connection, conversation: int, first_seq: int) -> tuple[int, int]:
    """The seqs of the first and the last message from `first_seq` on."""
    first, last = connection.execute(
        sa.select(sa.func.min(messages.c.seq), sa.func.max(messages.c.seq)).where(
            messages.c.conversation_id == conversation, messages.c.seq >= first_seq
        )
    ).one()
    return first or 1, last or 1


def provenances(
    connection: sa.Connection, conversation: int, seqs: Sequence[int], realm: str
) -> dict[int, Provenance]:
    """Where these messages of a conversation come from, by their seqs. `realm` is the key of this realm."""
    here = messages.c.conversation_id == conversation, messages.c.seq.in_(seqs)
    edited = {row.target: _signature(row) for row in _edits(connection, conversation, seqs)}
    found = {
        row.seq: Provenance(_origin(row, realm), edited.get(row.seq, _signature(row)))
        for row in connection.execute(
            sa.select(
                messages.c.seq,
                messages.c.origin_realm,
                messages.c.origin_id,
                messages.c.number,
                *_SIGNED,
            )
            .outerjoin(
                signatures,
                (signatures.c.conversation_id == messages.c.conversation_id)
                & (signatures.c.seq == messages.c.seq),
            )
            .where(*here)
        )
    }
    for row in _imported(connection, conversation, seqs):
        signed = None if row.signature is None else _signatures.decode(row.signature)
        found[row.seq] = Provenance(origin_of(row.key), signed, row.key)
    return found


_SIGNED = (
    signatures.c.statement,
    signatures.c.proof,
    signatures.c.salt,
    signatures.c.attributes,
)


def _imported(connection: sa.Connection, conversation: int, seqs: Sequence[int]) -> sa.Result[Any]:
    """Those of the messages that are from an archive, with their keys and what the archive has of their
    signatures."""
    return connection.execute(
        sa.select(
            imported_messages.c.seq, imported_messages.c.key, imported_messages.c.signature
        ).where(
            imported_messages.c.conversation_id == conversation,
            imported_messages.c.seq.in_(seqs),
        )
    )


def _edits(connection: sa.Connection, conversation: int, seqs: Sequence[int]) -> sa.Result[Any]:
    """The signatures of the edits that gave these messages their present content. Earlier ones have no
    salt."""
    return connection.execute(
        sa.select(changes.c.target, *_SIGNED)
        .join(
            signatures,
            (signatures.c.conversation_id == changes.c.conversation_id)
            & (signatures.c.seq == changes.c.seq),
        )
        .where(
            changes.c.conversation_id == conversation,
            changes.c.target.in_(seqs),
            changes.c.kind == "edited",
            signatures.c.salt.is_not(None),
        )
        .order_by(changes.c.seq)
    )


def _origin(row: Any, realm: str) -> ArchivedOrigin | None:
    if row.origin_realm is not None:
        return ArchivedOrigin(row.origin_realm, row.origin_id)
    return None if row.number is None else ArchivedOrigin(realm, row.number)


def _signature(row: Any) -> ArchivedSignature | None:
    """What is signed of a message; None if its content is deleted, or not signed."""
    if row.salt is None or row.attributes is None:
        return None
    return ArchivedSignature(row.statement, row.proof, row.salt, row.attributes)


def sent_files(
    connection: sa.Connection, account_id: int, after: int, limit: int
) -> list[Attachment]:
    """The first `limit` files with ids above `after` that the account has sent, oldest first."""
    rows = connection.execute(
        sa.select(*COLUMNS)
        .where(attachments.c.owner_id == account_id, attachments.c.id > after)
        .order_by(attachments.c.id)
        .limit(limit)
    )
    return [file_in(keyed_hash(connection), row) for row in rows]


def received_files(
    connection: sa.Connection, account_id: int, before: int, limit: int
) -> list[Attachment]:
    """The last `limit` files with ids below `before` that others have sent to the account, newest first."""
    others = attachments.c.owner_id.is_distinct_from(account_id)
    rows = connection.execute(
        sa.select(*COLUMNS)
        .where(attachments.c.id.in_(visible_files(account_id)), others, attachments.c.id < before)
        .order_by(attachments.c.id.desc())
        .limit(limit)
    )
    return [file_in(keyed_hash(connection), row) for row in rows]
