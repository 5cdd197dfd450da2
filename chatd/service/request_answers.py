"""Accepts message requests, and tells the senders' realms."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection
from twisted.logger import Logger

from chatd.base.events import ConversationChange
from chatd.base.model import Account, Party
from chatd.service.context import Context
from chatd.service.presence import Presence
from chatd.service.realm_news import RequestAccepted
from chatd.service.remote import IForwarder, Notice, StagedNotice
from chatd.store import requests as store
from chatd.store.requests import AnsweredRequest

ACCEPTED, DECLINED = "accepted", "declined"

log = Logger()


def log_pause(realm: str) -> None:
    """Tell the operator that people here do not want the requests from the realm with that key."""
    log.warn(
        "message requests from {realm} are paused: most of them were declined, or their senders blocked",
        realm=realm,
    )


class AcceptedRequest(msgspec.Struct, frozen=True):
    """A request that was accepted in a transaction, and the news for its sender's realm."""

    request: AnsweredRequest
    notices: tuple[StagedNotice, ...]


class RequestAnswers:
    """An account accepts a request by a command, by writing or reacting to its sender, and by adding them to
    its contacts. When a realm is added, all that its people have asked is accepted."""

    def __init__(self, context: Context, presence: Presence, forwarder: IForwarder) -> None:
        self._context = context
        self._presence = presence
        self._forwarder = forwarder

    def accept(
        self, connection: Connection, account: Account | Party, sender: str
    ) -> AcceptedRequest | None:
        """Accept what the person with the key `sender` has asked, if they have. Runs in the writer's
        thread."""
        request = store.accept(connection, account, sender, self._context.now())
        return None if request is None else self._stage(connection, request)

    def accept_all(self, connection: Connection, realm: str) -> list[AcceptedRequest]:
        """Accept what people of a realm have asked. Runs in the writer's thread."""
        return [self._stage(connection, each) for each in store.accept_all(connection, realm)]

    def _stage(self, connection: Connection, request: AnsweredRequest) -> AcceptedRequest:
        news = RequestAccepted(request.number, request.name, request.address.partition("@")[0])
        notice = Notice(request.realm, self._context.now(), news)
        return AcceptedRequest(request, tuple(self._forwarder.stage(connection, (notice,))))

    def accepted(self, done: AcceptedRequest) -> None:
        """Send the news, and tell the account's connections, once that is on disk."""
        self._forwarder.send_notices(done.notices)
        self.tell(done.request, ACCEPTED)

    def tell(self, request: AnsweredRequest, what: str) -> None:
        """Tell the account's connections that a request was answered."""
        event = ConversationChange(request.conversation, user=request.address, what=what)
        self._presence.tell_followers((request.account_id,), event, None)
