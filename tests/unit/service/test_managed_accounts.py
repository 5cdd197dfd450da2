"""Accounts as operators manage them: what happens to logins and sessions meanwhile."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from chatd.base.errors import AccountDisabled, BadToken, NotOperator, UnknownUser, WrongPassword
from chatd.base.model import Account
from chatd.base.principals import Principal
from chatd.base.roles import MODERATOR, OPERATOR, USER
from chatd.service.audit import Act
from chatd.store.managed_accounts import AccountFilter
from tests.support.common import ClockedTestCase

SOURCE = "192.0.2.1"
PASSWORD = "surabaya"


class ManagedTestCase(ClockedTestCase):
    def act(self) -> Act:
        actor = Principal("local", OPERATOR)
        return self.realm.service.audit.act(actor, "admin.user", None, "")

    async def account(self, name: str = "messi") -> Account:
        return await self.realm.service.accounts.add(name, PASSWORD, None, None)


class Disabling(ManagedTestCase):
    async def test_sessions_and_logins(self) -> None:
        service = self.realm.service
        account = await self.account()
        login = await service.accounts.login("messi", PASSWORD, SOURCE)
        assert login.token is not None
        await service.managed.disable(self.act(), account, "spam")
        self.assertIs(await self.refused(service.accounts.resume(login.token)), BadToken)
        logging_in = service.accounts.login("messi", PASSWORD, SOURCE)
        self.assertIs(await self.refused(logging_in), AccountDisabled)
        wrong = service.accounts.login("messi", "wrong-password", SOURCE)
        self.assertIs(await self.refused(wrong), WrongPassword)
        await service.managed.enable(self.act(), account)
        self.assertIsNone(await self.refused(service.accounts.login("messi", PASSWORD, SOURCE)))

    async def test_again(self) -> None:
        """The last reason counts."""
        service = self.realm.service
        account = await self.account()
        for reason in ("spam", None):
            await service.managed.disable(self.act(), account, reason)
            facts = await service.managed.facts(account)
            self.assertEqual((facts.disabled is not None, facts.reason), (True, reason))

    async def test_login_at_the_same_moment(self) -> None:
        """A login whose password is being checked is refused in the end."""
        service = self.realm.service
        account = await self.account()
        logging_in = Deferred.fromCoroutine(service.accounts.login("messi", PASSWORD, SOURCE))
        await service.managed.disable(self.act(), account, None)
        self.assertIs(await self.refused(logging_in), AccountDisabled)

    async def test_resumed_at_the_same_moment(self) -> None:
        """A session that was read just before does not survive."""
        service = self.realm.service
        account = await self.account()
        login = await service.accounts.login("messi", PASSWORD, SOURCE)
        assert login.token is not None
        resuming = Deferred.fromCoroutine(service.accounts.resume(login.token))
        disabling = Deferred.fromCoroutine(service.managed.disable(self.act(), account, None))
        await self.refused(resuming)
        await disabling
        self.assertIs(await self.refused(service.accounts.resume(login.token)), BadToken)


class Passwords(ManagedTestCase):
    async def test_other_password(self) -> None:
        service = self.realm.service
        account = await self.account()
        login = await service.accounts.login("messi", PASSWORD, SOURCE)
        assert login.token is not None
        await service.managed.set_password(self.act(), account, "liverpool")
        self.assertIs(await self.refused(service.accounts.resume(login.token)), BadToken)
        old = service.accounts.login("messi", PASSWORD, SOURCE)
        self.assertIs(await self.refused(old), WrongPassword)
        await service.accounts.login("messi", "liverpool", SOURCE)


class LostRoles(ManagedTestCase):
    async def act_of(self, name: str) -> Act:
        account = await self.account(name)
        account = await self.realm.service.managed.set_role(self.act(), account, OPERATOR)
        actor = Principal(account.name, account.role, account=account.id)
        return self.realm.service.audit.act(actor, "admin.user", None, "")

    async def test_role_taken_meanwhile(self) -> None:
        """Who loses the role while a password is hashed does not make another operator."""
        service = self.realm.service
        await self.act_of("ana")  # an operator that stays
        for number, take in enumerate(
            (
                lambda account: service.managed.set_role(self.act(), account, MODERATOR),
                lambda account: service.managed.disable(self.act(), account, None),
                lambda account: service.departures.delete(account, PASSWORD, False, SOURCE),
            )
        ):
            name = f"lina{number}"
            act = await self.act_of(name)
            await take(await service.accounts.find(name))
            adding = service.managed.add(act, f"x{number}", PASSWORD, OPERATOR, None, None)
            self.assertIs(await self.refused(adding), NotOperator)
            self.assertIs(await self.refused(act.begin()), NotOperator)
            self.assertIs(await self.refused(service.accounts.find(f"x{number}")), UnknownUser)

    async def test_role_kept(self) -> None:
        act = await self.act_of("lina")
        await self.realm.service.managed.add(act, "x", PASSWORD, USER, None, None)
        self.assertEqual((await self.realm.service.accounts.find("x")).name, "x")


class Deleted(ManagedTestCase):
    async def test_deleted_meanwhile(self) -> None:
        """An account that was deleted just before is not changed, and keeps no role."""
        service = self.realm.service
        account = await self.account()
        await service.managed.set_role(self.act(), account, MODERATOR)
        await service.departures.delete(account, PASSWORD, False, SOURCE)
        for changing in (
            service.managed.set_role(self.act(), account, OPERATOR),
            service.managed.set_password(self.act(), account, "liverpool"),
            service.managed.disable(self.act(), account, None),
            service.managed.end_sessions(self.act(), account),
        ):
            self.assertIs(await self.refused(changing), UnknownUser)
        found, more = await service.managed.list(AccountFilter(), 10)
        self.assertEqual((found, more), ((), 0))
        left = service.accounts.current(account)
        self.assertEqual(left.role, USER)


class Lists(ManagedTestCase):
    async def names(self, limit: int = 10, **wanted: str) -> tuple[list[str], int]:
        chosen = AccountFilter(**wanted)  # type: ignore[arg-type]
        found, more = await self.realm.service.managed.list(chosen, limit)
        return [each.username for each in found], more

    async def test_filters(self) -> None:
        managed = self.realm.service.managed
        for name, role, shown in (
            ("Ana", MODERATOR, "Ana B"),
            ("budi", USER, "100%_Budi"),
            ("citra", OPERATOR, "Citra"),
        ):
            await managed.add(self.act(), name, PASSWORD, role, shown, None)
        budi = await self.realm.service.accounts.find("budi")
        await managed.disable(self.act(), budi, None)
        for wanted, names in (
            ({}, ["Ana", "budi", "citra"]),
            ({"name": "AN"}, ["Ana"]),
            ({"name": "0%_b"}, ["budi"]),
            ({"name": "_"}, ["budi"]),
            ({"name": "x"}, []),
            ({"role": USER}, ["budi"]),
            ({"role": OPERATOR}, ["citra"]),
            ({"state": "disabled"}, ["budi"]),
            ({"state": "enabled"}, ["Ana", "citra"]),
            ({"after": "ANA"}, ["budi", "citra"]),
        ):
            self.assertEqual(await self.names(**wanted), (names, 0), wanted)
        self.assertEqual(await self.names(limit=1, after="ana"), (["budi"], 1))

    async def test_facts_of_nobody(self) -> None:
        account = await self.account()
        nobody = self.realm.service.managed.facts(Account(account.id + 1, "x", "x", "x", ""))
        self.assertIs(await self.refused(nobody), UnknownUser)

    async def test_first_operator(self) -> None:
        """The code for the first operator is used up when somebody gets the role otherwise."""
        self.assertTrue(self.realm.service.operators.claimable)
        path = self.realm.config.state / "operator-code"
        self.assertTrue(path.exists())
        await self.realm.service.managed.set_role(self.act(), await self.account(), OPERATOR)
        self.assertFalse(self.realm.service.operators.claimable)
        self.assertFalse(path.exists())
