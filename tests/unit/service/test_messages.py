"""Messages to people and groups: order, numbering, durability, and read marks."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text as sql
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.errors import (
    AmbiguousName,
    ChatError,
    MessageTooLong,
    NotMember,
    StorageFailed,
    UnknownConversation,
    UnknownGroup,
    UnknownRealm,
    UnknownUser,
)
from chatd.base.model import Account, Message, Receipt, Sent
from chatd.base.names import UNFILTERED, Address, InboxFilter, Place, parse_place
from chatd.base.read_marks import ReadMark
from chatd.base.replies import UnreadCount
from chatd.service import reading as module
from chatd.service.messages import Messages
from chatd.service.presence import IListener
from chatd.service.reading import Reading
from chatd.store.history import Page
from chatd.store.unread import marks_of
from chatd.store.windows import Window
from tests.support.common import Listener, RealmTestCase, same_bytes
from tests.support.engines import only_sqlite
from tests.support.inline import InlineDatabase, open_inline, outcome_of, result_of


class Reader(Listener):
    @property
    def texts(self) -> list[str | None]:
        return [event.text for event in self.heard if isinstance(event, Message)]


class MessagesTestCase(SynchronousTestCase):
    """A service on a real database, in which things happen in the order that the test sets."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_000_000.0)
        self.folder = Path(self.mktemp())
        self.folder.mkdir(parents=True)
        self.database: InlineDatabase
        self.random_bytes = same_bytes()
        self.open()
        self.addCleanup(lambda: self.database.stop())
        self.ana, self.budi, self.citra = (self.account(name) for name in ("ana", "Budi", "citra"))

    def open(self) -> None:
        self.service, self.database = open_inline(self.folder, self.clock, self.random_bytes)
        self.messages: Messages = self.service.messages
        self.reading: Reading = self.service.reading

    def reopen(self) -> None:
        self.database.stop()
        self.open()

    def account(self, name: str) -> Account:
        login = result_of(self.service.accounts.register(name, "surabaya", None, None))
        account: Account = login.account
        return account

    def listen(self, who: Account) -> Reader:
        """A connection of `who` that gets messages from now on."""
        self.service.presence.flush()
        listener = Reader()
        self.service.presence.arrive(who.id, listener)
        self.service.presence.listen(who.id, listener, on=True)
        return listener

    def sending(
        self, who: Account, to: str, text: str, origin: IListener | None = None
    ) -> Deferred[Sent]:
        addresses = [Address(*each.split("@")) for each in to.split(",")]
        return self.messages.send(who, addresses, text, origin)

    def send(self, who: Account, to: str, text: str) -> Sent:
        sent: Sent = result_of(self.sending(who, to, text))
        return sent

    def post(self, who: Account, group: str, text: str) -> Sent:
        sent: Sent = result_of(self.messages.post(who, Address(group), text, None))
        return sent

    def page(self, who: Account, place: Place | None = None) -> Page:
        scope = UNFILTERED if place is None else InboxFilter(place)
        page: Page = result_of(self.reading.inbox(who, scope, {}))
        return page

    def inbox(self, who: Account, place: Place | None = None) -> list[str | None]:
        return texts(self.page(who, place).messages)

    def read(self, who: Account) -> list[str | None]:
        """Read the inbox, and confirm that it arrived."""
        messages = self.page(who).messages
        result_of(self.reading.move_marks(who, marks_of(messages)))
        return texts(messages)

    def history(self, who: Account, place: Place, count: int = 500) -> list[str | None]:
        return texts(result_of(self.reading.history(who, place, count)).messages)

    def group(self, *members: Account, name: str = "bagan") -> int:
        group = result_of(self.service.groups.create(members[0], name))
        for member in members[1:]:
            result_of(self.service.groups.join(member, Address(name)))
        ident: int = group.id
        return ident


def texts(messages: Sequence[Message]) -> list[str | None]:
    return [message.text for message in messages]


ANA, BUDI = Place(user=Address("ana")), Place(user=Address("budi"))


