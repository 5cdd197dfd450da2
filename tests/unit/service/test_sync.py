"""What a client has missed of a conversation, and that it can be applied to what the client had."""

from __future__ import annotations

from random import Random
from typing import Any

import sqlalchemy as sa

from chatd.base.entries import Deletion, Edit, Pin, React
from chatd.base.errors import UnknownConversation
from chatd.base.events import GroupChange
from chatd.base.model import Account, Message
from chatd.base.names import Address
from chatd.lines.dialects.json_events import entry_object
from chatd.lines.dialects.json_messages import message_object
from chatd.store import terms as term_store
from chatd.store.parcel_numbers import TERM_BITS
from chatd.store.schema import terms
from chatd.store.sync import Cursor, SyncPage
from chatd.store.versions import first_of, term_of
from tests import RANDOM_RUNS
from tests.support.inline import outcome_of, result_of
from tests.support.order import long_test
from tests.unit.service.test_message_changes import BAGAN, WITH_BUDI, ChangesTestCase


class SyncTestCase(ChangesTestCase):
    def sync(self, who: Account, conversation: int, count: int = 500, **cursor: Any) -> SyncPage:
        page: SyncPage = result_of(
            self.service.sync.one(who, conversation, Cursor(**cursor), count)
        )
        return page

    def marks(self, page: SyncPage) -> dict[str, int]:
        return {mark.who: mark.seq for mark in page.marks}

    def log(self, who: Account, conversation: int) -> dict[int, Any]:
        """The messages as a client shows them."""
        return {
            each.seq: comparable(message_object(each)) for each in self.shown(who, conversation)
        }


def comparable(message: dict[str, Any]) -> dict[str, Any]:
    reactions = message.get("reactions", {})
    found = {emoji: set(people) for emoji, people in reactions.items()}
    return {**message, "reactions": found, "pinned": message.get("pinned", False)}


def apply(known: dict[int, Any], entry: dict[str, Any]) -> None:
    """What a client does with an entry."""
    kind = entry.pop("kind")
    if kind == "message":
        known[entry["seq"]] = comparable(entry)
        return
    message = known[entry["target"]]
    if kind == "edited" and "text" in entry:
        message |= {"text": entry["text"], "edited": entry["at"]}
    elif kind == "deleted":
        for name in ("text", "edited"):
            message.pop(name, None)
        message |= {"deleted": True, "reactions": {}, "pinned": False}
    elif kind == "reaction":
        people = message["reactions"].setdefault(entry["emoji"], set())
        (people.add if entry["on"] else people.discard)(entry["from"])
        if not people:
            del message["reactions"][entry["emoji"]]
    elif kind == "pinned":
        message["pinned"] = entry["on"]


