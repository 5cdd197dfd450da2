"""What another realm may send here, and what is refused."""

from __future__ import annotations

import gc
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.errors import StorageFailed, UnknownUser
from chatd.base.names import Place, parse_address
from chatd.commands import values as ask
from chatd.federation.parcel_fields import FileNote
from chatd.federation.parcels import (
    KEPT,
    UNREADABLE,
    Direct,
    Joined,
    Left,
    Parcel,
    Post,
    Ref,
    Relay,
    Removed,
    Verdict,
    decode,
    encode,
)
from chatd.federation.receive import Submission
from chatd.federation.refusals import refusal
from chatd.federation.signing.statements import EditAttributes, MessageAttributes, StatedRef
from chatd.service.remote import Membership
from chatd.store.parcel_stream import ParcelStream
from tests.support.network import NetworkTestCase
from tests.support.signing import SigningRealm, example_post, example_relay

NOW = 1_795_169_703_000


class InboundTestCase(NetworkTestCase):
    """realm1, with ana and budi. realm2 and realm3 are known there, and the test makes up their parcels."""

    def setUp(self) -> None:
        super().setUp()
        self.one = self.network.server("realm1")
        self.signers = {}
        for name in ("realm2", "realm3"):
            self.one.knows(name)
            self.signers[name] = SigningRealm(name)
            self.signers[name].announces(self.one)
        self.signers["realm1"] = SigningRealm("realm1", self.one.realm.keys.signing_key)
        self.ana, self.budi = self.one.person("ana"), self.one.person("budi")
        self.number = 0

    def says(self, parcel: Parcel | None, realm: str = "realm2", number: int = 0) -> Verdict:
        """The verdict on one parcel. It has the next number unless one is given."""
        self.number = max(self.number + 1, number)
        (verdict,) = self.one.receives(realm, (number or self.number, parcel))
        return verdict

    def joins(self, user: str, group: str, realm: str = "realm2") -> Membership:
        """Let a person of another realm join a group of realm1."""
        entry = self.signers[realm].joins(user, group=group)
        questions = self.one.federation.questions
        joined: Membership = self.network.result(questions.join(realm, user, group, entry))
        return joined

    def code_of(self, parcel: Parcel, realm: str = "realm2") -> str:
        return self.says(parcel, realm).code


