"""Commands that need a role: who may use them, and what the audit log says of them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
from sqlalchemy import Connection
from twisted.internet.defer import Deferred
from twisted.logger import LogLevel, capturedLogs

from chatd.base.errors import NotLoggedIn, NotModerator, NotOperator, StorageFailed, UnknownUser
from chatd.base.names import Address
from chatd.base.principals import Principal
from chatd.base.replies import Reply
from chatd.base.roles import MODERATOR, OPERATOR, USER, Role
from chatd.base.texts import Secret
from chatd.commands import connection, restricted
from chatd.commands import values as ask
from chatd.commands.client import Client
from chatd.commands.rows import Audited
from chatd.commands.table import BY_COMMAND, BY_VERB
from chatd.service.audit import Act
from chatd.store import audit as audit_store
from tests.support.common import ClockedTestCase, Listener

ROLE = ask.SetRole("messi", MODERATOR)


def failing_with(error: Exception) -> Callable[..., Coroutine[Any, Any, Reply]]:
    """A handler that raises `error`."""

    async def handle(_client: Client, _command: Any, _act: Act) -> Reply:
        raise error

    return handle


class RestrictedTestCase(ClockedTestCase):
    """`row` changes the row of SetRole for a test."""

    def setUp(self) -> None:
        super().setUp()
        self.client = self.client_of(OPERATOR)

    def client_of(self, role: Role) -> Client:
        origin = connection.Origin("local", 0)
        made = connection.Connection(self.realm.sessions, Listener(), origin)
        made.actor = Principal("lina", role)
        return made.own

    def row(self, **changed: Any) -> None:
        row = msgspec.structs.replace(BY_COMMAND[ask.SetRole], **changed)
        self.patch(restricted, "BY_COMMAND", {ask.SetRole: row})

    def execute(self, handler: Callable[..., Coroutine[Any, Any, Reply]]) -> Any:
        handlers = restricted.restricted({ask.SetRole: handler})
        return handlers[ask.SetRole](self.client, ROLE)

    async def entries(self) -> list[tuple[str, str]]:
        """The acts and their outcomes in the log, newest first."""
        found, _ = await self.realm.service.audit.list(100, None)
        return [(each.act, each.outcome) for each in found]


class Roles(RestrictedTestCase):
    async def test_who_may(self) -> None:
        """A role includes those before it, and the handler is not called without it."""
        called = []

        async def handle(_client: Client, _command: Any, act: Act) -> Reply:
            called.append(act.actor.role)
            return Reply("")

        for needed, role, error in (
            (MODERATOR, USER, NotModerator),
            (OPERATOR, USER, NotOperator),
            (OPERATOR, MODERATOR, NotOperator),
            (MODERATOR, MODERATOR, None),
            (MODERATOR, OPERATOR, None),
            (OPERATOR, OPERATOR, None),
        ):
            self.row(role=needed, audited=None)
            self.client = self.client_of(role)
            before = len(called)
            self.assertIs(await self.refused(self.execute(handle)), error)
            self.assertEqual(len(called) - before, error is None)
        self.assertEqual(await self.entries(), [])

    async def test_nobody(self) -> None:
        self.client.connection.actor = None
        self.row()
        self.assertIs(await self.refused(self.execute(lambda *_: None)), NotLoggedIn)  # type: ignore[arg-type]

    def test_a_row_without_a_role(self) -> None:
        self.row(role=None)
        with self.assertRaises(TypeError):
            restricted.restricted({ask.SetRole: lambda *_: None})  # type: ignore[dict-item]


class Log(RestrictedTestCase):
    async def test_in_one_transaction(self) -> None:
        """A change and its entry are stored together, or neither is."""
        self.row(audited=Audited.AT_ONCE)
        setting = "INSERT INTO settings (name, value) VALUES (:name, 'x')"

        def change(connection: Connection, fails: bool) -> int:
            connection.exec_driver_sql(setting.replace(":name", "'a'" if fails else "'b'"))
            if fails:
                raise UnknownUser(name="messi")
            return 7

        async def handle(_client: Client, _command: Any, act: Act) -> Reply:
            return Reply(str(await act.run(change, len(await self.entries()) == 0)))

        self.assertIs(await self.refused(self.execute(handle)), UnknownUser)
        self.assertEqual((await self.execute(handle)).message, "7")
        act = "admin.user.role"
        self.assertEqual(await self.entries(), [(act, "done"), (act, "unknown-user")])

        def names(connection: Connection) -> list[str]:
            found = connection.exec_driver_sql("SELECT name FROM settings WHERE value = 'x'")
            return [row[0] for row in found]

        self.assertEqual(await self.realm.database.read(names), ["b"])

    async def test_nothing_had_to_be_changed(self) -> None:
        async def handle(_client: Client, _command: Any, _act: Act) -> Reply:
            return Reply("as before")

        self.row(audited=Audited.AT_ONCE)
        await self.execute(handle)
        self.assertEqual(await self.entries(), [("admin.user.role", "done")])

    async def test_in_steps(self) -> None:
        """An entry is stored before the first step. While the act lasts, and if chatd is killed meanwhile,
        that is what the log says."""
        self.row(audited=Audited.IN_STEPS)
        going: Deferred[Reply] = Deferred()
        seen = []

        async def handle(_client: Client, _command: Any, _act: Act) -> Reply:
            seen.extend(await self.entries())
            return await going

        done = Deferred.fromCoroutine(self.execute(handle))
        while not seen:
            await self.realm.database.run(lambda _connection: None)
        self.assertEqual(seen, [("admin.user.role", "begun")])
        self.clock.advance(60)
        going.callback(Reply("over"))
        await done
        found, more = await self.realm.service.audit.list(100, None)
        (entry,) = found
        self.assertEqual((entry.outcome, entry.entry, more), ("done", 2, 0))

    async def test_failures(self) -> None:
        """Expected errors by their codes, others as failed."""
        for change, errors in (
            (Audited.IN_STEPS, (UnknownUser(name="x"), ZeroDivisionError())),
            (Audited.AT_ONCE, (UnknownUser(name="x"), ZeroDivisionError())),
        ):
            self.row(audited=change)
            for error in errors:
                with self.assertRaises(type(error)):
                    await self.execute(failing_with(error))
        outcomes = [outcome for _, outcome in await self.entries()]
        self.assertEqual(outcomes, ["failed", "unknown-user"] * 2)

    async def test_log_that_can_not_be_written(self) -> None:
        """Then nothing is begun. What is done already keeps its reply. A full disk is no internal error."""
        called = []

        async def handle(_client: Client, _command: Any, _act: Act) -> Reply:
            called.append(True)
            return Reply("over")

        def full(*_arguments: Any) -> None:
            raise StorageFailed

        self.patch(audit_store, "add_entry", full)
        self.row(audited=Audited.IN_STEPS)
        self.assertIs(await self.refused(self.execute(handle)), StorageFailed)
        self.assertEqual(called, [])
        self.row(audited=Audited.AT_ONCE)
        with capturedLogs() as logged:
            self.assertEqual((await self.execute(handle)).message, "over")
        lacking = [event for event in logged if event.get("log_format") == restricted.LACKING]
        self.assertEqual([event["log_level"] for event in lacking], [LogLevel.error])
        self.assertEqual(self.flushLoggedErrors(), [])

    async def test_jobs_take_positional_arguments(self) -> None:
        act = self.realm.service.audit.act(self.client.actor, "x", None, "")
        with self.assertRaises(TypeError):
            await act.run(lambda _connection, **_given: None, key=7)

    async def test_pages(self) -> None:
        for number in range(5):
            act = self.realm.service.audit.act(self.client.actor, "x", str(number), "")
            await act.end("done")
        log = self.realm.service.audit
        found, more = await log.list(2, None)
        self.assertEqual(([each.target for each in found], more), (["4", "3"], 3))
        found, more = await log.list(2, found[-1].entry)
        self.assertEqual(([each.target for each in found], more), (["2", "1"], 1))

    async def test_pages_of_acts_in_steps(self) -> None:
        """What has begun and has ended counts once, at its end, also if it began on an earlier page."""
        log = self.realm.service.audit
        first, second, third = [log.act(self.client.actor, "x", name, "") for name in "abc"]
        for act in (first, second, third):
            await act.begin()
        await second.end("done")
        await first.end("done")
        found, more = await log.list(1, None)
        self.assertEqual(([each.target for each in found], more), (["a"], 2))
        found, more = await log.list(5, found[-1].entry)
        self.assertEqual(([each.target for each in found], more), (["b", "c"], 0))
        self.assertEqual(await log.list(5, found[-1].entry), ((), 0))

    async def test_long_log(self) -> None:
        """Reading it does not hold up others, and counting it reads no rows."""
        database = self.realm.database
        self.patch(database, "run", None)
        found, more = await self.realm.service.audit.list(5, None)
        self.assertEqual((found, more), ((), 0))


class Descriptions(ClockedTestCase):
    def described(self, verb: str, command: Any) -> tuple[str | None, str]:
        return restricted.described(BY_VERB[verb], command)

    def test_secrets_are_left_out(self) -> None:
        command = ask.AddAccount("messi", Secret("rahasia-99"), OPERATOR, "Lionel Messi")
        found = self.described("admin.user.add", command)
        self.assertEqual(found, ("messi", "role=operator name=Lionel Messi"))

    def test_without_a_target(self) -> None:
        self.assertEqual(self.described("admin.audit", ask.ReadAudit(5)), (None, "limit=5"))
        self.assertEqual(self.described("admin.stats", ask.ShowStats()), (None, ""))

    def test_one_line_of_bounded_length(self) -> None:
        target, detail = self.described("admin.user.disable", ask.DisableAccount("a", "b\n" * 900))
        self.assertEqual(target, "a")
        self.assertTrue(detail.startswith("reason=b\\nb"))
        self.assertEqual(len(detail), restricted.MAX_DETAIL)
        target, _ = self.described("admin.backup", ask.MakeBackup("/" + "a" * 5000))
        self.assertEqual(len(target or ""), restricted.MAX_DETAIL)

    def test_values(self) -> None:
        text = restricted._text
        found = [text(each) for each in (True, False, 7, ("a", "b"), Address("a", "b"))]
        self.assertEqual(found, ["on", "off", "7", "a,b", "a@b"])
        with self.assertRaises(TypeError):
            text(ask.ShowStats())
