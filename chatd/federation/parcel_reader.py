"""Turns parcels of other realms into messages to store here.

A realm sends messages of its own people only, so the sender's realm is that of the link and not in the
parcel. A realm that relays a message of others does so for a group of its own, and is responsible for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from chatd.base import errors
from chatd.base.entries import SentParts
from chatd.base.model import Account, Opaque
from chatd.base.names import (
    Address,
    key_of,
    parse_foreign_address,
    parse_foreign_name,
    parse_name,
    printable,
)
from chatd.base.texts import check_text
from chatd.federation.changes import entry_of
from chatd.federation.entry_reader import Arrived, EntryReader
from chatd.federation.fact_reader import RelayedFact
from chatd.federation.group_changes import EntryChange
from chatd.federation.links import ILinks
from chatd.federation.name_guesses import NameGuesses
from chatd.federation.parcels import Direct, GroupMark, Left, Parcel, Post, Relay
from chatd.federation.realm_quotas import RealmQuotas
from chatd.service.chat_service import ChatService
from chatd.service.message_parts import extras_of
from chatd.service.node_caches import NodeCache
from chatd.service.readdressing import moved_error
from chatd.service.targets import Target
from chatd.store.new_entries import Extras, NewMessage
from chatd.store.requests import NewRequest, strangers

CACHED_PAIRS = 100_000
OF_GROUPS = (Post, Relay, GroupMark, Left)  # parcels that name no person of this realm

Pair = tuple[str, str]  # sender there, recipient here


class OpenedDirects(msgspec.Struct, frozen=True):
    """What is known of the pairs of a batch: their conversations, as in `ParcelReader._pairs`, which may be
    cleared before the batch is read; and of those that have none, why their messages are refused, and the
    key of the recipient and the sender's address if a message is a request."""

    pairs: Mapping[Pair, tuple[Target, str]] = {}
    refused: Mapping[Pair, errors.ChatError] = {}
    strange: Mapping[Pair, tuple[str, Address]] = {}


