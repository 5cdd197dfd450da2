"""Registration, login, throttling of guesses, sessions, and how passwords and tokens are stored."""

from __future__ import annotations

import hashlib
from typing import Any
from unittest import mock

import msgspec
from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import ILogObserver, globalLogPublisher
from zope.interface import provider

from chatd.base.config import AccountsConfig, Argon2, Config
from chatd.base.errors import (
    BadToken,
    RegistrationClosed,
    ReservedName,
    TooManyAttempts,
    TooManyRegistrations,
    UnknownUser,
    UserExists,
    WeakPassword,
    WrongPassword,
)
from chatd.base.model import Account
from chatd.base.names import Address
from chatd.commands.table import BY_VERB
from chatd.lines.dialects.jsonlines import JsonDialect
from chatd.lines.dialects.plain import PlainDialect
from chatd.service import accounts as module
from chatd.service import login_guard as guard
from chatd.service.accounts import Login
from chatd.service.login_guard import FREE_FAILURES, FREE_FAILURES_PER_ACCOUNT
from chatd.service.passwords import Passwords
from chatd.store.accounts import password_of
from tests.support.common import CHEAP, ClockedTestCase, run, sleep
from tests.support.engines import only_sqlite

PASSWORD = "surabaya"
HERE = "192.0.2.1"


class AccountsTestCase(ClockedTestCase):
    @property
    def accounts(self) -> module.Accounts:
        return self.realm.service.accounts

    async def register(self, name: str, password: str = PASSWORD) -> Login:
        return await self.accounts.register(name, password, None, None)


class Registering(AccountsTestCase):
    async def test_the_first_account_is_no_operator(self) -> None:
        self.assertFalse((await self.register("messi")).account.operator)
        self.assertFalse((await self.register("lineker")).account.operator)
        await self.reopen()
        self.assertFalse((await self.register("henderson")).account.operator)
        self.assertFalse((await self.accounts.find("messi")).operator)

    async def test_profile_is_stored(self) -> None:
        login = await self.accounts.register("Messi", PASSWORD, "Lionel Messi", "Argentina")
        expected = Account(login.account.id, "Messi", "messi", "Lionel Messi", "Argentina")
        self.assertEqual(login.account, expected)
        await self.reopen()
        self.assertEqual(await self.accounts.find("MESSI"), expected)

    async def test_default_display_name(self) -> None:
        account = (await self.register("messi")).account
        self.assertEqual((account.display_name, account.country), ("messi", ""))

    async def test_logged_in_at_once(self) -> None:
        login = await self.register("messi")
        assert login.token is not None
        self.assertEqual((await self.accounts.resume(login.token)).account, login.account)

    async def test_taken(self) -> None:
        """A name counts as taken in any case and any Unicode form."""
        await self.register("José")
        for name in ("josé", "JOSE\u0301", "José"):
            self.assertIs(await self.refused(self.register(name)), UserExists)

    async def test_simultaneous_registrations_of_a_name(self) -> None:
        results = await DeferredList(
            [run(self.register("messi")) for _ in range(5)], consumeErrors=True
        )
        self.assertEqual(sum(good for good, _ in results), 1)
        for good, value in results:
            if not good:
                self.assertIsInstance(getattr(value, "value", None), UserExists)

    async def test_reserved(self) -> None:
        for name in ("system", "System", "realm1", "REALM1"):
            self.assertIs(await self.refused(self.register(name)), ReservedName)

    async def test_weak_password(self) -> None:
        self.assertIs(await self.refused(self.register("messi", "1234567")), WeakPassword)
        self.assertIs(await self.refused(self.accounts.find("messi")), UnknownUser)
        await self.register("messi", "12345678")


