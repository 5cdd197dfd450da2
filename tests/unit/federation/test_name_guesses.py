"""Whether another realm can find out which accounts and groups exist."""

from __future__ import annotations

from typing import Any

import msgspec

from chatd.base.errors import TooManyUnknown
from chatd.base.names import parse_address
from chatd.commands import values as ask
from chatd.federation.amp import contents, wire
from chatd.federation.answer_time import ANSWER_TIME
from chatd.federation.name_guesses import HOUR, MAX_UNKNOWN
from chatd.federation.parcels import Joined, encode
from chatd.service.remote import TheirState
from chatd.store import accounts as account_store
from tests.support.amp_peer import AmpPeer, AmpPeerTestCase, batch, direct, hello
from tests.support.network import NetworkTestCase, Server
from tests.support.signing import example_post

LIMIT = TooManyUnknown.code


class GuessingTestCase(AmpPeerTestCase):
    """realm2 has linked with realm1 by itself. ana, dewi and eka have accounts in realm1."""

    settings = {"strangers": "requests"}

    def setUp(self) -> None:
        super().setUp()
        self.greets()
        self.number = 0
        for name in ("dewi", "eka"):
            self.one.person(name)

    def an_hour_later(self) -> None:
        self.network.cut()
        self.network.advance(HOUR + 1)
        self.raw = self.network.connect_by_hand(self.one, "realm2", AmpPeer())
        self.greets()

    def verdicts(self, *parcels: Any) -> list[str]:
        numbered = []
        for parcel in parcels:
            self.number += 1
            numbered.append((self.number, parcel))
        answer = self.asks(wire.DeliverCommand, parcels=batch(*numbered))
        found = contents.decode_verdicts(answer["verdicts"], len(numbered))
        assert found is not None
        return [each.code for each in found]

    def guesses(self, count: int) -> list[str]:
        """The answers to guesses of that many unknown groups."""
        found = []
        for _ in range(count):
            self.number += 1
            found.append(self.refuses(wire.FindCommand, user="budi", group=f"no{self.number}"))
        return found

    def exhausts(self) -> None:
        self.assertEqual(self.guesses(MAX_UNKNOWN), ["unknown-group"] * MAX_UNKNOWN)

    def knows(self, name: str, contact: str) -> None:
        """Put someone on a contact list."""
        account = self.one.person(name).account
        adding = account_store.add_contact
        self.network.result(
            self.one.realm.database.run(adding, account.id, parse_address(contact), 1000)
        )

    def online(self, *users: str) -> dict[str, bool]:
        answer = self.asks(wire.PresenceCommand, users=list(users))
        found: dict[str, str] = msgspec.msgpack.decode(answer["states"])
        return {user: state == "online" for user, state in found.items()}


class NamesTestCase(GuessingTestCase):
    def test_so_many_an_hour(self) -> None:
        self.assertEqual(self.guesses(MAX_UNKNOWN + 5)[MAX_UNKNOWN:], [LIMIT] * 5)
        self.an_hour_later()
        self.assertEqual(self.guesses(1), ["unknown-group"])

    def test_existing_conversations_continue(self) -> None:
        """A conversation continues even if its realm has reached the limit."""
        self.ana.sends("budi@realm2", "nol")
        self.exhausts()
        self.assertEqual(self.verdicts(direct("dua"), direct("tiga")), ["", ""])
        self.assertEqual(len(self.ana.inbox()), 2)

    def test_contacts(self) -> None:
        self.knows("dewi", "budi@realm2")
        self.exhausts()
        self.assertEqual(self.verdicts(direct("x", to="dewi")), [""])

    def test_added_realms(self) -> None:
        """Realms that were added are told as often as they ask."""
        registry = self.one.realm.directory.peers
        peer = registry.find("realm2")
        peer.known = type(peer.known)("realm2", "realm2", "realm2.test", 7000)
        names = [f"nobody{number}" for number in range(MAX_UNKNOWN + 5)]
        found = self.verdicts(*(direct("x", to=name) for name in names))
        self.assertEqual(found, ["unknown-user"] * len(names))

    def test_invented_realms(self) -> None:
        """Several realm names from one network address share a limit."""
        registry = self.one.realm.directory.peers
        registry.find("realm2").source = "192.0.2.1"
        self.exhausts()
        raw = self.network.connect_by_hand(self.one, "realm3", AmpPeer())
        self.raw = raw
        self.asks(wire.HelloCommand, **hello("realm3", instance=b"y"))
        registry.find("realm3").source = "192.0.2.1"
        self.assertEqual(self.guesses(1), [LIMIT])
        registry.find("realm3").source = "192.0.2.2"
        self.assertEqual(self.guesses(1), ["unknown-group"])


