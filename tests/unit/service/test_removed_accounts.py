"""Accounts that operators delete, erase, rename and limit, and the audit log of that."""

from __future__ import annotations

from typing import Any
from unittest import mock

from chatd.base.errors import StorageFailed, UnknownUser
from chatd.base.principals import Principal
from chatd.base.roles import OPERATOR
from chatd.service.audit import Act
from chatd.store.audit import read_entries
from chatd.store.departures import finish
from chatd.store.file_quotas import all_quotas
from tests.support.inline import outcome_of, result_of
from tests.unit.service.test_departures import BAGAN, DeparturesTestCase
from tests.unit.service.test_messages import BUDI


class RemovedAccountsTestCase(DeparturesTestCase):
    def act(self, verb: str = "admin.user.erase", target: str = "Budi") -> Act:
        return self.service.audit.act(Principal("local:root", OPERATOR), verb, target, "")

    def remove(self, erase: bool = False) -> Any:
        return outcome_of(self.service.departures.remove(self.act(), self.budi, erase))

    def acts(self) -> list[tuple[str | None, str]]:
        found, _ = result_of(self.database.read(read_entries, 10, None))
        return [(each.target, each.outcome) for each in found]

    def texts(self) -> list[list[str | None]]:
        """What ana reads of the direct conversation and of the group."""
        return [self.history(self.ana, place) for place in (BUDI, BAGAN)]

    def talk(self) -> None:
        self.group(self.budi, self.ana)
        self.send(self.budi, "ana", "1")
        self.post(self.budi, "bagan", "2")


class Removing(RemovedAccountsTestCase):
    def test_messages_stay(self) -> None:
        """No password is asked. The act is in the log."""
        self.talk()
        self.remove()
        self.assertEqual(self.texts(), [["1"], ["2"]])
        self.assertEqual((self.members(self.ana), self.unfinished()), (["ana*"], []))
        self.assertIs(outcome_of(self.service.accounts.find("budi")), UnknownUser)
        self.assertEqual(self.acts(), [("Budi", "done")])

    def test_twice_at_once(self) -> None:
        self.remove()
        self.assertIs(self.remove(), UnknownUser)


class Erasing(RemovedAccountsTestCase):
    def kill_within(self, work: Any) -> None:
        """Start to erase, with a disk that fails after the first message, and start the realm again."""
        erase = self.service.changes.erase

        async def first(*args: Any) -> Any:
            failing.side_effect = StorageFailed()
            return await erase(*args)

        with mock.patch.object(self.service.changes, "erase", side_effect=first) as failing:
            work()
        self.assertEqual(self.texts(), [[None], ["2"]])
        self.reopen()
        self.service.departures.resume(self.unfinished())

    def test_killed(self) -> None:
        """The act is in the log from the moment at which the account is gone. The next start finishes."""
        self.talk()
        self.kill_within(lambda: self.remove(erase=True))
        self.assertEqual(self.texts(), [[None], [None]])
        self.assertEqual((self.members(self.ana), self.unfinished()), (["ana*"], []))
        self.assertEqual(self.acts(), [("Budi", "done")])

    def test_an_account_that_was_deleted_before(self) -> None:
        self.talk()
        self.remove()
        self.kill_within(lambda: outcome_of(self.service.departures.erase(self.act(), "BUDI")))
        self.assertEqual((self.texts(), self.unfinished()), ([[None], [None]], []))
        self.assertEqual(self.acts(), [("Budi", "done"), ("Budi", "done")])

    def test_while_it_leaves(self) -> None:
        """The end of the deletion does not end the erasure that was asked for meanwhile."""
        self.talk()
        self.service.departures.stop()
        self.remove()
        with mock.patch.object(self.service.departures, "_begin"):
            result_of(self.service.departures.erase(self.act(), "budi"))
        result_of(self.database.run(finish, self.budi.id, False))
        self.reopen()
        self.service.departures.resume(self.unfinished())
        self.assertEqual((self.texts(), self.unfinished()), ([[None], [None]], []))

    def test_once_at_a_time(self) -> None:
        """An erasure that is asked for again while it runs begins no second run."""
        self.talk()
        self.remove()
        self.service.departures._running.add((self.budi.id, True))
        result_of(self.service.departures.erase(self.act(), "budi"))
        self.assertEqual(self.texts(), [["1"], ["2"]])
        self.service.departures._running.clear()
        result_of(self.service.departures.erase(self.act(), "budi"))
        self.assertEqual(self.texts(), [[None], [None]])

    def test_unknown(self) -> None:
        """Neither accounts that exist nor names that were never there."""
        for name in ("ana", "nobody"):
            self.assertIs(outcome_of(self.service.departures.erase(self.act(), name)), UnknownUser)


class Changing(RemovedAccountsTestCase):
    def test_display_name(self) -> None:
        result_of(self.service.managed.rename(self.act(), self.budi, "Budi B"))
        self.reopen()
        self.assertEqual(result_of(self.service.accounts.find("budi")).display_name, "Budi B")
        self.remove()
        renaming = self.service.managed.rename(self.act(), self.budi, "x")
        self.assertIs(outcome_of(renaming), UnknownUser)

    def test_quota(self) -> None:
        """It counts at once, for this account only, and is gone with the account."""
        managed, quotas = self.service.managed, self.service.context.file_quotas
        self.assertFalse(quotas.has_own(self.budi))
        result_of(managed.set_quota(self.act(), self.budi, 10))
        self.assertEqual((quotas.of(self.budi), quotas.has_own(self.budi)), (10, True))
        self.assertEqual(quotas.of(self.ana), self.service.config.limits.account_files)
        result_of(managed.set_quota(self.act(), self.budi, 20))
        self.assertEqual(result_of(self.database.read(all_quotas)), [(self.budi.id, 20)])
        quotas.load([(self.budi.id, 7)])
        self.assertEqual(quotas.of(self.budi), 7)
        result_of(managed.set_quota(self.act(), self.budi, None))
        self.assertEqual(result_of(self.database.read(all_quotas)), [])
        self.assertFalse(quotas.has_own(self.budi))
        result_of(managed.set_quota(self.act(), self.budi, 5))
        self.remove()
        self.assertEqual(result_of(self.database.read(all_quotas)), [])
        self.assertFalse(quotas.has_own(self.budi))
        self.assertIs(outcome_of(managed.set_quota(self.act(), self.budi, 1)), UnknownUser)
