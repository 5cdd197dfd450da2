"""Who is online in other realms: told to those who share something with them, and to no one else."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable
from typing import Any
from unittest.mock import Mock

from sqlalchemy import Connection

from chatd.base.errors import UnknownRealm
from chatd.base.events import PresenceChange
from chatd.base.names import parse_address
from chatd.base.throttle import Quota
from chatd.commands import values as ask
from chatd.federation.amp import contents, wire
from chatd.federation.amp.wire import Refused
from chatd.federation.capabilities import PRESENCE
from chatd.federation.parcels import encode
from chatd.service import presence_arrivals, presence_elsewhere, remote_presence
from chatd.service.presence_elsewhere import MAX_UNSEEN
from chatd.service.presence_news import GRACE, INTERVAL
from chatd.service.remote import TheirState
from chatd.service.remote_presence import KEPT_FOR, LOST_AFTER
from chatd.store import watchers, watchers_elsewhere
from tests.support.network import NetworkTestCase, Person, Server, lacks


class PresenceTestCase(NetworkTestCase):
    """ana lives in realm1, budi and bela in realm2, citra in realm3. All realms have added each other."""

    def setUp(self) -> None:
        super().setUp()
        self.one, self.two, self.three = map(self.network.server, ("realm1", "realm2", "realm3"))
        servers = (self.one, self.two, self.three)
        for server, other in itertools.permutations(servers, 2):
            server.add(other)
        self.network.settle()
        self.ana = self.one.person("ana")
        self.budi, self.bela = self.two.person("budi"), self.two.person("bela")
        self.citra = self.three.person("citra")
        for each in (self.ana, self.budi, self.bela, self.citra):
            each.does(ask.SetListening(True, True))
        self.pass_on()

    def pass_on(self, seconds: float = GRACE + 2 * INTERVAL) -> None:
        """Let everything be told that is to be told."""
        self.network.advance(seconds)

    def told(self, who: Person) -> list[str]:
        """The changes that a person was told since the last call."""
        changes = [each for each in who.events if isinstance(each, PresenceChange)]
        who.events.clear()
        return [f"{each.who} {each.state}" for each in changes]

    def comes(self, who: Person) -> None:
        """A person logs in, and follows everything."""
        who.does(ask.SetListening(True, True))

    def away(self, who: Person, away: bool) -> None:
        who.does(ask.SetAway(away))
        self.pass_on()

    def contacts(self, who: Person) -> list[str]:
        return [
            f"{each.username} {'away' if each.away else each.online}"
            for each in who.does(ask.ListContacts()).items
        ]

    def boxes(self, server: Server, other: Server, command: bytes = b"PresenceChanged") -> int:
        """How many such commands were sent over the link."""
        end = self.network.connection(server, other).transport_of(server)
        return sum(box.get(b"_command") == command for box in end.boxes)


class Told(PresenceTestCase):
    def test_open_conversation(self) -> None:
        """Both sides are told when the other goes, comes back, and is away."""
        self.ana.sends("budi@realm2", "halo")
        self.budi.leaves()
        self.pass_on()
        self.assertEqual(self.told(self.ana), ["budi@realm2 offline"])
        self.comes(self.budi)
        self.pass_on()
        self.assertEqual(self.told(self.ana), ["budi@realm2 online"])
        self.away(self.budi, True)
        self.assertEqual(self.told(self.ana), ["budi@realm2 away"])
        self.away(self.ana, True)
        self.assertEqual(self.told(self.budi), ["ana@realm1 away"])
        self.assertEqual(self.told(self.bela), [], "she has nothing to do with ana")
        (shown,) = self.ana.does(ask.ListConversations()).items
        self.assertEqual((shown.online, shown.away), (True, True))

    def test_contact(self) -> None:
        """Somebody who is only a contact does not know it. The list is right at once."""
        self.budi.does(ask.AddContact(parse_address("ana@realm1")))
        self.assertEqual(self.contacts(self.budi), ["ana@realm1 True"])
        self.pass_on()
        self.assertEqual(self.told(self.budi), ["ana@realm1 online"])
        self.away(self.ana, True)
        self.assertEqual(self.told(self.budi), ["ana@realm1 away"])
        self.assertEqual(self.contacts(self.budi), ["ana@realm1 away"])
        self.ana.leaves()
        self.pass_on()
        self.assertEqual(self.told(self.budi), ["ana@realm1 offline"])
        self.assertEqual(self.contacts(self.budi), ["ana@realm1 False"])

    def test_group(self) -> None:
        """The members of a group are told, whatever realms they are of. Larger groups are left out."""
        code = self.ana.creates("bola")
        for each in (self.budi, self.citra):
            each.joins(f"{code}@realm1")
        self.pass_on()
        for each in (self.ana, self.budi, self.citra):
            self.told(each)
        self.away(self.ana, True)
        self.assertEqual(self.told(self.budi), ["ana@realm1 away"])
        self.assertEqual(self.told(self.citra), ["ana@realm1 away"])
        self.away(self.budi, True)
        self.assertEqual(self.told(self.ana), ["budi@realm2 away"])
        self.assertEqual(self.told(self.citra), ["budi@realm2 away"])
        for module in (watchers, watchers_elsewhere):
            self.patch(module, "MAX_READERS", 1)
        self.away(self.ana, False)
        self.away(self.budi, False)
        heard = [self.told(each) for each in (self.ana, self.budi, self.bela, self.citra)]
        self.assertEqual(heard, [[]] * 4)

    def test_hidden(self) -> None:
        """Somebody who hides is offline for all realms."""
        self.ana.sends("budi@realm2", "halo")
        self.away(self.ana, False)
        self.told(self.budi)
        self.ana.does(ask.ChangePrivacy("presence", False))
        self.away(self.ana, True)
        self.ana.leaves()
        self.pass_on()
        self.comes(self.ana)
        self.pass_on()
        self.assertEqual(self.told(self.budi), ["ana@realm1 offline"])

    def test_blocked(self) -> None:
        """A person, or a whole realm: on either side."""
        self.ana.sends("budi@realm2", "halo")
        self.away(self.ana, True)
        self.told(self.budi)
        blocks: tuple[tuple[Person, Any, list[str]], ...] = (
            (self.ana, parse_address("budi@realm2"), ["ana@realm1 offline"]),
            (self.ana, "realm2", ["ana@realm1 offline"]),
            (self.budi, parse_address("ana@realm1"), []),
        )
        for who, whom, told in blocks:
            who.does(ask.BlockPerson(whom))
            for away in (False, True):
                self.away(self.ana, away)
            self.assertEqual(self.told(self.budi), told, whom)
            who.does(ask.UnblockPerson(whom))
            self.pass_on()
            self.assertEqual(self.told(self.budi), ["ana@realm1 away"] if told else [])
        self.away(self.ana, False)
        self.assertEqual(self.told(self.budi), ["ana@realm1 online"])

    def test_lists_of_blocked_people(self) -> None:
        """Somebody who has blocked a person is offline in their lists, too, and for nobody else."""
        for each in (self.budi, self.bela):
            each.does(ask.AddContact(parse_address("ana@realm1")))
            each.sends("ana@realm1", "halo")
        self.pass_on()
        sides = ((self.ana, "budi@realm2"), (self.budi, "ana@realm1"))
        for who, whom in sides:
            self.assertEqual(self.seen_by(self.budi), ["online"] * 3)
            who.does(ask.BlockPerson(parse_address(whom)))
            self.pass_on()
            self.told(self.budi), self.told(self.bela)
            self.assertEqual(set(self.seen_by(self.budi)) - {"unknown"}, {"offline"})
            self.assertEqual(self.seen_by(self.bela), ["online"] * 3)
            self.network.advance(KEPT_FOR)
            self.assertEqual(set(self.seen_by(self.budi)) - {"unknown"}, {"offline"})
            self.away(self.ana, True)
            self.away(self.ana, False)
            self.assertEqual(self.told(self.budi), [])
            self.assertEqual(self.told(self.bela), ["ana@realm1 away", "ana@realm1 online"])
            who.does(ask.UnblockPerson(parse_address(whom)))
            self.pass_on()

    def seen_by(self, who: Person) -> list[str]:
        """ana's state in three lists of a person in realm2."""
        names = {"realm1": ["ana"]}
        people = self.two.service.people.online_everywhere(who.account, names)
        (contact,) = who.does(ask.ListContacts()).items
        (shown,) = who.does(ask.ListConversations()).items
        states = [contact.online, shown.online, self.network.result(people)["realm1"]["ana"]]
        return ["unknown" if each is None else "online" if each else "offline" for each in states]

    def test_blocked_by_a_stranger(self) -> None:
        """A realm that was not added is not told who is blocked. Whoever has blocked one of its people is
        offline for all of them."""
        for each in (self.budi, self.bela):
            each.sends("ana@realm1", "halo")
        self.ana.does(ask.BlockPerson(parse_address("budi@realm2")))
        self.patch(self.one.realm.directory, "is_welcome", lambda _realm: False)
        self.patch(self.one.federation.questions._guesses, "is_free", lambda _realm: False)
        asked = self.one.federation.questions.presence("realm2", ["ana"])
        self.assertEqual(self.network.result(asked, 1), {"ana": TheirState("ana", "offline")})

    def test_strangers(self) -> None:
        """A realm that was not added is told nothing."""
        self.ana.sends("budi@realm2", "halo")
        self.patch(self.one.realm.directory, "is_welcome", lambda _realm: False)
        self.away(self.ana, True)
        self.assertEqual(self.told(self.budi), [])

    def test_not_told(self) -> None:
        """The list of conversations asks again about people whose realm does not tell changes."""
        self.ana.sends("budi@realm2", "halo")
        self.shown()
        self.pass_on()
        self.assertEqual(self.shown(), [True])
        self.patch(self.one.realm.directory, "is_welcome", lambda _realm: False)
        self.patch(self.one.federation.questions._guesses, "is_free", lambda _realm: False)
        self.ana.leaves()
        self.pass_on(KEPT_FOR)
        self.shown()
        self.pass_on()
        self.assertEqual(self.shown(), [False])

    def shown(self) -> list[bool | None]:
        """Whether the others in budi's conversations are online."""
        return [each.online for each in self.budi.does(ask.ListConversations()).items]

    def test_many(self) -> None:
        """States are gathered, and told in few requests."""
        self.patch(presence_elsewhere, "MAX_WAITING", 6)
        people = [self.one.person(f"u{at}") for at in range(6)]
        for each in people:
            each.sends("budi@realm2", "halo")
        self.pass_on()
        before = self.boxes(self.one, self.two)
        self.told(self.budi)
        for each in people:
            self.one.service.presence.set_away(each.account.id, True)
        self.pass_on()
        self.assertEqual(len(self.told(self.budi)), 6)
        self.assertEqual(self.boxes(self.one, self.two) - before, 1)

    def test_many_names(self) -> None:
        """All who are named are told, and a state with too many names is told in parts: by the person's
        realm, and by the home of a group."""
        self.patch(presence_elsewhere, "MAX_NAMES", 1)
        code = self.ana.creates("bola")
        for each in (self.budi, self.bela, self.citra):
            each.joins(f"{code}@realm1")
        self.pass_on()
        for who, shown in ((self.ana, "ana@realm1"), (self.citra, "citra@realm3")):
            self.told(self.budi), self.told(self.bela)
            before = self.boxes(self.one, self.two)
            self.away(who, True)
            self.assertEqual(self.told(self.budi), [f"{shown} away"])
            self.assertEqual(self.told(self.bela), [f"{shown} away"])
            self.assertEqual(self.boxes(self.one, self.two) - before, 1)

    def test_named_later(self) -> None:
        """Somebody who is named is told a state that the realm here has asked for before."""
        code = self.ana.creates("bola")
        self.bela.joins(f"{code}@realm1")
        self.pass_on()
        self.told(self.bela)
        self.one.service.presence.set_away(self.ana.account.id, True)
        self.network.result(self.two.service.remote_presence.states("realm1", ["ana"]))
        self.pass_on()
        self.assertEqual(self.told(self.bela), ["ana@realm1 away"])


