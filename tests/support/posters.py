"""Threads that write to real daemons, also while these are killed."""

from __future__ import annotations

import threading
import time
from typing import Any

from tests.support.linked_daemons import PeerDaemon
from tests.support.processes import STEP


class Poster(threading.Thread):
    """Sends numbered texts with a `request`, one after the other, also when the daemon was killed."""

    def __init__(self, peer: PeerDaemon, user: str, **request: Any) -> None:
        super().__init__(daemon=True)
        self.peer = peer
        self.user = user
        self.request = request
        self.sent: list[str] = []
        self.acknowledged: list[str] = []
        self.refused: list[dict[str, Any]] = []
        self.enough = threading.Event()

    def run(self) -> None:
        while not self.enough.is_set():
            try:
                self._write()
            except OSError:
                time.sleep(STEP)

    def _write(self) -> None:
        with self.peer.talk(self.user) as talker:
            while not self.enough.is_set():
                self.sent.append(f"{self.user} {len(self.sent)}")
                reply = talker.ask(**self.request, text=self.sent[-1])
                if reply["status"] == "OK":
                    self.acknowledged.append(self.sent[-1])
                else:
                    self.refused.append(reply)
                time.sleep(STEP)
