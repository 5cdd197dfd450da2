"""What federation needs of the links to other realms. chatd.federation.amp implements it."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred

from chatd.federation.past_pages import PastPage
from chatd.federation.rescue_parts import Branch, FollowAnswer, FollowQuestion, RescueAnswer
from chatd.federation.roster_pieces import RosterPiece
from chatd.federation.signing.rescues import Rescue
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
        """Send a parcel. `file` is the id of the attachment that it announces; then the outcome is known once
        the realm has the file, too. `entry` is the message that it carries, if an account here has sent it.
        `on_outcome` is called once, within seconds."""

    def post(
        realm: str, number: int, parcel: bytes, file: int | None, entry: SentEntry | None = None
    ) -> bool:
        """As `dispatch`, without waiting for the outcome. Returns whether the realm is linked."""

    def blanked(realm: str, number: int, parcel: bytes) -> None:
        """A parcel that may wait in memory has lost its content: send it in this form."""

    def type(realm: str, sender: str, to: str) -> None:
        """Tell the realm that somebody is writing to `to`, if it is linked and takes that."""

    def file(realm: str, origin: str, number: int, offset: int, size: int) -> Deferred[bytes]:
        """Ask a realm for a piece of the file of the entry `number` of the realm `origin`. Fails with
        RealmDown if it is not linked or does not answer, and with its refusals."""

    def file_ready(realm: str, origin: str, number: int) -> None:
        """Tell the realm that it can ask for that file, if it is linked."""

    def file_taken(realm: str, number: int) -> None:
        """The realm has the file of the parcel with that number."""

    def past(realm: str, group_id: int, before: int, after: int) -> Deferred[PastPage]:
        """Ask a realm for the entries of a group of it with seqs below `before` and above `after`, a page at
        a time. Fails as a question of IRealms, and with NotSupportedThere."""

    def rosters_changed(realm: str, numbers: Sequence[tuple[int, int]]) -> None:
        """Tell the realm the numbers of rosters, by the ids of their groups here, if it is linked and takes
        that."""

    def roster(realm: str, group_id: int, offset: int) -> Deferred[RosterPiece]:
        """Ask a realm for a piece of the roster of a group there. Fails as a question of IRealms."""

    def rescue(realm: str, rescue: Rescue) -> Deferred[RescueAnswer]:
        """Tell a realm of a rescue. Fails as a question of IRealms."""

    def follow(realm: str, asked: FollowQuestion) -> Deferred[FollowAnswer]:
        """Ask a realm that has rescued a group to take members. Fails as a question of IRealms."""

    def lineage(realm: str, home: str, group_id: int) -> Deferred[Sequence[Branch]]:
        """Ask a realm for the rescues of the group that has that id in the realm `home`. Fails as a question
        of IRealms."""

    def hand_over(realm: str, posts: Sequence[bytes]) -> Deferred[None]:
        """Give the home of groups entries of these, as encoded parcels. Fails as a question of IRealms."""

    def handover(realm: str, group_id: int, have: int, start: int) -> Deferred[tuple[bytes, int]]:
        """Ask the home of a group that moves to this realm for a part of its package (chatd.federation
        .handing_over), and the size of the whole. The log here goes up to the seq `have`. Fails as a question
        of IRealms."""

    def renew() -> None:
        """End all links. The next ones begin with what the realms have of each other's parcels."""

    def lacks(realm: str, capability: str) -> bool:
        """Whether the realm is linked, and lacks a capability (chatd.federation.capabilities). May be called
        in any thread."""

    def source_of(realm: str) -> str:
        """The network source (`chatd.base.sources`) of the realm's link if it has dialled, else an empty
        string."""
