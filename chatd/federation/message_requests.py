"""Receives message requests (chatd.store.requests). The verdict does not tell whether anybody sees them."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from chatd.base.errors import RequestPending
from chatd.base.throttle import Quota
from chatd.federation.links import ILinks
from chatd.federation.parcels import KEPT, REQUESTED, Verdict
from chatd.federation.realm_quotas import RealmQuotas
from chatd.federation.refusals import verdict_of
from chatd.service.chat_service import ChatService
from chatd.store.parcel_stream import ParcelStream
from chatd.store.requests import NewRequest

PER_HOUR = 200  # requests from one network source, whatever its realms are called


class RequestReceiver:
    """The first messages of people of realms that nobody here has added."""

    def __init__(self, service: ChatService, links: ILinks, quotas: RealmQuotas) -> None:
        self._clock = service.context.clock
        self._links = links
        self._rates = Quota(PER_HOUR)
        self._requests = service.requests
        self._quotas = quotas

    def receive(self, realm: str, request: NewRequest, stream: ParcelStream) -> Deferred[Verdict]:
        """Store a request. Fires with the verdict, errs with StorageFailed. Raises RealmQuota,
        and RequestPending if there are too many."""
        if self._rates.take(self._links.source_of(realm) or realm, self._clock.seconds()):
            raise RequestPending(name=request.name)
        self._quotas.charge(realm, (request.new,))
        return Deferred.fromCoroutine(self._store(realm, request, stream))

    async def _store(self, realm: str, request: NewRequest, stream: ParcelStream) -> Verdict:
        try:
            waits = await self._requests.arrived(request, stream)
        except Exception as error:
            self._quotas.give_back(realm, (request.new,))
            if isinstance(error, RequestPending):
                return verdict_of(error)
            raise
        return REQUESTED if waits else KEPT