class ClosedRealm(AccountsTestCase):
    def make_config(self) -> Config:
        config = super().make_config()
        closed = AccountsConfig(registration="closed", argon2=CHEAP)
        return msgspec.structs.replace(config, accounts=closed)

    async def test_closed(self) -> None:
        """If registration is closed, nobody can register, and existing accounts can log in."""
        self.assertIs(await self.refused(self.register("messi")), RegistrationClosed)
        await self.accounts.add("messi", PASSWORD, None, None)
        await self.accounts.login("messi", PASSWORD, HERE)


class LoggingIn(AccountsTestCase):
    async def test_right(self) -> None:
        account = (await self.register("Messi")).account
        for name in ("Messi", "mESSI"):
            login = await self.accounts.login(name, PASSWORD, HERE)
            self.assertEqual(login.account, account)

    async def test_wrong(self) -> None:
        await self.register("messi")
        for password in ("Surabaya", "", PASSWORD + " "):
            done = self.accounts.login("messi", password, HERE)
            self.assertIs(await self.refused(done), WrongPassword)

    async def test_unknown(self) -> None:
        done = self.accounts.login("nobody", PASSWORD, HERE)
        self.assertIs(await self.refused(done), UnknownUser)

    async def test_unknown_costs_as_much(self) -> None:
        """A login of an unknown user checks as many passwords as one with a wrong password."""
        await self.register("messi")
        real = Passwords.verify
        calls: list[str | None] = []

        def verify(
            passwords: Passwords, password: str, hashed: str | None, *owner: Any
        ) -> Deferred[bool]:
            calls.append(hashed)
            return real(passwords, password, hashed, *owner)

        with mock.patch.object(Passwords, "verify", verify):
            await self.refused(self.accounts.login("messi", "wrong-one", HERE))
            known = len(calls)
            await self.refused(self.accounts.login("nobody", "wrong-one", HERE))
        self.assertEqual(known, 1)
        self.assertEqual(len(calls), 2)
        self.assertIsNone(calls[1])

    async def test_after_a_restart(self) -> None:
        await self.register("messi")
        await self.reopen()
        await self.accounts.login("messi", PASSWORD, HERE)
        done = self.accounts.login("messi", "wrong-one", HERE)
        self.assertIs(await self.refused(done), WrongPassword)

    async def test_hash_is_renewed(self) -> None:
        """If the cost of hashing was raised, a stored hash is renewed at the next login."""
        await self.register("messi")
        config = self.realm.config
        dearer = AccountsConfig(argon2=Argon2(memory=16, passes=2, lanes=1))
        await self.realm.close()
        self.realm.config = msgspec.structs.replace(config, accounts=dearer)
        self.realm.open()
        await self.accounts.login("messi", PASSWORD, HERE)
        account = await self.accounts.find("messi")
        hashed = await self.realm.database.read(password_of, account.id)
        self.assertIn("m=16,t=2,p=1", hashed)
        await self.accounts.login("messi", PASSWORD, HERE)


