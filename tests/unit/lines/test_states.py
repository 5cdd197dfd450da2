"""The table of a connection's states."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chatd.lines.states import TRANSITIONS, ConnectionEvent, ConnectionState


class Table(SynchronousTestCase):
    def test_every_state_is_reachable(self) -> None:
        found = {ConnectionState.HANDSHAKE}
        while more := {to for (state, _), to in TRANSITIONS.items() if state in found} - found:
            found |= more
        self.assertEqual(found, set(ConnectionState))

    def test_a_lost_connection_stays_lost(self) -> None:
        self.assertNotIn(ConnectionState.LOST, {state for state, _ in TRANSITIONS})

    def test_every_other_state_can_be_lost(self) -> None:
        for state in set(ConnectionState) - {ConnectionState.LOST}:
            self.assertIs(TRANSITIONS[state, ConnectionEvent.LOST], ConnectionState.LOST)

    def test_no_state_after_closing_takes_requests(self) -> None:
        after = {to for (state, _), to in TRANSITIONS.items() if state is ConnectionState.CLOSING}
        self.assertEqual(after, {ConnectionState.LOST})
