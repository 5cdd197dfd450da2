"""Reads the contents of entries that other realms have signed, with names as this realm writes them."""

from __future__ import annotations

import msgspec

from chatd.base import errors
from chatd.base.entries import EntryRef, SentParts
from chatd.base.mentions import ALL
from chatd.base.model import MAX_OPAQUE, Opaque
from chatd.base.names import Address, parse_foreign_address, printable
from chatd.base.texts import check_text
from chatd.federation.links import ILinks
from chatd.federation.signing.entries import OpenedEntry
from chatd.federation.signing.statements import MessageAttributes, StatedRef, Statement
from chatd.service.chat_service import ChatService
from chatd.service.message_parts import extras_of
from chatd.store.new_entries import Extras


class EntryContents:
    def __init__(self, service: ChatService, links: ILinks) -> None:
        self._context = service.context
        self._messages = service.messages
        self._links = links

    def check_content(self, opened: OpenedEntry, text: str | None) -> None:
        """Raises BadText, EmptyText, MessageTooLong."""
        if text is not None:
            check_text(text)
            self._messages.check_text(text)
        elif opened.opaque is not None:
            if len(opened.opaque) > MAX_OPAQUE:
                raise errors.MessageTooLong(size=len(opened.opaque), limit=MAX_OPAQUE)
        elif opened.file is None and opened.attributes is not None:
            check_text("")

    def extras(self, opened: OpenedEntry) -> Extras | None:
        """What few messages have. Raises BadName."""
        attributes = opened.attributes
        if attributes is None:
            return Extras(deleted_at=self.at(opened.statement.at))
        if not isinstance(attributes, MessageAttributes):
            return None
        reply, mentions, forwarded, _, media = msgspec.structs.astuple(attributes)
        if reply is None and not mentions and forwarded is None and media is None:
            return None
        parts = SentParts(
            forwarded=None if forwarded is None else self.address(forwarded),
            mentions=tuple(map(self.address, mentions)),
            opaque=None if media is None else Opaque(printable(media), opened.opaque or b""),
        )
        return extras_of(parts)

    def reply(self, opened: OpenedEntry) -> EntryRef | None:
        """The message that a message replies to."""
        attributes = opened.attributes
        if not isinstance(attributes, MessageAttributes) or attributes.reply is None:
            return None
        return self.entry(attributes.reply)

    def entry(self, ref: StatedRef) -> EntryRef:
        """An entry that a statement names."""
        own = ref.realm == self._context.realm_key
        return EntryRef(None if own else ref.realm, ref.number)

    def address(self, text: str) -> str:
        """An address in a content, as it is written here. Raises BadName."""
        return text if text == ALL else str(self._context.localize(parse_foreign_address(text)))

    def shown(self, stated: Statement) -> str:
        """The address of the author as it is shown here. Raises BadName."""
        address = parse_foreign_address(stated.address)
        try:
            return str(Address(address.name, self._links.name_of(stated.realm)))
        except errors.UnknownRealm:
            return str(address)

    def at(self, at: int) -> int:
        """The time that an entry states (ms since 1970 UTC), limited to the time up to now."""
        return min(at, self._context.now())
