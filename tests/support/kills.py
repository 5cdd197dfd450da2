"""`kill -9` of a real daemon under load: every acknowledged message is stored, once and in order.

`python -m tests.support.kills --kills 20` prints the counts. `tests.process.test_kills` kills less often.

In each round, senders pipeline numbered messages: most of them to one user each, the rest to a group of which
all these users are members. Some of the users are offline, the others read their inbox all the time. The
daemon is killed at a random moment, and another one starts on the same state. Then all users read until
nothing is left. A message is identified by its text (sender and number) and by its position (conversation and
seq), so that a message that is delivered again differs from two messages with the same text.
"""

from __future__ import annotations

import contextlib
import json
import random
import sqlite3
import sys
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.kill_report import Report, run_program
from tests.support.ports import free_port
from tests.support.processes import Daemon, configuration
from tests.support.talker import PATIENCE, Talker

READERS = 4  # users who receive messages; every other one reads all the time
POSTERS = 2  # users who write to the group
WINDOW = 64
MAX_MESSAGES = 3000  # of one sender in one round
GROUP = "crowd"

#: The position of a message: conversation and seq.
Position = tuple[int, int]


@dataclass
class KillReport(Report):
    """The counts of a number of kills. A message to the group counts once for each member."""

    kills: int = 0
    sent: int = 0
    acknowledged: int = 0
    found: int = 0
    lost: int = 0
    doubled: int = 0
    disordered: int = 0
    given_again: int = 0
    read_before: int = 0
    problems: list[str] = field(default_factory=list)


class Client(threading.Thread):
    """A thread with a connection that lasts until the daemon is killed. `failure` describes other errors."""

    def __init__(self, port: int, token: str) -> None:
        super().__init__(daemon=True)
        self.talker = Talker(port)
        self.talker.must(command="resume", token=token)
        self.failure: str | None = None

    def run(self) -> None:
        try:
            self.work()
        except ConnectionError:
            pass  # the daemon was killed
        except Exception as error:  # `await_end` reports it
            self.failure = repr(error)
        finally:
            with contextlib.suppress(OSError):
                self.talker.close()

    def work(self) -> None:
        raise NotImplementedError

    def await_end(self, report: Report) -> None:
        """Wait until the thread ends, and report what went wrong."""
        self.join(PATIENCE)
        if self.is_alive():
            report.problem(f"{type(self).__name__} did not notice the kill")
        elif self.failure is not None:
            report.problem(f"{type(self).__name__}: {self.failure}")


class Sender(Client):
    """Sends its numbered messages to one user or group, up to `WINDOW` unacknowledged ones at a time."""

    def __init__(self, port: int, token: str, label: str, place: dict[str, Any]) -> None:
        super().__init__(port, token)
        self.label = label
        self.place = place
        self.sent = 0
        self.acknowledged: dict[int, Position] = {}

    def work(self) -> None:
        while self.sent < MAX_MESSAGES or len(self.acknowledged) < self.sent:
            free = min(len(self.acknowledged) + WINDOW, MAX_MESSAGES) - self.sent
            # Many small packets would only load the sockets.
            if free >= WINDOW // 4 or not self.acknowledged or self.sent + free == MAX_MESSAGES:
                self._send(free)
            reply = self.talker.line()
            if reply is None:
                return
            self._acknowledge(reply)

    def _send(self, count: int) -> None:
        lines = []
        for number in range(self.sent, self.sent + count):
            request = {"id": number, **self.place, "text": f"{self.label} {number}"}
            lines.append(json.dumps(request) + "\r\n")
        # Counted first: the daemon may have received a part of what fails here.
        self.sent += count
        if lines:
            self.talker.socket.sendall("".join(lines).encode())

    def _acknowledge(self, reply: dict[str, Any]) -> None:
        if reply["status"] != "OK" or reply["id"] != len(self.acknowledged):
            raise AssertionError(f"{len(self.acknowledged)} were acknowledged, and then {reply}")
        self.acknowledged[reply["id"]] = (reply["conversation"], reply["seq"])


class Reader(Client):
    """Reads its inbox repeatedly. `got` has the messages of all complete replies, in their order."""

    def __init__(self, port: int, token: str, until_empty: bool = False) -> None:
        super().__init__(port, token)
        self.until_empty = until_empty
        self.got: list[tuple[Position, str]] = []

    def work(self) -> None:
        while True:
            self.talker.send(command="inbox")
            reply = self.talker.line()
            if reply is None:
                return
            if reply["status"] != "OK":
                raise AssertionError(f"inbox: {reply}")
            found = reply["messages"]
            self.got += [((each["conversation"], each["seq"]), each["text"]) for each in found]
            if not found:
                if self.until_empty:
                    return
                time.sleep(0.002)


