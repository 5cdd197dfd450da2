"""Deleted accounts: what is deleted at once, what stays, and the work in the background."""

from __future__ import annotations

from typing import Any
from unittest import mock

from chatd.base.errors import (
    BadToken,
    LastOperator,
    NotYours,
    StorageFailed,
    UnknownGroup,
    UnknownUser,
    UserExists,
    WrongPassword,
)
from chatd.base.model import Account
from chatd.base.names import Address, Place
from chatd.base.read_marks import ReadMark
from chatd.service import departures as module
from chatd.store import departures as store
from chatd.store.departures import Departure
from chatd.store.receipts import visible_marks
from tests.support.inline import outcome_of, result_of
from tests.unit.service.test_messages import BUDI, MessagesTestCase

BAGAN = Place(group=Address("bagan"))


class DeparturesTestCase(MessagesTestCase):
    def delete(self, account: Account, erase: bool = False) -> Any:
        deleting = self.service.departures.delete(account, "surabaya", erase, "here")
        return outcome_of(deleting)

    def unfinished(self) -> list[Departure]:
        found: list[Departure] = result_of(self.database.read(store.unfinished))
        return found

    def members(self, who: Account) -> list[str]:
        _, found = result_of(self.service.groups.members(who, Address("bagan")))
        return [f"{each.username}{'*' if each.admin else ''}" for each in found]


class Gone(DeparturesTestCase):
    def test_at_once(self) -> None:
        """The account can't be found, written to, or logged in to; its name stays taken."""
        login = result_of(self.service.accounts.login("budi", "surabaya", "here"))
        self.send(self.ana, "budi", "1")
        result_of(self.service.contacts.add(self.ana, Address("budi")))
        result_of(self.service.blocks.block(self.budi, Address("citra")))
        result_of(self.service.blocks.block(self.ana, Address("citra")))
        self.delete(self.budi)
        accounts = self.service.accounts
        for _ in range(2):
            self.assertIs(outcome_of(accounts.login("budi", "surabaya", "here")), UnknownUser)
            self.assertIs(outcome_of(accounts.resume(login.token)), BadToken)
            self.assertIs(outcome_of(self.sending(self.ana, "budi", "2")), UnknownUser)
            registering = accounts.register("Budi", "surabaya", None, None)
            self.assertIs(outcome_of(registering), UserExists)
            self.assertEqual(result_of(self.service.contacts.all(self.ana)), ())
            self.reopen()
            accounts = self.service.accounts
        users, more = result_of(self.service.people.all(self.ana))
        self.assertEqual(([each.username for each in users], more), (["ana", "citra"], 0))

    def test_blocks(self) -> None:
        for who in (self.ana, self.budi):
            result_of(self.service.blocks.block(who, Address("citra")))
        self.delete(self.budi)
        self.assertEqual(self.service.blocks.against("citra"), {self.ana.id})
        self.delete(self.ana)
        self.assertEqual(self.service.blocks.against("citra"), frozenset())

    def test_a_part_that_fails(self) -> None:
        """The others forget the account all the same."""
        accounts = self.service.accounts
        accounts._on_deleted.insert(0, mock.Mock(side_effect=ValueError("boom")))
        result_of(self.service.blocks.block(self.budi, Address("citra")))
        self.assertIsNone(self.delete(self.budi))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertEqual(self.service.blocks.against("citra"), frozenset())

    def test_read_marks(self) -> None:
        """Those that the account did not show stay hidden, and the others are no longer shown."""
        for switched in (False, True):
            with self.subTest(switched):
                reader, who = (self.budi, "budi") if switched else (self.citra, "citra")
                here = self.send(self.ana, who, "1").receipts[0].conversation
                if switched:
                    result_of(self.service.privacy.choose(reader, "receipts", False))
                result_of(self.reading.move_marks(reader, {here: ReadMark(1)}, None))
                self.delete(reader)
                found = result_of(self.database.read(visible_marks, self.ana, here))
                self.assertEqual([seq for key, _, seq in found if key != "ana"], [0])

    def test_twice_at_once(self) -> None:
        account = self.budi
        self.delete(account)
        versions = self.service.context.writers.versions
        again = self.database.run(store.depart, versions, account, False, 0)
        self.assertIs(outcome_of(again), UnknownUser)

    def test_join_at_the_same_moment(self) -> None:
        """An account that was deleted meanwhile is not made a member."""
        self.group(self.ana)
        account = self.budi
        self.delete(account)
        joining = self.service.groups.join(account, Address("bagan"))
        self.assertIs(outcome_of(joining), UnknownGroup)
        self.assertEqual(self.members(self.ana), ["ana*"])

    def test_creation_at_the_same_moment(self) -> None:
        """An account that was deleted meanwhile gets no group, and the name stays free."""
        account = self.budi
        self.delete(account)
        creating = self.service.groups.create(account, "bagan")
        self.assertIs(outcome_of(creating), UnknownUser)
        self.group(self.ana)
        self.assertEqual(self.members(self.ana), ["ana*"])

    def test_refusals(self) -> None:
        deleting = self.service.departures.delete(self.ana, "wrong", False, "here")
        self.assertIs(outcome_of(deleting), WrongPassword)
        self.ana = result_of(self.service.operators.appoint(self.ana))
        self.assertIs(self.delete(self.ana), LastOperator)
        result_of(self.service.operators.appoint(self.budi))
        self.assertIsNot(self.delete(self.ana), LastOperator)


