"""Messages that are on their way to the home of their group and back."""

from __future__ import annotations

from collections.abc import Sequence
from unittest import mock

import msgspec
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from chatd.base.errors import ChatError, GroupClosed
from chatd.base.events import Event, StateChange
from chatd.federation import returning_posts
from chatd.federation.outcome_waiters import PATIENCE
from chatd.federation.parcels import Relay
from chatd.federation.returning_posts import KNOWN_FOR, ReturningPost, ReturningPosts
from chatd.federation.signing.drafts import EntryDraft, EntryPlace, EntrySigner
from chatd.federation.signing.statements import MessageAttributes
from chatd.service.presence import IListener
from chatd.service.remote import DELIVERED, QUEUED, DeliveryOutcome
from chatd.store.new_entries import NewMessage
from chatd.store.sealing import Numbered, make_parcels
from tests.support.signing import SigningRealm

GIVEN = DeliveryOutcome(seq=11)


@implementer(IListener)
class Origin:
    def deliver(self, events: Sequence[Event]) -> None:
        """It is never told."""

    def refuse(self, error: ChatError) -> None:
        raise AssertionError(error)

    def drop(self) -> None:
        """It is never dropped."""


class ReturningTestCase(TestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.posts = ReturningPosts(self.clock)
        self.outcomes: list[DeliveryOutcome] = []

    def draft(self, number: int) -> EntryDraft:
        key = SigningRealm("realm1").key
        signer = EntrySigner("realm1", key, lambda size: bytes(size))
        place = EntryPlace("realm2", 5)
        draft = signer.draft(
            place, "budi", 7, MessageAttributes(), b"halo", lambda entry, seq: b"parcel"
        )
        make_parcels([Numbered(draft, number)])
        return draft

    def post(
        self, number: int = 1, *, waits: bool = True, origin: IListener | None = None
    ) -> ReturningPost:
        new = NewMessage(3, 1, "budi", 7, "halo")
        on_outcome = self.outcomes.append if waits else None
        post = ReturningPost(new, number, self.draft(number), origin, on_outcome)
        self.posts.add(post)
        return post

    def relay(self, post: ReturningPost) -> Relay:
        return Relay(post.draft.sealed, "bola", 5, 11)

    def test_back_after_the_answer(self) -> None:
        post = self.post()
        self.posts.delivered(post, GIVEN)
        self.assertEqual(self.outcomes, [])
        self.posts.returned(1, 7, 12)
        self.clock.advance(PATIENCE)
        self.assertEqual(self.outcomes, [DeliveryOutcome(seq=12)])

    def test_origins(self) -> None:
        """The connections whose messages come back to another node are known for a while, also if such
        messages never stop."""
        origin = Origin()
        for number in range(1, 41):
            self.post(number, origin=origin)
            self.posts.returned_elsewhere(number, 7, number)
            event = StateChange(7, number, number, "delivered")
            self.assertIs(self.posts.origin_of_event(event), origin)
            self.clock.advance(1.0)
        self.assertLessEqual(len(self.posts._origins), 2 * KNOWN_FOR)
        self.clock.advance(KNOWN_FOR - 2.0)
        self.assertIs(self.posts.origin_of_event(event), origin)
        self.clock.pump([KNOWN_FOR] * 2)
        self.assertIsNone(self.posts.origin_of_event(event))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_back_before_the_answer(self) -> None:
        post = self.post()
        self.posts.returned(1, 7, 12)
        self.posts.returned(1, 7, 13)
        self.posts.delivered(post, GIVEN)
        self.assertEqual(self.outcomes, [DeliveryOutcome(seq=12)])

    def test_not_back_in_time(self) -> None:
        self.posts.delivered(self.post(), GIVEN)
        self.clock.advance(PATIENCE)
        self.posts.returned(1, 7, 11)
        self.assertEqual(self.outcomes, [GIVEN])

    def test_refused(self) -> None:
        post = self.post()
        refused = DeliveryOutcome(GroupClosed(group="bola"))
        self.posts.delivered(post, refused)
        self.assertEqual(self.outcomes, [refused])
        self.assertIsNone(self.posts.find(self.relay(post)))

    def test_queued(self) -> None:
        """It may come back later, and goes to all connections then."""
        post = self.post(origin=Origin())
        self.assertIs(self.posts.origin_of(1), post.origin)
        self.posts.delivered(post, QUEUED)
        self.assertEqual(self.outcomes, [QUEUED])
        self.assertIsNone(self.posts.origin_of(1))
        self.assertIs(self.posts.find(self.relay(post)), post)

    def test_nobody_waits(self) -> None:
        self.posts.delivered(self.post(waits=False), DELIVERED)
        self.assertFalse(self.clock.getDelayedCalls())
        self.posts.returned(1, 7, 11)

    def test_stopped(self) -> None:
        self.posts.delivered(self.post(), GIVEN)
        self.posts.stop()
        self.assertEqual(self.outcomes, [GIVEN])
        self.assertFalse(self.clock.getDelayedCalls())

    def test_changed_on_the_way(self) -> None:
        post = self.post()
        relay = self.relay(post)
        self.assertIs(self.posts.find(relay), post)
        other = msgspec.structs.replace(relay.entry, body=b"hola")
        self.assertIsNone(self.posts.find(msgspec.structs.replace(relay, entry=other)))

    def test_too_large(self) -> None:
        """The bytes that are remembered have a bound, too. What has come back does not count."""
        size = self.post(1).size
        self.assertGreater(size, 0)
        with mock.patch.object(returning_posts, "MAX_BYTES", 2 * size):
            self.posts.returned(1, 7, 11)
            second, third = (self.post(number) for number in (2, 3))
            self.assertIs(self.posts.find(self.relay(second)), second)
            fourth = self.post(4)
        self.assertIsNone(self.posts.find(self.relay(second)))
        self.assertIs(self.posts.find(self.relay(third)), third)
        self.assertIs(self.posts.find(self.relay(fourth)), fourth)

    def test_too_many(self) -> None:
        """The oldest is read as any entry when it comes back, and its sender is still told."""
        with mock.patch.object(returning_posts, "MAX_POSTS", 2):
            first, second, third = (self.post(number) for number in (1, 2, 3))
        self.assertIsNone(self.posts.find(self.relay(first)))
        self.assertIs(self.posts.find(self.relay(second)), second)
        self.assertIs(self.posts.find(self.relay(third)), third)
        self.posts.delivered(first, GIVEN)
        self.assertEqual(self.outcomes, [GIVEN])
