"""Commands on a stopped realm: the same handlers, on the state folder."""

from __future__ import annotations

import hashlib
import io
import os
import pwd
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from chatd.base.attachments import Attachment
from chatd.base.principals import Principal
from chatd.base.replies import Reply
from chatd.base.roles import OPERATOR
from chatd.commands.results import DownloadReply
from chatd.commands.table import BY_VERB, TABLE
from chatd.ctl import offline
from chatd.ctl.exits import NotReached
from chatd.ctl.saving import Saving
from chatd.files.outgoing import Outgoing
from chatd.service.downloads import Download
from tests.support.common import Realm, make_config, run

ACTOR = Principal("local:root", OPERATOR)


class Offline(TestCase):
    def setUp(self) -> None:
        self.config = make_config(Path(self.mktemp()) / "state")

    async def execute(self, verb: str, **given: Any) -> dict[str, Any]:
        realm = Realm(self.config)
        realm.open()
        row = BY_VERB[verb]
        return await offline._execute(realm, ACTOR, row, row.from_names(given))

    async def test_first_operator(self) -> None:
        """Somebody who may read the state folder makes the first operator of an empty realm."""
        reply = await self.execute(
            "admin.user.add", user="messi", password="rahasia-99", role="operator"
        )
        self.assertEqual((reply["status"], reply["role"]), ("OK", "operator"))
        self.assertNotIn("id", reply)
        realm = Realm(self.config)
        realm.open()
        self.addCleanup(lambda: run(realm.close()))
        self.assertIsNone(realm.operator_code)
        self.assertTrue((await realm.service.accounts.find("messi")).operator)
        await realm.service.accounts.login("messi", "rahasia-99", "local")
        entries, _ = await realm.service.audit.list(10, None)
        self.assertEqual(entries[0].actor, "local:root")

    def bytes_in(self, path: Path) -> bytes:
        return path.read_bytes()

    async def test_file(self) -> None:
        """The file of a reply is saved, and closed."""
        realm = Realm(self.config)
        realm.open()
        row = BY_VERB["admin.user.show"]
        facts: dict[str, str | int | bool] = {"name": "a.zip", "size": 7}
        facts["sha256"] = hashlib.sha256(b"content").hexdigest()
        attachment = Attachment(1, "a", "a.zip", 7, "", "", "", 0)
        bytes_of = io.BytesIO(b"content")
        download = Download(attachment, Outgoing(realm.uploads, bytes_of, 7))
        answer = DownloadReply(Reply("7 bytes follow", facts), download)
        realm.sessions.handlers = {row.command: lambda _client, _command: answer}
        path = Path(self.mktemp())
        command = row.from_names({"user": "messi"})
        reply = await offline._execute(realm, ACTOR, row, command, Saving(str(path)))
        self.assertEqual((reply["size"], self.bytes_in(path)), (7, b"content"))
        self.assertTrue(bytes_of.closed)

    async def test_what_only_connections_have(self) -> None:
        realm = Realm(self.config)
        realm.open()
        row = BY_VERB["quit"]
        with self.assertRaises(TypeError):
            await offline._execute(realm, ACTOR, row, row.from_names({}))

    def test_user_of_the_system(self) -> None:
        """One without a name is known by its number."""
        self.assertEqual(offline._own_name(), {os.getuid(): pwd.getpwuid(os.getuid()).pw_name})
        with mock.patch("pwd.getpwuid", side_effect=KeyError):
            self.assertEqual(offline._own_name(), {})

    async def test_refused(self) -> None:
        reply = await self.execute("admin.user.role", user="nobody", role="operator")
        self.assertEqual((reply["status"], reply["code"]), ("ERROR", "unknown-user"))

    def test_another_daemon_uses_the_state(self) -> None:
        realm = Realm(self.config)
        realm.open()
        self.addCleanup(lambda: run(realm.close()))
        with (
            mock.patch.object(offline, "_log_warnings"),
            self.assertRaises(NotReached) as caught,
        ):
            given = {"user": "messi", "role": "user"}
            offline.run_offline(self.config, BY_VERB["admin.user.role"], given)
        self.assertIn("another chatd", str(caught.exception))

    def test_no_realm(self) -> None:
        """A wrong path makes no realm, except with its first account."""
        with self.assertRaises(NotReached) as caught:
            given = {"user": "messi", "role": "user"}
            offline.run_offline(self.config, BY_VERB["admin.user.role"], given)
        self.assertIn("there is no realm", str(caught.exception))
        self.assertFalse(self.config.state.exists())
        offline._check_exists(self.config, BY_VERB["admin.user.add"])

    def test_root_becomes_the_owner(self) -> None:
        """Otherwise the realm could not use the files that root leaves. The owner needs no name."""
        state = self.config.state
        state.mkdir(parents=True)
        for uid, named, expected in (
            (0, True, []),
            (65_533, True, ["initgroups", "setgid", "setuid"]),
            (65_533, False, ["setgroups", "setgid", "setuid"]),
        ):
            called: list[str] = []
            found = mock.Mock(st_uid=uid, st_gid=65_533)
            name = (
                {"return_value": mock.Mock(pw_name="chatd")} if named else {"side_effect": KeyError}
            )

            def note(name: str, called: list[str] = called) -> Any:
                return mock.Mock(side_effect=lambda *_given: called.append(name))

            changes = {each: note(each) for each in ("initgroups", "setgroups", "setgid", "setuid")}
            with (
                mock.patch.multiple("os", geteuid=lambda: 0, **changes),
                mock.patch("pwd.getpwuid", **name),
                mock.patch.object(Path, "stat", return_value=found),
            ):
                offline.become_owner(state)
            self.assertEqual(called, expected)

    def test_owner_can_not_use_the_folder(self) -> None:
        """Such as below /var/lib/private, where only root may search."""
        found = mock.Mock(st_uid=65_533, st_gid=65_533)
        nothing = dict.fromkeys(("initgroups", "setgroups", "setgid", "setuid"), mock.Mock())
        with (
            mock.patch.multiple("os", geteuid=lambda: 0, access=lambda *_given: False, **nothing),
            mock.patch.object(Path, "stat", return_value=found),
            self.assertRaisesRegex(NotReached, "the user 65533, who owns it, can't use it"),
        ):
            offline.become_owner(self.config.state)

    def test_others_stay_who_they_are(self) -> None:
        with (
            mock.patch("os.geteuid", return_value=1000),
            mock.patch("os.setuid", side_effect=AssertionError),
        ):
            offline.become_owner(self.config.state)
        with mock.patch("os.setuid", side_effect=AssertionError):
            offline.become_owner(self.config.state / "missing")

    def test_handlers_for_states_that_may_not_open(self) -> None:
        """They are called with the configuration and the command, and no realm is opened."""
        row = BY_VERB["admin.user.role"]
        seen = []

        def handle(config: Any, command: Any) -> dict[str, Any]:
            seen.append((config, command))
            return {"status": "OK"}

        with mock.patch.dict(offline.OFFLINE, {row.command: handle}):
            given = {"user": "messi", "role": "user"}
            self.assertEqual(offline.run_offline(self.config, row, given), {"status": "OK"})
        self.assertEqual(seen, [(self.config, row.from_names(given))])
        self.assertFalse(self.config.state.exists())

    def test_only_offline_rows_have_offline_handlers(self) -> None:
        allowed = {row.command for row in TABLE if row.offline}
        self.assertEqual(set(offline.OFFLINE) - allowed, set())

    def test_result_of_the_reactor(self) -> None:
        """The result or the error of the command is what the caller gets; a stop by Ctrl-C is one too."""

        class FakeReactor:
            def __init__(self, runs: bool = True) -> None:
                self.runs, self.stopped = runs, False

            def callWhenRunning(self, call: Any) -> None:  # noqa: N802 - as in Twisted
                self.call = call

            def run(self) -> None:
                if self.runs:
                    self.call()

            def stop(self) -> None:
                self.stopped = True

        async def done() -> dict[str, Any]:
            return {"status": "OK"}

        async def fails() -> dict[str, Any]:
            raise ZeroDivisionError

        reactor = FakeReactor()
        self.assertEqual(offline._in_reactor(reactor, done), {"status": "OK"})
        self.assertTrue(reactor.stopped)
        self.assertRaises(ZeroDivisionError, offline._in_reactor, FakeReactor(), fails)
        self.assertRaises(KeyboardInterrupt, offline._in_reactor, FakeReactor(False), Deferred)
