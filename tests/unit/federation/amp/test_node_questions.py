"""Questions to another realm that a node passes to the one with the link, over a bus that loses some."""

from __future__ import annotations

from collections.abc import Awaitable
from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.errors import ChatError, NotSupportedThere, RealmDown, TooManyUnknown
from chatd.federation.amp import node_questions, wire
from chatd.federation.amp.node_questions import (
    BEAT,
    MAX_FOR_REALM,
    PATIENCE,
    LinkQuestion,
    NodeQuestions,
)
from chatd.federation.amp.wire import Refused
from chatd.service.node_news import NodeNews
from tests.support.buses import MemoryBus

MEMBERS = {"user": "ana", "group": "ramai", "start": 0}


class Node:
    """A node with questions. `calls` are the requests that have reached the realm, and `answers` what waits
    for its answers. `named` is the name of the node that has the lease, as this one was told, and `stored`
    as the database has it."""

    def __init__(self, name: str, buses: list[MemoryBus], clock: Clock) -> None:
        self.bus = MemoryBus(name, buses)
        news = NodeNews(self.bus, clock)
        news.name = name
        self.news = news
        self.named: str | None = None
        self.stored: str | None = None
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.answers: list[Deferred[Any]] = []
        self.down = False
        self.lacks: frozenset[str] = frozenset()
        self.peer: Any = SimpleNamespace(
            owned=False, known=SimpleNamespace(name="realm2"), link=self
        )
        self.is_up = True
        self.told: list[tuple[Any, dict[str, Any]]] = []
        context: Any = SimpleNamespace(clock=clock, news=news, random_bytes=bytes)
        peers: Any = {"realm2": self.peer}
        states: Any = self
        self.questions = NodeQuestions(context, peers, states, self.linked)

    async def linked(self, _peer: object) -> Any:
        if self.down:
            raise RealmDown(realm="realm2")
        return self

    # As LinkStates

    async def look_up(self, _realm: str) -> str | None:
        return self.stored

    async def owner(self, _realm: str) -> str | None:
        return self.named

    def may_act(self, peer: Any) -> bool:
        return bool(peer.owned)

    def told_owner(self, _realm: str) -> str | None:
        return self.named

    def get(self, _realm: str) -> Any:
        return SimpleNamespace(is_up=True)

    # As a link

    @property
    def requests(self) -> Node:
        return self

    def pass_on(self, command: type[wire.PeerCommand], arguments: Any) -> Awaitable[Any]:
        self.calls.append((command.commandName.decode(), dict(arguments)))
        self.answers.append(Deferred())
        return self.answers[-1]

    def tell(self, command: type[wire.PeerCommand], **arguments: Any) -> None:
        self.told.append((command, arguments))


