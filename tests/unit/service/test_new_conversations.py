"""People are told of their new conversations, if they listen for everything."""

from __future__ import annotations

from chatd.base.events import ConversationChange
from chatd.base.model import Account
from chatd.base.names import Address
from tests.support.inline import result_of
from tests.unit.service.test_message_changes import ChangesTestCase
from tests.unit.service.test_messages import Reader


class NewConversations(ChangesTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.readers = [self.follow(who) for who in (self.ana, self.budi, self.citra)]

    def check(self, *expected: ConversationChange | None) -> None:
        """What each of the three has heard of new conversations."""
        self.service.presence.flush()
        heard: list[ConversationChange | None] = []
        for reader in self.readers:
            found = [each for each in reader.heard if isinstance(each, ConversationChange)]
            self.assertLessEqual(len(found), 1)
            heard.append(found[0] if found else None)
            reader.heard.clear()
        self.assertEqual(heard, list(expected))

    def test_told_by_itself(self) -> None:
        """No further transaction is needed: the other connections are told at the next turn."""
        other = self.follow(self.ana)
        creating = self.service.groups.create(self.ana, "bagan", None, self.caused_by(self.ana))
        result_of(creating)
        self.clock.advance(0)
        self.assertEqual(other.heard[1:], [ConversationChange(1, group="bagan")])

    def caused_by(self, who: Account) -> Reader:
        """The connection of `who` that causes things."""
        return self.readers[(self.ana, self.budi, self.citra).index(who)]

    def test_direct(self) -> None:
        """After the first message; not the connection that sends it, save to oneself."""
        other = self.follow(self.ana)
        result_of(self.sending(self.ana, "Budi", "halo", self.caused_by(self.ana)))
        self.check(None, ConversationChange(1, user="ana"), None)
        self.assertEqual(other.heard[1:], [ConversationChange(1, user="Budi")])
        result_of(self.sending(self.ana, "Budi", "lagi", None))
        self.check(None, None, None)
        result_of(self.sending(self.citra, "citra", "catatan", self.caused_by(self.citra)))
        self.check(None, None, ConversationChange(2, user="citra"))

    def test_group(self) -> None:
        """With joining or being added; the others are not told."""
        groups = self.service.groups
        result_of(groups.create(self.ana, "bagan", None, self.caused_by(self.ana)))
        self.check(None, None, None)
        result_of(groups.join(self.budi, Address("bagan"), None))
        self.check(None, ConversationChange(1, group="bagan"), None)
        result_of(groups.invite(self.ana, Address("bagan"), [Address("citra")], None))
        self.check(None, None, ConversationChange(1, group="bagan"))