class Throttling(AccountsTestCase):
    async def _fail(self, times: int, name: str = "messi", source: str = HERE) -> None:
        for _ in range(times):
            self.assertIsNotNone(await self.refused(self.accounts.login(name, "wrong-one", source)))

    async def test_slowed_down(self) -> None:
        """After some failures a login waits for a timer without blocking the thread, and is then answered."""
        await self.register("messi")
        await self._fail(FREE_FAILURES + 1)
        done = run(self.accounts.login("messi", PASSWORD, HERE))
        await sleep(0.05)
        self.assertFalse(done.called)
        self.clock.advance(0.3)
        self.assertEqual((await done).account.name, "messi")

    async def test_each_time_longer(self) -> None:
        await self.register("messi")
        await self._fail(FREE_FAILURES + 1)
        for pause in (0.25, 0.5, 1.0):
            done = run(self.accounts.login("messi", "wrong-one", HERE))
            await sleep(0.02)
            self.clock.advance(pause * 0.9)
            await sleep(0.02)
            self.assertFalse(done.called, pause)
            self.clock.advance(pause * 0.2)
            self.assertIs(await self.refused(done), WrongPassword)

    async def test_guesses_from_many_addresses(self) -> None:
        """Guesses at one account are slowed down, no matter from how many addresses they come."""
        await self.register("messi")
        for number in range(FREE_FAILURES_PER_ACCOUNT + 1):
            await self._fail(1, source=f"192.0.2.{number}")
        done = run(self.accounts.login("messi", "wrong-one", "198.51.100.1"))
        await sleep(0.05)
        self.assertFalse(done.called)
        self.clock.advance(1)
        await self.refused(done)

    async def test_other_accounts_are_not_slowed_down(self) -> None:
        """Guesses at one account do not slow down logins to others."""
        await self.register("messi")
        await self.register("lineker")
        await self._fail(FREE_FAILURES + 1)
        await self.accounts.login("lineker", PASSWORD, "198.51.100.1")

    async def test_one_address_many_accounts(self) -> None:
        """An address that tries many names is slowed down too."""
        with mock.patch.object(guard, "FREE_FAILURES_PER_ADDRESS", 3):
            await self.reopen()
        for number in range(4):
            await self._fail(1, name=f"nobody{number}")
        done = run(self.accounts.login("nobody9", "wrong-one", HERE))
        await sleep(0.05)
        self.assertFalse(done.called)
        await self._fail(1, name="nobody8", source="198.51.100.1")
        self.clock.advance(1)
        await self.refused(done)

    async def test_success_resets_failures(self) -> None:
        await self.register("messi")
        for _ in range(4):
            await self._fail(FREE_FAILURES - 1)
            await self.accounts.login("messi", PASSWORD, HERE)

    async def test_password_change_is_a_guess(self) -> None:
        """Guesses at the old password in a session that was left open are slowed down too."""
        login = await self.register("messi")
        for _ in range(FREE_FAILURES + 1):
            done = self.accounts.change_password(
                login.account, "wrong-one", "new-password", login.token_hash, HERE
            )
            self.assertIs(await self.refused(done), WrongPassword)
        waiting = run(self.accounts.login("messi", PASSWORD, HERE))
        await sleep(0.05)
        self.assertFalse(waiting.called)
        self.clock.advance(1)
        await waiting

    async def test_simultaneous_guesses_do_not_lock_the_owner_out(self) -> None:
        """Of a thousand simultaneous guesses most are refused at once, and the owner waits seconds at
        most."""
        await self.register("messi")
        guesses = [run(self.accounts.login("messi", "wrong-one", HERE)) for _ in range(1000)]
        for _ in range(500):
            if sum(each.called for each in guesses) > 980:
                break
            await sleep(0.01)
        waiting = [each for each in guesses if not each.called]
        answers = [await self.refused(each) for each in guesses if each not in waiting]
        self.assertGreater(answers.count(TooManyAttempts), 950)
        owner = run(self.accounts.login("messi", PASSWORD, "198.51.100.1"))
        await sleep(0.05)
        self.clock.advance(4.0)
        self.assertEqual((await owner).account.name, "messi")
        while not all(each.called for each in waiting):
            await sleep(0.01)
            self.clock.advance(10)
        for each in waiting:
            await self.refused(each)

    async def test_simultaneous_right_passwords(self) -> None:
        """A hundred simultaneous logins with the right password all succeed: none counts as a failure."""
        await self.register("messi")
        logins = [run(self.accounts.login("messi", PASSWORD, HERE)) for _ in range(100)]
        for login in logins:
            self.assertEqual((await login).account.name, "messi")

    async def test_guesses_at_unknown_names_delay_no_other_logins(self) -> None:
        """Guesses at unknown names are slowed down, and other logins from that address are not."""
        await self.register("messi")
        with mock.patch.object(guard, "FREE_FAILURES_PER_ADDRESS", 3):
            await self.reopen()
        guesses = [run(self.accounts.login(f"nobody{n}", PASSWORD, HERE)) for n in range(20)]
        login = await self.accounts.login("messi", PASSWORD, HERE)
        self.assertEqual(login.account.name, "messi")
        slow = [each for each in guesses if not each.called]
        self.assertGreater(len(slow), 0)
        self.clock.pump([1.0] * 200)
        while not all(each.called for each in slow):
            await sleep(0.01)
            self.clock.advance(10)
        for each in guesses:
            self.assertIn(await self.refused(each), (UnknownUser, TooManyAttempts))

    async def test_guesses_at_one_account_delay_no_other_account(self) -> None:
        """Guesses at one account do not delay logins to other accounts from the same address."""
        await self.register("messi")
        await self.register("lineker")
        with mock.patch.object(guard, "FREE_FAILURES_PER_ADDRESS", 7):
            await self.reopen()
        for _ in range(10):
            done = run(self.accounts.login("messi", "wrong-one", HERE))
            while not done.called:
                await sleep(0.01)
                self.clock.advance(4)
            await self.refused(done)
        login = await self.accounts.login("lineker", PASSWORD, HERE)
        self.assertEqual(login.account.name, "lineker")

    async def test_known_address_does_not_wait(self) -> None:
        """A user who has logged in from an address does not wait for others who try many accounts there."""
        for name in ("messi", "lineker", "henderson", "klose"):
            await self.register(name)
        with mock.patch.object(guard, "FREE_FAILURES_PER_ADDRESS", 2):
            await self.reopen()
        await self.accounts.login("messi", PASSWORD, HERE)
        for name in ("lineker", "henderson", "klose"):
            await self._fail(1, name=name)
        self.assertEqual((await self.accounts.login("messi", PASSWORD, HERE)).account.name, "messi")
        unfamiliar = run(self.accounts.login("lineker", PASSWORD, HERE))
        await sleep(0.05)
        self.assertFalse(unfamiliar.called)
        self.clock.advance(1)
        await unfamiliar