class DirectTestCase(InboundTestCase):
    def direct(self, text: str | None = "halo", **changes: Any) -> Direct:
        said: dict[str, Any] = {"sender": "citra", "to": "ana", "at": NOW, "text": text}
        return Direct(**{**said, **changes})

    def test_kept(self) -> None:
        self.assertEqual(self.says(self.direct()), KEPT)
        self.assertEqual(self.ana.reads(), ["citra@realm2: halo"])

    def test_blank_reply(self) -> None:
        """A message that was deleted before it was sent is no reply, whatever its realm says. A reply would
        look like something that was altered on disk."""
        self.says(self.direct("satu"), number=1)
        self.says(self.direct(None, reply=Ref(True, 1)), number=2)
        self.says(self.direct(None, reply=Ref(True, 9)), number=3)
        place = Place(parse_address("citra@realm2"), None)
        shown = self.ana.does(ask.ShowHistory(place, 500)).items
        self.assertEqual([each.deleted for each in shown], [False, True, True])
        self.assertEqual([each.reply for each in shown], [None] * 3)

    def test_sender_cannot_name_a_realm(self) -> None:
        """A parcel can't name another realm for its sender: such a name is refused."""
        for sender in ("citra@realm3", "citra@realm1", "@realm3", "citra@"):
            self.assertEqual(self.code_of(self.direct(sender=sender)), "bad-name")
        self.says(self.direct(sender="budi"))
        self.assertEqual(self.ana.reads(), ["budi@realm2: halo"])

    def test_same_number(self) -> None:
        """A parcel counts once by realm and number, even if another one follows with them."""
        for _ in range(3):
            self.assertEqual(self.says(self.direct("satu"), number=7), KEPT)
        self.assertEqual(self.says(self.direct("dua"), number=7), KEPT)
        self.says(self.direct("tiga"), "realm3", 7)
        self.assertEqual(self.ana.reads(), ["citra@realm2: satu", "citra@realm3: tiga"])

    def test_same_number_in_a_batch(self) -> None:
        batch = [(1, self.direct("satu")), (2, self.direct("dua")), (1, self.direct("lagi"))]
        self.assertEqual(self.one.receives("realm2", *batch), [KEPT] * 3)
        self.assertEqual(self.ana.reads(), ["citra@realm2: satu", "citra@realm2: dua"])

    def test_lower_number_later(self) -> None:
        """After a restore of its realm, an older parcel may come after newer ones."""
        self.says(self.direct("lima"), number=5)
        self.says(self.direct("tiga"), number=3)
        self.says(self.direct("tiga"), number=3)
        self.assertEqual(self.ana.reads(), ["citra@realm2: lima", "citra@realm2: tiga"])

    def test_same_number_after_restart(self) -> None:
        self.says(self.direct("satu"), number=1)
        self.one.restart()
        self.one.knows("realm2")
        self.assertEqual(self.says(self.direct("satu"), number=1), KEPT)
        self.assertEqual(self.says(self.direct("dua"), number=2), KEPT)
        self.assertEqual(self.ana.reads(), ["citra@realm2: satu", "citra@realm2: dua"])

    def test_unknown(self) -> None:
        verdict = self.says(self.direct(to="nobody"))
        self.assertEqual(verdict, Verdict("unknown-user", {"name": "nobody"}))
        error = refusal(verdict, "realm1")
        self.assertIsInstance(error, UnknownUser)
        self.assertEqual(str(error), "There is no user nobody in realm1")

    def test_unknown_user_is_not_cached(self) -> None:
        """That a user did not exist is not cached."""
        self.says(self.direct(to="dewi"))
        dewi = self.one.person("dewi")
        self.assertEqual(self.says(self.direct(to="dewi")), KEPT)
        self.assertEqual(dewi.reads(), ["citra@realm2: halo"])

    def test_other_nodes_change_something_meanwhile(self) -> None:
        """A recipient exists although what was found of them is dropped from memory before the message is
        looked at."""
        directs = self.one.realm.service.directs
        original = directs.open_from

        async def open_from(pairs: Any) -> Any:
            opened = await original(pairs)
            directs._accounts._reset()
            directs._known._reset()
            return opened

        self.patch(directs, "open_from", open_from)
        self.assertEqual(self.says(self.direct()), KEPT)
        self.assertEqual(self.says(self.direct(to="nobody")).code, "unknown-user")
        self.assertEqual([each.text for each in self.ana.inbox()], ["halo"])

    def test_bad_names(self) -> None:
        for name in ("", "a b", "a,b", "a\n", "x" * 65, "\x1b[2J", "ana@realm1", "a\u202eb"):
            self.assertEqual(self.code_of(self.direct(sender=name)), "bad-name")
            self.assertIn(self.code_of(self.direct(to=name)), ("unknown-user", "bad-name"))
        self.assertEqual(self.ana.inbox(), [])

    def test_system_is_not_an_account(self) -> None:
        self.assertEqual(self.code_of(self.direct(to="system")), "unknown-user")
        self.says(self.direct(sender="system"))
        self.assertEqual(self.ana.reads(), ["system@realm2: halo"])

    def test_bad_texts(self) -> None:
        for text in ("a\x07b", "a\r\nb", "a\rb", "\x1b[31m", "a\x00", "\x9b"):
            self.assertEqual(self.code_of(self.direct(text)), "bad-text", repr(text))
        self.assertEqual(self.code_of(self.direct("")), "empty-text")
        verdict = self.says(self.direct("x" * 8193))
        self.assertEqual(verdict, Verdict("message-too-long", {"size": 8193, "limit": 8192}))
        self.assertEqual(self.code_of(self.direct("é" * 4097)), "message-too-long")
        self.assertEqual(self.code_of(self.direct("x" * 8192)), "")
        self.assertEqual(self.code_of(self.direct("tab\tbed")), "")
        self.assertEqual(self.code_of(self.direct("two\nlines")), "")

    def test_at(self) -> None:
        """The sending time is not later than now, and not before 1970."""
        for at in (NOW - 5000, NOW + 3_600_000, 1 << 62, -1, -(1 << 62), 0):
            self.says(self.direct(at=at))
        self.assertEqual(
            [message.at for message in self.ana.inbox()], [NOW - 5000, NOW, NOW, 0, 0, 0]
        )

    def test_names_as_written(self) -> None:
        """The sender's name as their realm writes it, the recipient's as this realm does."""
        self.says(self.direct(sender="Citra", to="ANA"))
        self.says(self.direct(sender="citra"))
        (first, second) = self.ana.inbox()
        self.assertEqual((first.sender, first.to), ("Citra@realm2", "ana"))
        self.assertEqual(second.conversation, first.conversation)

    def test_mixed_batch(self) -> None:
        """Each parcel gets its own verdict, in order. Accepted ones stay in order too."""
        verdicts = self.one.receives(
            "realm2",
            (1, self.direct("satu")),
            (2, None),
            (3, self.direct("dua", to="nobody")),
            (4, self.direct("dua", to="budi")),
            (5, self.direct("a\x00")),
            (6, self.signers["realm2"].leaves("citra")),
            (7, self.direct("tiga")),
            (8, Post(self.signers["realm2"].says("x"), "bagan")),
            (9, self.direct("empat")),
        )
        self.assertEqual(
            [each.code for each in verdicts],
            ["", "bad-parcel", "unknown-user", "", "bad-text", "", "", "unknown-group", ""],
        )
        self.assertIs(verdicts[1], UNREADABLE)
        self.assertEqual(
            self.ana.reads(),
            ["citra@realm2: satu", "citra@realm2: tiga", "citra@realm2: empat"],
        )
        self.assertEqual(self.budi.reads(), ["citra@realm2: dua"])

    def test_file_without_bytes(self) -> None:
        note = FileNote("a.txt", 5, "0" * 64, "abcdef")
        self.assertEqual(self.code_of(self.direct(None, file=note)), "")
        (message,) = self.ana.inbox()
        assert message.file is not None
        self.assertEqual(message.file.state, "arriving")


