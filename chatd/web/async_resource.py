"""Resources that answer with a coroutine."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from chatd.base.errors import BadSyntax, BodyTooLarge
from chatd.service.chat_service import ChatService
from chatd.web.access import AccessControl
from chatd.web.answers import refuse_failure

MAX_BODY = 64 << 10  # bytes of a request's body, except of an upload

_decode = msgspec.json.Decoder(dict[str, Any]).decode


class AsyncResource(Resource):
    """A resource whose `respond` answers. `access` finds the session of a request."""

    isLeaf = True

    def __init__(self, service: ChatService, access: AccessControl) -> None:
        super().__init__()
        self._service = service
        self._access = access

    def render(self, request: Request) -> int:
        """Start to answer, for any method. The answer is not cancelled when the connection is lost, so that
        a login, for example, is never left half done."""
        answering = Deferred.fromCoroutine(self.respond(request))
        answering.addErrback(self._failed, request)
        return int(NOT_DONE_YET)

    def _failed(self, failure: Failure, request: Request) -> None:
        refuse_failure(request, failure, self._service.context.new_reference)

    def respond(self, request: Request) -> Coroutine[Any, Any, None]:
        """Finish the request. A ChatError is a refusal; any other exception is an internal error."""
        raise NotImplementedError


def body_of(request: Request) -> dict[str, Any]:
    """The JSON object in the request's body. Raises BadSyntax, BodyTooLarge."""
    data = request.content.read(MAX_BODY + 1) if request.content is not None else b""
    if len(data) > MAX_BODY:
        raise BodyTooLarge(limit=MAX_BODY)
    try:
        return _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadSyntax(reason=f"{error}; send one JSON object") from None
