"""A client that sends files under keys, and fetches what was sent at other nodes."""

from __future__ import annotations

import hashlib
import time

from tests.nodes.clients import Client
from tests.nodes.operations import AGAIN, OK, Attempt, History, Operation, key_of
from tests.nodes.people import Place
from tests.nodes.sessions import GIVES_UP, PAUSE, Person, Session, Unanswered

SIZES = (1, 200_000)  # bytes
PIECES = 5  # in which a file is sent
REST = (0.5, 1.5)


class FileSender(Client):
    """Sends files to a group. `sent` has the codes of those that were acknowledged, with their SHA-256."""

    rest = REST

    def __init__(self, person: Person, history: History, seed: object, place: Place) -> None:
        super().__init__(person, history, seed)
        self.place = place
        self.sent: dict[str, str] = {}
        self.wrong: list[str] = []
        self._count = 0

    def act(self) -> None:
        self._send()
        code = self.random.choice([*self.sent, None])
        if code is not None:
            self.session.close()  # and fetch it at another node
            self.check(self.session, code)

    def _send(self) -> None:
        self._count += 1
        name = key_of(f"{self.name}-{self._count}") + ".bin"
        content = self.random.randbytes(self.random.randint(*SIZES))
        request = {
            "command": "sendgroupfile",
            **self.place.fields(self.session.person),
            "filename": name,
            "size": len(content),
            "key": key_of(name),
        }
        operation = self.operation("file", self.place.label, name, **request)
        until = self.history.running() + GIVES_UP
        while not self._attempt(operation, content) and self.history.running() < until:
            time.sleep(self.random.uniform(*PAUSE))
            self.session.close()
        self.history.add(operation)
        if operation.is_ok and operation.reply is not None:
            self.sent[operation.reply["code"]] = hashlib.sha256(content).hexdigest()

    def _attempt(self, operation: Operation, content: bytes) -> bool:
        """Send it once. Returns whether its outcome is known."""
        session = self.session
        attempt = Attempt(session.node, self.history.now())
        operation.attempts.append(attempt)
        try:
            talker = session.connect()
            attempt.node = session.node
            reply = session.ask(**operation.request)
            if reply["status"] == "READY":
                for start in range(0, len(content), len(content) // PIECES + 1):
                    talker.socket.sendall(content[start : start + len(content) // PIECES + 1])
                    time.sleep(self.random.uniform(0, 0.05))
                answer = talker.line()
                if answer is None:
                    raise ConnectionError
                reply = answer
        except (Unanswered, OSError):
            session.close()
            attempt.ended = self.history.now()
            return False
        attempt.ended = self.history.now()
        attempt.outcome = OK if reply["status"] == OK else reply["code"]
        if attempt.outcome not in AGAIN:
            operation.reply = reply
        return attempt.outcome not in AGAIN

    def check(self, session: Session, code: str) -> bool:
        """Fetch a file, and note if it is not what was sent. Returns whether it could be fetched."""
        try:
            talker = session.connect()
            reply = session.ask(command="getfile", code=code)
            if reply["status"] != OK:
                if reply["code"] not in AGAIN:
                    self.wrong.append(f"file {code}: {reply}")
                return reply["code"] not in AGAIN
            content = talker.bytes(reply["size"])
        except (Unanswered, OSError):
            session.close()
            return False
        if len(content) < reply["size"]:
            session.close()
            return False
        if hashlib.sha256(content).hexdigest() != self.sent[code]:
            self.wrong.append(f"file {code} has other bytes than were sent")
        return True

    def check_all(self, session: Session) -> None:
        """Check all files that were acknowledged."""
        for code in self.sent:
            for _ in range(10):
                if self.check(session, code):
                    break
            else:
                self.wrong.append(f"file {code} can't be fetched")
