"""Deletes groups for their operators.

A group that is to be deleted is closed at once. Then its members of this realm are removed, its messages are
deleted in the realms that have members, and those members are removed. With the last one the group ends, and
what is left here is erased. Each step is a small transaction, so that others do not wait. A kill between two
steps leaves nothing half done, and the next start continues. Groups take turns, so that a small one does not
wait for a large one.

The bans of groups that end in other ways are removed here, too.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from chatd.base.background import EXPECTED
from chatd.base.entries import GroupFact, MadeFact, MemberFact
from chatd.base.events import MemberChange
from chatd.base.group_settings import SHUT
from chatd.base.isolation import guarded
from chatd.base.model import Group, Party
from chatd.base.names import parse_address
from chatd.base.recurring_work import RecurringWork
from chatd.service.audit import Act
from chatd.service.context import Context
from chatd.service.erased_files import ErasedFiles
from chatd.service.group_log import HOME
from chatd.service.group_relocation import GroupRelocation
from chatd.service.message_changes import MessageChanges
from chatd.service.realm_news import MemberRemoved
from chatd.service.remote import Notice
from chatd.service.rosters import RosterChange, Rosters
from chatd.service.targets import group_target
from chatd.store import group_removals as store
from chatd.store.deletion_pages import DeletedPage
from chatd.store.ended_groups import clear_ended, next_ended
from chatd.store.group_removals import Removal
from chatd.store.groups import group_of
from chatd.store.outbox import any_has
from chatd.store.roster import Delta
from chatd.store.shut_groups import Shutting, put_shutting

MEMBERS = 20  # members that one transaction removes, about 4 ms
DELETED = 20  # messages that one transaction deletes in other realms, too, about 6 ms
ERASED = 20  # messages that one transaction erases, about 2 ms
ROWS = 500  # other rows that one transaction removes, about 1 ms
BEHIND = 1000  # parcels that wait for a realm before it is told of deletions more slowly
PAUSE = 1.0  # seconds between two transactions then
RETRY = (
    60.0  # seconds after which it continues when the disk, the database or an error has stopped it
)
WHY = "it is being deleted"  # the reason that members read

KIND = "deletions of groups"

log = Logger()


class GroupRemovals:
    """Deletes groups of this realm, and what is left of those that have ended, while this node does the work
    (chatd.service.node_work)."""

    def __init__(
        self,
        context: Context,
        rosters: Rosters,
        changes: MessageChanges,
        relocation: GroupRelocation,
        erased: ErasedFiles,
    ) -> None:
        self._context = context
        self._database = context.database
        self._rosters = rosters
        self._changes = changes
        self._relocation = relocation
        self._erased = erased
        self._work = RecurringWork(context.clock, self._run, RETRY, "a group was not deleted")
        context.work.add_recurring(KIND, self._work, 0.0)
        self._last = 0  # the group that had its turn
        rosters.on_ended(self.wake)

    def stop(self) -> Deferred[None]:
        """Fires when the step that is under way is stored."""
        return self._work.stop()

    def begin(self, connection: Connection, group: Group, act: Act) -> RosterChange:
        """Close a group of this realm, and note that it is to be deleted. Runs in the writer's thread; call
        `wake` afterwards."""
        now = self._context.now()
        store.begin_removal(connection, group.id, act.actor.name, now)
        delta = put_shutting(connection, group.id, Shutting(WHY, now, act.actor.name))
        told = self._relocation.end(connection, group)
        fact = MadeFact(GroupFact({SHUT: WHY}), HOME, now)
        return RosterChange(delta, (*told, fact), group)

    def wake(self) -> None:
        """There is another group to delete, or one has ended."""
        self._context.work.wake(KIND, self._work)

    async def _run(self) -> float | None:
        """Delete all that wait. One that fails unexpectedly does not stop the others. Raises
        StorageFailed."""
        failed: set[int] = set()
        while not self._work.is_interrupted:
            found = await self._database.read(store.next_removal, failed, self._last)
            if found is None:
                break
            self._last = found.conversation
            try:
                is_behind = await self._work.step(self._step(found))
                if is_behind and not self._work.is_interrupted:
                    await self._work.rest(PAUSE)
            except EXPECTED:
                raise
            except Exception:
                log.failure("the group {number} was not deleted", number=found.conversation)
                failed.add(found.conversation)
        await self._clear_ended()
        return RETRY if failed else None

    async def _clear_ended(self) -> None:
        """Remove the bans of groups that have ended. Raises StorageFailed."""
        while not self._work.is_interrupted:
            ended = await self._database.read(next_ended)
            if ended is None:
                return
            await self._work.step(self._database.run(clear_ended, ended))

    async def _step(self, removal: Removal) -> bool:
        """Take the next step with a group. Nobody can join it, and nothing can be written to it. Returns
        whether other realms are behind."""
        place = removal.conversation
        group = await self._database.read(group_of, place)
        if group is None or group.realm is not None:
            return (
                False  # It lives in another realm since a moment ago, which has ended its deletion.
            )
        if not group.key:
            await self._erase(removal)
        elif here := await self._database.read(store.local_members, place, MEMBERS):
            await self._remove(group, here)
        elif seqs := await self._database.read(store.untold_after, place, removal.told, DELETED):
            return await self._delete(group, seqs)
        else:
            there = await self._database.read(store.guest_members, place, MEMBERS)
            await self._remove(group, there)
        return False

    async def _remove(self, group: Group, parties: Sequence[Party]) -> None:
        """Remove members, and tell them. The group ends with the last one."""
        now = self._context.now()

        def job(connection: Connection) -> RosterChange:
            if not store.is_being_removed(connection, group.id):
                return RosterChange(Delta(group.id))
            delta = store.remove_members(connection, group, parties)
            seq = self._rosters.log.newest(connection, group)
            steps: list[Notice | MadeFact] = []
            for party, _ in delta.roles:
                if party.realm is not None:
                    user = party.name.partition("@")[0]
                    removed = MemberRemoved(group.name, group.id, user, seq, HOME.name)
                    steps.append(Notice(party.realm, now, removed))
            if delta.ended:
                steps.append(MadeFact(MemberFact(HOME, "ended"), HOME, now))
            return RosterChange(delta, steps, group)

        change = await self._rosters.change(job)
        for party, _ in change.delta.roles:
            if party.id is not None:
                about = group.id, group.name, party.name, "kicked", 0, now, HOME.name
                event = MemberChange(*about)
                tell = self._rosters.log.tell_removed
                guarded("a member was not told", tell, party.id, event, None)

    async def _delete(self, group: Group, seqs: Sequence[int]) -> bool:
        """Delete messages here and in the other realms that have members. Returns whether some of these are
        behind: away, or slow."""
        target = group_target(await self._rosters.load(parse_address(group.name)))
        now = self._context.now()

        def job(connection: Connection) -> DeletedPage:
            if not store.is_being_removed(connection, group.id):
                return DeletedPage()
            page = self._changes.delete_now(connection, seqs, target, now)
            store.was_told(connection, group.id, seqs[-1])
            return page

        self._changes.deleted(await self._database.run(job), target)
        return await self._database.read(any_has, target.realms, BEHIND)

    async def _erase(self, removal: Removal) -> None:
        """Erase the next messages of a group that has ended, or be done with it."""
        place = removal.conversation
        seqs = await self._database.read(store.left_after, place, removal.erased, ERASED)
        if not seqs:
            await self._database.run(store.finish_removal, place, ROWS)
            return
        now = self._context.now()
        stored = await self._database.run(store.erase_messages, place, seqs, now)
        self._erased.remove(stored)
