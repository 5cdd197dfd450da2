"""Realms that are restored from backups of their whole state."""

from __future__ import annotations

import shutil
from pathlib import Path

from chatd.simulate.databases import copy_state
from tests.support.network import LinkedTestCase, NetworkTestCase, Server


class RestoringTestCase(NetworkTestCase):
    def back_up(self, server: Server) -> Path:
        """Copy the whole state folder of a realm."""
        copy = Path(self.mktemp())
        server.close()
        copy_state(server.config.state, copy)
        server.open()
        self.network.advance(5)
        return copy

    def restore(self, server: Server, copy: Path) -> None:
        if server.is_open:
            server.kill()
        shutil.rmtree(server.config.state)
        copy_state(copy, server.config.state)
        server.open()
        self.network.advance(5)


class RestoredTestCase(RestoringTestCase, LinkedTestCase):
    """A test of two linked realms."""
