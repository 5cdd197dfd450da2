"""How a realm gets its first operator: with a code that only its administrator can read."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.errors import AlreadyClaimed, TooManyAttempts, WrongCode
from chatd.base.model import Account
from chatd.base.secret_codes import CODE_BYTES, make_code, plain_code
from chatd.lines.dialects.jsonlines import JsonDialect
from chatd.lines.dialects.plain import PlainDialect
from chatd.service.login_guard import FREE_FAILURES
from chatd.service.operators import CodeFile
from chatd.store import operators as store
from chatd.store.operators import claim
from tests.support.common import ClockedTestCase, run, sleep

HERE = "192.0.2.1"


SHAPE = re.compile(r"\A([0-9a-hjkmnp-tv-z]{4}-){3}[0-9a-hjkmnp-tv-z]{4}\Z")


class Codes(SynchronousTestCase):
    @given(st.binary(min_size=CODE_BYTES, max_size=CODE_BYTES))
    def test_all_bits_are_in_it(self, data: bytes) -> None:
        code = make_code(lambda size: data[:size])
        self.assertRegex(code, SHAPE)
        number = 0
        for digit in reversed(plain_code(code)):
            number = number * 32 + "0123456789abcdefghjkmnpqrstvwxyz".index(digit)
        self.assertEqual(number.to_bytes(CODE_BYTES, "big"), data)

    def test_however_it_is_typed(self) -> None:
        for typed in ("0z1a-0000-1111-zzzz", " OZIA0000LL11zzzz\n", "oz-1a 0000-1111 ZZZZ"):
            self.assertEqual(plain_code(typed), "0z1a00001111zzzz")


class Files(SynchronousTestCase):
    def setUp(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        self.file = CodeFile(folder / "operator-code")

    def test_readable_by_its_owner_only(self) -> None:
        """Regardless of the umask, and even if someone had made it readable before."""
        before = os.umask(0)
        self.addCleanup(os.umask, before)
        code = self.file.offer(os.urandom)
        self.assertEqual(self.file.path.stat().st_mode & 0o777, 0o600)
        self.assertEqual(self.file.path.read_text(), f"{code}\n")
        self.file.path.chmod(0o644)
        self.file.offer(os.urandom)
        self.assertEqual(self.file.path.stat().st_mode & 0o777, 0o600)
        self.assertEqual(list(self.file.path.parent.iterdir()), [self.file.path])

    def test_same_until_it_is_used(self) -> None:
        code = self.file.offer(os.urandom)
        self.assertEqual(self.file.offer(os.urandom), code)
        self.file.remove()
        self.file.remove()
        self.assertNotEqual(self.file.offer(os.urandom), code)

    def test_damaged(self) -> None:
        """A file without a valid code is replaced."""
        for damaged in ("", "3f7k-9q2m", "é", "uuuu-uuuu-uuuu-uuuu"):
            self.file.path.write_text(damaged)
            self.assertRegex(self.file.offer(os.urandom), SHAPE)


class Claiming(ClockedTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.path = self.realm.config.state / "operator-code"

    async def register(self, name: str) -> Account:
        login = await self.realm.service.accounts.register(name, "surabaya", None, None)
        return login.account

    def claim(self, account: Account, code: str, source: str = HERE) -> Any:
        return run(self.realm.service.operators.claim(account, code, source))

    def code(self) -> str:
        return self.path.read_text().strip()

    async def test_once(self) -> None:
        """Someone with the code becomes operator. Afterwards no code makes anyone operator."""
        messi, lineker = await self.register("messi"), await self.register("lineker")
        code = self.code()
        self.assertIs(await self.refused(self.claim(lineker, "0000-0000-0000-0000")), WrongCode)
        self.assertTrue((await self.claim(messi, code.upper())).operator)
        self.assertFalse(self.path.exists())
        self.assertTrue((await self.realm.service.accounts.find("messi")).operator)
        for again in (code, "0000-0000-0000-0000"):
            self.assertIs(await self.refused(self.claim(lineker, again)), AlreadyClaimed)
        await self.reopen()
        self.assertFalse(self.path.exists())
        self.assertTrue((await self.realm.service.accounts.find("messi")).operator)
        self.assertIs(await self.refused(self.claim(lineker, code)), AlreadyClaimed)

    async def test_same_code_after_a_restart(self) -> None:
        code = self.code()
        await self.reopen()
        self.assertEqual(self.code(), code)
        self.assertTrue((await self.claim(await self.register("messi"), code)).operator)

    async def test_two_at_once(self) -> None:
        """Of two who claim at the same moment, one becomes operator."""
        accounts = [await self.register(name) for name in ("messi", "lineker")]
        code = self.code()
        claims = [self.claim(each, code) for each in accounts]
        results = [await self.refused(each) for each in claims]
        self.assertEqual(sorted(map(str, results)), sorted(map(str, (None, AlreadyClaimed))))

    async def test_claimed_at_another_node(self) -> None:
        """The code of this node is of no use any more, and its file goes."""
        messi, lineker = await self.register("messi"), await self.register("lineker")
        await self.realm.database.run(claim, messi.id)
        self.assertIs(await self.refused(self.claim(lineker, self.code())), AlreadyClaimed)
        self.assertFalse(self.path.exists())
        self.assertFalse((await self.realm.service.accounts.find("lineker")).operator)

    async def test_killed_before_the_file_was_removed(self) -> None:
        """A code file left by a killed process makes nobody operator, and the next start removes it."""
        messi = await self.register("messi")
        code = self.code()
        await self.claim(messi, code)
        self.path.write_text(code)
        self.assertIs(await self.refused(self.claim(messi, code)), AlreadyClaimed)
        await self.reopen()
        self.assertFalse(self.path.exists())

    async def test_remembered_beyond_the_operator(self) -> None:
        """A realm whose operator's account is gone offers no new code."""
        await self.claim(await self.register("messi"), self.code())

        def dismiss(connection: Connection) -> None:
            connection.exec_driver_sql("DELETE FROM roles")

        await self.realm.database.run(dismiss)
        await self.reopen()
        self.assertFalse(self.path.exists())
        self.assertTrue(await self.realm.database.run(store.has_had_operator))

    async def test_realm_of_an_older_version(self) -> None:
        """An operator from before the role was recorded counts, even after their account is gone."""
        await self.register("messi")

        def as_before(connection: Connection) -> None:
            connection.exec_driver_sql("INSERT INTO roles SELECT id, 'operator' FROM accounts")

        await self.realm.database.run(as_before)
        await self.reopen()
        self.assertFalse(self.path.exists())
        self.assertFalse(self.realm.service.operators.claimable)

    async def test_guessing_is_slow(self) -> None:
        messi = await self.register("messi")
        for _ in range(FREE_FAILURES + 1):
            self.assertIs(await self.refused(self.claim(messi, "wrong")), WrongCode)
        waiting = self.claim(messi, self.code())
        self.assertFalse(waiting.called)
        guesses = [self.claim(messi, "wrong") for _ in range(100)]
        refused = [each for each in guesses if each.called]
        self.assertGreater(len(refused), 80)
        for each in refused:
            self.assertIs(await self.refused(each), TooManyAttempts)
        elsewhere = await self.refused(self.claim(messi, "wrong", "198.51.100.1"))
        self.assertIs(elsewhere, WrongCode)
        self.clock.advance(1)
        self.assertTrue((await waiting).operator)
        while not all(each.called for each in guesses):
            self.clock.advance(8)
            await sleep(0)
        for each in guesses:
            await self.refused(each)

    async def test_in_plain_and_json(self) -> None:
        """`claim CODE`, and the new role on all connections. Someone who is not logged in may not claim."""
        wire, other = self.connect(JsonDialect()), self.connect(JsonDialect())
        self.assertEqual((await wire.ask(command="claim", code="x"))["code"], "not-logged-in")
        reply = await wire.ask(command="register", username="messi", password="surabaya")
        await other.ask(command="resume", token=reply["tokenId"])
        self.assertEqual((await wire.ask(command="claim", code="x"))["code"], "wrong-code")
        reply = await wire.ask(command="claim", code=self.code())
        self.assertEqual((reply["status"], reply["operator"]), ("OK", True))
        self.assertIs((await other.ask(command="whoami"))["operator"], True)
        plain = self.connect(PlainDialect())
        await plain.until(b"help.\r\n")
        plain.feed(b"auth messi surabaya\r\n")
        await plain.until(b"\r\n\r\n")
        plain.feed(b"claim 0000-0000-0000-0000\r\n")
        self.assertIn(b"code: already-claimed", await plain.until(b"\r\n\r\n"))
