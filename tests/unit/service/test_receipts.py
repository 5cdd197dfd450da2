"""Who is told that somebody has read or is writing, and who has read a message, within a realm."""

from __future__ import annotations

from typing import Any
from unittest import mock

import sqlalchemy as sa

from chatd.base.errors import UnknownMessage
from chatd.base.events import ReadMoved, Typing
from chatd.base.model import Account
from chatd.base.read_marks import ReadMark
from chatd.service import typing_notices
from chatd.service.read_events import INTERVAL
from chatd.service.typing_notices import INTERVAL as TYPING_INTERVAL
from chatd.store import receipts as store
from chatd.store.sync import Cursor
from tests.support.common import Listener
from tests.support.inline import outcome_of, result_of
from tests.support.receipts import patch_may_see
from tests.unit.service.test_messages import MessagesTestCase


class ReceiptsTestCase(MessagesTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.receipts, self.typing = self.service.receipts, self.service.typing
        self.devices = {each.id: self.listener(each) for each in (self.ana, self.budi, self.citra)}

    def listener(self, account: Account) -> Listener:
        listener = Listener()
        self.service.presence.listen(account.id, listener, True, all_events=True)
        return listener

    def heard(self, listener: Listener) -> list[str]:
        """What a listener was told since the last call: who has read up to where, and who is typing."""
        found = []
        for event in listener.heard:
            if isinstance(event, ReadMoved):
                found.append(f"{event.who} {event.seq}")
            elif isinstance(event, Typing):
                found.append(f"{event.who} types")
        listener.heard.clear()
        return found

    def told(self, account: Account) -> list[str]:
        return self.heard(self.devices[account.id])

    def move(self, who: Account, conversation: int, seq: int) -> None:
        """Move a mark, after the last round of that reader has ended."""
        self.clock.advance(INTERVAL)
        result_of(self.reading.mark_read(who, conversation, seq, self.devices[who.id]))

    def readers(self, who: Account, conversation: int, seq: int) -> list[str] | None:
        found: list[str] | None = result_of(self.receipts.readers(who, conversation, seq))
        return found


class Reading(ReceiptsTestCase):
    def test_direct(self) -> None:
        here = self.send(self.ana, "budi", "1").receipts[0].conversation
        other = self.listener(self.budi)
        self.move(self.budi, here, 1)
        self.assertEqual(self.told(self.ana), ["Budi 1"])
        self.assertEqual(self.told(self.budi), [])  # where it was read
        self.assertEqual(self.heard(other), ["Budi 1"])
        self.assertEqual(self.told(self.citra), [])
        self.assertEqual(self.readers(self.ana, here, 1), ["Budi"])

    def test_only_forward(self) -> None:
        """A mark that does not move is not told."""
        here = self.send(self.ana, "budi", "1").receipts[0].conversation
        self.send(self.ana, "budi", "2")
        self.move(self.budi, here, 2)
        self.told(self.ana)
        for seq in (2, 1, 99):
            self.move(self.budi, here, seq)
        self.assertEqual(self.told(self.ana), [])

    def test_messages_that_were_left_out(self) -> None:
        """The mark that others see ends before the first message that was not shown."""
        here = 0
        for text in "12345":
            here = self.send(self.ana, "budi", text).receipts[0].conversation
        mark = ReadMark(5, frozenset((3,)))
        result_of(self.reading.move_marks(self.budi, {here: mark}))
        self.assertEqual(self.told(self.ana), ["Budi 2"])
        self.assertEqual(self.readers(self.ana, here, 3), [])
        self.assertEqual(self.readers(self.ana, here, 4), ["Budi"])
        self.move(self.budi, here, 5)
        self.assertEqual(self.told(self.ana), ["Budi 5"])

    def test_receipts_off(self) -> None:
        """Both have to have them on; the reader's own devices are told in any case."""
        here = self.send(self.ana, "budi", "1").receipts[0].conversation
        self.send(self.ana, "budi", "2")
        for off in (self.ana, self.budi):
            result_of(self.receipts.switch(off, False))
            other = self.listener(self.budi)
            self.move(self.budi, here, 1 if off is self.ana else 2)
            self.assertEqual(self.told(self.ana), [])
            self.assertEqual(len(self.heard(other)), 1)
            self.assertEqual(self.readers(self.ana, here, 1), None if off is self.ana else [])
            result_of(self.receipts.switch(off, True))
        self.assertEqual(self.readers(self.ana, here, 2), ["Budi"])

    def test_group(self) -> None:
        """All members are told, and the author is not a reader."""
        group = self.group(self.ana, self.budi, self.citra)
        seq = self.post(self.ana, "bagan", "1").receipts[0].seq
        self.move(self.budi, group, seq)
        self.move(self.ana, group, seq)
        self.assertIn(f"Budi {seq}", self.told(self.ana))
        self.assertIn(f"Budi {seq}", self.told(self.citra))
        self.assertEqual(self.readers(self.citra, group, seq), ["Budi"])
        self.assertIs(outcome_of(self.receipts.readers(self.ana, group, 99)), UnknownMessage)

    def test_large_group(self) -> None:
        group = self.group(self.ana, self.budi, self.citra)
        seq = self.post(self.ana, "bagan", "1").receipts[0].seq
        with mock.patch.object(store, "MAX_READERS", 2):
            self.move(self.budi, group, seq)
            result_of(self.typing.tell(self.budi, group, None))
            self.assertEqual(self.told(self.ana), [])
            self.assertIsNone(self.readers(self.ana, group, seq))


class Separated(ReceiptsTestCase):
    def setUp(self) -> None:
        """Ana and Budi do not see what the other does."""
        super().setUp()
        apart = {self.ana.id: self.budi.key, self.budi.id: self.ana.key}

        def may_see(account_id: Any, key: Any) -> sa.ColumnElement[bool]:
            return sa.and_(
                *(~((account_id == here) & (key == other)) for here, other in apart.items())
            )

        patch_may_see(self, may_see)

    def test_direct(self) -> None:
        here = self.send(self.ana, "budi", "1").receipts[0].conversation
        self.move(self.budi, here, 1)
        result_of(self.typing.tell(self.budi, here, None))
        self.assertEqual(self.told(self.ana), [])
        self.assertEqual(self.readers(self.ana, here, 1), [])
        self.assertEqual(self.marks(self.ana, here), {"ana": 0, "Budi": 0})
        self.assertEqual(self.marks(self.budi, here), {"ana": 0, "Budi": 1})

    def test_group(self) -> None:
        group = self.group(self.ana, self.budi, self.citra)
        seq = self.post(self.ana, "bagan", "1").receipts[0].seq
        self.move(self.budi, group, seq)
        self.clock.advance(INTERVAL)
        result_of(self.typing.tell(self.budi, group, None))
        self.assertEqual(self.told(self.ana), [])
        self.assertEqual(self.told(self.citra), [f"Budi {seq}", "Budi types"])
        self.assertEqual(self.readers(self.ana, group, seq), [])
        self.assertEqual(self.readers(self.citra, group, seq), ["Budi"])

    def marks(self, who: Account, conversation: int) -> dict[str, int]:
        page = result_of(self.service.sync.one(who, conversation, Cursor(), 1))
        return {mark.who: mark.seq for mark in page.marks}


class Writing(ReceiptsTestCase):
    def test_rate(self) -> None:
        """One notice in 3 s for each person and conversation. It is not remembered for longer."""
        group = self.group(self.ana, self.budi, self.citra)
        here = self.send(self.ana, "budi", "1").receipts[0].conversation
        for _ in range(10):
            result_of(self.typing.tell(self.ana, here, self.devices[self.ana.id]))
            result_of(self.typing.tell(self.ana, group, self.devices[self.ana.id]))
        self.assertEqual(self.told(self.budi), ["ana types", "ana types"])
        self.assertEqual(self.told(self.citra), ["ana types"])
        self.assertEqual(self.told(self.ana), [])
        self.clock.advance(TYPING_INTERVAL)
        result_of(self.typing.tell(self.ana, here, None))
        self.assertEqual(self.told(self.budi), ["ana types"])
        self.assertEqual(len(self.typing._lately), 1)

    def test_many_at_once(self) -> None:
        """At most MAX_NOTED notices are remembered. One that is no longer remembered may be repeated."""
        self.patch(typing_notices, "MAX_NOTED", 2)
        lately = typing_notices.Lately(self.clock)
        noted = [lately.note(each) for each in "abbcbac"]
        self.assertEqual(noted, [True, True, False, True, False, True, False])
        self.assertEqual(len(lately), 2)

    def test_only_those_who_listen_to_all(self) -> None:
        basic = Listener()
        self.service.presence.listen(self.budi.id, basic, True)
        here = self.send(self.ana, "budi", "1").receipts[0].conversation
        basic.heard.clear()
        result_of(self.typing.tell(self.ana, here, None))
        self.assertEqual(self.heard(basic), [])
        self.assertEqual(self.told(self.budi), ["ana types"])

    def test_oneself(self) -> None:
        here = self.send(self.ana, "ana", "1").receipts[0].conversation
        result_of(self.typing.tell(self.ana, here, None))
        self.move(self.ana, here, 1)
        self.assertEqual(self.told(self.ana), [])
