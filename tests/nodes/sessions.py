"""A client of the realm that changes to another node when one does not answer."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.nodes.operations import AGAIN, OK, UNANSWERED, Attempt, History, Operation
from tests.support.talker import Talker

ANSWERS_WITHIN = 4.0  # seconds; then the client tries another node
PAUSE = (0.05, 0.3)  # seconds between attempts
#: A client that has had no answer for that long gives up: the realm does not heal.
GIVES_UP = 90.0


class Unanswered(Exception):
    """The connection has ended, or nothing has come in time."""


@dataclass(frozen=True)
class Person:
    """An account, with a token for its sessions. `realm` is its realm."""

    name: str
    realm: str
    token: str
    ports: Sequence[int]  # of the nodes of its realm


class Session:
    """A session of a person, at one node at a time. Used in one thread."""

    def __init__(self, person: Person, history: History, seed: object) -> None:
        self.person = person
        self.history = history
        self.random = random.Random(f"{seed} {person.name}@{person.realm}")  # noqa: S311 - repeatable
        self.node = -1
        self.talker: Talker | None = None
        self.on_connected: Callable[[], None] | None = None

    def connect(self) -> Talker:
        """Return the connection, or a new one to a random node. Raises Unanswered."""
        if self.talker is None:
            self.node = self.random.randrange(len(self.person.ports))
            try:
                self.talker = Talker(self.person.ports[self.node], patience=ANSWERS_WITHIN)
                reply = self.talker.ask(command="resume", token=self.person.token)
            except OSError as error:
                self.close()
                raise Unanswered(str(error)) from None
            if reply["status"] != OK:
                self.close()
                if reply["code"] not in AGAIN:
                    self.history.note("refused", who=self.person.name, reply=reply)
                    raise AssertionError(f"{self.person.name} can't resume: {reply}")
                raise Unanswered(reply["code"])
            if self.on_connected is not None:
                self.on_connected()
        return self.talker

    def close(self) -> None:
        """Close the connection. The next request goes to a random node."""
        if self.talker is not None:
            with contextlib.suppress(OSError):
                self.talker.close()
            self.talker = None

    def ask(self, **request: Any) -> dict[str, Any]:
        """Return the reply to a request. Raises Unanswered, and closes the connection, if none comes."""
        talker = self.connect()
        try:
            return talker.ask(**request)
        except (OSError, ValueError) as error:
            self.close()
            raise Unanswered(str(error)) from None

    def attempt(self, operation: Operation) -> bool:
        """Make the request of an operation once. Returns whether its outcome is known then."""
        attempt = Attempt(self.node, self.history.now())
        try:
            self.connect()
            attempt.node = self.node
            operation.attempts.append(attempt)
            reply = self.ask(**operation.request)
        except Unanswered:
            if not operation.attempts or operation.attempts[-1] is not attempt:
                return False  # it was never sent
            attempt.outcome = UNANSWERED
            return False
        finally:
            attempt.ended = self.history.now()
        attempt.outcome = OK if reply["status"] == OK else reply["code"]
        if attempt.is_definite:
            operation.reply = reply
        return attempt.is_definite

    def settle(self, operation: Operation) -> Operation:
        """Make the request until its outcome is known, and add the operation to the history."""
        until = self.history.running() + GIVES_UP
        while not self.attempt(operation):
            if self.history.running() > until:
                break
            time.sleep(self.random.uniform(*PAUSE))
            if self.random.random() < 0.5:  # another node, perhaps
                self.close()
        self.history.add(operation)
        return operation

    def once(self, operation: Operation) -> Operation:
        """As `settle`, with one request only."""
        self.attempt(operation)
        if operation.attempts:
            self.history.add(operation)
        return operation