class ParcelReader:
    """Its methods raise the errors with which a message is refused: BadName, BadText, EmptyText,
    MessageTooLong, UnknownUser, NotAccepted, UnknownGroup, NotMember, Banned, TooManyUnknown,
    BadSignature."""

    def __init__(
        self,
        service: ChatService,
        links: ILinks,
        guesses: NameGuesses,
        quotas: RealmQuotas,
        entries: EntryReader,
    ) -> None:
        self._context = service.context
        self._database = service.database
        self._directs = service.directs
        self._messages = service.messages
        self._entries = entries
        self._links = links
        self._guesses = guesses
        self._quotas = quotas
        # (realm, sender there, recipient here) -> their conversation, and the sender's address
        self._pairs: NodeCache[tuple[str, str, str], tuple[Target, str]] = NodeCache(
            CACHED_PAIRS, self._context.news, "pairs of people", tuple[str, str, str]
        )
        self._moved = service.follower.moved
        service.follower.on_followed(self._pairs.clear)
        service.blocks.on_block(self._blocked)
        service.blocks.on_elsewhere(self._pairs.clear)
        service.accounts.on_deleted(self._forget)

    def _blocked(self, _blocker: Account, blocked: Account | None) -> None:
        """Look all pairs up again after a person of another realm, or a whole realm, was blocked."""
        if blocked is None:
            self._pairs.clear()

    def _forget(self, account: Account) -> None:
        """Drop the pairs of a deleted account."""
        self._pairs.drop(lambda _, found: account.id in found[0].audience)

    def conceals(self, realm: str, parcels: Iterable[Parcel | None]) -> bool:
        """Whether a verdict on any of these parcels must not depend on who has an account here. A realm that
        was not added may know that of people who write with its people."""
        if self._guesses.is_free(realm):
            return False
        return any(
            not isinstance(each, OF_GROUPS)
            and not (type(each) is Direct and (realm, each.sender, each.to) in self._pairs)
            for each in parcels
        )

    async def open_directs(self, realm: str, direct: Sequence[Direct]) -> OpenedDirects:
        """Load the conversations of these parcels into memory, for `direct`, and create missing ones.

        Recipients that do not exist are left out. A refused message creates no conversation, because that
        would count as an acquaintance of the two. Returns what `direct` cannot find in the parcel itself.
        """
        pairs = self._pairs
        missing = [each for each in direct if (realm, each.sender, each.to) not in pairs]
        if not missing:
            return OpenedDirects(self._known(realm, direct))
        wanted, refused = self._wanted(realm, missing)
        strange = await self._strangers(realm, wanted)
        for pair in strange:
            del wanted[pair]
        opened = await self._directs.open_from(list(wanted.values()))
        known = self._known(realm, direct)
        for pair, (key, sender) in wanted.items():
            if (key, sender) not in opened:
                continue  # there is no such account
            account, target = opened[key, sender]
            if target is None:
                refused[pair] = errors.NotAccepted(name=printable(pair[1]))
                continue
            mine = Target(target.conversation, frozenset((account.id,)), to=account.name)
            known[pair] = mine, str(sender)
            if self._directs.cached(account, sender) is target:
                # Nothing has changed since it was read.
                pairs[realm, *pair] = known[pair]
        return OpenedDirects(known, refused, strange)

    def _wanted(
        self, realm: str, missing: Sequence[Direct]
    ) -> tuple[dict[Pair, tuple[str, Address]], dict[Pair, errors.ChatError]]:
        """The recipients' keys and the senders of these parcels, and the refusals of the others. Malformed
        parcels are left out: `direct` raises what is wrong with them."""
        name = self._links.name_of(realm)
        wanted: dict[Pair, tuple[str, Address]] = {}
        refused: dict[Pair, errors.ChatError] = {}
        for each in missing:
            try:
                self._check(each)
                sender = Address(parse_foreign_name(each.sender), name)
                key = key_of(parse_name(each.to))
                self._quotas.check(realm, each)
                wanted[each.sender, each.to] = key, sender
            except errors.BadRequest:
                continue
            except errors.RealmQuota as error:
                refused[each.sender, each.to] = error
        return wanted, refused

    def _known(self, realm: str, direct: Sequence[Direct]) -> dict[Pair, tuple[Target, str]]:
        found = ((each.sender, each.to) for each in direct)
        return {
            pair: known for pair in found if (known := self._pairs.get((realm, *pair))) is not None
        }

    async def _strangers(
        self, realm: str, wanted: Mapping[Pair, tuple[str, Address]]
    ) -> dict[Pair, tuple[str, Address]]:
        """Those of these pairs whose recipients do not know the senders. A realm that was added has none."""
        if self._guesses.is_free(realm) or not wanted:
            return {}
        found = await self._database.read(strangers, list(wanted.values()))
        return {pair: who for pair, who in wanted.items() if who in found}

    def direct(
        self, realm: str, number: int, parcel: Direct, opened: OpenedDirects
    ) -> Arrived | NewRequest | None:
        """The message to one person, whose conversation `open_directs` has loaded, or a message request. None
        for the message of a stranger that was deleted before it was sent."""
        self._check(parcel)
        pair = parcel.sender, parcel.to
        found = opened.pairs.get(pair)
        if found is None:
            parse_foreign_name(parcel.sender)
            if pair in opened.refused:
                raise opened.refused[pair]
            if pair in opened.strange:
                return self._request(realm, number, parcel, *opened.strange[pair])
            raise errors.UnknownUser(name=printable(parcel.to))
        target, sender = found
        self._check_moved(realm, target)
        at = self._at(parcel.at)
        reply = None if parcel.reply is None else entry_of(parcel.reply, realm)
        return Arrived(
            NewMessage(
                target.conversation,
                None,
                sender,
                at,
                parcel.text,
                origin=(realm, number),
                extras=self._extras(realm, parcel, at),
                reply_to=reply,
                seal=parcel.seal,
            ),
            target,
        )

    def _check_moved(self, realm: str, target: Target) -> None:
        """A message for an account that has moved is sent to the new address by its own realm, or forwarded
        if that does not follow. Raises AccountMoved."""
        for account_id in target.audience:
            move = self._moved.away(account_id)
            if move is None:
                continue
            if self._links.follows_moves(realm):
                raise moved_error(move.old.name, move.new.name, move.proof)

    def _request(
        self, realm: str, number: int, parcel: Direct, name: str, sender: Address
    ) -> NewRequest | None:
        """Only texts can be requests. Raises NotAccepted, BadName."""
        if parcel.is_blank:
            return None
        if parcel.text is None:
            raise errors.NotAccepted(name=printable(parcel.to))
        at = self._at(parcel.at)
        new = NewMessage(
            0,
            None,
            str(sender),
            at,
            parcel.text,
            origin=(realm, number),
            extras=self._extras(realm, parcel, at),
            seal=parcel.seal,
        )
        return NewRequest(name, sender, realm, number, new)

    def _extras(self, realm: str, parcel: Direct, at: int) -> Extras | None:
        """What few messages have. Raises BadName."""
        if parcel.text is not None and not (parcel.reply or parcel.forwarded or parcel.mentions):
            return None
        if parcel.is_blank:
            return Extras(deleted_at=at)
        media = parcel.media
        parts = SentParts(
            forwarded=None if parcel.forwarded is None else self.address(realm, parcel.forwarded),
            mentions=tuple(self.address(realm, each) for each in parcel.mentions),
            opaque=None if media is None else Opaque(printable(media), parcel.body or b""),
        )
        return extras_of(parts)

    def address(self, realm: str, text: str) -> str:
        """An address in a parcel of the realm, as it is written here. Raises BadName."""
        address = parse_foreign_address(text)
        if address.realm is None:
            return f"{address.name}@{self._links.name_of(realm)}"
        return str(self._context.localize(address))

    def unchanged(self, realm: str, parcel: Relay) -> Arrived | None:
        """The message of this realm that comes back as it was sent, or None."""
        return self._entries.unchanged(realm, parcel)

    async def read(
        self, realm: str, parcel: Post | Relay
    ) -> Arrived | EntryChange | RelayedFact | None:
        """The entry of a group, or None if it is not for anyone here."""
        return await self._entries.read(realm, parcel)

    def _check(self, parcel: Direct) -> None:
        """Raises BadText, EmptyText, MessageTooLong."""
        if parcel.text is not None:
            check_text(parcel.text)
            self._messages.check_text(parcel.text)

    def _at(self, at: int) -> int:
        """The sending time of a parcel (ms since 1970 UTC), limited to the time between 1970 and now."""
        return max(0, min(at, self._context.now()))
