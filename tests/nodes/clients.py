"""Clients that write, change and read, and those that join and leave."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from typing import Any

from tests.nodes.operations import AGAIN, OK, UNANSWERED, Attempt, History, Operation
from tests.nodes.people import Place, address_of
from tests.nodes.sessions import PAUSE, Person, Session, Unanswered

EMOJIS = ("👍", "🎉", "😀")
REST = (0.02, 0.2)  # seconds between operations
BURST = 8  # messages that are sent at once
#: A request that was made at a node which is stopped may be carried out when that continues.
FORGOTTEN_AFTER = 40.0


class Client(threading.Thread):
    """A thread that acts until `stop`. `failure` says what ended it before."""

    #: Seconds between operations, from and to.
    rest = REST

    def __init__(self, person: Person, history: History, seed: object) -> None:
        super().__init__(name=address_of(person), daemon=True)
        self.session = Session(person, history, seed)
        self.history = history
        self.random = self.session.random
        self.failure: str | None = None
        self._stopping = threading.Event()

    def run(self) -> None:
        try:
            while not self._stopping.is_set():
                self.act()
                self._stopping.wait(self.random.uniform(*self.rest))
        except Exception as error:  # the run reports it
            self.failure = f"{self.name}: {error!r}"
        finally:
            self.session.close()

    def stop(self) -> None:
        """End after the operation that is under way."""
        self._stopping.set()

    def act(self) -> None:
        """Do one thing."""
        raise NotImplementedError

    def operation(self, verb: str, place: str, name: str = "", **request: Any) -> Operation:
        return Operation(self.name, verb, place, request, name)


class Writer(Client):
    """Sends under keys to its conversations, edits, reacts to, and deletes what it has sent, and reads."""

    def __init__(
        self, person: Person, history: History, seed: object, places: Sequence[Place]
    ) -> None:
        super().__init__(person, history, seed)
        self.places = [place for place in places if self.name in place.members]
        self._sent: list[Operation] = []  # with a seq
        self.stale: list[str] = []  # reads that lack what was acknowledged to this client before
        self._newest: dict[str, int] = {}  # by place: the highest seq that was acknowledged
        self._count = 0
        self._place_of = {place.label: place for place in self.places}

    def act(self) -> None:
        chance = self.random.random()
        if chance < 0.62:
            self._send()
        elif chance < 0.72:
            self._burst()
        elif chance < 0.87:
            self._change()
        else:
            self._read()
        if self.random.random() < 0.03:
            self.session.close()  # and go to another node

    def new(self, place: Place) -> Operation:
        """A message that was not sent yet."""
        self._count += 1
        name = f"{self.name}:{self._count}"
        request = {**place.sending(self.session.person), "text": name, "key": f"k{self._count}"}
        return self.operation("send", place.label, name, **request)

    def _send(self) -> None:
        self.sent(self.session.settle(self.new(self.random.choice(self.places))))

    def sent(self, operation: Operation) -> None:
        if operation.is_ok and operation.seq is not None:
            newest = self._newest.get(operation.place, 0)
            self._newest[operation.place] = max(newest, operation.seq)
            self._sent.append(operation)
            del self._sent[:-50]

    def _burst(self) -> None:
        """Send several messages without waiting for replies. Those without a good one are sent again."""
        place = self.random.choice(self.places)
        operations = [self.new(place) for _ in range(BURST)]
        try:
            talker = self.session.connect()
        except Unanswered:
            return
        began = self.history.now()
        for operation in operations:
            operation.attempts.append(Attempt(self.session.node, began))
        lines = [json.dumps(operation.request) + "\r\n" for operation in operations]
        try:
            talker.socket.sendall("".join(lines).encode())
            for operation in operations:
                reply = talker.line()
                if reply is None:
                    raise ConnectionError
                self._note(operation, reply)
        except (OSError, ValueError):
            self.session.close()
        for operation in operations:
            attempt = operation.attempts[-1]
            if attempt.outcome == UNANSWERED:
                attempt.ended = self.history.now()
            if operation.reply is None:
                time.sleep(self.random.uniform(*PAUSE))
                self.session.settle(operation)
            else:
                self.history.add(operation)
            self.sent(operation)

    def _note(self, operation: Operation, reply: dict[str, Any]) -> None:
        attempt = operation.attempts[-1]
        attempt.ended = self.history.now()
        attempt.outcome = OK if reply["status"] == OK else reply["code"]
        if attempt.outcome not in AGAIN:
            operation.reply = reply

    def _change(self) -> None:
        if not self._sent:
            return
        sent = self.random.choice(self._sent)
        where = self._place_of[sent.place].fields(self.session.person)
        chance = self.random.random()
        rest: dict[str, Any] = {"seq": sent.seq}
        if chance < 0.5:
            verb, rest["text"] = "edit", f"{sent.name} edited {self._next()}"
        elif chance < 0.9:
            verb, rest["emoji"] = "react", self.random.choice(EMOJIS)
            rest["on"] = self.random.random() < 0.7
        else:
            verb = "delete"
            self._sent.remove(sent)
        self.session.settle(
            self.operation(verb, sent.place, sent.name, command=verb, **where, **rest)
        )

    def _next(self) -> int:
        self._count += 1
        return self._count

    def _read(self) -> None:
        place = self.random.choice(self.places)
        where = place.fields(self.session.person)
        self.session.once(self.operation("history", place.label, command="history", **where, n=10))


class Guest(Client):
    """Joins a group and leaves it, again and again, and writes to it. After it has left, it is refused."""

    def __init__(self, person: Person, history: History, seed: object, place: Place) -> None:
        super().__init__(person, history, seed)
        self.place = place
        self._count = 0
        self._doubt_until = 0.0

    def act(self) -> None:
        group = self.place.fields(self.session.person)
        join = self.operation("join", self.place.label, command="joingroup", **group)
        self._doubt(self.session.settle(join))
        for _ in range(self.random.randrange(1, 6)):
            self._doubt(self.session.settle(self._message("send")))
            time.sleep(self.random.uniform(*REST))
        leave = self.operation("leave", self.place.label, command="leavegroup", **group)
        self._doubt(self.session.settle(leave))
        if leave.code not in (None, "not-member"):
            raise AssertionError(f"{self.name} can't leave: {leave.reply}")
        if leave.reply is not None and self.history.now() > self._doubt_until:
            # Nothing that was asked before can make it a member again.
            self.session.settle(self._message("outside"))

    def _message(self, verb: str) -> Operation:
        self._count += 1
        name = f"{self.name}:{self._count}"
        request = {
            **self.place.sending(self.session.person),
            "text": name,
            "key": f"k{self._count}",
        }
        return self.operation(verb, self.place.label, name, **request)

    def _doubt(self, operation: Operation) -> None:
        if operation.is_doubtful:
            self._doubt_until = operation.ended + FORGOTTEN_AFTER
