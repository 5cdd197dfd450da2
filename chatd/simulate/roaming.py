"""Users of a realm with several nodes: their clients connect to any of them, and go to another one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from chatd.base.errors import ChatError
from chatd.base.events import Event
from chatd.base.replies import Reply
from chatd.base.texts import Secret
from chatd.commands import values as ask
from chatd.commands.client import Client
from chatd.commands.connection import Connection, Origin
from chatd.service.presence import IListener
from chatd.simulate.followed_logs import FollowedLogs
from chatd.simulate.nodes import SharedServer, SimulatedNode
from chatd.simulate.people import Person
from chatd.simulate.servers import Server, Stuck
from chatd.simulate.trace import Trace

PASSWORD = "surabaya"  # noqa: S105 - of people who do not exist
PAUSES = (0.05, 0.3, 1.0)  # seconds until a client connects again
# After these a client reads the conversation: it has entries from before, and one that only others are told.
JOINS = (ask.JoinGroup, ask.AcceptInvitation)


@implementer(IListener)
class ClientLine:
    """A connection of a client to a node."""

    def __init__(self, person: RoamingPerson, node: SimulatedNode) -> None:
        self.node = node
        self.realm = node.realm
        self._person = person
        self.connection = Connection(node.realm.sessions, self, Origin("here", 1))

    def deliver(self, events: Sequence[Event]) -> None:
        self._person.hears(self, events)

    def drop(self) -> None:
        self._person.lost(self)
        self.node.network.clock.callLater(0, self.end, False)

    def refuse(self, _error: ChatError) -> None:
        self._person.lost(self)

    def end(self, clean: bool) -> None:
        """The node notices that the connection has ended."""
        if self.node.is_open and self.node.realm is self.realm:
            self.node.soon(lambda: self.connection.leave(clean))


class RoamingPerson(Person):
    """A user with one client, which listens for everything. What they ask while it is not connected waits.
    `moves` counts connections: what was not answered on an earlier one never will be."""

    def __init__(self, shared: SharedServer, name: str, random: Random, trace: Trace) -> None:
        super().__init__(shared.nodes[0], name)
        self.logs = FollowedLogs(self._read_again)
        self.moves = 0
        self.heard: list[tuple[float, Event]] = []  # with the network's time
        self.in_room = False
        self._shared = shared
        self._random = random
        self._trace = trace
        self._network = shared.nodes[0].network
        self._line: ClientLine | None = None
        self._ready = False
        self._token: str | None = None
        self._queue: list[tuple[Callable[[Client], Deferred[Any]], Deferred[Any]]] = []
        self._reading: set[int] = set()
        shared.people.append(self)
        adding = self._server.service.accounts.add(name, PASSWORD, None, None)
        self.account = self._network.result(adding)
        self.connect()

    # The connection

    @property
    def server(self) -> Server:
        return self._server if self._line is None else self._line.node

    @property
    def is_connected(self) -> bool:
        return self._line is not None

    @property
    def client(self) -> Client:
        if self._line is None:
            raise Stuck(f"{self.name} is not connected")
        return self._line.connection.own

    def connect(self) -> None:
        """Connect to any node that answers, and resume the session there."""
        if self._line is not None:
            return
        there = [node for node in self._shared.nodes if node.is_open and not node.is_stopped]
        if not there:
            self._network.clock.callLater(1.0, self.connect)
            return
        node = self._random.choice(there)
        self._trace.say(f"{self.name} connects to {node.label}")
        line = self._line = ClientLine(self, node)
        Deferred.fromCoroutine(self._enter(line)).addErrback(self._failed)

    async def _enter(self, line: ClientLine) -> None:
        connection = line.connection
        begin: ask.Command = ask.LogIn(self.name, Secret(PASSWORD))
        if self._token is not None:
            begin = ask.ResumeSession(Secret(self._token))
        try:
            reply = await connection.own.reply_to(begin)
            self._token = self._token or str(reply.fields["tokenId"])
            await connection.own.reply_to(ask.SetListening(True, all=True))
        except ChatError as error:
            self._trace.say(f"{self.name} is refused by {line.node.label}: {error}")
            self.lost(line)
            return
        if self._line is line:
            self._ready = True
            queue, self._queue = self._queue, []
            for begin_one, done in queue:
                self.on_client(begin_one).chainDeferred(done)
            await self.logs.read_all(connection.own)

    def _failed(self, failure: Failure) -> None:
        """The reading of logs was ended by an error; the client reads again when it has connected again."""
        failure.trap(ChatError)
        if self._line is not None:
            self.goes(False)

    def lost(self, line: ClientLine) -> None:
        """The connection has ended. Connect again soon."""
        if line is self._line:
            self._line, self._ready, self.in_room = None, False, False
            self._reading.clear()
            self.moves += 1
            self._network.clock.callLater(self._random.choice(PAUSES), self.connect)

    def node_ended(self, node: SimulatedNode) -> None:
        """A node ends, or was killed."""
        if self._line is not None and self._line.node is node:
            self.lost(self._line)

    def goes(self, clean: bool, notices_after: float = 0.0) -> None:
        """Close the connection, and connect again. The node notices that after so many seconds."""
        line = self._line
        if line is not None:
            self.lost(line)
            self._network.clock.callLater(notices_after, line.end, clean)

    # What the client does

    def begins(self, command: ask.Command) -> Deferred[Any]:
        done = super().begins(command)
        return done.addCallback(self._joined) if isinstance(command, JOINS) else done

    def _joined(self, reply: Reply) -> Reply:
        """The person is a member of a group now."""
        conversation = reply.data.get("conversation")
        if conversation is not None:
            self._read_again(conversation)
        return reply

    def on_client(self, begin: Callable[[Client], Deferred[Any]]) -> Deferred[Any]:
        done: Deferred[Any] = Deferred()
        line = self._line
        if line is None or not self._ready:
            self._queue.append((begin, done))
            return done

        def answered(answer: Any) -> None:
            if line is self._line:  # else nobody hears it
                done.callback(answer)

        def ask_node() -> None:
            begin(line.connection.own).addBoth(answered)

        line.node.soon(ask_node)
        return done

    def hears(self, line: ClientLine, events: Sequence[Event]) -> None:
        """Events arrive."""
        if line is not self._line:
            return
        self.events.extend(events)
        now = self._network.now
        self.heard.extend((now, event) for event in events)
        for event in events:
            self.logs.hear(event)

    def _read_again(self, conversation: int) -> None:
        """A number is missing: read the conversation, as clients do."""
        if not self._ready or conversation in self._reading:
            return
        self._reading.add(conversation)

        def read(client: Client) -> Deferred[Any]:
            self._reading.discard(conversation)
            return Deferred.fromCoroutine(self.logs.read(client, conversation))

        def begin() -> None:
            self.on_client(read).addErrback(self._failed)

        self._network.clock.callLater(0.05, begin)