class Direct(MessagesTestCase):
    def test_arrives_whole(self) -> None:
        """Both sides see the message's sender, recipient, time and text."""
        sent = self.send(self.ana, "budi", "halo\tsemua 💚")
        (message,) = self.page(self.budi).messages
        receipt = Receipt(message.conversation, 1, message.id, "Budi", at=1_000_000_000)
        self.assertEqual(sent, Sent((receipt,)))
        expected = Message(
            message.id,
            message.conversation,
            1,
            1_000_000_000,
            "ana",
            "Budi",
            None,
            "halo\tsemua 💚",
        )
        self.assertEqual(message, expected)
        (own,) = result_of(self.reading.history(self.ana, BUDI, 5)).messages
        self.assertEqual(own, expected)

    def test_one_conversation_for_both(self) -> None:
        """Two people have one conversation, numbered 1, 2, 3, no matter who writes first."""
        receipts = [
            self.send(who, to, "x").receipts[0]
            for who, to in ((self.ana, "budi"), (self.budi, "ANA"), (self.ana, "Budi@realm1"))
        ]
        self.assertEqual([each.seq for each in receipts], [1, 2, 3])
        self.assertEqual(len({each.conversation for each in receipts}), 1)

    def test_numbering_goes_on_after_a_restart(self) -> None:
        self.send(self.ana, "budi", "one")
        self.reopen()
        self.assertEqual(self.send(self.budi, "ana", "two").receipts[0].seq, 2)

    def test_list(self) -> None:
        """A list gets the message as a direct message for each recipient, once."""
        sent = self.send(self.ana, "budi,citra,BUDI,budi@realm1", "halo")
        self.assertEqual([each.to for each in sent.receipts], ["Budi", "citra"])
        self.assertEqual(sent.refused, {})
        self.assertEqual(len({each.conversation for each in sent.receipts}), 2)
        for who in (self.budi, self.citra):
            self.assertEqual(self.read(who), ["halo"])
        self.send(self.budi, "ana", "only for ana")
        self.assertEqual(self.inbox(self.citra), [])

    def test_list_with_unknown_names(self) -> None:
        """Known recipients get the message, and unknown ones are reported."""
        sent = self.send(self.ana, "nobody,budi,x@realm2", "halo")
        self.assertEqual([each.to for each in sent.receipts], ["Budi"])
        self.assertEqual(
            [(name, type(error)) for name, error in sent.refused.items()],
            [("nobody", UnknownUser), ("x@realm2", UnknownRealm)],
        )
        self.assertEqual(self.inbox(self.budi), ["halo"])

    def test_no_known_recipient(self) -> None:
        for to, error in (
            ("nobody", UnknownUser),
            ("budi@realm2", UnknownRealm),
            ("x,y", UnknownUser),
            ("x,y@realm2", UnknownUser),
            ("x@realm2,y@realm2", UnknownRealm),
        ):
            self.assertIs(outcome_of(self.sending(self.ana, to, "halo")), error, to)
        with self.assertRaises(UnknownUser) as caught:
            self.send(self.ana, "x,y", "halo")
        self.assertEqual(caught.exception.details["name"], "x, y")
        with self.assertRaises(UnknownUser) as caught:
            self.send(self.ana, "x,y@realm2,z", "halo")
        self.assertEqual(caught.exception.details["name"], "x, y@realm2, z")
        with self.assertRaises(UnknownRealm) as caught_realm:
            self.send(self.ana, "x@realm2,y@realm3,z@realm2", "halo")
        self.assertEqual(caught_realm.exception.details["realm"], "realm2, realm3")

    def test_to_oneself(self) -> None:
        """One may write to oneself; it is in the history and, being one's own, never unread."""
        self.assertEqual(self.send(self.ana, "ana", "note").receipts[0].seq, 1)
        self.assertEqual(self.send(self.ana, "ANA", "more").receipts[0].seq, 2)
        self.assertEqual(self.history(self.ana, ANA), ["note", "more"])
        self.assertEqual(self.inbox(self.ana), [])
        self.assertEqual(self.history(self.budi, ANA), [])

    def test_too_long(self) -> None:
        """The limit of 8 KiB counts bytes, not characters."""
        self.messages.check_text("x" * 8192)
        self.messages.check_text("é" * 4096)
        for text in ("x" * 8193, "é" * 4097, "💚" * 2049):
            with self.assertRaises(MessageTooLong) as caught:
                self.messages.check_text(text)
            self.assertEqual(caught.exception.details["size"], len(text.encode()))

    def test_conversations_of_others_are_private(self) -> None:
        """Nobody can read a conversation of two others."""
        self.send(self.ana, "budi", "rahasia")
        for place in (None, ANA, BUDI):
            self.assertEqual(self.inbox(self.citra, place), [])
        self.assertEqual(self.history(self.citra, ANA), [])
        self.assertEqual(texts(result_of(self.reading.search(self.citra, "rahasia")).messages), [])


