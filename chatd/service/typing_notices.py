"""Typing: telling others that somebody is writing. It is never stored."""

from __future__ import annotations

from collections.abc import Hashable
from typing import assert_never

from twisted.internet.interfaces import IReactorTime

from chatd.base.events import Typing
from chatd.base.model import Account
from chatd.base.names import Address, parse_address
from chatd.service.context import Context
from chatd.service.presence import IListener, Presence
from chatd.service.realm_news import DirectTyping, GroupTyping, TypingNews
from chatd.service.remote import IForwarder
from chatd.service.remote_news import RemoteNews
from chatd.store import receipts as store
from chatd.store.receipts import Audience

INTERVAL = 3.0  # seconds between two notices about one person in a conversation
MAX_NOTED = 10_000  # notices that are remembered; one that is not may be repeated sooner


class Lately:
    """The things that were noted in the last INTERVAL seconds: at most MAX_NOTED, the newest ones."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._when: dict[Hashable, float] = {}  # oldest first

    def __len__(self) -> int:
        return len(self._when)

    def note(self, what: Hashable) -> bool:
        """Note that something happens. Returns False if it was noted lately."""
        now, when = self._clock.seconds(), self._when
        while when and now - when[oldest := next(iter(when))] >= INTERVAL:
            del when[oldest]
        if what in when:
            return False
        if len(when) >= MAX_NOTED:
            del when[next(iter(when))]
        when[what] = now
        return True


class TypingNotices:
    """Tells the others of a conversation, in directs and in groups in which receipts are shown. Receivers
    forget it after 6 s."""

    def __init__(
        self, context: Context, presence: Presence, news: RemoteNews, forwarder: IForwarder
    ) -> None:
        self._context = context
        self._database = context.database
        self._presence = presence
        self._news = news
        self._forwarder = forwarder
        self._lately = Lately(context.clock)

    async def tell(self, account: Account, conversation: int, origin: IListener | None) -> None:
        """The account is writing in a conversation, on the connection `origin`."""
        if not self._lately.note((account.id, conversation)):
            return
        find, places = store.audiences, (conversation,)
        found = await self._database.read(find, account.id, account.key, places, False)
        for audience in found:
            self._pass_on(Address(account.name), audience, origin)

    async def arrived(self, realm: str, news: TypingNews) -> None:
        """The realm has told that somebody is writing. News that does not belong anywhere is ignored.

        Raises BadName, UnknownRealm.
        """
        if not self._lately.note((realm, news)):
            return
        match news:
            case DirectTyping(person, user):
                direct = await self._news.direct(realm, person, user)
                if direct is None:
                    return
                who, place = direct
            case GroupTyping(person, home, group_id):
                group = await self._news.group(realm, person, home, group_id)
                if group is None:
                    return
                who, place = group
            case _:
                assert_never(news)
        find = store.audiences_of_guest
        for audience in await self._database.read(find, who.key, (place,), False):
            self._pass_on(who, audience, None)

    def _pass_on(self, who: Address, audience: Audience, origin: IListener | None) -> None:
        event = Typing(audience.conversation, str(who))
        self._presence.tell_followers(audience.accounts, event, origin)
        self._presence.flush()
        for realm in audience.realms:
            if audience.peer is not None:
                direct = DirectTyping(who.name, parse_address(audience.peer).name)
                self._forwarder.tell_typing(realm, direct)
            else:
                home = audience.home or self._context.realm_key
                self._forwarder.tell_typing(realm, GroupTyping(str(who), home, audience.group_id))
