"""Reading that leaves messages out: what one sender wrote, and the newest messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any
from unittest import mock

import sqlalchemy as sa
from twisted.internet.defer import Deferred

from chatd.base.errors import UnknownRealm, UnknownUser
from chatd.base.model import Account
from chatd.base.names import UNFILTERED, Address, InboxFilter, Place
from chatd.base.read_marks import MAX_LEFT, ReadMark
from chatd.base.replies import UnreadCount
from chatd.service import reading as module
from chatd.store.history import Page
from chatd.store.schema import skipped
from tests.support.inline import outcome_of, result_of
from tests.support.query_plans import plans
from tests.unit.service.test_messages import BUDI, MessagesTestCase, texts

BAGAN = Place(group=Address("bagan"))
OWN = InboxFilter(own=True)
BY_ANA = InboxFilter(sender=Address("ana"))


class SkippedTestCase(MessagesTestCase):
    def by(self, reader: Account, sender: str) -> Page:
        only = InboxFilter(sender=Address(*sender.split("@")), own=True)
        page: Page = result_of(self.reading.inbox(reader, only, {}))
        return page

    def newest(self, reader: Account, place: Place | None = None) -> Page:
        page: Page = result_of(self.reading.newest(reader, place, {}))
        return page

    def confirm(self, reader: Account, page: Page) -> list[str | None]:
        result_of(self.reading.move_marks(reader, page.marks))
        return texts(page.messages)

    def rows(self) -> int:
        query = sa.select(sa.func.count()).select_from(skipped)
        return result_of(self.database.read(lambda connection: connection.scalar(query))) or 0

    def counts(self, reader: Account) -> list[tuple[str | None, int]]:
        found: Sequence[UnreadCount] = result_of(self.reading.unread(reader, {}))
        listed, _ = result_of(self.service.conversations.all(reader, {}))
        shown = {each.conversation: each.unread for each in listed}
        self.assertEqual({each.conversation: each.unread for each in found} | shown, shown)
        return [(each.user or each.group, each.unread) for each in found]


class BySender(SkippedTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.group(self.ana, self.budi, self.citra)
        self.send(self.ana, "budi", "a1")
        self.post(self.citra, "bagan", "c1")
        self.post(self.ana, "bagan", "a2")
        self.post(self.citra, "bagan", "c2")
        self.send(self.citra, "budi", "c3")

    def test_directs_and_groups(self) -> None:
        """What one person wrote, directly and in groups. What others wrote there stays unread."""
        page = self.by(self.budi, "ANA")
        self.assertEqual(self.confirm(self.budi, page), ["a1", "a2"])
        self.assertEqual(self.counts(self.budi), [("bagan", 2), ("citra", 1)])
        self.assertEqual(self.rows(), 1)
        self.assertEqual(texts(self.by(self.budi, "ana").messages), [])
        self.assertEqual(self.read(self.budi), ["c1", "c2", "c3"])
        self.assertEqual((self.inbox(self.budi), self.rows()), ([], 0))

    def test_skipped_by_sender(self) -> None:
        """A message that was skipped is given to a reader of its sender."""
        self.confirm(self.budi, self.by(self.budi, "ana"))
        self.post(self.ana, "bagan", "a3")
        self.assertEqual(self.confirm(self.budi, self.by(self.budi, "citra")), ["c1", "c2", "c3"])
        self.assertEqual(self.confirm(self.budi, self.by(self.budi, "ana")), ["a3"])
        self.assertEqual((self.inbox(self.budi), self.rows()), ([], 0))

    def test_unconfirmed(self) -> None:
        """Without a confirmation everything stays unread. For the same session it is given already."""
        page = self.by(self.budi, "ana")
        rest = result_of(self.reading.inbox(self.budi, UNFILTERED, page.marks))
        self.assertEqual(texts(rest.messages), ["c1", "c2", "c3"])
        counts = result_of(self.reading.unread(self.budi, page.marks))
        self.assertEqual([each.unread for each in counts], [2, 1])
        listed, _ = result_of(self.service.conversations.all(self.budi, page.marks))
        by_group = {each.name: (each.unread, each.read) for each in listed}
        self.assertEqual(by_group["bagan"], (2, 3))
        self.assertEqual(len(self.inbox(self.budi)), 5)

    def test_two_sessions(self) -> None:
        """What another session has read meanwhile does not become unread again."""
        page = self.by(self.budi, "ana")
        self.assertEqual(len(self.read(self.budi)), 5)
        self.confirm(self.budi, page)
        self.assertEqual((self.inbox(self.budi), self.rows()), ([], 0))

    def test_while_it_is_stored(self) -> None:
        """All connections see at once what was confirmed and what was left."""
        page = self.by(self.budi, "ana")
        self.database.held = True
        Deferred.fromCoroutine(self.reading.move_marks(self.budi, page.marks))
        Deferred.fromCoroutine(self.reading.move_marks(self.budi, {}))
        self.assertEqual(self.inbox(self.budi), ["c1", "c2", "c3"])
        self.database.held = False
        self.database.settle()
        self.assertEqual(self.inbox(self.budi), ["c1", "c2", "c3"])

    def test_mark_read(self) -> None:
        """Marking a conversation as read covers what was skipped."""
        page = self.by(self.budi, "ana")
        self.confirm(self.budi, page)
        conversation = page.messages[-1].conversation
        result_of(self.reading.mark_read(self.budi, conversation, 4))
        self.assertEqual((self.inbox(self.budi), self.rows()), (["c2", "c3"], 0))

    def test_former_members(self) -> None:
        """Who leaves a group, or is removed, has nothing unread of it, also after a return."""
        for leave in (self._leave, self._kick):
            self.post(self.citra, "bagan", "c")
            self.post(self.ana, "bagan", "a")
            page = self.by(self.budi, "ana")
            self.confirm(self.budi, page)
            self.assertGreater(self.rows(), 0)
            leave()
            self.assertEqual(self.rows(), 0)
            self.confirm(self.budi, page)
            result_of(self.service.groups.invite(self.ana, Address("bagan"), [Address("budi")]))
            self.confirm(self.budi, page)
            self.assertEqual((self.counts(self.budi), self.rows()), ([("citra", 1)], 0))

    def _leave(self) -> None:
        result_of(self.service.groups.leave(self.budi, Address("bagan")))

    def _kick(self) -> None:
        result_of(self.service.groups.kick(self.ana, Address("bagan"), Address("budi")))

    def test_end_of_a_group(self) -> None:
        self.confirm(self.budi, self.by(self.budi, "ana"))
        for who in (self.ana, self.citra, self.budi):
            result_of(self.service.groups.leave(who, Address("bagan")))
        self.assertEqual((self.counts(self.budi), self.rows()), ([("citra", 1)], 0))

    def test_too_many(self) -> None:
        """What would be too much to leave out is shown too."""
        for number in range(MAX_LEFT + 3):
            self.post(self.citra, "bagan", f"x{number}")
        self.post(self.ana, "bagan", "a4")
        page = self.by(self.budi, "ana")
        self.assertEqual(page.remaining, 0)
        shown = [f"x{number}" for number in range(MAX_LEFT - 2, MAX_LEFT + 3)]
        self.assertEqual(self.confirm(self.budi, page), ["a1", "a2", *shown, "a4"])
        self.assertEqual(self.rows(), MAX_LEFT)
        rest = self.read(self.budi)
        self.assertEqual(rest[:2], ["c1", "c2"])
        self.assertEqual(len(rest), MAX_LEFT + 1)

    def test_pages(self) -> None:
        """Every page makes progress, however much others have written."""
        for number in range(MAX_LEFT + 20):
            self.post(self.citra, "bagan", f"x{number}")
        for number in range(5):
            self.post(self.ana, "bagan", f"y{number}")
        seen: list[str | None] = []
        with mock.patch.object(module, "MAX_PAGE", 4):
            while (page := self.by(self.budi, "ana")).messages:
                self.assertLessEqual(len(page.messages), 4)
                seen += self.confirm(self.budi, page)
                theirs = [each for each in seen if each and each[0] in "ay"]
                self.assertEqual(page.remaining, 7 - len(theirs))
        self.assertEqual(theirs, ["a1", "a2", *(f"y{number}" for number in range(5))])
        self.assertEqual(len(seen), len(set(seen)))
        self.assertEqual(set(self.read(self.budi)) & set(seen), set())

    def test_many_conversations(self) -> None:
        """A page with much to leave out ends early. The next one goes on."""
        for name in ("g1", "g2", "g3"):
            self.group(self.ana, self.budi, self.citra, name=name)
            self.post(self.citra, name, "c")
            self.post(self.ana, name, name)
        seen: list[str | None] = []
        with mock.patch("chatd.store.unread.MAX_LOOKED_AT", 3):
            while (page := self.by(self.budi, "ana")).messages:
                seen += self.confirm(self.budi, page)
                self.assertEqual(page.remaining, 5 - len(seen))
        self.assertEqual(seen, ["a1", "a2", "g1", "g2", "g3"])

    def test_marks_of_other_conversations(self) -> None:
        """However many there are, they are written once as SQL, and not again for each conversation."""
        for name in ("g1", "g2", "g3"):
            self.group(self.ana, self.budi, name=name)
            self.post(self.ana, name, name)
        given = {conversation: ReadMark(1) for conversation in range(1000, 2000)}
        sizes: list[int] = []

        def count(_connection: Any, _cursor: Any, _text: Any, values: Any, *_more: Any) -> None:
            sizes.append(len(values))

        sa.event.listen(self.database._engine, "before_cursor_execute", count)
        page = result_of(self.reading.inbox(self.budi, BY_ANA, given))
        sa.event.remove(self.database._engine, "before_cursor_execute", count)
        self.assertEqual(texts(page.messages), ["a1", "a2", "g1", "g2", "g3"])
        self.assertEqual(len([size for size in sizes if size >= len(given)]), 1)

    def test_unknown(self) -> None:
        for sender, error in (("nobody", UnknownUser), ("ana@realm9", UnknownRealm)):
            address = Address(*sender.split("@"))
            inbox = self.reading.inbox(self.budi, InboxFilter(sender=address), {})
            self.assertIs(outcome_of(inbox), error)
        self.read(self.budi)
        self.assertEqual(self.inbox(self.budi), [])  # nothing unread is now remembered
        inbox = self.reading.inbox(self.budi, InboxFilter(sender=Address("nobody")), {})
        self.assertIs(outcome_of(inbox), UnknownUser)


class ToOneself(SkippedTestCase):
    def test_own(self) -> None:
        """Messages to oneself are unread only for those who ask for them. Others' copies are not there."""
        self.group(self.ana, self.budi)
        self.send(self.budi, "budi", "note")
        self.send(self.budi, "ana", "halo")
        self.post(self.budi, "bagan", "all")
        self.assertEqual((self.inbox(self.budi), self.counts(self.budi)), ([], []))
        for only in (OWN, InboxFilter(BUDI, own=True), InboxFilter(here=True, own=True)):
            page = result_of(self.reading.inbox(self.budi, only, {}))
            self.assertEqual(texts(page.messages), ["note"])
        self.assertEqual(texts(self.by(self.budi, "budi").messages), ["note"])
        self.confirm(self.budi, page)
        self.assertEqual(result_of(self.reading.inbox(self.budi, OWN, {})).messages, [])

    def test_quiet(self) -> None:
        """That nothing is unread is remembered for both ways of reading."""
        self.send(self.budi, "budi", "note")
        self.assertEqual(self.inbox(self.budi), [])
        page = result_of(self.reading.inbox(self.budi, OWN, {}))
        self.assertEqual(self.confirm(self.budi, page), ["note"])
        for only in (OWN, UNFILTERED):
            self.assertEqual(result_of(self.reading.inbox(self.budi, only, {})).messages, [])
        read = mock.Mock(side_effect=AssertionError)
        with mock.patch.object(self.database, "read", read):
            for only in (OWN, UNFILTERED, InboxFilter(here=True, own=True)):
                self.assertEqual(result_of(self.reading.inbox(self.budi, only, {})).messages, [])
        self.send(self.budi, "budi", "again")
        page = result_of(self.reading.inbox(self.budi, OWN, {}))
        self.assertEqual(texts(page.messages), ["again"])


