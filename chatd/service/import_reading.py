"""From what an archive has of a conversation to what is stored of it here.

An address of the realm that made the archive gets that realm's name here, and one of this realm loses it.
What can't be an address or a text here is left out, or replaced: anybody may have made the archive.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import msgspec

from chatd.base.account_archive import (
    ArchivedConversation,
    ArchivedMessage,
    ArchivedProfile,
    key_of_origin,
)
from chatd.base.characters import is_blank
from chatd.base.config import MAX_MESSAGE
from chatd.base.emoji import is_emoji
from chatd.base.entries import MEDIA_TYPE
from chatd.base.errors import BadArchive, BadName
from chatd.base.model import MAX_OPAQUE, Account, FormerHome
from chatd.base.names import ARCHIVE_SIGN, SYSTEM, Address, key_of, parse_address
from chatd.base.texts import CONTROL_IN_TEXT
from chatd.base.timestamps import parse_timestamp
from chatd.service.context import Context
from chatd.service.remote import ISignedEntries, SignedContent
from chatd.store.import_places import IMPORTED_GROUP, ImportSource
from chatd.store.imported_messages import ImportItem

MAX_REACTIONS = 200  # people of a message, with all its emoji
MAX_EMOJIS = 20
MAX_MENTIONS = 100
UNKNOWN_LAST = 1_000_000  # the last seq of a conversation in an archive that does not tell it
NOT_IN_ARCHIVE = "\N{PAPERCLIP} {name}"  # in place of a file that the archive does not have
_MEDIA = re.compile(MEDIA_TYPE)
_LONGEST_KEY = 256

_encode = msgspec.json.Encoder().encode


class ImportReader:
    """Reads the archive with this `profile` for an account. Raises BadArchive if its names are none."""

    def __init__(
        self, context: Context, account: Account, profile: ArchivedProfile, signed: ISignedEntries
    ) -> None:
        self._context = context
        self._account = account
        self._signed = signed
        self._now = context.now()
        try:
            self._realm = parse_address(f"{SYSTEM}@{profile.realm}").realm or ""
            self.old = self._here(Address(parse_address(profile.username).name))
        except BadName:
            raise BadArchive(reason="the name of its realm or account is none") from None

    def address(self, text: str) -> Address | None:
        """An address of the archive, as it is written here; None if it is none."""
        try:
            return self._here(parse_address(text))
        except BadName:
            return None

    def _here(self, there: Address) -> Address:
        complete = there if there.realm is not None else Address(there.name, self._realm)
        return self._context.localize(complete)

    def homes(self, head: ArchivedConversation, known: Iterable[FormerHome]) -> list[FormerHome]:
        """The homes that a group has had, the one in the archive first, and then those that are `known` here.
        An archive can't prove others: a former home may name any group as its successor."""
        if head.group is None or head.home is None or head.home_id is None:
            return []
        present = FormerHome(head.home, head.home_id, key_of(head.group.partition("@")[0]))
        return list(dict.fromkeys((present, *known)))

    def source(
        self, head: ArchivedConversation, homes: Sequence[FormerHome]
    ) -> ImportSource | None:
        """Where its messages come from; None if it has no name. `homes` are those of a group."""
        name = head.group or head.user
        if name is None:
            return None
        is_archive = name.startswith(ARCHIVE_SIGN)
        address = self.address(name.removeprefix(ARCHIVE_SIGN))
        if address is None:
            return None
        first, last = head.first, max(head.first, head.last or UNKNOWN_LAST)
        realm = key_of(self._realm)
        if is_archive:
            origins = [f"{ARCHIVE_SIGN}{address.key}"]
        elif head.group is not None:
            origins = [f"{IMPORTED_GROUP}{head.home or realm}:{head.home_id or head.conversation}"]
            origins += [f"{IMPORTED_GROUP}{each.realm}:{each.home_id}" for each in homes]
        else:
            origins = [f"@{realm}:{head.conversation}"]
        alone = is_archive or head.group is not None or key_of(address.name) == SYSTEM
        if address.key == self.old.key:
            address = Address(self._account.name)  # one's own notes
        return ImportSource(tuple(dict.fromkeys(origins)), address, first, last, alone)

    def item(
        self, head: ArchivedConversation, message: ArchivedMessage, homes: Sequence[FormerHome] = ()
    ) -> ImportItem:
        """A message as it is stored here, without its file. `homes` are those of a group."""
        signed: SignedContent | None = self._signed.check(message, homes) if homes else None
        sender = self._person(signed.author if signed else message.sender) or self._realm_itself()
        # In a group, one's own messages keep the address that they were written with.
        own = head.group is None and key_of(sender) == self.old.key
        said = signed or message
        media, body = _opaque_of(message)
        at, edited = self._times(message, signed)
        is_text = media is None and message.file is None and not message.deleted
        return ImportItem(
            self.key(head, message),
            message.seq,
            at,
            self._account.name if own else sender,
            own,
            readable(message.text or "") if is_text else None,
            edited=edited,
            deleted=message.deleted,
            reply=None if signed else message.reply,
            reply_to=key_of_origin(signed.reply) if signed and signed.reply else None,
            forwarded=None if said.forwarded is None else self._person(said.forwarded),
            mentions=tuple(self._people(said.mentions[:MAX_MENTIONS])),
            media=None if message.deleted else media,
            body=None if message.deleted else body,
            reactions=() if message.deleted else tuple(self._reactions(message)),
            origin=None
            if message.origin is None
            else (message.origin.realm, message.origin.number),
            verified=signed is not None,
            signature=None if message.signed is None else _encode(message.signed),
        )

    def _times(
        self, message: ArchivedMessage, signed: SignedContent | None
    ) -> tuple[int, int | None]:
        """When it was sent, and edited. What is signed counts, as far as it says that."""
        at = self._time(message.at)
        edited = self._time(message.edited) if message.edited else None
        if signed is None:
            return at, edited or None
        said = min(signed.at, self._now)
        return (min(at, signed.at), said or None) if signed.edited else (said, edited or None)

    def key(self, head: ArchivedConversation, message: ArchivedMessage) -> str:
        """What names a message in all archives that have it."""
        if message.key is not None:
            return message.key[:_LONGEST_KEY]
        if message.origin is not None:
            return key_of_origin(message.origin)
        realm = key_of(self._realm)
        if head.group is not None:
            home = f"{head.home or realm}:{head.home_id or head.conversation}"
            return f"#{home}:{message.seq}"
        return f"@{realm}:{head.conversation}:{message.seq}"

    def _person(self, text: str) -> str | None:
        address = self.address(text)
        return None if address is None else str(address)

    def _people(self, written: Iterable[str]) -> Iterable[str]:
        return (found for each in written if (found := self._person(each)) is not None)

    def _realm_itself(self) -> str:
        """The sender of a message that has none."""
        return str(self._here(Address(SYSTEM)))

    def _time(self, text: str) -> int:
        """A time of the archive, which is not in the future."""
        return min(max(parse_timestamp(text) or 0, 0), self._now)

    def _reactions(self, message: ArchivedMessage) -> Iterable[tuple[str, tuple[str, ...]]]:
        room = MAX_REACTIONS
        for emoji, people in [*message.reactions.items()][:MAX_EMOJIS]:
            found = tuple(dict.fromkeys(self._people(people[:room])))
            if found and is_emoji(emoji):
                room -= len(found)
                yield emoji, found


def _opaque_of(message: ArchivedMessage) -> tuple[str | None, bytes | None]:
    """The media type and the body of a content that the server does not read; None if it has no such content,
    or the type is not valid."""
    opaque = message.opaque
    if opaque is None or not _MEDIA.fullmatch(opaque.type):
        return None, None
    return opaque.type, opaque.body[:MAX_OPAQUE]


def readable(text: str) -> str:
    """A text of an archive, as a message may have it: at most MAX_MESSAGE bytes, without control
    characters."""
    clean = CONTROL_IN_TEXT.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))
    if len(clean.encode()) > MAX_MESSAGE:
        clean = clean.encode()[:MAX_MESSAGE].decode(errors="ignore")
    return "\N{REPLACEMENT CHARACTER}" if is_blank(clean) else clean