class ManyRegistrations(AccountsTestCase):
    """The limit on registrations from one address in an hour."""

    def make_config(self) -> Config:
        config = super().make_config()
        few = AccountsConfig(registrations_per_hour=3, argon2=CHEAP)
        return msgspec.structs.replace(config, accounts=few)

    async def sign_up(self, name: str, source: str = HERE) -> Login:
        return await self.accounts.register(name, PASSWORD, None, None, source)

    async def test_bounded_by_address(self) -> None:
        """The fourth registration is refused until a third of the hour is over. Other addresses are not
        affected."""
        for number in range(3):
            await self.sign_up(f"a{number}")
        try:
            await self.sign_up("a3")
        except TooManyRegistrations as error:
            self.assertIn("20 min", str(error))
        else:
            self.fail("a fourth account was made")
        await self.sign_up("a3", "198.51.100.1")
        self.clock.advance(1201)
        await self.sign_up("a4")
        self.assertIs(await self.refused(self.sign_up("a5")), TooManyRegistrations)

    async def test_refused_names_do_not_count(self) -> None:
        """A registration that is refused for its name does not count."""
        await self.sign_up("messi")
        for _ in range(10):
            self.assertIs(await self.refused(self.sign_up("Messi")), UserExists)
        both = DeferredList(
            [run(self.sign_up("klose")), run(self.sign_up("klose"))], consumeErrors=True
        )
        self.assertEqual(sum(good for good, _ in await both), 1)
        await self.sign_up("lineker")


