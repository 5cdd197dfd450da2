"""Forwards stored messages to other realms, and reports what became of them there.

A message to a person elsewhere is stored here, with the parcel that carries it. A message to a group
elsewhere is pending here, with its parcel: the group's home numbers it, and sends it back with our signature.
A message to a group of this realm is stored here, with a parcel for each realm that has members of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import assert_never

import msgspec
from sqlalchemy import Connection
from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from chatd.base.attachments import Attachment
from chatd.base.entries import (
    NO_PARTS,
    Deletion,
    EntryRef,
    MadeChange,
    MadeFact,
    MemberFact,
    SentParts,
)
from chatd.base.errors import NotSupportedThere, RealmDown
from chatd.base.model import Account, Group, Party
from chatd.base.names import key_of
from chatd.federation import capabilities, changes, parcels
from chatd.federation.deletion_copies import copies_of_deletions
from chatd.federation.group_entries import GroupEntries, note_of, relay_of, unused
from chatd.federation.leave_notices import LeaveNotices
from chatd.federation.links import ILinks
from chatd.federation.mover import Mover, known_parts
from chatd.federation.news import mark_of, subject_of, typing_to
from chatd.federation.outbox import Outbox, Settled
from chatd.federation.returning_posts import ReturningPost, ReturningPosts
from chatd.federation.signing.drafts import (
    EntryDraft,
    EntryPlace,
    EntrySigner,
    sign_now,
    signature_of,
)
from chatd.federation.signing.entries import decode_entry
from chatd.federation.signing.proofs import Proof
from chatd.service.context import Context
from chatd.service.presence import IListener
from chatd.service.realm_news import (
    DirectRead,
    GroupHasMoved,
    GroupRead,
    MemberInvited,
    MemberJoined,
    MemberLeft,
    MemberMoved,
    MemberRemoved,
    MoveAgreed,
    MoveClaimed,
    MoveLuggage,
    MoveMade,
    MoveOffered,
    RequestAccepted,
    TypingNews,
)
from chatd.service.remote import (
    DELIVERED,
    QUEUED,
    DeliveryOutcome,
    IForwarder,
    Notice,
    OnOutcome,
    ResentParcel,
    StagedNotice,
)
from chatd.service.targets import Target
from chatd.store import change_requests, crossing
from chatd.store import held as held_store
from chatd.store import outbox as outbox_store
from chatd.store.earlier_numbers import number_entry
from chatd.store.held import HeldMessage, HeldPage
from chatd.store.losses import Lost, SharedGroup
from chatd.store.members import realms_of
from chatd.store.new_entries import RemoteCopies, Stored
from chatd.store.outbox import BlankedParcel, NewParcel
from chatd.store.outcomes import SentEntry
from chatd.store.pending import NewPost
from chatd.store.schema import messages
from chatd.store.signatures import SignatureWriter
from chatd.store.unreturned import UnreturnedPost, unreturned


@implementer(IForwarder)
class Forwarder:
    """`signer` signs the entries of groups."""

    def __init__(self, context: Context, links: ILinks, signer: EntrySigner) -> None:
        self.outbox = Outbox(context)
        self._context = context
        self._links = links
        self.entries = GroupEntries(context.config.realm, signer)
        self._signer = signer
        self.posts = ReturningPosts(context.clock)
        self._mover = Mover(context, signer, self.entries)
        self._leave_notices = LeaveNotices(context.news, self.outbox)

    def sign(self, statement: bytes) -> Proof:
        """Sign a statement with the key of this realm."""
        return self._signer.sign(statement)

    # Messages that are stored here

    def copies(
        self,
        sender: Account,
        target: Target,
        at: int,
        text: str | None,
        file: Attachment | None,
        parts: SentParts = NO_PARTS,
    ) -> RemoteCopies:
        if target.group is None:
            direct = parcels.Direct(sender.name, target.there, at, text, note_of(file))
            if parts is not NO_PARTS:
                parts = known_parts(parts, target.realms)
                direct = changes.with_parts(direct, parts)
                if parts.opaque is not None:
                    self._check_lacks(target.realms[0], capabilities.OPAQUE)
            return RemoteCopies(target.realms, parcels.encode(direct), sender.id)
        draft = self.entries.message(sender.name, target, at, text, file, parts)
        return RemoteCopies(target.realms, draft)

    def deliver(
        self,
        realm: str,
        stored: Stored,
        file: int | None,
        entry: SentEntry,
        on_outcome: OnOutcome | None = None,
    ) -> None:
        if on_outcome is None:
            self._links.post(realm, stored.number, stored.parcel, file, entry)
        else:
            self._links.dispatch(realm, stored.number, stored.parcel, file, entry, on_outcome)

    def resend(self, sent: Sequence[ResentParcel]) -> None:
        for each in sent:
            self._links.post(each.realm, each.number, each.parcel, each.file, each.entry)

    def relay(self, stored: Stored, file: int | None) -> None:
        for realm in stored.realms:
            self._links.post(realm, stored.number, stored.parcel, file)

    # Entries about groups of this realm

    def fact_copies(self, group: Group, made: MadeFact, realms: tuple[str, ...]) -> RemoteCopies:
        place = EntryPlace(self._context.realm_key, group.id)
        draft = self.entries.fact(made, place, relay_of(group.name, group.id))
        return RemoteCopies(realms, draft)

    def sign_facts(
        self, connection: Connection, home: str, group: int | str, facts: Sequence[MadeFact]
    ) -> list[bytes]:
        if not facts:
            return []
        place = EntryPlace(home, group)
        drafts = [self.entries.fact(each, place, unused) for each in facts]
        numbers = [self.outbox.writer.take(connection) for _ in facts]
        return [parcels.encode(entry) for entry in sign_now(drafts, numbers)]

    def sign_earlier(
        self, connection: Connection, group: SharedGroup, lost: Lost, after: int
    ) -> HeldPage:
        """As `held.group_page`, with messages of this realm signed that were not yet. Runs in the writer's
        thread."""
        page = held_store.group_page(connection, group, lost, after)
        earlier = [each for each in page.entries if isinstance(each, HeldMessage)]
        if not earlier:
            return page
        drafts = [self.entries.earlier(each, group.ident) for each in earlier]
        signed = sign_now(drafts, [each.number for each in earlier])
        realm, place = self._context.realm_key, group.conversation
        rows = [
            (place, each.seq, signature_of(entry, realm))
            for each, entry in zip(earlier, signed, strict=True)
        ]
        SignatureWriter().add(connection, rows)
        return held_store.group_page(connection, group, lost, after)

    # Changes of messages

    def change_copies(
        self, connection: Connection, made: MadeChange, target: Target
    ) -> RemoteCopies | None:
        if target.group is None:
            target = self._mover.target_of(connection, made, target, self._links)
        realms = target.realms if target.home is None else (target.home,)
        is_home = target.group is not None and target.home is None
        if is_home:
            realms = self.realms_now(connection, target)
        if is_home and not isinstance(made.change, Deletion):
            # A realm whose members don't see the message is not told what becomes of it.
            realms = crossing.realms_seeing(connection, target.conversation, made.seq, realms)
        if made.ref is None and is_home and realms:
            number = number_entry(connection, messages, target.conversation, made.seq)
            made = msgspec.structs.replace(made, ref=EntryRef(None, number))
        if made.ref is None or not realms:
            return None
        capability = changes.needed(made.change)
        if capability is not None and (target.group is None or target.home is not None):
            self._check_lacks(realms[0], capability)
        blanked: Sequence[BlankedParcel] = ()
        # A home may refuse to let somebody delete the message of another.
        if isinstance(made.change, Deletion) and (
            target.home is None
            or crossing.is_author(connection, target.conversation, made.seq, made.author.id)
        ):
            numbers = crossing.numbers_of(connection, target.conversation, made.seq)
            blanked = outbox_store.blank(connection, numbers, parcels.blanked)
        sender_id = made.author.id if target.group is None or target.home is not None else None
        parcel: bytes | EntryDraft
        if target.group is None:
            parcel = changes.parcel_of(made, target.there)
        else:
            parcel = self.entries.change(made, target)
        return RemoteCopies(realms, parcel, sender_id, tuple(blanked))

    def deletion_copies(
        self, connection: Connection, made: Sequence[MadeChange], target: Target
    ) -> Sequence[RemoteCopies | None]:
        realms = self.realms_now(connection, target)
        return copies_of_deletions(connection, self.entries, made, target, realms)

    def realms_now(self, connection: Connection, target: Target) -> tuple[str, ...]:
        """The realms with members of a group of this realm in this transaction. Members may have come or gone
        since the target was found."""
        epochs = self._context.writers.messages.epochs
        if target.epoch in (None, epochs.of(connection, target.conversation)):
            return target.realms
        return realms_of(connection, target.conversation)

    def _check_lacks(self, realm: str, capability: str) -> None:
        """Raises NotSupportedThere if the realm is known to lack a capability."""
        if self._links.lacks(realm, capability):
            what = capabilities.ALL[capability]
            raise NotSupportedThere(realm=self._links.name_of(realm), what=what)

    def send_change(
        self, stored: Stored, copies: RemoteCopies, target: Target
    ) -> Deferred[DeliveryOutcome]:
        for each in copies.blanked:
            self._links.blanked(each.realm, each.number, each.parcel)
        if target.home is not None:
            outcome: Deferred[DeliveryOutcome] = Deferred()
            number, parcel = stored.number, stored.parcel
            self._links.dispatch(target.home, number, parcel, None, None, outcome.callback)
            return outcome
        sent = [
            self._links.post(realm, stored.number, stored.parcel, None) for realm in copies.realms
        ]
        return succeed(QUEUED if target.group is None and not all(sent) else DELIVERED)

    # Messages to groups of other realms

    def post_parcel(
        self,
        sender: Account,
        target: Target,
        at: int,
        text: str | None,
        file: Attachment | None,
        parts: SentParts = NO_PARTS,
    ) -> NewParcel:
        assert target.home is not None  # noqa: S101 - the caller has checked it
        draft = self.entries.message(sender.name, target, at, text, file, parts)
        return NewParcel(target.home, draft, at, sender.id, None if file is None else file.id)

    def repost(self, connection: Connection, realm: str, after: int, limit: int) -> int | None:
        """Store the parcels again of the first messages with ids above `after` that the realm has
        acknowledged and that did not come back. They keep their numbers. Returns the id after which more may
        follow, or None. Runs in the writer's thread, so that no message is stored twice or has come back
        meanwhile."""
        page = unreturned(connection, realm, after, limit)
        if page.posts:
            again = [self._post_again(realm, post) for post in page.posts]
            self.outbox.writer.store(connection, again)
        return page.upto

    def request_again(
        self, connection: Connection, realm: str, after: int, limit: int
    ) -> int | None:
        """As `repost`, for changes of messages with numbers above `after`."""
        page = change_requests.lost_in(connection, realm, after, limit)
        if page.parcels:
            self.outbox.writer.store(connection, page.parcels)
        return page.upto

    def _post_again(self, realm: str, post: UnreturnedPost) -> NewParcel:
        target = Target(post.conversation, (), group=post.group, home=realm, home_id=post.home_id)
        file, at = post.file, post.at
        draft = self.entries.message(post.sender, target, at, post.text, file, post.parts)
        ident = None if file is None else file.id
        return NewParcel(realm, draft, at, post.account_id, ident, number=post.number)

    def send_post(
        self,
        post: NewPost,
        place: Stored,
        origin: IListener | None = None,
        on_outcome: OnOutcome | None = None,
    ) -> None:
        new, parcel, number = post.new, post.parcel, place.number
        draft = parcel.parcel
        assert new.sender_id is not None  # noqa: S101 - only accounts here send to other realms
        assert isinstance(draft, EntryDraft)  # noqa: S101 - as `post_parcel` has made it
        entry = SentEntry(new.sender_id, new.conversation, 0, place.id)
        # Only members get the message back. If it comes to another node, that reads it as any entry.
        if new.conversation and (on_outcome is not None or self._links.is_kept(parcel.realm)):
            returning = ReturningPost(new, number, draft, origin, on_outcome)
            self.posts.add(returning)
            if on_outcome is not None:
                on_outcome = partial(self.posts.delivered, returning)
        realm, file = parcel.realm, parcel.attachment_id
        if on_outcome is None:
            self._links.post(realm, number, draft.parcel, file, entry)
        else:
            self._links.dispatch(realm, number, draft.parcel, file, entry, on_outcome)

    def mover(self) -> Mover:
        return self._mover

    # Notices

    def stage(self, connection: Connection, notices: Sequence[Notice]) -> list[StagedNotice]:
        if not notices:
            return []
        items = [
            NewParcel(
                each.realm,
                self._parcel_of(each),
                each.at,
                each.sender_id,
                subject=subject_of(each.news),
            )
            for each in notices
        ]
        numbers = self.outbox.writer.store(connection, items)
        return list(map(StagedNotice, notices, numbers, items))

    def _parcel_of(self, notice: Notice) -> bytes | EntryDraft:
        news = notice.news
        match news:
            case MemberJoined(group, group_id, user, seq, first, about, at):
                joined = parcels.Joined(group, group_id, user, seq, first, dict(about), at=at)
                return parcels.encode(joined)
            case MemberRemoved(group, group_id, user, seq, by):
                return parcels.encode(parcels.Removed(group, group_id, user, seq, by))
            case MemberInvited(group, group_id, user, by, title):
                return parcels.encode(parcels.Invite(group, group_id, user, by, title))
            case MemberLeft(group, group_id, user):
                member = Party(key_of(user), user)
                left = MadeFact(MemberFact(member, "left"), member, notice.at)
                return self.entries.fact(
                    left,
                    EntryPlace(notice.realm, group_id),
                    lambda entry, _seq: parcels.encode(parcels.Left(user, group, entry)),
                )
            case MoveOffered(group, group_id, by, on):
                return parcels.encode(parcels.MoveOffer(group, group_id, by, on))
            case GroupHasMoved(steps):
                return parcels.encode(parcels.Moved(tuple(map(decode_entry, steps))))
            case RequestAccepted(number, user, sender):
                return parcels.encode(parcels.Accepted(number, user, sender))
            case DirectRead() | GroupRead():
                return parcels.encode(mark_of(news))
            case MoveAgreed() | MoveMade() | MoveLuggage() | MemberMoved() | MoveClaimed():
                return self._mover.parcel_of(notice, news)
            case _:
                assert_never(news)

    def send_notices(self, staged: Sequence[StagedNotice]) -> None:
        for each in staged:
            realm, news = each.notice.realm, each.notice.news
            if isinstance(news, MemberLeft):
                self._leave_notices.told(key_of(news.user), realm, each.number)
            self._links.post(realm, each.number, _encoded(each.parcel), None)

    # Typing

    def tell_typing(self, realm: str, news: TypingNews) -> None:
        self._links.type(realm, *typing_to(news))

    def until_left(self, user: str, realm: str) -> Deferred[None]:
        return Deferred.fromCoroutine(self._until_left(key_of(user), realm))

    async def _until_left(self, key: str, realm: str) -> None:
        if not await self._leave_notices.are_known(key, realm):
            raise RealmDown(realm=self._links.name_of(realm))

    def watch(self) -> AbstractContextManager[Settled]:
        return self.outbox.watch()

    def flush(self) -> None:
        self.outbox.tidy()


def _encoded(stored: NewParcel) -> bytes:
    """The bytes of a parcel that is stored."""
    parcel = stored.parcel
    return parcel if isinstance(parcel, bytes) else parcel.parcel
