"""Two real daemons that are peers, killed and measured: what was acknowledged must be at the other side.

Options of `python -m tests.support.federation`:

    ... --kills 20       kill -9 of either, under load both ways; prints the books
    ... --file 100       a file of so many MiB crosses: time, memory, and meanwhile the
                                                messages on the same link
    ... --queued 10000   so many wait for a peer that is down, which then comes back

In each round of kills, senders in both realms pipeline numbered messages to people of the other one, and into
a group that lives in realm1 and has a member in each. One daemon is killed at a random moment; the senders of
the other one go on, and their messages are queued. Then it starts again; now and then both are killed.
After all rounds everybody reads what has come. A message is known by what it says: its sender's label and
number. What was on its way to the daemon when it was killed may be there or not, but never twice, nor out of
order.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import random
import shutil
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.support.crash import Client, Tally
from tests.support.processes import PATIENCE, Home, Talker, wait_until

NAMES = ("realm1", "realm2")
PEOPLE = 2  # of each realm, who are written to by one of the other realm each
WINDOW = 64
MAX_MESSAGES = 2000  # of one sender in one round
BOTH = 0.2  # how often both are killed
GROUP = "crowd"
PIECE = 256 << 10

#: a realm, and who of it
Reader = tuple[str, str]


@dataclass
class Books(Tally):
    """What a number of kills came to. A message to the group counts for each of its two readers."""

    kills: int = 0
    sent: int = 0
    acknowledged: int = 0
    queued: int = 0
    found: int = 0
    lost: int = 0
    doubled: int = 0
    disordered: int = 0
    problems: list[str] = field(default_factory=list)


class House(Home):
    """A realm, and who has registered there."""

    more = "account_files = 10G\n\n[peers]\nadd = anyone\nprivate = yes\n"

    def __init__(self, root: Path, name: str) -> None:
        super().__init__(root, name)
        self.tokens: dict[str, str] = {}

    def register(self, *names: str) -> None:
        for name in names:
            with self.daemon.talk() as talker:
                reply = talker.must(command="register", username=name, password=f"{name}-secret")
                self.tokens[name] = reply["tokenId"]

    def talk(self, name: str) -> Talker:
        talker = self.daemon.talk()
        talker.must(command="resume", token=self.tokens[name])
        return talker

    def add(self, other: House, by: str) -> None:
        with self.talk(by) as talker:
            talker.must(
                command="addrealm", realm=other.name, host="127.0.0.1", port=other.ports["peers"]
            )

    def info(self, talker: Talker, other: str) -> dict[str, Any]:
        """What `realms` says of another realm."""
        found = talker.must(command="realms")["realms"]
        info: dict[str, Any] = next(each for each in found if each["realm"] == other)
        return info

    def wait_for(
        self, talker: Talker, other: str, fits: Callable[[dict[str, Any]], bool]
    ) -> dict[str, Any]:
        """Wait until what `realms` says of another realm fits."""
        info: dict[str, Any] = {}

        def look() -> bool:
            info.clear()
            info.update(self.info(talker, other))
            return fits(info)

        wait_until(look, lambda: f"{self.name} says of {other}: {info}")
        return info

    @property
    def memory(self) -> float:
        """What the daemon holds of the machine's memory, in MiB."""
        status = Path(f"/proc/{self.daemon.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) / 1024

    @contextlib.contextmanager
    def database(self) -> Iterator[sqlite3.Connection]:
        path = self.folder / "state" / "chatd.db"
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            yield connection

    def count(self, table: str) -> int:
        with self.database() as connection:
            found = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608
            return int(found[0])


class Sender(Client):
    """Sends its numbered messages to one place, `WINDOW` of them under way, until it is told to stop or the
    daemon is no more."""

    def __init__(
        self, port: int, token: str, label: str, place: dict[str, Any], readers: Sequence[Reader]
    ) -> None:
        super().__init__(port, token)
        self.label = label
        self.place = place
        self.readers = readers
        self.sent = 0
        self.acknowledged = 0
        self.queued = 0
        self.most = MAX_MESSAGES
        self.enough = threading.Event()

    def work(self) -> None:
        while True:
            if self.enough.is_set():
                self.most = self.sent
            free = min(self.acknowledged + WINDOW, self.most) - self.sent
            # Many small packets would measure the sockets only.
            if free >= WINDOW // 4 or self.acknowledged == self.sent:
                self._send(free)
            if self.acknowledged == self.sent == self.most:
                return
            reply = self.talker.line()
            if reply is None:
                return
            if reply["status"] != "OK" or reply["id"] != self.acknowledged:
                raise AssertionError(f"{self.acknowledged} were acknowledged, and then {reply}")
            self.acknowledged += 1
            self.queued += bool(reply.get("queued"))

    def _send(self, count: int) -> None:
        lines = []
        for number in range(self.sent, self.sent + count):
            request = {"id": number, **self.place, "text": f"{self.label} {number}"}
            lines.append(json.dumps(request) + "\r\n")
        # Counted first: of what was not sent whole, the daemon may have got a part.
        self.sent += count
        self.talker.socket.sendall("".join(lines).encode())

    def finish(self, books: Books) -> None:
        """Wait for its end."""
        self.join(PATIENCE)
        if self.is_alive():
            books.problem(f"{self.label} waits for an answer for ever")
        elif self.failure is not None:
            books.problem(f"{self.label}: {self.failure}")


class Federation:
    """Two realms that have added each other."""

    def __init__(self, folder: Path, seed: int = 0) -> None:
        self.houses = tuple(House(folder, name) for name in NAMES)
        self.books = Books()
        self._random = random.Random(seed)  # noqa: S311 - repeatable, not secret
        self._senders: list[Sender] = []

    def close(self) -> None:
        for house in self.houses:
            house.close()

    def prepare(self) -> None:
        """Start both, register everybody, make them peers, and make the group."""
        one, two = self.houses
        for house in self.houses:
            house.launch()
        for house in self.houses:
            house.daemon.listening()
            house.register(*(f"person{number}" for number in range(PEOPLE)))
            house.register(*(f"sender{number}" for number in range(PEOPLE + 1)))
        one.add(two, "person0")
        two.add(one, "person0")
        with one.talk("person0") as talker:
            talker.must(command="addgroup", group=GROUP)
        for house, name in ((one, "sender2"), (two, "person0"), (two, "sender2")):
            with house.talk(name) as talker:
                group = GROUP if house is one else f"{GROUP}@{one.name}"
                talker.must(command="joingroup", group=group)

    # Kills

    def kill_once(self) -> None:
        """One round: load on both sides, kill -9, restart under what load is left."""
        senders = [sender for house in self.houses for sender in self._make_senders(house)]
        self._senders += senders
        for sender in senders:
            sender.start()
        # Otherwise a slow machine would only ever kill idle daemons.
        wait_until(
            lambda: all(sender.acknowledged or not sender.is_alive() for sender in senders),
            lambda: "everybody's first message to be acknowledged",
        )
        victims = self._random.sample(self.houses, k=2 if self._random.random() < BOTH else 1)
        time.sleep(self._random.uniform(0.01, 0.4))
        for victim in victims:
            self.books.kills += 1
            victim.daemon.kill()
        time.sleep(self._random.uniform(0.0, 0.2))
        for victim in victims:
            victim.launch()
        for victim in victims:
            victim.daemon.listening()
        time.sleep(self._random.uniform(0.0, 0.5))
        for sender in senders:
            sender.enough.set()
        for sender in senders:
            sender.finish(self.books)

    def _make_senders(self, house: House) -> list[Sender]:
        """One for each person of the other realm, and one for the group."""
        one, two = self.houses
        other = two if house is one else one
        senders = []
        for number in range(PEOPLE + 1):
            place = {"command": "send", "to": f"person{number}@{other.name}"}
            readers: Sequence[Reader] = [(other.name, f"person{number}")]
            if number == PEOPLE:
                group = GROUP if house is one else f"{GROUP}@{one.name}"
                place = {"command": "sendgroup", "group": group}
                readers = [(each.name, "person0") for each in self.houses]
            label = f"{len(self._senders)}:{house.name}.{number}"
            token = house.tokens[f"sender{number}"]
            senders.append(Sender(house.ports["json"], token, label, place, readers))
        return senders

    def compare(self) -> None:
        """Wait until nothing is on its way any more, read everything, and balance the books."""
        books = self.books
        one, two = self.houses
        for house, other in ((one, two), (two, one)):
            with house.talk("person0") as talker:
                house.wait_for(
                    talker,
                    other.name,
                    lambda info: info["state"] == "up" and not info["queued"],
                )
        got: dict[Reader, dict[str, list[int]]] = {}
        for house in self.houses:
            for name in (f"person{number}" for number in range(PEOPLE)):
                numbers: dict[str, list[int]] = defaultdict(list)
                with house.talk(name) as talker:
                    for text in talker.texts():
                        label, number = text.split()
                        numbers[label].append(int(number))
                got[house.name, name] = numbers
        for sender in self._senders:
            books.queued += sender.queued
            for reader in sender.readers:
                self._compare(sender, reader, got[reader].pop(sender.label, []))
        for reader, rest in got.items():
            if rest:
                books.problem(f"{reader} was given messages that nobody sent: {set(rest)}")

    def _compare(self, sender: Sender, reader: Reader, numbers: list[int]) -> None:
        books = self.books
        found = set(numbers)
        books.sent += sender.sent
        books.acknowledged += sender.acknowledged
        books.found += len(found)
        lost = [number for number in range(sender.acknowledged) if number not in found]
        if lost:
            books.lost += len(lost)
            books.problem(f"{reader}: of {sender.label} these are lost: {lost[:10]}")
        if len(found) != len(numbers):
            books.doubled += len(numbers) - len(found)
            books.problem(f"{reader}: some of {sender.label} came more than once")
        disordered = sum(later <= earlier for earlier, later in pairwise(numbers))
        if disordered:
            books.disordered += disordered
            books.problem(f"{reader}: those of {sender.label} are not in order")
        if found and max(found) >= sender.sent:
            books.problem(f"{reader}: {max(found)} of {sender.label} was never sent")

    def check_databases(self) -> None:
        """SQLite itself finds nothing wrong, and nothing waits any more. The daemons have ended."""
        for house in self.houses:
            with house.database() as connection:
                verdict = connection.execute("PRAGMA integrity_check").fetchone()[0]
            if verdict != "ok":
                self.books.problem(f"{house.name}: integrity_check: {verdict}")
            if house.count("outbox"):
                self.books.problem(f"{house.name}: {house.count('outbox')} still wait")


def federation(folder: Path, kills: int, seed: int) -> Books:
    """Kill two peers on `folder` so many times, and give the books."""
    both = Federation(folder, seed)
    try:
        both.prepare()
        while both.books.kills < kills:
            both.kill_once()
        both.compare()
        for house in both.houses:
            house.daemon.stop()
        both.check_databases()
    except (AssertionError, OSError) as error:
        both.books.problem(repr(error))
    finally:
        both.close()
    return both.books


class Chatter(threading.Thread):
    """Sends one message after the other, each once the last one is at the other side; and how long each
    took, in seconds."""

    def __init__(self, house: House, name: str, to: str) -> None:
        super().__init__(daemon=True)
        self.took: list[tuple[float, float]] = []  # when it was sent, and for how long
        self.queued = 0
        self.enough = threading.Event()
        self._talker = house.talk(name)
        self._to = to

    def run(self) -> None:
        with self._talker as talker:
            while not self.enough.is_set():
                began = time.monotonic()
                reply = talker.must(command="send", to=self._to, text="apa kabar?")
                self.took.append((began, time.monotonic() - began))
                self.queued += bool(reply.get("queued"))
                time.sleep(0.005)


class Gauge(threading.Thread):
    """The most memory that each of the houses held."""

    def __init__(self, houses: Sequence[House]) -> None:
        super().__init__(daemon=True)
        self.before = {house.name: house.memory for house in houses}
        self.most = dict(self.before)
        self.enough = threading.Event()
        self._houses = houses

    def run(self) -> None:
        while not self.enough.wait(0.02):
            for house in self._houses:
                self.most[house.name] = max(self.most[house.name], house.memory)

    @property
    def growth(self) -> dict[str, float]:
        return {name: self.most[name] - before for name, before in self.before.items()}


@dataclass
class FileFigures:
    """Times are in seconds, growth in MiB. `upload` is from the client to its own realm; `crossing` from
    there until the message with the file is at the other side."""

    size: int
    upload: float
    crossing: float
    growth: dict[str, float]
    times: dict[str, list[float]]
    same: bool

    def percentile(self, direction: str, percent: int) -> float:
        cuts = statistics.quantiles(self.times[direction], n=100, method="inclusive")
        return cuts[percent - 1]

    def __str__(self) -> str:
        lines = [
            f"{self.size >> 20} MiB: {self.upload:.2f} s to its own realm, {self.crossing:.2f} s across; "
            + ("the same bytes" if self.same else "OTHER BYTES")
        ]
        lines += [f"{name}: {grown:.1f} MiB more" for name, grown in self.growth.items()]
        lines += [
            f"messages {direction}: {len(times)} meanwhile, p50 {1000 * self.percentile(direction, 50):.1f} "
            f"ms, p99 {1000 * self.percentile(direction, 99):.1f} ms, longest {1000 * max(times):.1f} ms"
            for direction, times in self.times.items()
        ]
        return "\n".join(lines)


def send_file(talker: Talker, to: str, data: bytes) -> None:
    """Give a file to one's own realm; its reply is still to come."""
    talker.send(command="sendfile", to=to, filename="gol.bin", size=len(data))
    reply = talker.line()
    if reply is None or reply["status"] != "READY":
        raise AssertionError(f"sendfile: {reply}")
    for at in range(0, len(data), PIECE):
        talker.socket.sendall(data[at : at + PIECE])


def stored(house: House) -> list[Path]:
    """The files that a realm has whole."""
    folder = house.folder / "state" / "uploads"
    return [path for path in folder.iterdir() if path.is_file() and path.stat().st_size]


def file_across(folder: Path, mebibytes: int) -> FileFigures:
    """A file crosses, while people of both realms write to one another."""
    both = Federation(folder)
    one, two = both.houses
    try:
        both.prepare()
        data = random.Random(1).randbytes(mebibytes << 20)  # noqa: S311 - repeatable, not secret
        digest = hashlib.sha256(data).hexdigest()
        chatters = {
            "there": Chatter(one, "sender0", f"person1@{two.name}"),
            "back": Chatter(two, "sender1", f"person1@{one.name}"),
        }
        with one.talk("person0") as talker, two.talk("person0") as reader:
            # Once before, so that what is there only once is not counted.
            send_file(talker, f"person0@{two.name}", data[: 1 << 20])
            talker.line()
            for chatter in chatters.values():
                chatter.start()
            wait_until(lambda: reader.must(command="inbox")["messages"], lambda: "the first file")
            time.sleep(0.5)
            gauge = Gauge(both.houses)
            gauge.start()
            began = time.monotonic()
            send_file(talker, f"person0@{two.name}", data)
            wait_until(lambda: len(stored(one)) == 2, lambda: "the upload")
            uploaded = time.monotonic()
            found: list[Any] = []
            while not found:
                time.sleep(0.01)
                found = reader.must(command="inbox")["messages"]
            ended = time.monotonic()
            watchers: list[Gauge | Chatter] = [gauge, *chatters.values()]
            for watcher in watchers:
                watcher.enough.set()
                watcher.join(PATIENCE)
        times = {
            name: [took for at, took in chatter.took if uploaded <= at + took and at <= ended]
            for name, chatter in chatters.items()
        }
        same = all(
            digest in [hashlib.sha256(path.read_bytes()).hexdigest() for path in stored(house)]
            for house in both.houses
        )
        return FileFigures(len(data), uploaded - began, ended - uploaded, gauge.growth, times, same)
    finally:
        both.close()


@dataclass
class QueueFigures:
    """Seconds: from the start of the daemon that was down until the link is up, and from there until all
    is delivered."""

    count: int
    until_up: float
    delivered: float
    found: int

    def __str__(self) -> str:
        return (
            f"{self.count:,} queued: the link is up {self.until_up:.2f} s after the start, and "
            f"{self.delivered:.2f} s later {self.found:,} are there"
        )


def queue(folder: Path, count: int) -> QueueFigures:
    """Messages wait for a realm that is down; it comes back."""
    both = Federation(folder)
    one, two = both.houses
    try:
        both.prepare()
        two.daemon.stop()
        before = two.count("messages")
        place = {"command": "send", "to": f"person0@{two.name}"}
        done = 0
        while done < count:
            sender = Sender(one.ports["json"], one.tokens["sender0"], str(done), place, ())
            sender.most = min(count - done, MAX_MESSAGES)
            sender.start()
            sender.finish(both.books)
            done += sender.acknowledged
        assert one.count("outbox") == count, both.books
        began = time.monotonic()
        two.start()
        with one.talk("person0") as talker:
            one.wait_for(talker, two.name, lambda info: info["state"] == "up")
            up = time.monotonic()
            wait_until(
                lambda: two.count("messages") >= before + count,
                lambda: f"{two.count('messages') - before} of {count} came",
            )
            ended = time.monotonic()
            one.wait_for(talker, two.name, lambda info: not info["queued"])
        with two.talk("person0") as reader:
            found = reader.texts()
        numbers = [text for start in range(0, count, MAX_MESSAGES) for text in _texts(start, count)]
        assert found == numbers, "they are not all there once and in order"
        return QueueFigures(count, up - began, ended - up, len(found))
    finally:
        both.close()


def _texts(start: int, count: int) -> list[str]:
    return [f"{start} {number}" for number in range(min(MAX_MESSAGES, count - start))]


def main(arguments: list[str] | None = None) -> int:
    options = argparse.ArgumentParser(
        prog="python -m tests.support.federation", description=__doc__
    )
    options.formatter_class = argparse.RawDescriptionHelpFormatter
    options.add_argument("--kills", type=int)
    options.add_argument("--file", type=int, metavar="MIB")
    options.add_argument("--queued", type=int, metavar="COUNT")
    options.add_argument("--seed", type=int, default=random.randrange(1 << 32))  # noqa: S311
    chosen = options.parse_args(arguments)
    bad = False
    began = time.monotonic()
    with _folder() as folder:
        if chosen.file is not None:
            sys.stdout.write(f"{file_across(folder / 'file', chosen.file)}\n")
        if chosen.queued is not None:
            sys.stdout.write(f"{queue(folder / 'queued', chosen.queued)}\n")
        if chosen.kills is not None or (chosen.file is None and chosen.queued is None):
            books = federation(folder / "kills", chosen.kills or 10, chosen.seed)
            bad = bool(books.problems)
            sys.stdout.write(f"{books}\nseed {chosen.seed}, {time.monotonic() - began:.0f} s\n")
    return int(bad)


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="chatd-federation-")).resolve()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
