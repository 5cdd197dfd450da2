"""A group that moves between real daemons while people write in it and its old home is killed."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.trial.unittest import TestCase

from tests.support.linked_daemons import PeerDaemon
from tests.support.order import long_test
from tests.support.posters import Poster
from tests.support.processes import in_thread, wait_until
from tests.support.talker import PATIENCE

OLD, NEW = "bola@realm1", "bola@realm2"
USERS = {"realm1": "ana", "realm2": "budi", "realm3": "citra"}
BEFORE = 10  # messages of each, before the move
AFTER = 10  # and after it
PAGE = 500


class GroupMoveTests(TestCase):
    timeout = 120

    def setUp(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="chatd-linked-")).resolve()
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        self.peers = [PeerDaemon(folder, name) for name in USERS]
        for peer in self.peers:
            self.addCleanup(peer.close)

    def begin(self) -> None:
        """Start and link all realms. ana makes a group, the others join it, and budi becomes an admin."""
        for peer in self.peers:
            peer.launch()
        for peer in self.peers:
            peer.daemon.listening()
            peer.register(USERS[peer.name])
        home, *others = self.peers
        for near, far in ((home, others[0]), (home, others[1]), (others[0], others[1])):
            near.add(far, USERS[near.name])
        self.ask(home, command="addgroup", group="bola")
        for peer in others:
            self.ask(peer, command="joingroup", group=OLD)
        self.ask(home, command="promote", group="bola", user="budi@realm2")

    def ask(self, peer: PeerDaemon, **request: Any) -> dict[str, Any]:
        with peer.talk(USERS[peer.name]) as talker:
            return talker.must(**request)

    def wait_for_name(self, peer: PeerDaemon, name: str) -> None:
        """Wait until the group has this name in a realm."""
        with peer.talk(USERS[peer.name]) as talker:

            def has_name() -> bool:
                found = talker.must(command="conversations")["conversations"]
                return name in [each.get("group") for each in found]

            wait_until(has_name, lambda: f"{name} in {peer.name}")

    def texts(self, peer: PeerDaemon) -> list[str]:
        """The history of the group, by the address that it had."""
        found: list[str] = []
        older: dict[str, int] = {}
        while True:
            page = self.ask(peer, command="history", group=OLD, n=PAGE, **older)
            found[:0] = [message["text"] for message in page["messages"]]
            if not page["earlier"]:
                return found
            older = {"before": page["messages"][0]["seq"]}

    def histories(self, posters: Sequence[Poster]) -> list[list[str]]:
        """The histories in all realms, once they are the same and have all that was acknowledged."""
        found: list[list[str]] = []

        def settled() -> bool:
            found[:] = [self.texts(peer) for peer in self.peers]
            acknowledged = {text for each in posters for text in each.acknowledged}
            return all(each == found[0] for each in found) and acknowledged <= set(found[0])

        wait_until(settled, lambda: f"the same in all realms: {found}")
        return found

    @long_test
    @in_thread
    def test_old_home_killed(self) -> None:
        """Everybody has the same history, in which nothing is lost, doubled or in another order."""
        self.begin()
        old, new, _third = self.peers
        posters = [
            Poster(peer, USERS[peer.name], command="sendgroup", group=group)
            for peer, group in zip(self.peers, ("bola", OLD, OLD), strict=True)
        ]
        for each in posters:
            each.start()
            self.addCleanup(each.enough.set)
        wait_until(lambda: self.have(posters, [BEFORE] * 3), lambda: "messages before the move")
        self.ask(old, command="movegroup", group="bola", realm="realm2")
        reply = self.ask(new, command="movegroup", group=OLD, realm="realm2")
        self.assertEqual(reply["state"], "agreed")
        old.kill()
        old.start()
        for peer, name in zip(self.peers, (NEW, "bola", NEW), strict=True):
            self.wait_for_name(peer, name)
        more = [len(each.acknowledged) + AFTER for each in posters]
        wait_until(lambda: self.have(posters, more), lambda: "messages after the move")
        for each in posters:
            each.enough.set()
        for each in posters:
            each.join(PATIENCE)
        whole = self.histories(posters)[0]
        for each in posters:
            self.assertEqual(each.refused, [])
            found = [text for text in whole if text.startswith(each.user)]
            # What was not acknowledged may have been stored.
            self.assertEqual(found, [text for text in each.sent if text in found])
            self.assertGreaterEqual(set(found), set(each.acknowledged))
        self.assertEqual(len(whole), len(set(whole)))

    def have(self, posters: Sequence[Poster], counts: Sequence[int]) -> bool:
        return all(
            len(each.acknowledged) >= count for each, count in zip(posters, counts, strict=True)
        )
