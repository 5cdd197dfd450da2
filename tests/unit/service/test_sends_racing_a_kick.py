"""Messages that race a kick: none of a kicked member has a seq after the entry of the kick."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, select
from twisted.internet.defer import Deferred, DeferredList
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.errors import Banned, ChatError
from chatd.base.model import Account
from chatd.base.names import Address
from chatd.service.chat_service import ChatService
from chatd.store.schema import changes, messages
from tests.support.common import RealmTestCase
from tests.support.inline import outcome_of, result_of
from tests.unit.service.test_groups import BAGAN, GroupsTestCase

GONE = ("kicked", "left")


def log_of(connection: Connection) -> list[tuple[str, str]]:
    """The entries of all groups, in order: the author and `said`, or the member and the change."""
    said = connection.execute(select(messages.c.seq, messages.c.sender)).all()
    facts = connection.execute(
        select(changes.c.seq, changes.c.data).where(changes.c.kind == "member")
    ).all()
    found = [(seq, sender, "said") for seq, sender in said]
    for seq, data in facts:
        fact = msgspec.json.decode(data)
        found.append((seq, fact["who"], fact["what"]))
    return [(who, what) for _, who, what in sorted(found)]


def check(test: SynchronousTestCase | RealmTestCase, log: list[tuple[str, str]]) -> None:
    """Nobody writes while they are no member."""
    members: set[str] = set()
    for who, what in log:
        if what == "joined":
            members.add(who)
        elif what in GONE:
            members.discard(who)
        elif what == "said":
            test.assertIn(who, members, log)


def post(service: ChatService, sender: Account, text: str, key: str | None = None) -> Deferred[Any]:
    return service.messages.post(sender, BAGAN, text, None, key)


class InAnyOrder(GroupsTestCase):
    """With a clock and transactions that move only when told."""

    @given(
        st.lists(
            st.tuples(
                st.sampled_from(("say", "say again", "kick", "join", "leave", "commit")),
                st.sampled_from((1, 2, 3)),
            ),
            max_size=25,
        )
    )
    def test_any_steps(self, steps: list[tuple[str, int]]) -> None:
        """Whatever is under way when the first of the waiting jobs are committed."""
        self.setUp()
        self.create(self.ana)
        people = {1: self.budi, 2: self.citra, 3: self.dewi}
        for each in people.values():
            self.join(each)
        self.database.held = True
        begun: list[Any] = []
        for number, (step, who) in enumerate(steps):
            person = people[who]
            match step:
                case "say":
                    begun.append(post(self.service, person, f"{number}"))
                case "say again":
                    begun.append(post(self.service, person, "again", f"key{who}"))
                case "kick":
                    begun.append(self.groups.kick(self.ana, BAGAN, Address(person.name)))
                case "join":
                    begun.append(self.groups.join(person, BAGAN))
                case "leave":
                    begun.append(self.groups.leave(person, BAGAN))
                case _:
                    self.database.settle(who)
            if begun and not isinstance(begun[-1], Deferred):
                begun[-1] = Deferred.fromCoroutine(begun[-1])
        self.database.held = False
        for _ in range(len(steps) + 1):
            self.database.settle()
        for each in begun:
            outcome_of(each)
        check(self, result_of(self.database.read(log_of)))
        self.database.stop()

    def test_order_stays(self) -> None:
        """Messages of a sender keep their order when the group changes between them."""
        self.create(self.ana)
        self.join(self.budi)
        self.together(
            lambda: self.groups.join(self.citra, BAGAN),
            *(lambda n=n: post(self.service, self.budi, f"{n}") for n in range(3)),
            lambda: self.groups.join(self.dewi, BAGAN),
            *(lambda n=n: post(self.service, self.budi, f"{n}") for n in range(3, 6)),
        )
        query = select(messages.c.text).order_by(messages.c.seq)
        texts = result_of(self.database.read(lambda db: list(db.scalars(query))))
        self.assertEqual(texts, [f"{n}" for n in range(6)])


class OnThreads(RealmTestCase):
    """With the real writer's thread."""

    async def test_kicks_and_returns(self) -> None:
        """Somebody who writes all the time is kicked and invited again, several times."""
        service = self.realm.service
        ana, budi = [
            (await service.accounts.register(name, "surabaya", None, None)).account
            for name in ("ana", "budi")
        ]
        await service.groups.create(ana, "bagan")
        sent: list[Deferred[Any]] = []
        for number in range(5):
            await service.groups.invite(ana, BAGAN, [Address("budi")])
            sent += [post(service, budi, f"{number} {each}") for each in range(50)]
            kicking = Deferred.fromCoroutine(service.groups.kick(ana, BAGAN, Address("budi")))
            sent += [post(service, budi, f"late {number} {each}") for each in range(50)]
            await kicking
        results = await DeferredList(sent, consumeErrors=True)
        refused = [each.value for _, each in results if isinstance(each, Failure)]
        self.assertEqual({type(each) for each in refused}, {Banned})
        self.assertTrue(all(isinstance(each, ChatError) for each in refused))
        log = await service.database.read(log_of)
        check(self, log)
        self.assertEqual(sum(what == "said" for _, what in log), len(results) - len(refused))
        self.assertEqual(log.count(("budi", "kicked")), 5)
        self.assertEqual(log.count(("budi", "said")), 250)
