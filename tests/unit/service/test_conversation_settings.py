"""Notifications and archiving of conversations: kept for the account, and told to all of its devices."""

from __future__ import annotations

from chatd.base.errors import BadArgument, UnknownConversation
from chatd.base.events import ConversationChange
from chatd.base.model import Account, Preferences
from chatd.base.names import Address, Place
from chatd.store import preferences as store
from tests.support.common import Listener
from tests.support.inline import outcome_of, result_of
from tests.unit.service.test_messages import BUDI, MessagesTestCase


class Settings(MessagesTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.settings = self.service.settings
        self.here = self.send(self.ana, "budi", "1").receipts[0].conversation
        self.now = int(self.clock.seconds() * 1000)

    def shown(self, who: Account) -> list[Preferences]:
        found, _ = result_of(self.service.conversations.all(who, {}))
        return [each.preferences for each in found]

    def test_kept(self) -> None:
        """Notifications and archiving are independent, and belong to one account."""
        result_of(self.settings.notify(self.ana, BUDI, "mentions", self.now + 5000, None))
        result_of(self.settings.archive(self.ana, self.here, True, None))
        expected = Preferences("mentions", self.now + 5000, True)
        self.assertEqual(self.shown(self.ana), [expected])
        self.assertEqual(self.shown(self.budi), [Preferences()])
        self.clock.advance(5)
        self.assertEqual(self.shown(self.ana), [Preferences(archived=True)])
        result_of(self.settings.archive(self.ana, self.here, False, None))
        _, chosen = result_of(self.settings.notify(self.ana, BUDI, "all", self.now + 9000, None))
        self.assertEqual(chosen, Preferences())

    def test_told(self) -> None:
        """Only the other devices of the account are told."""
        devices = [Listener() for _ in range(3)]
        for account, device in zip((self.ana, self.ana, self.budi), devices, strict=True):
            self.service.presence.listen(account.id, device, True, all_events=True)
        group = self.group(self.ana, self.budi)
        self.service.presence.flush()
        for device in devices:
            device.heard.clear()
        result_of(self.settings.notify(self.ana, BUDI, "none", None, devices[0]))
        result_of(self.settings.archive(self.ana, group, True, devices[0]))
        self.assertEqual([each.heard for each in devices[::2]], [[], []])
        self.assertEqual(
            devices[1].heard,
            [
                ConversationChange(self.here, "Budi", None, "muted", Preferences("none")),
                ConversationChange(group, None, "bagan", "archived", Preferences(archived=True)),
            ],
        )

    def test_goes_with_the_membership(self) -> None:
        group = self.group(self.budi, self.ana)
        result_of(self.settings.archive(self.ana, group, True, None))
        result_of(self.service.groups.leave(self.ana, Address("bagan"), None))
        result_of(self.service.groups.join(self.ana, Address("bagan"), None))
        self.assertEqual(self.shown(self.ana), [Preferences(), Preferences()])

    def test_refusals(self) -> None:
        notify = self.settings.notify
        for place, until, error in (
            (Place(user=Address("citra")), None, UnknownConversation),
            (77, None, UnknownConversation),
            (self.here, self.now, BadArgument),
        ):
            self.assertIs(outcome_of(notify(self.ana, place, "none", until, None)), error)
        changing = self.database.run(store.prefer, self.citra.id, self.here, {"archived": True})
        self.assertIs(outcome_of(changing), UnknownConversation)
