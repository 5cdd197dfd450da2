"""Reports of messages: who may report what, and what the moderators read."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from chatd.base.entries import Deletion, Edit, MessageChange, Pin
from chatd.base.errors import (
    StorageFailed,
    TooManyReports,
    UnknownConversation,
    UnknownMessage,
    UnknownReport,
)
from chatd.base.events import Deleted
from chatd.base.model import Account
from chatd.base.names import Address, Place
from chatd.base.principals import Principal
from chatd.service import moderation_audit
from chatd.service.audit import Act
from chatd.service.message_changes import ChangeReceipt
from chatd.store import reports as store
from tests.support.inline import outcome_of, result_of
from tests.unit.service.test_messages import MessagesTestCase


class ReportsTest(MessagesTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.reports = self.service.reports
        self.citra = result_of(self.service.operators.appoint(self.citra))
        self.here = self.send(self.ana, "budi", "1").receipts[0].conversation

    def report(self, who: Account, seq: int, reason: str = "spam") -> None:
        result_of(self.reports.add(who, self.here, seq, reason))

    def act(self) -> Act:
        """An act of the moderator."""
        actor = Principal(self.citra.name, self.citra.role)
        return self.service.audit.act(actor, "closereport", None, "")

    def queue(self) -> list[tuple[str, str, str | None]]:
        found, more = result_of(self.reports.all())
        self.assertEqual(more, 0)
        return [(each.by, each.reason, each.message and each.message.text) for each in found]

    def test_read_and_closed(self) -> None:
        """A moderator reads the message, who reports it and why, without being in the conversation. A second
        report replaces the reason."""
        self.report(self.budi, 1)
        self.report(self.budi, 1, "insult")
        self.report(self.ana, 1)
        self.assertEqual(self.queue(), [("Budi", "insult", "1"), ("ana", "spam", "1")])
        found, _ = result_of(self.reports.all())
        result_of(self.reports.close(self.act(), found[0].report))
        self.assertEqual(self.queue(), [("ana", "spam", "1")])
        self.assertIs(outcome_of(self.reports.close(self.act(), 77)), UnknownReport)

    def test_ids_are_not_used_again(self) -> None:
        """A moderator who closes a report late does not close another one."""
        self.report(self.budi, 1)
        (first,), _ = result_of(self.reports.all())
        result_of(self.reports.close(self.act(), first.report))
        self.report(self.ana, 1)
        self.assertIs(outcome_of(self.reports.close(self.act(), first.report)), UnknownReport)
        self.assertEqual(self.queue(), [("ana", "spam", "1")])

    def test_what_is_gone(self) -> None:
        """A report outlives the membership of its author, and loses the content of a deleted message."""
        group = self.group(self.budi, self.ana)
        seq = self.post(self.budi, "bagan", "2").receipts[0].seq
        result_of(self.reports.add(self.ana, group, seq, "spam"))
        result_of(self.service.groups.leave(self.ana, Address("bagan"), None))
        self.assertEqual(self.queue(), [("ana", "spam", "2")])
        result_of(self.service.changes.change(self.budi, group, seq, Deletion(), None))
        self.assertEqual(self.queue(), [("ana", "spam", None)])

    def deleting(self, conversation: int, seq: int) -> Deferred[ChangeReceipt]:
        changing = self.service.changes.change(self.citra, conversation, seq, Deletion(), None)
        return Deferred.fromCoroutine(changing)

    def test_deleted_by_a_moderator(self) -> None:
        """A moderator deletes a message while a report of it is open, and no other one of that conversation.
        Those who take part are told."""
        self.send(self.ana, "budi", "2")
        listening = self.listen(self.budi)
        self.service.presence.listen(self.budi.id, listening, on=True, all_events=True)
        self.assertIs(outcome_of(self.deleting(self.here, 1)), UnknownConversation)
        self.report(self.budi, 1)
        self.assertIs(outcome_of(self.deleting(self.here, 2)), UnknownConversation)
        result_of(self.deleting(self.here, 1))
        self.service.presence.flush()
        (deleted,) = [each for each in listening.heard if isinstance(each, Deleted)]
        self.assertEqual((deleted.target, deleted.by), (1, "citra"))

    def audited(self) -> list[tuple[str, str, str | None, str, str]]:
        found, _ = result_of(self.service.audit.list(10, None))
        return [
            (each.actor, each.act, each.target, each.detail, each.outcome)
            for each in reversed(found)
            if each.act == "delete"
        ]

    def test_audited_and_closed(self) -> None:
        """The audit log has that a moderator has deleted a message of somebody else, and its reports are
        closed at once. What moderators delete of their own, or users delete, is nobody's business."""
        self.report(self.budi, 1)
        self.report(self.ana, 1)
        result_of(self.deleting(self.here, 1))
        self.assertEqual(self.queue(), [])
        deleted = ("citra", "delete", str(self.here), "seq=1", "done")
        self.assertEqual(self.audited(), [deleted])
        group = self.group(self.citra, self.ana)
        own = self.post(self.citra, "bagan", "2").receipts[0].seq
        other, last = (self.post(self.ana, "bagan", text).receipts[0].seq for text in "34")
        result_of(self.reports.add(self.ana, group, own, "spam"))
        result_of(self.deleting(group, own))
        self.assertEqual(self.queue(), [("ana", "spam", None)])
        result_of(self.service.changes.change(self.ana, group, last, Deletion(), None))
        self.assertEqual(self.audited(), [deleted])
        result_of(self.deleting(group, other))
        result_of(self.deleting(group, other))  # is no change
        again = ("citra", "delete", "bagan", f"seq={other}", "done")
        self.assertEqual(self.audited(), [deleted, again])

    def test_failing_with_the_log(self) -> None:
        """If the disk is full, a message is neither deleted nor is its report closed."""
        self.report(self.budi, 1)

        def fail(*_about: object) -> None:
            raise StorageFailed

        self.patch(moderation_audit, "add_entry", fail)
        self.assertIs(outcome_of(self.deleting(self.here, 1)), StorageFailed)
        self.assertEqual(self.queue(), [("Budi", "spam", "1")])

    def test_a_moderator_changes_nothing_else(self) -> None:
        self.report(self.budi, 1)
        dewi = self.account("dewi")
        change = self.service.changes.change
        asked: list[tuple[Account, MessageChange]] = [
            (self.citra, Edit("x")),
            (self.citra, Pin()),
            (dewi, Deletion()),
        ]
        for who, what in asked:
            refused = outcome_of(change(who, self.here, 1, what, None))
            self.assertIs(refused, UnknownConversation)

    def test_deleted_in_a_group(self) -> None:
        """The same for a group, also after its last member has left and its name belongs to another."""
        group = self.group(self.budi, self.ana)
        for text in "23":
            seq = self.post(self.budi, "bagan", text).receipts[0].seq
            result_of(self.reports.add(self.ana, group, seq, "spam"))
        result_of(self.deleting(group, seq - 1))
        for who in (self.ana, self.budi):
            result_of(self.service.groups.leave(who, Address("bagan"), None))
        self.group(self.ana)  # another one of that name
        result_of(self.deleting(group, seq))
        self.assertEqual(self.queue(), [])

    def test_refusals(self) -> None:
        add = self.reports.add
        for who, place, seq, error in (
            (self.budi, self.here, 2, UnknownMessage),
            (self.budi, Place(user=Address("citra")), 1, UnknownMessage),
            (self.citra, self.here, 1, UnknownConversation),
        ):
            self.assertIs(outcome_of(add(who, place, seq, "x")), error)

    def test_limits(self) -> None:
        """The number of open reports is limited for each account, and for all together."""
        self.send(self.ana, "budi", "2")
        self.report(self.budi, 1)
        for name in ("MAX_OWN_REPORTS", "MAX_REPORTS"):
            with self.subTest(name):
                patched = self.patch(store, name, 1)
                self.assertIs(
                    outcome_of(self.reports.add(self.budi, self.here, 2, "x")), TooManyReports
                )
                patched.restore()

    def test_room_for_others(self) -> None:
        """Accounts with many reports do not fill the queue for those with fewer, nor hide theirs."""
        self.patch(store, "MAX_REPORTS", 3)
        for text in "23":
            self.send(self.ana, "budi", text)
        for seq in (1, 2, 3):
            self.report(self.budi, seq, str(seq))
        self.report(self.ana, 1)
        self.assertEqual(
            [(by, why) for by, why, _ in self.queue()],
            [("Budi", "1"), ("ana", "spam"), ("Budi", "2")],
        )
        self.assertIs(outcome_of(self.reports.add(self.ana, self.here, 2, "x")), TooManyReports)
        self.assertIs(outcome_of(self.reports.add(self.budi, self.here, 3, "x")), TooManyReports)
