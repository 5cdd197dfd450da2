"""What this realm asks and tells another one, over its own link with it or through another node's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from chatd.base.errors import RealmDown
from chatd.federation.amp import contents, wire
from chatd.federation.amp.requests import PeerRequests
from chatd.federation.amp.wire import PeerCommand, Refused
from chatd.federation.capabilities import FILES, PAST, PRESENCE, PROFILES, RESCUES, TYPING
from chatd.federation.parcels import Verdict, encode
from chatd.federation.refusals import refusal
from chatd.service.remote import TheirState

# The capability that a realm has to have to get a request
NEEDED: Mapping[type[PeerCommand], str] = {
    wire.TypingCommand: TYPING,
    wire.PresenceChangedCommand: PRESENCE,
    wire.RosterChangedCommand: RESCUES,
    wire.FileReadyCommand: FILES,
    wire.ProfileChangedCommand: PROFILES,
    wire.ProfileCommand: PROFILES,
    wire.GroupPictureCommand: PROFILES,
    wire.PastCommand: PAST,
}


class PeerCalls:
    """Requests to the realm with the key `realm`. Subclasses say how they get there."""

    requests: PeerRequests

    @property
    def realm(self) -> str:
        raise NotImplementedError

    @property
    def lacks(self) -> frozenset[str]:
        """The capabilities that the realm lacks, as far as is known."""
        raise NotImplementedError

    def call(self, command: type[PeerCommand], **arguments: Any) -> Deferred[Any]:
        """Send a request. Fires with the answer; fails with Refused, or with RealmDown if none comes."""
        raise NotImplementedError

    def tell(self, command: type[PeerCommand], **arguments: Any) -> None:
        """Send a request that wants no answer, if the realm has the capability that it needs."""
        raise NotImplementedError

    def protocol_error(self, what: object) -> None:
        """End a link that breaks the protocol."""
        raise NotImplementedError

    def abort(self) -> None:
        """End a link on which no answer comes."""
        raise NotImplementedError

    def rosters_changed(self, numbers: Sequence[tuple[int, int]]) -> None:
        """Tell the other realm the numbers of rosters, if it takes that."""
        self.tell(wire.RosterChangedCommand, listed=encode(numbers))

    def type(self, sender: str, to: str) -> None:
        """Tell the other realm that a user is writing, if it takes that."""
        self.tell(wire.TypingCommand, sender=sender, to=to)

    def profile_changed(self, user: str) -> None:
        """Tell the other realm that the profile of a user here has changed, if it takes that."""
        self.tell(wire.ProfileChangedCommand, user=user)

    def presence_changed(self, states: Sequence[TheirState]) -> None:
        """Tell the other realm who is online now, if it takes that."""
        for data in contents.encode_states(states):
            self.tell(wire.PresenceChangedCommand, states=data)

    def file_ready(self, realm: str, number: int) -> None:
        """Tell the other realm that a file can be asked for now, if it takes that."""
        self.tell(wire.FileReadyCommand, realm=realm, number=number)

    def file(self, realm: str, number: int, offset: int, size: int) -> Deferred[bytes]:
        """Ask for a piece of a file. Fails with the refusals of the other realm as ChatErrors, and with
        RealmDown. A link on which no answer comes is dropped."""
        answer = self.call(wire.FileCommand, realm=realm, number=number, offset=offset, size=size)
        return answer.addCallbacks(lambda found: found["data"], self._no_piece)

    def _no_piece(self, failure: Failure) -> Any:
        error = failure.value
        if isinstance(error, Refused):
            raise refusal(Verdict(error.code, error.details), self.realm)
        if isinstance(error, RealmDown):
            self.abort()
        return failure
