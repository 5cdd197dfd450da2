"""Message requests: what people of realms that nobody here has added may do, and what they learn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa

from chatd.base.errors import ChatError, RequestPending, UnknownRequest
from chatd.base.events import ConversationChange, MessageRequest, ReadMoved, StateChange, Typing
from chatd.base.model import Message
from chatd.base.names import Address, Place, parse_address
from chatd.base.replies import RequestInfo
from chatd.commands import values as ask
from chatd.federation import parcel_reader
from chatd.federation.amp import contents, wire
from chatd.federation.answer_time import ANSWER_TIME
from chatd.federation.message_requests import PER_HOUR
from chatd.federation.parcel_fields import FileNote
from chatd.federation.parcels import (
    REQUESTED,
    Accepted,
    Direct,
    DirectDeletion,
    DirectEdit,
    DirectMark,
    Invite,
    Joined,
    Ref,
    Removed,
    Verdict,
    encode,
)
from chatd.federation.restores import Returned
from chatd.federation.standing import Standings
from chatd.simulate.people import Person
from chatd.simulate.servers import Server
from chatd.store import departures
from chatd.store import requests as store
from chatd.store.parcel_stream import ParcelStream
from chatd.store.peers import acquainted
from chatd.store.schema import acceptances, messages, requests
from chatd.store.watchers_elsewhere import watched_people
from tests.support.amp_peer import AmpPeerTestCase, batch, direct
from tests.support.network import LinkedTestCase
from tests.support.restores import RestoredTestCase

BUDI, CITRA, ANA = "budi@realm2", "citra@realm2", "ana@realm1"
STRANGERS: dict[str, Any] = {"strangers": "requests"}


def person(address: str) -> Place:
    return Place(user=parse_address(address))


def direct_to(name: str) -> Direct:
    return direct("y", to=name)


def backdate(server: Server) -> None:
    """Make all requests a month older."""
    older = sa.update(requests).values(at=requests.c.at - store.LIFE)
    running = server.realm.database.run(lambda db: db.execute(older) and None)
    server.network.result(running)


class AnsweredTestCase(LinkedTestCase):
    """realm1 has added realm2, and realm2 nobody. So ana is a stranger to budi and citra."""

    settings = STRANGERS

    def asks(self, text: str = "halo", to: str = BUDI) -> str:
        """ana writes to somebody, and waits. Returns the state of the message, or the code of the error."""
        begun = self.ana.begins(ask.SendMessage((parse_address(to),), text, wait=True))
        try:
            reply = self.network.result(begun, 1)
        except ChatError as error:
            return error.code
        state: str = reply.data["state"]
        return state

    def requests(self) -> list[str]:
        return [f"{each.user}: {each.text}" for each in self.budi.does(ask.ListRequests()).items]

    def follows(self, *people: Person) -> None:
        """These people are pushed everything, as by `listen all`."""
        for each in people:
            each.does(ask.SetListening("all"))

    def accept(self, address: str = ANA) -> None:
        self.budi.does(ask.AcceptInvitation(person(address)))

    def decline(self, address: str = ANA) -> None:
        self.budi.does(ask.DeclineInvitation(person(address)))

    def states(self) -> list[str]:
        return [each.state for each in self.ana.events if isinstance(each, StateChange)]

    def changes(self) -> list[str]:
        """What budi's connections are told of conversations."""
        return [each.what for each in self.budi.events if isinstance(each, ConversationChange)]

    def shown_state(self, to: str = BUDI) -> str | None:
        """The state of ana's newest message."""
        shown = self.ana.does(ask.ShowHistory(person(to), 5)).items
        states: list[str | None] = [each.state for each in shown if each.sender == "ana"]
        return states[-1]

    def test_accepted(self) -> None:
        self.follows(self.ana, self.budi)
        self.assertEqual(self.asks(), "requested")
        self.assertEqual(self.requests(), [f"{ANA}: halo"])
        told = [each for each in self.budi.events if isinstance(each, MessageRequest | Message)]
        self.assertEqual([type(each).__name__ for each in told], ["Message", "MessageRequest"])
        self.assertEqual((self.asks("lagi"), self.shown_state()), ("request-pending", "refused"))
        self.accept()
        self.assertEqual((self.requests(), self.asks("dua")), ([], "delivered"))
        self.assertEqual(self.budi.reads(), [f"{ANA}: halo", f"{ANA}: dua"])
        self.assertEqual(self.changes(), ["new", "accepted"])
        with self.assertRaises(UnknownRequest):
            self.accept()

    def test_the_sender_sees_it(self) -> None:
        """The states are events, and stay with the message."""
        self.follows(self.ana)
        self.part()
        self.ana.sends(BUDI, "halo")
        self.meet()
        self.network.advance(1)
        self.assertEqual((self.states(), self.shown_state()), (["requested"], "requested"))
        self.accept()
        self.network.settle()
        self.assertEqual((self.states()[1:], self.shown_state()), (["delivered"], "delivered"))

    def test_accepted_while_they_are_away(self) -> None:
        """The news waits for the next link, and over restarts."""
        self.asks()
        self.two.kill()
        self.two.open()
        self.one.kill()
        self.accept()
        self.two.kill()
        self.two.open()
        self.one.open()
        self.network.until(lambda: self.network.open_connections(self.one, self.two))
        self.network.advance(1)
        self.assertEqual((self.shown_state(), self.asks("dua")), ("delivered", "delivered"))

    def test_accepted_before_the_answer(self) -> None:
        """The answer to a stranger takes a moment, and may be lost with the link: the news of the acceptance
        comes first."""
        self.follows(self.ana)
        for who, lost in ((self.budi, False), (self.citra, True)):
            address = f"{who.name}@realm2"
            sending = self.ana.begins(ask.SendMessage((parse_address(address),), "halo"))
            self.network.settle()
            who.does(ask.AcceptInvitation(person(ANA)))
            if lost:
                self.network.cut()
            self.network.result(sending, 10)
            self.network.advance(10)
            self.assertEqual(self.shown_state(address), "delivered")
            self.assertNotIn("requested", self.states())
            self.assertEqual((self.one.parcels_waiting(), who.reads()), (0, [f"{ANA}: halo"]))

    def test_answered(self) -> None:
        """Each kind of answer accepts the request, also after it was declined."""
        dewi = self.two.person("dewi")
        answers: dict[Person, ask.Command] = {
            self.budi: ask.SendMessage((parse_address(ANA),), "ya?"),
            self.citra: ask.ReactToMessage(person(ANA), 1, "\N{THUMBS UP SIGN}", True),
            dewi: ask.AddContact(parse_address(ANA)),
        }
        for who, answer in answers.items():
            address = f"{who.name}@realm2"
            self.assertEqual(self.asks(to=address), "requested")
            who.does(ask.DeclineInvitation(person(ANA)))
            who.does(answer)
            self.network.settle()
            self.assertEqual(self.shown_state(address), "delivered")
            self.assertEqual(self.asks("dua", to=address), "delivered")

    def test_blocked(self) -> None:
        """Blocking the sender answers a request, too. The sender learns nothing of that."""
        self.asks()
        self.budi.does(ask.BlockPerson(parse_address(ANA)))
        self.assertEqual((self.requests(), self.asks("lagi")), ([], "request-pending"))

    def test_declined(self) -> None:
        self.asks()
        self.decline()
        self.assertEqual(self.requests(), [])
        self.assertEqual(self.asks("lagi"), "request-pending")
        with self.assertRaises(UnknownRequest):
            self.decline()
        self.budi.sends(ANA, "ya?")
        self.assertEqual(self.asks("dua"), "delivered")

    def test_accepted_after_all(self) -> None:
        """A request that was declined counts as read, and can be accepted as long as it is kept."""
        self.follows(self.budi)
        self.asks()
        self.decline()
        self.network.settle()
        (found,) = self.budi.does(ask.ListConversations()).items
        self.assertEqual((found.unread, self.budi.inbox()), (0, []))
        self.assertEqual(
            [each.seq for each in self.budi.events if isinstance(each, ReadMoved)], [1]
        )
        self.assertEqual((self.shown_state(), self.listed()), ("requested", ("declined", True)))
        self.accept()
        self.network.settle()
        self.assertEqual(self.listed(), (None, False))
        self.assertEqual((self.shown_state(), self.asks("dua")), ("delivered", "delivered"))
        self.assertEqual(self.budi.history(user=ANA), [f"{ANA}: halo", f"{ANA}: dua"])
        with self.assertRaises(UnknownRequest):
            self.accept()

    def test_an_added_realm(self) -> None:
        """Once realm2 adds realm1, its people need not ask any more, and nothing waits. A block is not
        told."""
        self.follows(self.ana, self.budi)
        self.asks()
        self.asks(to=CITRA)
        self.citra.does(ask.BlockPerson(parse_address(ANA)))
        self.two.add(self.one)
        self.network.settle()
        self.assertEqual((self.rows(), self.listed()), ([], (None, False)))
        self.assertEqual((self.states(), self.changes()), (["delivered"], ["new", "accepted"]))
        self.assertEqual(self.shown_state(), "delivered")
        self.assertEqual(self.shown_state(CITRA), "requested")
        self.assertEqual(self.asks("dua"), "delivered")

    def test_an_added_realm_after_a_kill(self) -> None:
        """The requests are accepted at the next link, if the daemon was killed before that."""
        self.asks()
        self.patch(self.two.federation.requests, "settle", lambda _realm: None)
        self.two.add(self.one)
        self.two.kill()
        self.two.open()
        self.network.until(lambda: self.network.open_connections(self.one, self.two))
        self.network.advance(1)
        self.assertEqual((self.rows(), self.shown_state()), ([], "delivered"))

    def test_whom_they_know(self) -> None:
        """People to whom budi has written, or who are his contacts, are no strangers."""
        self.budi.sends(ANA, "hai")
        self.assertEqual(self.asks(), "delivered")
        self.citra.does(ask.AddContact(parse_address(ANA)))
        self.assertEqual(self.asks(to=CITRA), "delivered")
        self.assertEqual(self.requests(), [])

    def test_requests_to_others(self) -> None:
        """A request to citra does not make ana a stranger to budi, who has accepted her."""
        self.budi.sends(ANA, "hai")
        self.assertEqual(self.asks(to=CITRA), "requested")
        self.assertEqual(self.asks(), "delivered")
        self.assertEqual((self.requests(), self.budi.reads()), ([], [f"{ANA}: halo"]))
        find = self.two.realm.database.read(acquainted, "realm1", ["budi", "citra"])
        self.assertEqual(self.network.result(find), {"budi"})

    def test_one_query(self) -> None:
        """The pairs of a batch are looked up together."""
        self.budi.sends(ANA, "hai")
        asked = [(f"orang{i}", parse_address(f"ana{i}@realm1")) for i in range(100)]
        known = "budi", parse_address(ANA)
        seen = []

        def job(db: sa.Connection) -> set[tuple[str, Address]]:
            sa.event.listen(db, "before_cursor_execute", lambda *args: seen.append(args[2]))
            return store.strangers(db, [known, *asked])

        self.assertEqual(self.network.result(self.two.realm.database.run(job)), set(asked))
        self.assertEqual(len(seen), 1)

    def test_whom_they_know_by_now(self) -> None:
        """budi has written while the message was on its way to the disk. So it is no request."""
        self.budi.sends(ANA, "hai")
        self.follows(self.budi)
        self.patch(parcel_reader, "strangers", lambda _db, pairs: set(pairs))
        self.assertEqual((self.asks(), self.rows()), ("delivered", []))
        self.assertEqual(self.budi.reads(), [f"{ANA}: halo"])
        self.assertEqual(
            [each for each in self.budi.events if isinstance(each, MessageRequest)], []
        )

    def test_a_false_answer(self) -> None:
        """A message to a group never becomes a request, even if a realm answers that it is one."""
        code = self.ana.creates("bola")
        self.budi.joins(f"{code}@realm1")
        self.follows(self.ana)

        async def receive(_realm: str, given: list[Any], _stream: Any) -> list[Verdict]:
            return [REQUESTED] * len(given)

        self.patch(self.two.federation.receiver, "receive", receive)
        self.ana.posts("bola", "halo")
        self.network.settle()
        self.assertEqual(self.states(), [])
        refused = self.one.realm.database.read(
            lambda db: db.scalars(sa.select(messages.c.refused)).all()
        )
        self.assertEqual(set(self.network.result(refused)), {None})

    def test_taken_back(self) -> None:
        """The sender deletes a request: its text is gone there, too."""
        self.asks()
        (message,) = self.ana.does(ask.ShowHistory(person(BUDI), 5)).items
        self.ana.does(ask.DeleteMessage(person(BUDI), message.seq))
        self.network.settle()
        self.assertEqual(self.requests(), [f"{ANA}: None"])
        self.accept()
        (message,) = self.budi.does(ask.ShowHistory(person(ANA), 5)).items
        self.assertTrue(message.deleted)

    def test_edited_before(self) -> None:
        """A request can't be edited, nor can its sender react to it or pin it, so both sides see the same.
        They can once it is accepted."""
        self.asks()
        changes: tuple[ask.Command, ...] = (
            ask.EditMessage(person(BUDI), 1, "lain"),
            ask.ReactToMessage(person(BUDI), 1, "\N{THUMBS UP SIGN}", True),
            ask.PinMessage(person(BUDI), 1, True),
        )
        for change in changes:
            with self.assertRaises(RequestPending) as caught:
                self.ana.does(change)
            self.assertIn(BUDI, str(caught.exception))
        self.assertEqual(self.ana.history(user=BUDI), ["ana: halo"])
        self.accept()
        self.network.settle()
        for change in changes:
            self.ana.does(change)
        self.network.settle()
        self.assertEqual(self.budi.history(user=ANA), [f"{ANA}: lain"])

    def test_in_the_list(self) -> None:
        """The list of conversations shows it. A declined one is archived until it is accepted after all."""
        self.asks()
        self.assertEqual(self.listed(), ("open", False))
        self.decline()
        self.assertEqual(self.listed(), ("declined", True))
        self.budi.sends(ANA, "ya?")
        self.assertEqual(self.listed(), (None, False))

    def listed(self) -> tuple[str | None, bool]:
        (found,) = self.budi.does(ask.ListConversations()).items
        return found.request, found.preferences.archived

    def test_nothing_is_told(self) -> None:
        """Before the request is accepted, the other realm learns nothing of reading and typing, and is not
        asked about the sender."""
        asked: list[object] = []
        for question in ("profile", "presence"):
            self.patch(self.two.realm.directory, question, lambda *what: asked.append(what))
        self.asks()
        self.assertEqual(self.listed()[0], "open")
        watched = self.database(watched_people, "realm1", 10)
        self.assertEqual((asked, list(watched)), ([], []))
        self.budi.reads()
        (request,) = self.budi.does(ask.ListRequests()).items
        self.budi.does(ask.MarkRead(request.conversation, 1))
        self.budi.does(ask.TellTyping(person(ANA)))
        self.network.advance(1)
        self.assertFalse([each for each in self.ana.events if isinstance(each, Typing)])
        self.assertEqual(self.ana.does(ask.ShowReaders(person(BUDI), 1)).items, ())

    def test_expired(self) -> None:
        """A request is forgotten after a month, and its sender may ask again."""
        self.asks()
        self.backdate()
        self.assertEqual((self.requests(), self.asks("lagi")), ([], "requested"))
        self.assertEqual(self.requests(), [f"{ANA}: lagi"])
        self.asks(to="nobody@realm2")
        self.backdate()
        self.assertEqual(self.asks(to="noone@realm2"), "requested")
        self.assertEqual(self.rows(), ["budi", "noone"])

    def backdate(self) -> None:
        backdate(self.two)

    def rows(self) -> list[str]:
        """The names that somebody has asked."""
        names = sa.select(requests.c.name).order_by(requests.c.name)
        found: list[str] = self.database(lambda db: db.scalars(names).all())
        return found

    def database(self, job: Any, *arguments: Any) -> Any:
        return self.network.result(self.two.realm.database.run(job, *arguments))

    def test_a_deleted_account(self) -> None:
        """Its requests seem to wait, and so do those that follow."""
        self.asks()
        context = self.two.service.context
        versions = context.writers.versions
        self.database(departures.depart, versions, self.budi.account, False, context.now())
        self.assertEqual((self.asks("lagi"), self.rows()), ("request-pending", ["budi"]))
        self.backdate()
        self.assertEqual(self.asks("lagi"), "requested")


