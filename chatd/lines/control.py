"""The connections of the control socket. The system has checked who opens them, so they need no login."""

from __future__ import annotations

from collections.abc import Mapping

from chatd.base.errors import TooManyConnections
from chatd.base.principals import Principal
from chatd.base.roles import OPERATOR
from chatd.commands.sessions import Sessions
from chatd.lines.connections import Connections
from chatd.lines.dialects.control import ControlDialect
from chatd.lines.factory import ChatLineFactory
from chatd.lines.protocol import ChatLineProtocol
from chatd.net.eager import FlushQueue
from chatd.net.sockets import peer_uid
from chatd.service.chat_service import ChatService

MAX_CONNECTIONS = 20  # of the control socket, besides those of the doors


def local_operator(uid: int | None, users: Mapping[int, str]) -> Principal:
    """Somebody at the control socket. `users` are the known users of the system, by their ids."""
    if uid is None:
        return Principal("local", OPERATOR, is_local=True)
    return Principal(f"local:{users.get(uid, uid)}", OPERATOR, is_local=True)


class ControlProtocol(ChatLineProtocol):
    """A connection of the control socket."""

    factory: ControlFactory

    def connectionMade(self) -> None:
        self.connection.actor = local_operator(peer_uid(self.transport), self.factory.users)
        super().connectionMade()


class ControlFactory(ChatLineFactory):
    """Builds the connections of the control socket. They are counted apart from those of the doors, so that
    operators get in while the realm is full."""

    line_protocol = ControlProtocol

    def __init__(
        self,
        service: ChatService,
        sessions: Sessions,
        flush_queue: FlushQueue,
        users: Mapping[int, str],
    ) -> None:
        self._count = Connections()
        super().__init__(service, sessions, self._count, flush_queue, ControlDialect())
        self.users = users

    def admit(self, source: str | None) -> TooManyConnections | None:
        """The error for one connection too many."""
        if self._count.total > MAX_CONNECTIONS:
            return TooManyConnections(where="to the control socket")
        return None
