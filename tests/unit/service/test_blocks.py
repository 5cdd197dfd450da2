"""Blocks: what a blocked person can no longer send, and what the two no longer see of each other."""

from __future__ import annotations

from typing import Any
from unittest import mock

from chatd.base.entries import Deletion, Edit, React
from chatd.base.errors import (
    BadArgument,
    NotAccepted,
    NotBlocked,
    TooManyBlocks,
    UnknownUser,
)
from chatd.base.events import BlockChange, ReadMoved
from chatd.base.model import Account, Message
from chatd.base.names import Address, Place
from chatd.service import blocks as module
from chatd.service.fan_out import Others
from chatd.service.read_events import INTERVAL
from chatd.store import blocks as store
from chatd.store.watchers import watchers_of
from tests.support.common import Listener
from tests.support.inline import outcome_of, result_of
from tests.unit.service.test_messages import MessagesTestCase


class BlocksTestCase(MessagesTestCase):
    def block(self, who: Account, whom: Address | str) -> None:
        result_of(self.service.blocks.block(who, whom))

    def unblock(self, who: Account, whom: Address | str) -> None:
        result_of(self.service.blocks.unblock(who, whom))

    def shown(self, who: Account) -> list[str]:
        return [each.address for each in result_of(self.service.blocks.list(who))]

    def sent(self, who: Account, to: str) -> Any:
        """The class of the error, or the result."""
        return outcome_of(self.sending(who, to, "x"))


class Directs(BlocksTestCase):
    def test_refused(self) -> None:
        """Direct messages of a blocked person are refused, also after a restart. Those to them arrive."""
        self.send(self.ana, "budi", "1")
        self.block(self.budi, Address("ana"))
        for _ in range(2):
            self.assertIs(self.sent(self.ana, "budi"), NotAccepted)
            self.reopen()
            self.service.blocks.load(self.read_blocks())
        self.assertNotEqual(self.sent(self.budi, "ana"), NotAccepted)
        self.assertEqual(self.send(self.ana, "budi,citra", "2").refused.keys(), {"budi"})
        self.unblock(self.budi, Address("ana"))
        self.send(self.ana, "budi", "3")
        self.assertEqual(self.inbox(self.budi), ["1", "3"])

    def read_blocks(self) -> list[tuple[int, str]]:
        found: list[tuple[int, str]] = result_of(self.database.read(store.all_blocks))
        return found

    def test_refused_before_the_first_message(self) -> None:
        """A refused first message creates no conversation."""
        self.block(self.budi, Address("ana"))
        self.assertIs(self.sent(self.ana, "budi"), NotAccepted)
        directs = self.service.directs
        self.assertIsNone(result_of(directs.find(self.ana, Address("budi"))))
        targets, errors = result_of(directs.look(self.ana, [Address("budi")]))
        self.assertEqual(targets, [])
        self.assertEqual([*map(type, errors.values())], [NotAccepted])

    def test_changes(self) -> None:
        """A blocked person may still delete, but not edit or react."""
        here = self.send(self.ana, "budi", "1").receipts[0].conversation
        self.block(self.budi, Address("ana"))
        for change in (Edit("2"), React("👍", True)):
            changing = self.service.changes.change(self.ana, here, 1, change, None)
            self.assertIs(outcome_of(changing), NotAccepted)
        result_of(self.service.changes.change(self.ana, here, 1, Deletion(), None))

    def test_marks_and_presence(self) -> None:
        """A block hides them in both directions."""
        here = self.send(self.ana, "budi", "1").receipts[0].conversation
        for blocker, blocked in ((self.ana, self.budi), (self.budi, self.ana)):
            self.block(blocker, Address(blocked.name))
            listener = Listener()
            self.service.presence.listen(self.ana.id, listener, True, all_events=True)
            result_of(self.reading.mark_read(self.budi, here, 1))
            self.clock.advance(INTERVAL)
            self.assertFalse([each for each in listener.heard if isinstance(each, ReadMoved)])
            self.assertEqual(result_of(self.service.receipts.readers(self.ana, here, 1)), [])
            for account in (self.ana, self.budi):
                watched = result_of(self.database.read(watchers_of, account.id))
                self.assertEqual(watched.watchers, frozenset())
            self.unblock(blocker, Address(blocked.name))
        self.assertEqual(result_of(self.service.receipts.readers(self.ana, here, 1)), ["Budi"])


