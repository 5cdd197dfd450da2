"""One run: start everything, let clients act and parts fail, heal, and check."""

from __future__ import annotations

import bisect
import contextlib
import sqlite3
import subprocess
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from tests.nodes import checks
from tests.nodes.checks import Log
from tests.nodes.clients import Client, Guest, Writer
from tests.nodes.daemons import DATABASE, Cluster
from tests.nodes.faults import Faults
from tests.nodes.files import FileSender
from tests.nodes.kicks import Admin, Episode
from tests.nodes.listeners import Entry, Listener, entries_after
from tests.nodes.operations import History, Operation, key_of
from tests.nodes.people import HERE, THERE, Place, Size, places
from tests.nodes.report import Report
from tests.nodes.sessions import Person, Session, Unanswered
from tests.support.processes import wait_until
from tests.support.talker import Talker

HEALS_WITHIN = 60.0  # seconds after the last fault
LATE = 10.0  # seconds after which live messages count as late
WITHOUT_FAULTS = 2.0  # seconds before the first one

SIZE = Size()
_GAPS = """
SELECT conversation_id, count(*), count(DISTINCT seq), min(seq), max(seq) FROM (
    SELECT conversation_id, seq FROM messages WHERE seq > 0
    UNION ALL SELECT conversation_id, seq FROM changes WHERE seq > 0
) AS entries GROUP BY conversation_id
HAVING count(*) <> count(DISTINCT seq) OR count(*) <> max(seq)
"""


