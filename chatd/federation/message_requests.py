"""Receives message requests (chatd.store.requests). The verdict does not tell if an account sees them."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from chatd.base.background import in_background
from chatd.base.errors import RequestPending
from chatd.base.throttle import Quota
from chatd.federation.links import ILinks
from chatd.federation.parcels import KEPT, REQUESTED, Verdict
from chatd.federation.realm_quotas import RealmQuotas
from chatd.federation.refusals import verdict_of
from chatd.service.chat_service import ChatService
from chatd.service.node_limits import share_quota
from chatd.store.parcel_stream import ParcelStream
from chatd.store.requests import NewRequest, RequestOutcome

UNSETTLED = "the requests from a realm that was added still wait"
PER_HOUR = 200  # requests from one network source, whatever its realms are called


class RequestReceiver:
    """The first messages of people of realms that were not added here."""

    def __init__(self, service: ChatService, links: ILinks, quotas: RealmQuotas) -> None:
        self._clock = service.context.clock
        self._links = links
        self._rates = Quota(PER_HOUR)
        share_quota(self._rates, service.context.news, service.context.clock, "requests-of-sources")
        self._requests = service.requests
        self._quotas = quotas

    def receive(self, realm: str, request: NewRequest, stream: ParcelStream) -> Deferred[Verdict]:
        """Store a request. Fires with the verdict, errs with StorageFailed. Raises RealmQuota."""
        self._quotas.charge(realm, (request.new,))
        return Deferred.fromCoroutine(self._store(realm, request, stream))

    async def _store(self, realm: str, request: NewRequest, stream: ParcelStream) -> Verdict:
        source = self._links.source_of(realm) or realm
        allowed = not self._rates.take(source, self._clock.seconds())
        try:
            asked = await self._requests.arrived(request, stream, allowed)
        except Exception as error:
            self._quotas.give_back(realm, (request.new,))
            if isinstance(error, RequestPending):
                return verdict_of(error)
            raise
        if asked is RequestOutcome.REPEATED:  # its answer was lost with a link
            self._quotas.give_back(realm, (request.new,))
            if allowed:
                self._rates.give_back(source)
        return KEPT if asked is RequestOutcome.KNOWN else REQUESTED

    def settle(self, realm: str) -> None:
        """Accept the requests from a realm if it was added since."""
        if self._links.is_welcome(realm):
            in_background(UNSETTLED, self._requests.accept_all(realm))
