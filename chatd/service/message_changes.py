"""Changes of messages: edits, deletions, reactions and pins, by people of this realm and of others."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager, nullcontext

import msgspec
from sqlalchemy import Connection
from twisted.logger import Logger

from chatd.base.entries import Deletion, Edit, MadeChange, MessageChange
from chatd.base.errors import GroupMoved, NotMember, UnknownConversation, UnknownMessage
from chatd.base.isolation import guarded
from chatd.base.model import Account, Message, party_of
from chatd.base.names import Place, key_of
from chatd.service.blocks import Blocks
from chatd.service.context import Context
from chatd.service.erased_files import ErasedFiles
from chatd.service.group_log import HOME
from chatd.service.mentions import Mentions
from chatd.service.moderation_audit import BegunAct, ModerationAudit
from chatd.service.mutes import CheckMute
from chatd.service.presence import IListener, LogPlace, Presence
from chatd.service.quotas import MessageQuotas, cost_of_change
from chatd.service.remote import IForwarder
from chatd.service.request_answers import AcceptedRequest
from chatd.service.target_finder import TargetFinder
from chatd.service.targets import Target
from chatd.store import pinned as pinned_store
from chatd.store.deletion_pages import DeletedPage, delete_messages
from chatd.store.lineage import check_home_now
from chatd.store.message_changes import ChangeResult, WantedChange
from chatd.store.new_entries import RemoteCopies

log = Logger()


class ChangeReceipt(msgspec.Struct, frozen=True):
    """A change of the message `target`. `seq` is that of its entry: 0 if nothing had to be changed, or if the
    group's home numbers it. `queued`: it waits for another realm, the group's home or that of the other
    person. `mentions` are the addresses that an edited text mentions."""

    conversation: int
    target: int
    seq: int = 0
    queued: bool = False
    mentions: tuple[str, ...] = ()


class MessageChanges:
    """Makes changes of messages, and passes them on to listeners and to other realms."""

    def __init__(
        self,
        context: Context,
        finder: TargetFinder,
        blocks: Blocks,
        presence: Presence,
        quotas: MessageQuotas,
        forwarder: IForwarder,
        erased: ErasedFiles,
    ) -> None:
        self._context = context
        self._database = context.database
        self._writer = context.writers.changes
        self._finder = finder
        self._rosters = finder.rosters
        self._blocks = blocks
        self._presence = presence
        self._quotas = quotas
        self._forwarder = forwarder
        self._erased = erased
        self._audit = ModerationAudit(context.database)
        self._mentions = Mentions(context, finder.accounts, finder.rosters)
        self._check_mute: CheckMute = lambda _key, _group, _name: None

    def on_change(self, check: CheckMute) -> None:
        """Call `check` for each change in a group, except deletions. It raises Muted."""
        self._check_mute = check

    async def change(
        self,
        account: Account,
        where: Place | int,
        seq: int,
        change: MessageChange,
        origin: IListener | None,
    ) -> ChangeReceipt:
        """Change the message `seq` of a conversation. `origin` is the connection that asks for it. Moderators
        delete reported messages of other conversations by the id.

        Raises as Reading.find, UnknownMessage, NotAccepted, Muted, RequestPending, NotYours, NotEditable,
        NotMember, NotAdmin, GroupShut, TooManyReactions, TooManyPins, MessageQuota, DiskFull, and the error
        with which a group's home refuses.
        """
        try:
            return await self._change(account, where, seq, change, origin)
        except GroupMoved:  # a moment ago
            return await self._change(account, where, seq, change, origin)

    async def _change(
        self,
        account: Account,
        where: Place | int,
        seq: int,
        change: MessageChange,
        origin: IListener | None,
    ) -> ChangeReceipt:
        target = await self._find(account, where, seq, change)
        if target.group is None and not isinstance(change, Deletion):
            self._blocks.check(account, target.audience, target.name)
        elif target.group is not None and not isinstance(change, Deletion):
            target.check_open()
            self._check_mute(account.key, target.conversation, target.group)
        if isinstance(change, Edit):
            mentions = await self._mentions.resolve(account, target, change.text)
            change = msgspec.structs.replace(change, mentions=mentions)
        now = self._context.now()
        wanted = WantedChange(
            target.conversation,
            seq,
            change,
            party_of(account),
            now,
            moderator=account.moderator,
            elsewhere=target.home is not None,
        )
        with self._charged(wanted, account, target):
            result, asked = await self._make(wanted, target)
        self.publish(result, target, origin)
        receipt = await self._audit.follow(asked, self.forward(result, target, seq))
        if isinstance(change, Edit):
            return msgspec.structs.replace(receipt, mentions=change.mentions)
        return receipt

    async def _find(
        self, account: Account, where: Place | int, seq: int, change: MessageChange
    ) -> Target:
        """The conversation of a message that the account sees, or that a moderator deletes because it is
        reported. Raises as Reading.find, UnknownMessage."""
        try:
            target = await self._finder.find(account, where)
        except (UnknownConversation, NotMember):
            target = None
            if account.moderator and isinstance(where, int) and isinstance(change, Deletion):
                target = await self._finder.find_reported(where, seq)
            if target is None:
                raise
        if target is None:
            raise UnknownMessage(seq=seq)
        return target

    async def erase(self, account: Account, conversation: int, seq: int) -> None:
        """Delete a message of an account that was deleted, also in a group that it has left. Raises
        UnknownConversation, NotMember, and the error with which a group's home refuses."""
        target = await self._finder.find_left(account, conversation)
        wanted = WantedChange(
            conversation,
            seq,
            Deletion(),
            party_of(account),
            self._context.now(),
            elsewhere=target.home is not None,
            erases=True,
        )
        result, _ = await self._make(wanted, target)
        self.publish(result, target, None)
        await self.forward(result, target, seq)

    def _charged(
        self, wanted: WantedChange, account: Account, target: Target
    ) -> AbstractContextManager[object]:
        """A context in which a change is charged to the account, once for each realm that gets it. A deletion
        is free, because it makes room, and a message is deleted only once; requests to another realm are
        not."""
        change = wanted.change
        if isinstance(change, Deletion) and not wanted.elsewhere:
            return nullcontext()
        copies = 1 if wanted.elsewhere else 1 + len(target.realms)
        return self._quotas.charged(account.id, cost_of_change(change) * copies, wanted.at)

    async def _make(
        self, wanted: WantedChange, target: Target
    ) -> tuple[ChangeResult, BegunAct | None]:
        """Store a change. In a conversation with a person of another realm, it accepts their request. If a
        moderator deletes a message of somebody else, the audit log has that: see ModerationAudit. Raises as
        ChangeWriter.make."""
        answers = self._finder.directs.answers
        is_answer = (
            target.group is None and target.realms and not isinstance(wanted.change, Deletion)
        )

        def job(
            connection: Connection,
        ) -> tuple[ChangeResult, BegunAct | None, AcceptedRequest | None]:
            accepted = None
            if is_answer:
                accepted = answers.accept(connection, wanted.author, key_of(target.name))
            result = self.make_now(connection, wanted, target)
            asked = self._audit.note(connection, wanted, target, result)
            return result, asked, accepted

        result, asked, accepted = await self._database.run(job)
        if accepted is not None:
            answers.accepted(accepted)
        return result, asked

    def make_now(
        self, connection: Connection, wanted: WantedChange, target: Target
    ) -> ChangeResult:
        """Store a change in the transaction of `connection`. Runs in the writer's thread. Raises GroupMoved,
        and as ChangeWriter.make."""

        def copies_of(connection: Connection, made: MadeChange) -> RemoteCopies | None:
            return self._forwarder.change_copies(connection, made, target)

        if target.group is not None and target.conversation:
            check_home_now(connection, target.conversation, target.home)
        return self._writer.make(connection, wanted, copies_of)

    def delete_now(
        self, connection: Connection, seqs: Sequence[int], target: Target, at: int
    ) -> DeletedPage:
        """Delete messages of a group of this realm, as the realm itself and in the transaction of
        `connection`: see `delete_messages`. Runs in the writer's thread. Raises GroupMoved."""

        def copies_of(
            connection: Connection, made: Sequence[MadeChange]
        ) -> Sequence[RemoteCopies | None]:
            return self._forwarder.deletion_copies(connection, made, target)

        check_home_now(connection, target.conversation, None)
        place, writer = (target.conversation, HOME), self._context.writers.messages
        return delete_messages(connection, writer, place, seqs, at, copies_of)

    def deleted(self, page: DeletedPage, target: Target) -> None:
        """Send deletions that are on disk to other realms, and remove the files that they have erased. Nobody
        of this realm is told."""
        self._erased.remove(page.erased)
        for stored, copies in zip(page.stored, page.copies, strict=True):
            if copies is not None:
                send = self._forwarder.send_change
                guarded("a deletion was not sent", send, stored, copies, target)

    def publish(self, result: ChangeResult, target: Target, origin: IListener | None) -> None:
        """Tell the listeners of a change that is on disk, and remove the files that it has erased."""
        self._erased.remove(result.erased)
        if result.event is None:
            return
        event, audience = result.event, target.audience
        if target.group is None or result.stored is None:
            self._presence.tell_followers(audience, event, origin)
            return

        def tell(audience: Collection[int], place: LogPlace | None) -> None:
            self._presence.tell_followers(audience, event, origin, place)

        group = target.conversation
        self._rosters.tell_viewers(group, result.stored, event.target, audience, tell)

    async def forward(self, result: ChangeResult, target: Target, seq: int) -> ChangeReceipt:
        """Send a change to other realms. Raises the error with which a group's home refuses it."""
        stored, copies = result.stored, result.copies
        receipt = ChangeReceipt(target.conversation, seq, 0 if stored is None else stored.seq)
        if stored is None or copies is None:
            return receipt
        outcome = await self._forwarder.send_change(stored, copies, target)
        if outcome.error is not None:
            raise outcome.error
        return msgspec.structs.replace(receipt, queued=outcome.queued)

    # Pins

    async def pins(self, account: Account, where: Place | int) -> Sequence[Message]:
        """The pinned messages of a conversation, the last pinned first. Raises as Reading.find."""
        target = await self._finder.find(account, where)
        if target is None:
            return ()
        return await self._database.read(pinned_store.pinned, account, target.conversation)
