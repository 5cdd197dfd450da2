"""Which data connection belongs to which request."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.errors import (
    Busy,
    NoDataConnection,
    ShuttingDown,
    TransferBroken,
    TransferConflict,
)
from chatd.lines import data_claims
from chatd.lines.data_claims import (
    BLOCK_TIME,
    CLAIM_TIME,
    EARLY_TIME,
    Claim,
    DataClaims,
)

HERE, THERE = "10.0.0.1", "10.0.0.2"


class FakeStream:
    def __init__(self) -> None:
        self.dropped = False
        self.aborted = False

    async def receive(self, upload: Any) -> None:
        raise NotImplementedError

    async def send(self, file: Any) -> None:
        raise NotImplementedError

    def drop(self) -> None:
        self.dropped = True

    def abort(self) -> None:
        self.aborted = True


class Claims(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.claims = DataClaims(self.clock)

    def tearDown(self) -> None:
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def arrive(self, address: str = HERE) -> FakeStream:
        stream = FakeStream()
        self.claims.arrived(address, stream)
        return stream

    def test_connection_after_its_request(self) -> None:
        claim = self.claims.open(HERE)
        waiting = claim.connected()
        self.assertNoResult(waiting)
        stream = self.arrive()
        self.assertIs(self.successResultOf(waiting), stream)
        self.assertFalse(stream.dropped)

    def test_connection_before_the_request_is_ready(self) -> None:
        """While the realm still looks up the recipient."""
        claim = self.claims.open(HERE)
        stream = self.arrive()
        self.assertIs(self.successResultOf(claim.connected()), stream)

    def test_connection_shortly_before_its_request(self) -> None:
        stream = self.arrive()
        self.clock.advance(EARLY_TIME / 2)
        self.assertIs(self.successResultOf(self.claims.open(HERE).connected()), stream)

    def test_connection_without_a_request(self) -> None:
        stream = self.arrive()
        self.clock.advance(EARLY_TIME)
        self.assertTrue(stream.dropped)

    def test_second_connection_without_a_request(self) -> None:
        first, second = self.arrive(), self.arrive()
        self.assertEqual([first.dropped, second.dropped], [False, True])
        self.claims.lost(HERE, second)
        self.claims.lost(HERE, first)
        claim = self.claims.open(HERE)
        self.assertNoResult(claim.connected())
        self.arrive()

    def test_addresses_are_kept_apart(self) -> None:
        here, there = self.claims.open(HERE), self.claims.open(THERE)
        stream = self.arrive(THERE)
        self.assertIs(self.successResultOf(there.connected()), stream)
        self.assertNoResult(here.connected())
        self.arrive(HERE)

    def test_next_request_while_a_file_is_transferred(self) -> None:
        """Only requests that wait for their connections can be mixed up."""
        first = self.claims.open(HERE)
        one = self.arrive()
        second = self.claims.open(HERE)
        two = self.arrive()
        self.assertIs(self.successResultOf(first.connected()), one)
        self.assertIs(self.successResultOf(second.connected()), two)

    def test_no_connection(self) -> None:
        waiting = self.claims.open(HERE).connected()
        self.clock.advance(CLAIM_TIME)
        error = self.failureResultOf(waiting, NoDataConnection).value
        self.assertEqual(error.details, {"seconds": int(CLAIM_TIME)})
        late = self.arrive()
        self.clock.advance(EARLY_TIME)
        self.assertTrue(late.dropped)

    def test_no_connection_while_the_request_is_prepared(self) -> None:
        claim = self.claims.open(HERE)
        self.clock.advance(CLAIM_TIME)
        self.failureResultOf(claim.connected(), NoDataConnection)

    def test_two_requests_at_once(self) -> None:
        """Both fail, and data connections from there are dropped for a while."""
        first = self.claims.open(HERE).connected()
        with self.assertRaises(TransferConflict):
            self.claims.open(HERE)
        self.failureResultOf(first, TransferConflict)
        self.assertEqual([self.arrive().dropped for _ in range(2)], [True, True])
        self.claims.open(THERE)
        self.assertFalse(self.arrive(THERE).dropped)
        self.clock.advance(BLOCK_TIME - 0.1)
        self.assertTrue(self.arrive().dropped)
        self.clock.advance(0.1)
        again = self.claims.open(HERE)
        stream = self.arrive()
        self.assertFalse(stream.dropped)
        self.assertIs(self.successResultOf(again.connected()), stream)

    def test_first_of_two_is_still_prepared(self) -> None:
        first = self.claims.open(HERE)
        with self.assertRaises(TransferConflict):
            self.claims.open(HERE)
        self.failureResultOf(first.connected(), TransferConflict)

    def test_request_during_the_block_prolongs_it(self) -> None:
        """Its connection will come, too, and must not be taken for that of a later request."""
        self.claims.open(HERE)
        with self.assertRaises(TransferConflict):
            self.claims.open(HERE)
        self.clock.advance(BLOCK_TIME - 1)
        with self.assertRaises(TransferConflict):
            self.claims.open(HERE)
        self.clock.advance(BLOCK_TIME - 1)
        self.assertTrue(self.arrive().dropped)
        self.clock.advance(1)
        self.claims.open(HERE)
        self.assertFalse(self.arrive().dropped)

    def test_refused_request_takes_its_connection_along(self) -> None:
        self.claims.open(HERE).refuse()
        self.assertTrue(self.arrive().dropped)
        claim = self.claims.open(HERE)
        self.assertFalse(self.arrive().dropped)
        claim.refuse()

    def test_refused_after_its_connection_came(self) -> None:
        claim = self.claims.open(HERE)
        stream = self.arrive()
        self.assertFalse(stream.dropped)
        claim.refuse()
        self.assertTrue(stream.dropped)

    def test_refused_request_and_another_at_once(self) -> None:
        self.claims.open(HERE).refuse()
        with self.assertRaises(TransferConflict):
            self.claims.open(HERE)
        self.assertTrue(self.arrive().dropped)

    def test_client_goes_on_after_a_refusal(self) -> None:
        """It sends its next request after its data connection, so that one will not come any more."""
        refused = self.claims.open(HERE)
        refused.refuse()
        refused.close()
        self.claims.open(HERE)
        self.assertFalse(self.arrive().dropped)

    def test_client_is_gone_before_its_connection_came(self) -> None:
        claim = self.claims.open(HERE)
        waiting = claim.connected()
        claim.abandon()
        self.failureResultOf(waiting, TransferBroken)
        self.claims.open(HERE)
        self.assertFalse(self.arrive().dropped)

    def test_client_is_gone_during_the_transfer(self) -> None:
        claim = self.claims.open(HERE)
        stream = self.arrive()
        self.successResultOf(claim.connected())
        claim.check()
        claim.abandon()
        self.assertTrue(stream.aborted)
        self.assertRaises(TransferBroken, claim.check)

    def test_numbers_are_bounded(self) -> None:
        most = 50
        self.patch(data_claims, "MAX_ADDRESSES", most)
        addresses = [f"10.1.0.{n}" for n in range(most)]
        for address in addresses:
            self.claims.open(address)
        self.assertRaises(Busy, self.claims.open, HERE)
        for address in addresses:
            self.assertRaises(TransferConflict, self.claims.open, address)
        self.assertTrue(all(self.arrive(address).dropped for address in addresses))
        self.claims.open(HERE)
        self.assertRaises(TransferConflict, self.claims.open, HERE)
        self.assertEqual(len(self.claims._blocked), most)
        early = [self.arrive(f"10.2.0.{n}") for n in range(most + 1)]
        self.assertEqual([each.dropped for each in early], [False] * most + [True])
        self.clock.advance(BLOCK_TIME)
        self.assertTrue(all(each.dropped for each in early))
        self.assertTrue(self.arrive("10.3.0.1"))
        self.clock.advance(EARLY_TIME)
        self.assertEqual(
            (self.claims._claims, self.claims._early, len(self.claims._blocked)), ({}, {}, 0)
        )

    def test_realm_stops(self) -> None:
        waiting = self.claims.open(HERE).connected()
        prepared: Claim = self.claims.open(THERE)
        early = self.arrive("10.0.0.3")
        self.claims.stop()
        self.failureResultOf(waiting, ShuttingDown)
        self.failureResultOf(prepared.connected(), ShuttingDown)
        self.assertTrue(early.dropped)
        self.assertTrue(self.arrive().dropped)
        self.assertRaises(ShuttingDown, self.claims.open, HERE)
