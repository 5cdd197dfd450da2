"""Scenarios in which everybody is online: relay between pairs, and one sender to a group.

Both are closed loops: a sender has at most `window` messages under way, and may send the next one when one
has been *delivered*. The loops do not parse lines. They count marks in whole chunks. Every text is numbered,
and after each chunk the last number in it must equal the count, so a message that is lost, duplicated or out
of order is noticed at once. Times from send to delivery are taken for every chunk: the message in its middle
represents all of it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from benchmarks.crowd import Accounts, Texts, names
from benchmarks.engine import Connection, Latencies, LoadError, Loop, Reading, Report

WARM_UP = 1.0
#: Seconds after the last delivery after which missing messages count as lost.
GRACE = 3.0
#: Seconds after the end in which duplicates may still arrive.
AFTERMATH = 0.2


@dataclass
class Tally:
    """The counters and errors that all clients of a scenario share."""

    latencies: Latencies = field(default_factory=Latencies)
    sending: bool = True
    errors: int = 0
    sample: str = ""

    def error(self, sample: bytes) -> None:
        self.errors += 1
        if not self.sample:
            self.sample = sample[:300].decode(errors="replace").strip()


class Sender:
    """The sending side. It counts its messages and their acknowledgements."""

    __slots__ = ("ack", "acked", "connection", "end", "refusal", "sent", "tally", "texts")

    def __init__(self, connection: Connection, texts: Texts, tally: Tally) -> None:
        dialect = connection.loop.dialect
        self.ack, self.refusal, self.end = dialect.ack, dialect.refusal, dialect.end
        self.connection = connection
        self.texts = texts
        self.tally = tally
        self.sent = 0
        self.acked = 0
        connection.listen(self.on_readable)

    def on_readable(self) -> None:
        data = self.connection.receive_through(self.end)
        count = data.count(self.ack)
        self.acked += count
        if count != data.count(self.end):
            self.look(data)

    def look(self, data: bytes) -> None:
        """Handle data that is not only acknowledgements."""
        without_pushes = self.connection.loop.dialect.without_pushes
        for reply in data.split(self.end)[:-1]:
            rest = without_pushes(reply + self.end)
            if rest and self.ack not in rest:
                self.tally.error(rest)

    def say(self, count: int) -> None:
        first = self.sent
        self.sent = first + count
        self.connection.send(self.texts.batch(first, count))


class Listener:
    """The receiving side. It counts the pushed messages."""

    __slots__ = ("connection", "delivered", "push", "sender", "tally")

    def __init__(self, connection: Connection, sender: Sender, tally: Tally) -> None:
        self.connection = connection
        self.sender = sender
        self.push = connection.loop.dialect.push
        self.tally = tally
        self.delivered = 0

    def count(self) -> int:
        """Count the messages in a chunk. Returns their number."""
        data = self.connection.receive_through(b"\n")
        count = data.count(Texts.MARK)
        if count != data.count(b"\n"):
            self.look(data)
        if count:
            self.delivered += count
            number = Texts.number(data, data.rfind(Texts.MARK))
            if number != self.delivered - 1:
                said = f" (the server said: {self.tally.sample})" if self.tally.sample else ""
                raise LoadError(
                    f"{self.connection.name}: message {number} came as number {self.delivered - 1}:"
                    f" something before it was refused, lost, doubled or put out of order{said}"
                )
        return count

    def look(self, data: bytes) -> None:
        """Handle data that is not only messages. Other pushes are ignored."""
        for line in data.splitlines(keepends=True):
            if Texts.MARK not in line and not line.startswith(self.push):
                self.tally.error(line)


class Pair(Listener):
    """A sender and its listener."""

    __slots__ = ("times", "window")

    def __init__(self, connection: Connection, sender: Sender, window: int, tally: Tally) -> None:
        super().__init__(connection, sender, tally)
        self.window = window
        #: When a message was sent, by its number; no more than a window is ever under way.
        self.times = [0] * window
        connection.listen(self.on_readable)

    def start(self) -> None:
        self.times = [time.monotonic_ns()] * self.window
        self.sender.say(self.window)

    def on_readable(self) -> None:
        first = self.delivered
        count = self.count()
        if not count:
            return
        now = time.monotonic_ns()
        tally, times, window = self.tally, self.times, self.window
        latencies = tally.latencies
        latencies.counts[now - times[(first + count // 2) % window] >> latencies.SHIFT] += count
        if (oldest := now - times[first % window]) > latencies.largest:
            latencies.largest = oldest
        if tally.sending:
            sender = self.sender
            free = window - sender.sent + self.delivered
            for number in range(sender.sent, sender.sent + free):
                times[number % window] = now
            sender.say(free)


def relay(
    loop: Loop, accounts: Accounts, pid: int, *, count: int, window: int, seconds: float
) -> Report:
    """`count` pairs, each with a window of its own."""
    people = names(1, 2 * count)
    accounts.ensure(loop, people)
    entered = accounts.enter(loop, people, listening=True)
    tally = Tally()
    pairs = []
    for index, (speaker, listener) in enumerate(zip(entered[:count], entered[count:], strict=True)):
        texts = Texts(index, partial(loop.dialect.send, listener.name))
        pairs.append(Pair(listener, Sender(speaker, texts, tally), window, tally))
    for pair in pairs:
        pair.start()
    report = _measured(loop, tally, [pid], [pair.sender for pair in pairs], pairs, seconds)
    return {"scenario": "relay", "window": window, "pairs": count, **report}


@dataclass(frozen=True)
class Elsewhere:
    """A second realm that the server is linked with: its name, its port, its process."""

    realm: str
    port: int
    pid: int


def federation(
    loop: Loop,
    accounts: Accounts,
    pid: int,
    *,
    elsewhere: Elsewhere | None,
    count: int,
    window: int,
    seconds: float,
) -> Report:
    """As `relay`, with listeners in another realm if there is one."""
    people = names(1, 2 * count)
    pids = [pid]
    if elsewhere is not None:
        loop.ports = dict.fromkeys(people[count:], elsewhere.port)
        pids.append(elsewhere.pid)
    accounts.ensure(loop, people)
    entered = accounts.enter(loop, people, listening=True)
    tally = Tally()
    pairs = []
    for index, (speaker, listener) in enumerate(zip(entered[:count], entered[count:], strict=True)):
        to = listener.name if elsewhere is None else f"{listener.name}@{elsewhere.realm}"
        texts = Texts(index, partial(loop.dialect.send, to))
        pairs.append(Pair(listener, Sender(speaker, texts, tally), window, tally))
    for pair in pairs:
        pair.start()
    report = _measured(loop, tally, pids, [pair.sender for pair in pairs], pairs, seconds)
    return {"scenario": "federation", "window": window, "pairs": count, **report}


class Speaker(Sender):
    """Posts to a group. It may send the next message when the deliveries to all members amount to one message
    each."""

    __slots__ = ("reached", "share", "times", "window")

    def __init__(
        self, connection: Connection, texts: Texts, tally: Tally, share: int, window: int
    ) -> None:
        super().__init__(connection, texts, tally)
        self.share = share
        self.window = window
        #: The deliveries to all members, added up.
        self.reached = 0
        #: When each message was sent. One member may be far behind, so all times are kept; they are few.
        self.times: list[int] = []

    def post(self, count: int) -> None:
        self.times.extend([time.monotonic_ns()] * count)
        self.say(count)


class Member(Listener):
    """A member that listens to the speaker."""

    __slots__ = ("speaker",)

    def __init__(self, connection: Connection, speaker: Speaker, tally: Tally) -> None:
        super().__init__(connection, speaker, tally)
        self.speaker = speaker
        connection.listen(self.on_readable)

    def on_readable(self) -> None:
        first = self.delivered
        count = self.count()
        if not count:
            return
        now = time.monotonic_ns()
        speaker, latencies = self.speaker, self.tally.latencies
        latencies.counts[now - speaker.times[first + count // 2] >> latencies.SHIFT] += count
        if (oldest := now - speaker.times[first]) > latencies.largest:
            latencies.largest = oldest
        speaker.reached += count
        free = speaker.reached // speaker.share + speaker.window - speaker.sent
        if free > 0 and self.tally.sending:
            speaker.post(free)


def fanout(
    loop: Loop, accounts: Accounts, pid: int, *, count: int, window: int, seconds: float
) -> Report:
    """One member of a group posts, and the others listen."""
    people = names(1, count)
    accounts.ensure(loop, people)
    dialect = loop.dialect
    # A new name, so that members of an earlier run do not listen.
    group = f"g-{Texts.RUN.decode()}"
    [founder] = accounts.enter(loop, people[:1], listening=True, also=[dialect.add_group(group)])
    others = accounts.enter(loop, people[1:], listening=True, also=[dialect.join_group(group)])
    tally = Tally()
    texts = Texts(0, partial(dialect.post, group))
    speaker = Speaker(founder, texts, tally, len(others), window)
    members = [Member(connection, speaker, tally) for connection in others]
    speaker.post(window)
    report = _measured(loop, tally, [pid], [speaker], members, seconds)
    return {"scenario": "fanout", "window": window, "members": count, **report}


@dataclass(frozen=True)
class Counts:
    """The counts of all senders and listeners together."""

    senders: Sequence[Sender]
    listeners: Sequence[Listener]

    @property
    def acked(self) -> int:
        return sum(sender.acked for sender in self.senders)

    @property
    def delivered(self) -> int:
        return sum(listener.delivered for listener in self.listeners)

    @property
    def settled(self) -> bool:
        """Whether everything that was sent is acknowledged and delivered."""
        return all(sender.acked >= sender.sent for sender in self.senders) and all(
            listener.delivered >= listener.sender.sent for listener in self.listeners
        )

    def report(self) -> Report:
        late = [listener.sender.sent - listener.delivered for listener in self.listeners]
        return {
            "sent": sum(sender.sent for sender in self.senders),
            "acked": self.acked,
            "delivered": self.delivered,
            "lost": sum(max(0, each) for each in late),
            "doubled": sum(max(0, -each) for each in late),
            "unacked": sum(abs(sender.sent - sender.acked) for sender in self.senders),
        }


def _measured(
    loop: Loop,
    tally: Tally,
    pids: Sequence[int],
    senders: Sequence[Sender],
    listeners: Sequence[Listener],
    seconds: float,
) -> Report:
    """Warm up, measure, stop sending, wait for the rest, and compare the counts."""
    counts = Counts(senders, listeners)
    loop.run(WARM_UP)
    tally.latencies.clear()
    acked_before, delivered_before = counts.acked, counts.delivered
    before = Reading.take(*pids)
    loop.run(seconds)
    after = Reading.take(*pids)
    acked_in_time = counts.acked - acked_before
    delivered_in_time = counts.delivered - delivered_before
    latencies = tally.latencies
    report: Report = {
        "acked_per_s": round(acked_in_time / (after.wall - before.wall), 1),
        "delivered_per_s": round(delivered_in_time / (after.wall - before.wall), 1),
        "p50_ms": round(latencies.milliseconds(0.5), 3),
        "p99_ms": round(latencies.milliseconds(0.99), 3),
        "max_ms": round(latencies.largest / 1e6, 3),
        **before.until(after, delivered_in_time),
    }
    tally.sending = False
    loop.run_until(lambda: counts.settled, lambda: counts.acked + counts.delivered, GRACE)
    loop.run(AFTERMATH)
    return report | counts.report() | {"errors": tally.errors, "error_sample": tally.sample}
