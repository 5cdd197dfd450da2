"""What is taken of archives with a strange profile or strange messages."""

from __future__ import annotations

from unittest import mock

import msgspec

from chatd.base.account_archive import ArchivedFile, ArchivedGroup, ArchivedOpaque
from chatd.base.config import MAX_MESSAGE
from chatd.base.model import Account
from chatd.base.names import parse_place
from chatd.media.process import PictureRefused
from chatd.store.imports import DONE, FAILED
from tests.support.archives import OLD, archive, direct, said
from tests.support.imports import ImportsTestCase


class Profiles(ImportsTestCase):
    limits = {"account_contacts": 2}

    async def test_names(self) -> None:
        """A realm or an account whose name can't be one ends the import."""
        messi = await self.register("messi")
        for number, change in enumerate(({"realm": "a b"}, {"username": "a b"})):
            with self.subTest(**change):
                data = archive(profile=msgspec.structs.replace(OLD, **change))
                ended = await self.take(messi, data)
                assert ended.refused is not None, (number, ended)
                self.assertEqual((ended.state, ended.refused.code), (FAILED, "bad-archive"))

    async def test_strange(self) -> None:
        """What can't be an address is left out, and contacts above the limit are."""
        messi = await self.register("messi")
        profile = msgspec.structs.replace(
            OLD,
            name="a\u202eb",
            contacts=("budi", "budi", "a b", "joko", "ana"),
            blocked=("a b", "eka"),
            groups=(ArchivedGroup("a b"), ArchivedGroup("rowing", "\x07")),
        )
        ended = await self.take(messi, archive(profile=profile))
        self.assertEqual((ended.state, ended.progress.contacts), (DONE, 2))
        self.assertEqual(ended.progress.groups, (ArchivedGroup("rowing@realm9"),))
        blocks = await self.realm.service.blocks.list(messi)
        self.assertEqual([each.address for each in blocks], ["eka@realm9"])
        self.assertEqual((await self.realm.service.accounts.find("messi")).display_name, "messi")

    async def test_picture(self) -> None:
        """A picture is made again; one that is none is left out, and one of the account stays."""
        service = self.realm.service
        messi = await self.register("messi")
        data = archive(profile=msgspec.structs.replace(OLD, picture=b"webp"))
        with mock.patch.object(service.avatars, "remade", side_effect=PictureRefused("none")):
            ended = await self.take(messi, data)
        self.assertEqual(ended.state, DONE)
        self.assertIsNone((await service.accounts.find("messi")).picture)
        with mock.patch.object(service.avatars, "remade", return_value=b"again") as remade:
            await self.take(messi, data)
            shown = (await service.accounts.find("messi")).picture
            self.assertIsNotNone(shown)
            await self.take(await service.accounts.find("messi"), data)
        self.assertEqual(remade.call_count, 1)
        self.assertEqual((await service.accounts.find("messi")).picture, shown)


class Messages(ImportsTestCase):
    async def test_strange(self) -> None:
        """A sender that can't be one is the realm, a type that can't be one is left out, a text is cut off,
        and a file has another name."""
        messi = await self.register("messi")
        note = ArchivedFile("files/k-a", 4, "", "...")
        data = archive(
            direct(
                5,
                "budi",
                said(1, "a b", "halo"),
                said(2, "budi", opaque=ArchivedOpaque("no type", b"x")),
                said(3, "budi", "\u00e9" * MAX_MESSAGE),
                said(4, "budi", file=note),
            ),
            direct(6, "~ana@realm5", said(1, "ana@realm5", "lama")),
            files={note.path: b"halo"},
        )
        ended = await self.take(messi, data)
        self.assertEqual((ended.refused, ended.progress.messages), (None, 5))
        first, second, third, fourth = await self.history(messi, "budi@realm9")
        self.assertEqual((first.sender, first.text), ("system@realm9", "halo"))
        self.assertEqual((second.opaque, second.text), (None, "\N{REPLACEMENT CHARACTER}"))
        assert fourth.file is not None
        self.assertEqual(third.text, "\u00e9" * (MAX_MESSAGE // 2))
        self.assertEqual(fourth.file.name, "file")
        self.assertEqual(await self.texts(messi, "~ana@realm5"), ["lama"])

    async def test_choices(self) -> None:
        """Conversations are muted and archived as before, once: later choices stay."""
        messi = await self.register("messi")
        head, messages = direct(5, "budi", said(1, "budi", "lama"))
        data = archive(
            (msgspec.structs.replace(head, notify="none", archived=True), messages),
            direct(6, "ana", said(1, "ana", "lama")),
        )
        await self.take(messi, data)
        self.assertEqual(
            await self.choices(messi), {"budi@realm9": ("none", True), "ana@realm9": ("all", False)}
        )
        await self.realm.service.settings.archive(messi, parse_place("@budi@realm9"), False, None)
        await self.take(messi, data)
        self.assertEqual((await self.choices(messi))["budi@realm9"], ("none", False))

    async def choices(self, account: Account) -> dict[str | None, tuple[str, bool]]:
        found, _ = await self.realm.service.conversations.all(account, {})
        return {each.user: (each.preferences.notify, each.preferences.archived) for each in found}
