"""Reads and verifies entries of groups that other realms bring.

A post is for a group of this realm. A relay comes from the home of a group that has members here.
"""

from __future__ import annotations

import msgspec
from twisted.internet.task import deferLater

from chatd.base import errors
from chatd.base.entries import EntryRef
from chatd.base.errors import BadSignature
from chatd.base.model import Account, Party
from chatd.base.names import (
    Address,
    parse_foreign_address,
    parse_foreign_name,
    parse_group_name,
    printable,
)
from chatd.base.texts import check_text
from chatd.federation import parcels
from chatd.federation.forwarder import Forwarder
from chatd.federation.links import ILinks
from chatd.federation.name_guesses import NameGuesses
from chatd.federation.parcel_fields import MAX_OPAQUE
from chatd.federation.parcels import Post, Relay
from chatd.federation.questions import guest_of
from chatd.federation.signing.drafts import signature_of
from chatd.federation.signing.entries import (
    OpenedEntry,
    SignedEntry,
    Trust,
    open_entry,
)
from chatd.federation.signing.key_book import KeyBook
from chatd.federation.signing.statements import MessageAttributes, StatedRef, Statement
from chatd.service.chat_service import ChatService
from chatd.service.presence import IListener
from chatd.service.targets import Target, group_target
from chatd.store.members import Roster
from chatd.store.messages import Extras, NewMessage, RemoteCopies
from chatd.store.origins import FIRST_NUMBER

MESSAGE = "message"
ALL = "@all"  # a mention of all members
MAX_AT_ONCE = 8  # signatures that are verified before other work gets its turn


class Arrived(msgspec.Struct, frozen=True):
    """A message to store, and its target.

    If it is a message of this realm that comes back, `echo` is the number of its parcel, and `origin` the
    connection that waits for it. `guest` is the group of this realm and its sender, for a `Post`.
    """

    new: NewMessage
    target: Target
    echo: int = 0
    origin: IListener | None = None
    guest: tuple[Roster, Party] | None = None


