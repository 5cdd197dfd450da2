"""`kill -9` of two linked daemons under load: every acknowledged message arrives, once and in order.

    python -m tests.support.linked_kills --kills 20

In each round, senders in both realms pipeline numbered messages to users of the other realm, and to a group
of realm1 that has a member in each. One daemon is killed at a random moment. The senders of the other one go
on, and their messages are queued. Then the daemon starts again. Sometimes both are killed. After all rounds,
all users read what has arrived. A message is identified by its text: its sender's label and number. A message
that was under way at the kill may be there or not, but never twice, nor out of order.
"""

from __future__ import annotations

import random
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from tests.support.kill_report import Report, run_program
from tests.support.linked_daemons import (
    GROUP,
    RECEIVERS,
    LinkedDaemons,
    PeerDaemon,
    Reader,
    Sender,
)
from tests.support.processes import wait_until

BOTH = 0.2  # the probability that both are killed


@dataclass
class LinkReport(Report):
    """The counts of a number of kills. A message to the group counts once for each of its two readers."""

    kills: int = 0
    sent: int = 0
    acknowledged: int = 0
    queued: int = 0
    found: int = 0
    lost: int = 0
    doubled: int = 0
    disordered: int = 0
    problems: list[str] = field(default_factory=list)


class KilledDaemons(LinkedDaemons):
    """Two linked daemons that are killed repeatedly."""

    def __init__(self, folder: Path, seed: int) -> None:
        super().__init__(folder)
        self.report = LinkReport()
        self._random = random.Random(seed)  # noqa: S311 - repeatable, not secret
        self._senders: list[Sender] = []

    def kill_once(self) -> None:
        """One round: load on both sides, kill -9, and restart under the load that is left."""
        senders = [sender for peer in self.daemons for sender in self._make_senders(peer)]
        self._senders += senders
        for sender in senders:
            sender.start()
        # A slow machine would kill idle daemons otherwise.
        wait_until(
            lambda: all(sender.acknowledged or not sender.is_alive() for sender in senders),
            lambda: "the first message of each sender to be acknowledged",
        )
        victims = self._random.sample(self.daemons, k=2 if self._random.random() < BOTH else 1)
        time.sleep(self._random.uniform(0.01, 0.4))
        for victim in victims:
            self.report.kills += 1
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
            sender.finish(self.report)

    def _make_senders(self, peer: PeerDaemon) -> list[Sender]:
        """Return a sender for each receiver of the other realm, and one for the group."""
        one, two = self.daemons
        other = two if peer is one else one
        senders = []
        for number in range(RECEIVERS + 1):
            place = {"command": "send", "to": f"receiver{number}@{other.name}"}
            readers: Sequence[Reader] = [(other.name, f"receiver{number}")]
            if number == RECEIVERS:
                group = GROUP if peer is one else f"{GROUP}@{one.name}"
                place = {"command": "sendgroup", "group": group}
                readers = [(each.name, "receiver0") for each in self.daemons]
            label = f"{len(self._senders)}:{peer.name}.{number}"
            token = peer.tokens[f"sender{number}"]
            senders.append(Sender(peer.ports["json"], token, label, place, readers))
        return senders

    def compare(self) -> None:
        """Wait until nothing is queued, read everything, and compare it with what was sent."""
        report = self.report
        one, two = self.daemons
        for peer, other in ((one, two), (two, one)):
            with peer.talk("receiver0") as talker:
                peer.wait_for(
                    talker,
                    other.name,
                    lambda info: info["state"] == "up" and not info["queued"],
                )
        got: dict[Reader, dict[str, list[int]]] = {}
        for peer in self.daemons:
            for name in (f"receiver{number}" for number in range(RECEIVERS)):
                numbers: dict[str, list[int]] = defaultdict(list)
                with peer.talk(name) as talker:
                    for text in talker.texts():
                        label, number = text.split()
                        numbers[label].append(int(number))
                got[peer.name, name] = numbers
        for sender in self._senders:
            report.queued += sender.queued
            for reader in sender.readers:
                self._compare(sender, reader, got[reader].pop(sender.label, []))
        for reader, rest in got.items():
            if rest:
                report.problem(f"{reader} was given messages that no sender sent: {set(rest)}")

    def _compare(self, sender: Sender, reader: Reader, numbers: list[int]) -> None:
        report = self.report
        found = set(numbers)
        report.sent += sender.sent
        report.acknowledged += sender.acknowledged
        report.found += len(found)
        lost = [number for number in range(sender.acknowledged) if number not in found]
        if lost:
            report.lost += len(lost)
            report.problem(f"{reader}: of {sender.label} these are lost: {lost[:10]}")
        if len(found) != len(numbers):
            report.doubled += len(numbers) - len(found)
            report.problem(f"{reader}: some of {sender.label} came more than once")
        disordered = sum(later <= earlier for earlier, later in pairwise(numbers))
        if disordered:
            report.disordered += disordered
            report.problem(f"{reader}: those of {sender.label} are not in order")
        if found and max(found) >= sender.sent:
            report.problem(f"{reader}: {max(found)} of {sender.label} was never sent")

    def wait_for_marks(self) -> None:
        """Wait until the read marks that `compare` has moved are delivered, too."""
        wait_until(
            lambda: not any(peer.count("outbox") for peer in self.daemons),
            lambda: "read marks are still queued",
        )

    def check_databases(self) -> None:
        """Check that SQLite finds no damage, and that the outbox has nothing but read marks. The daemons have
        ended. Read marks have a subject. They are told in rounds, so the last may miss the link."""
        for peer in self.daemons:
            with peer.database() as connection:
                verdict = connection.execute("PRAGMA integrity_check").fetchone()[0]
            if verdict != "ok":
                self.report.problem(f"{peer.name}: integrity_check: {verdict}")
            queued = peer.count("outbox WHERE subject IS NULL")
            if queued:
                self.report.problem(f"{peer.name}: {queued} are still queued")


def kill_linked(folder: Path, kills: int, seed: int) -> LinkReport:
    """Kill two linked daemons in `folder` that many times, and return the report."""
    linked = KilledDaemons(folder, seed)
    try:
        linked.prepare()
        while linked.report.kills < kills:
            linked.kill_once()
        linked.compare()
        linked.wait_for_marks()
        for peer in linked.daemons:
            peer.daemon.stop()
        linked.check_databases()
    except (AssertionError, OSError) as error:
        linked.report.problem(repr(error))
    finally:
        linked.close()
    return linked.report


if __name__ == "__main__":
    sys.exit(run_program("tests.support.linked_kills", __doc__, kill_linked, kills=10))
