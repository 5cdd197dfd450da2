"""`kill -9` of a daemon that moves its realm to PostgreSQL, at points that a seed chooses."""

from __future__ import annotations

import time
from random import Random
from typing import Any

from tests import PROFILE
from tests.support.order import long_test
from tests.support.postgres import MISSING, empty_database, find_programs
from tests.support.processes import Daemon, DaemonTestCase, in_thread, wait_until

SEEDS = range(1, 2 if PROFILE == "ci" else 9)
KILLS = 3
MESSAGES = 200
TABLES = 12  # a move tells of at least so many
LONGEST_DELAY = 0.03  # seconds after a line that it has written


class KilledMoves(DaemonTestCase):
    if find_programs() is None:
        skip = MISSING

    def move(self, url: str) -> Daemon:
        return self.launch(0, "--config", "../chatd.ini", "--move-store", url)

    def serve(self, more: str, *arguments: str) -> Daemon:
        port = self.configure(more)
        return self.launch(port, "--config", "../chatd.ini", *arguments).listening()

    def history(self, daemon: Daemon) -> list[Any]:
        with daemon.login("budi", "budi-password") as budi:
            page = budi.must(command="history", user="ana", n=MESSAGES)
            return [(each["seq"], each["text"]) for each in page["messages"]]

    def write(self) -> list[Any]:
        """Make a realm with messages. Returns them."""
        daemon = self.serve("")
        with daemon.register("ana") as ana, daemon.register("budi"):
            for number in range(MESSAGES):
                ana.send(command="send", to="budi", text=f"pesan {number}")
            for _ in range(MESSAGES):
                ana.line()
        written = self.history(daemon)
        daemon.stop()
        self.assertEqual(len(written), MESSAGES)
        return written

    def kill(self, url: str, random: Random) -> None:
        """Begin a move, and kill it after some of its lines."""
        mover, lines = self.move(url), random.randrange(TABLES)
        wait_until(
            lambda: mover.err.count("\n") >= lines or mover.process.poll() is not None,
            lambda: mover.err,
        )
        time.sleep(random.random() * LONGEST_DELAY)
        mover.kill()

    @long_test
    @in_thread
    def test_kills(self) -> None:
        """The same command completes the move. Nothing is lost, there and after it was undone."""
        written = self.write()
        for seed in SEEDS:
            url, random = empty_database(self), Random(seed)  # noqa: S311 - a test
            for _ in range(KILLS):
                self.kill(url, random)
            mover = self.move(url)
            self.assertEqual(mover.ended(), 0, mover.err)
            if "everything was there already" not in mover.out:
                self.assertIn("tables are equal in both", mover.out)
                self.assertGreaterEqual(mover.err.count("\n"), TABLES, mover.err)
            daemon = self.serve(f"[database]\nurl = {url}\n")
            self.assertEqual(self.history(daemon), written, seed)
            daemon.stop()
            # The login there is lost.
            daemon = self.serve("", "--undo-move", "--accept-loss")
            self.assertEqual(self.history(daemon), written, seed)
            daemon.stop()
