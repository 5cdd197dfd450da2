"""Reads and verifies entries of groups that other realms bring.

A post is for a group of this realm. A relay comes from the home of a group that has members here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import msgspec

from chatd.base import errors
from chatd.base.entries import EntryRef
from chatd.base.errors import BadSignature
from chatd.base.mentions import ALL
from chatd.base.model import PAST_JOINED, Group, Party, party_of
from chatd.base.names import (
    Address,
    key_of,
    parse_foreign_name,
    parse_group_name,
)
from chatd.federation import parcels
from chatd.federation.entry_contents import EntryContents
from chatd.federation.entry_trust import EntryTrust, check_place, is_homes
from chatd.federation.fact_reader import FACTS, FactReader, RelayedFact
from chatd.federation.forwarder import Forwarder
from chatd.federation.group_changes import EntryChange, change_of
from chatd.federation.links import ILinks
from chatd.federation.name_guesses import NameGuesses
from chatd.federation.parcels import Post, Relay
from chatd.federation.questions import guest_of
from chatd.federation.signing.drafts import signature_of
from chatd.federation.signing.entries import OpenedEntry, Trust
from chatd.federation.signing.statements import (
    PLAIN,
    DeletionAttributes,
    Statement,
)
from chatd.service.chat_service import ChatService
from chatd.service.group_log import HOME
from chatd.service.presence import IListener
from chatd.service.remote import SignedFact
from chatd.service.targets import Target, group_target
from chatd.store.crossing import has_written, realms_since
from chatd.store.message_changes import WantedChange
from chatd.store.new_entries import NewMessage, RemoteCopies
from chatd.store.origins import Origin
from chatd.store.roster import Roster
from chatd.store.sealing import NewSignature

MESSAGE, EDITED = "message", "edited"


# Called with the key of a realm and that of a name: returns whether a group of that name will move to here
OnComing: TypeAlias = Callable[[str, str], Awaitable[bool]]


class Arrived(msgspec.Struct, frozen=True):
    """A message to store, and its target.

    If it is a message of this realm that comes back, `echo` is the number of its parcel, and `origin` the
    connection that waits for it.
    """

    new: NewMessage
    target: Target
    echo: int = 0
    origin: IListener | None = None


class EntryReader:
    """Its methods raise the errors with which an entry is refused."""

    def __init__(
        self,
        service: ChatService,
        forwarder: Forwarder,
        links: ILinks,
        guesses: NameGuesses,
        trust: EntryTrust,
        facts: FactReader,
    ) -> None:
        self._context = service.context
        self._accounts = service.accounts
        self._rosters = service.rosters
        self._homes = service.homes
        self._mutes = service.mutes
        self._contents = EntryContents(service, links)
        self._forwarder = forwarder
        self._links = links
        self._guesses = guesses
        self._trust = trust
        self._facts = facts
        self._coming: OnComing

    def on_coming(self, coming: OnComing) -> None:
        """Ask `coming` about posts to groups that are not known here."""
        self._coming = coming

    async def read(
        self, realm: str, parcel: Post | Relay
    ) -> Arrived | EntryChange | RelayedFact | None:
        """The entry of a group, or None if it is not for anyone here. Raises BadSignature, UnknownGroup,
        NotMember, Banned, Muted, GroupClosed, GroupShut."""
        opened = parcel.opening
        if isinstance(opened, BadSignature):
            raise opened
        if isinstance(parcel, Post):
            return await self._post(realm, parcel, opened)
        return await self._relay(realm, parcel, opened)

    def unchanged(self, realm: str, parcel: Relay) -> Arrived | None:
        """The message of this realm that comes back from the home of its group as it was sent, and needs no
        check; None if the parcel has to be read."""
        post = self._forwarder.posts.find(parcel)
        if post is None or post.new.attachment_id is not None:
            return None
        roster = self._rosters.of_conversation(post.new.conversation)
        if roster is None or (roster.group.realm, roster.group.home_id) != (realm, parcel.group_id):
            return None
        new = msgspec.structs.replace(
            post.new, seq=parcel.seq, origin=(None, post.number), signature=post.draft.signature
        )
        return Arrived(new, group_target(roster), post.number, post.origin)

    async def _post(
        self, realm: str, parcel: Post, opened: OpenedEntry
    ) -> Arrived | EntryChange | None:
        """An entry for a group of this realm, with copies for all realms that have members of it."""
        entry, stated = parcel.entry, opened.statement
        await self._trust.check_own(realm, entry, stated)
        sender = guest_of(self._links, realm, stated.author)
        name = Address(parse_group_name(parcel.group))
        if self._rosters.cached(name.key) is None and await self._coming(realm, name.key):
            raise errors.GroupMoved(group=name, to=name)  # it has not come yet
        erases = await self._erases(sender, name, opened)
        if erases:
            roster = await self._rosters.find_home(name)
        else:
            await self._guesses.check_group(sender, name)
            roster = await self._homes.find_postable(sender, name)
            if stated.target is None or not isinstance(opened.attributes, DeletionAttributes):
                group_target(roster).check_open()
                self._mutes.check(sender.key, roster.group.id, roster.group.name)
        if await self._facts.lineage.learn(realm, roster.group, stated):
            roster = await self._rosters.find_home(name)
        if stated.group == roster.group.code:
            raise errors.UnknownGroup(
                name=parcel.group
            )  # no other realm could tell which group it is
        if ALL in getattr(opened.attributes, "mentions", ()) and not roster.role(sender):
            raise errors.NotAdmin(
                group=roster.group.name
            )  # as here, where only admins mention everybody
        realms = tuple(roster.realms)
        found = self._at_home(parcel, opened, roster, sender, (realm, stated.number), realms)
        if erases and isinstance(found, EntryChange):
            wanted = msgspec.structs.replace(found.wanted, erases=True)
            return msgspec.structs.replace(found, wanted=wanted)
        return found

    async def _erases(self, sender: Party, name: Address, opened: OpenedEntry) -> bool:
        """Whether a person of another realm deletes a message of theirs in a group of this realm. They may do
        that also if they have left the group or are banned. It tells nothing about other groups."""
        about = opened.statement.target
        if about is None or not isinstance(opened.attributes, DeletionAttributes):
            return False
        read = self._context.database.read
        return bool(await read(has_written, name.key, self._contents.entry(about), sender.key))

    def _at_home(
        self,
        parcel: Post,
        opened: OpenedEntry,
        roster: Roster,
        author: Party,
        origin: Origin,
        realms: tuple[str, ...],
    ) -> Arrived | EntryChange | None:
        """An entry to be numbered here, with copies for `realms`. Raises BadSignature."""
        entry, stated, group = parcel.entry, opened.statement, roster.group
        check_place(stated, self._context.realm_key, group.id, group)

        def relay(seq: int) -> bytes:
            return parcels.encode(Relay(entry, group.name, group.id, seq))

        copies = RemoteCopies(realms, relay)
        signature, target = signature_of(entry, stated.realm), group_target(roster)
        if stated.kind != MESSAGE:
            wanted, about = self._wanted(group.id, opened, author, origin, signature)
            if opened.attributes is None:
                return None  # an edit of a message that was deleted since, and the deletion follows
            return EntryChange(wanted, about, target, copies, (roster, author))
        new = self._message(opened, group.id, author, origin, signature)
        return Arrived(msgspec.structs.replace(new, copies=copies, epoch=target.epoch), target)

    def own(self, parcel: Post, roster: Roster, author: Party) -> Arrived | EntryChange | None:
        """An entry of an account here that was made for the former home of a group, which lives here now.
        Raises BadSignature, and what is wrong with its content."""
        opened = parcel.opening
        if isinstance(opened, BadSignature):
            raise opened
        number, realms = opened.statement.number, tuple(roster.realms)
        found = self._at_home(parcel, opened, roster, author, (None, number), realms)
        if isinstance(found, Arrived):
            origin = self._forwarder.posts.origin_of(number)
            return msgspec.structs.replace(found, echo=number, origin=origin)
        return found

    async def check_returned(self, realm: str, parcel: Post | Relay) -> OpenedEntry:
        """Check an entry that `realm` has, and that this realm may have lost. Raises BadSignature."""
        opened = parcel.opening
        if isinstance(opened, BadSignature):
            raise opened
        if await self._trust.check(realm, parcel.entry, opened.statement) is not Trust.VERIFIED:
            raise BadSignature(reason="its key is not known")
        return opened

    async def returned(
        self, realm: str, parcel: Post, opened: OpenedEntry
    ) -> Arrived | EntryChange | tuple[Group, SignedFact] | None:
        """As `read`, for an entry of a group of this realm that `realm` returns."""
        stated = opened.statement
        name = Address(parse_group_name(parcel.group))
        roster = await self._rosters.find_home(name)
        if await self._facts.lineage.learn(realm, roster.group, stated):
            roster = await self._rosters.find_home(name)
        own = stated.realm == self._context.realm_key
        was_home = any(each.realm == realm for each in roster.group.former)
        if realm not in roster.realms and not was_home:
            raise errors.NotMember(group=roster.group.name)
        if stated.kind in FACTS:
            group, author = roster.group, None if own else await self._author(stated)
            return group, await self._facts.returned(group, parcel.entry, opened, author)
        if own and is_homes(stated):
            author = HOME
        elif own:
            author = party_of(await self._accounts.find(stated.author))
        else:
            author = guest_of(self._links, stated.realm, stated.author)
        if author.key in roster.banned and not own:
            raise errors.Banned(group=roster.group.name)
        origin = (None if own else stated.realm, stated.number)
        realms = tuple(roster.realms)
        if roster.group.past == PAST_JOINED:
            # Who is admitted again since does not see what was written before the first join. Who was a
            # member has it already.
            read = self._context.database.read
            realms = await read(realms_since, roster.group.id, stated.at)
        found = self._at_home(parcel, opened, roster, author, origin, realms)
        if isinstance(found, EntryChange):
            late = msgspec.structs.replace(found.wanted, late=True, by_realm=is_homes(stated))
            return msgspec.structs.replace(found, wanted=late)
        return found

    async def _relay(
        self, realm: str, parcel: Relay, opened: OpenedEntry
    ) -> Arrived | EntryChange | RelayedFact | None:
        """An entry of a group of that realm with members here."""
        entry, stated = parcel.entry, opened.statement
        roster = await self._mirror(realm, parcel)
        if await self._facts.lineage.learn(realm, roster.group, stated):
            roster = await self._mirror(realm, parcel)
        check_place(stated, realm, parcel.group_id, roster.group)
        trust = await self._trust.check(realm, entry, stated)
        author = await self._author(stated)
        if author is None:
            return None
        origin: Origin = (author.realm, stated.number)
        signature = None
        if entry.proof is not None:
            signature = signature_of(entry, stated.realm, trust.value)
        if stated.kind in FACTS:
            return await self._facts.relayed(roster.group, parcel, opened, author, signature)
        target = group_target(roster)
        if stated.kind != MESSAGE:
            if trust is not Trust.VERIFIED and stated.kind == EDITED:
                raise BadSignature(reason="it would replace words, and its key is not known")
            wanted, about = self._wanted(roster.group.id, opened, author, origin, signature)
            wanted = msgspec.structs.replace(wanted, relayed=True, given=parcel.seq)
            return EntryChange(wanted, about, target, relay=parcel)
        new = self._message(opened, roster.group.id, author, origin, signature)
        new = msgspec.structs.replace(new, seq=parcel.seq)
        if author.id is None:
            return Arrived(new, target)
        return Arrived(new, target, stated.number, self._forwarder.posts.origin_of(stated.number))

    def _message(
        self,
        opened: OpenedEntry,
        conversation: int,
        author: Party,
        origin: Origin,
        signature: NewSignature | None,
    ) -> NewMessage:
        """Raises BadText, EmptyText, MessageTooLong, BadName."""
        text = opened.text  # decoded each time
        self._contents.check_content(opened, text)
        plain = opened.attributes is PLAIN
        return NewMessage(
            conversation,
            author.id,
            author.name,
            self._contents.at(opened.statement.at),
            text,
            origin=origin,
            extras=None if plain else self._contents.extras(opened),
            reply_to=None if plain else self._contents.reply(opened),
            signature=signature,
        )

    def _wanted(
        self,
        conversation: int,
        opened: OpenedEntry,
        author: Party,
        origin: Origin,
        signature: NewSignature | None,
    ) -> tuple[WantedChange, EntryRef]:
        """A change, and the message that it is about. Raises BadSignature, BadName, BadText, EmptyText."""
        contents, about = self._contents, opened.statement.target
        change = change_of(opened, contents.address, contents.entry)
        if about is None:
            raise BadSignature(reason="it is about no message")
        at = contents.at(opened.statement.at)
        wanted = WantedChange(
            conversation, 0, change, author, at, origin=origin, signature=signature
        )
        return wanted, contents.entry(about)

    async def _author(self, stated: Statement) -> Party | None:
        """The author of an entry, or None if this realm has no such account. Raises BadName."""
        if stated.realm != self._context.realm_key:
            shown = self._contents.shown(stated)
            return Party(key_of(shown), shown, realm=stated.realm)
        if is_homes(stated):
            return HOME  # which this realm was
        try:
            return party_of(await self._accounts.find(stated.author))
        except errors.UnknownUser:
            return None

    async def _mirror(self, realm: str, parcel: Relay) -> Roster:
        name = Address(parse_foreign_name(parcel.group), self._links.name_of(realm))
        try:
            roster = await self._rosters.find(name)
        except errors.NotMember:
            raise errors.UnknownGroup(name=parcel.group) from None
        if roster.group.home_id != parcel.group_id:
            raise errors.UnknownGroup(name=parcel.group)
        return roster
