"""Requests to another realm from a node of this one that has no link with it: the node that has one sends
them on, and returns the answer.

A request of AMP and its answer have a few values of at most 65,535 bytes, so each fits in one message of the
bus, and nothing has to be cut into pieces. The bytes of files do not cross: they are fetched by the node with
the link, into the store that all nodes share.

The node that answers tells each second which questions it is still working on. A question is lost if nothing
is heard of it for PATIENCE: the node may have died, or a message of the bus was lost. If it only reads, it is
asked once more. Otherwise it fails as over a link that has dropped: the other realm may have done what it was
asked for, or not.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from chatd.base.background import in_background
from chatd.base.cache import Cache
from chatd.base.errors import ChatError, NotSupportedThere, RealmDown
from chatd.base.timers import Timer
from chatd.federation.amp import wire
from chatd.federation.amp.link_states import LinkStates
from chatd.federation.amp.peer_calls import NEEDED, PeerCalls
from chatd.federation.amp.peers import Peer, PeerTable
from chatd.federation.amp.requests import PeerRequests
from chatd.federation.amp.wire import PeerCommand, Refused
from chatd.federation.capabilities import ALL
from chatd.federation.refusals import verdict_of
from chatd.service.context import Context

BEAT = 1.0  # seconds between two messages that say what is still answered
PATIENCE = 3.0  # seconds without any news of a question, after which it is lost
MAX_ASKING = 1000  # questions of this node under way
MAX_FROM_NODE = 500  # questions of one node that are answered at a time
# Those of them for one realm. Half of what a link takes (chatd.federation.amp.requests.MAX_ASKED) is left to
# others.
MAX_FOR_REALM = 16
# Questions that are remembered after they were answered, so that one that comes again then is not asked twice
MAX_REMEMBERED = 1000
READING_CHANGES = ("describe", "bans")  # the changes of ChangeCommand that only read

# Questions that may be asked twice
_READS = (
    wire.FindCommand,
    wire.MembersCommand,
    wire.PresenceCommand,
    wire.ProfileCommand,
    wire.GroupPictureCommand,
    wire.PastCommand,
    wire.RosterCommand,
    wire.LineageCommand,
    wire.FileCommand,
)
_QUESTIONS: Mapping[str, type[PeerCommand]] = {
    command.commandName.decode(): command
    for command in (
        *_READS,
        wire.JoinCommand,
        wire.ChangeCommand,
        wire.RescueCommand,
        wire.FollowCommand,
        wire.ReturnCommand,
        wire.HandoverCommand,
    )
}
_NOTICES: Mapping[str, type[PeerCommand]] = {
    command.commandName.decode(): command
    for command in (
        wire.TypingCommand,
        wire.RosterChangedCommand,
        wire.FileReadyCommand,
        wire.ProfileChangedCommand,
    )
}

log = Logger()


class LinkQuestion(msgspec.Struct, frozen=True, array_like=True):
    """A request to the realm with that key, or a notice that wants no answer. `command` is its name. `id` is
    the asking node's."""

    id: int
    realm: str
    command: str
    arguments: dict[str, Any]


class LinkAnswer(msgspec.Struct, frozen=True, array_like=True):
    """The answer to a question: a `result`, the code and the details of a refusal, or neither of them if the
    realm can't be reached. `elsewhere`: the node does not have the lease."""

    id: int
    result: dict[str, Any] | None = None
    refused: tuple[str, dict[str, Any]] | None = None
    elsewhere: bool = False


class OpenQuestion(msgspec.Struct):
    """A question to a node. `heard` is when something was heard of it, by the clock."""

    node: str
    heard: float
    answer: Deferred[LinkAnswer]


class _Lost(Exception):
    """Nothing is heard of a question, or its node has gone."""