class Groups(BlocksTestCase):
    def test_marked(self) -> None:
        """Messages of a blocked person are marked in histories and events, only for the person who blocks."""
        group = self.group(self.ana, self.budi, self.citra)
        self.block(self.budi, Address("ana"))
        listeners = {each.id: self.listen(each) for each in (self.ana, self.budi, self.citra)}
        self.post(self.ana, "bagan", "1")
        self.post(self.citra, "bagan", "2")
        self.service.presence.flush()

        def marks(shown: list[Any]) -> list[tuple[str | None, bool]]:
            return [(each.text, each.blocked) for each in shown if isinstance(each, Message)]

        plain = [("1", False), ("2", False)]
        for account in (self.ana, self.budi, self.citra):
            expected = [("1", account is self.budi), ("2", False)]
            self.assertEqual(marks(listeners[account.id].heard), expected)
            page = result_of(self.reading.history(account, Place(group=Address("bagan")), 9))
            self.assertEqual(marks(self.service.blocks.marked(account, page.messages)), expected)
            self.assertEqual(marks(page.messages), plain)
        self.assertGreater(group, 0)

    def test_few_listen(self) -> None:
        """The others get the message too if most of the group does not listen."""
        self.group(self.ana, self.budi, self.citra)
        self.block(self.budi, Address("ana"))
        device = self.listen(self.citra)
        self.post(self.ana, "bagan", "1")
        self.service.presence.flush()
        texts = [each.text for each in device.heard if isinstance(each, Message)]
        self.assertEqual(texts, ["1"])

    def test_all_leave(self) -> None:
        """If everybody leaves before they are told of a message, other people hear theirs all the same."""
        device, presence = self.listen(self.citra), self.service.presence
        event = ReadMoved(1, 2, "ana")
        audience = {self.budi.id: True}
        presence.tell(Others(audience, frozenset(audience)), event, None)
        audience.clear()
        presence.tell((self.citra.id,), event, None)
        presence.flush()
        self.assertEqual(device.heard, [event])

    def test_others(self) -> None:
        others = Others({1: True, 2: False, 3: False}, frozenset((2,)))
        self.assertEqual((list(others), len(others)), ([1, 3], 2))
        self.assertEqual([each in others for each in (1, 2, 3, 4)], [True, False, True, False])

    def test_others_who_have_left(self) -> None:
        audience = {1: True, 2: False}
        others = Others(audience, frozenset((2, 3)))
        self.assertEqual((list(others), len(others)), ([1], 1))
        audience.clear()
        self.assertEqual((list(others), len(others)), ([], 0))

    def test_invitations(self) -> None:
        self.group(self.ana)
        self.block(self.budi, Address("ana"))
        name, users = Address("bagan"), [Address("budi"), Address("citra")]
        _, invited = result_of(self.service.groups.invite(self.ana, name, users, None))
        self.assertEqual((invited.joined, invited.refused), (("citra",), ("budi",)))

    def test_a_part_that_fails(self) -> None:
        """The block holds all the same."""
        then = mock.Mock(side_effect=ValueError("boom"))
        self.service.blocks.on_block(then)
        self.block(self.ana, Address("budi"))
        then.assert_called_once()
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertTrue(self.service.blocks.has(self.ana.id, "budi"))


class Lists(BlocksTestCase):
    def test_people_and_realms(self) -> None:
        """Blocks are sorted by key, and shown as they were typed. Blocking again changes nothing."""
        for whom in (Address("BUDI", "realm1"), Address("x", "Realm2"), "Realm2", Address("budi")):
            self.block(self.ana, whom)
        self.assertEqual(self.shown(self.ana), ["@@Realm2", "Budi", "x@Realm2"])
        self.assertEqual(self.shown(self.budi), [])
        self.unblock(self.ana, "realm2")
        self.assertEqual(self.shown(self.ana), ["Budi", "x@Realm2"])
        self.assertFalse(self.service.blocks.has(self.ana.id, "y@realm2"))
        self.assertTrue(self.service.blocks.has(self.ana.id, "x@realm2"))

    def test_other_connections(self) -> None:
        """They are told of each change, and the one that makes it is not."""
        other, origin, bystander = Listener(), Listener(), Listener()
        for account, listener in ((self.ana, other), (self.ana, origin), (self.budi, bystander)):
            self.service.presence.listen(account.id, listener, True, all_events=True)
        blocks = self.service.blocks
        for whom in (Address("budi"), "Realm2", Address("budi")):
            result_of(blocks.block(self.ana, whom, origin))
        result_of(blocks.unblock(self.ana, "realm2", origin))
        self.assertEqual(
            [each for each in other.heard if isinstance(each, BlockChange)],
            [
                BlockChange("Budi", True),
                BlockChange("@@Realm2", True),
                BlockChange("@@Realm2", False),
            ],
        )
        for listener in (origin, bystander):
            self.assertFalse([each for each in listener.heard if isinstance(each, BlockChange)])

    def test_loaded(self) -> None:
        """A person and their realm may be blocked by different accounts."""
        blocks = self.service.blocks
        blocks.load([(1, "x@realm2"), (2, "x@realm2"), (3, "@realm2"), (1, "budi")])
        for address, blockers in (
            ("X@Realm2", {1, 2, 3}),
            ("y@realm2", {3}),
            ("budi", {1}),
            ("x", set()),
        ):
            self.assertEqual(blocks.against(address), blockers)
        self.assertIs(blocks.against("budi"), blocks.against("budi"))

    def test_refusals(self) -> None:
        self.patch(module, "MAX_BLOCKS", 1)
        blocks = self.service.blocks
        for whom, error in (
            (Address("nobody"), UnknownUser),
            (Address("ana"), BadArgument),
            ("realm1", BadArgument),
        ):
            self.assertIs(outcome_of(blocks.block(self.ana, whom)), error)
        for whom in (Address("budi"), "realm2"):
            self.assertIs(outcome_of(blocks.unblock(self.ana, whom)), NotBlocked)
        self.block(self.ana, Address("budi"))
        self.assertIs(outcome_of(blocks.block(self.ana, Address("citra"))), TooManyBlocks)