class Tokens(AccountsTestCase):
    async def test_resume(self) -> None:
        """A token resumes its session, even after restarts."""
        login = await self.register("messi")
        assert login.token is not None
        await self.reopen()
        resumed = await self.accounts.resume(login.token)
        self.assertEqual(resumed.account, login.account)
        self.assertEqual(resumed.token_hash, login.token_hash)
        self.assertIsNone(resumed.token)

    async def test_unknown(self) -> None:
        for token in ("", "x", "a" * 43, "\ud800"):
            self.assertIs(await self.refused(self.accounts.resume(token)), BadToken)

    async def test_all_different_and_long(self) -> None:
        first = (await self.register("messi")).token
        second = (await self.accounts.login("messi", PASSWORD, HERE)).token
        assert first is not None and second is not None  # noqa: PT018
        self.assertNotEqual(first, second)
        for token in (first, second):
            self.assertRegex(token, r"\A[\w-]{43}\Z")

    async def test_ended(self) -> None:
        """After a logout its token is invalid, and the account's other tokens are valid."""
        first = await self.register("messi")
        second = await self.accounts.login("messi", PASSWORD, HERE)
        assert first.token is not None and second.token is not None  # noqa: PT018
        await self.accounts.end_session(first.token_hash)
        self.assertIs(await self.refused(self.accounts.resume(first.token)), BadToken)
        await self.accounts.resume(second.token)

    async def test_expiry(self) -> None:
        """A token that is not used expires."""
        login = await self.register("messi")
        assert login.token is not None
        self.clock.advance(30 * 86400 - 1)
        await self.accounts.resume(login.token)
        login = await self.accounts.login("messi", PASSWORD, HERE)
        assert login.token is not None
        self.clock.advance(30 * 86400)
        self.assertIs(await self.refused(self.accounts.resume(login.token)), BadToken)

    async def test_used_token_does_not_expire(self) -> None:
        """A token that is used from time to time does not expire."""
        login = await self.register("messi")
        assert login.token is not None
        for _ in range(5):
            self.clock.advance(20 * 86400)
            await self.accounts.resume(login.token)
            await self.realm.database.run(lambda _connection: None)  # the new time is on disk

    async def test_expired_sessions_are_deleted(self) -> None:
        """Expired sessions are deleted at someone's next login."""
        await self.register("messi")
        self.clock.advance(31 * 86400)
        await self.register("lineker")
        count = await self.realm.database.read(_count_sessions)
        self.assertEqual(count, 1)


class ManySessions(AccountsTestCase):
    """The limit on an account's sessions, which is three here."""

    limits = {"sessions": 3}

    async def login(self) -> str:
        self.clock.advance(1)
        token = (await self.accounts.login("messi", PASSWORD, HERE)).token
        assert token is not None
        return token

    async def live(self, *tokens: str) -> list[bool]:
        """The tokens that are valid in the database. Calling this does not count as a use."""
        hashes = await self.realm.database.read(_session_hashes)
        return [hashlib.sha256(token.encode()).digest() in hashes for token in tokens]

    async def test_least_recently_used_session_ends(self) -> None:
        await self.register("messi")
        first, second = await self.login(), await self.login()
        self.assertEqual(await self.realm.database.read(_count_sessions), 3)
        for token in (second, first):
            self.clock.advance(7200)
            await self.accounts.resume(token)
        third = (
            await self.login()
        )  # in place of what registering opened, which was never used again
        self.assertEqual(await self.live(first, second, third), [True, True, True])
        self.clock.advance(7200)
        await self.accounts.resume(third)
        fourth = await self.login()
        self.assertEqual(await self.live(first, second, third, fourth), [True, False, True, True])
        self.assertEqual(await self.realm.database.read(_count_sessions), 3)

    async def test_unused_sessions_of_a_script_end_first(self) -> None:
        """A script that logs in for each run leaves unused sessions, which are ended first."""
        await self.register("messi")
        phone = await self.login()
        self.clock.advance(1)
        await self.accounts.resume(phone)
        for _ in range(20):
            await self.login()
        self.assertEqual(await self.live(phone), [True])
        await self.accounts.resume(phone)

    async def test_sessions_in_use_end_last(self) -> None:
        """Sessions in use are ended last. If there are no others, the clients of the ended one are told."""
        wires = [self.connect(JsonDialect()) for _ in range(4)]
        await wires[0].ask(command="register", username="messi", password=PASSWORD)
        await self.login()
        await wires[1].ask(command="auth", username="messi", password=PASSWORD)
        await wires[2].ask(command="auth", username="messi", password=PASSWORD)
        for wire in wires[:3]:
            self.assertEqual((await wire.ask(command="whoami"))["status"], "OK")
        self.clock.advance(1)
        await wires[3].ask(command="auth", username="messi", password=PASSWORD)
        event = await wires[0].line()
        self.assertEqual(event["event"], "session-ended")
        self.assertIn("newer sessions", event["message"])
        self.assertEqual((await wires[0].ask(command="whoami"))["code"], "not-logged-in")
        for wire in wires[1:]:
            self.assertEqual((await wire.ask(command="whoami"))["status"], "OK")

    async def test_a_client_that_fails_stops_no_login(self) -> None:
        """If the client of an ended session can't be told, the new login works all the same."""
        wires = [self.connect(JsonDialect()) for _ in range(4)]
        await wires[0].ask(command="register", username="messi", password=PASSWORD)
        for wire in wires[1:3]:
            await wire.ask(command="auth", username="messi", password=PASSWORD)
        self.patch(wires[0].protocol, "deliver", mock.Mock(side_effect=ZeroDivisionError))
        self.clock.advance(1)
        reply = await wires[3].ask(command="auth", username="messi", password=PASSWORD)
        self.assertEqual(reply["status"], "OK")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def test_others_are_not_touched(self) -> None:
        await self.register("lineker")
        await self.register("messi")
        for _ in range(5):
            await self.login()
        self.assertEqual(await self.realm.database.read(_count_sessions), 4)