class Run:
    """One run in `folder`, which follows from the seed as far as time allows. With a `pace` below 1, faults
    are shorter and more frequent."""

    def __init__(
        self,
        folder: Path,
        seed: int,
        size: Size = SIZE,
        bus: str = "redis",
        pace: float = 1.0,
    ) -> None:
        self.report = Report(seed)
        self.history = History(folder / "history.jsonl", HERE)
        self.cluster = Cluster(folder, self.history, seed, bus)
        self.faults = Faults(self.cluster, self.history, seed, pace)
        self._pace = pace
        self._size = size
        self._folder = folder
        self._seed = seed
        self._places = places(size)
        self._people: dict[str, Person] = {}
        self.clients: list[Client] = []

    def run(self, count: int) -> Report:
        """Make that many faults, and return the report."""
        began = time.monotonic()
        report = self.report
        try:
            self.cluster.start()
            self.prepare()
            for client in self.clients:
                client.start()
            time.sleep(self._pace * WITHOUT_FAULTS)
            self.faults.run(count)
            self.heal()
            self.check()
        except (AssertionError, OSError, Unanswered) as error:
            report.problems.append(repr(error))
        finally:
            if report.problems:
                with contextlib.suppress(OSError, subprocess.CalledProcessError):
                    self.cluster.save(self._folder / "database.dump")
            for client in self.clients:
                client.stop()
            self.cluster.close()
            self.history.close()
        report.took = time.monotonic() - began
        report.faults = self.faults.counts
        return report

    def prepare(self) -> None:
        """Make accounts and groups, link the realms, and make the clients."""
        self._people = self.cluster.register(self._size)
        self._add_realm(HERE, THERE, self.cluster.to_peer.wires[0].port)
        self._add_realm(THERE, HERE, self.cluster.from_peer.wires[0].port)
        for place in self._places:
            if place.group:
                self._found(place)
        self._make_clients()

    def _add_realm(self, realm: str, other: str, port: int) -> None:
        """Let a realm add another one, which may be busy at first."""
        with self._talk(f"witness@{realm}") as talker:
            added = {"command": "addrealm", "realm": other, "host": "127.0.0.1", "port": port}
            wait_until(
                lambda: talker.ask(**added).get("code") in (None, "realm-exists"),
                lambda: f"{realm} adds {other}",
            )

    def _talk(self, address: str) -> Talker:
        person = self._people[address]
        talker = Talker(person.ports[0])
        talker.must(command="resume", token=person.token)
        return talker

    def _found(self, place: Place) -> None:
        witness = f"witness@{place.home}"
        with self._talk(witness) as talker:
            talker.must(command="addgroup", group=place.group)
        for address in place.members:
            if address != witness:
                with self._talk(address) as talker:
                    group = place.fields(self._people[address])
                    wait_until(
                        lambda talker=talker, group=group: (  # type: ignore[misc]
                            talker.ask(command="joingroup", **group).get("code")
                            in (None, "already-member")
                        ),
                        lambda address=address: f"{address} joins {place.label}",  # type: ignore[misc]
                    )

    def _make_clients(self) -> None:
        history, seed = self.history, self._seed
        office = next(place for place in self._places if place.group == "office")
        for address, person in self._people.items():
            if person.name.startswith("writer"):
                self.clients.append(Writer(person, history, seed, self._places))
            elif person.name.startswith("listener"):
                self.clients.append(Listener(person, history, seed))
            elif person.name.startswith("admin"):
                victim = self._people[address.replace("admin", "victim")]
                self.clients.append(Admin(person, victim, history, seed, self._pace))
            elif person.name == "guest":
                self.clients.append(Guest(person, history, seed, office))
            elif person.name == "sender":
                self.clients.append(FileSender(person, history, seed, office))

    @property
    def listeners(self) -> list[Listener]:
        return [client for client in self.clients if isinstance(client, Listener)]

    @property
    def episodes(self) -> list[Episode]:
        admins = [client for client in self.clients if isinstance(client, Admin)]
        return [episode for admin in admins for episode in admin.episodes]

    def heal(self) -> None:
        """Let writers end, and wait until everything is delivered and told."""
        began = self.history.running()
        report = self.report
        report.problems += self.faults.problems
        if not self.cluster.answer(HEALS_WITHIN):
            report.problems.append("not all daemons answer after the last fault")
        writers = [client for client in self.clients if not isinstance(client, Listener)]
        for client in writers:
            client.stop()
        for client in writers:
            client.join(2 * HEALS_WITHIN)
            if client.is_alive():
                report.problems.append(f"{client.name} does not end")
        self._wait_for_delivery()
        self._send_last()
        self._wait_for_listeners()
        report.healed = self.history.running() - began

    def _wait_for_delivery(self) -> None:
        """Wait until nothing waits for the other realm, in either direction."""
        until = self.history.running() + HEALS_WITHIN
        while left := self._undelivered():
            self.history.note("undelivered", left=left)
            if self.history.running() > until:
                self.report.problems += left
                return
            time.sleep(0.2)

    def _undelivered(self) -> list[str]:
        """Sentences about what waits for the other realm."""
        found = []
        for table in ("outbox WHERE subject IS NULL", "pending WHERE refused IS NULL"):
            query = f"SELECT count(*) FROM {table}"  # noqa: S608 - of constants
            [(here,)] = self.cluster.servers.primary.execute(query, DATABASE)
            path = self.cluster.peer.home.folder / "state" / "chatd.db"
            with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as peer:
                [(there,)] = peer.execute(query)
            found += [
                f"{count} in {realm}'s {table}"
                for realm, count in ((HERE, here), (THERE, there))
                if count
            ]
        return found

    def _send_last(self) -> None:
        """Write one more message to each conversation, by someone of the realm of its home."""
        for place in self._places:
            address = next(each for each in place.members if each.endswith(f"@{place.home}"))
            session = Session(self._people[address], self.history, self._seed)
            name = f"{address}:last"
            request = {
                **place.sending(session.person),
                "text": name,
                "key": key_of(f"last-{place.label}"),
            }
            operation = Operation(address, "send", place.label, request, name)
            session.settle(operation)
            session.close()

    def _wait_for_listeners(self) -> None:
        """Wait until each listener has heard the last message of each of its conversations, live."""
        until = self.history.running() + HEALS_WITHIN / 2
        missing: list[str] = []
        while self.history.running() < until:
            missing = []
            for listener in self.listeners:
                due = sum(listener.name in place.members for place in self._places)
                logs = list(listener.logs.values())
                heard = sum(log.ends_with("last") for log in logs)
                if heard < due:
                    missing.append(f"{listener.name} has {heard} of {due} last messages")
            if not missing:
                return
            time.sleep(0.2)
        self.report.problems += missing

    def check(self) -> None:
        """Compare what clients were told with the logs."""
        report, operations = self.report, self.history.operations
        found = [
            Log(place.label, realm, self._entries(place, realm))
            for place in self._places
            for realm in place.realms
        ]
        for log in found:
            lost, doubled = checks.lost(log, operations), checks.doubled(log)
            disordered = checks.disordered(log, operations)
            report.lost += len(lost)
            report.doubled += len(doubled)
            report.disordered += len(disordered)
            report.problems += [*lost, *doubled, *disordered]
            report.problems += checks.invented(log, operations) + checks.gaps(log)
        for place in self._places:
            home, *rest = [log for log in found if log.label == place.label]
            report.problems += checks.wrong_changes(home, operations)
            for mirror in rest:
                if place.group:
                    report.problems += checks.mirrors(home, mirror)
            self._check_listeners(place, [home, *rest])
        self._check_kicks()
        report.problems += checks.after_leaving(operations)
        self._check_files()
        self._check_database()
        self._check_logs()
        for client in self.clients:
            if isinstance(client, Writer):
                report.problems += client.stale[:3]
            if client.failure is not None:
                report.problems.append(client.failure)
        self._count()

    def _entries(self, place: Place, realm: str) -> list[Entry]:
        """The log of a conversation, as one of its people in that realm reads it."""
        address = next(each for each in place.members if each.endswith(f"@{realm}"))
        session = Session(self._people[address], self.history, self._seed)
        fields = place.fields(session.person)
        page = session.ask(command="history", **fields, n=1)
        assert page["status"] == "OK", (place.label, page)
        if not page["messages"]:
            return []
        found = list(entries_after(session, page["messages"][0]["conversation"], 0))
        session.close()
        return found

    def _check_listeners(self, place: Place, logs: Sequence[Log]) -> None:
        for log in logs:
            for listener in self.listeners:
                if listener.name in place.members and listener.name.endswith(f"@{log.realm}"):
                    conversation = log.entries[0]["conversation"] if log.entries else 0
                    theirs = listener.logs.get(conversation)
                    entries = {} if theirs is None else theirs.entries
                    self.report.problems += checks.differing(log, entries, listener.name)

    def _check_kicks(self) -> None:
        for episode in self.episodes:
            if episode.kicked is not None:
                log = Log(episode.place.label, HERE, self._entries(episode.place, HERE))
                self.report.problems += checks.after_kick(episode, log)
                self.report.problems += checks.doubled(log)
                self.report.problems += checks.lost(log, self.history.operations)
                self.report.kicks += 1
                kicked = episode.kicked
                self.report.tries_after_kicks += sum(
                    each.began >= kicked for each in episode.operations
                )

    def _check_files(self) -> None:
        for client in self.clients:
            if isinstance(client, FileSender):
                witness = self._people[f"witness@{HERE}"]
                client.check_all(Session(witness, self.history, self._seed))
                self.report.files += len(client.sent)
                self.report.problems += client.wrong

    def _check_database(self) -> None:
        for row in self.cluster.servers.primary.execute(_GAPS, DATABASE):
            self.report.problems.append(f"the database has gaps, or seqs twice: {row}")

    def _check_logs(self) -> None:
        for node in (*self.cluster.nodes, self.cluster.peer):
            found = node.troubles()
            self.report.problems += [f"log, {count} times: {what}" for what, count in found.items()]
            self.report.restarts += node.ended

    def _count(self) -> None:
        report, operations = self.report, self.history.operations
        report.operations = len(operations)
        report.stopped = sum(end - start for start, end in self.history.stops)
        report.attempts = sum(len(each.attempts) for each in operations)
        sent = [each for each in operations if each.verb == "send"]
        report.sent = len(sent)
        report.acknowledged = sum(each.is_ok for each in sent)
        report.refused = checks.refusals(
            each for each in operations if not each.who.startswith("victim")
        )
        for listener in self.listeners:
            report.live += len(listener.arrivals)
            report.filled += listener.filled
            report.told_again += listener.again
            report.problems += listener.differing[:3]
        self._measure(sent)

    def _measure(self, sent: Sequence[Operation]) -> None:
        """Times in which this process was stopped do not count."""
        times, history = self.report.times, self.history
        good = [
            each for each in sent if each.is_ok and not history.has_stopped(each.began, each.ended)
        ]
        times |= summary(
            "until a send was acknowledged", [each.ended - each.began for each in good]
        )
        ends = sorted(
            each.ended
            for each in good
            if each.who.endswith(HERE) and not each.name.endswith(":last")
        )
        pauses = [
            later - earlier
            for earlier, later in pairwise(ends)
            if not history.has_stopped(earlier, later)
        ]
        times["until something was acknowledged after the last fault, worst"] = (
            self.faults.longest_recovery
        )
        times["longest time without any acknowledgement"] = max(pauses, default=0.0)
        for kind in ("fail over", "lose all nodes", "kill node", "terminate backends"):
            waits = [
                ends[at] - moment
                for moment, what in self.faults.moments
                if what == kind and (at := bisect.bisect(ends, moment + 0.1)) < len(ends)
                if not history.has_stopped(moment, ends[at])
            ]
            times[f"until the next acknowledgement after {kind!r}, worst"] = max(waits, default=0.0)
        self._measure_live(good)

    def _measure_live(self, sent: Sequence[Operation]) -> None:
        """How late messages within the realm came to connections that were there since before the send."""
        by_name = {each.name: each for each in sent}
        delays = []
        for listener in self.listeners:
            for name, came, since, node in listener.arrivals:
                operation = by_name.get(name)
                if operation is None or since >= operation.began:
                    continue
                if not all(who.endswith(HERE) for who in (operation.place, operation.who)):
                    continue  # it crosses a link between realms
                if not self.history.has_stopped(operation.began, came):
                    delays.append((came - operation.ended, name, listener.name, node, came))
        self.report.times |= summary(
            "from acknowledgement to a listener", [delay for delay, *_ in delays]
        )
        for delay in sorted(delays)[-50:]:
            self.history.note("late", delay=delay)


def summary(what: str, seconds: Sequence[float]) -> dict[str, float]:
    """Percentiles, by a description of each."""
    if not seconds:
        return {}
    found = sorted(seconds)
    return {
        f"{what}, p50": found[len(found) // 2],
        f"{what}, p99": found[len(found) * 99 // 100],
        f"{what}, worst": found[-1],
    }
