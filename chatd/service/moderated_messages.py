"""Messages that operators and moderators read and delete, in conversations in which they take no part.

A message of a group of this realm, or between two of its accounts, is deleted for everybody by the realm,
with the author `system`. What somebody of this realm has written elsewhere is deleted as they could delete
it: the other realm does so, too. What people of other realms have written in directs, or in groups of other
realms, is removed from this realm alone.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec
from sqlalchemy import Connection
from twisted.logger import Logger

from chatd.base.entries import Deletion
from chatd.base.errors import ChatError, GroupMoved, NotMember, UnknownConversation, UnknownRealm
from chatd.base.events import Deleted
from chatd.base.model import Message, party_of
from chatd.base.names import SYSTEM, Address, parse_address
from chatd.service.audit import Act
from chatd.service.context import Context
from chatd.service.group_log import HOME
from chatd.service.message_changes import MessageChanges
from chatd.service.remote import IRealms
from chatd.service.target_finder import TargetFinder
from chatd.service.targets import Target, group_target
from chatd.store import moderated_messages as store
from chatd.store.change_requests import has_requests
from chatd.store.lineage import check_home_now
from chatd.store.message_changes import NOTHING, ChangeResult, WantedChange
from chatd.store.moderated_messages import FoundMessage
from chatd.store.removed_messages import (
    is_message_removed,
    note_removed_message,
    remove_message,
)
from chatd.store.reports import close_reports_of

# What another realm that has the message does: it has deleted it, is told to, is told once it is linked, has
# refused to, or keeps it.
Elsewhere: TypeAlias = Literal["deleted", "told", "waits", "refused", "kept"]

log = Logger()


class DeletedMessage(msgspec.Struct, frozen=True):
    """A message that a moderator has deleted, unless it was deleted `before`. `realm` is another realm that
    has it, `elsewhere` what becomes of it there, and `refusal` why the realm refuses. `reports` is how many
    reports of it are closed."""

    message: FoundMessage
    before: bool = False
    realm: str | None = None
    elsewhere: Elsewhere | None = None
    refusal: ChatError | None = None
    reports: int = 0


class _Plan(msgspec.Struct, frozen=True):
    """How a message is deleted: by a change of it in `target`, or, without `wanted`, only from this realm."""

    target: Target
    wanted: WantedChange | None


class _Done(msgspec.Struct, frozen=True):
    """`waits`: it was deleted before, and its author's request waits for the home of the group."""

    result: ChangeResult
    reports: int
    waits: bool = False


