"""Read marks that have moved are told in rounds: at once, and then not more often than people can see."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.errors import StorageFailed
from chatd.base.events import ReadMoved
from chatd.service.presence import Presence
from chatd.service.read_events import INTERVAL, Reader, ReadEvents
from chatd.store.receipts import Audience
from tests.support.common import Listener

READER, SENDER, OTHER = 1, 2, 3
BUDI = Reader("budi", "budi", READER)


class Rounds(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.presence = Presence()
        # Conversation -> who is told. Conversations of nobody else are left out.
        self.audiences: dict[int, Audience] = {}
        self.answer: Deferred[Iterable[Audience]] | None = None
        self.looked_up: list[list[int]] = []
        self.realms: list[tuple[str, int]] = []
        self.events = ReadEvents(self.clock, self.presence, self.find, self.tell_realms)
        self.device, self.sender = self.listener(READER), self.listener(SENDER)

    def listener(self, account: int) -> Listener:
        listener = Listener()
        self.presence.listen(account, listener, True, all_events=True)
        return listener

    def find(self, _reader: Reader, places: Sequence[int]) -> Deferred[Iterable[Audience]]:
        self.looked_up.append(list(places))
        found = [self.audiences[each] for each in places if each in self.audiences]
        return self.answer or succeed(found)

    async def tell_realms(self, _reader: Reader, audience: Audience, seq: int) -> None:
        self.realms += [(realm, seq) for realm in audience.realms]

    def heard(self, listener: Listener) -> list[tuple[int, int]]:
        """The conversations and seqs of the events since the last call."""
        found = [
            (event.conversation, event.seq)
            for event in listener.heard
            if isinstance(event, ReadMoved)
        ]
        listener.heard.clear()
        return found

    def test_at_once(self) -> None:
        self.audiences = {7: Audience(7, (SENDER,))}
        self.events.moved(BUDI, {7: 1})
        self.assertEqual(self.heard(self.sender), [(7, 1)])
        self.assertEqual(self.heard(self.device), [(7, 1)])
        self.clock.advance(INTERVAL)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_one_that_fails(self) -> None:
        """The others are told in the next round."""
        self.audiences = {
            7: Audience(7, realms=("realm2",)),
            8: Audience(8, realms=("realm3",)),
            9: Audience(9, (SENDER,)),
        }
        told = self.events._tell_realms
        self.patch(self.events, "_tell_realms", lambda *_: fail(StorageFailed()))
        self.events.moved(BUDI, {7: 1, 8: 1, 9: 1})
        self.patch(self.events, "_tell_realms", told)
        self.clock.advance(INTERVAL)
        self.assertEqual((self.realms, self.heard(self.sender)), ([("realm3", 1)], [(9, 1)]))

    def test_not_where_it_came_from(self) -> None:
        other = self.listener(READER)
        self.events.moved(BUDI, {7: 1}, self.device)
        self.assertEqual((self.heard(self.device), self.heard(other)), ([], [(7, 1)]))

    def test_only_the_last_of_a_round(self) -> None:
        self.audiences = {7: Audience(7, (SENDER,))}
        for seq in range(1, 501):
            self.events.moved(BUDI, {7: seq})
        self.assertEqual(self.heard(self.sender), [(7, 1)])
        self.clock.advance(INTERVAL)
        self.assertEqual(self.heard(self.sender), [(7, 500)])
        self.assertEqual(self.heard(self.device), [(7, 1), (7, 500)])

    def test_one_conversation_for_each_person(self) -> None:
        """Others wait for the next round, the longest-waiting first; the reader's devices do not wait."""
        self.listener(OTHER)
        self.audiences = {
            7: Audience(7, (SENDER, OTHER)),
            8: Audience(8, (SENDER,)),
            9: Audience(9, (OTHER,)),
        }
        self.events.moved(BUDI, {7: 1, 8: 1, 9: 1})
        self.assertEqual(self.heard(self.sender), [(7, 1)])
        self.assertEqual(self.heard(self.device), [(7, 1), (8, 1), (9, 1)])
        self.events.moved(BUDI, {7: 2})
        self.clock.advance(INTERVAL)
        self.assertEqual(self.heard(self.sender), [(8, 1)])
        self.clock.advance(INTERVAL)
        self.assertEqual(self.heard(self.sender), [(7, 2)])

    def test_other_realms(self) -> None:
        self.audiences = {
            7: Audience(7, realms=("realm2",), peer="ana@realm2"),
            8: Audience(8, realms=("realm2",), peer="dewi@realm2"),
        }
        self.events.moved(BUDI, {7: 1, 8: 1})
        self.assertEqual(self.realms, [("realm2", 1), ("realm2", 1)])

    def test_slow_lookup(self) -> None:
        """The next lookup begins when the last one has ended."""
        self.audiences = {7: Audience(7, (SENDER,))}
        self.answer = Deferred()
        self.events.moved(BUDI, {7: 1})
        self.events.moved(BUDI, {7: 2})
        self.clock.advance(INTERVAL)
        self.assertEqual(self.looked_up, [[7]])
        answer, self.answer = self.answer, None
        answer.callback([self.audiences[7]])
        self.assertEqual(self.heard(self.sender), [(7, 1)])
        self.clock.advance(INTERVAL)
        self.assertEqual(self.heard(self.sender), [(7, 2)])

    def test_lookup_that_fails(self) -> None:
        """What was not told then is left out; later marks are told."""
        self.audiences = {7: Audience(7, (SENDER,))}
        self.answer = fail(StorageFailed())
        self.events.moved(BUDI, {7: 1})
        self.answer = None
        self.events.moved(BUDI, {7: 2})
        self.clock.advance(INTERVAL)
        self.assertEqual(self.heard(self.sender), [(7, 2)])

    def test_stopped(self) -> None:
        self.events.moved(BUDI, {7: 1})
        self.events.stop()
        self.events.moved(BUDI, {7: 2})
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.heard(self.device), [(7, 1)])

    @given(
        st.lists(
            st.tuples(st.floats(0, 1), st.dictionaries(st.integers(0, 4), st.integers(1, 99))),
            max_size=20,
        )
    )
    def test_any_moves(self, moves: list[tuple[float, dict[int, int]]]) -> None:
        """No second has more than two events for a sender, and the last mark of each conversation arrives."""
        self.setUp()
        self.audiences = {place: Audience(place, (SENDER,)) for place in range(5)}
        last: dict[int, int] = {}
        times: list[float] = []
        told: dict[int, int] = {}

        def note() -> None:
            for place, seq in self.heard(self.sender):
                times.append(self.clock.seconds())
                told[place] = seq

        for pause, moved in moves:
            self.events.moved(BUDI, moved)
            last.update(moved)
            note()
            for _ in range(10):
                self.clock.advance(pause / 10)
                note()
        for _ in range(20):
            self.clock.advance(INTERVAL)
            note()
        self.assertEqual(told, last)
        for first, third in zip(times, times[2:], strict=False):
            self.assertGreaterEqual(third - first, 1)
