"""Message requests: first messages of people of realms that were not added here, which accounts accept or
decline. The other realm is not told of a refusal."""

from __future__ import annotations

from functools import partial

from sqlalchemy import Connection
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from chatd.base.errors import RequestPending
from chatd.base.events import MessageRequest
from chatd.base.isolation import guarded
from chatd.base.model import Account
from chatd.base.names import Address
from chatd.base.replies import RequestInfo
from chatd.service.context import Context
from chatd.service.fan_out import FanOut
from chatd.service.presence import Presence
from chatd.service.receipts import Receipts
from chatd.service.request_answers import (
    DECLINED,
    AcceptedRequest,
    RequestAnswers,
    log_pause,
)
from chatd.service.targets import Target
from chatd.store import requests as store
from chatd.store.parcel_stream import ParcelStream
from chatd.store.requests import (
    AnsweredRequest,
    Declined,
    NewRequest,
    RequestOutcome,
    StoredRequest,
)

log = Logger()


class MessageRequests:
    """The requests that wait for an answer. They expire after 30 days."""

    def __init__(
        self,
        context: Context,
        presence: Presence,
        fan_out: FanOut,
        answers: RequestAnswers,
        receipts: Receipts,
    ) -> None:
        self._answers = answers
        self._context = context
        self._database = context.database
        self._messages = context.writers.messages
        self._presence = presence
        self._fan_out = fan_out
        self._receipts = receipts
        self._versions = context.writers.versions

    def arrived(
        self, new: NewRequest, stream: ParcelStream, allowed: bool = True
    ) -> Deferred[RequestOutcome]:
        """Store a request, and tell the account if it sees it. Unless `allowed`, new requests are refused.
        Errs with RequestPending, StorageFailed."""
        messages, now, place = self._messages, self._context.now(), stream.next()
        ask = partial(store.ask, receive=messages.receive, request=new, now=now, allowed=allowed)
        storing: Deferred[StoredRequest | RequestPending | RequestOutcome] = self._database.run(
            lambda connection: place.run(messages.refusals, ask, connection)
        )
        return storing.addCallback(self._told)

    def _told(self, found: StoredRequest | RequestPending | RequestOutcome) -> RequestOutcome:
        if isinstance(found, RequestPending):
            raise found
        if isinstance(found, RequestOutcome):
            return found
        try:
            self._tell(found)
        except Exception:
            log.failure("a message request was stored, but not passed to listeners")
        return found.state

    def _tell(self, found: StoredRequest) -> None:
        account, new, seq = found.account, found.new, found.stored.seq
        target = Target(new.conversation, frozenset((account.id,)), to=account.name)
        self._fan_out.tell(found.stored, new, target, None, None)
        if found.state is RequestOutcome.WAITS:
            event = MessageRequest(new.sender, new.conversation, seq, new.at, new.text)
            self._presence.tell_followers((account.id,), event, None)

    async def list(self, account: Account) -> tuple[RequestInfo, ...]:
        """The account's open requests, oldest first."""
        now = self._context.now()
        return tuple(await self._database.read(store.requests_of, account.id, now))

    async def answer(self, account: Account, sender: Address, accepts: bool) -> str:
        """Accept or decline a request; a declined one can still be accepted. Returns the address of its
        sender. Raises UnknownRequest."""
        local = self._context.localize(sender)
        return await (self._accept if accepts else self._decline)(account, local)

    async def _accept(self, account: Account, sender: Address) -> str:
        def job(connection: Connection) -> tuple[AnsweredRequest, AcceptedRequest | None]:
            found = store.find_request(connection, account, sender, declined=True)
            return found, self._answers.accept(connection, account, sender.key)

        found, accepted = await self._database.run(job)
        if accepted is not None:
            self._answers.accepted(accepted)
        return found.address

    async def _decline(self, account: Account, sender: Address) -> str:
        def job(connection: Connection) -> tuple[AnsweredRequest, Declined]:
            found, now = store.find_request(connection, account, sender), self._context.now()
            return found, store.decline(connection, self._versions, account, found, now)

        found, done = await self._database.run(job)
        if done.pauses:
            log_pause(found.realm)
        self._answers.tell(found, DECLINED)
        self._receipts.moved(account, done.read, None)
        return found.address

    async def accept_all(self, realm: str) -> None:
        """Accept the requests from a realm: its people are no strangers any more."""
        for each in await self._database.run(self._answers.accept_all, realm):
            guarded("an accepted message request was not told", self._answers.accepted, each)
