"""Connections to the nodes of a realm: which address is tried next, and how long.

An attempt tries each address of each host once: first the one that worked last, then the other hosts in
random order, so that the clients of a node that has failed spread over the others. Waiting between attempts
is the business of chatd.client.link.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Awaitable, Callable

from chatd.client.addresses import Addresses
from chatd.client.connection import (
    CONNECT_TIME,
    Connection,
    ConnectionFailed,
    Endpoint,
    Patience,
    Target,
    resolve,
)
from chatd.client.translations import tr

SEVERAL_TIME = 5.0  # seconds for a connection to one of several addresses

Resolve = Callable[[Target], Awaitable[list[Endpoint]]]
Dial = Callable[[Endpoint, Patience], Awaitable[Connection]]


class Nodes:
    """The nodes of a realm. `preferred` is the one of its targets to begin with."""

    def __init__(
        self,
        addresses: Addresses,
        resolve: Resolve = resolve,
        dial: Dial = Connection.open,
        shuffle: Callable[[list[Target]], None] = random.shuffle,
    ) -> None:
        self.addresses = addresses
        self.preferred: Target | None = None
        self.resolve = resolve
        self.dial = dial
        self._shuffle = shuffle
        self._last: Endpoint | None = None
        self._balanced = False  # a name has several addresses of one family

    @property
    def several(self) -> bool:
        """Whether the realm seems to have several nodes. A host may have an IPv4 and an IPv6 address."""
        return self.addresses.several or self._balanced

    @property
    def current(self) -> Target:
        """The target that worked last, or else the one to begin with."""
        return self._last.target if self._last is not None else self._begin_with

    @property
    def _begin_with(self) -> Target:
        targets = self.addresses.targets
        return self.preferred if self.preferred in targets else targets[0]

    def works(self, endpoint: Endpoint) -> None:
        """Begin with this endpoint from now on."""
        self._last = endpoint

    def attempt(
        self, reply: float = CONNECT_TIME, trying: Callable[[Target], None] = lambda target: None
    ) -> Attempt:
        """Begin an attempt. `reply` is how long an address has for its first reply, in seconds; `trying` is
        called with each target before it is tried."""
        return Attempt(self, reply, trying)

    def in_turn(self) -> list[Target]:
        """The targets in the order of an attempt."""
        others = [each for each in self.addresses.targets if each != self.current]
        if self._last is not None:
            self._shuffle(others)
        return [self.current, *others]

    async def endpoints(self, target: Target) -> list[Endpoint]:
        """Those of a target, with the one that worked last first. Raises ConnectionFailed."""
        found = await self.resolve(target)
        families = [each.family for each in found]
        self._balanced = self._balanced or len(set(families)) < len(families)
        return sorted(found, key=lambda each: each != self._last)


class Attempt:
    """One attempt to reach a realm. `next` returns connections until no address is left."""

    def __init__(self, nodes: Nodes, reply: float, trying: Callable[[Target], None]) -> None:
        self._nodes = nodes
        self._reply = reply
        self._trying = trying
        self._targets = deque(nodes.in_turn())
        self._endpoints: deque[Endpoint] = deque()
        self._alone = False  # there is nothing else to try
        self._failures: dict[Target, ConnectionFailed] = {}

    async def next(self) -> Connection | None:
        """A connection to the next node that answers as a realm; None if no address is left."""
        while self._endpoints or self._targets:
            if not self._endpoints:
                await self._look_up(self._targets.popleft())
                continue
            endpoint = self._endpoints.popleft()
            limit = CONNECT_TIME if self._alone else SEVERAL_TIME
            patience = Patience(limit, min(limit, self._reply))
            try:
                return await self._nodes.dial(endpoint, patience)
            except ConnectionFailed as failure:
                self.failed(endpoint.target, failure)
        return None

    async def _look_up(self, target: Target) -> None:
        self._trying(target)
        try:
            self._endpoints.extend(await self._nodes.endpoints(target))
        except ConnectionFailed as failure:
            self.failed(target, failure)
        self._alone = not self._nodes.addresses.several and len(self._endpoints) == 1

    def failed(self, target: Target, failure: ConnectionFailed) -> None:
        """Note why a target can't be used. Of several reasons, the one that came farthest stays."""
        before = self._failures.get(target)
        if before is None or before.reached < failure.reached:
            self._failures[target] = failure

    def failure(self) -> ConnectionFailed:
        """Why no address could be used, in one text."""
        sentences = list(dict.fromkeys(map(str, self._failures.values())))
        if len(self._failures) < 2 or len(sentences) == 1:
            return next(iter(self._failures.values()), ConnectionFailed(""))
        head = tr("None of the {n} addresses can be used", n=len(self._nodes.addresses.targets))
        return ConnectionFailed(". ".join([head, *sentences]))
