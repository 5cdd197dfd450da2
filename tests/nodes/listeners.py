"""Clients that follow all their conversations: live, and by `sync` where something is missing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.nodes.clients import Client
from tests.nodes.operations import OK, History
from tests.nodes.sessions import Person, Session, Unanswered
from tests.support.processes import can_be_read

PAGE = 500
PING_EVERY = 1.0  # seconds
MOVES = 0.01  # the probability that it changes to another node, after each ping
ENTRIES = frozenset({"message", "edited", "deleted", "reaction", "pinned", "member", "group"})

#: An entry as a client sees it; the fields that later changes alter are not compared.
Entry = dict[str, Any]


@dataclass
class Followed:
    """A conversation, as a client has it. `end` is the last seq up to which it has all entries."""

    entries: dict[int, Entry] = field(default_factory=dict)
    end: int = 0

    def ends_with(self, name: str) -> bool:
        """Whether a message of that name, by whomever, is among the last entries."""
        last = sorted(dict(self.entries))[-5:]
        return any(first_word(self.entries[seq]).endswith(f":{name}") for seq in last)

    def add(self, entry: Entry) -> None:
        self.entries[entry["seq"]] = entry
        while self.end + 1 in self.entries:
            self.end += 1


def entries_after(session: Session, conversation: int, after: int) -> Iterator[Entry]:
    """The entries of a conversation after a seq. Raises Unanswered."""
    while True:
        reply = session.ask(command="sync", conversation=conversation, after=after, n=PAGE)
        if reply["status"] != OK:
            raise Unanswered(reply["code"])
        found = reply["entries"]
        yield from found
        if not reply["more"] or not found:
            return
        after = found[-1]["seq"]


class Listener(Client):
    """Listens. `arrivals` are, for each live event of a message, the first word of its text, when it came,
    and since when this connection has been there, and to which node."""

    rest = (0.0, 0.0)

    def __init__(self, person: Person, history: History, seed: object) -> None:
        super().__init__(person, history, seed)
        self.logs: dict[int, Followed] = {}
        self.arrivals: list[tuple[str, float, float, int]] = []
        self.again = 0  # entries that came live although the client had them
        self.filled = 0  # entries that came by `sync`
        self.differing: list[str] = []
        self.connected: list[tuple[float, float]] = []  # from when to when it was answered
        self._since = 0.0
        self._next_ping = 0.0
        self.session.on_connected = self._begin

    def act(self) -> None:
        try:
            talker = self.session.connect()
            now = time.monotonic()
            if now >= self._next_ping:
                self._next_ping = now + PING_EVERY
                self._ping()
                if self.random.random() < MOVES:
                    self._end()
                    return
            elif can_be_read(talker.socket.fileno(), self._next_ping - now):
                talker.socket.settimeout(self._next_ping - now + 0.5)
                self._ping()  # the events come before the reply
            self._take()
        except (Unanswered, OSError):
            self._end()

    def _ping(self) -> None:
        asked = self.history.now()
        self.session.ask(command="ping")
        if self.connected:
            self.connected[-1] = (self._since, asked)

    def _begin(self) -> None:
        """Listen, and catch up with what was missed."""
        self._since = self.history.now()
        self.connected.append((self._since, self._since))
        session = self.session
        assert session.talker is not None
        for request in (
            {"command": "listen", "on": True, "all": True},
            {"command": "sync", "n": PAGE},
        ):
            reply = session.ask(**request)
            if reply["status"] != OK:
                session.close()
                raise Unanswered(reply["code"])
        for each in reply["conversations"]:
            followed = self.logs.setdefault(each["conversation"], Followed())
            if each["seq"] > followed.end:
                self._fill(each["conversation"])

    def _end(self) -> None:
        self.session.close()

    def _take(self) -> None:
        """Handle the events that have come."""
        talker = self.session.talker
        while talker is not None and talker.events:
            event = talker.events.pop(0)
            if event["event"] in ENTRIES and event.get("seq") is not None:
                self._entry(event)
            talker = self.session.talker

    def _entry(self, event: Entry) -> None:
        followed = self.logs.setdefault(event["conversation"], Followed())
        seq = event["seq"]
        if event["event"] == "message":
            now = self.history.now()
            self.arrivals.append((first_word(event), now, self._since, self.session.node))
        entry = {"kind": event["event"], **event}
        if seq in followed.entries:
            self.again += 1
            known = followed.entries[seq]
            if identity(known) != identity(entry) and not {"deleted"} & {*known, *entry}:
                self.differing.append(f"{self.name}: {known} came again as {entry}")
            return
        followed.add(entry)
        if followed.end < seq:
            self._fill(event["conversation"])

    def _fill(self, conversation: int) -> None:
        followed = self.logs[conversation]
        for entry in entries_after(self.session, conversation, followed.end):
            if entry["seq"] not in followed.entries:
                self.filled += 1
                followed.add(entry)


def first_word(entry: Entry) -> str:
    """What identifies a message, also after edits: the first word of its text, or the name of its file."""
    if (file := entry.get("file")) is not None:
        return str(file["name"])
    return str(entry.get("text") or "").split(" ")[0]


def identity(entry: Entry) -> tuple[object, ...]:
    """What of an entry never changes, except that a deleted message has no text."""
    text = first_word(entry) if entry["kind"] == "message" else ""
    author = entry.get("from") or entry.get("who")
    return (entry["seq"], entry["kind"], author, entry.get("target"), text)