class Newest(SkippedTestCase):
    def test_directs(self) -> None:
        """All direct messages that one has received, read or not, each time."""
        self.group(self.ana, self.budi)
        for who, to, text in (
            (self.ana, "budi", "1"),
            (self.budi, "ana", "mine"),
            (self.citra, "budi", "2"),
            (self.budi, "budi", "3"),
            (self.ana, "budi", "4"),
        ):
            self.send(who, to, text)
        self.post(self.ana, "bagan", "in bagan")
        for _ in range(2):
            page = self.newest(self.budi)
            self.assertEqual(self.confirm(self.budi, page), ["1", "2", "3", "4"])
        self.assertEqual(page.marks, {})
        self.assertEqual(self.read(self.budi), ["in bagan"])
        self.assertEqual(result_of(self.reading.inbox(self.budi, OWN, {})).messages, [])

    def test_one_place(self) -> None:
        """Of one conversation, what both sides wrote."""
        self.group(self.ana, self.budi)
        self.send(self.ana, "budi", "1")
        self.send(self.budi, "ana", "2")
        self.post(self.ana, "bagan", "3")
        self.post(self.budi, "bagan", "4")
        for _ in range(2):
            for place, expected in ((Place(user=Address("ana")), ["1", "2"]), (BAGAN, ["3", "4"])):
                self.assertEqual(self.confirm(self.budi, self.newest(self.budi, place)), expected)
        self.assertEqual(self.inbox(self.budi), [])
        self.assertEqual(self.newest(self.budi, Place(user=Address("citra"))).messages, [])

    def test_older_ones_stay_unread(self) -> None:
        """Unread messages that are not shown stay unread; if they are too many, the mark does not move."""
        for number in range(6):
            self.send(self.ana, "budi", str(number))
        self.send(self.citra, "budi", "c")
        for most, left in ((2, ["0", "1", "2", "3", "4", "5"]), (3, ["0", "1", "2"])):
            with (
                mock.patch.object(module, "MAX_PAGE", 4),
                mock.patch("chatd.store.newest.MAX_LEFT", most),
            ):
                self.assertEqual(
                    self.confirm(self.budi, self.newest(self.budi)), ["3", "4", "5", "c"]
                )
            self.assertEqual(self.inbox(self.budi), left)
        self.assertEqual(self.read(self.budi), ["0", "1", "2"])
        self.assertEqual(self.rows(), 0)

    def test_long_ones_are_fewer(self) -> None:
        """What is not shown stays unread. One message is always shown."""
        for number in range(4):
            self.send(self.ana, "budi", str(number) * 10)
        for room, shown in ((30, 3), (29, 2), (5, 1)):
            with mock.patch("chatd.store.newest.NEWEST_TEXT", room):
                page = self.newest(self.budi)
            self.assertEqual(texts(page.messages), [str(n) * 10 for n in range(4 - shown, 4)])
        self.confirm(self.budi, page)
        self.assertEqual(self.inbox(self.budi), ["0" * 10, "1" * 10, "2" * 10])