class Messages(DeparturesTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.patch(module, "PAGE", 2)
        self.patch(store, "SCANNED", 3)
        self.group(self.budi, self.ana, self.citra)
        for text in "12":
            self.send(self.budi, "ana", text)
            self.post(self.budi, "bagan", text)
        self.post(self.ana, "bagan", "3")

    def texts(self) -> list[list[str | None]]:
        """What ana reads of the direct conversation and of the group."""
        return [self.history(self.ana, place) for place in (BUDI, BAGAN)]

    def test_kept(self) -> None:
        """Kept messages stay under the name. The group has a new admin."""
        self.delete(self.budi)
        self.assertEqual(self.texts(), [["1", "2"], ["1", "2", "3"]])
        self.assertEqual(self.members(self.ana), ["ana*", "citra"])
        self.assertEqual(self.unfinished(), [])

    def test_erased(self) -> None:
        """Messages are erased also in groups that the account has left."""
        result_of(self.service.groups.leave(self.budi, Address("bagan"), None))
        self.delete(self.budi, erase=True)
        self.assertEqual(self.texts(), [[None, None], [None, None, "3"]])
        self.assertEqual(self.unfinished(), [])

    def test_the_last_member(self) -> None:
        for who in (self.ana, self.citra):
            result_of(self.service.groups.leave(who, Address("bagan"), None))
        self.delete(self.budi)
        groups, _ = result_of(self.service.groups.list(self.ana, mine=False))
        self.assertEqual(groups, ())

    def test_interrupted(self) -> None:
        """Unfinished deletions continue after the next start."""
        erase = self.service.changes.erase
        with mock.patch.object(self.service.changes, "erase") as failing:
            failing.side_effect = [erase, StorageFailed()]
            self.delete(self.budi, erase=True)
        self.assertEqual(self.members(self.ana), ["Budi*", "ana", "citra"])
        left = self.unfinished()
        self.assertEqual([(each.account.key, each.erase) for each in left], [("budi", True)])
        self.reopen()
        self.service.departures.resume(self.unfinished())
        self.assertEqual(self.texts(), [[None, None], [None, None, "3"]])
        self.assertEqual(self.members(self.ana), ["ana*", "citra"])
        self.assertEqual(self.unfinished(), [])

    def test_work_lost_for_a_moment(self) -> None:
        """A node that loses the work for accounts, and gets it back, does not skip what it has not done."""
        work, erase, groups_of = (
            self.service.context.work,
            self.service.changes.erase,
            store.groups_of,
        )

        async def erase_one(*args: Any) -> None:
            await erase(*args)
            work.suspend()

        def regain(*args: Any) -> Any:
            work.start()
            return groups_of(*args)

        with (
            mock.patch.object(self.service.changes, "erase", erase_one),
            mock.patch.object(store, "groups_of", regain),
        ):
            self.delete(self.budi, erase=True)
        work.start()
        self.assertEqual(self.texts(), [[None, None], [None, None, "3"]])
        self.assertEqual((self.members(self.ana), self.unfinished()), (["ana*", "citra"], []))

    def test_full_disk(self) -> None:
        """Unfinished deletions continue later."""
        erase = self.service.changes.erase
        with mock.patch.object(self.service.changes, "erase") as failing:
            failing.side_effect = [erase, StorageFailed()]
            self.delete(self.budi, erase=True)
        self.clock.advance(module.RETRY)
        self.assertEqual(self.texts(), [[None, None], [None, None, "3"]])
        self.assertEqual(self.members(self.ana), ["ana*", "citra"])
        self.assertEqual(self.unfinished(), [])

    def test_defect(self) -> None:
        """A step that fails unexpectedly stops no others. The next start tries it again."""
        with mock.patch.object(self.service.changes, "erase", side_effect=ValueError("boom")):
            self.delete(self.budi, erase=True)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertEqual(self.members(self.ana), ["ana*", "citra"])
        self.assertEqual(len(self.unfinished()), 1)
        self.service.departures.resume(self.unfinished())
        self.assertEqual(self.texts(), [[None, None], [None, None, "3"]])
        self.assertEqual(self.unfinished(), [])

    def test_refused(self) -> None:
        """A refusal by the home of a group does not stop the other deletions."""
        with (
            mock.patch.object(self.service.changes, "erase", side_effect=NotYours(seq=1, who="x")),
            mock.patch.object(self.service.groups, "leave", side_effect=UnknownUser(name="x")),
        ):
            self.delete(self.budi, erase=True)
        self.assertEqual(self.unfinished(), [])

    def test_stopped(self) -> None:
        """A realm that stops begins no further deletions."""
        self.service.departures.stop()
        self.delete(self.budi, erase=True)
        self.assertEqual(self.texts(), [["1", "2"], ["1", "2", "3"]])
        self.assertEqual(len(self.unfinished()), 1)