class ModeratedMessages:
    def __init__(
        self, context: Context, changes: MessageChanges, finder: TargetFinder, realms: IRealms
    ) -> None:
        self._context = context
        self._database = context.database
        self._changes = changes
        self._finder = finder
        self._realms = realms

    async def read(
        self, act: Act, where: Address | int, seq: int
    ) -> tuple[FoundMessage, Message, tuple[str, ...]]:
        """A message with its content, and the names of the accounts whose direct it is in. Raises
        NoConversation, UnknownGroup, UnknownMessage, ImportedMessage, NotOperator."""

        def job(connection: Connection) -> tuple[FoundMessage, Message, tuple[str, ...]]:
            found = store.find_known_message(connection, act.actor, self._here(where), seq)
            store.check_may_read(connection, act.actor, found)
            names = store.names_of(connection, found.conversation) if found.group is None else ()
            return found, store.shown_message(connection, found), names

        return await act.run(job)

    async def delete(self, act: Act, where: Address | int, seq: int) -> DeletedMessage:
        """Delete a message, and close the reports of it. Raises NoConversation, UnknownGroup, UnknownMessage,
        ImportedMessage, NotOperator."""
        try:
            return await self._delete(act, where, seq)
        except GroupMoved:  # a moment ago
            return await self._delete(act, where, seq)

    async def _delete(self, act: Act, where: Address | int, seq: int) -> DeletedMessage:
        find, here = store.find_known_message, self._here(where)
        found = await self._database.read(find, act.actor, here, seq)
        plan = await self._plan(found)
        done = await act.run(self._job, act, found, plan)
        self._changes.publish(done.result, plan.target, None)
        log.info(
            "{actor} has deleted message {seq} of conversation {place}",
            actor=act.actor.name,
            seq=seq,
            place=found.conversation,
        )
        deleted = DeletedMessage(found, done.result == NOTHING, reports=done.reports)
        return await self._elsewhere(deleted, plan, done)

    def _here(self, where: Address | int) -> Address | int:
        return where if isinstance(where, int) else self._context.localize(where)

    # How

    async def _plan(self, found: FoundMessage) -> _Plan:
        if found.author is not None and found.realm is not None and self._is_known(found.realm):
            try:
                target = await self._finder.find_left(found.author, found.conversation)
            except (UnknownConversation, NotMember):  # the group has ended
                return _Plan(Target(found.conversation, (), group=found.group), None)
            wanted = self._wanted(found, target)
            author = party_of(found.author)
            return _Plan(target, msgspec.structs.replace(wanted, author=author, erases=True))
        target = await self._target(found)
        wanted = msgspec.structs.replace(self._wanted(found, target), by_realm=True)
        return _Plan(target, None if found.is_mirrored else wanted)

    def _wanted(self, found: FoundMessage, target: Target) -> WantedChange:
        place, now = (found.conversation, found.seq), self._context.now()
        return WantedChange(*place, Deletion(), HOME, now, elsewhere=target.home is not None)

    async def _target(self, found: FoundMessage) -> Target:
        """The conversation of a message that the realm itself deletes: no other realm of a direct is told."""
        if found.group is None:
            return Target(found.conversation, found.sides)
        try:
            roster = await self._finder.rosters.load(parse_address(found.group))
        except ChatError:  # it has ended
            roster = None
        if roster is None or roster.group.id != found.conversation:
            return Target(found.conversation, (), group=found.group, home=found.realm)
        return group_target(roster)

    def _is_known(self, realm: str) -> bool:
        try:
            self._realms.name_of(realm)
        except UnknownRealm:
            return False
        return True

    # In the transaction

    def _job(self, connection: Connection, act: Act, found: FoundMessage, plan: _Plan) -> _Done:
        """Runs in the writer's thread."""
        store.check_may_delete(connection, act.actor, found)
        if found.group is not None:
            check_home_now(connection, found.conversation, found.realm)
        place, now = (found.conversation, found.seq), self._context.now()
        waits = False
        if plan.wanted is None:
            result = _remove_here(connection, found, now)
        elif found.deleted and plan.wanted.elsewhere and has_requests(connection, *place):
            result, waits = NOTHING, True
        else:
            result = self._changes.make_now(connection, plan.wanted, plan.target)
            if plan.wanted.elsewhere and result != NOTHING:
                # Until the home has deleted it, too
                note_removed_message(connection, *place, now)
        return _Done(result, close_reports_of(connection, *place), waits)

    # In other realms

    async def _elsewhere(self, deleted: DeletedMessage, plan: _Plan, done: _Done) -> DeletedMessage:
        found = deleted.message
        if found.realm is None:
            await self._changes.forward(done.result, plan.target, found.seq)
            return deleted
        realm = self._shown(found.realm)
        if plan.wanted is None or plan.wanted.by_realm:
            return msgspec.structs.replace(deleted, realm=realm, elsewhere="kept")
        if done.waits:
            return msgspec.structs.replace(deleted, realm=realm, elsewhere="waits")
        if done.result.copies is None:
            return deleted  # it does not have the message
        elsewhere: Elsewhere = "told" if found.group is None else "deleted"
        refusal = None
        try:
            receipt = await self._changes.forward(done.result, plan.target, found.seq)
            if receipt.queued:
                elsewhere = "waits"
        except ChatError as error:
            elsewhere, refusal = "refused", error
        if found.is_mirrored and elsewhere != "deleted":
            # Otherwise the home of the group sends the entry that tells it.
            told = ChangeResult(_event(found, self._context.now()))
            self._changes.publish(told, plan.target, None)
        return msgspec.structs.replace(deleted, realm=realm, elsewhere=elsewhere, refusal=refusal)

    def _shown(self, realm: str) -> str:
        try:
            return self._realms.name_of(realm)
        except UnknownRealm:
            return realm


def _remove_here(connection: Connection, found: FoundMessage, now: int) -> ChangeResult:
    """Remove a message that another realm numbers. Its removal has no number."""
    place = found.conversation, found.seq
    if found.deleted or is_message_removed(connection, *place):
        return NOTHING
    stored = remove_message(connection, *place, now)
    return ChangeResult(_event(found, now), erased=stored)


def _event(found: FoundMessage, at: int) -> Deleted:
    """The event that tells of a message without content. There is no entry of that in the log."""
    return Deleted(found.conversation, 0, found.seq, at, SYSTEM, found.group)
