"""Two daemons that serve one realm on a PostgreSQL server."""

from __future__ import annotations

import contextlib
from typing import Any

from tests.support.node_daemons import GROUP, NodeDaemonsTestCase
from tests.support.order import long_test
from tests.support.postgres import MISSING, find_programs, temporary_database
from tests.support.processes import in_thread, wait_until
from tests.support.talker import Talker

MESSAGES = 100
WINDOW = 16
KILLED_AFTER = 40  # replies


def numbered(number: int) -> dict[str, Any]:
    text, key = f"pesan {number}", f"key-{number}"
    return {"command": "sendgroup", "group": GROUP, "text": text, "key": key, "id": number}


class TwoNodes(NodeDaemonsTestCase):
    if find_programs() is None:
        skip = MISSING

    def setUp(self) -> None:
        super().setUp()
        self.launch_nodes(temporary_database(self))

    @long_test
    @in_thread
    def test_live_and_after_a_kill(self) -> None:
        """People at both nodes write to each other. One node is killed while a client sends under keys, which
        sends again through the other one: nothing is lost or stored twice. The killed node comes back."""
        one, two = (home.daemon for home in self.nodes)
        with one.register("ana") as ana, two.register("budi") as budi:
            for talker in (ana, budi):
                talker.must(command="listen", on=True)
            ana.must(command="addgroup", group=GROUP)
            budi.must(command="joingroup", group=GROUP)
            ana.must(command="send", to="budi", text="halo")
            self.told(budi, "halo")
            budi.must(command="send", to="ana", text="halo juga")
            self.told(ana, "halo juga")
            budi.must(command="sendgroup", group=GROUP, text="semua")
            self.told(ana, "semua")
            direct = [text for _, text in self.history(ana, user="budi")]
            self.assertEqual(direct, ["halo", "halo juga"])
            self.assertEqual(self.history(ana, user="budi"), self.history(budi, user="ana"))
            acknowledged = self.kill_while_sending(ana)
            self.send_again(acknowledged)
            stored = self.history(budi, group=GROUP)
            expected = ["semua", *(f"pesan {number}" for number in range(MESSAGES))]
            self.assertEqual(sorted(text for _, text in stored), sorted(expected))
            first = stored[0][0]
            self.assertEqual([seq for seq, _ in stored], [*range(first, first + len(stored))])
            self.hears(budi, stored[1:])
        self.nodes[0].start()
        with self.nodes[0].daemon.login("ana", "ana-password") as ana:
            self.assertEqual(self.history(ana, group=GROUP), stored)

    def hears(self, talker: Talker, stored: list[tuple[int, str]]) -> None:
        """Wait until these messages have been told, each once: also those that were stored just before the
        kill."""

        def heard() -> list[tuple[int, str]]:
            events = [each for each in talker.events if each.get("group") == GROUP]
            return sorted((each["seq"], each["text"]) for each in events if "text" in each)

        def all_heard() -> bool:
            talker.must(command="ping")
            return len(heard()) >= len(stored)

        wait_until(all_heard, lambda: f"{heard()} of {stored}")
        self.assertEqual(heard(), stored)

    def kill_while_sending(self, talker: Talker) -> dict[int, int]:
        """Kill the first node with `WINDOW` messages on their way. Returns the seqs of the messages that it
        had acknowledged, by number."""
        seqs: dict[int, int] = {}
        for number in range(WINDOW):
            talker.send(**numbered(number))
        while len(seqs) < KILLED_AFTER:
            self.acknowledge(talker.line(), seqs)
            talker.send(**numbered(len(seqs) + WINDOW - 1))
        self.nodes[0].kill()
        with contextlib.suppress(ConnectionError):
            while (reply := talker.line()) is not None:
                self.acknowledge(reply, seqs)
        return seqs

    def acknowledge(self, reply: dict[str, Any] | None, seqs: dict[int, int]) -> None:
        assert reply is not None
        self.assertEqual(reply["status"], "OK", reply)
        seqs[reply["id"]] = reply["seq"]

    def send_again(self, acknowledged: dict[int, int]) -> None:
        """Send all messages through the second node, also those that were acknowledged."""
        seqs: dict[int, int] = {}
        with self.nodes[1].daemon.login("ana", "ana-password") as ana:
            for number in range(MESSAGES):
                ana.send(**numbered(number))
            while len(seqs) < MESSAGES:
                self.acknowledge(ana.line(), seqs)
        self.assertEqual({number: seqs[number] for number in acknowledged}, acknowledged)
        self.assertEqual(len({*seqs.values()}), MESSAGES)
