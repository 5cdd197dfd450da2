"""Passwords and tokens appear neither in the log nor in any repr."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any, cast
from unittest import mock

from twisted.logger import ILogObserver, LogEvent, eventAsJSON, eventAsText, globalLogPublisher

from chatd.base.texts import Secret
from chatd.commands import values as ask
from chatd.lines.dialect import Dialect
from chatd.lines.dialects.jsonlines import JsonDialect
from chatd.lines.dialects.plain import PlainDialect
from tests import ON_POSTGRES
from tests.unit.lines.cases import (
    ProtocolTestCase,
)


class Secrets(ProtocolTestCase):
    """Neither passwords nor tokens appear in the log or in any repr."""

    people = ()
    WORDS = ("pa55word-one", "pa55word-two", "pa55word-three")

    def setUp(self) -> None:
        self.events: list[LogEvent] = []
        observer = cast(ILogObserver, self.events.append)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        super().setUp()

    def assert_clean(self, secrets: Iterable[str]) -> None:
        self.assertGreater(len(self.events), 0)
        shown = [
            text
            for event in self.events
            for text in (
                eventAsText(event, includeTraceback=True, includeSystem=True),
                eventAsJSON(event),
                repr(event),
            )
        ]
        for secret in secrets:
            self.assertEqual([text for text in shown if secret in text], [])

    async def test_in_the_log(self) -> None:
        """After success, after an error, and after an unexpected exception."""
        one, two, three = self.WORDS
        wire = self.wire()

        async def asked(**request: Any) -> dict[str, Any]:
            return await wire.ask(**request)

        reply = await asked(command="register", username="messi", password=one)
        tokens = [reply["tokenId"]]
        await asked(command="register", username="messi", password=one)
        await asked(command="register", username="me,ssi", password=one)
        await asked(command="auth", username="messi", password=two)
        await asked(command="auth", username="nobody", password=two)
        await asked(command="auth", username="messi", password=[three])
        await asked(command="auth", username="messi", passwort=three)
        await asked(command="password", old=two, new=three)
        await asked(command="password", old=one, new=two)
        tokens.append((await asked(command="auth", username="messi", password=two))["tokenId"])
        await asked(command="resume", token=tokens[0])
        await asked(command="resume", token=tokens[1])
        await asked(command="resume", token=tokens[1] + "x")
        await asked(command=three)
        wire.feed(f'{{"command":"auth","password":"{three}"\n{three}\n'.encode())
        await wire.line()
        await wire.line()
        await asked(command="logout")

        plain = self.wire(PlainDialect)
        await plain.until(b"\r\n")
        for line in (f"auth messi {two}", f"auth messi {three} x", three, "auth messi", three):
            plain.feed(line.encode() + b"\n")
            await plain.until(b": " if line == "auth messi" else b"\r\n\r\n")

        accounts, passwords = self.realm.service.accounts, self.realm.passwords
        fault = RuntimeError("boom")
        for owner, name in (
            (passwords, "hash"),
            (passwords, "verify"),
            (accounts, "_open_session"),
            (self.realm.sessions, "attach"),
            (self.realm.database, "run"),
            (self.realm.database, "read"),
        ):
            with mock.patch.object(owner, name, side_effect=fault):
                await asked(command="register", username="lineker", password=three)
                await asked(command="auth", username="messi", password=two)
                await asked(command="auth", username="messi", password=three)
                await asked(command="resume", token=tokens[1])
        with mock.patch.object(self.door_of(JsonDialect).dialect, "reply", side_effect=fault):
            reply = await asked(command="auth", username="messi", password=two)
            self.assertEqual(reply["code"], "internal")
        self.assertGreater(len(self.flushLoggedErrors(RuntimeError)), 5)
        self.lose(wire)
        self.assert_clean([*self.WORDS, *tokens])

    async def test_in_the_log_when_the_database_breaks(self) -> None:
        """Errors of the database may contain the parameters of the statement."""
        wire = self.wire()
        word = self.WORDS[0]
        reply = await wire.ask(command="register", username="messi", password=word)

        def rename(old: str, new: str) -> None:
            with self.realm.database._engine.begin() as connection:
                connection.exec_driver_sql(f"ALTER TABLE {old} RENAME TO {new}")

        rename("sessions", "gone")
        for request in (
            {"command": "auth", "username": "messi", "password": word},
            {"command": "resume", "token": reply["tokenId"]},
            {"command": "register", "username": "henderson", "password": word},
        ):
            # To PostgreSQL it is a mistake in one statement, which does not fail the transaction.
            allowed = ("storage-failed", "internal") if ON_POSTGRES else ("storage-failed",)
            self.assertIn((await wire.ask(**request))["code"], allowed)
        rename("gone", "sessions")
        self.flushLoggedErrors()
        self.assert_clean([word, reply["tokenId"]])
        token_hash = hashlib.sha256(reply["tokenId"].encode()).digest()
        self.assert_clean([repr(token_hash), token_hash.hex(), "$argon2id$"])

    async def test_in_reprs(self) -> None:
        word = self.WORDS[0]
        wire = self.wire()
        dialects: list[tuple[Dialect, bytes]] = [
            (PlainDialect(), f"register messi {word}".encode()),
            (PlainDialect(), f"password {word} {word}".encode()),
            (PlainDialect(), f"resume {word}".encode()),
            (JsonDialect(), json.dumps({"command": "resume", "token": word}).encode()),
            (
                JsonDialect(),
                json.dumps({"command": "auth", "username": "messi", "password": word}).encode(),
            ),
        ]
        for dialect, line in dialects:
            self.assertNotIn(word, repr(dialect.read(line)))
        client = wire.protocol.connection.own
        register = ask.Register("messi", Secret(word))
        self.assertNotIn(word, repr(register))
        reply = await client.reply_to(register)
        client = wire.protocol.connection.own
        token = str(reply.fields["tokenId"])
        self.assertEqual(len(token), 43)
        login = await self.realm.service.accounts.login("messi", word, "127.0.0.1")
        self.assertNotIn(str(login.token), repr(login))
        self.assertNotIn(token, repr(client.session))
        self.assertNotIn(token, repr(reply))
