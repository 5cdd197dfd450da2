"""Answers over HTTP: the objects of the json dialect, with the status that fits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from chatd.base import errors
from chatd.base.errors import ChatError
from chatd.lines.dialects.json_text import encode

# The first row with the error's class applies.
_STATUSES: tuple[tuple[tuple[type[ChatError], ...], HTTPStatus], ...] = (
    ((errors.NotLoggedIn, errors.BadToken, errors.WrongPassword), HTTPStatus.UNAUTHORIZED),
    (
        (
            errors.AlreadyClaimed,
            errors.BadInvitation,
            errors.BadResetLink,
            errors.Banned,
            errors.ForeignOrigin,
            errors.GroupClosed,
            errors.GroupShut,
            errors.Muted,
            errors.InvitationNeeded,
            errors.NotAdmin,
            errors.NotInRoom,
            errors.NotMember,
            errors.NotModerator,
            errors.NotOperator,
            errors.OnlyOperator,
            errors.OwnAccount,
            errors.AccountDisabled,
            errors.NotYourPicture,
            errors.RegistrationClosed,
            errors.WrongCode,
        ),
        HTTPStatus.FORBIDDEN,
    ),
    (
        (
            errors.UnknownPage,
            errors.NoImport,
            errors.UnknownFile,
            errors.UnknownPicture,
            errors.UnknownUser,
            errors.UnknownGroup,
        ),
        HTTPStatus.NOT_FOUND,
    ),
    ((errors.ForeignHost,), HTTPStatus.MISDIRECTED_REQUEST),
    ((errors.BadMethod,), HTTPStatus.METHOD_NOT_ALLOWED),
    (
        (errors.UserExists, errors.AlreadyMember, errors.UploadOffset, errors.ImportUnfinished),
        HTTPStatus.CONFLICT,
    ),
    ((errors.BadPicture,), HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
    ((errors.LengthRequired,), HTTPStatus.LENGTH_REQUIRED),
    (
        (errors.BodyTooLarge, errors.FileTooLarge, errors.QuotaExceeded),
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    ),
    ((errors.DiskFull,), HTTPStatus.INSUFFICIENT_STORAGE),
    ((errors.FileMissing, errors.FileDamaged, errors.FileLost), HTTPStatus.GONE),
    (
        (
            errors.ExportUnfinished,
            errors.TooManyAttempts,
            errors.TooManyCodes,
            errors.TooManyExports,
            errors.TooManyImports,
            errors.TooManyFailedJoins,
            errors.TooManyRegistrations,
            errors.TooManyTakenNames,
            errors.TooManyUploads,
            errors.MessageQuota,
        ),
        HTTPStatus.TOO_MANY_REQUESTS,
    ),
    (
        (
            errors.Busy,
            errors.FileArriving,
            errors.TooManyConnections,
            errors.ShuttingDown,
            errors.StorageFailed,
        ),
        HTTPStatus.SERVICE_UNAVAILABLE,
    ),
    ((errors.InternalError,), HTTPStatus.INTERNAL_SERVER_ERROR),
)

log = Logger()


def status_of(error: ChatError) -> HTTPStatus:
    """The HTTP status (RFC 9110, 15) for `error`."""
    for classes, status in _STATUSES:
        if isinstance(error, classes):
            return status
    return HTTPStatus.BAD_REQUEST


def is_lost(request: Any) -> bool:
    """Whether the connection of the request is gone."""
    return request.channel is None


def answer(request: Request, body: Mapping[str, Any], status: HTTPStatus = HTTPStatus.OK) -> None:
    """Finish `request` with an object, unless its connection is gone."""
    if is_lost(request):
        return
    data = encode({"status": "OK" if status < HTTPStatus.BAD_REQUEST else "ERROR", **body})
    request.setResponseCode(status)
    request.setHeader(b"Content-Type", b"application/json; charset=utf-8")
    request.setHeader(b"Cache-Control", b"no-store")
    request.setHeader(b"Content-Length", str(len(data)).encode())
    if request.method != b"HEAD":
        request.write(data)
    request.finish()


def refuse(request: Request, error: ChatError) -> None:
    """Finish `request` with a refusal, and count the error at its ChatSite."""
    site: Any = request.site
    site.errors[error.code] += 1
    answer(request, {"code": error.code, "message": str(error)}, status_of(error))


class Refusal(Resource):
    """Refuses every request with the same error, without reading its body."""

    isLeaf = True
    streamed = (b"PUT", b"POST", b"PATCH", b"DELETE")

    def __init__(self, error: ChatError) -> None:
        super().__init__()
        self._error = error

    def render(self, request: Request) -> int:
        refuse(request, self._error)
        return int(NOT_DONE_YET)


def refuse_failure(request: Request, failure: Failure, new_reference: Callable[[], str]) -> None:
    """Finish `request` with the error. An unexpected exception is logged with a reference."""
    error = failure.value
    if not isinstance(error, ChatError):
        error = errors.InternalError(reference=new_reference())
        log.failure(
            "internal error {reference} over HTTP", failure, reference=error.details["reference"]
        )
    refuse(request, error)