class Order(MessagesTestCase):
    def test_what_was_sent_first_arrives_first(self) -> None:
        """The order is kept even if the first send needs a lookup and the second does not."""
        self.send(self.ana, "budi", "zero")
        self.reopen()
        self.database.held = True
        waiting = [self.sending(self.ana, "budi", str(n)) for n in range(3)]
        while not all(each.called for each in waiting):
            self.database.settle()
        self.assertEqual(self.history(self.budi, ANA), ["zero", "0", "1", "2"])

    def test_lists_and_single_ones(self) -> None:
        self.database.held = True
        waiting = [
            self.sending(self.ana, "budi,citra", "0"),
            self.sending(self.ana, "citra", "1"),
            self.sending(self.ana, "nobody,citra", "2"),
            self.sending(self.ana, "citra", "3"),
        ]
        while not all(each.called for each in waiting):
            self.database.settle(1)
        self.assertEqual(self.history(self.citra, ANA), ["0", "1", "2", "3"])

    def test_to_a_person_or_a_group(self) -> None:
        """Sends that look up what a name means keep their order, also with those to people."""
        self.group(self.ana, self.budi)
        self.reopen()
        self.database.held = True
        either = self.messages.send_to_either
        bagan, budi = Address("bagan"), Address("budi")
        waiting = [
            either(self.ana, bagan, "0", None),
            either(self.ana, bagan, "1", None),
            either(self.ana, budi, "2", None),
            self.sending(self.ana, "budi", "3"),
            either(self.ana, bagan, "4", None),
            either(self.ana, budi, "5", None),
        ]
        while not all(each.called for each in waiting):
            self.database.settle(1)
        self.database.held = False
        self.assertEqual(self.history(self.budi, ANA), ["2", "3", "5"])
        self.assertEqual(self.history(self.budi, Place(group=bagan)), ["0", "1", "4"])
        for name, who, error in (
            ("nobody", self.ana, UnknownGroup),
            ("bagan", self.citra, NotMember),
        ):
            self.assertIs(outcome_of(either(who, Address(name), "x", None)), error)
        self.assertEqual(len(self.messages.turns.active), 0)

    def test_group_that_somebody_else_looked_up(self) -> None:
        """Posts to a group keep their order even if someone else's request loads the group in between."""
        self.group(self.ana, self.budi)
        self.reopen()
        self.database.held = True
        asked = Deferred.fromCoroutine(self.service.groups._rosters.find(Address("bagan")))
        first = self.messages.post(self.ana, Address("bagan"), "first", None)
        self.database.settle(1)
        result_of(asked)
        second = self.messages.post(self.ana, Address("bagan"), "second", None)
        while not (first.called and second.called):
            self.database.settle()
        self.database.held = False
        self.assertEqual(self.inbox(self.budi), ["first", "second"])

    def test_failed_sends_do_not_block_later_ones(self) -> None:
        """A send after a failed one goes through."""
        self.assertIs(outcome_of(self.sending(self.ana, "nobody", "x")), UnknownUser)
        self.assertIs(
            outcome_of(self.messages.post(self.ana, Address("nowhere"), "x", None)), UnknownGroup
        )
        self.send(self.ana, "budi", "halo")
        self.assertEqual(self.inbox(self.budi), ["halo"])
        self.assertEqual(len(self.messages.turns.active), 0)

    def test_known_names_need_no_lookup(self) -> None:
        """A second message between the same two is one row, without any query."""
        self.send(self.ana, "budi", "one")
        with mock.patch.object(InlineDatabase, "run", side_effect=AssertionError):
            self.send(self.ana, "BUDI", "two")
        self.assertEqual(self.inbox(self.budi), ["one", "two"])