class EntryReader:
    """Its methods raise the errors with which an entry is refused."""

    def __init__(
        self,
        service: ChatService,
        forwarder: Forwarder,
        links: ILinks,
        guesses: NameGuesses,
        keys: KeyBook,
    ) -> None:
        self._context = service.context
        self._accounts = service.accounts
        self._rosters = service.rosters
        self._homes = service.homes
        self._messages = service.messages
        self._forwarder = forwarder
        self._links = links
        self._guesses = guesses
        self._keys = keys
        self._verified = 0  # signatures since other work had its turn

    async def read(self, realm: str, parcel: Post | Relay) -> Arrived | None:
        """The message to a group, or None if it is not for anyone here. Raises BadSignature, UnknownGroup,
        NotMember, Banned, GroupClosed."""
        opened = open_entry(parcel.entry)
        if opened.statement.kind != MESSAGE:
            raise BadSignature(reason="this realm knows no such entries")
        if isinstance(parcel, Post):
            return await self._post(realm, parcel, opened)
        return await self._relay(realm, parcel, opened)

    async def _post(self, realm: str, parcel: Post, opened: OpenedEntry) -> Arrived:
        """A message to a group of this realm, with copies for all realms that have members of it."""
        entry, stated = parcel.entry, opened.statement
        if stated.realm != realm:
            raise BadSignature(reason="it is the entry of another realm")
        if await self._trust(realm, entry, stated) is not Trust.VERIFIED:
            raise BadSignature(reason="it is not signed")
        self._check_content(opened)
        sender = guest_of(self._links, realm, stated.author)
        name = Address(parse_group_name(parcel.group))
        await self._guesses.check_group(realm, name)
        roster = await self._homes.find_postable(sender, name)
        group = roster.group
        if stated.group == group.code:
            raise errors.UnknownGroup(
                name=parcel.group
            )  # no other realm could tell which group it is
        _check_place(stated, self._context.realm_key, group.id, group.key)

        def relay(seq: int) -> bytes:
            return parcels.encode(Relay(entry, group.name, group.id, seq))

        new = NewMessage(
            group.id,
            None,
            sender.name,
            self._at(stated.at),
            opened.text,
            origin=(realm, stated.number),
            copies=RemoteCopies(tuple(roster.realms), relay) if roster.realms else None,
            extras=self._extras(opened),
            reply_to=self._reply(opened),
            signature=signature_of(entry, realm),
        )
        return Arrived(new, group_target(roster), guest=(roster, sender))

    async def _relay(self, realm: str, parcel: Relay, opened: OpenedEntry) -> Arrived | None:
        """A message in a group of that realm with members here."""
        entry, stated = parcel.entry, opened.statement
        roster = await self._mirror(realm, parcel)
        name = roster.group.key.partition("@")[0]
        _check_place(stated, realm, parcel.group_id, name)
        trust = await self._trust(realm, entry, stated)
        self._check_content(opened)
        author: Account | None = None
        origin_realm: str | None = stated.realm
        shown = self._shown(stated)
        if stated.realm == self._context.realm_key:
            try:
                author = await self._accounts.find(stated.author)
            except errors.UnknownUser:
                return None
            origin_realm, shown = None, author.name
        new = NewMessage(
            roster.group.id,
            None if author is None else author.id,
            shown,
            self._at(stated.at),
            opened.text,
            seq=parcel.seq,
            origin=(origin_realm, stated.number),
            extras=self._extras(opened),
            reply_to=self._reply(opened),
            signature=None
            if entry.proof is None
            else signature_of(entry, stated.realm, trust.value),
        )
        if author is None:
            return Arrived(new, group_target(roster))
        waiting = self._forwarder.awaited(stated.number)
        return Arrived(new, group_target(roster), stated.number, waiting)

    def _check_content(self, opened: OpenedEntry) -> None:
        """Raises BadText, EmptyText, MessageTooLong."""
        if opened.text is not None:
            check_text(opened.text)
            self._messages.check_text(opened.text)
        elif opened.opaque is not None:
            if len(opened.opaque) > MAX_OPAQUE:
                raise errors.MessageTooLong(size=len(opened.opaque), limit=MAX_OPAQUE)
        elif opened.file is None and opened.attributes is not None:
            check_text("")

    def _extras(self, opened: OpenedEntry) -> Extras | None:
        """What few messages have. Raises BadName."""
        attributes = opened.attributes
        if attributes is None:
            return Extras(deleted_at=self._at(opened.statement.at))
        if not isinstance(attributes, MessageAttributes):
            return None
        reply, mentions, forwarded, _, media = msgspec.structs.astuple(attributes)
        if reply is None and not mentions and forwarded is None and media is None:
            return None
        found = [self._address(each) for each in mentions]
        return Extras(
            forwarded=None if forwarded is None else self._address(forwarded),
            mentions=msgspec.json.encode(found).decode() if found else None,
            media=None if media is None else printable(media),
            body=opened.opaque,
        )

    def _reply(self, opened: OpenedEntry) -> EntryRef | None:
        """The message that a message replies to."""
        attributes = opened.attributes
        if not isinstance(attributes, MessageAttributes) or attributes.reply is None:
            return None
        return self._entry(attributes.reply)

    def _entry(self, ref: StatedRef) -> EntryRef:
        """An entry that a statement names."""
        own = ref.realm == self._context.realm_key
        return EntryRef(None if own else ref.realm, ref.number)

    def _address(self, text: str) -> str:
        """An address in a content, as it is written here. Raises BadName."""
        return text if text == ALL else str(self._context.localize(parse_foreign_address(text)))

    def _shown(self, stated: Statement) -> str:
        """The address of the author as it is shown here. Raises BadName."""
        address = parse_foreign_address(stated.address)
        try:
            return str(Address(address.name, self._links.name_of(stated.realm)))
        except errors.UnknownRealm:
            return str(address)

    async def _trust(self, realm: str, entry: SignedEntry, stated: Statement) -> Trust:
        """Verify an entry that `realm` brings. Raises BadSignature, also if a key is unknown that must be
        known: that of the realm itself, or of this one."""
        proof, verifier = entry.proof, self._keys.verifier
        if proof is None:
            return self._unsigned(stated)
        if not verifier.is_cheap(entry.statement, stated.realm, proof):
            self._verified += 1
            if self._verified >= MAX_AT_ONCE:
                await deferLater(self._context.clock, 0.0)
                self._verified = 0
        trust = verifier.check(entry.statement, stated.realm, stated.at, proof)
        if trust is Trust.UNVERIFIED and stated.realm in (realm, self._context.realm_key):
            raise BadSignature(reason="its key was never announced")
        return trust

    def _unsigned(self, stated: Statement) -> Trust:
        """Accept an entry of version 1 that has waited while realms were updated. Raises BadSignature."""
        if stated.number >= FIRST_NUMBER or self._context.now() >= self._keys.unsigned_until:
            raise BadSignature(reason="it is not signed")
        return Trust.UNSIGNED

    def _at(self, at: int) -> int:
        """The time that an entry states (ms since 1970 UTC), limited to the time up to now."""
        return min(at, self._context.now())

    async def _mirror(self, realm: str, parcel: Relay) -> Roster:
        name = Address(parse_foreign_name(parcel.group), self._links.name_of(realm))
        try:
            roster = await self._rosters.find(name)
        except errors.NotMember:
            raise errors.UnknownGroup(name=parcel.group) from None
        if roster.group.home_id != parcel.group_id:
            raise errors.UnknownGroup(name=parcel.group)
        return roster


def _check_place(stated: Statement, home: str, group: int, name: str) -> None:
    """Raises BadSignature unless an entry was made for the group of `home` with this id, and this name as it
    is compared."""
    if stated.home != home or stated.group not in (group, name):
        raise BadSignature(reason="it was made for another group")
