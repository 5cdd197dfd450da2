"""Deletions of messages in a group elsewhere, by people who may not: what was asked before them stays."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from chatd.base.errors import NotYours
from chatd.base.names import Place, parse_address
from chatd.commands import values as ask
from tests.support.common import make_operator
from tests.support.network import LinkedTestCase, outcome

PLACE = Place(group=parse_address("bagan@realm1"))


class RefusedDeletionTestCase(LinkedTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.ana.creates("bagan")
        self.budi.joins("bagan@realm1")
        self.citra.joins("bagan@realm1")
        self.budi.posts("bagan@realm1", "satu")
        self.network.settle()
        self.message = self.budi.does(ask.ShowHistory(PLACE, 10)).items[-1]
        self.part()

    def seen(self) -> list[tuple[str | None, tuple[str, ...]]]:
        """The text and the emojis of the message, for budi and for the home."""
        self.meet()
        self.network.advance(60)
        home = Place(group=parse_address("bagan"))
        found = [
            person.does(ask.ShowHistory(place, 10)).items[-1]
            for person, place in ((self.budi, PLACE), (self.ana, home))
        ]
        return [(each.text, tuple(one.emoji for one in each.reactions)) for each in found]

    def test_waiting_changes(self) -> None:
        """An edit and a reaction that wait for the link are delivered, although somebody who may not has
        asked to delete the message since."""
        seq = self.message.seq
        self.budi.does(ask.EditMessage(PLACE, seq, "dua"))
        self.citra.does(ask.ReactToMessage(PLACE, seq, "👍", True))
        waits = self.citra.does(ask.DeleteMessage(PLACE, seq))
        self.assertIn("makes the change once it is linked", waits.message)
        self.assertEqual(self.seen(), [("dua", ("👍",))] * 2)
        notices = [each for each in self.citra.reads() if each.startswith("system")]
        self.assertEqual(len(notices), 1)
        self.assertIn("Your deletion of a message in the group bagan@realm1", notices[0])
        self.assertIn("is not yours", notices[0])

    def test_own(self) -> None:
        """What the author deletes is not sent any more; a reaction is not refused because of that."""
        seq = self.message.seq
        self.budi.does(ask.EditMessage(PLACE, seq, "rahasia"))
        self.citra.does(ask.ReactToMessage(PLACE, seq, "👍", True))
        self.budi.does(ask.DeleteMessage(PLACE, seq))
        self.assertEqual(self.seen(), [(None, ())] * 2)
        self.assertEqual([each for each in self.citra.reads() if each.startswith("system")], [])
        self.one.close()
        files = [each for each in self.one.config.state.rglob("*") if each.is_file()]
        self.assertFalse([each for each in files if b"rahasia" in each.read_bytes()])

    def test_by_a_moderator(self) -> None:
        """A moderator of realm2 has no right in a group of realm1, and is told so."""
        self.meet()
        self.appoint_citra()
        self.citra.does(ask.ReportMessage(PLACE, self.message.seq, "spam"))
        deleted = outcome(self.citra.begins(ask.DeleteMessage(PLACE, self.message.seq)))
        self.network.settle()
        (refused,) = deleted
        self.assertIsInstance(getattr(refused, "value", refused), NotYours)
        self.assertEqual(self.audited(), ["not-yours"])
        self.assertEqual(self.seen(), [("satu", ())] * 2)

    def appoint_citra(self) -> None:
        """Make citra an operator of their realm, who logs in again."""
        self.network.result(Deferred.fromCoroutine(make_operator(self.two.realm, "citra")))
        self.citra.leaves()
        find = self.two.realm.service.accounts.find("citra")
        self.citra.account = self.network.result(Deferred.fromCoroutine(find))

    def audited(self) -> list[str]:
        """The outcomes of what citra has deleted as a moderator."""
        found, _ = self.network.result(
            Deferred.fromCoroutine(self.two.realm.service.audit.list(10, None))
        )
        seq = self.message.seq
        about = "citra", "delete", "bagan@realm1", f"seq={seq}"
        acts = [each for each in found if each.act == "delete"]
        for each in acts:
            self.assertEqual((each.actor, each.act, each.target, each.detail), about)
        return [each.outcome for each in acts]

    def test_audited(self) -> None:
        """The audit log of a moderator's realm has what they ask the home to delete of others: that it has
        begun while the home is away, and that it is done once the home, where they are an admin, has made
        it."""
        self.appoint_citra()
        waits = self.citra.does(ask.DeleteMessage(PLACE, self.message.seq))
        self.assertIn("once it is linked", waits.message)
        self.assertEqual(self.audited(), ["begun"])
        self.assertEqual(self.seen(), [("satu", ())] * 2)
        bagan = parse_address("bagan")
        self.ana.does(ask.PromoteMember(bagan, parse_address("citra@realm2")))
        self.network.settle()
        self.citra.does(ask.DeleteMessage(PLACE, self.message.seq))
        self.assertEqual(self.audited(), ["done", "begun"])
        self.assertEqual(self.seen(), [(None, ())] * 2)