class InboxTest(MessagesTestCase):
    def test_unread_until_confirmed(self) -> None:
        """Messages stay unread until the marks move, and are then not returned again."""
        self.send(self.ana, "budi", "one")
        self.send(self.ana, "budi", "two")
        for _ in range(2):
            self.assertEqual(self.inbox(self.budi), ["one", "two"])
        self.assertEqual(self.read(self.budi), ["one", "two"])
        self.assertEqual(self.inbox(self.budi), [])
        self.send(self.ana, "budi", "three")
        self.reopen()
        self.assertEqual(self.inbox(self.budi), ["three"])

    def test_given_messages_are_left_out(self) -> None:
        """Messages that the session has been given are left out, although the marks have not moved."""
        self.send(self.ana, "budi", "one")
        self.send(self.citra, "budi", "two")
        first = self.page(self.budi).messages
        self.send(self.ana, "budi", "three")
        again = result_of(self.reading.inbox(self.budi, UNFILTERED, marks_of(first)))
        self.assertEqual(texts(again.messages), ["three"])
        part = result_of(self.reading.inbox(self.budi, UNFILTERED, marks_of(first[:1])))
        self.assertEqual(texts(part.messages), ["two", "three"])

    def test_own_are_not_unread(self) -> None:
        self.send(self.ana, "budi", "one")
        self.send(self.budi, "ana", "two")
        self.assertEqual(self.inbox(self.budi), ["one"])
        self.assertEqual(self.inbox(self.ana), ["two"])

    def test_oldest_first(self) -> None:
        """All conversations together, in the order in which messages were stored."""
        self.group(self.ana, self.budi)
        self.send(self.ana, "budi", "1")
        self.post(self.ana, "bagan", "2")
        self.send(self.citra, "budi", "3")
        self.send(self.ana, "budi", "4")
        self.assertEqual(self.inbox(self.budi), ["1", "2", "3", "4"])

    def test_one_place(self) -> None:
        """Only the messages of one sender or group; the rest stays unread."""
        self.group(self.ana, self.budi)
        self.send(self.ana, "budi", "from ana")
        self.post(self.ana, "bagan", "in bagan")
        self.send(self.citra, "budi", "from citra")
        for place, expected in (
            (ANA, ["from ana"]),
            (Place(user=Address("ana", "REALM1")), ["from ana"]),
            (Place(group=Address("BAGAN")), ["in bagan"]),
        ):
            self.assertEqual(self.inbox(self.budi, place), expected)
        messages = self.page(self.budi, ANA).messages
        result_of(self.reading.move_marks(self.budi, marks_of(messages)))
        self.assertEqual(self.inbox(self.budi), ["in bagan", "from citra"])

    def test_place_of_this_realm(self) -> None:
        """The realm's own name may follow a group's name."""
        self.group(self.ana, self.budi)
        place = Place(user=Address("bagan", "realm1"), group=Address("BAGAN", "Realm1"))
        result_of(self.messages.post(self.ana, Address("bagan", "realm1"), "halo", None))
        self.assertEqual(self.inbox(self.budi, place), ["halo"])
        self.assertEqual(self.history(self.budi, place), ["halo"])

    def test_parts(self) -> None:
        """Messages from this realm, direct ones, or both. There are none from another realm."""
        self.group(self.ana, self.budi)
        self.send(self.ana, "budi", "direct")
        self.post(self.ana, "bagan", "in bagan")
        for scope, expected in (
            (InboxFilter(here=True), ["direct", "in bagan"]),
            (InboxFilter(direct=True), ["direct"]),
            (InboxFilter(here=True, direct=True), ["direct"]),
            (InboxFilter(realm="realm2"), []),
            (InboxFilter(), ["direct", "in bagan"]),
        ):
            page = result_of(self.reading.inbox(self.budi, scope, {}))
            self.assertEqual(texts(page.messages), expected, scope)

    def test_empty_part_is_not_an_empty_inbox(self) -> None:
        """If one part of the inbox is empty, the rest is still returned."""
        self.send(self.ana, "budi", "halo")
        for scope in (InboxFilter(realm="realm2"), InboxFilter(Place(group=Address("bagan")))):
            outcome_of(self.reading.inbox(self.budi, scope, {}))
        self.assertEqual(self.inbox(self.budi), ["halo"])

    def test_group_sender_and_place(self) -> None:
        self.group(self.ana, self.budi, name="Bagan")
        self.post(self.ana, "bagan", "halo")
        (message,) = self.page(self.budi).messages
        self.assertEqual((message.sender, message.to, message.group), ("ana", None, "Bagan"))

    def test_at_most_500(self) -> None:
        """A reply gives the 500 oldest and says how many remain."""
        self.database.held = True
        for number in range(501):
            self.sending(self.ana, "budi", str(number))
        for _ in range(3):
            self.database.settle()
        self.database.held = False
        page = self.page(self.budi)
        self.assertEqual((len(page.messages), page.remaining), (500, 1))
        self.assertEqual(texts(page.messages), [str(n) for n in range(500)])
        result_of(self.reading.move_marks(self.budi, marks_of(page.messages)))
        page = self.page(self.budi)
        self.assertEqual((texts(page.messages), page.remaining), (["500"], 0))

    def test_remaining(self) -> None:
        """A full page with nothing after it has none remaining. Messages given before do not count."""
        with mock.patch.object(module, "MAX_PAGE", 3):
            for number in range(3):
                self.send(self.ana, "budi", str(number))
            self.assertEqual(self.page(self.budi).remaining, 0)
            for number in range(4):
                self.send(self.citra, "budi", f"c{number}")
            page = self.page(self.budi)
            self.assertEqual((texts(page.messages), page.remaining), (["0", "1", "2"], 4))
            self.assertEqual(self.page(self.budi, ANA).remaining, 0)
            rest = result_of(self.reading.inbox(self.budi, UNFILTERED, marks_of(page.messages)))
            self.assertEqual((texts(rest.messages), rest.remaining), (["c0", "c1", "c2"], 1))

    def test_unknown_places(self) -> None:
        self.group(self.ana)
        for place, error in (
            (Place(user=Address("nobody")), UnknownUser),
            (Place(user=Address("ana", "realm2")), UnknownRealm),
            (Place(group=Address("nowhere")), UnknownGroup),
            (Place(group=Address("bagan")), NotMember),
            (Place(user=Address("bagan"), group=Address("bagan")), NotMember),
            (Place(user=Address("nobody"), group=Address("nobody")), UnknownUser),
            (Place(group=Address("bagan", "realm2")), UnknownRealm),
            (Place(user=Address("a", "realm2"), group=Address("a", "realm2")), UnknownRealm),
            (Place(user=Address("x", "realm1"), group=Address("x", "realm1")), UnknownUser),
        ):
            inbox = self.reading.inbox(self.budi, InboxFilter(place), {})
            self.assertIs(outcome_of(inbox), error, place)
            self.assertIs(outcome_of(self.reading.history(self.budi, place, 5)), error, place)

    def test_no_messages_yet(self) -> None:
        self.assertEqual(self.inbox(self.budi, ANA), [])
        self.assertEqual(self.history(self.budi, ANA), [])

    def test_name_of_a_user_and_of_a_group(self) -> None:
        """Databases of earlier versions have such names: a request has to say which of the two is meant."""
        with mock.patch("chatd.store.names.taken", return_value=None):
            self.group(self.budi, self.ana, name="citra")
        self.post(self.budi, "citra", "in the group")
        for said in (False, True):
            if said:
                self.send(self.citra, "ana", "from citra")
            for name in ("citra", "CITRA", "citra@realm1"):
                either = parse_place(name)
                inbox = self.reading.inbox(self.ana, InboxFilter(either), {})
                self.assertIs(outcome_of(inbox), AmbiguousName)
                for who in (self.ana, self.citra):  # who is in the group, and who is not
                    history = self.reading.history(who, either, 5)
                    self.assertIs(outcome_of(history), AmbiguousName)
            self.assertEqual(self.inbox(self.ana, parse_place("#citra")), ["in the group"])
            expected = ["from citra"] if said else []
            self.assertEqual(self.inbox(self.ana, parse_place("@citra")), expected)
            self.assertEqual(self.inbox(self.ana, parse_place("@citra@realm1")), expected)

    def test_name_equal_to_a_code(self) -> None:
        """A name takes precedence over a code of an earlier version that looks like it."""
        self.group(self.budi, self.ana)
        with mock.patch("chatd.store.names.taken", return_value=None):
            stranger = self.account("abc234")
        self.database.run(
            lambda db: db.execute(sql("UPDATE groups SET code = 'abc234' WHERE key = 'bagan'"))
        )
        self.send(stranger, "ana", "from the stranger")
        self.assertEqual(self.history(self.ana, parse_place("abc234")), ["from the stranger"])

    def test_empty_inbox_is_cached(self) -> None:
        """An empty inbox is answered from memory until a message arrives."""
        self.assertEqual(self.inbox(self.budi), [])
        with mock.patch.object(InlineDatabase, "read", side_effect=AssertionError):
            self.assertEqual(self.inbox(self.budi), [])
            self.assertEqual(result_of(self.reading.unread(self.budi, {})), ())
        self.send(self.ana, "budi", "halo")
        self.assertEqual(self.inbox(self.budi), ["halo"])

    def test_arrives_while_it_is_read(self) -> None:
        """A message that arrives during a read of the inbox is returned the next time."""
        self.database.held_reads = True
        reading = Deferred.fromCoroutine(self.reading.inbox(self.budi, UNFILTERED, {}))
        self.send(self.ana, "budi", "halo")
        self.database.answer()
        self.database.held_reads = False
        self.assertEqual(result_of(reading).messages, [])
        self.assertEqual(self.inbox(self.budi), ["halo"])

    def test_arrives_while_it_is_read_on_two_connections(self) -> None:
        """As before, while another connection of the account reads its inbox and closes before it has
        confirmed the reply."""
        self.database.held_reads = True
        first = Deferred.fromCoroutine(self.reading.inbox(self.budi, UNFILTERED, {}))
        self.send(self.ana, "budi", "halo")
        second = Deferred.fromCoroutine(self.reading.inbox(self.budi, UNFILTERED, {}))
        self.database.answer()
        self.database.held_reads = False
        self.assertEqual(result_of(first).messages, [])
        self.assertEqual(texts(result_of(second).messages), ["halo"])
        self.assertEqual(self.inbox(self.budi), ["halo"])


