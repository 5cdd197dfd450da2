"""Takes what another realm sends again after a restore (chatd.federation.restores).

What is of the other realm is received as ever, and recognised by its number if it is here. What is of this
realm counts only with its own seal, or with the signature of the author's realm.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection
from twisted.logger import Logger

from chatd.base.entries import Edit, EntryRef, MessageChange, SentParts
from chatd.base.errors import (
    BadSignature,
    ChatError,
    RealmQuota,
    StorageFailed,
    TooMuchArriving,
    UnknownMessage,
)
from chatd.base.model import Account, Group, Opaque, party_of
from chatd.base.names import Address, key_of, parse_foreign_address, parse_foreign_name
from chatd.base.texts import check_text
from chatd.federation import parcels
from chatd.federation.changes import change_in
from chatd.federation.entry_reader import Arrived, EntryReader
from chatd.federation.entry_trust import check_place
from chatd.federation.group_changes import GroupChanges
from chatd.federation.links import ILinks
from chatd.federation.move_receiver import MoveReceiver
from chatd.federation.parcel_writer import UNNAMED, ParcelWriter
from chatd.federation.parcels import (
    Accepted,
    AccountMove,
    Direct,
    DirectChange,
    DirectDeletion,
    DirectEdit,
    DirectPin,
    DirectReaction,
    Joined,
    Luggage,
    Parcel,
    Post,
    Ref,
)
from chatd.federation.realm_quotas import RealmQuotas
from chatd.federation.receive import Receiver
from chatd.federation.refusals import refusal
from chatd.federation.restores import LATER, Returned
from chatd.federation.seals import SealedParcel, Seals
from chatd.federation.signing.statements import MemberAttributes
from chatd.federation.standing import Standings
from chatd.service.chat_service import ChatService
from chatd.service.lost_facts import LostFacts
from chatd.service.message_parts import extras_of
from chatd.service.quotas import LEAST
from chatd.service.realm_news import MemberJoined
from chatd.service.targets import Target
from chatd.store import crossing
from chatd.store.files import Owner
from chatd.store.groups import find_mirror
from chatd.store.message_changes import ChangeResult, WantedChange
from chatd.store.new_entries import Extras, NewMessage, Stored
from chatd.store.parcel_stream import ParcelStream
from chatd.store.requests import is_declined

log = Logger()


class ReturnedEntries:
    """Entries of groups of this realm that it has lost, and mirrors have."""

    def __init__(
        self,
        entries: EntryReader,
        writer: ParcelWriter,
        changes: GroupChanges,
        quotas: RealmQuotas,
        standings: Standings,
        service: ChatService,
    ) -> None:
        self._own = service.context.realm_key
        self._database = service.database
        self._mirrors = service.mirrors
        self._lost_facts = LostFacts(service.context, service.rosters)
        self._standings = standings
        self._entries = entries
        self._writer = writer
        self._changes = changes
        self._quotas = quotas

    async def take_back(self, realm: str, post: Post, stream: ParcelStream) -> None:
        """Store an entry that `realm` returns. Raises what EntryReader.returned does, and RealmQuota."""
        opened = await self._entries.check_returned(realm, post)
        if opened.statement.realm == self._own:
            await self._standings.given(opened.statement.number)
        entry = await self._entries.returned(realm, post, opened)
        if entry is None:
            return
        if isinstance(entry, tuple):
            self._quotas.charge_bytes(realm, LEAST)
            own = opened.statement.realm == self._own
            take = self._lost_facts.take if own else self._lost_facts.hand_over
            await take(realm, *entry)
            return
        said = entry.new if isinstance(entry, Arrived) else entry.wanted
        author = entry.new.sender if isinstance(entry, Arrived) else entry.wanted.author.name
        await self._lost_facts.wrote(realm, said.conversation, key_of(author))
        if isinstance(entry, Arrived) and post.file is not None:
            await self._writer.store_with_file(realm, entry, post, stream)
            return
        if isinstance(entry, Arrived):
            self._quotas.charge(realm, (entry.new,))
            await self._writer.store(realm, [entry], stream)
        else:
            await self._changes.make(realm, entry, stream)

    async def finish(self, realm: str) -> None:
        """`realm` has returned everything."""
        await self._lost_facts.finish(realm)

    async def join_again(self, realm: str, number: int, joined: Joined) -> None:
        """Make a person of this realm a member of a group of `realm` again, which reports it with that
        number. They have signed that they join, and this realm has lost that entry. Raises BadSignature,
        UnknownUser, TooManyGroups."""
        group, group_id = joined.group, joined.group_id
        if joined.entry is None:
            raise BadSignature(reason="it is not signed")
        opened = await self._entries.check_returned(realm, Post(joined.entry, group))
        stated, attributes = opened.statement, opened.attributes
        copy = await self._database.read(find_mirror, realm, group_id)
        place = copy or Group(0, group, key_of(group), "", False)
        check_place(stated, realm, group_id, place)
        said = isinstance(attributes, MemberAttributes) and attributes.what == "joined"
        if not said or stated.realm != self._own:
            raise BadSignature(reason="no member of this realm says so")
        if not await self._standings.may_have_lost(realm, stated.number):
            return  # it is known here, and perhaps they have left since
        await self._standings.given(stated.number)
        seen, proof = (joined.seq, joined.first), (joined.at, joined.seal)
        report = MemberJoined(group, group_id, stated.author, *seen, joined.about, *proof)
        await self._mirrors.joined_before(realm, number, report, stated.number)


class ReturnReceiver:
    """Entries that can't be taken are skipped, because they get no verdict."""

    def __init__(
        self,
        service: ChatService,
        links: ILinks,
        receiver: Receiver,
        groups: ReturnedEntries,
        seals: Seals,
        writer: ParcelWriter,
        standings: Standings,
    ) -> None:
        self._context = service.context
        self._database = service.database
        self._writers = service.context.writers
        self._accounts = service.accounts
        self._directs = service.directs
        self._changes = service.changes
        self._fan_out = service.messages.fan_out
        self._links = links
        self._receiver = receiver
        self._groups = groups
        self._seals = seals
        self._writer = writer
        self._standings = standings

    def attach(self, moves: MoveReceiver) -> None:
        """Let `moves` take the moves that are returned."""
        self._moves = moves

    async def take(self, realm: str, items: Sequence[Returned], stream: ParcelStream) -> None:
        """Store what `realm` sends again, in order. Raises RealmQuota or TooMuchArriving if that is too
        much for now, and StorageFailed; then the realm may send it once more."""
        theirs: list[tuple[int, Parcel | None]] = []
        for item in items:
            parcel = parcels.try_decode(item.parcel)
            if not item.theirs:
                if item.number:
                    theirs.append((item.number, parcel))
                continue
            await self._receive(realm, theirs, stream)
            theirs = []
            try:
                await self._take_back(realm, item, parcel, stream)
            except (RealmQuota, TooMuchArriving, StorageFailed):
                raise
            except ChatError as error:
                log.debug("{realm} returns what is not taken: {error}", realm=realm, error=error)
        await self._receive(realm, theirs, stream)

    async def finish(self, realm: str) -> None:
        """`realm` has returned everything."""
        await self._groups.finish(realm)

    async def _receive(
        self, realm: str, batch: Sequence[tuple[int, Parcel | None]], stream: ParcelStream
    ) -> None:
        """Store what the realm had sent before."""
        if not batch:
            return
        for verdict in await self._receiver.receive(realm, batch, stream):
            if verdict.code in LATER:
                raise refusal(verdict, realm)

    async def _take_back(
        self, realm: str, item: Returned, parcel: Parcel | None, stream: ParcelStream
    ) -> None:
        match parcel:
            case Post():
                await self._groups.take_back(realm, parcel, stream)
            case Joined():
                await self._groups.join_again(realm, item.number, parcel)
            case Accepted():
                await self._acceptance(realm, item, parcel)
            case AccountMove() | Luggage():
                await self._moves.receive(realm, parcel)
            case Direct():
                await self._message(realm, item, parcel, stream)
            case DirectEdit() | DirectDeletion() | DirectReaction() | DirectPin():
                await self._change(realm, item, parcel)
            case _:
                return

    # What people of this realm have written in directs, and whom they have accepted

    async def _acceptance(self, realm: str, item: Returned, parcel: Accepted) -> None:
        """Somebody here has accepted a message request, and this realm has lost that. A request that they
        have declined stays declined. Raises BadSignature, UnknownUser, BadName."""
        if not self._seals.is_acceptance(item.number, parcel, realm):
            raise BadSignature(reason="its seal is not of this realm")
        if not await self._standings.may_have_lost(realm, item.number):
            return  # it is known here
        await self._standings.given(item.number)
        account = await self._accounts.find(parcel.sender)
        sender = Address(parse_foreign_name(parcel.to), self._links.name_of(realm))
        if not await self._database.read(is_declined, account, sender):
            await self._directs.open(account, [sender])  # that accepts it

    async def _side(self, realm: str, parcel: Direct | DirectChange) -> tuple[Account, Target]:
        """The author, and their conversation. Raises UnknownUser, BadName."""
        account = await self._accounts.find(parcel.sender)
        there = Address(parse_foreign_name(parcel.to), self._links.name_of(realm))
        [target], _ = await self._directs.open(account, [there])
        return account, target

    async def _check_seal(self, realm: str, item: Returned, parcel: Direct | DirectChange) -> None:
        """Check that people of this realm have sent that to `realm`. Raises BadSignature."""
        number, said = _said(item, parcel)
        if not self._seals.is_own(number, said, parcel.seal):
            raise BadSignature(reason="its seal is not of this realm")
        self._standings.acknowledged(realm, (item.number,))
        await self._standings.given(number)

    def _proved(self, item: Returned, parcel: Direct) -> Direct:
        """The message without a reply and mentions that its seals do not prove. A file whose name they do not
        prove gets another name."""
        first = item.first if item.by else parcel.seal
        if not self._seals.proves_reply(item.number, parcel, first):
            parcel = msgspec.structs.replace(parcel, reply=None)
        number, said = _said(item, parcel)
        if not self._seals.proves_shown(number, said, parcel.seal):
            file = parcel.file
            renamed = file and msgspec.structs.replace(file, name=UNNAMED)
            parcel = msgspec.structs.replace(parcel, mentions=(), file=renamed)
        return parcel

    async def _message(
        self, realm: str, item: Returned, parcel: Direct, stream: ParcelStream
    ) -> None:
        """Raises BadSignature, UnknownUser, BadText, BadName."""
        await self._check_seal(realm, item, parcel)
        parcel = self._proved(item, parcel)
        if parcel.text is not None:
            check_text(parcel.text)
        account, target = await self._side(realm, parcel)
        new = NewMessage(
            target.conversation,
            account.id,
            account.name,
            min(parcel.at, self._context.now()),
            parcel.text,
            origin=(None, item.number),
            extras=self._extras(parcel),
            reply_to=None if parcel.reply is None else _own_ref(parcel.reply, realm),
        )
        if parcel.file is not None:
            # The other realm has the file, and gives it back.
            await self._writer.store_with_file(
                realm, Arrived(new, target), parcel, stream, Owner(account.id)
            )
            return
        [place] = await self._database.run(self._writers.messages.receive, [new], stream.next())
        if isinstance(place, Stored) and not parcel.is_blank:
            self._fan_out.tell(place, new, target, None, None)

    def _extras(self, parcel: Direct) -> Extras | None:
        """Raises BadName."""
        if parcel.is_blank:
            return Extras(deleted_at=min(parcel.at, self._context.now()))
        media = parcel.media
        parts = SentParts(
            forwarded=None if parcel.forwarded is None else self._address(parcel.forwarded),
            mentions=tuple(map(self._address, parcel.mentions)),
            opaque=None if media is None else Opaque(media, parcel.body or b""),
        )
        return extras_of(parts)

    def _address(self, text: str) -> str:
        return str(self._context.localize(parse_foreign_address(text)))

    async def _change(self, realm: str, item: Returned, parcel: DirectChange) -> None:
        """Raises BadSignature, UnknownUser, BadName."""
        change = change_in(parcel)
        if change is None:
            return
        await self._check_seal(realm, item, parcel)
        if isinstance(change, Edit):
            is_proved = self._seals.proves_shown(item.number, parcel, parcel.seal)
            mentions = map(self._address, change.mentions) if is_proved else ()
            change = Edit(change.text, tuple(mentions))
        account, target = await self._side(realm, parcel)
        about, at = _own_ref(parcel.target, realm), min(parcel.at, self._context.now())
        made = await self._database.run(
            self._make, target.conversation, account, about, change, at, item.number
        )
        if made is not None:
            self._changes.publish(made, target, None)

    def _make(
        self,
        connection: Connection,
        conversation: int,
        account: Account,
        about: EntryRef,
        change: MessageChange,
        at: int,
        number: int,
    ) -> ChangeResult | None:
        """Runs in the writer's thread. Returns None if it was made already. Raises as ChangeWriter.make."""
        origin = None, number
        if crossing.is_made(connection, conversation, origin):
            return None
        seq = crossing.seq_of(connection, conversation, about)
        if seq is None:
            raise UnknownMessage(seq=0)
        author = party_of(account)
        wanted = WantedChange(conversation, seq, change, author, at, origin=origin, late=True)
        return self._writers.changes.make(connection, wanted, lambda *_: None)


def _said(item: Returned, parcel: SealedParcel) -> tuple[int, SealedParcel]:
    """The parcel that has the seal of a returned one, and its number. Raises BadSignature."""
    if item.by and isinstance(parcel, Direct):
        return item.by, _content_change(item.number, parcel)
    return item.number, parcel


def _content_change(number: int, parcel: Direct) -> DirectChange:
    """The change that has given a message its content, or has deleted it. Raises BadSignature if no change
    gives such content."""
    about = (parcel.sender, parcel.to, parcel.at, Ref(True, number))
    if parcel.is_blank:
        return DirectDeletion(*about)
    if parcel.text is None:
        raise BadSignature(reason="an edit gives no file, and no body")
    return DirectEdit(*about, parcel.text, parcel.mentions)


def _own_ref(ref: Ref, realm: str) -> EntryRef:
    """The entry that a parcel of this realm to `realm` names."""
    return EntryRef(None if ref.own else realm, ref.number)
