"""Entries of groups that are refused, dropped, or kept without a verified signature."""

from __future__ import annotations

from typing import Any
from unittest import mock

import msgspec

from chatd.base.errors import StorageFailed
from chatd.base.model import MAX_OPAQUE
from chatd.base.names import Place, parse_group
from chatd.commands import values as ask
from chatd.federation.parcels import Post
from chatd.federation.signing.entries import SignedEntry
from chatd.federation.signing.statements import (
    DeletionAttributes,
    EditAttributes,
    GroupAttributes,
    MemberAttributes,
    MessageAttributes,
    ReactionAttributes,
    StatedRef,
)
from chatd.service.message_changes import MessageChanges
from tests.support.signing import SigningRealm
from tests.unit.federation.test_hostile_home import BAGAN, HomeTestCase
from tests.unit.federation.test_receive import InboundTestCase


class Posts(InboundTestCase):
    """realm2 posts to bagan, whose home is realm1."""

    def setUp(self) -> None:
        super().setUp()
        self.code = self.ana.creates("bagan")
        self.signer = self.signers["realm2"]
        self.joins("citra", "bagan")
        self.says(Post(self.signer.says("halo", number=90), "bagan"))

    def post(self, entry: SignedEntry, group: str = "bagan") -> str:
        return self.code_of(Post(entry, group))

    def change(self, attributes: Any, body: bytes = b"", number: int = 90) -> SignedEntry:
        """What citra@realm2 does to her message."""
        return self.signer.signs(attributes, body, target=StatedRef("realm2", number))

    def history(self) -> list[str]:
        return self.ana.history(group="bagan")

    def test_entry_of_another_realm(self) -> None:
        """A realm can't post what a third one has signed, even for this very group."""
        self.assertEqual(self.post(self.signers["realm3"].says("palsu")), "bad-signature")
        self.assertEqual(self.history(), ["citra@realm2: halo"])

    def test_without_a_signature(self) -> None:
        """A post without a signature is refused, also while those of older realms are still relayed."""
        keys = self.one.federation.keys
        for until in (0, self.one.service.context.now() + 1000):
            self.patch(keys, "unsigned_until", until)
            unsigned = msgspec.structs.replace(self.signer.says("palsu"), proof=None)
            self.assertEqual(self.post(unsigned), "bad-signature")
        self.assertEqual(self.history(), ["citra@realm2: halo"])

    def test_made_for_a_code(self) -> None:
        """A statement names the group as all realms know it, and not by its code."""
        self.assertEqual(self.post(self.signer.says("x", group=self.code)), "unknown-group")
        self.assertEqual(self.history(), ["citra@realm2: halo"])

    def test_opaque_size(self) -> None:
        """An opaque message is kept up to the largest size, and refused beyond it."""
        for size, code in ((MAX_OPAQUE, ""), (MAX_OPAQUE + 1, "message-too-long")):
            sealed = self.signer.signs(MessageAttributes(media="application/x"), b"x" * size)
            self.assertEqual(self.post(sealed), code)

    def test_edit_that_is_blank(self) -> None:
        """The text of an edit was deleted while it waited: it changes nothing, and is not sent again."""
        edit = self.change(EditAttributes(), b"hai").blank()
        self.assertEqual(self.post(edit), "")
        self.assertEqual(self.history(), ["citra@realm2: halo"])

    def test_unknown_changes(self) -> None:
        """Facts about members and the group, and words as a reaction, can't be posted as changes of a
        message; nor can a change of no message."""
        for attributes in (
            MemberAttributes("promoted", "citra@realm2"),
            GroupAttributes({"closed": True}),
            ReactionAttributes("no emoji", True),
        ):
            self.assertEqual(self.post(self.change(attributes)), "bad-signature", attributes)
        aimless = self.signer.signs(DeletionAttributes())
        self.assertEqual(self.post(aimless), "bad-signature")
        self.assertEqual(self.history(), ["citra@realm2: halo"])
        self.assertEqual(self.ana.members("bagan"), ["*ana+", "citra@realm2"])

    def test_listeners_that_fail(self) -> None:
        """A change that is on disk is acknowledged, although telling the listeners of it has failed."""
        with mock.patch.object(MessageChanges, "publish", side_effect=ZeroDivisionError):
            self.assertEqual(self.post(self.change(EditAttributes(), b"hai")), "")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.history(), ["citra@realm2: hai"])

    def test_full_disk(self) -> None:
        """A change that the disk does not take is asked for again, and costs its realm nothing."""
        quotas = self.one.federation.receiver._quotas
        edit = self.change(EditAttributes(), b"hai")
        with mock.patch.object(quotas, "give_back_bytes", wraps=quotas.give_back_bytes) as back:
            self.one.realm.database.full = True
            with self.assertRaises(StorageFailed):
                self.post(edit)
            self.assertEqual(back.call_count, 1)
        self.one.realm.database.full = False
        self.assertEqual(self.post(edit), "")
        self.assertEqual(self.history(), ["citra@realm2: hai"])
        self.flushLoggedErrors(StorageFailed)


class Relays(HomeTestCase):
    """realm2 relays entries of bagan@realm2 to realm1."""

    def test_account_that_does_not_exist(self) -> None:
        """The home relays what an account of this realm never said, because there is none: it is dropped,
        and not asked for again."""
        entry = self.signers["realm1"].says("palsu", home="realm2", group=BAGAN, author="nobody")
        self.assertEqual(self.relays(entry).code, "")
        self.assertEqual(self.history(), [])

    def test_another_id(self) -> None:
        """A group of the name, but with another id, is another group."""
        for group, ident in (("bagan", BAGAN + 9), ("unknown", BAGAN)):
            self.assertEqual(self.relays(self.dewi(), group, ident).code, "unknown-group")
        self.assertEqual(self.history(), [])

    def test_of_an_older_realm(self) -> None:
        """An entry of version 1 that has waited over the update is kept, and shown as not signed. Later such
        an entry is refused."""
        old = msgspec.structs.replace(self.dewi("lama"), proof=None)
        late = msgspec.structs.replace(self.dewi("telat"), proof=None)
        now = self.one.service.context.now()
        self.patch(self.one.federation.keys, "unsigned_until", now + 1000)
        self.assertEqual(self.relays(old).code, "")
        self.network.advance(2)
        self.assertEqual(self.relays(late).code, "bad-signature")
        (message,) = self.shown()
        self.assertEqual((message.text, message.sender), ("lama", "dewi@realm3"))

    def test_blank(self) -> None:
        """A message that was deleted while its relay waited keeps its place, and has no content."""
        self.assertEqual(self.relays(self.dewi("rahasia").blank()).code, "")
        place = Place(None, parse_group("bagan@realm2"))
        (message,) = self.ana.does(ask.ShowHistory(place, 9)).items
        self.assertTrue(message.deleted)
        self.assertIsNone(message.text)

    def test_author_of_an_unknown_realm(self) -> None:
        """An author whose realm is not known here is shown by the address that the entry states. The message
        is shown as unverified."""
        entry = SigningRealm("realm4").says("halo", home="realm2", group=BAGAN, author="eka")
        self.assertEqual(self.relays(entry).code, "")
        (message,) = self.shown()
        self.assertEqual((message.sender, message.unverified), ("eka@realm4", True))
