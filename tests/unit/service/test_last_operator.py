"""Commands of sessions leave the realm an operator. At the control socket everything may be done."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from chatd.base.ban_targets import ACCOUNT, BanTarget
from chatd.base.errors import LastOperator, NotOperator, OnlyOperator
from chatd.base.model import Account
from chatd.base.principals import Principal
from chatd.base.roles import OPERATOR, USER
from chatd.service.audit import Act
from chatd.store.access_bans import AccessBan, put_ban
from chatd.store.account_moves import FOLLOWED, OVER
from chatd.store.audit import read_entries
from chatd.store.operators import able_operators
from chatd.store.schema import account_moves
from tests.support.inline import outcome_of, result_of
from tests.unit.service.test_messages import MessagesTestCase


class LastOperatorTestCase(MessagesTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.ana, self.budi = (self.appointed(each) for each in (self.ana, self.budi))

    def appointed(self, account: Account) -> Account:
        changed: Account = result_of(self.service.operators.appoint(account))
        return changed

    def act_of(self, account: Account | None) -> Act:
        """An act of an operator's session; None: at the control socket."""
        actor = Principal("local:root", OPERATOR, is_local=True)
        if account is not None:
            actor = Principal(account.name, OPERATOR, account=account.id)
        return self.service.audit.act(actor, "admin.user", None, "")

    def now(self) -> int:
        return int(self.clock.seconds() * 1000)

    def run_job(self, job: Any, *args: Any) -> Any:
        return result_of(self.database.run(job, *args))

    def operators(self) -> list[str]:
        return list(self.run_job(able_operators, self.now()).values())

    def acts(self) -> list[str]:
        """The outcomes in the audit log."""
        return [each.outcome for each in self.run_job(read_entries, 10, None)[0]]

    def demote(self, who: Account, by: Account | None) -> Any:
        return outcome_of(self.service.managed.set_role(self.act_of(by), who, USER))

    def disable(self, who: Account, by: Account | None) -> Any:
        return outcome_of(self.service.managed.disable(self.act_of(by), who, None))

    def delete(self, who: Account, by: Account | None) -> Any:
        return outcome_of(self.service.departures.remove(self.act_of(by), who, False))

    def ban(self, who: Account, by: Account | None, until: int | None = None) -> Any:
        ban = AccessBan(BanTarget(ACCOUNT, who.name), self.now(), until, "", "ana")
        return outcome_of(self.act_of(by).run(put_ban, ban, who, self.now()))


class Sessions(LastOperatorTestCase):
    def test_the_last_one(self) -> None:
        """Nothing of the refused act stays, neither the change nor an entry that it is done."""
        self.demote(self.budi, self.ana)
        for take in (self.demote, self.disable, self.delete, self.ban):
            self.assertIs(take(self.ana, self.ana), OnlyOperator)
            self.assertEqual(self.operators(), ["ana"])
        self.assertEqual(self.acts(), ["done"])

    def test_one_of_two(self) -> None:
        for take in (self.demote, self.disable, self.delete, self.ban):
            self.ana, self.citra = self.appointed(self.account(f"a-{take.__name__}")), self.ana
            take(self.citra, self.ana)
            self.assertNotIn(self.citra.name, self.operators())
            self.assertIn(self.ana.name, self.operators())

    def test_both_demote_the_other(self) -> None:
        """Two operators demote each other at the same time: the second is no operator any more."""
        outcomes = [self.demote(self.budi, self.ana), self.demote(self.ana, self.budi)]
        self.assertIs(outcomes[1], NotOperator)
        self.assertEqual(self.operators(), ["ana"])

    def test_both_step_down(self) -> None:
        """Two operators demote themselves at the same time: the second stays one."""
        outcomes = [self.demote(self.ana, self.ana), self.demote(self.budi, self.budi)]
        self.assertIs(outcomes[1], OnlyOperator)
        self.assertEqual(self.operators(), ["Budi"])

    def test_both_ban_the_other(self) -> None:
        self.ban(self.budi, self.ana)
        self.assertIs(self.ban(self.ana, self.budi), OnlyOperator)
        self.assertEqual(self.operators(), ["ana"])

    def test_those_who_cannot_work(self) -> None:
        """Operators that are disabled or banned, or have moved, are not counted as others."""
        self.disable(self.budi, self.ana)
        self.assertIs(self.demote(self.ana, self.ana), OnlyOperator)
        result_of(self.service.managed.enable(self.act_of(self.ana), self.budi))
        self.assertEqual(self.operators(), ["ana", "Budi"])
        self.ban(self.budi, self.ana, self.now() + 1000)
        self.assertIs(self.demote(self.ana, self.ana), OnlyOperator)
        self.clock.advance(2)
        self.assertEqual(self.operators(), ["ana", "Budi"])
        for state, left in ((FOLLOWED, ["ana"]), (OVER, ["ana", "Budi"])):
            self.run_job(self.put_move, self.budi, state)
            self.assertEqual(self.operators(), left)

    def put_move(self, connection: sa.Connection, account: Account, state: str) -> None:
        """As if the account had moved to another realm."""
        connection.execute(sa.delete(account_moves))
        values: dict[str, Any] = {
            column.name: b"" if isinstance(column.type, sa.LargeBinary) else 0
            for column in account_moves.columns
            if not column.nullable and column.default is None and column.server_default is None
        }
        texts = {name: name for name in values if isinstance(account_moves.c[name].type, sa.Text)}
        row = {**values, **texts, "account_id": account.id, "state": state}
        connection.execute(sa.insert(account_moves).values(row))


class Owners(LastOperatorTestCase):
    def test_own_account(self) -> None:
        """Another operator that is disabled does not help."""
        self.disable(self.budi, self.ana)
        deleting = self.service.departures.delete(self.ana, "surabaya", False, "here")
        self.assertIs(outcome_of(deleting), LastOperator)


class ControlSocket(LastOperatorTestCase):
    def test_everything(self) -> None:
        """It leaves no operator, and makes one again."""
        self.demote(self.budi, None)
        for take in (self.demote, self.disable, self.ban, self.delete):
            account = self.appointed(self.account(f"a-{take.__name__}"))
            self.demote(self.ana, None)
            self.assertEqual(self.operators(), [account.name])
            take(account, None)
            self.assertEqual(self.operators(), [])
            making = self.service.managed.set_role(self.act_of(None), self.ana, OPERATOR)
            self.assertEqual(outcome_of(making).role, OPERATOR)
            self.assertEqual(self.operators(), ["ana"])
