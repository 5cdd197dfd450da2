"""What federation needs of the links to other realms. chatd.federation.amp implements it."""

from __future__ import annotations

from chatd.service.remote import IRealms, OnOutcome
from chatd.store.outcomes import SentEntry


class ILinks(IRealms):
    """The links. Parcels that are handed over are in the outbox already, so none is lost with a link."""

    def dispatch(
        realm: str,
        number: int,
        parcel: bytes,
        file: int | None,
        entry: SentEntry | None,
        on_outcome: OnOutcome,
    ) -> None:
        """Send a parcel, after the bytes of the attachment with the id `file`. `entry` is the message that it
        carries, if an account here has sent it. `on_outcome` is called once, within seconds."""

    def post(
        realm: str, number: int, parcel: bytes, file: int | None, entry: SentEntry | None = None
    ) -> bool:
        """As `dispatch`, without waiting for the outcome. Returns whether the realm is linked."""

    def blanked(realm: str, number: int, parcel: bytes) -> None:
        """A parcel that may wait in memory has lost its content: send it in this form."""

    def type(realm: str, sender: str, to: str) -> None:
        """Tell the realm that somebody is writing to `to`, if it is linked and takes that."""

    def lacks(realm: str, capability: str) -> bool:
        """Whether the realm is linked, and lacks a capability (chatd.federation.capabilities). May be called
        in any thread."""

    def source_of(realm: str) -> str:
        """The network source (`chatd.base.sources`) of the realm's link if it has dialled, else an empty
        string."""
