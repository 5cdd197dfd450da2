"""The control socket in the state folder: who may use it, and what becomes of old ones."""

from __future__ import annotations

import grp
import os
import pwd
import socket
import stat
from pathlib import Path
from unittest import mock

import msgspec
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from chatd.app.control import ControlSocket
from chatd.app.state import StartError
from chatd.base.config import Config
from chatd.base.control_path import MAX_PATH, control_path
from chatd.ctl.link import ControlLink, NotRunning
from chatd.lines.control import ControlFactory
from tests.support.common import RealmTestCase, make_config, run


class Sockets(RealmTestCase):
    def open(self) -> ControlFactory:
        self.control = ControlSocket(self.realm)
        factory = self.control.open(self.realm.flush_queue)
        self.addCleanup(lambda: run(self.close(factory)))
        return factory

    async def close(self, factory: ControlFactory) -> None:
        await self.control.close()
        await factory.finish()

    @property
    def path(self) -> Path:
        return self.realm.config.state / "control.sock"

    def mode(self, path: Path) -> int:
        return stat.S_IMODE(path.stat().st_mode)

    async def ask(self, verb: str) -> dict[str, object]:
        def asking() -> dict[str, object]:
            with ControlLink(self.realm.config.state) as link:
                return link.ask(verb, {})

        found: dict[str, object] = await deferToThread(asking)
        return found

    async def test_asking(self) -> None:
        """chatctl gets replies, the audit log gets the user, and the socket goes with the realm."""
        factory = self.open()
        self.assertEqual((await self.ask("ping"))["message"], "pong")
        self.assertEqual(factory.users[os.getuid()], pwd.getpwuid(os.getuid()).pw_name)
        await self.close(factory)
        self.assertFalse(self.path.exists())
        with self.assertRaises(NotRunning):
            await self.ask("ping")

    def test_private_from_the_beginning(self) -> None:
        """Nobody else may connect, not even before Twisted sets the mode."""
        modes = []
        bind = socket.socket.bind

        def watched(sock: socket.socket, address: str) -> None:
            bind(sock, address)
            modes.append(self.mode(self.path))

        with mock.patch.object(socket.socket, "bind", watched):
            self.open()
        self.assertEqual([*modes, self.mode(self.path)], [0o600, 0o600])

    async def test_replaces_the_socket_of_a_killed_realm(self) -> None:
        old = socket.socket(socket.AF_UNIX)
        with control_path(self.realm.config.state) as path:
            old.bind(path)
        old.close()
        with self.assertRaises(NotRunning):
            await self.ask("ping")
        self.open()
        self.assertEqual((await self.ask("ping"))["message"], "pong")

    def test_something_else_is_in_the_way(self) -> None:
        self.path.write_text("precious")
        with self.assertRaises(StartError):
            self.open()
        self.assertEqual(self.path.read_text(), "precious")

    def test_group(self) -> None:
        """Members of the group may reach the socket, and nothing else in the state folder."""
        own = grp.getgrgid(os.getgid())
        self.realm.config = msgspec.structs.replace(self.realm.config, control_group=own.gr_name)
        self.open()
        self.assertEqual(self.mode(self.path), 0o660)
        self.assertEqual(self.path.stat().st_gid, os.getgid())
        self.assertEqual(self.mode(self.realm.config.state), 0o710)
        others = [each for each in self.realm.config.state.iterdir() if each != self.path]
        self.assertEqual([each.name for each in others if self.mode(each) & 0o077], [])

    async def test_members_of_the_group_have_names(self) -> None:
        own = pwd.getpwuid(os.getuid())
        group = grp.struct_group(("chatd", "", os.getgid(), [own.pw_name, "no such user"]))
        self.realm.config = msgspec.structs.replace(self.realm.config, control_group="chatd")
        with (
            mock.patch("grp.getgrnam", return_value=group),
            mock.patch("os.getuid", return_value=65_533),
            mock.patch("pwd.getpwuid", side_effect=KeyError),
        ):
            factory = self.open()
        self.assertEqual(factory.users, {0: "root", own.pw_uid: own.pw_name})

    def test_unknown_group(self) -> None:
        self.realm.config = msgspec.structs.replace(self.realm.config, control_group="no such")
        with self.assertRaises(StartError) as caught:
            self.open()
        self.assertIn("control_group", str(caught.exception))

    def test_no_sockets_here(self) -> None:
        """The realm runs without a control socket, and says so."""
        with mock.patch.object(reactor, "listenUNIX", side_effect=OSError("no sockets")):
            self.open()
        self.assertFalse(self.path.exists())


class LongPath(Sockets):
    """A state folder whose path no socket can have."""

    def make_config(self) -> Config:
        return make_config(self.folder / ("x" * MAX_PATH) / "state")
