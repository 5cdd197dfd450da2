"""Reading: the inbox and its marks, the history of conversations, and searching."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress

import msgspec
from sqlalchemy import Connection

from chatd.base.errors import (
    AmbiguousName,
    NotMember,
    UnknownConversation,
    UnknownGroup,
    UnknownRealm,
    UnknownUser,
)
from chatd.base.model import Account, party_of
from chatd.base.names import UNFILTERED, Address, InboxFilter, Place
from chatd.base.read_marks import ReadMark, join_marks
from chatd.base.replies import UnreadCount
from chatd.base.search_query import parse_query
from chatd.service.context import Context
from chatd.service.directs import Directs
from chatd.service.past_reading import PastWait
from chatd.service.presence import IListener
from chatd.service.receipts import Receipts
from chatd.service.remote import IForwarder, IRealms, ISettled
from chatd.service.rosters import Rosters
from chatd.store import conversations as conversation_store
from chatd.store import marks as mark_store
from chatd.store import newest as newest_store
from chatd.store import unread as unread_store
from chatd.store.history import Page
from chatd.store.pasts import Past, past_for
from chatd.store.pending import pending_of
from chatd.store.search.interface import SearchIndex, Wanted
from chatd.store.unread import Scope
from chatd.store.windows import NEWEST, Window, look

MAX_PAGE = 500
UNFILTERED_WITH_OWN = InboxFilter(own=True)


def _in_both(one: Collection[int], other: Collection[int]) -> list[int]:
    """What is in both. Goes through the shorter one."""
    fewer, more = (one, other) if len(one) <= len(other) else (other, one)
    return [each for each in fewer if each in more]


class Reading:
    """What accounts read. Read marks say what an account has read of each conversation.

    `given` (conversation -> mark) has what was handed out and is not yet in the marks.
    """

    def __init__(
        self,
        context: Context,
        directs: Directs,
        rosters: Rosters,
        receipts: Receipts,
        forwarder: IForwarder,
        index: SearchIndex,
        realms: IRealms,
    ) -> None:
        self._context = context
        self._realms = realms
        self._database = context.database
        self._versions = context.writers.versions
        self._forwarder = forwarder
        self._index = index
        self._directs = directs
        self._rosters = rosters
        self._receipts = receipts
        # account id -> marks that are being stored, those of each job
        self._moving: dict[int, list[Mapping[int, ReadMark]]] = {}
        # Accounts that have nothing unread, those that have no message to themselves either, and those that
        # are being checked for that
        self._quiet: set[int] = set()
        self._quiet_with_own: set[int] = set()
        self._checking: dict[int, object] = {}

    def arrived(self, audience: Collection[int]) -> None:
        """A message for these accounts was stored."""
        self._quiet.difference_update(audience)
        if self._quiet_with_own:
            self._quiet_with_own.difference_update(audience)
        if self._checking:
            for account in audience:
                self._checking.pop(account, None)

    def arrived_in_group(self, audience: Collection[int]) -> None:
        """As `arrived`, for members of a group, who may be far more than the accounts that look for news."""
        for quiet in (self._quiet, self._quiet_with_own):
            if quiet:
                quiet.difference_update(_in_both(quiet, audience))
        if self._checking:
            for account in _in_both(self._checking, audience):
                del self._checking[account]

    async def inbox(
        self, account: Account, only: InboxFilter, given: Mapping[int, ReadMark]
    ) -> Page:
        """The oldest unread messages of a part of the inbox. Moves no mark.

        Raises as `conversation_of`.
        """
        quiet = self._quiet_with_own if only.own else self._quiet
        if account.id in quiet and only.place is None and only.sender is None:
            return Page([])
        marks = self.marks(account, given)
        scope = Scope(only)
        if only.place is not None:
            conversation = await self.conversation_of(account, only.place)
            if conversation is None:
                return Page([])
            scope = Scope(only, conversation)
        elif only.sender is not None:
            scope = Scope(only, sender=await self._directs.party(only.sender))
            return await self._database.read(
                unread_store.from_sender, account, marks, scope, MAX_PAGE
            )
        check = object()
        if only in (UNFILTERED, UNFILTERED_WITH_OWN) and not marks:
            self._checking[account.id] = check
        page = await self._database.read(unread_store.unread, account, marks, scope, MAX_PAGE)
        if self._checking.get(account.id) is check:  # nothing has arrived meanwhile
            del self._checking[account.id]
            # What other nodes store is not noted here. Their news would come a moment later than the
            # answers to the senders, who then would not find what they have sent.
            if not page.messages and self._context.is_alone:
                self._quiet.add(account.id)
                if only.own:
                    self._quiet_with_own.add(account.id)
        return page

    async def newest(
        self, account: Account, place: Place | None, given: Mapping[int, ReadMark]
    ) -> Page:
        """The newest messages, read or unread: of one conversation those of both sides, else the direct ones
        that the account has received. Moves no mark.

        Raises as `conversation_of`.
        """
        conversation = None
        if place is not None:
            conversation = await self.conversation_of(account, place)
            if conversation is None:
                return Page([])
        marks = self.marks(account, given)
        with self._forwarder.watch() as settled:
            page = await self._database.read(
                newest_store.newest, account, marks, conversation, MAX_PAGE
            )
        return _fresh(page, settled)

    def marks(self, account: Account, given: Mapping[int, ReadMark]) -> dict[int, ReadMark]:
        """`given`, and the marks that are being stored."""
        found = dict(given)  # queries run in other threads
        for marks in self._moving.get(account.id, ()):
            join_marks(found, marks)
        return found

    async def unread(
        self, account: Account, given: Mapping[int, ReadMark]
    ) -> tuple[UnreadCount, ...]:
        """How many unread messages each conversation has."""
        if account.id in self._quiet:
            return ()
        marks = self.marks(account, given)
        return tuple(await self._database.read(unread_store.unread_counts, account, marks))

    async def history(
        self, account: Account, place: Place | int, count: int, window: Window = NEWEST
    ) -> Page:
        """At most `count` messages of a conversation, those in the window. Raises as `find`."""
        conversation = await self.find(account, place)
        if conversation is None:
            return Page([], later=0)
        limit = min(count, MAX_PAGE)
        wait = PastWait(self._context, self._realms)
        while True:
            with self._forwarder.watch() as settled:
                page, past = await self._database.read(_look, account, conversation, window, limit)
            if not await wait.has_more(past, _lowest(page, window, limit)):
                break
        if past is not None:
            page = msgspec.structs.replace(page, remaining=page.remaining + past.earlier)
        return _fresh(page, settled)

    async def search(self, account: Account, text: str, before: int | None = None) -> Page:
        """The newest messages that `text` asks for (chatd.base.search_query) in the account's conversations,
        newest first; with `before`, of those with smaller ids.

        Raises BadArgument, BadName, Busy, and as `find` for a conversation that `text` names.
        """
        query = parse_query(text)
        conversations = None
        if query.places:
            found = [await self.find(account, place) for place in query.places]
            conversations = frozenset(each for each in found if each is not None)
        senders = frozenset(self._directs.localize(each).key for each in query.senders)
        wanted = Wanted(
            query.words,
            senders or None,
            conversations,
            query.has_file,
            query.after,
            query.before,
            before,
        )
        with self._forwarder.watch() as settled:
            page = await self._database.search(
                account.id, self._index.search, account, wanted, MAX_PAGE
            )
        return _fresh(page, settled)

    async def move_marks(
        self, account: Account, marks: Mapping[int, ReadMark], origin: IListener | None = None
    ) -> None:
        """Move read marks, because the client has received the messages on the connection `origin`. All
        connections see them at once, before they are stored."""
        moving = self._moving.setdefault(account.id, [])
        moving.append(marks)
        try:
            moved = await self._database.run(mark_store.move_marks, self._versions, account, marks)
        finally:
            moving[:] = [each for each in moving if each is not marks]
            if not moving:
                self._moving.pop(account.id, None)
        self._receipts.moved(account, moved, origin)

    async def mark_read(
        self, account: Account, conversation: int, seq: int, origin: IListener | None = None
    ) -> None:
        """Mark everything up to `seq` as read, at most to the newest entry. Raises UnknownConversation."""
        moved = await self._database.run(
            mark_store.mark_read, self._versions, account, conversation, seq
        )
        self._receipts.moved(account, moved, origin)

    async def find(self, account: Account, place: Place | int) -> int | None:
        """The conversation that `place` names, or that has this id. None if it does not exist yet.

        Raises UnknownConversation if the account takes no part in it, and as `conversation_of`.
        """
        if isinstance(place, Place):
            return await self.conversation_of(account, place)
        takes_part = conversation_store.takes_part
        if not await self._database.read(takes_part, account.id, place):
            raise UnknownConversation(name=place)
        return place

    async def conversation_of(self, account: Account, place: Place) -> int | None:
        """The conversation that `place` names, or None if it does not exist yet. A name without a sign is
        that of a user or a group, else the code of a group.

        Raises AmbiguousName, UnknownUser, UnknownRealm, UnknownGroup, NotMember.
        """
        if place.group is None:
            assert place.user is not None  # noqa: S101 - a place has one of the two
            return await self._directs.find(account, place.user)
        if place.user is None:
            return (await self._rosters.find_mine(account, place.group)).group.id
        return await self._either(account, place.user, place.group)

    async def _either(self, account: Account, user: Address, group: Address) -> int | None:
        unknown: UnknownUser | UnknownRealm | None = None
        direct = None
        try:
            direct = await self._directs.find(account, user)
        except (UnknownUser, UnknownRealm) as error:
            unknown = error
        roster = await self._rosters.named(group, party_of(account))
        # This realm knows people of other realms only by their conversations.
        is_user = unknown is None and (direct is not None or self._directs.is_here(user))
        if roster is not None and not is_user:
            if account.id not in roster.members:
                raise NotMember(group=roster.group.name)
            return roster.group.id
        if roster is not None and (roster.group.realm is None or account.id in roster.members):
            raise AmbiguousName(name=str(user))
        if unknown is None:
            return direct
        if isinstance(unknown, UnknownUser):
            with suppress(UnknownGroup):
                return (await self._rosters.find_mine(account, group)).group.id  # by its code
        raise unknown


def _fresh(page: Page, settled: ISettled) -> Page:
    """The page, with the states that were known when it had been read."""
    if not any(each.waits for each in (*page.messages, *page.pending)):
        return page
    return msgspec.structs.replace(
        page,
        messages=list(map(settled.fresh, page.messages)),
        pending=list(map(settled.fresh, page.pending)),
    )


def _look(
    connection: Connection, account: Account, conversation: int, window: Window, limit: int
) -> tuple[Page, Past | None]:
    """A page of messages, and at the end of the conversation those that are pending. Also returns what is
    missing of the conversation here."""
    page = look(connection, account, conversation, window, limit)
    past = past_for(connection, account.id, conversation)
    if page.later:
        return page, past
    pending = pending_of(connection, account, conversation)
    return msgspec.structs.replace(page, pending=pending), past


def _lowest(page: Page, window: Window, limit: int) -> int:
    """The lowest seq that may be on a page, if the log here has all entries; 0 if that is not known."""
    shown = page.messages
    if window.after is not None:
        return window.after + 1
    if window.since is not None:
        is_whole = page.remaining > 0
    elif window.around is not None:
        is_whole = len([each for each in shown if each.seq < window.around]) >= limit // 2
    else:
        is_whole = len(shown) >= limit
    return shown[0].seq if is_whole and shown else 0
