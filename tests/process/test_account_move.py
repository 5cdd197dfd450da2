"""An account that moves between real daemons, which are killed meanwhile, while somebody writes to it."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from twisted.trial.unittest import TestCase

from tests.support.linked_daemons import PeerDaemon
from tests.support.order import long_test
from tests.support.posters import Poster
from tests.support.processes import in_thread, wait_until
from tests.support.talker import PATIENCE

USERS = {"realm1": "ana", "realm2": "anna", "realm3": "citra"}
MOST = 500


class AccountMoveTests(TestCase):
    """ana@realm1 moves to anna@realm2. citra@realm3 writes to her."""

    timeout = 120

    def setUp(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="chatd-linked-")).resolve()
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        self.peers = [PeerDaemon(folder, name) for name in USERS]
        for peer in self.peers:
            self.addCleanup(peer.close)

    def begin(self) -> None:
        """Start and link all realms. citra is in a group of ana, who has her as a contact."""
        for peer in self.peers:
            peer.launch()
        for peer in self.peers:
            peer.daemon.listening()
            peer.register(USERS[peer.name])
        old, new, third = self.peers
        for near, far in ((old, new), (old, third), (new, third)):
            near.add(far, USERS[near.name])
        self.ask(old, command="addgroup", group="bola")
        self.ask(third, command="joingroup", group="bola@realm1")
        self.ask(old, command="addcontact", user="citra@realm3")

    def ask(self, peer: PeerDaemon, **request: Any) -> dict[str, Any]:
        with peer.talk(USERS[peer.name]) as talker:
            return talker.must(**request)

    def texts(self, peer: PeerDaemon, place: str) -> list[str]:
        found = self.ask(peer, command="history", user=place, n=MOST)["messages"]
        return [each["text"] for each in found]

    def written(self, poster: Poster, count: int) -> None:
        """Wait until that many more messages were acknowledged."""
        most = len(poster.acknowledged) + count
        wait_until(lambda: len(poster.acknowledged) >= most, lambda: f"{most} messages")

    @long_test
    @in_thread
    def test_killed(self) -> None:
        """Each message is at one of the two addresses, once and in order, and the group follows."""
        self.begin()
        old, new, third = self.peers
        poster = Poster(third, "citra", command="send", to="ana@realm1")
        poster.start()
        self.addCleanup(poster.enough.set)
        self.written(poster, 5)
        self.ask(new, command="takeaccount", address="ana@realm1")
        move = {"command": "moveaccount", "address": "anna@realm2", "password": "ana-secret"}
        self.ask(old, **move)
        old.kill()
        new.kill()
        old.start()
        self.written(poster, 5)
        new.start()
        wait_until(lambda: bool(self.inbox(new)), lambda: "a message at the new address")
        self.written(poster, 5)
        poster.enough.set()
        poster.join(PATIENCE)
        found: list[str] = []

        def complete() -> bool:
            found[:] = self.texts(old, "citra@realm3") + self.inbox(new)
            return set(poster.acknowledged) <= set(found)

        wait_until(complete, lambda: f"all of {poster.acknowledged}: {found}")
        self.assertEqual(poster.refused, [])
        self.assertEqual(found, [text for text in poster.sent if text in found])
        self.assertEqual(self.texts(third, "anna@realm2"), found)
        wait_until(lambda: "anna@realm2" in self.members(), lambda: f"members: {self.members()}")
        self.assertEqual(len(self.members()), 2)
        contacts = self.ask(new, command="contacts")["contacts"]
        self.assertEqual([each["username"] for each in contacts], ["citra@realm3"])

    def inbox(self, peer: PeerDaemon) -> list[str]:
        """What citra has written to the new address."""
        found = self.ask(peer, command="conversations")["conversations"]
        if "citra@realm3" not in [each.get("user") for each in found]:
            return []
        return self.texts(peer, "citra@realm3")

    def members(self) -> list[str]:
        found = self.ask(self.peers[2], command="members", group="bola@realm1")["members"]
        return [each["username"] for each in found]
