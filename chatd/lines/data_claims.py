"""Matches data connections to the requests whose files they carry.

The client of `tugas4` sends and fetches files on a second connection, which has nothing but the bytes of the
file. It is matched by its network address alone. To mix up no files, an address may have one request at a
time that waits for its data connection, which is its *claim*. If a second one begins, both fail, and data
connections from there are dropped for a while, until those that belong to the two must have come.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Protocol

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime

from chatd.base.errors import (
    Busy,
    ChatError,
    NoDataConnection,
    ShuttingDown,
    TransferBroken,
    TransferConflict,
)
from chatd.base.timers import Timer
from chatd.files.outgoing import Outgoing
from chatd.service.arriving import ArrivingFile

# The client connects 1.1 s after its request, and gives up after 10 s.
CLAIM_TIME = 12.0  # seconds that a claim waits for its data connection
BLOCK_TIME = 15.0  # seconds that data connections are dropped for after two claims
EARLY_TIME = 1.0  # seconds that a data connection may come before its request is read
MAX_ADDRESSES = 1000  # of claims, of early data connections, and of blocks


class DataStream(Protocol):
    """A data connection. Nothing is read from it before a transfer begins."""

    async def receive(self, upload: ArrivingFile) -> None:
        """Pass everything that arrives to `upload`, up to the end. Raises TransferBroken, ShuttingDown, and
        what `upload` raises."""

    async def send(self, file: Outgoing) -> None:
        """Send the bytes of `file`, and close. Raises TransferBroken, OSError."""

    def drop(self) -> None:
        """Use it for no transfer, or for none any more, without harm to its client."""

    def abort(self) -> None:
        """End it at once."""


class Claim:
    """A request whose file travels on a data connection from `address`."""

    def __init__(self, claims: DataClaims, address: str, clock: IReactorTime) -> None:
        self.address = address
        self._claims = claims
        self._timer = Timer(clock, self._expired)
        self._timer.start(CLAIM_TIME)
        self._stream: DataStream | None = None
        self._refused = False
        self._error: ChatError | None = None
        self._waiter: Deferred[DataStream] | None = None

    def connected(self) -> Deferred[DataStream]:
        """Fires with the data connection. Call it once. Fails with NoDataConnection, TransferConflict,
        TransferBroken, ShuttingDown."""
        if self._error is not None:
            return fail(self._error)
        if self._stream is not None:
            return succeed(self._stream)
        self._waiter = Deferred()
        return self._waiter

    def check(self) -> None:
        """Raises TransferBroken if it was abandoned."""
        if self._error is not None:
            raise self._error

    def refuse(self) -> None:
        """The request is refused. The client connects all the same, and must not be disturbed."""
        self._refused = True
        if self._stream is not None:
            self._stream.drop()

    def close(self) -> None:
        """Wait for no data connection any more: the client has gone on, or is gone."""
        self._claims.forget(self)
        self._timer.cancel()

    def abandon(self) -> None:
        """The connection of the request is lost, so its data connection is, too."""
        self.close()
        if self._stream is not None:
            self._stream.abort()
        self.fail(TransferBroken())

    # For DataClaims

    def take(self, stream: DataStream) -> None:
        """The data connection has come."""
        self._timer.cancel()
        self._stream = stream
        if self._refused:
            stream.drop()
        elif self._waiter is not None:
            waiter, self._waiter = self._waiter, None
            waiter.callback(stream)

    def fail(self, error: ChatError) -> None:
        """No data connection will come."""
        self._timer.cancel()
        self._error = error
        if self._waiter is not None:
            waiter, self._waiter = self._waiter, None
            waiter.errback(error)

    def _expired(self) -> None:
        self._claims.forget(self)
        self.fail(NoDataConnection(seconds=int(CLAIM_TIME)))


class DataClaims:
    """The claims of all requests, and the data connections that have not found theirs yet."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._claims: dict[str, Claim] = {}
        self._early: dict[str, tuple[DataStream, Timer]] = {}
        # Until when data connections from an address are dropped, the first to end first.
        self._blocked: OrderedDict[str, float] = OrderedDict()
        self._stopped = False

    def open(self, address: str) -> Claim:
        """A claim for a data connection from `address`. Raises TransferConflict, Busy, ShuttingDown."""
        if self._stopped:
            raise ShuttingDown
        other = self._claims.pop(address, None)
        if other is not None or self._is_blocked(address):
            self._block(address)
            error = TransferConflict(seconds=int(BLOCK_TIME))
            if other is not None:
                other.fail(error)
            raise error
        if len(self._claims) >= MAX_ADDRESSES:
            raise Busy
        claim = Claim(self, address, self._clock)
        early = self._early.pop(address, None)
        if early is None:
            self._claims[address] = claim
        else:
            stream, timer = early
            timer.cancel()
            claim.take(stream)
        return claim

    def forget(self, claim: Claim) -> None:
        """`claim` takes no data connection any more."""
        if self._claims.get(claim.address) is claim:
            del self._claims[claim.address]

    def arrived(self, address: str, stream: DataStream) -> None:
        """A data connection from `address` has come."""
        claim = self._claims.pop(address, None)
        if claim is not None:
            claim.take(stream)
        elif (
            self._stopped
            or self._is_blocked(address)
            or address in self._early
            or len(self._early) >= MAX_ADDRESSES
        ):
            stream.drop()
        else:
            timer = Timer(self._clock, lambda: self._too_early(address))
            timer.start(EARLY_TIME)
            self._early[address] = stream, timer

    def lost(self, address: str, stream: DataStream) -> None:
        """A data connection is gone."""
        early = self._early.get(address)
        if early is not None and early[0] is stream:
            early[1].cancel()
            del self._early[address]

    def stop(self) -> None:
        """The realm stops: all claims fail."""
        self._stopped = True
        claims, self._claims = self._claims, {}
        for claim in claims.values():
            claim.fail(ShuttingDown())
        for address in list(self._early):
            self._too_early(address)

    def _too_early(self, address: str) -> None:
        stream, timer = self._early.pop(address)
        timer.cancel()
        stream.drop()

    def _block(self, address: str) -> None:
        """Drop data connections from `address` for a while from now on."""
        self._blocked[address] = self._clock.seconds() + BLOCK_TIME
        self._blocked.move_to_end(address)
        if len(self._blocked) > MAX_ADDRESSES:
            self._blocked.popitem(last=False)

    def _is_blocked(self, address: str) -> bool:
        now = self._clock.seconds()
        while self._blocked and next(iter(self._blocked.values())) <= now:
            self._blocked.popitem(last=False)
        return address in self._blocked