class Unread(MessagesTestCase):
    def test_counts(self) -> None:
        """The unread count of each conversation, the longest waiting first. Counting moves no mark."""
        group = self.group(self.ana, self.budi)
        direct = self.send(self.citra, "budi", "1").receipts[0].conversation
        self.post(self.ana, "bagan", "2")
        self.post(self.budi, "bagan", "mine")
        self.send(self.citra, "budi", "3")
        expected = (
            UnreadCount(direct, 2, user="citra", first_unread=1),
            UnreadCount(group, 1, group="bagan", first_unread=3),
        )
        for _ in range(2):
            self.assertEqual(result_of(self.reading.unread(self.budi, {})), expected)
        given_marks = {direct: ReadMark(1), group: ReadMark(3)}
        found = result_of(self.reading.unread(self.budi, given_marks))
        self.assertEqual(found, (UnreadCount(direct, 1, user="citra", first_unread=2),))
        self.read(self.budi)
        self.assertEqual(result_of(self.reading.unread(self.budi, {})), ())


class Marks(MessagesTestCase):
    def _conversation(self) -> int:
        for number in range(4):
            self.send(self.ana, "budi", str(number))
        return self.send(self.ana, "budi", "4").receipts[0].conversation

    def test_forward_only(self) -> None:
        conversation = self._conversation()
        for seq, left in ((2, 3), (1, 3), (0, 3), (3, 2)):
            result_of(self.reading.move_marks(self.budi, {conversation: ReadMark(seq)}))
            self.assertEqual(len(self.inbox(self.budi)), left)

    def test_mark_read(self) -> None:
        """A mark moves as far as requested, but not beyond the newest message."""
        conversation = self._conversation()
        result_of(self.reading.mark_read(self.budi, conversation, 2))
        self.assertEqual(self.inbox(self.budi), ["2", "3", "4"])
        result_of(self.reading.mark_read(self.budi, conversation, 2**62))
        self.assertEqual(self.inbox(self.budi), [])
        self.send(self.ana, "budi", "new")
        self.assertEqual(self.inbox(self.budi), ["new"])

    def test_mark_of_others(self) -> None:
        """Nobody can move a mark in a conversation that is not theirs, or anyone else's mark."""
        conversation = self._conversation()
        for who, number in ((self.citra, conversation), (self.budi, conversation + 99)):
            done = self.reading.mark_read(who, number, 1)
            self.assertIs(outcome_of(done), UnknownConversation)
        result_of(self.reading.mark_read(self.ana, conversation, 5))
        result_of(self.reading.move_marks(self.citra, {conversation: ReadMark(5)}))
        self.assertEqual(len(self.inbox(self.budi)), 5)

    def test_kept(self) -> None:
        self._conversation()
        self.read(self.budi)
        self.reopen()
        self.assertEqual(self.inbox(self.budi), [])


