"""Guessing names and codes of private groups is slow."""

from __future__ import annotations

import msgspec
from twisted.internet.defer import Deferred

from chatd.base.errors import (
    GroupExists,
    TooManyFailedJoins,
    TooManyTakenNames,
    UnknownGroup,
    UserExists,
)
from chatd.base.model import Party
from chatd.base.names import Address
from chatd.service import guesses
from chatd.service.guesses import (
    FREE_JOINS,
    FREE_JOINS_OF_ADDRESS,
    FREE_JOINS_OF_REALM,
    TAKEN_PER_HOUR,
    FailedJoins,
    TakenNames,
)
from tests.support.inline import outcome_of, result_of
from tests.unit.service.test_groups import GroupsTestCase


class Guesses(GroupsTestCase):
    def test_taken_groups(self) -> None:
        """An account has 20 taken names in an hour. Other failures and groups that are made do not count."""
        self.create(self.ana)
        for number in range(TAKEN_PER_HOUR):
            self.create(self.budi, f"g{number}")
            self.assertIs(outcome_of(self.groups.create(self.budi, "bagan")), GroupExists)
        for name in ("bagan", "other"):
            self.assertIs(outcome_of(self.groups.create(self.budi, name)), TooManyTakenNames)
        self.assertIs(outcome_of(self.groups.create(self.citra, "bagan")), GroupExists)
        self.clock.advance(181)
        self.create(self.budi, "other")

    def test_titles(self) -> None:
        """The name that is made of a title tells that a shorter one is taken. So that counts, too."""
        self.create(self.ana)
        for number in range(TAKEN_PER_HOUR):
            result_of(self.groups.create(self.budi, None, f"arisan {number}"))
            group = result_of(self.groups.create(self.budi, None, "bagan"))
            self.assertNotEqual(group.name, "bagan")
        again = outcome_of(self.groups.create(self.budi, None, "bagan"))
        self.assertIs(again, TooManyTakenNames)

    def test_taken_accounts(self) -> None:
        """Before the login, a network address has them, unless `registrations_per_hour` is 0. An operator who
        creates accounts is not limited."""
        accounts = self.service.accounts

        def sign_up(source: str) -> object:
            return outcome_of(accounts.sign_up("ana", "surabaya", None, None, source))

        self.assertEqual(self.service.config.accounts.registrations_per_hour, 0)
        for _ in range(TAKEN_PER_HOUR + 1):
            self.assertIs(sign_up("192.0.2.1"), UserExists)
        self.patch(accounts, "_taken", TakenNames(self.clock, limited=True))
        for _ in range(TAKEN_PER_HOUR):
            self.assertIs(sign_up("192.0.2.1"), UserExists)
        self.assertIs(sign_up("192.0.2.1"), TooManyTakenNames)
        self.assertIs(sign_up("192.0.2.2"), UserExists)
        added = outcome_of(accounts.add("ana", "surabaya", None, None))
        self.assertIs(added, UserExists)

    def test_unlimited(self) -> None:
        """A realm that does not limit registrations or groups does not limit taken names."""
        taken = TakenNames(self.clock, limited=False)
        for _ in range(2 * TAKEN_PER_HOUR):
            with self.assertRaises(UserExists), taken.attempt("192.0.2.1"):
                raise UserExists(name="ana")

    def test_failed_joins(self) -> None:
        """After 20 joins of groups that do not exist for a person, there are pauses, also for valid ones."""
        group = self.create(self.ana)
        for _ in range(FREE_JOINS):
            failed = outcome_of(self.groups.join(self.budi, Address("aaa:aaa")))
            self.assertIs(failed, UnknownGroup)
        failed = outcome_of(self.groups.join(self.budi, Address("aaa:aaa")))
        self.assertIs(failed, UnknownGroup)
        self.assertIs(
            outcome_of(self.groups.join(self.budi, Address(group.code))), TooManyFailedJoins
        )
        self.assertNotIsInstance(self.join(self.citra), type)
        self.clock.advance(60)
        self.assertNotIsInstance(self.join(self.budi, group.code), type)

    def test_realms(self) -> None:
        """Another realm has pauses too, whatever names its people have."""
        self.joins = FailedJoins(self.clock)
        one = Party("a@realm2", "a@realm2", realm="realm2")
        for number in range(FREE_JOINS_OF_REALM + 1):
            party = msgspec.structs.replace(one, key=f"p{number}@realm2")
            self.assertIs(self.successResultOf(self.tried(party)), UnknownGroup)
        self.assertIs(self.successResultOf(self.tried(one)), TooManyFailedJoins)
        other = msgspec.structs.replace(one, realm="realm3")
        self.assertIsNone(self.successResultOf(self.tried(other, fails=False)))

    def tried(
        self, party: Party, source: str | None = None, fails: bool = True
    ) -> Deferred[object]:
        """An attempt to join a group, which does not exist if it `fails`."""

        async def attempt() -> None:
            async with self.joins.attempt(party, source):
                if fails:
                    raise UnknownGroup(name="a")

        return Deferred.fromCoroutine(attempt()).addErrback(lambda failure: failure.type)

    def test_addresses(self) -> None:
        """Joins from a network address take turns after many failures, whatever accounts are used there."""
        self.joins = FailedJoins(self.clock)
        for number in range(FREE_JOINS_OF_ADDRESS + 1):
            party = Party(f"p{number}", f"p{number}", number)
            self.assertIs(self.successResultOf(self.tried(party, "192.0.2.1")), UnknownGroup)
        people = [Party(f"q{number}", f"q{number}", 1000 + number) for number in range(60)]
        self.assertIsNone(self.successResultOf(self.tried(people[0], "192.0.2.2", fails=False)))
        first, *others = [self.tried(each, "192.0.2.1") for each in people]
        self.assertNoResult(first)
        # Those that would wait too long are refused.
        self.assertIs(self.successResultOf(others[-1]), TooManyFailedJoins)
        self.clock.advance(0.25)
        self.assertIs(self.successResultOf(first), UnknownGroup)
        self.assertNoResult(others[0])
        self.clock.pump([1.0] * 60)
        self.assertIs(self.successResultOf(others[0]), UnknownGroup)

    def test_at_once(self) -> None:
        """Attempts of a person that run at once are no more than may fail without a pause."""
        self.joins = FailedJoins(self.clock)
        one, waiting = Party("ana", "ana", 1), Deferred[None]()

        async def attempt() -> None:
            async with self.joins.attempt(one):
                await waiting

        running = [Deferred.fromCoroutine(attempt()) for _ in range(FREE_JOINS)]
        self.assertIs(self.successResultOf(self.tried(one)), TooManyFailedJoins)
        waiting.callback(None)
        for each in running:
            self.successResultOf(each)
        self.assertIs(self.successResultOf(self.tried(one)), UnknownGroup)

    def test_slow_answers(self) -> None:
        """A pause begins when an attempt has failed, however long that took."""
        self.joins = FailedJoins(self.clock)
        one, waiting = Party("ana", "ana", 1), Deferred[None]()

        async def attempt() -> None:
            async with self.joins.attempt(one):
                await waiting
                raise UnknownGroup(name="a")

        for _ in range(FREE_JOINS):
            self.assertIs(self.successResultOf(self.tried(one)), UnknownGroup)
        slow = Deferred.fromCoroutine(attempt())
        self.clock.advance(60)
        waiting.callback(None)
        self.failureResultOf(slow, UnknownGroup)
        self.assertIs(self.successResultOf(self.tried(one)), TooManyFailedJoins)

    def knows_realms(self) -> None:
        """Whatever realm is named is known."""

        async def meet(_account: object, _name: Address) -> None:
            """Look nothing up."""

        async def locate(_account: object, name: Address) -> tuple[str | None, Address]:
            return name.realm, name

        self.patch(self.groups._there, "locate", locate)
        self.patch(self.groups._unknown, "meet", meet)

    def test_elsewhere(self) -> None:
        """Failed joins of groups of other realms count as well."""
        mirrors = self.groups._mirrors
        self.knows_realms()

        async def join(account: object, realm: str, name: Address) -> None:
            raise UnknownGroup(name=name.name)

        self.patch(mirrors, "join", join)
        there = Address("aaa:aaa", "realm2")
        for _ in range(FREE_JOINS + 1):
            self.assertIs(outcome_of(self.groups.join(self.budi, there)), UnknownGroup)
        self.assertIs(outcome_of(self.groups.join(self.budi, there)), TooManyFailedJoins)

    def test_a_realm_that_does_not_answer(self) -> None:
        """While one realm does not answer, joins of other groups from the same address have their turns."""
        self.patch(guesses, "FREE_JOINS_OF_ADDRESS", 1)
        self.patch(self.groups._homes, "failed_joins", FailedJoins(self.clock))
        self.knows_realms()
        answer, source = Deferred[None](), "192.0.2.1"
        asked: list[object] = []

        async def join(account: object, realm: str, name: Address) -> None:
            asked.append(account)
            await answer
            raise UnknownGroup(name=name.name)

        self.patch(self.groups._mirrors, "join", join)
        group, there = self.create(self.ana), Address("aaa:aaa", "realm2")
        attempts = [
            Deferred.fromCoroutine(self.groups.join(who, there, source=source))
            for who in (self.budi, self.ana)
        ]
        joined = outcome_of(self.groups.join(self.citra, Address(group.code), source=source))
        self.assertNotIsInstance(joined, type)
        self.assertEqual(asked, [self.budi])
        answer.callback(None)
        for each in attempts:
            self.failureResultOf(each, UnknownGroup)
        self.assertEqual(asked, [self.budi, self.ana])
