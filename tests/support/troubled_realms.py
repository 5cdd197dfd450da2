"""Realms to which failures happen at random: the rules that stateful tests of several realms share."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from chatd.simulate.databases import copy_state
from tests.support.network import FakeConnection, Network, PeerTransport, Server

counts: Counter[str] = Counter()

side = st.integers(0, 5)  # any of two or three realms


class TroubledRealms(RuleBasedStateMachine):
    """A subclass sets `network` and `servers`."""

    network: Network
    servers: dict[str, Server]
    rough = False  # what was not acknowledged may be stored nevertheless

    def server_at(self, at: int) -> Server:
        return list(self.servers.values())[at % len(self.servers)]

    # Events

    @rule(count=st.integers(1, 60))
    def go_on(self, count: int) -> None:
        for _ in range(count):
            self.network.step()

    @rule()
    def settle(self) -> None:
        self.network.settle()

    @rule(seconds=st.sampled_from((0.1, 0.6, 2.0, 6.0, 40.0)))
    def wait(self, seconds: float) -> None:
        self.network.advance(seconds)

    # Failures

    def connections(self) -> list[FakeConnection]:
        return [connection for connection in self.network.connections if connection.is_open]

    def ends(self, at: int) -> list[PeerTransport]:
        """The connection ends that write from there."""
        host = self.server_at(at).host
        return [
            end
            for connection in self.connections()
            for end in connection.ends
            if getattr(end.protocol, "host", None) is host
        ]

    @precondition(lambda self: self.connections())
    @rule(half=st.booleans())
    def cut(self, half: bool) -> None:
        for connection in self.connections():
            connection.split() if half else connection.cut()
            counts["cuts"] += 1

    @precondition(lambda self: self.connections())
    @rule(at=side)
    def lose_acknowledgements(self, at: int) -> None:
        for end in self.ends(at):
            end.losing = {"Deliver answer"}
            counts["connections that lost acknowledgements"] += 1

    @precondition(lambda self: self.connections())
    @rule(at=side, held=st.booleans())
    def hold(self, at: int, held: bool) -> None:
        for end in self.ends(at):
            end.held = held
        counts["holds"] += held

    @rule(at=side, clean=st.booleans(), pause=st.booleans())
    def restart(self, at: int, clean: bool, pause: bool) -> None:
        server = self.server_at(at)
        if not server.is_open:
            server.open()
            return
        if clean and not server.realm.database.full:
            server.realm.database.failing = lambda: False
            for end in self.ends(at):
                end.held = False
            server.close()
            counts["restarts"] += 1
        else:
            server.kill()
            self.rough = True
            counts["kills"] += 1
        if not pause:
            server.open()

    def repair(self) -> None:
        """Let nothing fail any more, and begin with new links."""
        for server in self.servers.values():
            if not server.is_open:
                server.open()
            server.realm.database.full = False
            server.realm.database.failing = lambda: False
        for connection in self.network.connections:
            for end in connection.ends:
                end.held = False
                end.losing = set()
        self.network.cut()


class RestorableRealms(TroubledRealms):
    """Realms that are also restored from backups of their whole state. A subclass sets `folder`, and calls
    `back_up_all` at the beginning."""

    folder: Path

    def back_up_all(self) -> None:
        self.network.settle()
        for at in range(len(self.servers)):
            self._back_up(self.server_at(at))

    def backup_of(self, server: Server) -> Path:
        return self.folder / f"backup of {server.name}"

    @rule(at=side)
    def back_up(self, at: int) -> None:
        self._back_up(self.server_at(at))
        counts["backups"] += 1

    def _back_up(self, server: Server) -> None:
        if server.is_open:
            server.kill()
        shutil.rmtree(self.backup_of(server), ignore_errors=True)
        copy_state(server.config.state, self.backup_of(server))
        server.open()

    @rule(at=side, settled=st.booleans())
    def restore(self, at: int, settled: bool) -> None:
        server = self.server_at(at)
        copy = self.backup_of(server)
        if settled:
            self.network.advance(2)
        if server.is_open:
            server.kill()
        shutil.rmtree(server.config.state)
        copy_state(copy, server.config.state)
        self.network.advance(60)  # longer than the starts since the backup have taken
        server.open()
        counts["restores"] += 1
