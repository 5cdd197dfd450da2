"""`/healthz`, `/readyz` and `/livez`, for probes.

`GET /healthz` tells alarms whether the realm can do its work, and `GET /readyz` tells load balancers and
orchestrators whether it takes requests. `GET /livez` tells a supervisor whether the process still answers.
Only that is a reason for a restart. All three also answer clients that are banned: a proxy or a supervisor
may be in a banned network, and would take the realm for dead.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.web.server import Request

from chatd.base.errors import ChatError, DiskFull, ShuttingDown, StorageFailed
from chatd.service.chat_service import ChatService
from chatd.store import probe
from chatd.web.access import AccessControl
from chatd.web.answers import answer
from chatd.web.async_resource import AsyncResource
from chatd.web.shared_query import SharedQuery

DATABASE_TIME = 2.0  # seconds in which the database has to answer
# Codes of these answers only; no request is refused with them
DAMAGED = "database-damaged"
STARTING = "starting"


class Unhealthy(Exception):
    """The realm can't do its work. Has a code, and a message for the operator."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class ProbeResource(AsyncResource):
    """A resource for probes."""

    answers_banned = True


class LiveResource(ProbeResource):
    """Answers 200 as long as the reactor runs."""

    async def respond(self, request: Request) -> None:
        self._access.check(request, b"GET", b"HEAD")
        answer(request, {})


class HealthResource(ProbeResource):
    """Answers 200 if the database reads and writes, nothing is damaged, and the disk has room; otherwise 503
    with the reason."""

    def __init__(self, service: ChatService, access: AccessControl) -> None:
        super().__init__(service, access)
        self._probe = SharedQuery(service.clock, lambda: Deferred.fromCoroutine(self._look()))

    async def respond(self, request: Request) -> None:
        self._access.check(request, b"GET", b"HEAD")
        if self._service.stopping:
            raise ShuttingDown
        try:
            await self._probe.ask(DATABASE_TIME)
        except defer.TimeoutError:
            late = f"The database did not answer within {DATABASE_TIME:g} s"
            self._tell(request, Unhealthy(StorageFailed.code, late))
        except Unhealthy as error:
            self._tell(request, error)
        else:
            answer(request, {})

    def _tell(self, request: Request, error: Unhealthy) -> None:
        told = {"code": error.code, "message": str(error)}
        answer(request, told, HTTPStatus.SERVICE_UNAVAILABLE)

    async def _look(self) -> None:
        """Raises Unhealthy, StorageFailed."""
        database, disk = self._service.database, self._service.disk
        if database.has_died:
            raise Unhealthy(StorageFailed.code, "The thread that writes to the database has ended")
        if database.damage is not None:
            raise Unhealthy(DAMAGED, f"The database is damaged: {database.damage}")
        if disk.is_low():
            raise Unhealthy(
                DiskFull.code,
                f"The disk has {-(disk.room() >> 20)} MiB less free than its reserve: messages and "
                "files are refused",
            )
        await self._try_files()
        trouble = database.trouble
        # After a failed write, only another write shows whether the database works again.
        write = probe.ping_transaction if trouble is None else probe.ping_write
        both: list[Deferred[Any]] = [database.read(probe.ping_read), database.run(write)]
        for each in both:
            each.addErrback(lambda failure: failure.value)  # wait for both, even if one fails
        for each in both:
            if (error := await each) is None:
                continue
            if isinstance(error, ChatError) and database.trouble is not None:
                reason = f"The database could not store anything: {database.trouble}"
                raise Unhealthy(StorageFailed.code, reason)
            raise error

    async def _try_files(self) -> None:
        """Raises Unhealthy if the last file could not be stored, and a test file can't be either."""
        uploads = self._service.uploads
        if uploads.trouble is not None:
            try:
                await uploads.probe()
            except OSError as error:
                raise Unhealthy(
                    StorageFailed.code, f"A file could not be stored: {error}"
                ) from None


class ReadyResource(HealthResource):
    """As HealthResource, and 503 before the realm has started."""

    async def respond(self, request: Request) -> None:
        self._access.check(request, b"GET", b"HEAD")
        if not self._service.started:
            self._tell(request, Unhealthy(STARTING, "The realm is starting"))
        else:
            await super().respond(request)