def _session_hashes(connection: Any) -> set[bytes]:
    return set(connection.exec_driver_sql("SELECT token_hash FROM sessions").scalars())


def _count_sessions(connection: Any) -> int:
    count: int = connection.exec_driver_sql("SELECT count(*) FROM sessions").scalar_one()
    return count


class ChangingPasswords(AccountsTestCase):
    async def test_new_password_works(self) -> None:
        login = await self.register("messi")
        await self.accounts.change_password(
            login.account, PASSWORD, "jakarta-1", login.token_hash, HERE
        )
        done = self.accounts.login("messi", PASSWORD, HERE)
        self.assertIs(await self.refused(done), WrongPassword)
        await self.accounts.login("messi", "jakarta-1", HERE)

    async def test_other_sessions_end(self) -> None:
        """All other tokens of the account become invalid. The current one, and those of other accounts, stay
        valid."""
        mine = await self.register("messi")
        other = await self.accounts.login("messi", PASSWORD, HERE)
        stranger = await self.register("lineker")
        assert mine.token and other.token and stranger.token  # noqa: PT018
        await self.accounts.change_password(
            mine.account, PASSWORD, "jakarta-1", mine.token_hash, HERE
        )
        self.assertIs(await self.refused(self.accounts.resume(other.token)), BadToken)
        await self.accounts.resume(mine.token)
        await self.accounts.resume(stranger.token)

    async def test_refused(self) -> None:
        """With a wrong old password or a weak new one nothing changes."""
        login = await self.register("messi")
        other = await self.accounts.login("messi", PASSWORD, HERE)
        assert other.token is not None
        for old, new, error in (
            ("wrong-one", "jakarta-1", WrongPassword),
            (PASSWORD, "short", WeakPassword),
        ):
            done = self.accounts.change_password(login.account, old, new, login.token_hash, HERE)
            self.assertIs(await self.refused(done), error)
        await self.accounts.resume(other.token)
        await self.accounts.login("messi", PASSWORD, HERE)

    async def test_renewing_a_hash_does_not_undo_a_change(self) -> None:
        """A login with the old password that is renewing its hash does not undo a password change that came
        in between."""
        login = await self.register("messi")
        gate: Deferred[None] = Deferred()
        passwords = self.realm.passwords
        real_hash = passwords.hash

        async def slow_hash(password: str, *owner: Any) -> str:
            await gate
            return await real_hash(password, *owner)

        with (
            mock.patch.object(passwords, "is_outdated", return_value=True),
            mock.patch.object(passwords, "hash", slow_hash),
        ):
            logging_in = run(self.accounts.login("messi", PASSWORD, HERE))
            await sleep(0.1)
        await self.accounts.change_password(
            login.account, PASSWORD, "jakarta-1", login.token_hash, HERE
        )
        gate.callback(None)
        await self.refused(logging_in)
        done = self.accounts.login("messi", PASSWORD, HERE)
        self.assertIs(await self.refused(done), WrongPassword)
        await self.accounts.login("messi", "jakarta-1", HERE)