class Entries(SyncTestCase):
    @long_test
    def test_any_cursor(self) -> None:
        """From any seq, in pages of any size, a client comes to what a fresh read of the history gives."""
        for seed in range(RANDOM_RUNS):
            random = Random(seed)  # noqa: S311 - not for secrets
            self.ana, self.budi = self.account(f"ana{seed}"), self.account(f"budi{seed}")
            self.send(self.ana, self.budi.name, "0")
            [log], _ = result_of(self.service.sync.all(self.ana))
            place = log.conversation
            last = self.sync(self.ana, place).seq
            snapshots: dict[int, dict[int, Any]] = {0: {}, last: self.log(self.budi, place)}
            for step in range(25):
                self.clock.advance(1)
                self._one_step(random, place, step, list(snapshots[last]))
                last = self.sync(self.ana, place).seq
                snapshots[last] = self.log(self.budi, place)
            for after in random.sample(sorted(snapshots), 4):
                known = snapshots[after]
                size = random.choice((1, 2, 3, 7, 500))
                while True:
                    page = self.sync(self.budi, place, size, after=after)
                    self.assertLessEqual(len(page.entries), size)
                    for entry in page.entries:
                        self.assertGreater(entry.seq, after)
                        after = entry.seq
                        apply(known, entry_object(entry))
                    if not page.more:
                        break
                self.assertEqual(known, self.log(self.budi, place))

    def _one_step(self, random: Random, place: int, step: int, seqs: list[int]) -> None:
        who = random.choice((self.ana, self.budi))
        if random.random() < 0.4:
            other = self.budi if who is self.ana else self.ana
            self.send(who, other.name, str(step))
            return
        target = random.choice(seqs)
        change = random.choice(
            (
                Edit(f"e{step}"),
                Deletion(),
                React(random.choice("👍🎉"), random.random() < 0.6),
                Pin(random.random() < 0.6),
            )
        )
        outcome_of(self.changing(who, place, target, change))

    def test_text_of_an_edit(self) -> None:
        """It is the current text, and none once the message is deleted."""
        self.send(self.ana, "budi", "1")
        self.change(self.ana, WITH_BUDI, 1, Edit("2"))
        self.change(self.ana, WITH_BUDI, 1, Edit("3"))
        place = self.shown(self.ana, WITH_BUDI)[0].conversation

        def texts() -> list[str | None]:
            found = [entry_object(each) for each in self.sync(self.budi, place, after=1).entries]
            return [each.get("text") for each in found]

        self.assertEqual(texts(), ["3", "3"])
        self.change(self.ana, WITH_BUDI, 1, Deletion())
        self.assertEqual(texts(), [None, None, None])

    def test_others(self) -> None:
        """Only participants read a log, or see that there is one."""
        self.send(self.ana, "budi", "1")
        place = self.shown(self.ana, WITH_BUDI)[0].conversation
        refused = outcome_of(self.service.sync.one(self.citra, place, Cursor(), 500))
        self.assertIs(refused, UnknownConversation)
        self.assertEqual(result_of(self.service.sync.all(self.citra)), ([], False))
        self.change(self.ana, WITH_BUDI, 1, React("👍"))
        (log,), more = result_of(self.service.sync.all(self.budi))
        self.assertEqual((log.conversation, log.seq, more), (place, 2, False))

    def test_pages_of_conversations(self) -> None:
        self.send(self.ana, "budi", "1")
        self.send(self.ana, "citra", "1")
        self.send(self.ana, "ana", "1")
        everything, more = result_of(self.service.sync.all(self.ana))
        self.assertEqual((len(everything), more), (3, False))
        first, more = result_of(self.service.sync.all(self.ana, count=2))
        self.assertTrue(more)
        rest, more = result_of(self.service.sync.all(self.ana, first[-1].conversation, 2))
        self.assertFalse(more)
        self.assertEqual(first + rest, everything)

    def test_changes_of_the_group(self) -> None:
        """Closing and opening a group are entries of its log, with their author."""
        group, name = self.group(self.ana, self.budi), Address("bagan")
        last = self.sync(self.budi, group).seq
        for closed in (True, False):
            result_of(self.service.groups.settings.set_closed(self.ana, name, closed))
        page = self.sync(self.budi, group, after=last)
        entries = [each for each in page.entries if isinstance(each, GroupChange)]
        self.assertEqual([each.by for each in entries], ["ana", "ana"])
        self.assertEqual([each.seq for each in entries], [last + 1, last + 2])

    def test_group(self) -> None:
        result_of(self.service.groups.create(self.ana, "bagan"))
        result_of(self.service.messages.post(self.ana, Address("bagan"), "1", None))
        [message] = self.shown(self.ana, BAGAN)
        place = message.conversation
        self.change(self.ana, BAGAN, message.seq, Pin())
        found = [entry_object(each) for each in self.sync(self.ana, place).entries]
        self.assertEqual([each["kind"] for each in found], ["member", "message", "pinned"])
        self.assertEqual({each["group"] for each in found}, {"bagan"})


class Marks(SyncTestCase):
    def setUp(self) -> None:
        super().setUp()
        for text in "123":
            self.send(self.ana, "budi", text)
        self.place = self.shown(self.ana, WITH_BUDI)[0].conversation

    def test_since_a_version(self) -> None:
        page = self.sync(self.ana, self.place)
        self.assertEqual(self.marks(page), {"ana": 0, "Budi": 0})
        result_of(self.reading.mark_read(self.budi, self.place, 2))
        later = self.sync(self.ana, self.place, after=3, version=page.version)
        self.assertEqual(self.marks(later), {"Budi": 2})
        self.assertGreater(later.version, page.version)
        self.assertLess(later.version, 2**53)
        again = self.sync(self.ana, self.place, after=3, version=later.version)
        self.assertEqual((again.marks, again.version), ([], later.version))

    def test_receipts_off(self) -> None:
        """A mark that is not shown any more is 0; one's own stays."""
        result_of(self.reading.mark_read(self.budi, self.place, 2))
        version = self.sync(self.ana, self.place).version
        result_of(self.service.receipts.switch(self.budi, False))
        self.assertEqual(self.marks(self.sync(self.ana, self.place, version=version)), {"Budi": 0})
        page = self.sync(self.budi, self.place, version=version)
        self.assertEqual(self.marks(page), {"ana": 0, "Budi": 2})
        result_of(self.service.receipts.switch(self.budi, False))
        self.assertEqual(self.sync(self.budi, self.place, version=page.version).marks, [])

    def test_receipts_on_again(self) -> None:
        """A switch and what follows it have higher versions, in all conversations and after a restart."""
        result_of(self.reading.mark_read(self.budi, self.place, 1))
        version = self.sync(self.ana, self.place).version
        for on, seq in ((False, 2), (True, 3)):
            result_of(self.service.receipts.switch(self.budi, on))
            if on:
                self.reopen()
            for shown in (1, seq):
                result_of(self.reading.mark_read(self.budi, self.place, shown))
                page = self.sync(self.ana, self.place, after=3, version=version)
                expected = max(shown, seq - 1) if on else 0
                self.assertEqual(self.marks(page), {"Budi": expected})
                self.assertGreater(page.version, version)
                version = page.version


