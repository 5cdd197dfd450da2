"""Reads and verifies entries of groups that other realms bring.

A post is for a group of this realm. A relay comes from the home of a group that has members here.
"""

from __future__ import annotations

import msgspec
from twisted.internet.task import deferLater

from chatd.base import errors
from chatd.base.errors import BadSignature
from chatd.base.model import Account, Party
from chatd.base.names import Address, parse_foreign_address, parse_foreign_name, parse_group_name
from chatd.base.texts import check_text
from chatd.federation import parcels
from chatd.federation.forwarder import Forwarder
from chatd.federation.links import ILinks
from chatd.federation.name_guesses import NameGuesses
from chatd.federation.parcel_fields import FileNote
from chatd.federation.parcels import Post, Relay
from chatd.federation.questions import guest_of
from chatd.federation.signing.drafts import signature_of
from chatd.federation.signing.entries import (
    SignedEntry,
    Trust,
    open_entry,
)
from chatd.federation.signing.key_book import KeyBook
from chatd.federation.signing.statements import Statement
from chatd.service.chat_service import ChatService
from chatd.service.messages import Messages
from chatd.service.presence import IListener
from chatd.service.targets import Target, group_target
from chatd.store.members import Roster
from chatd.store.messages import NewMessage, RemoteCopies
from chatd.store.origins import FIRST_NUMBER

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


def check_content(messages: Messages, text: str | None, file: FileNote | None) -> None:
    """Raises BadText, EmptyText, MessageTooLong."""
    if text is not None:
        check_text(text)
        messages.check_text(text)
    elif file is None:
        check_text("")


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
        if isinstance(parcel, Post):
            return await self._post(realm, parcel)
        return await self._relay(realm, parcel)

    async def _post(self, realm: str, parcel: Post) -> Arrived:
        """A message to a group of this realm, with copies for all realms that have members of it."""
        entry, opened = parcel.entry, open_entry(parcel.entry)
        stated = opened.statement
        if stated.realm != realm:
            raise BadSignature(reason="it is the entry of another realm")
        if await self._trust(realm, entry, stated) is not Trust.VERIFIED:
            raise BadSignature(reason="it is not signed")
        check_content(self._messages, opened.text, opened.file)
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
            signature=signature_of(entry, realm),
        )
        return Arrived(new, group_target(roster), guest=(roster, sender))

    async def _relay(self, realm: str, parcel: Relay) -> Arrived | None:
        """A message in a group of that realm with members here."""
        entry, opened = parcel.entry, open_entry(parcel.entry)
        stated = opened.statement
        roster = await self._mirror(realm, parcel)
        name = roster.group.key.partition("@")[0]
        _check_place(stated, realm, parcel.group_id, name)
        trust = await self._trust(realm, entry, stated)
        check_content(self._messages, opened.text, opened.file)
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
            signature=None
            if entry.proof is None
            else signature_of(entry, stated.realm, trust.value),
        )
        if author is None:
            return Arrived(new, group_target(roster))
        waiting = self._forwarder.awaited(stated.number)
        return Arrived(new, group_target(roster), stated.number, waiting)

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
