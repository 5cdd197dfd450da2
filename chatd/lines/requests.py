"""Executes the requests of one connection and writes the replies in order.

Sends may overlap: they begin as they arrive, and their replies wait for one another. Any other request begins
when all earlier ones are answered, and nothing is read from the connection until then. So a client may
pipeline as much as it likes; what cannot begin yet stays in the socket.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatd.base.errors import BadToken, ChatError, InternalError, NoDataDoor
from chatd.base.replies import Reply
from chatd.commands.client import Client
from chatd.commands.results import (
    DownloadReply,
    ExpectUpload,
    LastReply,
    NumbersShown,
    ReplyWithFiles,
    Result,
)
from chatd.lines.data_claims import Claim
from chatd.lines.dialect import PartialRequest, Request
from chatd.lines.input_control import Hold
from chatd.lines.request_files import RequestFiles, Slot

if TYPE_CHECKING:
    from chatd.lines.protocol import ChatLineProtocol

MAX_OVERLAPPING = 256  # requests of one connection that may be waiting for the disk

log = Logger()


class RequestQueue:
    """The requests of `host` that are under way. `files` transfers their files."""

    __slots__ = ("_host", "_next", "_slots", "files")

    def __init__(self, host: ChatLineProtocol) -> None:
        self._host = host
        # An empty list has a tenth of the size of an empty deque, and every connection has one.
        self._slots: list[Slot] = []
        self._next: Request | PartialRequest | None = None  # begins when the slots are empty
        self.files = RequestFiles(host, self)

    def __bool__(self) -> bool:
        """Whether any request is not answered yet."""
        return bool(self._slots)

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def claim(self) -> Claim | None:
        """The claim of the request under way. Such a request does not overlap with others."""
        return self._slots[0].claim if self._slots else None

    # Executing

    def submit(self, request: Request | PartialRequest) -> None:
        """Begin `request` now, or when it may."""
        host, slots = self._host, self._slots
        if self.files.offer is not None:
            self.files.withdraw()
        if slots and not (
            request.row.overlaps
            and (type(request) is Request or not host.connection.must_look_up(request.token))
        ):
            self._next = request
            host.flow.hold(Hold.COMMAND)
            return
        slot = Slot(host.dialect, request)
        slots.append(slot)
        try:
            if type(request) is Request:
                result = host.connection.own.execute(request.command)
            else:
                result = self._execute_partial(slot, request)
        except ChatError as error:
            self.refuse(slot, error)
        except Exception:
            self._failed(Failure(), slot)
        else:
            if not isinstance(result, Deferred):
                self._complete(result, slot)
                return
            if not result.called and (not request.row.overlaps or len(slots) >= MAX_OVERLAPPING):
                host.flow.hold(Hold.COMMAND)
            # As in `await_result`, without a call: this is done for every message.
            result.addCallbacks(self._complete, self._failed, (slot,), {}, (slot,))

    def _execute_partial(self, slot: Slot, request: PartialRequest) -> Result | Deferred[Result]:
        connection = self._host.connection
        if request.aside:
            slot.claim = self.files.open_claim()
        token = request.token
        if token is None or not connection.must_look_up(token):
            return self._execute_as(connection.find(token), slot, request)
        # Even a send has to wait for the look-up, so that later ones do not overtake it.
        self._host.flow.hold(Hold.COMMAND)
        return Deferred.fromCoroutine(self._look_up_and_execute(token, slot, request))

    async def _look_up_and_execute(self, token: str, slot: Slot, request: PartialRequest) -> Result:
        client = await self._host.connection.look_up(token)
        result = self._execute_as(client, slot, request)
        return await result if isinstance(result, Deferred) else result

    def _execute_as(
        self, found: Client | None, slot: Slot, request: PartialRequest
    ) -> Result | Deferred[Result]:
        """Execute a request for `found`, whose token it has, or else for the connection's own client."""
        host = self._host
        client = found or host.connection.own
        host.flow.charge(client.session, host.factory.clock.seconds())
        if found is None and request.required:
            raise BadToken
        client.admit(request.row)
        if request.aside and slot.claim is None:
            raise NoDataDoor
        complete = slot.request = request.read(found is not None)
        return client.execute(complete.command)

    # Results

    def await_result(self, slot: Slot, result: Deferred[Result]) -> None:
        """Answer when there is a result."""
        result.addCallbacks(self._complete, self._failed, (slot,), {}, (slot,))

    def _complete(self, result: Result, slot: Slot) -> None:
        try:
            match result:
                case Reply():
                    self.answer(slot, slot.dialect.reply(slot.request, result))
                case ExpectUpload():
                    self.files.receive(slot, result)
                case DownloadReply() | ReplyWithFiles():
                    self.files.send(slot, result)
                case LastReply():
                    self.answer(slot, slot.dialect.reply(slot.request, result.reply))
                    self._host.close()
                case NumbersShown():
                    self.answer(slot, slot.dialect.reply(slot.request, result.reply))
                    self._host.show_numbers(result.on)
                case _:
                    assert_never(result)
        except Exception:
            self._failed(Failure(), slot)

    def _failed(self, failure: Failure, slot: Slot) -> None:
        error = failure.value
        if not isinstance(error, ChatError):
            error = self.unexpected(failure)
        self.refuse(slot, error)

    def refuse(self, slot: Slot, error: ChatError) -> None:
        """Answer with `error`."""
        if slot.claim is not None:
            self.files.refuse(slot.claim)
        self._count(error)
        self.answer(slot, slot.dialect.error(error, slot.request.tag))

    def unexpected(self, failure: Failure) -> InternalError:
        """Log an unexpected exception. Returns an error with the reference of the log entry."""
        host = self._host
        error = InternalError(reference=host.factory.service.context.new_reference())
        session = host.connection.own.session
        log.failure(
            "internal error {reference} on connection {connection}, session {session}",
            failure,
            reference=error.details["reference"],
            connection=host.connection.origin.number,
            session=None if session is None else session.number,
        )
        return error

    def answer(self, slot: Slot, answer: bytes) -> None:
        """Put the answer in its place, and write all answers whose turn has come."""
        slots, host = self._slots, self._host
        slot.answer = answer
        while slots and (ready := slots[0].answer) is not None:
            del slots[0]
            host.output.write(ready)
        if slots:
            # With `_next`, the hold lasts until the slots are empty.
            if (
                host.flow.reasons & Hold.COMMAND
                and self._next is None
                and len(slots) < MAX_OVERLAPPING // 2
            ):
                host.flow.release(Hold.COMMAND)
            return
        if self._next is not None:
            request, self._next = self._next, None
            self.submit(request)
            if slots:
                return
        if host.flow.reasons & Hold.COMMAND:
            host.flow.release(Hold.COMMAND)
        if not slots and self._next is None:
            host.idle()

    # What is written besides replies

    def say(self, data: bytes) -> None:
        """Write `data` after the replies to all requests that have begun."""
        if self.files.offer is not None:
            self.files.withdraw()
        if self._slots:
            self._slots.append(Slot(self._host.dialect, answer=data))
        else:
            self._host.output.write(data)

    def refusal(self, error: ChatError, tag: Any) -> bytes:
        """`error` in the dialect. Counts it."""
        self._count(error)
        return self._host.dialect.error(error, tag)

    def _count(self, error: ChatError) -> None:
        self._host.factory.service.counters.errors[error.code] += 1

    def refuse_line(self, error: ChatError, tag: Any = None) -> None:
        """Answer a line that is no request."""
        self.say(self.refusal(error, tag))