class HistoryAndSearch(MessagesTestCase):
    def test_history_returns_the_last_messages(self) -> None:
        """The last n messages, oldest first, read or not, including one's own. Reading them moves no mark."""
        for number in range(5):
            self.send(
                self.ana if number % 2 else self.budi, "budi" if number % 2 else "ana", str(number)
            )
        self.assertEqual(self.history(self.budi, ANA, 3), ["2", "3", "4"])
        self.assertEqual(self.history(self.ana, BUDI, 100), ["0", "1", "2", "3", "4"])
        self.assertEqual(self.inbox(self.budi), ["1", "3"])

    def test_at_most_a_page(self) -> None:
        with mock.patch.object(module, "MAX_PAGE", 3):
            for number in range(5):
                self.send(self.ana, "budi", str(number))
            self.assertEqual(self.history(self.budi, ANA, 10**9), ["2", "3", "4"])

    def test_before(self) -> None:
        """The last n messages before a given one, to go back page by page."""
        for number in range(1, 6):
            self.send(self.ana, "budi", str(number))
        for before, expected, earlier, later in (
            (5, ["3", "4"], 2, 1),
            (3, ["1", "2"], 0, 3),
            (2, ["1"], 0, 4),
            (1, [], 0, 5),
            (0, [], 0, 5),
            (10**9, ["4", "5"], 3, 0),
        ):
            page = result_of(self.reading.history(self.budi, ANA, 2, Window(before)))
            found = texts(page.messages), page.remaining, page.later
            self.assertEqual(found, (expected, earlier, later), before)
        self.assertEqual(len(self.inbox(self.budi)), 5)

    def search(self, who: Account, text: str) -> list[str | None]:
        return texts(result_of(self.reading.search(who, text)).messages[::-1])

    def test_search(self) -> None:
        """Case-insensitive, also beyond ASCII, in all conversations of the account, oldest first."""
        self.group(self.ana, self.budi)
        self.send(self.ana, "budi", "Selamat MALAM")
        self.post(self.budi, "bagan", "malam minggu")
        self.send(self.citra, "ana", "ÉCLAIR")
        self.assertEqual(self.search(self.ana, "malam"), ["Selamat MALAM", "malam minggu"])
        self.assertEqual(self.search(self.ana, "éclair"), ["ÉCLAIR"])
        self.assertEqual(self.search(self.budi, "éclair"), [])
        self.assertEqual(self.search(self.ana, "pagi"), [])

    def test_no_wildcards(self) -> None:
        """The text is searched for literally."""
        for text in ("100%", "1000", "a_b", "axb", "a/b", "it's"):
            self.send(self.ana, "budi", text)
        for text in ("100%", "a_b", "a/b", "it's"):
            self.assertEqual(self.search(self.ana, text), [text])
        self.assertEqual(self.search(self.ana, "%"), ["100%"])

    def test_search_gives_the_newest(self) -> None:
        with mock.patch.object(module, "MAX_PAGE", 2):
            for number in range(4):
                self.send(self.ana, "budi", f"halo {number}")
            self.assertEqual(self.search(self.ana, "halo"), ["halo 2", "halo 3"])