class Secrets(AccountsTestCase):
    @only_sqlite("the files")
    async def test_on_disk(self) -> None:
        """The state folder contains neither passwords nor tokens, only the tokens' hashes."""
        login = await self.register("messi", "rahasia-sekali")
        assert login.token is not None
        await self.realm.close()
        data = b"".join(
            path.read_bytes() for path in self.realm.config.state.rglob("*") if path.is_file()
        )
        self.realm.open()
        self.assertNotIn(b"rahasia-sekali", data)
        self.assertNotIn(login.token.encode(), data)
        self.assertIn(hashlib.sha256(login.token.encode()).digest(), data)
        self.assertIn(b"$argon2id$", data)

    async def test_not_in_a_repr(self) -> None:
        login = await self.register("messi", "rahasia-sekali")
        assert login.token is not None
        for shown in (repr(login), str(login), f"{login!r}", repr([login]), repr(login.account)):
            self.assertNotIn(login.token, shown)

    async def test_not_in_the_log(self) -> None:
        """Passwords and tokens never get into the log."""
        seen: list[str] = []

        @provider(ILogObserver)
        def observe(event: dict[str, Any]) -> None:
            failure = event.get("log_failure")
            seen.append(repr(event) + (failure.getTraceback() if failure else ""))

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        wire = self.connect(PlainDialect())
        await wire.until(b"help.\r\n")
        tokens = []
        for line in (
            "register messi rahasia-sekali",
            "auth messi salah-rahasia",
            "auth messi rahasia-sekali",
            "password salah-rahasia baru-rahasia",
            "password rahasia-sekali baru-rahasia",
            "resume token-rahasia",
            "auth messi rahasia-sekali too many words",
        ):
            wire.feed(line.encode() + b"\r\n")
            answer = (await wire.until(b"\r\n\r\n")).decode()
            tokens += [part[9:] for part in answer.split("\r\n") if part.startswith("tokenId: ")]
        with mock.patch.object(Passwords, "verify", side_effect=ZeroDivisionError):
            wire.feed(b"auth messi rahasia-sekali\r\n")
            self.assertIn(b"internal", await wire.until(b"\r\n\r\n"))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(len(tokens), 2)
        written = "".join(seen)
        self.assertIn("messi", written)
        for secret in ("rahasia", *tokens):
            self.assertNotIn(secret, written)

    async def test_not_in_a_refusal(self) -> None:
        await self.register("messi")
        try:
            await self.accounts.login("messi", "rahasia-sekali", HERE)
        except WrongPassword as error:
            self.assertNotIn("rahasia", f"{error} {error.details!r}")
        command = BY_VERB["auth"].from_words("messi rahasia-sekali")
        self.assertNotIn("rahasia", repr(command))


class People(AccountsTestCase):
    async def test_find(self) -> None:
        account = (await self.register("Messi")).account
        await self.reopen()
        self.assertEqual(await self.accounts.find("messi"), account)
        self.assertEqual(await self.accounts.find("MESSI"), account)
        self.assertIs(await self.refused(self.accounts.find("nobody")), UnknownUser)

    async def test_own_realm(self) -> None:
        """The realm's own name is dropped from an address; another realm's stays."""
        for address, local in (
            (Address("a"), Address("a")),
            (Address("a", "REALM1"), Address("a")),
            (Address("a", "realm2"), Address("a", "realm2")),
        ):
            self.assertEqual(self.realm.service.context.localize(address), local)
