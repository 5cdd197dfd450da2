"""Two real daemons, of which one after the other is restored from a backup of its state folder."""

from __future__ import annotations

import shutil
from typing import Any

from chatd.base.control_path import CONTROL_SOCKET
from tests.process.test_federation import LinkedTestCase
from tests.support.linked_daemons import PeerDaemon
from tests.support.order import long_test
from tests.support.processes import in_thread, wait_until


class RestoreTests(LinkedTestCase):
    def copy_of(self, peer: PeerDaemon) -> Any:
        return self.folder / f"backup of {peer.name}"

    def back_up(self, peer: PeerDaemon) -> None:
        peer.kill()
        # The control socket belongs to the daemon, and can't be copied.
        no_socket = shutil.ignore_patterns(CONTROL_SOCKET)
        shutil.copytree(peer.folder / "state", self.copy_of(peer), ignore=no_socket)
        peer.start()

    def restore(self, peer: PeerDaemon) -> None:
        peer.kill()
        shutil.rmtree(peer.folder / "state")
        shutil.copytree(self.copy_of(peer), peer.folder / "state")
        peer.start()

    def shown(self, peer: PeerDaemon, name: str, **place: str) -> list[tuple[str, Any, bool]]:
        """The author's name, the text, and whether it is deleted, of all messages of a conversation."""
        with peer.talk(name) as talker:
            found = talker.ask(command="history", n=100, **place).get("messages", [])
        return [
            (each["from"].partition("@")[0], each.get("text"), each.get("deleted", False))
            for each in found
        ]

    def both_show(self, expected: list[tuple[str, Any, bool]], *places: dict[str, str]) -> None:
        for peer, name, place in zip((self.one, self.two), ("ana", "budi"), places, strict=True):
            wait_until(
                lambda peer=peer, name=name, place=place: (
                    sorted(  # type: ignore[misc]
                        self.shown(peer, name, **place), key=str
                    )
                    == sorted(expected, key=str)
                ),
                lambda peer=peer, name=name, place=place: (  # type: ignore[misc]
                    f"{name} sees {self.shown(peer, name, **place)}"
                ),
            )

    @long_test
    @in_thread
    def test_each_in_its_turn(self) -> None:
        self.begin()
        directs = {"user": "budi@realm2"}, {"user": "ana@realm1"}
        groups = {"group": "bola"}, {"group": "bola@realm1"}
        with self.one.talk("ana") as ana, self.two.talk("budi") as budi:
            ana.must(command="addgroup", group="bola")
            budi.must(command="joingroup", group="bola@realm1")
            ana.must(command="send", to="budi@realm2", text="lama", wait=True)
            ana.must(command="sendgroup", group="bola", text="lama")
            got: list[str] = []  # the inbox has each message once

            def both() -> bool:
                got.extend(budi.texts())
                return len(got) >= 2

            wait_until(both, lambda: f"budi has {got}")
        direct: list[tuple[str, Any, bool]] = [("ana", "lama", False)]
        group = direct[:]
        for count, peer in enumerate((self.one, self.two)):
            self.back_up(peer)
            self.wait_for(self.one, "ana", "realm2", "up")
            with self.one.talk("ana") as ana, self.two.talk("budi") as budi:
                sent = ana.must(command="send", to="budi@realm2", text=f"a{count}", wait=True)
                ana.must(command="edit", user="budi@realm2", seq=sent["seq"], text=f"A{count}")
                gone = ana.must(command="send", to="budi@realm2", text="hapus", wait=True)
                ana.must(command="delete", user="budi@realm2", seq=gone["seq"])
                budi.must(command="send", to="ana@realm1", text=f"b{count}", wait=True)
                ana.must(command="sendgroup", group="bola", text=f"c{count}", wait=True)
                budi.must(command="sendgroup", group="bola@realm1", text=f"d{count}", wait=True)
            direct += [
                ("ana", f"A{count}", False),
                ("ana", None, True),
                ("budi", f"b{count}", False),
            ]
            group += [("ana", f"c{count}", False), ("budi", f"d{count}", False)]
            self.both_show(direct, *directs)
            self.both_show(group, *groups)
            self.restore(peer)
            self.wait_for(self.one, "ana", "realm2", "up")
            self.both_show(direct, *directs)
            self.both_show(group, *groups)