class LostAnswersTestCase(RestoredTestCase):
    """As AnsweredTestCase. realm2 is restored to a time before budi has answered ana's request."""

    settings = STRANGERS

    def setUp(self) -> None:
        super().setUp()
        self.empty = self.back_up(self.two)
        self.says("satu")
        self.asked = self.back_up(self.two)

    def says(self, *texts: str) -> None:
        for text in texts:
            begun = self.ana.begins(ask.SendMessage((parse_address(BUDI),), text))
            self.network.result(begun, 1)
        self.network.advance(1)

    def loses(self, answer: Any, copy: Path) -> None:
        """budi answers, and ana writes more."""
        self.budi.does(answer)
        self.network.advance(1)
        self.says("dua", "tiga")
        self.assertEqual(len(self.budi.history(ANA)), 3)
        self.restore(self.two, copy)
        self.network.advance(5)

    def check_known(self) -> None:
        self.says("empat")
        self.assertEqual(self.budi.does(ask.ListRequests()).items, ())
        expected = [f"{ANA}: {text}" for text in ("satu", "dua", "tiga", "empat")]
        self.assertEqual(self.budi.history(ANA), expected)

    def test_accepted(self) -> None:
        """The request is accepted again, before later messages are taken."""
        self.loses(ask.AcceptInvitation(person(ANA)), self.asked)
        self.check_known()

    def test_request_is_lost(self) -> None:
        """If the request was lost, too, it comes again and is accepted."""
        self.loses(ask.AcceptInvitation(person(ANA)), self.empty)
        self.check_known()

    def test_contact(self) -> None:
        """Somebody whom budi has added as a contact is no stranger, although the contact was lost."""
        self.loses(ask.AddContact(parse_address(ANA)), self.asked)
        self.check_known()

    def test_declined_since(self) -> None:
        """A request that budi has declined since stays declined."""
        self.budi.does(ask.AcceptInvitation(person(ANA)))
        self.network.advance(1)
        self.part()
        self.restore(self.two, self.asked)
        self.budi.does(ask.DeclineInvitation(person(ANA)))
        self.meet()
        self.network.advance(5)
        with self.assertRaises(RequestPending):
            self.says("empat")
        self.assertEqual(self.budi.history(ANA), [f"{ANA}: satu"])

    def test_invented(self) -> None:
        """A realm can't say that its request was accepted, or that of somebody else was."""
        self.budi.does(ask.AcceptInvitation(person(ANA)))
        self.network.advance(1)
        (row,) = self.one.realm.database.now(lambda db: db.execute(sa.select(acceptances)).all())
        self.part()
        self.restore(self.two, self.asked)

        async def may_have_lost(*_: object) -> bool:
            return True

        self.patch(Standings, "may_have_lost", may_have_lost)
        for number, parcel in (
            (row.number, Accepted(row.request, "budi", "ana")),
            (row.number, Accepted(row.request, "citra", "ana", row.seal)),
            (row.number, Accepted(row.request, "budi", "agus", row.seal)),
            (row.number, Accepted(row.request + 1, "budi", "ana", row.seal)),
            (row.number + 1, Accepted(row.request, "budi", "ana", row.seal)),
            (row.number, Accepted(row.request, "budi", "ana", row.seal)),
        ):
            self.assertEqual(len(self.budi.does(ask.ListRequests()).items), 1)
            item = Returned(number, msgspec.Raw(encode(parcel)), theirs=True)
            taking = self.two.federation.returned.take("realm1", [item], ParcelStream())
            self.network.result(taking)
        self.assertEqual(self.budi.does(ask.ListRequests()).items, ())


