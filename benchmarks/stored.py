"""Scenarios about stored state: messages for absent people, silent sessions, a big database."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial

from benchmarks.crowd import Accounts, Texts, marks, names
from benchmarks.dialects import Dialect
from benchmarks.engine import (
    Connection,
    LoadError,
    Loop,
    Reading,
    Report,
    Script,
    play,
    server_rss,
)
from benchmarks.live import GRACE, Sender, Tally

#: Other receivers than in the live scenarios, whose inboxes are full.
FIRST_AWAY = 1001
#: Seconds after the logins before memory is measured.
SETTLE = 2.0
#: Messages of history in one request.
PAGE = 50


class Mailer(Sender):
    """Sends `each` messages to an absent account, and may send the next one when one is stored."""

    __slots__ = ("each", "window")

    def __init__(
        self, connection: Connection, texts: Texts, tally: Tally, window: int, each: int
    ) -> None:
        super().__init__(connection, texts, tally)
        self.window = window
        self.each = each
        self.refill()

    def refill(self) -> None:
        free = min(self.window + self.acked, self.each) - self.sent
        if free > 0:
            self.say(free)

    def on_readable(self) -> None:
        super().on_readable()
        self.refill()


def offline(
    loop: Loop, accounts: Accounts, pid: int, *, count: int, window: int, each: int
) -> Report:
    """`count` senders write `each` messages to absent accounts. Then the receivers log in and fetch them."""
    people = names(FIRST_AWAY, 2 * count)
    senders, receivers = people[:count], people[count:]
    accounts.ensure(loop, people)
    report: Report = {"scenario": "offline", "window": window, "pairs": count, "each": each}
    report |= _store(loop, accounts, pid, senders, receivers, window, each)
    report |= _fetch(loop, accounts, pid, receivers, each)
    return report


def _store(
    loop: Loop,
    accounts: Accounts,
    pid: int,
    senders: list[str],
    receivers: list[str],
    window: int,
    each: int,
) -> Report:
    entered = accounts.enter(loop, senders, listening=False)
    tally = Tally()
    before = Reading.take(pid)
    mailers = [
        Mailer(connection, Texts(index, partial(loop.dialect.send, to)), tally, window, each)
        for index, (connection, to) in enumerate(zip(entered, receivers, strict=True))
    ]
    target = each * len(mailers)

    def acked() -> int:
        return sum(mailer.acked for mailer in mailers)

    loop.run_until(lambda: acked() >= target, acked)
    after = Reading.take(pid)
    for mailer in mailers:
        mailer.connection.close()
    costs = before.until(after, acked())
    return {
        "acked_per_s": round(acked() / (after.wall - before.wall), 1),
        "sent": sum(mailer.sent for mailer in mailers),
        "acked": acked(),
        "unacked": target - acked(),
        "errors": tally.errors,
        "error_sample": tally.sample,
        **costs,
    }


@dataclass
class Fetches:
    """What the receivers have fetched: the marks of the messages `seen` by name, and the connections that
    are `done`. `again` counts those that have fetched once more."""

    dialect: Dialect
    accounts: Accounts
    seen: dict[str, set[bytes]]
    done: list[Connection] = field(default_factory=list)
    doubled: int = 0
    again: int = 0

    def fetch(self, connection: Connection) -> Script:
        token = self.accounts.tokens[connection.name]
        self.dialect.checked((yield self.dialect.login(connection.name, token)))
        while True:
            reply = yield self.dialect.inbox()
            if not self._take(connection.name, reply) or self.dialect.remaining(reply) == 0:
                break
        self.done.append(connection)

    def fetch_again(self, connection: Connection) -> Script:
        self._take(connection.name, (yield self.dialect.inbox()))
        self.again += 1

    def _take(self, name: str, reply: bytes) -> int:
        found = list(marks(self.dialect.checked(reply)))
        fresh = set(found) - self.seen[name]
        self.doubled += len(found) - len(fresh)
        self.seen[name] |= fresh
        return len(found)


def _fetch(loop: Loop, accounts: Accounts, pid: int, receivers: list[str], each: int) -> Report:
    """All receivers log in and fetch until nothing remains, which is measured. Then each fetches once more,
    and messages of that are doubled."""
    fetches = Fetches(loop.dialect, accounts, {name: set() for name in receivers})
    before = Reading.take(pid)
    loop.run_scripts((name, fetches.fetch) for name in receivers)
    after = Reading.take(pid)
    total = sum(len(found) for found in fetches.seen.values())
    fetched = fetches.done[:]
    for connection in fetched:
        play(connection, fetches.fetch_again(connection), lambda: None)
    if not loop.run_until(lambda: fetches.again == len(fetched), lambda: fetches.again, GRACE):
        raise LoadError("no reply to an inbox that ought to be empty")
    for connection in fetched:
        connection.close()
    costs = before.until(after, total)
    return {
        "fetched_per_s": round(total / (after.wall - before.wall), 1),
        "fetch_server_cpu_s_per_1000": costs["server_cpu_s_per_1000"],
        "fetch_server_cpu_pct": costs["server_cpu_pct"],
        "fetch_generator_cpu_pct": costs["generator_cpu_pct"],
        "delivered": total,
        "lost": each * len(receivers) - total,
        "doubled": fetches.doubled,
    }


def idle(loop: Loop, accounts: Accounts, pid: int, *, count: int) -> Report:
    """`count` people log in and send nothing."""
    people = names(1, count)
    accounts.ensure(loop, people)
    memory = server_rss(pid)
    before = Reading.take(pid)
    accounts.enter(loop, people, listening=False)
    after = Reading.take(pid)
    loop.run(SETTLE)
    quiet = Reading.take(pid)
    grown = server_rss(pid) - memory
    return {
        "scenario": "idle",
        "connections": count,
        "logins_per_s": round(count / (after.wall - before.wall), 1),
        "kib_per_connection": round(grown / count, 2),
        "rss_kib": memory + grown,
        **before.until(after, count),
        "idle_server_cpu_pct": after.until(quiet, 1)["server_cpu_pct"],
    }


def big(loop: Loop, accounts: Accounts, pid: int, *, user: str, to: str, calls: int) -> Report:
    """How long single requests take, one after another. The two accounts have read everything and have
    written to each other before, so that only the size of the database differs between runs."""
    dialect = loop.dialect
    accounts.ensure(loop, [user, to])
    one, other = accounts.enter(loop, [user, to], listening=False)
    there, back = (
        Texts(number, partial(dialect.send, name)) for number, name in enumerate((to, user))
    )
    for number in range(PAGE):
        _ask(loop, one, there.batch(number, 1))
    for connection in (one, other):
        while Texts.MARK in (reply := _ask(loop, connection, dialect.inbox())[0]) or (
            dialect.remaining(reply)
        ):
            pass
    microseconds: dict[str, list[float]] = {}

    def measure(name: str, line: bytes) -> None:
        _, spent = _ask(loop, one, line)
        microseconds.setdefault(name, []).append(spent)

    before = Reading.take(pid)
    for number in range(calls):
        # The first one comes after the last send, which changes nothing for its sender.
        _ask(loop, one, dialect.inbox())
        measure("inbox", dialect.inbox())
        _ask(loop, other, back.batch(number, 1))
        measure("news", dialect.inbox())
        measure("history", dialect.history(to, PAGE))
        measure("send", there.batch(PAGE + number, 1))
    after = Reading.take(pid)
    report: Report = {"scenario": "big", "calls": calls, **before.until(after, 6 * calls)}
    for name, times in microseconds.items():
        times.sort()
        report[f"{name}_median_us"] = round(times[len(times) // 2], 1)
        report[f"{name}_p99_us"] = round(times[int(len(times) * 0.99)], 1)
    return report


def _ask(loop: Loop, connection: Connection, line: bytes) -> tuple[bytes, float]:
    """The reply to a single request, and how many microseconds it took."""
    replies: list[bytes] = []
    spent = 0.0

    def script() -> Script:
        nonlocal spent
        began = time.perf_counter_ns()
        reply = yield line
        spent = (time.perf_counter_ns() - began) / 1000
        replies.append(loop.dialect.checked(reply))

    play(connection, script(), lambda: None)
    if not loop.run_until(lambda: bool(replies), lambda: len(replies)):
        raise LoadError(f"no reply to {line!r}")
    return replies[0], spent
