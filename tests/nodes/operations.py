"""What clients have asked for, and what they were told: the history that is checked in the end."""

from __future__ import annotations

import json
import re
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

UNANSWERED = "unanswered"
#: Seconds after which this process was stopped from outside, or has had no processor.
STOPPED = 2.0
OK = "OK"
#: Codes of replies after which nobody knows whether the request was carried out, or after which it was not
#: and may be later. The same request is made again then.
AGAIN = frozenset(
    {"storage-failed", "shutting-down", "busy", "realm-down", "peer-failed", "internal"}
)


@dataclass
class Attempt:
    """One request. Times are in seconds since the run began. `outcome` is OK, a code, or UNANSWERED."""

    node: int
    began: float
    ended: float = 0.0
    outcome: str = UNANSWERED

    @property
    def is_definite(self) -> bool:
        return self.outcome != UNANSWERED and self.outcome not in AGAIN


@dataclass
class Operation:
    """What one client wanted, with the requests that it made for it. `place` is the label of a conversation.
    `name` identifies the message of a send: it is the first word of its text, also after edits."""

    who: str
    verb: str
    place: str
    request: dict[str, Any]
    name: str = ""
    attempts: list[Attempt] = field(default_factory=list)
    reply: dict[str, Any] | None = None

    @property
    def began(self) -> float:
        return self.attempts[0].began

    @property
    def ended(self) -> float:
        """When the client knew the outcome."""
        return self.attempts[-1].ended

    @property
    def is_ok(self) -> bool:
        return self.reply is not None and self.reply["status"] == OK

    @property
    def code(self) -> str | None:
        """The code of the refusal, if it was refused."""
        return None if self.reply is None or self.is_ok else str(self.reply["code"])

    @property
    def seq(self) -> int | None:
        return None if self.reply is None else self.reply.get("seq")

    @property
    def is_doubtful(self) -> bool:
        """Whether one of its requests may be carried out at any time, since it had no definite answer."""
        return any(not attempt.is_definite for attempt in self.attempts)


def key_of(text: str) -> str:
    """A key for a message, in which only letters, digits, - and _ may be."""
    return re.sub(r"[^A-Za-z0-9-]", "_", text)[-64:]


class History:
    """All operations and faults of a run, also in a file with one JSON object a line. Any thread may add to
    it. `acknowledged` is when a message of a person of the realm was acknowledged last."""

    def __init__(self, path: Path, realm: str) -> None:
        self._realm = realm
        self.operations: list[Operation] = []
        #: From when to when this process did not run, and perhaps none did.
        self.stops: list[tuple[float, float]] = []
        self.acknowledged = 0.0
        self._lock = threading.Lock()
        self._clock = threading.Lock()
        self._seen = 0.0
        self._file: IO[str] = path.open("w")
        self._start = time.monotonic()

    def now(self) -> float:
        """Seconds since the run began. It is called several times a second, so it notices if this process
        did not run for a while."""
        with self._clock:
            now = time.monotonic() - self._start
            if now - self._seen > STOPPED:
                self.stops.append((self._seen, now))
            self._seen = now
        return now

    def running(self) -> float:
        """As `now`, without the time in which this process did not run."""
        now = self.now()
        return now - sum(end - start for start, end in list(self.stops))

    def add(self, operation: Operation) -> None:
        """Add an operation that is over."""
        with self._lock:
            self.operations.append(operation)
            if operation.is_ok and operation.verb == "send" and self._is_here(operation):
                self.acknowledged = self.now()
        facts = asdict(operation)
        for name, value in (operation.reply or {}).items():
            if isinstance(value, list):
                facts["reply"][name] = len(value)
        self.note("operation", **facts)

    def note(self, what: str, **facts: Any) -> None:
        """Write something else that has happened into the file."""
        line = json.dumps({"at": round(self.now(), 3), "what": what, **facts})
        with self._lock:
            if not self._file.closed:
                self._file.write(line + "\n")

    def _is_here(self, operation: Operation) -> bool:
        return operation.who.endswith(f"@{self._realm}")

    def has_stopped(self, began: float, ended: float) -> bool:
        """Whether this process did not run at some time between these two."""
        return any(stop < ended and began < start for stop, start in self.stops)

    def close(self) -> None:
        with self._lock:
            self._file.close()
