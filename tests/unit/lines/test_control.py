"""The connections of the control socket: commands that need a role, without a login."""

from __future__ import annotations

from unittest import mock

from chatd.lines import control
from chatd.lines.control import ControlFactory, local_operator
from tests.support.common import ClockedTestCase, Wire


class Control(ClockedTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.factory = ControlFactory(
            self.realm.service, self.realm.sessions, self.realm.flush_queue, {0: "root"}
        )

    async def test_needs_no_login(self) -> None:
        wire = Wire(self.factory)
        reply = await wire.ask(id=1, command="admin.user.add", user="messi", password="rahasia-99")
        self.assertEqual((reply["status"], reply["id"]), ("OK", 1))
        reply = await wire.ask(id=2, command="admin.audit")
        (entry,) = reply["entries"]
        self.assertEqual((entry["actor"], entry["target"]), ("local", "messi"))

    async def test_has_no_other_commands(self) -> None:
        wire = Wire(self.factory)
        for command in (
            {"command": "auth", "username": "messi", "password": "rahasia-99"},
            {"command": "register", "username": "messi", "password": "rahasia-99"},
            {"command": "whoami"},
            {"command": "users"},
        ):
            reply = await wire.ask(id=1, **command)
            self.assertEqual((reply["status"], reply["code"]), ("ERROR", "unknown-command"))
        self.assertEqual((await wire.ask(command="ping"))["message"], "pong")

    async def test_moderators_commands_too(self) -> None:
        wire = Wire(self.factory)
        self.assertEqual((await wire.ask(command="reports"))["reports"], [])

    async def test_help(self) -> None:
        wire = Wire(self.factory)
        reply = await wire.ask(command="help", verb="admin user")
        self.assertIn("admin.user.add", [each["command"] for each in reply["commands"]])

    async def test_who_connects(self) -> None:
        """The audit log has the user of the system, by name if it is known."""
        for uid, name in ((0, "local:root"), (77, "local:77")):
            with mock.patch.object(control, "peer_uid", return_value=uid):
                wire = Wire(self.factory)
            await wire.ask(command="admin.user.enable", user="nobody")
            (entry,) = (await wire.ask(command="admin.audit", limit=1))["entries"]
            self.assertEqual((entry["actor"], entry["outcome"]), (name, "unknown-user"))
        self.assertEqual(local_operator(None, {}).name, "local")

    async def test_number_of_connections(self) -> None:
        """It is limited, and a full realm does not matter."""
        self.realm.connections.total = 10**6
        wires = [Wire(self.factory) for _ in range(control.MAX_CONNECTIONS)]
        self.assertEqual((await wires[-1].ask(command="ping"))["message"], "pong")
        self.assertEqual((await Wire(self.factory).line())["code"], "too-many-connections")