class Resets(SyncTestCase):
    def setUp(self) -> None:
        super().setUp()
        for text in "123":
            self.send(self.ana, "budi", text)
        self.place = self.shown(self.ana, WITH_BUDI)[0].conversation
        self.old = self.sync(self.ana, self.place)

    def restart(self) -> None:
        self.clock.advance(10)
        self.reopen()

    def test_restart(self) -> None:
        """It begins a term, and nothing is to be read again."""
        self.restart()
        page = self.sync(self.ana, self.place, after=3, version=self.old.version)
        self.assertIsNone(page.reset)
        self.assertGreater(page.term, self.old.term)
        self.send(self.ana, "budi", "4")
        for cursor in ({"version": page.version}, {"term": page.term}, {"term": self.old.term}):
            again = self.sync(self.ana, self.place, after=3, **cursor)
            self.assertIsNone(again.reset)
            self.assertEqual([each.seq for each in again.entries], [4])

    def test_restore(self) -> None:
        """A client that has read what the log does not have any more reads again from where they differ."""
        self.restart()
        self.sync(self.ana, self.place)  # the term whose entries are lost
        self.restart()
        self.send(self.ana, "budi", "4")
        for term in (self.old.term, self.old.term + 1):
            for cursor in ({"term": term}, {"version": first_of(term) + 7}):
                page = self.sync(self.ana, self.place, after=5, **cursor)
                self.assertEqual(page.reset, 3)
                self.assertEqual([each.seq for each in page.entries], [4])
                self.assertIsNone(self.sync(self.ana, self.place, after=3, **cursor).reset)

    def test_ahead(self) -> None:
        """Nothing was written since the restore."""
        page = self.sync(self.ana, self.place, after=9)
        self.assertEqual((page.reset, page.entries, page.seq), (3, [], 3))

    def test_a_later_term_of_one_start(self) -> None:
        """A new term begins when it turns out that a restored realm had given higher numbers. Versions follow
        it, and nothing is to be read again."""
        result_of(self.reading.mark_read(self.budi, self.place, 1))
        writers = self.service.context.writers
        _, last = result_of(self.database.run(writers.parcels.span))
        result_of(self.database.run(writers.parcels.given, last + (5 << TERM_BITS)))
        first, _ = result_of(self.database.run(writers.parcels.span))
        self.assertGreater(first >> TERM_BITS, self.old.term + 5)
        page = self.sync(self.ana, self.place, after=3, version=self.old.version)
        self.assertEqual((self.marks(page), page.term), ({"Budi": 1}, first >> TERM_BITS))
        result_of(self.reading.mark_read(self.budi, self.place, 2))
        later = self.sync(self.ana, self.place, after=3, version=page.version)
        self.assertEqual(self.marks(later), {"Budi": 2})
        writers.messages.forget()
        self.send(self.ana, "budi", "4")
        page = self.sync(self.ana, self.place, after=3, term=later.term)
        self.assertEqual([each.seq for each in page.entries], [4])
        self.assertIsNone(self.sync(self.ana, self.place, after=4, term=page.term).reset)

    def test_term(self) -> None:
        page = self.sync(self.ana, self.place)
        self.assertEqual(term_of(page.version), page.term)
        query = sa.select(sa.func.max(terms.c.term))
        self.assertEqual(result_of(self.database.read(lambda db: db.scalar(query))), page.term)
        self.assertTrue(all(isinstance(each, Message) for each in page.entries))


class Terms(SyncTestCase):
    def test_many_starts(self) -> None:
        """The terms of a log are bounded. A client of an older one reads the whole log again."""
        self.patch(term_store, "KEPT", 3)
        ends = []
        for term in range(10, 16):
            result_of(self.database.run(term_store.begin_term, 7, term, term * 10))
            end = self.database.read(term_store.end_of_term, 7, 10, term * 10 + 9)
            ends.append(result_of(end))
        self.assertEqual(ends, [109, 109, 109, 0, 0, 0])
        kept = self.database.read(lambda db: db.scalars(sa.select(terms.c.term)).all())
        self.assertEqual(result_of(kept), [13, 14, 15])
        end = self.database.read(term_store.end_of_term, 7, 14, 200)
        self.assertEqual(result_of(end), 149)
