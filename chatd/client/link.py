"""The client's connection to its realm: requests with ids, keep-alive, and reconnecting.

A `Link` matches replies to requests by id and passes events on. The `Reconnector` dials again when the link
is lost, with exponential backoff and jitter, so that a restarted realm is not flooded by all clients at once.
"""

from __future__ import annotations

import asyncio
import enum
import itertools
import random
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import msgspec

from chatd.client.connection import Connection, ConnectionFailed, ConnectionLost, Target

PING_EVERY = 25.0  # seconds of silence; a realm closes a connection without a login after 60
PING_TIME = 15.0  # seconds for an answer
FIRST_PAUSE = 0.5
LAST_PAUSE = 30.0

Reply = dict[str, Any]


class RequestChannel(Protocol):
    """Sends requests: a Link, or a fake in tests."""

    async def ask(self, command: str, **arguments: Any) -> Reply: ...


class Link:
    """Requests, replies and events on one connection. `run` reads until the connection is lost."""

    def __init__(self, connection: Connection, on_event: Callable[[Reply], None]) -> None:
        self._connection = connection
        self._on_event = on_event
        self._ids = itertools.count(1)
        self._asked: dict[int, asyncio.Future[Reply]] = {}
        self._heard = asyncio.get_running_loop().time()
        self.lost = False

    async def ask(self, command: str, **arguments: Any) -> Reply:
        """Send a request and return its reply, OK or not. Raises ConnectionLost."""
        if self.lost:
            raise ConnectionLost(sent=False)
        number = next(self._ids)
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._asked[number] = future
        self._connection.send({"id": number, "command": command, **arguments})
        try:
            return await future
        finally:
            self._asked.pop(number, None)

    async def run(self) -> None:
        """Dispatch replies and events until the connection ends. Raises only CancelledError."""
        pinging = asyncio.create_task(self._keep_alive())
        reason: ConnectionLost = ConnectionLost()
        try:
            while True:
                said = await self._connection.read()
                self._heard = asyncio.get_running_loop().time()
                if "event" in said:
                    self._on_event(said)
                elif (future := self._asked.get(said.get("id", 0))) and not future.done():
                    future.set_result(said)
        except ConnectionLost as lost:
            reason = lost
        finally:
            pinging.cancel()
            self.lost = True
            self._connection.abort()
            for future in self._asked.values():
                if not future.done():
                    future.set_exception(ConnectionLost(str(reason)))

    async def _keep_alive(self) -> None:
        """Ping after a silence, to notice a dead network or a realm that hangs."""
        loop = asyncio.get_running_loop()
        while True:
            left = self._heard + PING_EVERY - loop.time()
            if left > 0:
                await asyncio.sleep(left)
                continue
            try:
                async with asyncio.timeout(PING_TIME):
                    await self.ask("ping")
            except ConnectionLost:
                return
            except TimeoutError:
                self._connection.abort()
                return

    async def leave(self) -> None:
        """Send `quit`, which confirms everything received, and close."""
        if not self.lost:
            try:
                async with asyncio.timeout(2):
                    await self.ask("quit")
            except (ConnectionLost, TimeoutError):
                pass
        self.lost = True
        await self._connection.close()

    def abort(self) -> None:
        self._connection.abort()


class Callbacks(msgspec.Struct, frozen=True):
    """What a Reconnector calls: `on_event` with each event, `greet` to prepare each new link before others
    use it, and `changed` when the status changes."""

    on_event: Callable[[Reply], None]
    greet: Callable[[Link], Awaitable[None]]
    changed: Callable[[], None]


class Phase(enum.StrEnum):
    """What a Reconnector is doing. WAITING: for the time of its next attempt."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    WAITING = "waiting"
    CLOSED = "closed"


class LinkStatus(msgspec.Struct):
    """`tries`: failed attempts since the last link. `next_try`: when the next attempt begins, in the loop's
    time. `reason`: why the last attempt failed."""

    phase: Phase = Phase.CONNECTING
    tries: int = 0
    next_try: float = 0.0
    reason: str = ""


class Reconnector:
    """Provides a link, and replaces it when it is lost."""

    def __init__(
        self,
        target: Target,
        callbacks: Callbacks,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[float, float], float] = random.uniform,
        dial: Callable[[Target], Awaitable[Connection]] = Connection.open,
        dial_first: Callable[[Target], Awaitable[Connection]] | None = None,
    ) -> None:
        self.target = target
        self.status = LinkStatus()
        self._link: Link | None = None
        self._callbacks = callbacks
        self._sleep = sleep
        self._jitter = jitter
        self._dial = dial
        self._dial_first = dial_first or dial
        self._up = asyncio.Event()
        self._down = asyncio.Event()

    async def link(self) -> Link:
        """Wait for a link and return it."""
        while self._link is None or self._link.lost:
            self._up.clear()
            await self._up.wait()
        return self._link

    async def lost(self) -> None:
        """Wait until the link is lost."""
        await self._down.wait()

    @property
    def is_up(self) -> bool:
        return self._link is not None and not self._link.lost

    async def first(self) -> None:
        """Connect for the first time, without retries. Raises ConnectionFailed."""
        connection = await self._dial_first(self.target)
        self._task = asyncio.create_task(self._run(connection))

    async def _run(self, connection: Connection | None) -> None:
        while True:
            if connection is not None:
                await self._live(connection)
            self.status.tries += 1
            await self._pause()
            self._become(Phase.CONNECTING)
            try:
                connection = await self._dial(self.target)
            except ConnectionFailed as no_link:
                connection = None
                self.status.reason = str(no_link)

    async def _live(self, connection: Connection) -> None:
        """Use a connection until it is lost."""
        link = Link(connection, self._callbacks.on_event)
        reading = asyncio.create_task(link.run())
        try:
            await self._callbacks.greet(link)
        except ConnectionLost as lost:
            self.status.reason = str(lost)
            link.abort()
        else:
            self.status.tries = 0
            self.status.reason = ""
            self._link = link
            self._down.clear()
            self._up.set()
            self._become(Phase.CONNECTED)
        await reading
        self._up.clear()
        self._down.set()

    async def _pause(self) -> None:
        """Wait before the next attempt: half of the pause is fixed, the other half random."""
        longest = min(FIRST_PAUSE * 2 ** (self.status.tries - 1), LAST_PAUSE)
        pause = longest / 2 + self._jitter(0, longest / 2)
        self.status.next_try = asyncio.get_running_loop().time() + pause
        self._become(Phase.WAITING)
        await self._sleep(pause)

    def _become(self, phase: Phase) -> None:
        self.status.phase = phase
        self._callbacks.changed()

    async def close(self) -> None:
        """Close the link and stop reconnecting."""
        self._become(Phase.CLOSED)
        if self._link is not None:
            await self._link.leave()
        self._task.cancel()