class PostTestCase(InboundTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.code = self.ana.creates("bagan")

    def post(self, text: str | None = "halo", group: str = "bagan", **said: Any) -> Post:
        return Post(self.signers["realm2"].says(text, **said), group)

    def test_open_group(self) -> None:
        """Anyone may post to an open group, and the verdict has the message's number."""
        self.ana.posts("bagan", "satu")
        self.assertEqual(self.says(self.post("dua")), Verdict(seq=3))
        self.assertEqual(self.says(self.post("tiga", group=self.code)), Verdict(seq=4))
        self.assertEqual(
            self.ana.history(group="bagan"),
            ["ana: satu", "citra@realm2: dua", "citra@realm2: tiga"],
        )

    def test_again(self) -> None:
        post = self.post()
        self.says(post, number=4)
        self.says(post, number=4)
        self.says(post, number=5)
        self.assertEqual(self.ana.reads(), ["citra@realm2: halo"])

    def test_refused(self) -> None:
        self.assertEqual(self.code_of(self.post(group="nusantara")), "unknown-group")
        self.assertEqual(self.code_of(self.post(group="bagan@realm2")), "bad-name")
        self.assertEqual(self.code_of(self.post(author="ana@realm1")), "bad-name")
        self.assertEqual(self.code_of(self.post("\x00")), "bad-text")
        self.assertEqual(self.code_of(self.post(None)), "empty-text")
        self.assertEqual(self.code_of(self.post("x" * 8193)), "message-too-long")
        self.assertEqual(self.ana.history(group="bagan"), [])

    def test_mention_of_everybody(self) -> None:
        """Only an admin of the group can do that, as in this realm."""
        signer = self.signers["realm2"]
        self.joins("citra", "bagan")
        everybody = MessageAttributes(mentions=("@all",))
        post = Post(signer.signs(everybody, b"@all halo"), "bagan")
        self.assertEqual(self.code_of(post), "not-admin")
        self.says(Post(signer.says("halo", number=90), "bagan"))
        edit = signer.signs(EditAttributes(("@all",)), b"@all halo", target=StatedRef("realm2", 90))
        self.assertEqual(self.code_of(Post(edit, "bagan")), "not-admin")
        self.assertEqual(self.ana.history(group="bagan"), ["citra@realm2: halo"])
        self.ana.does(ask.PromoteMember(parse_address("bagan"), parse_address("citra@realm2")))
        self.assertEqual(self.code_of(Post(signer.signs(everybody, b"@all halo"), "bagan")), "")

    def test_left_again(self) -> None:
        """citra has joined again since she left: the repeated parcel is ignored."""
        for _ in range(2):
            self.joins("citra", "bagan")
            self.assertEqual(self.ana.members("bagan"), ["*ana+", "citra@realm2"])
            left = self.signers["realm2"].leaves("citra")
            self.says(left)
            self.assertEqual(self.ana.members("bagan"), ["*ana+"])
        self.joins("citra", "bagan")
        self.one.receives("realm2", (self.number, left))
        self.assertEqual(self.ana.members("bagan"), ["*ana+", "citra@realm2"])

    def test_leave_of_a_non_member(self) -> None:
        """The parcel is accepted."""
        signer = self.signers["realm2"]
        self.assertEqual(self.says(signer.leaves("citra")), KEPT)
        self.assertEqual(self.says(signer.leaves("ana")), KEPT)
        self.assertEqual(self.says(signer.leaves("citra", "nusantara")), KEPT)
        self.assertEqual(self.code_of(Left("ana@realm1", "bagan")), "bad-name")
        self.assertEqual(self.ana.members("bagan"), ["*ana+"])


class RelayTestCase(InboundTestCase):
    """ana is a member of bagan@realm2, and the test makes up what that realm sends."""

    def setUp(self) -> None:
        super().setUp()
        self.ana.has_asked_for("bagan@realm2")
        self.assertEqual(self.says(Joined("bagan", 5, "ana", 10)), KEPT)

    def relay(
        self,
        text: str | None = "halo",
        seq: int = 11,
        *,
        by: str = "realm2",
        group: str = "bagan",
        group_id: int = 5,
        **said: Any,
    ) -> Relay:
        entry = self.signers[by].says(text, **{"home": "realm2", "group": group_id, **said})
        return Relay(entry, group, group_id, seq)

    def history(self) -> list[str]:
        return self.ana.history(group="bagan@realm2")

    def test_kept(self) -> None:
        self.assertEqual(self.says(self.relay("satu", 11)), Verdict(seq=11))
        self.assertEqual(
            self.says(self.relay("dua", 14, by="realm3", author="dewi")), Verdict(seq=14)
        )
        messages = self.ana.inbox()
        self.assertEqual(
            [(each.sender, each.group, each.seq) for each in messages],
            [("citra@realm2", "bagan@realm2", 11), ("dewi@realm3", "bagan@realm2", 14)],
        )

    def test_home_restored_from_older_state(self) -> None:
        """The home was restored from an older state: its messages are numbered after those that are here."""
        self.says(self.relay("satu", 20))
        self.says(self.relay("dua", 11))
        self.says(self.relay("tiga", 12))
        self.assertEqual([each.seq for each in self.ana.inbox()], [20, 21, 22])

    def test_unknown_group(self) -> None:
        """A group that this realm does not know is refused, so that its home stops sending."""
        self.assertEqual(self.code_of(self.relay(group="nusantara")), "unknown-group")
        self.assertEqual(self.code_of(self.relay(group_id=6)), "unknown-group")
        self.assertEqual(self.code_of(self.relay(), "realm3"), "unknown-group")
        self.assertEqual(self.history(), [])

    def test_groups_of_this_realm(self) -> None:
        """Another realm can't relay messages into groups of this one."""
        self.budi.creates("nusantara")
        home = self.one.service.groups._rosters.cached("nusantara")
        ident = home.group.id if home else 1
        for group in ("nusantara", "nusantara@realm1"):
            code = self.code_of(self.relay(group=group, group_id=ident))
            self.assertIn(code, ("unknown-group", "bad-name"))
        self.assertIn(self.code_of(Removed("nusantara", ident, "budi")), ("",))
        self.assertEqual(self.budi.members("nusantara"), ["*budi+"])
        self.assertEqual(self.budi.history(group="nusantara"), [])

    def test_forged_message_of_a_local_account(self) -> None:
        """realm2 relays a message as ana's: it is accepted only with a signature of this realm."""
        forger = SigningRealm("realm1", self.signers["realm2"].key)
        for author in ("ana", "ANA", "nobody"):
            entry = forger.says("I resign", home="realm2", group=5, author=author)
            self.assertEqual(self.code_of(Relay(entry, "bagan", 5, 11)), "bad-signature")
        self.assertEqual(self.history(), [])

    def test_numbers_of_a_realm_without_a_key(self) -> None:
        """A home can't use up the numbers of a realm whose key is not known here yet: they count within its
        group only."""
        self.one.knows("realm4")
        self.signers["realm4"] = SigningRealm("realm4")
        self.assertEqual(self.says(self.relay(by="realm4", number=77)).code, "")
        direct = Direct("citra", "ana", NOW, "apa kabar")
        self.assertEqual(self.says(direct, "realm4", 77), KEPT)
        self.assertEqual(self.ana.history("citra@realm4"), ["citra@realm4: apa kabar"])

    def test_own_words(self) -> None:
        back = self.relay(by="realm1", author="ana")
        self.assertEqual(self.says(back).seq, 11)
        self.assertEqual(self.says(back).seq, 11)
        self.assertEqual(self.history(), ["ana: halo"])
        self.assertEqual(self.ana.inbox(), [], "one's own words are not unread")

    def test_own_words_altered(self) -> None:
        entry = self.signers["realm1"].says("halo", home="realm2", group=5, author="ana")
        self.ana.has_asked_for("bagan@realm3")
        self.says(Joined("bagan", 7, "ana", 0), "realm3")
        changed: tuple[tuple[str, int, dict[str, Any]], ...] = (
            ("realm2", 5, {"body": b"halo!"}),
            ("realm2", 5, {"salt": b"x" * 16}),
            ("realm2", 5, {"statement": entry.statement.replace(b"ana", b"bud")}),
            ("realm2", 5, {"statement": entry.statement.replace(b"\x05", b"\x06")}),
            ("realm3", 7, {}),
        )
        for realm, group_id, changes in changed:
            altered = msgspec.structs.replace(entry, **changes)
            relay = Relay(altered, "bagan", group_id, 11)
            self.assertEqual(self.code_of(relay, realm), "bad-signature")
        self.assertEqual(self.history(), [])
        self.assertEqual(self.ana.history(group="bagan@realm3"), [])

    def test_altered_file_of_a_local_account(self) -> None:
        """A message of ana's does not come back with other bytes, or with a file that is not hers."""
        self.budi.sends_file("budi", "b.txt", b"other")
        (theirs,) = self.budi.files()
        sha = "0" * 64
        note = FileNote("a.txt", 5, sha, "abcdef")
        for file in (
            note,
            FileNote("a.txt", 5, sha, theirs.code),
            FileNote("a.txt", 5, "1" * 64, "abcdef"),
        ):
            back = self.relay(None, by="realm1", author="ana", file=file)
            self.assertEqual(self.says(back).code, "")
        shown = self.ana.does(ask.ShowHistory(Place(group=parse_address("bagan@realm2")), 9)).items
        self.assertEqual([each.file.state for each in shown], ["arriving"] * 3)
        self.assertNotIn(theirs.code, [each.file.code for each in shown])

    def test_bad(self) -> None:
        self.assertEqual(self.code_of(self.relay("\x1b")), "bad-text")
        self.assertEqual(self.code_of(self.relay("")), "empty-text")
        self.assertEqual(self.code_of(self.relay(author="a b")), "bad-name")
        self.assertEqual(self.code_of(self.relay(author="b@c")), "bad-name")
        self.assertEqual(self.code_of(self.relay(group="a b")), "bad-name")
        self.assertEqual(self.code_of(self.relay("x" * 9000)), "message-too-long")
        self.says(self.relay(at=1 << 60))
        self.assertEqual([each.at for each in self.ana.inbox()], [NOW])

    def test_membership(self) -> None:
        """Reports of membership that are repeated, or name an unknown user or an older group of that name."""
        self.ana.has_asked_for("bagan@realm2")
        self.assertEqual(self.says(Joined("bagan", 5, "ana", 10)), KEPT)
        self.assertEqual(self.code_of(Joined("bagan", 5, "nobody", 10)), "unknown-user")
        self.assertEqual(self.code_of(Joined("a b", 5, "ana", 10)), "bad-name")
        self.assertEqual(self.says(Removed("bagan", 6, "ana")), KEPT)
        self.assertEqual(self.says(self.relay()).seq, 11)
        self.assertEqual(self.says(Removed("bagan", 5, "nobody")), KEPT)
        self.assertEqual(self.says(Removed("bagan", 5, "budi")), KEPT)
        self.assertEqual(self.says(Removed("bagan", 5, "ana")), KEPT)
        self.assertEqual(self.says(Removed("bagan", 5, "ana")), KEPT)
        self.assertEqual(self.ana.mine(), [])

    def test_two_members(self) -> None:
        """Someone who joins later has only later messages unread."""
        self.says(self.relay("satu", 11))
        self.budi.has_asked_for("bagan@realm2")
        self.says(Joined("bagan", 5, "budi", 11))
        self.says(self.relay("dua", 12))
        self.assertEqual(self.ana.reads(), ["citra@realm2: satu", "citra@realm2: dua"])
        self.assertEqual(self.budi.reads(), ["citra@realm2: dua"])

    def test_new_group_of_the_same_name(self) -> None:
        """The old group has ended there: its messages are not the new one's."""
        self.says(self.relay("satu", 11))
        self.budi.has_asked_for("bagan@realm2")
        self.says(Joined("bagan", 9, "budi", 0))
        self.assertEqual(self.says(self.relay("dua", 1, group_id=9)), Verdict(seq=1))
        self.assertEqual(self.code_of(self.relay("tiga", 12)), "unknown-group")
        self.assertEqual(self.budi.history(group="bagan@realm2"), ["citra@realm2: dua"])
        self.assertEqual(self.ana.mine(), [])

    def test_repeated_reports_after_a_break(self) -> None:
        """Everything is sent again after a lost acknowledgement. ana has left and joined since, and her
        unread messages stay unread."""
        story: list[tuple[int, Parcel]] = [
            (21, self.relay("satu", 11)),
            (22, Removed("bagan", 5, "ana")),
            (23, Joined("bagan", 5, "ana", 12)),
            (24, self.relay("dua", 13)),
        ]
        self.one.receives("realm2", *story[:2])
        self.ana.has_asked_for("bagan@realm2")
        for _ in range(2):
            self.one.receives("realm2", *story)
        self.assertEqual(self.ana.mine(), ["bagan@realm2"])
        self.assertEqual(self.ana.reads(), ["citra@realm2: dua"])
        self.assertEqual(self.one.receives("realm2", (25, Removed("bagan", 5, "ana"))), [KEPT])
        self.assertEqual(self.ana.mine(), [])

    def test_outdated_report(self) -> None:
        """ana has left since, so the repeated report that she joined is ignored."""
        self.ana.does(ask.LeaveGroup(parse_address("bagan@realm2")))
        self.one.receives("realm2", (1, Joined("bagan", 5, "ana", 10)))
        self.assertEqual(self.ana.mine(), [])

    def test_both_groups_of_a_name_said_again(self) -> None:
        story: list[tuple[int, Parcel]] = [
            (21, self.relay("satu", 11)),
            (22, Removed("bagan", 5, "ana")),
            (23, Joined("bagan", 9, "ana", 0)),
            (24, self.relay("dua", 1, group_id=9)),
        ]
        self.ana.has_asked_for("bagan@realm2")
        for _ in range(3):
            self.one.receives("realm2", (1, Joined("bagan", 5, "ana", 10)), *story)
        self.assertEqual(self.ana.reads(), ["citra@realm2: dua"])
        self.one.receives("realm2", (25, self.relay("tiga", 2, group_id=9)))
        self.assertEqual(self.history(), ["citra@realm2: dua", "citra@realm2: tiga"])

    def test_home_restored_with_old_group(self) -> None:
        """The home was restored from a state in which the old group exists."""
        self.says(self.relay("satu", 11))
        self.ana.has_asked_for("bagan@realm2")
        self.says(Joined("bagan", 9, "ana", 0))
        self.ana.has_asked_for("bagan@realm2")
        self.says(Joined("bagan", 5, "ana", 11))
        self.says(self.relay("dua", 12))
        self.assertEqual(self.history(), ["citra@realm2: satu", "citra@realm2: dua"])


class ParcelsTestCase(NetworkTestCase):
    def test_there_and_back(self) -> None:
        note = FileNote("a.txt", 5, "0" * 64, "abcdef")
        for parcel in (
            Direct("ana", "budi", 1, "halo"),
            Direct("ana", "budi", 1, None, note),
            example_post(),
            example_relay(),
            Joined("bagan", 5, "budi", 6),
            Removed("bagan", 5, "budi"),
            Left("ana", "bagan"),
            SigningRealm("realm2").leaves("ana"),
        ):
            self.assertEqual(decode(encode(parcel)), parcel)


class SubmissionTestCase(SynchronousTestCase):
    def test_ends_early(self) -> None:
        """A verdict that fails is no unhandled error, also if nobody waits for the batch any more."""
        submission = Submission("realm2", [], ParcelStream())
        storing: Deferred[Verdict] = Deferred()
        submission.add(storing)
        storing.errback(StorageFailed())
        del submission, storing
        gc.collect()
        self.assertEqual(self.flushLoggedErrors(), [])