class Live(MessagesTestCase):
    def stored(self, asked: Callable[[], Deferred[Sent]]) -> None:
        """Ask for something, let the database take its time, and wait for it."""
        self.database.held = True
        done = asked()
        while not done.called:
            self.database.settle()
        self.database.held = False
        result_of(done)

    def test_heard(self) -> None:
        """Listeners get stored messages in the same form as the inbox. Listening reads nothing."""
        listener = self.listen(self.budi)
        self.stored(lambda: self.sending(self.ana, "budi", "halo"))
        self.assertEqual(listener.heard, self.page(self.budi).messages)
        self.assertEqual(self.inbox(self.budi), ["halo"])

    def test_not_before_it_is_stored(self) -> None:
        self.send(self.ana, "budi", "zero")
        listener = self.listen(self.budi)
        self.database.held = True
        self.sending(self.ana, "budi", "halo")
        self.assertEqual(listener.texts, [])
        self.database.settle()
        self.assertEqual(listener.texts, ["halo"])

    def test_group(self) -> None:
        """All members get it on all their connections except the sending one, and nobody else does."""
        self.group(self.ana, self.budi)
        here, elsewhere = self.listen(self.ana), self.listen(self.ana)
        budi, citra = self.listen(self.budi), self.listen(self.citra)
        self.stored(lambda: self.messages.post(self.ana, Address("bagan"), "halo", here))
        self.assertEqual((here.texts, elsewhere.texts), ([], ["halo"]))
        self.assertEqual((budi.texts, citra.texts), (["halo"], []))

    def test_to_oneself(self) -> None:
        """Who writes to oneself hears it, on the same connection too."""
        here = self.listen(self.ana)
        self.stored(lambda: self.sending(self.ana, "ana", "note", here))
        self.assertEqual(here.texts, ["note"])


def _full_disk(_job: object, _item: object, done: Any) -> None:
    done.errback(StorageFailed())


class Failing(MessagesTestCase):
    def _full(self, full: bool) -> None:
        pages = 1 if full else 100_000
        result_of(
            self.database.run(
                lambda connection: connection.exec_driver_sql(
                    f"PRAGMA max_page_count = {pages}"
                ).scalar()
            )
        )

    @only_sqlite("the size")
    def test_full_disk(self) -> None:
        """A message that can't be stored is refused, reaches no listener, and leaves no gap in the
        numbers."""
        self.send(self.ana, "budi", "one")
        listener = self.listen(self.budi)
        self._full(True)
        refused = [outcome_of(self.sending(self.ana, "budi", "x" * 8000)) for _ in range(5)]
        self.service.presence.flush()
        self.assertIn(StorageFailed, refused)
        self._full(False)
        self.flushLoggedErrors()
        kept = 1 + sum(isinstance(each, Sent) for each in refused)
        self.assertEqual(self.send(self.ana, "budi", "last").receipts[0].seq, kept + 1)
        page = result_of(self.reading.history(self.budi, ANA, 500))
        self.assertEqual([each.seq for each in page.messages], list(range(1, kept + 2)))
        self.service.presence.flush()
        self.assertEqual(len(listener.heard), kept)  # of those after the first, and the last one

    def test_list_on_a_full_disk(self) -> None:
        """If nobody on a list got the message because the disk is full, the sender gets that error."""
        self.send(self.ana, "budi,citra", "one")
        with mock.patch.object(self.database, "submit", side_effect=_full_disk):
            refused = outcome_of(self.sending(self.ana, "budi,citra,nobody", "two"))
        self.assertIs(refused, StorageFailed)
        self.assertEqual(self.inbox(self.citra), ["one"])

    def test_neighbour_that_fails(self) -> None:
        """A failing job in the same transaction leaves no gap in the numbers of the messages around it."""
        self.send(self.ana, "budi", "zero")

        def broken(_connection: object) -> None:
            raise ZeroDivisionError

        self.database.held = True
        first = self.sending(self.ana, "budi", "one")
        failing = self.database.run(broken)
        second = self.sending(self.ana, "budi", "two")
        self.database.settle()
        self.database.held = False
        with self.assertRaises(ZeroDivisionError):
            result_of(failing)
        self.assertEqual([result_of(each).receipts[0].seq for each in (first, second)], [2, 3])
        self.assertEqual(self.history(self.budi, ANA), ["zero", "one", "two"])


