"""Two real daemons that are linked (`tests.support.linked_kills` kills more often)."""

from __future__ import annotations

import hashlib
import random
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

from twisted.trial.unittest import TestCase

from tests.support.linked_daemons import LinkedDaemons, PeerDaemon
from tests.support.linked_kills import kill_linked
from tests.support.linked_load import send_file, stored
from tests.support.order import long_test
from tests.support.processes import in_thread, wait_until

KILLS = 2


class FolderTestCase(TestCase):
    timeout = 120

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="chatd-linked-")).resolve()
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)


class KillTests(FolderTestCase):
    @long_test
    @in_thread
    def test_kill_under_load(self) -> None:
        """Every acknowledged message arrives at the other side, once and in order."""
        report = kill_linked(self.folder, KILLS, seed=3)
        self.assertEqual(report.problems, [], str(report))
        self.assertEqual((report.lost, report.doubled, report.disordered), (0, 0, 0), str(report))
        self.assertGreaterEqual(report.kills, KILLS)
        self.assertGreater(report.acknowledged, KILLS * 100, "there was no load to speak of")
        self.assertGreater(report.queued, 0, "nobody wrote to a realm that was down")


class LinkedTestCase(FolderTestCase):
    """`self.one` has added `self.two`, but not the reverse."""

    def setUp(self) -> None:
        super().setUp()
        self.linked = LinkedDaemons(self.folder)
        self.addCleanup(self.linked.close)
        self.one, self.two = self.linked.daemons

    def begin(self) -> None:
        for peer in self.linked.daemons:
            peer.launch()
        for peer, name in zip(self.linked.daemons, ("ana", "budi"), strict=True):
            peer.daemon.listening()
            peer.register(name)
        self.one.add(self.two, "ana")

    def wait_for(self, peer: PeerDaemon, name: str, other: str, state: str) -> dict[str, Any]:
        with peer.talk(name) as talker:
            return peer.wait_for(talker, other, lambda info: info["state"] == state)

    def ended_cleanly(self, peer: PeerDaemon) -> None:
        peer.daemon.stopped()
        self.assertIn("everything is on disk", peer.daemon.out)
        self.assertNotIn("Traceback", peer.daemon.out)


class StateTests(LinkedTestCase):
    @in_thread
    def test_down_and_up_again(self) -> None:
        """What `realms` shows at each step on both sides, and what senders are told."""
        self.begin()
        one, two = self.one, self.two
        with one.talk("ana") as ana:
            info = one.info(ana, "realm2")
            since = info.pop("since")
            self.assertEqual(
                info,
                {
                    "realm": "realm2",
                    "state": "up",
                    "direction": "out",
                    "address": f"127.0.0.1:{two.ports['peers']}",
                    "queued": 0,
                    "oldest": None,
                    "error": None,
                    "next_try": None,
                    "paused": None,
                },
            )
            self.assertRegex(since, r"^20\d\d-.*Z$")
            reply = ana.must(command="send", to="budi@realm2", text="satu", wait=True)
            self.assertEqual(reply["state"], "delivered")
            with two.talk("budi") as budi:
                self.assertEqual(two.info(budi, "realm1")["direction"], "in")
                self.assertEqual(budi.texts(), ["satu"])
            reply = ana.ask(command="send", to="nobody@realm2", text="?", wait=True)
            self.assertEqual(reply["code"], "unknown-user")

            two.daemon.process.send_signal(signal.SIGINT)
            self.ended_cleanly(two)
            info = one.wait_for(
                ana, "realm2", lambda info: info["state"] == "down" and info["next_try"]
            )
            reply = ana.must(command="send", to="budi@realm2", text="dua")
            self.assertEqual(reply["state"], "queued")
            self.assertIn("queued until it can be delivered: budi@realm2", reply["message"])
            ana.must(command="send", to="nobody@realm2", text="?")
            # Only operators read why a realm that no operator has added is not reached.
            info = one.info(ana, "realm2")
            self.assertEqual(info["error"], "check its name, address and port")
            one.claim(ana)
            info = one.wait_for(ana, "realm2", lambda info: "was not reached" in info["error"])
            self.assertEqual((info["queued"], info["direction"]), (2, None))
            self.assertIn("nothing listens there", info["error"])
            self.assertRegex(info["oldest"], r"^20\d\d-.*Z$")

            two.start()
            info = one.wait_for(ana, "realm2", lambda info: not info["queued"])
            self.assertEqual(
                (info["state"], info["oldest"], info["error"], info["next_try"]),
                ("up", None, None, None),
            )
            with two.talk("budi") as budi:
                self.assertEqual(budi.texts(), ["dua"])
            found = wait_until(lambda: ana.texts(), lambda: "what system has to say")
            self.assertEqual(len(found), 1, found)
            self.assertIn("nobody@realm2", found[0])
            reply = ana.must(command="send", to="budi@realm2", text="tiga")
            self.assertNotIn("queued", reply)

    @long_test
    @in_thread
    def test_interrupt_with_a_link(self) -> None:
        """Ctrl-C stops either side at once and in order, although the two are linked."""
        self.begin()
        for peer, name, other in ((self.one, "ana", "realm2"), (self.two, "budi", "realm1")):
            self.wait_for(peer, name, other, "up")
            began = time.monotonic()
            peer.daemon.process.send_signal(signal.SIGINT)
            self.ended_cleanly(peer)
            self.assertLess(time.monotonic() - began, 5)
            peer.start()


class FileTests(LinkedTestCase):
    @long_test
    @in_thread
    def test_ended_in_the_middle_of_a_file(self) -> None:
        """Either side is stopped in order, and killed, while a file is sent. The file arrives complete."""
        self.begin()
        one, two = self.one, self.two
        # So that a realm dials the other at once after its restart.
        two.add(one, "budi")
        data = random.Random(2).randbytes(40 << 20)  # noqa: S311 - repeatable, not secret
        incoming = two.folder / "state" / "uploads" / "incoming"
        with one.talk("ana") as ana:
            send_file(ana, "budi@realm2", data)
            for peer, kills in ((two, False), (one, False), (two, True), (one, True)):
                before = sum(path.stat().st_size for path in incoming.iterdir())
                wait_until(
                    lambda before=before: (  # type: ignore[misc]
                        sum(path.stat().st_size for path in incoming.iterdir()) > before + (1 << 20)
                    ),
                    lambda: "some of the file",
                )
                if kills:
                    peer.kill()
                else:
                    peer.daemon.process.send_signal(signal.SIGTERM)
                    self.ended_cleanly(peer)
                self.assertEqual(stored(two), [])
                kept = sum(path.stat().st_size for path in incoming.iterdir())
                self.assertGreater(kept, before)
                peer.start()
        (path,) = wait_until(lambda: stored(two), lambda: "the file")
        with two.talk("budi") as budi:
            (message,) = wait_until(
                lambda: budi.must(command="inbox")["messages"], lambda: "the message"
            )
        digest = hashlib.sha256(data).hexdigest()
        self.assertEqual(message["file"]["sha256"], digest)
        self.assertEqual(hashlib.sha256(path.read_bytes()).hexdigest(), digest)
        self.assertEqual(list(incoming.iterdir()), [])