class WelcomeTestCase(LinkedTestCase):
    settings = {"strangers": "welcome"}

    def test_welcome(self) -> None:
        self.ana.sends(BUDI, "halo")
        self.ana.sends(BUDI, "lagi")
        self.assertEqual(len(self.budi.reads()), 2)


class ProbedTestCase(AmpPeerTestCase):
    """realm2 has linked with realm1 by itself. dewi has blocked budi, eka has declined him, and nobody has
    the name nobody."""

    settings = STRANGERS
    NAMES = ("ana", "dewi", "nobody", "eka")

    def setUp(self) -> None:
        super().setUp()
        self.greets()
        self.number = 0
        self.dewi, self.eka = self.one.person("dewi"), self.one.person("eka")
        self.dewi.does(ask.BlockPerson(parse_address(BUDI)))

    def verdicts(self, *parcels: Any) -> list[Verdict]:
        numbered = []
        for parcel in parcels:
            self.number += 1
            numbered.append((self.number, parcel))
        return self.deliver(*numbered)

    def deliver(self, *numbered: tuple[int, Any]) -> list[Verdict]:
        found = self.begins(wire.DeliverCommand, parcels=batch(*numbered))
        self.network.settle()
        self.network.advance(2 * ANSWER_TIME)
        answer = contents.decode_verdicts(found[0]["verdicts"], len(numbered))
        assert answer is not None
        return answer

    def each(self, make: Any) -> list[Verdict]:
        """The verdicts on a parcel to each of the names, one by one. None contains the name."""
        found = []
        for name in self.NAMES:
            (verdict,) = self.verdicts(make(name))
            details = {key: value for key, value in verdict.details.items() if value != name}
            found.append(msgspec.structs.replace(verdict, details=details))
        self.assertEqual(found, found[:1] * len(found))
        return found

    def test_the_same_answers(self) -> None:
        """The answers to texts, files, changes, marks and questions are the same for all names."""
        self.verdicts(direct("x", to="eka"))
        self.eka.does(ask.DeclineInvitation(person(BUDI)))
        note = FileNote("a.txt", 5, "0" * 64, "abcdef")
        asked = [direct("x", to=name) for name in self.NAMES[:3]]
        self.assertEqual(self.verdicts(*asked), [REQUESTED] * 3)
        cases = {
            "request-pending": direct_to,
            "not-accepted": lambda name: DirectEdit("budi", name, 1, Ref(True, 2), "z"),
        }
        for code, make in cases.items():
            self.assertEqual([each.code for each in self.each(make)], [code] * 4, code)
        kept = [
            lambda name: Removed("bagan", 7, name),
            lambda name: DirectMark("budi", name, 1),
            lambda name: DirectDeletion("budi", name, 1, Ref(True, 2)),
        ]
        for make in kept:
            self.assertEqual([each.code for each in self.each(make)], [""] * 4)
        for code, make in {
            "not-requested": lambda name: Joined("bagan", 7, name, 0),
            "": lambda name: Invite("bagan", 7, name, "budi"),
        }.items():
            self.assertEqual([each.code for each in self.each(make)], [code] * 4, code)
        files = [each.code for each in self.each(lambda name: Direct("budi", name, 1, None, note))]
        self.assertEqual(files, ["not-accepted"] * 4)
        answer = self.asks(wire.PresenceCommand, users=list(self.NAMES))
        self.assertEqual(set(msgspec.msgpack.decode(answer["states"]).values()), {"offline"})
        for name in self.NAMES:
            refused = self.refuses(wire.ProfileCommand, user=name, known="")
            self.assertEqual(refused, "unknown-user")
        self.assertEqual(self.dewi.inbox(), [])

    def test_again(self) -> None:
        """A parcel that comes again, because its answer was lost, gets the same answer."""
        for name in ("ana", "nobody"):
            self.assertEqual(self.deliver((7, direct("x", to=name))), [REQUESTED])
            self.assertEqual(self.deliver((7, direct("x", to=name))), [REQUESTED])
            backdate(self.one)
            self.assertEqual(self.deliver((8, direct("y", to=name))), [REQUESTED])
            backdate(self.one)
            self.assertEqual(self.deliver((7, direct("x", to=name))), [REQUESTED])
            (pending,) = self.deliver((9, direct("z", to=name)))
            self.assertEqual(pending.code, "request-pending")
        self.assertEqual([each.text for each in self.ana.inbox()], ["x", "y"])

    def test_blank(self) -> None:
        """A text that was deleted before it was sent is no request."""
        self.assertEqual(
            [each.code for each in self.each(lambda to: Direct("budi", to, 1))], [""] * 4
        )
        self.assertEqual(self.ana.inbox(), [])

    def test_a_fault_of_a_listener(self) -> None:
        """The request is stored nevertheless, and its sender can't tell."""
        self.patch(self.one.service.requests._fan_out, "tell", lambda *_: 1 / 0)
        self.assertEqual(self.verdicts(direct("x")), [REQUESTED])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(len(self.ana.does(ask.ListRequests()).items), 1)

    def test_not_before(self) -> None:
        """The answers take the same time."""
        for make in (
            lambda name: direct("x", to=name),
            lambda name: DirectDeletion("budi", name, 1, Ref(True, 2)),
            lambda name: DirectMark("budi", name, 1),
            lambda name: Joined("bagan", 7, name, 0),
            lambda name: Invite("bagan", 7, name, "budi"),
            lambda name: Removed("bagan", 7, name),
        ):
            for name in ("ana", "nobody"):
                self.number += 1
                parcels = batch((self.number, make(name)))
                found = self.begins(wire.DeliverCommand, parcels=parcels)
                self.network.advance(ANSWER_TIME * 0.9)
                self.assertEqual(found, [])
                self.network.advance(ANSWER_TIME * 0.2)
                self.assertEqual(len(found), 1)

    def test_rates(self) -> None:
        """The requests from one network source are limited by the hour."""
        registry = self.one.realm.directory.peers
        registry.find("realm2").source = "192.0.2.1"
        rates = self.one.federation.receiver._requests._rates
        for _ in range(PER_HOUR):
            rates.take("192.0.2.1", self.network.now)
        self.assertEqual([each.code for each in self.each(direct_to)], ["request-pending"] * 4)

    def test_again_at_the_limit(self) -> None:
        """A parcel that comes again does not count, and is not refused."""
        self.one.realm.directory.peers.find("realm2").source = "192.0.2.1"
        rates = self.one.federation.receiver._requests._rates
        for _ in range(3):
            self.assertEqual(self.deliver((7, direct("x", to="ana"))), [REQUESTED])
        for _ in range(PER_HOUR - 1):
            self.assertEqual(rates.take("192.0.2.1", self.network.now), 0)
        self.assertEqual(self.deliver((7, direct("x", to="ana"))), [REQUESTED])
        (pending,) = self.deliver((8, direct("x", to="nobody")))
        self.assertEqual(pending.code, "request-pending")

    def test_bounds(self) -> None:
        """The waiting requests of a person and of a realm are limited, whatever the names are."""
        self.patch(store, "MAX_OF_SENDER", 3)
        self.patch(store, "MAX_OF_REALM", 5)
        found = self.verdicts(*(direct("x", to=f"nobody{at}") for at in range(4)))
        self.assertEqual([each.code for each in found], ["", "", "", "request-pending"])
        self.assertEqual(self.verdicts(direct("x"))[0].code, "request-pending")
        others = self.verdicts(*(Direct(f"citra{at}", "ana", 1, "x") for at in range(3)))
        self.assertEqual([each.code for each in others], ["", "", "request-pending"])

    def test_of_one_account(self) -> None:
        """An account sees a limited number of requests. Others are hidden, and their senders can't tell."""
        self.patch(store, "MAX_RECEIVED", 2)
        found = self.verdicts(*(Direct(f"citra{at}", "ana", 1, "x") for at in range(3)))
        self.assertEqual(found, [REQUESTED] * 3)
        shown: list[RequestInfo] = self.ana.does(ask.ListRequests()).items
        self.assertEqual([each.user for each in shown], ["citra0@realm2", "citra1@realm2"])

    def test_a_full_disk(self) -> None:
        """If the disk is full, nothing is kept, and the realm is told and may send the request again."""
        self.one.realm.database.full = True
        self.assertEqual(
            self.refuses(wire.DeliverCommand, parcels=batch((1, direct("x")))), "storage-failed"
        )
        self.one.realm.database.full = False
        self.assertEqual(self.ana.inbox(), [])