class Asking(SynchronousTestCase):
    """Node `a` has the lease of realm2, and `b` asks."""

    def setUp(self) -> None:
        self.clock = Clock()
        buses: list[MemoryBus] = []
        self.a, self.b, self.c = (Node(name, buses, self.clock) for name in "abc")
        self.a.peer.owned = True
        self.b.named = self.b.stored = self.c.named = self.c.stored = "a"
        for node in (self.a, self.b, self.c):
            self.addCleanup(node.questions.stop)

    def ask(
        self, node: Node | None = None, command: str = "Members", **more: Any
    ) -> Deferred[dict[str, Any]]:
        asked = (node or self.b).questions.ask("realm2", command, {**MEMBERS, **more})
        return Deferred.fromCoroutine(asked)

    def advance(self, seconds: float) -> None:
        self.clock.pump([0.25] * round(4 * seconds))

    def test_answered(self) -> None:
        """The answer is what the realm has returned, with large bytes in it."""
        asking = self.ask()
        self.assertEqual(self.a.calls, [("Members", MEMBERS)])
        answer = {"members": bytes(65535), "more": 5, "body": bytes(65535), "no": None}
        self.a.answers[0].callback(answer)
        self.assertEqual(self.successResultOf(asking), answer)
        self.assertEqual(self.c.bus.sent, [])
        self.advance(2 * PATIENCE)
        self.assertEqual(len(self.a.bus.sent), 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_refused(self) -> None:
        """What the realm refuses, what it lacks, and what this realm refuses itself, are told as such."""
        refused = [self.ask() for _ in range(3)]
        self.a.answers[0].errback(Refused("not-member", group="ramai"))
        self.a.answers[1].errback(TooManyUnknown(limit=5))
        self.a.answers[2].errback(RealmDown(realm="realm2"))
        found = [self.failureResultOf(each).value for each in refused]
        self.assertEqual(
            [getattr(each, "code", None) for each in found],
            ["not-member", TooManyUnknown.code, RealmDown.code],
        )
        self.a.lacks = frozenset(("profiles",))
        lacking: Any = self.failureResultOf(self.ask(command="Profile")).value
        self.assertEqual(lacking.code, NotSupportedThere.code)
        unknown: Any = self.failureResultOf(self.ask(command="Deliver")).value
        self.assertEqual(unknown.code, wire.INTERNAL)

    def test_unexpected(self) -> None:
        """A bug at the node that answers is logged there, and the other one does not wait."""
        asking = self.ask()
        self.a.answers[0].errback(ZeroDivisionError())
        self.failureResultOf(asking, RealmDown)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_slow_realm(self) -> None:
        """As long as the other node works on a question, it is not lost."""
        asking = self.ask(command="Join")
        self.advance(3 * PATIENCE)
        self.assertNoResult(asking)
        self.a.answers[0].callback({"group": "ramai", "group_id": 1})
        self.successResultOf(asking)

    def test_lost_answers(self) -> None:
        """Reads are asked once more, and fail then; changes fail at once."""
        self.a.bus.lost = True
        reading, changing = self.ask(), self.ask(command="Join")
        self.advance(PATIENCE + BEAT)
        self.failureResultOf(changing, RealmDown)
        self.assertNoResult(reading)
        self.advance(PATIENCE + BEAT)
        self.failureResultOf(reading, RealmDown)
        self.assertEqual([name for name, _ in self.a.calls], ["Members", "Join", "Members"])

    def test_lost_questions(self) -> None:
        """A question that was lost is asked again. One that comes twice is asked once."""
        self.b.bus.lost = True
        asking = self.ask()
        self.advance(BEAT)
        self.b.bus.lost = False
        self.advance(PATIENCE)
        self.assertEqual(len(self.a.calls), 1)
        self.b.bus.send(*self.b.bus.sent[-1])
        self.assertEqual(len(self.a.calls), 1)
        self.a.answers[0].callback({})
        self.successResultOf(asking)
        self.b.bus.send(*self.b.bus.sent[-1])  # late, and it may change something
        self.assertEqual(len(self.a.calls), 1)
        self.advance(2 * BEAT)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_elsewhere(self) -> None:
        """A node that has lost the lease says so, and the one that the database names is asked, also for a
        change."""
        self.a.peer.owned, self.c.peer.owned, self.b.stored = False, True, "c"
        asking = self.ask(command="Join")
        self.assertEqual((self.a.calls, len(self.c.calls)), ([], 1))
        self.c.answers[0].callback({})
        self.successResultOf(asking)
        self.c.peer.owned = False
        self.failureResultOf(self.ask(), RealmDown)

    def test_here_meanwhile(self) -> None:
        """If this node has got the lease, it asks the realm itself."""
        self.a.peer.owned, self.b.peer.owned, self.b.stored = False, True, None
        asking = self.ask()
        self.b.answers[0].callback({})
        self.successResultOf(asking)

    def test_nobody(self) -> None:
        self.b.named = self.b.stored = None
        self.failureResultOf(self.ask(), RealmDown)
        self.b.questions.notify("realm2", "Typing", {})
        self.assertEqual(self.b.bus.sent, [])

    def test_node_gone(self) -> None:
        """What was asked of a node that has gone is lost at once, and what it has asked is forgotten."""
        changing, reading = self.ask(command="Join"), self.ask()
        self.b.stored = None
        self.b.news.gone("a")
        self.failureResultOf(changing, RealmDown)
        self.failureResultOf(reading, RealmDown)
        self.a.news.gone("b")
        sent = len(self.a.bus.sent)
        self.a.answers[0].callback({})
        self.advance(PATIENCE)
        self.assertEqual(len(self.a.bus.sent), sent)

    def test_flood(self) -> None:
        """One node can't use up a link: questions beyond its share fail, and those of others do not."""
        flood = [self.ask() for _ in range(MAX_FOR_REALM + 2)]
        self.failureResultOf(flood.pop(), RealmDown)
        self.failureResultOf(flood.pop(), RealmDown)
        other = self.ask(self.c)
        self.assertEqual(len(self.a.calls), MAX_FOR_REALM + 1)
        for each in list(self.a.answers):
            each.callback({})
        self.successResultOf(other)
        for done in flood:
            self.successResultOf(done)
        again = self.ask()
        self.a.answers[-1].callback({})
        self.successResultOf(again)

    def test_bounds(self) -> None:
        """The questions of a node are bounded at both ends."""
        self.patch(node_questions, "MAX_FROM_NODE", 2)
        waiting = [self.ask() for _ in range(2)]
        self.failureResultOf(self.ask(), RealmDown)
        self.patch(node_questions, "MAX_ASKING", 2)
        sent = len(self.b.bus.sent)
        self.failureResultOf(self.ask(), RealmDown)
        self.assertEqual(len(self.b.bus.sent), sent)
        for each in self.a.answers:
            each.callback({})
        for done in waiting:
            self.successResultOf(done)

    def test_stopped(self) -> None:
        asking = self.ask()
        self.b.questions.stop()
        self.failureResultOf(asking, ChatError)

    def test_foreign_answers(self) -> None:
        """A node that was not asked answers nothing."""
        asking = self.ask()
        ident = next(iter(self.b.questions._open))
        tell: Any = self.c.questions._answer
        tell("b", node_questions.LinkAnswer(ident, {"members": b"forged"}))
        self.c.questions._tell_open("b", [ident])
        self.assertNoResult(asking)
        self.a.answers[0].callback({})
        self.assertEqual(self.successResultOf(asking), {})

    def test_notices(self) -> None:
        """What wants no answer goes over the link if it is up, and is forgotten otherwise."""
        self.b.questions.notify("realm2", "Typing", {"sender": "ana", "to": "budi"})
        self.assertEqual(self.a.told, [(wire.TypingCommand, {"sender": "ana", "to": "budi"})])
        self.a.is_up = False
        self.b.questions.notify("realm2", "Typing", {"sender": "ana", "to": "budi"})
        self.b.questions._notify("a", LinkQuestion(0, "realm9", "Typing", {}))
        self.assertEqual(len(self.a.told), 1)