class OtherWaysTestCase(GuessingTestCase):
    """Other ways to find out whether an account or group exists."""

    def test_groups(self) -> None:
        """By name or by code: to join, to list the members, to post."""
        self.ana.creates("bagan")
        found = [
            self.refuses(wire.FindCommand, user="budi", group=f"aaaa{chr(97 + number)}a")
            for number in range(MAX_UNKNOWN)
        ]
        self.assertEqual(set(found), {"unknown-group"})
        for group in ("bagan", "nothing"):
            self.assertEqual(self.refuses(wire.FindCommand, user="budi", group=group), LIMIT)
            self.assertEqual(self.joins("budi", group).code, LIMIT)
            self.assertEqual(
                self.refuses(wire.MembersCommand, user="budi", group=group, start=0), LIMIT
            )
            change = {"change": "invite", "users": ["ana"]}
            self.assertEqual(
                self.refuses(wire.ChangeCommand, user="budi", group=group, **change), LIMIT
            )
            self.assertEqual(self.verdicts(example_post(group)), [LIMIT])

    def test_ones_own_group(self) -> None:
        """A realm can always reach a group that it has members in."""
        self.ana.creates("bagan")
        self.joins("budi", "bagan")
        self.exhausts()
        self.assertEqual(
            self.asks(wire.MembersCommand, user="budi", group="bagan", start=0)["more"], 0
        )
        self.assertEqual(self.joins("citra", "bagan")["group"], "bagan")

    def test_private_groups(self) -> None:
        """People of that realm join them by invitation only, and not by code."""
        created = self.ana.does(ask.AddGroup("rahasia", visibility="private"))
        code = created.fields["groupcode"]
        for name in ("rahasia", code, "nothing"):
            self.assertEqual(self.joins("budi", name).code, "unknown-group")
            self.assertEqual(
                self.refuses(wire.FindCommand, user="budi", group=name), "unknown-group"
            )
        self.ana.does(ask.InviteMembers(parse_address("rahasia"), (parse_address("budi@realm2"),)))
        self.assertEqual(self.joins("budi", "rahasia")["group"], "rahasia")
        self.assertEqual(self.joins("citra", "rahasia").code, "unknown-group")

    def test_changes(self) -> None:
        """An admin from that realm names people of this one. Whether they exist is not told, but what is in
        the group is."""
        self.ana.creates("bagan")
        self.joins("budi", "bagan")
        self.ana.does(ask.PromoteMember(parse_address("bagan"), parse_address("budi@realm2")))
        asked = {"user": "budi", "group": "bagan"}
        for change, code in (
            ("invite", "not-accepted"),
            ("kick", "user-not-member"),
            ("promote", "user-not-member"),
            ("demote", "user-not-member"),
            ("transfer", "user-not-member"),
            ("unban", "not-banned"),
        ):
            found = []
            for name in ("Dewi", "Nobody"):
                begun = self.network.now
                error = self.asks(wire.ChangeCommand, **asked, change=change, users=[name])
                self.assertGreaterEqual(self.network.now - begun, ANSWER_TIME, change)
                found.append((error.code, str(error).replace(name, "")))
                self.assertEqual(error.details["name"], name)
            self.assertEqual([each[0] for each in found], [code] * 2)
            self.assertEqual(found[0], found[1])
        self.assertEqual(self.ana.members("bagan"), ["*ana+", "*budi@realm2"])
        self.knows("dewi", "budi@realm2")
        said = [
            self.signer.happened("invited", f"{name}@realm1", author="budi", group="bagan")
            for name in ("dewi", "eka")
        ]
        invite = {**asked, "change": "invite", "users": ["dewi", "eka"], "entries": encode(said)}
        result = msgspec.msgpack.decode(self.asks(wire.ChangeCommand, **invite)["result"])
        self.assertEqual((result["joined"], result["asked"]), ([], ["dewi"]))
        self.assertEqual(result["refused"], ["eka"])
        self.one.person("dewi").accepts("bagan")
        self.ana.does(ask.KickMember(parse_address("bagan"), parse_address("dewi")))
        unban = {**asked, "change": "unban", "users": ["dewi"]}
        self.assertIn("result", self.asks(wire.ChangeCommand, **unban))


class PresenceTestCase(GuessingTestCase):
    """All accounts are logged in."""

    def setUp(self) -> None:
        super().setUp()
        for name in ("ana", "dewi", "eka"):
            self.assertIsNotNone(self.one.person(name).client)

    def test_presence_is_hidden_from_unrelated_realms(self) -> None:
        """They are told neither who exists nor who is online, however often they ask."""
        expected = {"ana": False, "dewi": False, "nobody": False}
        for _ in range(2 * MAX_UNKNOWN):
            self.assertEqual(self.online("ana", "dewi", "nobody"), expected)

    def test_conversation(self) -> None:
        self.ana.sends("budi@realm2", "halo")
        found = {"ana": True, "Ana": True, "dewi": False, "nobody": False}
        self.assertEqual(self.online("ana", "Ana", "dewi", "nobody", ""), found)

    def test_contact(self) -> None:
        self.knows("dewi", "budi@realm2")
        self.assertEqual(self.online("ana", "dewi"), {"ana": False, "dewi": True})

    def test_contact_in_a_similar_realm(self) -> None:
        self.knows("dewi", "budi@xrealm2")
        self.assertEqual(self.online("dewi"), {"dewi": False})

    def test_group_here(self) -> None:
        self.ana.creates("bagan")
        self.joins("budi", "bagan")
        self.assertEqual(self.online("ana", "dewi"), {"ana": True, "dewi": False})

    def test_group_there(self) -> None:
        self.one.person("dewi").has_asked_for("palsu@realm2")
        self.verdicts(Joined("palsu", 7, "dewi", 0))
        self.assertEqual(self.online("ana", "dewi"), {"ana": False, "dewi": True})


class AddedTestCase(NetworkTestCase):
    def test_presence(self) -> None:
        """A realm that was added is told who is online."""
        one: Server = self.network.server("realm1")
        two: Server = self.network.server("realm2")
        one.add(two)
        one.person("ana").client  # noqa: B018 - it logs in
        asking = two.realm.directory.presence("realm1", ["ana", "nobody"])
        self.assertEqual(self.network.result(asking), {"ana": TheirState("ana", "online")})
