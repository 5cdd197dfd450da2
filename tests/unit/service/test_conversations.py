"""The list of an account's conversations: its entries, their order, and the cost of the query."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from unittest import mock

from sqlalchemy import event, insert
from twisted.internet.defer import Deferred

from chatd.base.entries import Deletion
from chatd.base.model import Account, Receipt
from chatd.base.names import Address, InboxFilter, is_code
from chatd.base.read_marks import ReadMark
from chatd.base.replies import ConversationInfo, GroupInfo, UnreadCount
from chatd.commands import values as ask
from chatd.service import conversations as module
from chatd.store.schema import messages
from tests.support.common import Listener
from tests.support.engines import only_sqlite
from tests.support.inline import result_of
from tests.support.network import NetworkTestCase
from tests.support.query_plans import plans
from tests.unit.service.test_messages import MessagesTestCase


class ListTestCase(MessagesTestCase):
    def all(
        self, who: Account, given: Mapping[int, ReadMark] | None = None
    ) -> tuple[ConversationInfo, ...]:
        found: tuple[ConversationInfo, ...]
        found, self.more = result_of(self.service.conversations.all(who, given or {}))
        return found

    def where(self, who: Account) -> list[str]:
        """The names of the conversations, in order."""
        return [each.user or (each.group and each.group.group) or "" for each in self.all(who)]

    def say(self, who: Account, to: str, text: str) -> Receipt:
        """Send a message a second after the last one."""
        self.clock.advance(1)
        return self.send(who, to, text).receipts[0]

    def leave(self, who: Account, name: str) -> None:
        result_of(self.service.groups.leave(who, Address(name)))


class Entries(ListTestCase):
    def test_nothing_yet(self) -> None:
        self.assertEqual((self.all(self.ana), self.more), ((), 0))

    def test_direct(self) -> None:
        """A direct conversation has the other's display name and presence, the newest message, the read mark
        and the unread count."""
        result_of(self.service.accounts.change_profile(self.ana, "Ana Dewi", None))
        first = self.say(self.ana, "budi", "1")
        self.say(self.budi, "ana", "2")
        last = self.say(self.ana, "budi", "3")
        result_of(self.reading.mark_read(self.budi, first.conversation, 1))
        self.service.presence.arrive(self.ana.id, Listener())
        (found,) = self.all(self.budi)
        assert found.last is not None
        self.assertEqual((found.last.id, found.last.text, found.last.to), (last.id, "3", "Budi"))
        self.assertEqual((found.user, found.name, found.online), ("ana", "Ana Dewi", True))
        self.assertEqual((found.unread, found.read, found.seq), (1, 1, 3))
        (mine,) = self.all(self.ana)
        self.assertEqual((mine.user, mine.name, mine.online), ("Budi", "Budi", False))
        self.assertEqual((mine.conversation, mine.unread), (found.conversation, 1))

    def test_group(self) -> None:
        """A group has what the list of groups shows. A group without messages is listed too."""
        self.group(self.ana, self.budi, name="Bagan")
        (found,) = self.all(self.budi)
        assert found.group is not None
        expected = GroupInfo("Bagan", found.group.code, 2, False, member=True, admin=False)
        self.assertEqual((found.group, found.name, found.user), (expected, "Bagan", None))
        self.assertEqual((found.last, found.unread, found.read, found.seq), (None, 0, 2, 2))
        self.assertIsNone(found.online)
        self.assertTrue(is_code(found.group.code))
        result_of(self.service.groups.settings.set_closed(self.ana, Address("bagan"), closed=True))
        self.post(self.ana, "bagan", "halo")
        (mine,), (theirs,) = self.all(self.ana), self.all(self.budi)
        assert mine.group is not None
        assert mine.last is not None
        self.assertEqual((mine.group.admin, mine.group.closed), (True, True))
        self.assertEqual((mine.last.text, mine.last.group), ("halo", "Bagan"))
        self.assertEqual((mine.unread, theirs.unread), (0, 1))

    def test_later_member(self) -> None:
        """A new member sees the last message as read."""
        self.group(self.ana)
        self.post(self.ana, "bagan", "halo")
        result_of(self.service.groups.join(self.budi, Address("bagan")))
        (found,) = self.all(self.budi)
        assert found.last is not None
        self.assertEqual((found.last.text, found.unread, found.read), ("halo", 0, 3))

    def test_left_and_ended(self) -> None:
        """Groups that the account has left are not listed."""
        self.group(self.ana, self.budi)
        self.post(self.ana, "bagan", "halo")
        self.leave(self.ana, "bagan")
        self.assertEqual((self.where(self.ana), self.where(self.budi)), ([], ["bagan"]))
        self.leave(self.budi, "bagan")
        self.assertEqual(self.where(self.budi), [])

    def test_with_oneself(self) -> None:
        self.say(self.ana, "ana", "note")
        (found,) = self.all(self.ana)
        self.assertEqual((found.user, found.unread), ("ana", 0))

    def test_given_messages_count_as_read(self) -> None:
        """Messages that were handed out in this session count as read, as in `unread`. No mark moves."""
        one = self.say(self.ana, "budi", "1").conversation
        self.say(self.ana, "budi", "2")
        self.say(self.citra, "budi", "3")
        citras, anas = self.all(self.budi, {one: ReadMark(1)})
        self.assertEqual((anas.unread, anas.read, citras.unread), (1, 1, 1))
        _, anas = self.all(self.budi, {one: ReadMark(2)})
        self.assertEqual((anas.unread, anas.read), (0, 2))
        self.assertEqual(self.inbox(self.budi), ["1", "2", "3"])
        result_of(self.reading.mark_read(self.budi, one, 2))
        _, anas = self.all(self.budi, {one: ReadMark(1)})
        self.assertEqual((anas.unread, anas.read), (0, 2))


class Order(ListTestCase):
    def test_newest_activity_first(self) -> None:
        """Conversations are sorted by the newest message, or by the time of joining."""
        self.group(self.ana, self.budi)
        self.say(self.ana, "budi", "1")
        self.say(self.ana, "citra", "2")
        self.assertEqual(self.where(self.ana), ["citra", "Budi", "bagan"])
        self.say(self.budi, "ana", "3")
        self.assertEqual(self.where(self.ana), ["Budi", "citra", "bagan"])
        self.clock.advance(1)
        self.group(self.ana, name="nusantara")
        self.assertEqual(self.where(self.ana), ["nusantara", "Budi", "citra", "bagan"])
        self.clock.advance(1)
        self.post(self.budi, "bagan", "4")
        self.assertEqual(self.where(self.ana), ["bagan", "nusantara", "Budi", "citra"])
        self.assertEqual(self.more, 0)

    def test_within_a_moment(self) -> None:
        for to in ("budi", "citra", "budi"):
            self.send(self.ana, to, "x")
        self.assertEqual(self.where(self.ana), ["Budi", "citra"])

    def test_long_lists_are_cut(self) -> None:
        for to in ("budi", "citra", "ana"):
            self.say(self.ana, to, "x")
        with mock.patch.object(module, "MAX_PAGE", 2):
            self.assertEqual((self.where(self.ana), self.more), (["ana", "citra"], 1))
        with mock.patch.object(module, "MAX_PAGE", 3):
            self.assertEqual((len(self.all(self.ana)), self.more), (3, 0))


class Cost(ListTestCase):
    def statements(self, who: Account) -> int:
        seen: list[Any] = []
        engine = self.database._engine

        def note(*args: Any) -> None:
            seen.append(args[2])

        event.listen(engine, "before_cursor_execute", note)
        self.all(who)
        event.remove(engine, "before_cursor_execute", note)
        return sum(statement.startswith(("SELECT", "WITH")) for statement in seen)

    def test_not_a_query_for_each(self) -> None:
        self.say(self.budi, "ana", "x")
        self.group(self.ana, self.budi, name="group")
        self.post(self.budi, "group", "x")
        few = self.statements(self.ana)
        for name in ("dewi", "eka", "fajar"):
            self.say(self.account(name), "ana", "x")
            self.group(self.ana, self.budi, name=f"group-{name}")
            self.post(self.budi, f"group-{name}", "x")
        self.assertEqual(len(self.all(self.ana)), 8)
        self.assertEqual(self.statements(self.ana), few)

    @only_sqlite("the plans")
    def test_long_backlog(self) -> None:
        """It is counted to its end, from an index alone."""
        conversation = self.say(self.ana, "budi", "1").conversation
        with self.database._engine.begin() as connection:
            connection.execute(
                insert(messages),
                [
                    {
                        "conversation_id": conversation,
                        "seq": seq,
                        "sender_id": self.ana.id,
                        "sender": "ana",
                        "at": seq,
                        "text": "x",
                    }
                    for seq in range(2, 3001)
                ],
            )

        def count() -> None:
            (found,) = self.all(self.budi)
            self.assertEqual((found.unread, found.first_unread, found.seq), (3000, 1, 3000))

        steps = plans(self.database._engine, count, "messages")
        # The newest message is read as a row; all others are not.
        self.assertEqual([each for each in steps if "SCAN messages" in each], [])
        self.assertTrue(any("COVERING INDEX messages_by_conversation" in each for each in steps))

    def test_deleted_messages_are_not_unread(self) -> None:
        """Neither those after the mark, nor those that a mark has left out."""
        for text in "abcdef":
            conversation = self.say(self.ana, "budi", text).conversation
        mark = ReadMark(4, frozenset((2, 3)))
        result_of(self.reading.move_marks(self.budi, {conversation: mark}))
        (found,) = self.all(self.budi)
        self.assertEqual((found.unread, found.first_unread), (4, 2))
        for seq, unread, first in ((2, 3, 3), (5, 2, 3), (3, 1, 6), (6, 0, None)):
            delete = self.service.changes.change(self.ana, conversation, seq, Deletion(), None)
            result_of(delete)
            (found,) = self.all(self.budi)
            self.assertEqual((found.unread, found.first_unread), (unread, first), seq)
            counts = result_of(self.reading.unread(self.budi, {}))
            expected = [UnreadCount(conversation, unread, "ana", None, first)] if unread else []
            self.assertEqual(list(counts), expected)
            scope = InboxFilter()
            inbox = result_of(self.reading.inbox(self.budi, scope, {})).messages
            self.assertEqual(len(inbox), unread)

    def test_mark_before_it_is_stored(self) -> None:
        """A read mark counts at once, before it is on disk."""
        one = self.say(self.ana, "budi", "1").conversation
        self.database.held = True
        moving = Deferred.fromCoroutine(self.reading.move_marks(self.budi, {one: ReadMark(1)}))
        (found,) = self.all(self.budi)
        self.assertEqual((found.unread, found.read), (0, 1))
        self.database.held = False
        self.database.settle()
        result_of(moving)


class FakeRealms(NetworkTestCase):
    def test_people_and_groups_of_other_realms(self) -> None:
        """They are shown by their addresses. Their realm has told who is online."""
        one, two = self.network.pair()
        ana, budi = one.person("ana"), two.person("budi")
        ana.creates("bagan")
        budi.joins("bagan@realm1")
        ana.sends("budi@realm2", "halo")
        self.network.advance(1)
        ana.posts("bagan", "halo semua")
        self.network.settle()
        group, direct = budi.does(ask.ListConversations()).items
        self.assertEqual((direct.user, direct.name), ("ana@realm1", "ana@realm1"))
        self.assertEqual((direct.online, direct.unread, direct.last.text), (True, 1, "halo"))
        self.assertEqual((group.group.group, group.name), ("bagan@realm1", "bagan@realm1"))
        self.assertEqual((group.group.code, group.group.members), ("", 1))
        self.assertEqual((group.unread, group.last.text), (1, "halo semua"))
        (bagan, _) = ana.does(ask.ListConversations()).items
        self.assertEqual(bagan.group.members, 2)
