"""`kill -9` of a real daemon under load: what was acknowledged must be there, once and in order.

`python -m tests.support.crash --kills 20` prints the counts; `tests.process.test_crash` kills less often.

In each round senders pipeline numbered messages with a window, most of them each to a person of
their own and the rest into one group that all these persons belong to. Some of them are away,
some read their inbox all the while. At a random moment the daemon is killed; another one starts on
the same state, and everybody reads on until nothing is left. A message is known by what it says
(sender and number) and by where it stands (conversation and seq), so that one message that is given
again can be told from two that say the same.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import shutil
import sqlite3
import sys
import tempfile
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.processes import PATIENCE, Daemon, Talker, configuration, free_port

PEOPLE = 4  # to whom messages go; every other one reads all the while
POSTERS = 2  # who write to the group
WINDOW = 64
MAX_MESSAGES = 3000  # of one sender in one round
GROUP = "crowd"

#: conversation and seq
Where = tuple[int, int]


class Tally:
    """Figures of a number of kills, as a dataclass that begins with `kills`, and what went wrong."""

    kills: int
    problems: list[str]

    def problem(self, sentence: str) -> None:
        self.problems.append(f"kill {self.kills}: {sentence}")

    def __str__(self) -> str:
        figures = {key: value for key, value in vars(self).items() if key != "problems"}
        lines = [f"{key.replace('_', ' '):>14} {value:>9,}" for key, value in figures.items()]
        return "\n".join([*lines, *self.problems])


@dataclass
class Books(Tally):
    """What a number of kills came to. A message to the group counts for each of its readers."""

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
    """Someone who is connected until the daemon is no more; `failure` says what else went wrong."""

    def __init__(self, port: int, token: str) -> None:
        super().__init__(daemon=True)
        self.talker = Talker(port)
        self.talker.must(command="resume", token=token)
        self.failure: str | None = None

    def run(self) -> None:
        try:
            self.work()
        except ConnectionError:
            pass  # that is the kill
        except Exception as error:  # reported by who waits for the thread
            self.failure = repr(error)
        finally:
            with contextlib.suppress(OSError):
                self.talker.close()

    def work(self) -> None:
        raise NotImplementedError

    def over(self, books: Tally) -> None:
        """Wait for its end."""
        self.join(PATIENCE)
        if self.is_alive():
            books.problem(f"{type(self).__name__} did not notice the end")
        elif self.failure is not None:
            books.problem(f"{type(self).__name__}: {self.failure}")


class Sender(Client):
    """Sends its numbered messages to one place, `WINDOW` of them under way."""

    def __init__(self, port: int, token: str, label: str, place: dict[str, Any]) -> None:
        super().__init__(port, token)
        self.label = label
        self.place = place
        self.sent = 0
        self.acknowledged: dict[int, Where] = {}

    def work(self) -> None:
        while self.sent < MAX_MESSAGES or len(self.acknowledged) < self.sent:
            free = min(len(self.acknowledged) + WINDOW, MAX_MESSAGES) - self.sent
            # Many small packets would measure the sockets only.
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
        # Counted first: of what was not sent whole, the daemon may have got a part.
        self.sent += count
        if lines:
            self.talker.socket.sendall("".join(lines).encode())

    def _acknowledge(self, reply: dict[str, Any]) -> None:
        if reply["status"] != "OK" or reply["id"] != len(self.acknowledged):
            raise AssertionError(f"{len(self.acknowledged)} were acknowledged, and then {reply}")
        self.acknowledged[reply["id"]] = (reply["conversation"], reply["seq"])


class Reader(Client):
    """Reads its inbox over and over. `got` holds what came in whole replies, as it came."""

    def __init__(self, port: int, token: str, until_empty: bool = False) -> None:
        super().__init__(port, token)
        self.until_empty = until_empty
        self.got: list[tuple[Where, str]] = []

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


class Crash:
    """A realm on `folder` that is killed again and again."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.books = Books()
        self._random = random.Random(seed)  # noqa: S311 - repeatable, not secret
        self._tokens: dict[str, str] = {}
        self._acknowledged: dict[Where, str] = {}
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
        """Leave no process behind."""
        if self._daemon is not None:
            self._daemon.kill()

    def prepare(self) -> None:
        """Register everybody, and make the group."""
        daemon = self.start()
        names = [
            *(f"person{number}" for number in range(PEOPLE)),
            *(f"sender{number}" for number in range(PEOPLE + POSTERS)),
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
        books = self.books
        books.kills += 1
        daemon = self.start()
        senders = self._make_senders(daemon.port)
        readers = {
            f"person{number}": Reader(daemon.port, self._tokens[f"person{number}"])
            for number in range(1, PEOPLE, 2)
        }
        for client in (*senders, *readers.values()):
            client.start()
        delay = self._random.uniform(0.01, 0.6)
        self._wait_for_some(senders)
        time.sleep(delay)
        daemon.kill()
        for client in (*senders, *readers.values()):
            client.over(books)
        daemon = self.start()
        after = {
            name: Reader(daemon.port, self._tokens[name], until_empty=True)
            for name in (f"person{number}" for number in range(PEOPLE))
        }
        for reader in after.values():
            reader.start()
        for reader in after.values():
            reader.over(books)
        for name, reader in after.items():
            before = readers[name].got if name in readers else []
            books.read_before += len(before)
            self._compare(name, before, reader.got, senders)
        self._compare_with_history(daemon, after)
        for sender in senders:
            for number, where in sender.acknowledged.items():
                self._acknowledged[where] = f"{sender.label} {number}"
        daemon.stop()

    def _make_senders(self, port: int) -> list[Sender]:
        senders = []
        for number in range(PEOPLE + POSTERS):
            place = (
                {"command": "send", "to": f"person{number}"}
                if number < PEOPLE
                else {"command": "sendgroup", "group": GROUP}
            )
            label = f"{self.books.kills}.{number}"
            senders.append(Sender(port, self._tokens[f"sender{number}"], label, place))
        return senders

    def _wait_for_some(self, senders: list[Sender]) -> None:
        """The load is there: otherwise a slow machine would only ever kill an idle daemon."""
        end = time.monotonic() + PATIENCE
        while not all(sender.acknowledged for sender in senders):
            if time.monotonic() > end:
                self.books.problem("not everybody's first message was acknowledged")
                return
            time.sleep(0.001)

    def _compare(
        self,
        name: str,
        before: list[tuple[Where, str]],
        after: list[tuple[Where, str]],
        senders: list[Sender],
    ) -> None:
        """What one person has read before and after the kill, with what was sent to them."""
        books = self.books
        texts: dict[Where, str] = {}
        for where, text in (*before, *after):
            if texts.setdefault(where, text) != text:
                books.problem(f"{name}: {where} was {texts[where]!r} and is {text!r}")
        books.given_again += len(before) + len(after) - len(texts)
        for part in (before, after):
            if len({where for where, _ in part}) != len(part):
                books.doubled += len(part) - len({where for where, _ in part})
                books.problem(f"{name} was given the same message twice by one daemon")
            _check_order(books, name, part)
        places: dict[tuple[str, int], list[Where]] = defaultdict(list)
        for where, text in texts.items():
            label, number = text.split()
            places[label, int(number)].append(where)
        for sender in senders:
            if sender.place.get("to", name) == name:
                self._compare_with_sender(name, sender, places)
        strangers = {label for label, _ in places} - {sender.label for sender in senders}
        if strangers:
            # Of an earlier round, and read there already.
            books.doubled += len(strangers)
            books.problem(f"{name} was given messages of {strangers} again")

    def _compare_with_sender(
        self, name: str, sender: Sender, places: dict[tuple[str, int], list[Where]]
    ) -> None:
        books = self.books
        found = {number: places.get((sender.label, number), []) for number in range(sender.sent)}
        there = [number for number, where in found.items() if where]
        books.sent += sender.sent
        books.acknowledged += len(sender.acknowledged)
        books.found += len(there)
        for number, where in found.items():
            if len(where) > 1:
                books.doubled += 1
                books.problem(f"{name}: {sender.label} {number} stands at {where}")
        for number, stored in sender.acknowledged.items():
            if stored not in found[number]:
                books.lost += 1
                books.problem(f"{name}: {sender.label} {number}, {stored}, is at {found[number]}")
        # What was on its way at the kill may be there or not, but none may be passed over.
        if there != list(range(len(there))):
            books.disordered += 1
            books.problem(f"{name}: of {sender.label} there are {len(there)}, with gaps")
        if sorted(where for number in there for where in found[number]) != [
            where for number in there for where in found[number]
        ]:
            books.disordered += 1
            books.problem(f"{name}: those of {sender.label} are not in order")

    def _compare_with_history(self, daemon: Daemon, after: dict[str, Reader]) -> None:
        """The history agrees with what came by the inbox."""
        for number, (name, reader) in enumerate(after.items()):
            known = dict(reader.got)
            with daemon.talk() as talker:
                talker.must(command="resume", token=self._tokens[name])
                for place in ({"user": f"sender{number}"}, {"group": GROUP}):
                    found = talker.must(command="history", **place, n=500)["messages"]
                    seqs = [each["seq"] for each in found]
                    if seqs != list(range(seqs[0], seqs[0] + len(seqs))):
                        self.books.problem(f"{name}: the history of {place} has gaps")
                    for each in found:
                        where = (each["conversation"], each["seq"])
                        if known.get(where, each["text"]) != each["text"]:
                            self.books.problem(f"{name}: the history of {place} differs at {where}")

    def check_database(self) -> None:
        """SQLite itself finds nothing wrong, and all that ever was acknowledged is there once."""
        books = self.books
        path = self.folder / "state" / "chatd.db"
        with contextlib.closing(sqlite3.connect(path)) as connection:
            verdict = connection.execute("PRAGMA integrity_check").fetchone()[0]
            rows = connection.execute("SELECT conversation_id, seq, text FROM messages").fetchall()
        if verdict != "ok":
            books.problem(f"integrity_check: {verdict}")
        stored = {(conversation, seq): text for conversation, seq, text in rows}
        if len(set(stored.values())) != len(rows):
            books.doubled += len(rows) - len(set(stored.values()))
            books.problem("some texts are stored more than once")
        for where, text in self._acknowledged.items():
            if stored.get(where) != text:
                books.lost += 1
                books.problem(f"{text} ought to stand at {where}; there is {stored.get(where)}")


def _check_order(books: Books, name: str, got: list[tuple[Where, str]]) -> None:
    """In each conversation the numbers go up by one."""
    seqs: dict[int, int] = {}
    for (conversation, seq), text in got:
        if seq != seqs.get(conversation, seq - 1) + 1:
            books.disordered += 1
            books.problem(f"{name}: {text} is {seq}, after {seqs[conversation]}")
        seqs[conversation] = seq


def crash(folder: Path, kills: int, seed: int) -> Books:
    """Kill a daemon on `folder` so many times, and give the books."""
    realm = Crash(folder, seed)
    try:
        realm.prepare()
        for _ in range(kills):
            realm.kill_once()
        realm.check_database()
    except (AssertionError, OSError) as error:
        realm.books.problem(repr(error))
    finally:
        realm.close()
    return realm.books


def main(arguments: list[str] | None = None) -> int:
    options = argparse.ArgumentParser(prog="python -m tests.support.crash", description=__doc__)
    options.add_argument("--kills", type=int, default=20)
    options.add_argument("--seed", type=int, default=random.randrange(1 << 32))  # noqa: S311
    chosen = options.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="chatd-crash-")).resolve()
    began = time.monotonic()
    try:
        books = crash(folder, chosen.kills, chosen.seed)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.write(f"{books}\nseed {chosen.seed}, {time.monotonic() - began:.0f} s\n")
    return 1 if books.problems else 0


if __name__ == "__main__":
    sys.exit(main())
