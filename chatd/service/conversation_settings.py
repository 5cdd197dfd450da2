"""What accounts choose for their conversations, on all of their devices: notifications, and archiving."""

from __future__ import annotations

from collections.abc import Mapping

from chatd.base.errors import BadArgument, UnknownConversation
from chatd.base.events import ConversationChange
from chatd.base.model import Account, NotifyLevel, Preferences
from chatd.base.names import Place
from chatd.service.context import Context
from chatd.service.presence import IListener, Presence
from chatd.service.reading import Reading
from chatd.store import preferences as store
from chatd.store.sides import side_of


class ConversationSettings:
    """The preferences of each account for its conversations."""

    def __init__(self, context: Context, presence: Presence, reading: Reading) -> None:
        self._context = context
        self._database = context.database
        self._presence = presence
        self._reading = reading

    async def notify(
        self,
        account: Account,
        place: Place | int,
        level: NotifyLevel,
        until: int | None,
        origin: IListener | None,
    ) -> tuple[int, Preferences]:
        """Choose of which messages the account is notified; after `until` of all of them again. Returns the
        conversation and its preferences. Raises BadArgument, and as Reading.find."""
        if until is not None and until <= self._context.now():
            raise BadArgument(argument="until", found="in the past", expected="a later time")
        changed = {"notify": level, "until": None if level == "all" else until}
        what = "unmuted" if level == "all" else "muted"
        return await self._prefer(account, place, changed, what, origin)

    async def archive(
        self, account: Account, place: Place | int, on: bool, origin: IListener | None
    ) -> tuple[int, Preferences]:
        """Archive a conversation, or take it back. Returns it and its preferences. Raises as Reading.find."""
        what = "archived" if on else "unarchived"
        return await self._prefer(account, place, {"archived": on}, what, origin)

    async def _prefer(
        self,
        account: Account,
        place: Place | int,
        changed: Mapping[str, object],
        what: str,
        origin: IListener | None,
    ) -> tuple[int, Preferences]:
        conversation = await self._reading.find(account, place)
        if conversation is None:
            raise UnknownConversation(name=place)
        chosen = await self._database.run(store.prefer, account.id, conversation, changed)
        chosen = chosen.at(self._context.now())
        side = await self._database.read(side_of, account.id, conversation)
        if side is not None:
            user = side.peer if side.group is None else None
            event = ConversationChange(conversation, user, side.group, what, chosen)
            self._presence.tell_followers((account.id,), event, origin)
            self._presence.flush()
        return conversation, chosen
