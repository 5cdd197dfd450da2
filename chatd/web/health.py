"""`GET /healthz`: whether the realm can do its work, for whatever decides about restarts and traffic."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from twisted.internet.defer import Deferred
from twisted.web.server import Request

from chatd.errors import ShuttingDown, StorageFailed
from chatd.service import ChatService
from chatd.store import probe
from chatd.web.answers import answer
from chatd.web.asking import Asking
from chatd.web.shared import Shared
from chatd.web.visits import Visits

PATIENCE = 2.0  # seconds in which the database has to answer


class HealthResource(Asking):
    """200 if the database reads and its writer commits, 503 with the reason otherwise."""

    def __init__(
        self, service: ChatService, visits: Visits, new_reference: Callable[[], str]
    ) -> None:
        super().__init__(service, visits, new_reference)
        self._probe = Shared(service.clock, lambda: Deferred.fromCoroutine(self._look()))

    async def respond(self, request: Request) -> None:
        self._visits.check(request, b"GET", b"HEAD")
        if self._service.stopping:
            raise ShuttingDown
        try:
            await self._probe.ask(PATIENCE)
        except TimeoutError:
            late = f"The database did not answer within {PATIENCE:g} s"
            told = {"code": StorageFailed.code, "message": late}
            answer(request, told, HTTPStatus.SERVICE_UNAVAILABLE)
            return
        answer(request, {})

    async def _look(self) -> None:
        """Raises StorageFailed."""
        database = self._service.database
        both: list[Deferred[Any]] = [database.read(probe.glance), database.run(probe.nothing)]
        for each in both:
            each.addErrback(lambda failure: failure.value)  # both are waited for, whatever comes
        for each in both:
            if (error := await each) is not None:
                raise error