class NodeQuestions:
    """`linked` returns the link with a realm of this node, dials if that rests, and raises RealmDown."""

    def __init__(
        self,
        context: Context,
        peers: PeerTable,
        states: LinkStates,
        linked: Callable[[Peer], Awaitable[PeerCalls]],
    ) -> None:
        self._context = context
        self._clock = context.clock
        self._peers = peers
        self._states = states
        self._linked = linked
        self._works: dict[str, Callable[[dict[str, Any]], Awaitable[object]]] = {}
        self._next = int.from_bytes(context.random_bytes(6))  # other than before a restart
        self._open: dict[int, OpenQuestion] = {}
        # The questions of each node that are answered, and the realms that they are for
        self._answering: dict[str, dict[int, str]] = {}
        self._remembered: Cache[tuple[str, int], bool] = Cache(MAX_REMEMBERED)
        self._stopped = False
        self._beat = Timer(context.clock, self._tick)
        news = context.news
        self._ask = news.direct_topic("link question", LinkQuestion, self._asked)
        self._notify = news.direct_topic("link notice", LinkQuestion, self._noticed)
        self._answer = news.direct_topic("link answer", LinkAnswer, self._answered)
        self._tell_open = news.direct_topic("link answering", list[int], self._heard)
        news.on_gone(self._gone)

    def stop(self) -> None:
        """Fail what is asked, and answer nothing any more."""
        self._stopped = True
        self._beat.cancel()
        self._answering.clear()
        for ident in [*self._open]:
            self._lose(ident)

    def work(self, name: str, do: Callable[[dict[str, Any]], Awaitable[object]]) -> None:
        """Let other nodes ask this one to do something for a realm, which `ask` names as a command."""
        self._works[name] = do

    # Asking

    async def ask(self, realm: str, command: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Let the node that links with a realm ask it. Returns the answer. Raises Refused, and RealmDown."""
        asked = LinkQuestion(0, realm, command, arguments)
        node = await self._states.owner(realm)
        try:
            answer = await self._ask_node(node, asked)
            may_repeat = answer.elsewhere  # nothing was done
        except _Lost:
            answer, may_repeat = LinkAnswer(0), _only_reads(asked)
        if may_repeat:
            try:
                answer = await self._ask_node(await self._states.look_up(realm), asked)
            except _Lost:
                answer = LinkAnswer(0)
        if answer.refused is not None:
            code, details = answer.refused
            raise Refused(code, **details)
        if answer.result is None:
            raise RealmDown(realm=self._name_of(realm))
        return answer.result

    def notify(self, realm: str, command: str, arguments: dict[str, Any]) -> None:
        """Let the node that links with a realm tell it something, if it is linked."""
        known = self._states.get(realm)
        node = self._states.told_owner(realm)
        if node is not None and known is not None and known.is_up:
            self._notify(node, LinkQuestion(0, realm, command, arguments))

    def _name_of(self, realm: str) -> str:
        peer = self._peers.get(realm)
        return realm if peer is None else peer.known.name

    async def _ask_node(self, node: str | None, asked: LinkQuestion) -> LinkAnswer:
        """Ask a node, or this one if no other has the lease. Raises _Lost."""
        if node is None:
            return await self._find(asked)
        if self._stopped or len(self._open) >= MAX_ASKING:
            return LinkAnswer(0)
        self._next += 1
        ident, waiting = self._next, Deferred[LinkAnswer]()
        self._open[ident] = OpenQuestion(node, self._clock.seconds(), waiting)
        self._ask(node, msgspec.structs.replace(asked, id=ident))
        self._beat.start(BEAT)
        return await waiting

    def _answered(self, node: str, answer: LinkAnswer) -> None:
        question = self._open.get(answer.id)
        if question is not None and question.node == node:
            del self._open[answer.id]
            question.answer.callback(answer)

    def _heard(self, node: str, questions: list[int]) -> None:
        """A node works on these questions."""
        for ident in questions:
            question = self._open.get(ident)
            if question is not None and question.node == node:
                question.heard = self._clock.seconds()

    def _lose(self, ident: int) -> None:
        self._open.pop(ident).answer.errback(_Lost())

    def _gone(self, node: str) -> None:
        """A node has left, or was removed."""
        self._answering.pop(node, None)
        for ident in [ident for ident, each in self._open.items() if each.node == node]:
            self._lose(ident)

    def _tick(self) -> None:
        """Tell the others what is still answered, and give up what is lost."""
        for node, questions in self._answering.items():
            self._tell_open(node, list(questions))
        before = self._clock.seconds() - PATIENCE
        for ident in [ident for ident, each in self._open.items() if each.heard <= before]:
            self._lose(ident)
        if self._open or self._answering:
            self._beat.start(BEAT)

    # Answering

    def _asked(self, node: str, asked: LinkQuestion) -> None:
        under_way, known = self._answering.get(node, {}), (node, asked.id)
        if self._stopped or asked.id in under_way or known in self._remembered:
            return
        for_realm = sum(realm == asked.realm for realm in under_way.values())
        if len(under_way) >= MAX_FROM_NODE or for_realm >= MAX_FOR_REALM:
            self._answer(node, LinkAnswer(asked.id))
            return
        under_way[asked.id], self._remembered[known] = asked.realm, True
        self._answering[node] = under_way
        self._beat.start(BEAT)
        in_background("a question of another node was not answered", self._answer_to(node, asked))

    async def _answer_to(self, node: str, asked: LinkQuestion) -> None:
        answer = LinkAnswer(asked.id)
        try:
            answer = await self._find(asked)
        finally:
            under_way = self._answering.get(node, {})
            if under_way.pop(asked.id, None) is not None:
                self._answer(node, answer)
            if not under_way:
                self._answering.pop(node, None)

    async def _find(self, asked: LinkQuestion) -> LinkAnswer:
        """Do what is asked, if this node has the lease."""
        peer = self._peers.get(asked.realm)
        if peer is None or not self._states.may_act(peer):
            return LinkAnswer(asked.id, elsewhere=True)
        try:
            return LinkAnswer(asked.id, await self._ask_realm(peer, asked))
        except Refused as refused:
            return LinkAnswer(asked.id, refused=(refused.code, refused.details))
        except RealmDown:
            return LinkAnswer(asked.id)
        except ChatError as error:
            verdict = verdict_of(error)
            return LinkAnswer(asked.id, refused=(verdict.code, dict(verdict.details)))

    async def _ask_realm(self, peer: Peer, asked: LinkQuestion) -> dict[str, Any]:
        """Raises Refused, ChatError."""
        if (work := self._works.get(asked.command)) is not None:
            await work(asked.arguments)
            return {}
        command = _QUESTIONS.get(asked.command)
        if command is None:
            raise Refused(wire.INTERNAL)  # of a later version
        link = await self._linked(peer)
        if (needed := NEEDED.get(command)) is not None and needed in link.lacks:
            raise NotSupportedThere(realm=peer.known.name, what=ALL[needed])
        return await link.requests.pass_on(command, asked.arguments)

    def _noticed(self, _node: str, notice: LinkQuestion) -> None:
        """Another node has something to tell a realm."""
        peer, command = self._peers.get(notice.realm), _NOTICES.get(notice.command)
        link = None if peer is None else peer.link
        if link is not None and link.is_up and command is not None:
            link.tell(command, **notice.arguments)


def _only_reads(asked: LinkQuestion) -> bool:
    """Whether a question may be asked twice."""
    command = _QUESTIONS.get(asked.command)
    if command is wire.ChangeCommand:
        return asked.arguments.get("change") in READING_CHANGES
    return command is None or command in _READS


class LinkElsewhere(PeerCalls):
    """The link of another node with a realm."""

    def __init__(self, realm: str, states: LinkStates, questions: NodeQuestions) -> None:
        self._realm = realm
        self._states = states
        self._questions = questions
        self.requests = PeerRequests(self)

    @property
    def realm(self) -> str:
        return self._realm

    @property
    def lacks(self) -> frozenset[str]:
        known = self._states.get(self._realm)
        return frozenset(() if known is None else known.lacks or ())

    @property
    def is_up(self) -> bool:
        known = self._states.get(self._realm)
        return known is not None and known.is_up

    def call(self, command: type[PeerCommand], **arguments: Any) -> Deferred[Any]:
        name = command.commandName.decode()
        return Deferred.fromCoroutine(self._questions.ask(self._realm, name, arguments))

    def tell(self, command: type[PeerCommand], **arguments: Any) -> None:
        self._questions.notify(self._realm, command.commandName.decode(), arguments)

    def protocol_error(self, what: object) -> None:
        """The node with the link counts the requests without an answer."""

    def abort(self) -> None:
        """The node with the link ends it."""