class Links(PresenceTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.ana.sends("budi@realm2", "halo")
        self.away(self.ana, True)
        self.told(self.budi)

    def part(self) -> None:
        self.network.refusing[self.one.where] = self.network.refusing[self.two.where] = OSError()
        self.network.connection(self.one, self.two).cut()
        self.network.settle()

    def meet(self) -> None:
        self.network.refusing.clear()
        self.network.until(lambda: self.network.open_connections(self.one, self.two))
        self.pass_on()

    def test_lost(self) -> None:
        """People of a realm that is not linked for a while are offline, until it is back."""
        self.part()
        self.network.advance(LOST_AFTER - 1)
        self.assertEqual(self.told(self.budi), [])
        self.network.advance(1 + presence_arrivals.INTERVAL)
        self.assertEqual(self.told(self.budi), ["ana@realm1 offline"])
        self.meet()
        self.assertEqual(self.told(self.budi), ["ana@realm1 away"])

    def test_short_loss(self) -> None:
        """What has changed during a short loss is told afterwards."""
        self.part()
        self.meet()
        self.assertEqual(self.told(self.budi), [])
        self.part()
        self.ana.leaves()
        self.pass_on(GRACE + 1)
        self.meet()
        self.assertEqual(self.told(self.budi), ["ana@realm1 offline"])

    def test_asked_about(self) -> None:
        """After a loss, also people are asked about who are in no conversation any more."""
        states = self.two.service.remote_presence.states
        self.network.result(states("realm1", ["ana", "none"]))
        self.patch(watchers_elsewhere, "watched_people", lambda *_: [])
        self.part()
        self.meet()
        self.assertEqual(self.boxes(self.two, self.one, b"Presence"), 1)

    def test_forgotten(self) -> None:
        """Of people of a realm that was forgotten, nothing is told."""
        self.part()
        self.patch(
            self.two.realm.directory, "name_of", Mock(side_effect=UnknownRealm(realm="realm1"))
        )
        self.network.advance(LOST_AFTER + presence_arrivals.INTERVAL)
        self.assertEqual(self.told(self.budi), [])

    def test_stopped(self) -> None:
        """A realm that closes gives nobody up."""
        self.part()
        self.two.service.remote_presence.stop()
        self.network.advance(LOST_AFTER)
        self.assertEqual(self.told(self.budi), [])

    def test_older_realms(self) -> None:
        """A realm that lacks the capability is told nothing, but may ask."""
        self.part()
        lacks(self, "realm2", PRESENCE)
        self.meet()
        self.away(self.ana, False)
        self.assertEqual(self.told(self.budi), [])
        self.network.advance(KEPT_FOR)
        self.budi.does(ask.AddContact(parse_address("ana@realm1")))
        self.assertEqual(self.contacts(self.budi), ["ana@realm1 True"])


class Hostile(PresenceTestCase):
    """realm1 tells nonsense."""

    def tells(self, *states: tuple[str, str, tuple[str, ...]]) -> None:
        told = [TheirState(*each) for each in states]
        self.one.realm.directory.presence_changed("realm2", told)
        self.pass_on()

    def test_people_of_others(self) -> None:
        """A realm speaks for its own people, and for members of its groups to members of them."""
        self.budi.sends("citra@realm3", "halo")
        self.pass_on()
        self.told(self.budi)
        self.tells(
            ("citra@realm3", "away", ("budi", "bela", "none")),
            ("bela@realm2", "away", ("budi",)),
            ("ana", "away", ("budi", "bela")),
            ("a b", "online", ("budi",)),
            ("", "online", ()),
            ("\u202eana", "online", ("budi",)),
        )
        self.assertEqual((self.told(self.budi), self.told(self.bela)), ([], []))
        self.assertIsNone(self.two.service.remote_presence._last(parse_address("a@realm1")))

    def test_guests_of_groups(self) -> None:
        """The home of a group can't invent the state of a guest: the guest's own realm is asked, but not too
        often."""
        self.patch(self.two.service.remote_presence, "_hints", Quota(2))
        code = self.ana.creates("bola")
        for each in (self.budi, self.citra):
            each.joins(f"{code}@realm1")
        self.pass_on()
        self.told(self.budi)
        before = self.boxes(self.two, self.three, b"Presence")
        for state in ("away", "offline", "away", "offline", "away"):
            self.tells(("citra@realm3", state, ("budi",)))
        self.assertEqual(set(self.told(self.budi)), {"citra@realm3 online"})
        self.assertEqual(self.boxes(self.two, self.three, b"Presence") - before, 2)
        self.tells(("citra@realm3", "online", ("budi",)))
        self.assertEqual(self.told(self.budi), ["citra@realm3 online"], "as her realm says")
        self.network.connection(self.two, self.three).cut()
        self.tells(("citra@realm3", "offline", ("budi",)))
        self.assertEqual(self.told(self.budi), [])

    def test_too_many_blocks(self) -> None:
        """Somebody is offline for everybody if their realm tells of more blocks than this one keeps."""
        self.ana.sends("budi@realm2", "halo")
        self.pass_on()
        self.told(self.budi)
        presence = self.two.service.remote_presence
        for unseen in (("a",) * (MAX_UNSEEN + 1), ("x" * 1000,)):
            presence.arrived("realm1", [TheirState("ana", "away", (), unseen)])
            self.pass_on()
            self.assertEqual(self.told(self.budi), ["ana@realm1 offline"])
            presence.arrived("realm1", [TheirState("ana", "away", (), ("bela",))])
            self.pass_on()
            self.assertEqual(self.told(self.budi), ["ana@realm1 away"])
        self.patch(remote_presence, "MAX_BLOCKERS", 1)
        presence.arrived("realm1", [TheirState("u1", "away", (), ("bela",))])
        self.assertEqual(presence._last(parse_address("u1@realm1")), "offline")

    def test_people_of_this_realm(self) -> None:
        """Of these, other realms tell nothing, also if they are in the same group."""
        code = self.ana.creates("bola")
        self.budi.joins(f"{code}@realm1")
        self.pass_on()
        self.told(self.budi)
        self.tells(("bela@realm2", "away", ("budi",)))
        self.assertEqual(self.told(self.budi), [])

    def test_storm(self) -> None:
        """States that change often are told once, and those of many people in turns."""
        self.ana.sends("budi@realm2", "halo")
        self.pass_on()
        self.told(self.budi)
        self.patch(presence_arrivals, "MAX_WAITING", 2)
        self.patch(presence_arrivals, "MAX_ROUND", 1)
        presence = self.two.service.remote_presence
        for at in range(50):
            state = ("away", "offline")[at % 2]
            presence.arrived("realm1", [TheirState(name, state) for name in ("u1", "ana", "u2")])
        self.network.advance(presence_arrivals.INTERVAL)
        self.assertEqual(self.told(self.budi), [])
        self.network.advance(presence_arrivals.INTERVAL)
        self.assertEqual(self.told(self.budi), ["ana@realm1 offline"])
        for state in ("away", "offline"):
            presence.arrived("realm1", [TheirState("ana", state)])
        self.pass_on()
        self.assertEqual(self.told(self.budi), [], "nothing has changed")

    def test_too_many_names(self) -> None:
        """Of those that a realm names with one person, so many are looked up."""
        self.patch(presence_arrivals, "MAX_NAMED", 3)
        looked_up: list[list[str]] = []
        find = watchers_elsewhere.watchers_of_guest

        def watchers_of_guest(
            db: Connection, address: str, realm: str, named: Iterable[str], unseen: Collection[str]
        ) -> frozenset[int]:
            looked_up.append(list(named))
            return find(db, address, realm, named, unseen)

        self.patch(watchers_elsewhere, "watchers_of_guest", watchers_of_guest)
        self.patch(presence_arrivals, "MAX_NAMES", 4)
        self.tells(
            ("ana", "away", ("a", "b")), ("ana", "away", ("c", "d")), ("u1", "away", ("e", "f"))
        )
        self.tells(("ana", "online", ("a",)))
        self.assertEqual(looked_up, [["a", "b", "c"], ["e"], ["a"]])

    def test_failed_lookup(self) -> None:
        """What can't be told of one person stops no other."""
        self.ana.sends("budi@realm2", "halo")
        self.pass_on()
        self.told(self.budi)
        find = watchers_elsewhere.watchers_of_guest

        def watchers_of_guest(db: Connection, address: str, *rest: Any) -> frozenset[int]:
            if address == "u1@realm1":
                raise ZeroDivisionError
            return find(db, address, *rest)

        self.patch(watchers_elsewhere, "watchers_of_guest", watchers_of_guest)
        self.tells(("u1", "away", ()), ("ana", "away", ()))
        self.assertEqual(self.told(self.budi), ["ana@realm1 away"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_unknown_states(self) -> None:
        """A state of a later version means online."""
        self.ana.sends("budi@realm2", "halo")
        self.away(self.ana, True)
        self.told(self.budi)
        self.tells(("ana", "busy", ()))
        self.assertEqual(self.told(self.budi), ["ana@realm1 online"])

    def test_bounds(self) -> None:
        """Of one realm, and of one value."""
        self.patch(remote_presence, "MAX_KNOWN", 5)
        self.two.service.remote_presence._known.clear()
        self.tells(*((f"u{at}", "online", ()) for at in range(8)))
        self.assertEqual(len(self.two.service.remote_presence._known["realm1"]), 5)
        with self.assertRaises(Refused):
            contents.decode_states(encode([["ana", "online", []]] * (wire.MAX_STATES + 1)))
        named = tuple(f"{'x' * 60}{at}" for at in range(500))
        values = list(contents.encode_states([TheirState("ana", "online", named)] * 10))
        self.assertEqual([len(contents.decode_states(each)) for each in values], [1] * 10)

    def test_many_are_asked_about(self) -> None:
        """A realm that asks about more people than it may forgets the first ones."""
        self.patch(presence_elsewhere, "MAX_ASKED", 2)
        elsewhere = self.one.service.elsewhere
        elsewhere.asked("realm2", ["u1", "u2", "u3"])
        elsewhere.asked("realm9", ["u1"])
        self.assertEqual(
            {realm: len(each) for realm, each in elsewhere._asked.items()}, {"realm2": 2}
        )

    def test_failure(self) -> None:
        """A failure concerns one realm only."""
        self.ana.sends("budi@realm2", "halo")
        self.patch(self.one.realm.directory, "presence_changed", lambda *_: 1 / 0)
        self.away(self.ana, True)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
