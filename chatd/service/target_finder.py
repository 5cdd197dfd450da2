"""Finds a conversation that exists, and who takes part in it."""

from __future__ import annotations

from contextlib import suppress

from chatd.base.errors import ChatError, NotMember, UnknownConversation
from chatd.base.model import Account
from chatd.base.names import Place, parse_address
from chatd.service.accounts import Accounts
from chatd.service.directs import Directs
from chatd.service.reading import Reading
from chatd.service.rosters import Rosters
from chatd.service.targets import Target, group_target
from chatd.store.database import Database
from chatd.store.departures import group_name
from chatd.store.reports import reported_place
from chatd.store.sides import side_of


class TargetFinder:
    """Finds conversations by place or id."""

    def __init__(
        self,
        database: Database,
        accounts: Accounts,
        directs: Directs,
        rosters: Rosters,
        reading: Reading,
    ) -> None:
        self.accounts = accounts
        self._database = database
        self.directs = directs
        self.rosters = rosters
        self._reading = reading

    async def find(self, account: Account, where: Place | int) -> Target | None:
        """The conversation of `account` at that place, or with that id. None if it does not exist yet. Raises
        as Reading.find."""
        if isinstance(where, int):
            conversation: int | None = where
        else:
            conversation = await self._reading.conversation_of(account, where)
        if conversation is None:
            return None
        side = await self._database.read(side_of, account.id, conversation)
        if side is None:
            raise UnknownConversation(name=conversation)
        if side.group is not None:
            return await self._group(account, conversation, side.group)
        peer = side.peer or ""
        if side.realm is not None:
            # Changes in a conversation with a person of a removed realm stay here.
            realms = (side.realm,) if self.directs.knows(side.realm) else ()
            return Target(conversation, frozenset((account.id,)), to=peer, realms=realms)
        audience = (account.id,) if side.peer_id is None else (account.id, side.peer_id)
        return Target(conversation, frozenset(audience), to=peer)

    async def find_left(self, account: Account, conversation: int) -> Target:
        """As `find`, also for a group that the account has left. Raises UnknownConversation, NotMember."""
        try:
            found = await self.find(account, conversation)
            if found is None:
                raise UnknownConversation(name=conversation)
            return found
        except (UnknownConversation, NotMember):
            name = await self._database.read(group_name, conversation)
            if name is None:
                raise
            return group_target(await self.rosters.load(parse_address(name)))

    async def find_reported(self, conversation: int, seq: int) -> Target | None:
        """The conversation of a message of which there is an open report, for a moderator. None if there is
        no such report, or if the message is in another realm, too."""
        place = await self._database.read(reported_place, conversation, seq)
        if place is None:
            return None
        if place.group is None:
            return Target(conversation, place.accounts)
        with suppress(ChatError):
            roster = await self.rosters.load(parse_address(place.group))
            if roster.group.id == conversation:
                return group_target(roster)
        return Target(conversation, (), group=place.group)  # it has ended

    async def _group(self, account: Account, conversation: int, name: str) -> Target:
        roster = self.rosters.of_conversation(conversation)
        if roster is None:
            try:
                roster = await self.rosters.load(parse_address(name))
            except ChatError:
                raise UnknownConversation(name=conversation) from None
        if account.id not in roster.members:
            raise NotMember(group=name)
        return group_target(roster)
