"""Passes the parcels for one realm to the sender of its current link, whenever it has a link."""

from __future__ import annotations

from chatd.federation.amp.link import PeerLink
from chatd.federation.amp.link_sender import Destination, LinkSender
from chatd.service.remote import QUEUED, OnOutcome
from chatd.store.outcomes import SentEntry


class Delivery:
    """Without a link, parcels stay in the outbox, from which the next link sends them."""

    def __init__(self, to: Destination) -> None:
        self._to = to
        self._sender: LinkSender | None = None

    def dispatch(
        self,
        number: int,
        parcel: bytes,
        file: int | None,
        entry: SentEntry | None,
        on_outcome: OnOutcome,
    ) -> None:
        """Send a parcel. `on_outcome` is called with its outcome, or with QUEUED if there is none soon."""
        if self._sender is None:
            on_outcome(QUEUED)
            return
        self._to.waiters.add(number, on_outcome)
        self._sender.add(number, parcel, file, entry)

    def post(
        self, number: int, parcel: bytes, file: int | None, entry: SentEntry | None = None
    ) -> bool:
        """Send a parcel without waiting for the outcome. Returns whether there is a link."""
        if self._sender is None:
            return False
        self._sender.add(number, parcel, file, entry)
        return True

    def blanked(self, number: int, parcel: bytes) -> None:
        """A parcel has lost its content."""
        if self._sender is not None:
            self._sender.blanked(number, parcel)

    def link_up(self, link: PeerLink) -> None:
        """Send everything that waits over `link`."""
        self._end()
        self._sender = LinkSender(self._to, link)
        self._sender.start()

    def link_down(self) -> None:
        """Tell waiting senders that their parcels are queued. The next link sends what was not answered."""
        self._end()
        self._to.waiters.give_up()

    def _end(self) -> None:
        sender, self._sender = self._sender, None
        if sender is not None:
            sender.close()
            self._to.outcomes.link_down(self._to.realm)