class QueryPlans(SkippedTestCase):
    def test_by_index(self) -> None:
        """However the inbox is read, no query reads messages that are read already."""
        self.group(self.ana, self.budi)
        for number in range(3):
            self.send(self.ana, "budi", str(number))
            self.post(self.ana, "bagan", str(number))
        given = {1: ReadMark(2, frozenset((1,))), 2: ReadMark(1)}
        scopes = (UNFILTERED, OWN, BY_ANA, InboxFilter(BAGAN), InboxFilter(here=True, direct=True))
        ways: list[Callable[[], object]] = [
            lambda: result_of(self.reading.newest(self.budi, None, {})),
            lambda: result_of(self.reading.newest(self.budi, BAGAN, {})),
        ]
        for marks in ({}, given):
            ways += [partial(self._read, scope, marks) for scope in scopes]
            ways.append(partial(self._count, marks))
        for way in ways:
            found = plans(self.database._engine, way, "messages", "each", "skipped")
            self.assertTrue(found)
            for plan in found:
                self.assertRegex(plan, r"^(SEARCH|MERGE|LIST|CORRELATED)")
                if "messages_by_conversation" in plan:
                    self.assertIn("(conversation_id=?", plan)

    def _read(self, scope: InboxFilter, given: Mapping[int, ReadMark]) -> None:
        result_of(self.reading.inbox(self.budi, scope, given))

    def _count(self, given: Mapping[int, ReadMark]) -> None:
        result_of(self.reading.unread(self.budi, given))