class KilledDaemon:
    """A realm in `folder` that is killed repeatedly."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.report = KillReport()
        self._random = random.Random(seed)  # noqa: S311 - repeatable, not secret
        self._tokens: dict[str, str] = {}
        self._acknowledged: dict[Position, str] = {}
        self._daemon: Daemon | None = None

    def start(self) -> Daemon:
        port = free_port()
        (self.folder / "chatd.ini").write_text(configuration({"json": port}))
        here = self.folder / "here"
        here.mkdir(exist_ok=True)
        arguments = ("--config", str(self.folder / "chatd.ini"))
        daemon = Daemon(here, port, *arguments, logs=self.folder / "logs")
        self._daemon = daemon
        return daemon.listening()

    def close(self) -> None:
        """End the daemon."""
        if self._daemon is not None:
            self._daemon.kill()

    def prepare(self) -> None:
        """Register all users, and create the group."""
        daemon = self.start()
        names = [
            *(f"person{number}" for number in range(READERS)),
            *(f"sender{number}" for number in range(READERS + POSTERS)),
        ]
        for name in names:
            with daemon.talk() as talker:
                reply = talker.must(command="register", username=name, password=f"{name}-secret")
                self._tokens[name] = reply["tokenId"]
                verb = "addgroup" if name == names[0] else "joingroup"
                talker.must(command=verb, group=GROUP)
        daemon.stop()

    def kill_once(self) -> None:
        """One round: load, kill -9, restart, read everything, compare."""
        report = self.report
        report.kills += 1
        daemon = self.start()
        senders = self._make_senders(daemon.port)
        readers = {
            f"person{number}": Reader(daemon.port, self._tokens[f"person{number}"])
            for number in range(1, READERS, 2)
        }
        for client in (*senders, *readers.values()):
            client.start()
        delay = self._random.uniform(0.01, 0.6)
        self._wait_for_some(senders)
        time.sleep(delay)
        daemon.kill()
        for client in (*senders, *readers.values()):
            client.await_end(report)
        daemon = self.start()
        after = {
            name: Reader(daemon.port, self._tokens[name], until_empty=True)
            for name in (f"person{number}" for number in range(READERS))
        }
        for reader in after.values():
            reader.start()
        for reader in after.values():
            reader.await_end(report)
        for name, reader in after.items():
            before = readers[name].got if name in readers else []
            report.read_before += len(before)
            self._compare(name, before, reader.got, senders)
        self._compare_with_history(daemon, after)
        for sender in senders:
            for number, position in sender.acknowledged.items():
                self._acknowledged[position] = f"{sender.label} {number}"
        daemon.stop()

    def _make_senders(self, port: int) -> list[Sender]:
        senders = []
        for number in range(READERS + POSTERS):
            place = (
                {"command": "send", "to": f"person{number}"}
                if number < READERS
                else {"command": "sendgroup", "group": GROUP}
            )
            label = f"{self.report.kills}.{number}"
            senders.append(Sender(port, self._tokens[f"sender{number}"], label, place))
        return senders

    def _wait_for_some(self, senders: list[Sender]) -> None:
        """Wait until all senders have a message acknowledged, so that a loaded daemon is killed."""
        end = time.monotonic() + PATIENCE
        while not all(sender.acknowledged for sender in senders):
            if time.monotonic() > end:
                self.report.problem("a sender had no message acknowledged")
                return
            time.sleep(0.001)

    def _compare(
        self,
        name: str,
        before: list[tuple[Position, str]],
        after: list[tuple[Position, str]],
        senders: list[Sender],
    ) -> None:
        """Compare what a user read before and after the kill with what was sent to the user."""
        report = self.report
        texts: dict[Position, str] = {}
        for position, text in (*before, *after):
            if texts.setdefault(position, text) != text:
                report.problem(f"{name}: {position} was {texts[position]!r} and is {text!r}")
        report.given_again += len(before) + len(after) - len(texts)
        for part in (before, after):
            if len({position for position, _ in part}) != len(part):
                report.doubled += len(part) - len({position for position, _ in part})
                report.problem(f"{name} was given the same message twice by one daemon")
            _check_order(report, name, part)
        places: dict[tuple[str, int], list[Position]] = defaultdict(list)
        for position, text in texts.items():
            label, number = text.split()
            places[label, int(number)].append(position)
        for sender in senders:
            if sender.place.get("to", name) == name:
                self._compare_with_sender(name, sender, places)
        strangers = {label for label, _ in places} - {sender.label for sender in senders}
        if strangers:
            # They are of an earlier round, and were read then.
            report.doubled += len(strangers)
            report.problem(f"{name} was given messages of {strangers} again")

    def _compare_with_sender(
        self, name: str, sender: Sender, places: dict[tuple[str, int], list[Position]]
    ) -> None:
        report = self.report
        found = {number: places.get((sender.label, number), []) for number in range(sender.sent)}
        there = [number for number, position in found.items() if position]
        report.sent += sender.sent
        report.acknowledged += len(sender.acknowledged)
        report.found += len(there)
        for number, position in found.items():
            if len(position) > 1:
                report.doubled += 1
                report.problem(f"{name}: {sender.label} {number} is at {position}")
        for number, stored in sender.acknowledged.items():
            if stored not in found[number]:
                report.lost += 1
                report.problem(f"{name}: {sender.label} {number}, {stored}, is at {found[number]}")
        # Messages under way at the kill may be there or not, but without gaps.
        if there != list(range(len(there))):
            report.disordered += 1
            report.problem(f"{name}: of {sender.label} there are {len(there)}, with gaps")
        stored_at = [position for number in there for position in found[number]]
        if sorted(stored_at) != stored_at:
            report.disordered += 1
            report.problem(f"{name}: those of {sender.label} are not in order")

    def _compare_with_history(self, daemon: Daemon, after: dict[str, Reader]) -> None:
        """Compare the history with what the inbox delivered."""
        for number, (name, reader) in enumerate(after.items()):
            known = dict(reader.got)
            with daemon.talk() as talker:
                talker.must(command="resume", token=self._tokens[name])
                for place in ({"user": f"sender{number}"}, {"group": GROUP}):
                    found = talker.must(command="history", **place, n=500)["messages"]
                    seqs = [each["seq"] for each in found]
                    if seqs != list(range(seqs[0], seqs[0] + len(seqs))):
                        self.report.problem(f"{name}: the history of {place} has gaps")
                    for each in found:
                        position = (each["conversation"], each["seq"])
                        if known.get(position, each["text"]) != each["text"]:
                            self.report.problem(
                                f"{name}: the history of {place} differs at {position}"
                            )

    def check_database(self) -> None:
        """Check that SQLite finds no damage, and that each acknowledged message is stored once."""
        report = self.report
        path = self.folder / "state" / "chatd.db"
        with contextlib.closing(sqlite3.connect(path)) as connection:
            verdict = connection.execute("PRAGMA integrity_check").fetchone()[0]
            rows = connection.execute("SELECT conversation_id, seq, text FROM messages").fetchall()
        if verdict != "ok":
            report.problem(f"integrity_check: {verdict}")
        stored = {(conversation, seq): text for conversation, seq, text in rows}
        if len(set(stored.values())) != len(rows):
            report.doubled += len(rows) - len(set(stored.values()))
            report.problem("some texts are stored more than once")
        for position, text in self._acknowledged.items():
            if stored.get(position) != text:
                report.lost += 1
                report.problem(f"{text} belongs at {position}; there is {stored.get(position)}")


def _check_order(report: KillReport, name: str, got: list[tuple[Position, str]]) -> None:
    """Check that the seq of each conversation increases by one."""
    seqs: dict[int, int] = {}
    for (conversation, seq), text in got:
        if seq != seqs.get(conversation, seq - 1) + 1:
            report.disordered += 1
            report.problem(f"{name}: {text} is {seq}, after {seqs[conversation]}")
        seqs[conversation] = seq


def kill_repeatedly(folder: Path, kills: int, seed: int) -> KillReport:
    """Kill a daemon with its state in `folder` that many times, and return the report."""
    realm = KilledDaemon(folder, seed)
    try:
        realm.prepare()
        for _ in range(kills):
            realm.kill_once()
        realm.check_database()
    except (AssertionError, OSError) as error:
        realm.report.problem(repr(error))
    finally:
        realm.close()
    return realm.report


if __name__ == "__main__":
    sys.exit(run_program("tests.support.kills", __doc__, kill_repeatedly, kills=20))
