"""Passwords are hashed and checked off the reactor's thread."""

from __future__ import annotations

import threading
from typing import Any, cast
from unittest import mock

from argon2 import PasswordHasher
from twisted.internet import reactor
from twisted.internet.defer import DeferredList
from twisted.trial.unittest import TestCase

from chatd.base.config import Argon2
from chatd.service.passwords import Passwords
from tests.support.common import CHEAP


class PasswordsTest(TestCase):
    def setUp(self) -> None:
        self.passwords = Passwords(cast(Any, reactor), CHEAP)
        self.passwords.start()
        self.addCleanup(self.passwords.stop)

    async def test_right_and_wrong(self) -> None:
        hashed = await self.passwords.hash("surabaya")
        self.assertIs(await self.passwords.verify("surabaya", hashed), True)
        for wrong in ("Surabaya", "surabaya ", "", "sura\x00baya", "💩"):
            self.assertIs(await self.passwords.verify(wrong, hashed), False, wrong)

    async def test_argon2id_with_its_cost(self) -> None:
        """The hash is in Argon2's standard form, with the configured cost, and does not contain the
        password."""
        hashed = await self.passwords.hash("surabaya")
        self.assertTrue(hashed.startswith("$argon2id$v=19$m=8,t=1,p=1$"), hashed)
        self.assertNotIn("surabaya", hashed)

    async def test_salted(self) -> None:
        self.assertNotEqual(await self.passwords.hash("same"), await self.passwords.hash("same"))

    async def test_long_passwords_count_fully(self) -> None:
        """Unlike bcrypt, the whole password counts."""
        hashed = await self.passwords.hash("x" * 1000 + "a")
        self.assertIs(await self.passwords.verify("x" * 1000 + "b", hashed), False)

    async def test_unknown_user(self) -> None:
        """No password is right for an unknown user, not even the one behind the decoy hash."""
        for guess in ("", "the password of no account"):
            self.assertIs(await self.passwords.verify(guess, None), False)

    async def test_unknown_user_costs_the_same(self) -> None:
        """A check for an unknown user is a check against a hash of the same cost."""
        seen: list[str] = []
        real = PasswordHasher.verify

        def verify(hasher: PasswordHasher, hashed: str, password: str) -> bool:
            seen.append(hashed)
            return real(hasher, hashed, password)

        hashed = await self.passwords.hash("surabaya")
        with mock.patch.object(PasswordHasher, "verify", verify):
            await self.passwords.verify("x", hashed)
            await self.passwords.verify("x", None)
        costs = [each.split("$")[1:4] for each in seen]
        self.assertEqual(costs, [["argon2id", "v=19", "m=8,t=1,p=1"]] * 2)

    async def test_damaged_hash(self) -> None:
        """A damaged hash matches no password, and causes no error."""
        for damaged in ("not a hash", "$argon2id$v=19$m=8,t=1,p=1$x", "$2b$12$abcdefgh"):
            self.assertIs(await self.passwords.verify("surabaya", damaged), False)

    async def test_other_threads(self) -> None:
        """Neither hashing nor checking runs in the reactor's thread."""
        threads: list[threading.Thread] = []
        real_hash, real_verify = PasswordHasher.hash, PasswordHasher.verify

        def hash_here(hasher: PasswordHasher, password: str) -> str:
            threads.append(threading.current_thread())
            return real_hash(hasher, password)

        def verify_here(hasher: PasswordHasher, hashed: str, password: str) -> bool:
            threads.append(threading.current_thread())
            return real_verify(hasher, hashed, password)

        with (
            mock.patch.object(PasswordHasher, "hash", hash_here),
            mock.patch.object(PasswordHasher, "verify", verify_here),
        ):
            hashed = await self.passwords.hash("surabaya")
            await self.passwords.verify("surabaya", hashed)
        self.assertEqual(len(threads), 2)
        self.assertNotIn(threading.current_thread(), threads)

    async def test_outdated(self) -> None:
        """A hash is outdated if its cost is not the configured one."""
        hashed = await self.passwords.hash("surabaya")
        self.assertFalse(self.passwords.is_outdated(hashed, "surabaya"))
        dearer = Passwords(cast(Any, reactor), Argon2(memory=16, passes=2, lanes=1))
        self.assertTrue(dearer.is_outdated(hashed, "surabaya"))

    async def test_spellings(self) -> None:
        """A password is the same in all Unicode forms that keyboards and systems produce."""
        for one, other in (
            ("pass\u00e9word", "passe\u0301word"),
            ("\uff53urabaya", "surabaya"),
            ("kata\u3000sandi", "kata sandi"),
            ("kata\u00a0sandi", "kata sandi"),
        ):
            for first, second in ((one, other), (other, one)):
                hashed = await self.passwords.hash(first)
                self.assertIs(await self.passwords.verify(second, hashed), True)
        hashed = await self.passwords.hash("Surabaya")
        self.assertIs(await self.passwords.verify("surabaya", hashed), False)

    async def test_hash_of_an_older_spelling(self) -> None:
        """A hash of the password as typed still matches, and has to be renewed."""
        typed = "passe\u0301word"
        hashed = self.passwords._hasher.hash(typed)
        self.assertIs(await self.passwords.verify(typed, hashed), True)
        self.assertTrue(self.passwords.is_outdated(hashed, typed))
        self.assertIs(await self.passwords.verify("pass\u00e9word", hashed), False)

    async def test_spellings_cost_the_same_without_an_account(self) -> None:
        tried: list[str] = []
        real_verify = PasswordHasher.verify

        def verify(hasher: PasswordHasher, hashed: str, password: str) -> bool:
            tried.append(password)
            return real_verify(hasher, hashed, password)

        hashed = await self.passwords.hash("another")
        with mock.patch.object(PasswordHasher, "verify", verify):
            for stored in (hashed, None):
                tried.clear()
                self.assertIs(await self.passwords.verify("passe\u0301word", stored), False)
                self.assertEqual(tried, ["pass\u00e9word", "passe\u0301word"])

    async def test_blocking_hash(self) -> None:
        """A password that is hashed at the start can be checked later."""
        hashed = self.passwords.hash_now("surabaya")
        self.assertIs(await self.passwords.verify("surabaya", hashed), True)

    async def test_many_at_once(self) -> None:
        results = await DeferredList([self.passwords.hash(f"p{n}") for n in range(20)])
        hashes = [value for _, value in results]
        for n, hashed in enumerate(hashes):
            self.assertIs(await self.passwords.verify(f"p{n}", str(hashed)), True)
