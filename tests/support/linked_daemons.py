"""Two real daemons that are peers of each other, and senders that load the link between them."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.support.kill_report import Report
from tests.support.kills import Client
from tests.support.processes import Home, wait_until
from tests.support.talker import PATIENCE, Talker

NAMES = ("realm1", "realm2")
RECEIVERS = 2  # users of each realm; each gets messages from a sender of the other realm
WINDOW = 64
MAX_MESSAGES = 2000  # of one sender
GROUP = "crowd"

#: A realm, and a user of it.
Reader = tuple[str, str]


class PeerDaemon(Home):
    """A realm with a folder and ports of its own, and the tokens of the users who registered."""

    more = "account_files = 10G\n\n[peers]\nadd = anyone\nprivate = yes\nstrangers = welcome\n"

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

    def add(self, other: PeerDaemon, by: str) -> None:
        with self.talk(by) as talker:
            talker.must(
                command="addrealm", realm=other.name, host="127.0.0.1", port=other.ports["peers"]
            )

    def info(self, talker: Talker, other: str) -> dict[str, Any]:
        """Return what `realms` shows of another realm."""
        found = talker.must(command="realms")["realms"]
        info: dict[str, Any] = next(each for each in found if each["realm"] == other)
        return info

    def wait_for(
        self, talker: Talker, other: str, fits: Callable[[dict[str, Any]], bool]
    ) -> dict[str, Any]:
        """Wait until what `realms` shows of another realm fits."""
        info: dict[str, Any] = {}

        def look() -> bool:
            info.clear()
            info.update(self.info(talker, other))
            return fits(info)

        wait_until(look, lambda: f"{self.name} says of {other}: {info}")
        return info

    @property
    def memory(self) -> float:
        """The resident memory of the daemon, in MiB."""
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
    """Sends numbered messages to one user or group, up to `WINDOW` unacknowledged ones at a time, until it is
    told to stop or the daemon is killed."""

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
            # Many small packets would only load the sockets.
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
            self.queued += reply.get("state") == "queued"

    def _send(self, count: int) -> None:
        lines = []
        for number in range(self.sent, self.sent + count):
            request = {"id": number, **self.place, "text": f"{self.label} {number}"}
            lines.append(json.dumps(request) + "\r\n")
        # Counted first: the daemon may have received a part of what fails here.
        self.sent += count
        self.talker.socket.sendall("".join(lines).encode())

    def finish(self, report: Report) -> None:
        """Wait until the thread ends, and report what went wrong."""
        self.join(PATIENCE)
        if self.is_alive():
            report.problem(f"{self.label} still waits for an answer")
        elif self.failure is not None:
            report.problem(f"{self.label}: {self.failure}")


class LinkedDaemons:
    """Two realms that have added each other."""

    def __init__(self, folder: Path) -> None:
        self.daemons = tuple(PeerDaemon(folder, name) for name in NAMES)

    def close(self) -> None:
        for peer in self.daemons:
            peer.close()

    def prepare(self) -> None:
        """Start both, register all users, add each realm at the other, and create the group."""
        one, two = self.daemons
        for peer in self.daemons:
            peer.launch()
        for peer in self.daemons:
            peer.daemon.listening()
            peer.register(*(f"receiver{number}" for number in range(RECEIVERS)))
            peer.register(*(f"sender{number}" for number in range(RECEIVERS + 1)))
        one.add(two, "receiver0")
        two.add(one, "receiver0")
        with one.talk("receiver0") as talker:
            talker.must(command="addgroup", group=GROUP)
        for peer, name in ((one, "sender2"), (two, "receiver0"), (two, "sender2")):
            with peer.talk(name) as talker:
                group = GROUP if peer is one else f"{GROUP}@{one.name}"
                talker.must(command="joingroup", group=group)
