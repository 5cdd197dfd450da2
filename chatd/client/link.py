"""The client's connection to its realm: requests with ids, keep-alive, and reconnecting.

A `Link` matches replies to requests by id and passes events on. The `Reconnector` connects again when the
link is lost, to any node of the realm, with exponential backoff and jitter, so that a node is not flooded by
all clients of another one at once.
"""

from __future__ import annotations

import asyncio
import enum
import itertools
import random
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import msgspec

from chatd.client.connection import (
    CONNECT_TIME,
    FIRST_TIME,
    Connection,
    ConnectionFailed,
    ConnectionLost,
    Reached,
    Target,
)
from chatd.client.nodes import Attempt, Nodes

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
        self.reason = ""  # why it was lost: a sentence

    @property
    def target(self) -> Target:
        """The address at the other end."""
        return self._connection.endpoint.target

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
            self.reason = str(reason)
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
    time. `reason`: why the link was lost or the last attempt failed. `target`: the address that is tried or
    used, of so many `addresses`."""

    phase: Phase = Phase.CONNECTING
    tries: int = 0
    next_try: float = 0.0
    reason: str = ""
    target: Target | None = None
    addresses: int = 1


class Reconnector:
    """Provides a link to one of the nodes, and replaces it when it is lost. After `attempts` failed attempts
    it gives up; None: never."""

    def __init__(
        self,
        nodes: Nodes,
        callbacks: Callbacks,
        attempts: int | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.nodes = nodes
        self.status = LinkStatus(addresses=len(nodes.addresses.targets))
        self._link: Link | None = None
        self._callbacks = callbacks
        self.attempts = attempts
        self._sleep = sleep
        self._jitter = jitter
        self._changed = asyncio.Event()  # there is a link, or there will be none any more

    async def link(self) -> Link:
        """Wait for a link and return it. Raises as `end` does if there will be none."""
        while self._link is None or self._link.lost:
            if self._task.done():
                await self.end()
            self._changed.clear()
            await self._changed.wait()
        return self._link

    async def end(self) -> None:
        """Wait until it has given up. Raises ConnectionLost, or what an event has raised."""
        await asyncio.wait({self._task})
        if not self._task.cancelled():
            self._task.result()
        raise ConnectionLost(self.status.reason, sent=False)

    @property
    def is_up(self) -> bool:
        return self._link is not None and not self._link.lost

    async def first(self) -> Target:
        """Connect for the first time: each address is tried once. Return the one that answered. Raises
        ConnectionFailed."""
        attempt = self.nodes.attempt(FIRST_TIME, self._is_trying)
        connection = await attempt.next()
        if connection is None:
            raise attempt.failure()
        self._task = asyncio.create_task(self._run(attempt, connection))
        self._task.add_done_callback(lambda _task: self._changed.set())
        return connection.endpoint.target

    async def _run(self, attempt: Attempt, connection: Connection | None) -> None:
        """Keep a link until it is lost and `attempts` have failed."""
        while True:
            while connection is not None and not await self._live(attempt, connection):
                connection = await attempt.next()
            if connection is None:
                self.status.reason = str(attempt.failure())
            if self.attempts is not None and self.status.tries >= self.attempts:
                self._become(Phase.CLOSED)
                return
            self.status.tries += 1
            await self._pause()
            self._become(Phase.CONNECTING)
            attempt = self.nodes.attempt(CONNECT_TIME, self._is_trying)
            connection = await attempt.next()

    def _is_trying(self, target: Target) -> None:
        self.status.target = target
        self._callbacks.changed()

    async def _live(self, attempt: Attempt, connection: Connection) -> bool:
        """Use a connection until it is lost. Return whether the node could be used."""
        target = connection.endpoint.target
        link = Link(connection, self._callbacks.on_event)
        reading = asyncio.create_task(link.run())
        try:
            await self._callbacks.greet(link)
        except ConnectionLost as lost:
            link.abort()
            await reading
            attempt.failed(target, ConnectionFailed(str(lost), Reached.ANSWERED))
            return False
        self.nodes.works(connection.endpoint)
        self.status.tries = 0
        self.status.reason = ""
        self.status.target = target
        self._link = link
        self._changed.set()
        self._become(Phase.CONNECTED)
        await reading
        self.status.reason = link.reason
        return True

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

    def abort(self) -> None:
        """Reset the link, and stop reconnecting."""
        self._task.cancel()
        if self._link is not None:
            self._link.abort()

    async def close(self) -> None:
        """Close the link and stop reconnecting."""
        self._become(Phase.CLOSED)
        if self._link is not None:
            await self._link.leave()
        self._task.cancel()