class Acknowledged(SynchronousTestCase):
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(("ana", "budi", "citra")),
                st.sampled_from(("ana", "budi", "citra", "budi,citra", "nobody", "bagan", "dapur")),
                st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=20),
                st.booleans(),
            ),
            max_size=15,
        )
    )
    def test_is_there_after_reopening(self, steps: list[tuple[str, str, str, bool]]) -> None:
        """All acknowledged messages are on disk, in order, and no others."""
        with tempfile.TemporaryDirectory() as name:
            self.go_through(Path(name), steps)

    def go_through(self, folder: Path, steps: list[tuple[str, str, str, bool]]) -> None:
        clock, random_bytes = Clock(), same_bytes()
        clock.advance(1_000_000.0)
        service, database = open_inline(folder, clock, random_bytes)
        people = {}
        for name in ("ana", "budi", "citra"):
            login = result_of(service.accounts.register(name, "surabaya", None, None))
            people[name] = login.account
        result_of(service.groups.create(people["ana"], "bagan"))
        result_of(service.groups.join(people["budi"], Address("bagan")))
        acknowledged: dict[int, list[tuple[str, str]]] = {}
        for sender, to, text, reopen in steps:
            try:
                if to in ("bagan", "dapur"):
                    sent = result_of(service.messages.post(people[sender], Address(to), text, None))
                else:
                    addresses = [Address(each) for each in to.split(",")]
                    sent = result_of(service.messages.send(people[sender], addresses, text, None))
            except ChatError:
                continue
            for receipt in sent.receipts:
                letters = acknowledged.setdefault(receipt.conversation, [])
                letters.append((sender, text))
                before = 2 if to == "bagan" else 0  # entries about members
                self.assertEqual(receipt.seq, before + len(letters))
            if reopen:
                database.stop()
                service, database = open_inline(folder, clock, random_bytes)
        database.stop()
        service, database = open_inline(folder, clock, random_bytes)
        with database._engine.connect() as connection:
            rows = connection.exec_driver_sql(
                "SELECT conversation_id, sender, text FROM messages ORDER BY conversation_id, seq"
            ).all()
        database.stop()
        found: dict[int, list[tuple[str, str]]] = {}
        for conversation, sender, text in rows:
            found.setdefault(conversation, []).append((sender, text))
        self.assertEqual(found, acknowledged)


class Threads(RealmTestCase):
    """With the real database, which commits many jobs together in its own thread."""

    async def test_many_at_once(self) -> None:
        """When many write to one group at once, messages are numbered without gaps, each sender's are in
        order, and all are in every other member's inbox."""
        accounts, groups = self.realm.service.accounts, self.realm.service.groups
        messages = self.realm.service.messages
        people = [
            (await accounts.register(f"u{n}", "surabaya", None, None)).account for n in range(5)
        ]
        await groups.create(people[0], "bagan")
        for person in people[1:]:
            await groups.join(person, Address("bagan"))
        waiting: list[Deferred[Any]] = []
        for number in range(40):
            for person in people:
                waiting.append(
                    messages.post(person, Address("bagan"), f"{person.name} {number}", None)
                )
        results = await DeferredList(waiting)
        receipts = [sent.receipts[0] for _, sent in results]
        self.assertEqual([each.seq for each in receipts], list(range(6, 206)))
        await self.reopen()
        inbox = self.realm.service.reading.inbox
        for person in people:
            page = await inbox(person, UNFILTERED, {})
            self.assertEqual(len(page.messages), 160)
            for other in people:
                if other is not person:
                    own = [each.text for each in page.messages if each.sender == other.name]
                    self.assertEqual(own, [f"{other.name} {number}" for number in range(40)])
