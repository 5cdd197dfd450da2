"""A realm of two daemons on PostgreSQL, linked with a realm of one daemon on SQLite."""

from __future__ import annotations

import time

from tests.support.linked_daemons import PeerDaemon
from tests.support.node_daemons import NodeDaemonsTestCase
from tests.support.order import long_test
from tests.support.postgres import MISSING, find_programs, temporary_database
from tests.support.processes import Home, in_thread, wait_until
from tests.support.talker import Talker

PEERS = """
[peers]
add = anyone
private = yes
strangers = welcome
"""
OTHER = "realm2"
OWNS = f"this node links with {OTHER}"  # in the log of the node with the link
WINDOW = 16
MESSAGES = 60
KILLED_AFTER = 20  # replies
TAKEN_OVER = 10.0  # seconds


class LinkOfNodes(NodeDaemonsTestCase):
    if find_programs() is None:
        skip = MISSING

    def setUp(self) -> None:
        super().setUp()
        self.launch_nodes(temporary_database(self), PEERS)
        self.other = PeerDaemon(self.root, OTHER)
        self.addCleanup(self.other.close)
        self.other.start()

    def link(self, ana: Talker) -> tuple[Home, Home]:
        """Link the realms. Returns the node with the link, and the one without."""
        port = self.other.ports["peers"]
        ana.must(command="addrealm", realm=OTHER, host="127.0.0.1", port=port)

        def shown() -> str:
            return str(ana.must(command="realms")["realms"][0]["state"])

        wait_until(lambda: shown() == "up", shown)
        one, two = self.nodes
        return (one, two) if OWNS in one.daemon.out else (two, one)

    @long_test
    @in_thread
    def test_taken_over(self) -> None:
        """People at the node without the link use the other realm. When the node with the link is killed
        while messages are on their way, the other one delivers each of them once, within 10 s."""
        with self.other.daemon.register("budi") as budi:
            budi.must(command="addgroup", group="ramai")
            budi.must(command="sendgroup", group="ramai", text="lama")
            with self.nodes[0].daemon.register("ana") as ana:
                owner, node = self.link(ana)
            with node.daemon.login("ana", "ana-password") as ana:
                self.assertNotIn(OWNS, node.daemon.out)
                self.use(ana, budi)
                budi.must(command="listen", on=True)
                killed = self.kill_while_sending(ana, owner)
                taken = self.until_delivered(budi) - killed
                texts = [text for _, text in self.history(budi, user="ana@realm1")]
                self.assertEqual(texts, ["halo", *(f"pesan {n}" for n in range(MESSAGES))])
                self.assertLess(taken, TAKEN_OVER)
                self.assertIn(OWNS, node.daemon.out)
                ana.must(command="members", group=f"ramai@{OTHER}")

    def use(self, ana: Talker, budi: Talker) -> None:
        """A message, and questions: joining, members, earlier messages, and a post that comes back."""
        sent = ana.must(command="send", to=f"budi@{OTHER}", text="halo", wait=True)
        self.assertEqual(sent["state"], "delivered")
        ana.must(command="joingroup", group=f"ramai@{OTHER}")
        self.assertEqual(len(ana.must(command="members", group=f"ramai@{OTHER}")["members"]), 2)
        earlier = [text for _, text in self.history(ana, group=f"ramai@{OTHER}")]
        self.assertIn("lama", earlier)
        posted = ana.must(command="sendgroup", group=f"ramai@{OTHER}", text="baru", wait=True)
        self.assertEqual(posted["state"], "delivered")

    def kill_while_sending(self, ana: Talker, owner: Home) -> float:
        """Send all messages, with WINDOW of them on their way, and kill the node with the link meanwhile.
        Returns when that was."""
        replies, killed = 0, 0.0
        for number in range(WINDOW):
            self.send(ana, number)
        while replies < MESSAGES:
            reply = ana.line()
            assert reply is not None
            self.assertEqual(reply["status"], "OK", reply)
            replies += 1
            if replies == KILLED_AFTER:
                owner.kill()
                killed = time.monotonic()
            if replies + WINDOW <= MESSAGES:
                self.send(ana, replies + WINDOW - 1)
        return killed

    def send(self, ana: Talker, number: int) -> None:
        text, key = f"pesan {number}", f"key-{number}"
        ana.send(command="send", to=f"budi@{OTHER}", text=text, key=key, id=number)

    def until_delivered(self, budi: Talker) -> float:
        """Wait until the last message has come. Returns when."""
        self.told(budi, f"pesan {MESSAGES - 1}")
        return time.monotonic()
