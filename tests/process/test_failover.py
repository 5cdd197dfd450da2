"""The PostgreSQL server of a realm is killed, and its standby takes over."""

from __future__ import annotations

import time

from tests.support.node_daemons import GROUP, NodeDaemonsTestCase
from tests.support.order import long_test
from tests.support.postgres import MISSING, find_programs
from tests.support.postgres_pair import PostgresPair
from tests.support.processes import in_thread
from tests.support.talker import Talker

MESSAGES = 60
WINDOW = 16
KILLED_AFTER = 20  # replies
HEARD_WITHIN = 5.0  # seconds after the last reply


class Sender:
    """Sends messages under keys to the group, some at a time, and each again until it is stored."""

    def __init__(self, talker: Talker, name: str) -> None:
        self.talker = talker
        self.name = name
        self.seqs: dict[int, int] = {}
        self.failed = 0  # replies
        self._waiting = [*range(MESSAGES)]

    def send(self) -> None:
        number = self._waiting.pop(0)
        text, key = self.text(number), f"{self.name}-{number}"
        self.talker.send(command="sendgroup", group=GROUP, text=text, key=key, id=number)

    def text(self, number: int) -> str:
        return f"{self.name} {number}"

    def run(self, replies: int) -> None:
        """Send until there are so many messages with a seq."""
        while len(self.seqs) < replies:
            reply = self.talker.line()
            assert reply is not None
            if reply["status"] == "OK":
                self.seqs[reply["id"]] = reply["seq"]
            else:
                assert reply["code"] == "storage-failed", reply
                self.failed += 1
                self._waiting.append(reply["id"])
                time.sleep(0.05)
            if self._waiting:
                self.send()

    @property
    def texts(self) -> list[str]:
        return [self.text(number) for number in range(MESSAGES)]


class Failover(NodeDaemonsTestCase):
    if find_programs() is None:
        skip = MISSING

    def setUp(self) -> None:
        super().setUp()
        programs = find_programs()
        assert programs is not None
        self.pair = PostgresPair(programs)
        self.addCleanup(self.pair.remove)
        self.launch_nodes(self.pair.database("chatd"))

    def heard(self, talker: Talker, until: float) -> list[str]:
        """The texts of the events that come until then, by a monotonic clock, or until there are enough."""
        while True:
            talker.must(command="ping")
            texts = [event["text"] for event in talker.events if event.get("text")]
            if len(texts) >= 2 * MESSAGES or time.monotonic() > until:
                return texts
            time.sleep(0.05)

    @long_test
    @in_thread
    def test_killed_primary(self) -> None:
        """Two clients send through two nodes while the primary is killed. Each
        message is stored once, and listeners at both nodes hear each one once, within seconds."""
        one, two = (home.daemon for home in self.nodes)
        with one.register("ana") as ana, two.register("budi") as budi:
            ana.must(command="addgroup", group=GROUP)
            budi.must(command="joingroup", group=GROUP)
            listeners = [one.register("citra"), two.register("dewi")]
            for listener in listeners:
                self.addCleanup(listener.close)
                listener.must(command="joingroup", group=GROUP)
                listener.must(command="listen", on=True)
                listener.events.clear()
            senders = [Sender(ana, "ana"), Sender(budi, "budi")]
            for sender in senders:
                for _ in range(WINDOW):
                    sender.send()
            for sender in senders:
                sender.run(KILLED_AFTER)
            self.pair.kill()
            self.pair.promote()
            for sender in senders:
                sender.run(MESSAGES)
            stored = self.history(budi, group=GROUP)
            every = [text for sender in senders for text in sender.texts]
            self.assertEqual(sorted(text for _, text in stored), sorted(every))
            seqs = {text: seq for seq, text in stored}
            for sender in senders:
                told = {sender.text(number): seq for number, seq in sender.seqs.items()}
                self.assertEqual({text: seqs[text] for text in told}, told)
            until = time.monotonic() + HEARD_WITHIN
            heard = [sorted(self.heard(listener, until)) for listener in listeners]
            self.assertEqual(heard, [sorted(every)] * 2)
