"""The older dialects add realms, and send messages and files to people in them."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from chatd.lines.dialects.plain import PlainDialect
from tests.support.common import Wire
from tests.support.peering import net
from tests.unit.lines.speakers import (
    BASE64,
    END,
    OK,
    PICTURE,
    ApartTestCase,
    Bagan,
    Kelompok3,
    entry,
    refused,
    said,
)


class Adding(ApartTestCase):
    peered = False

    async def check(self, kind: type[Any], *words: str) -> None:
        await self.set_up()
        messi = await self.speaker(kind, self.one, "messi")
        there = await self.speaker(kind, self.two, "henderson")
        added, exists, unreachable, unknown = words
        port = self.two.port
        nobody = net.listenTCP(0, Factory(), interface="127.0.0.1")
        closed = nobody.getHost().port
        await nobody.stopListening()
        await self.says(
            messi,
            ("sendprivaterealm realm2 henderson halo", refused(unknown)),
            (f"addrealm realm2 127.0.0.1 {closed}", refused(unreachable)),
            (f"addrealm realm3 127.0.0.1 {port}", refused(unreachable)),
            ("addrealm realm3 224.0.0.1 8890", refused(unreachable)),
            ("getrealminbox realm3", refused(unknown)),
            ("addrealm realm2 127.0.0.1 x", refused("Protocol Tidak Benar")),
            ("addrealm realm2 127.0.0.1", refused("Protocol Tidak Benar")),
            (f"addrealm realm2 127.0.0.1 {port}", said(added)),
            (f"addrealm realm2 127.0.0.1 {port}", refused(exists)),
            (f"addrealm REALM2 127.0.0.1 {closed}", refused(exists)),
            (f"addrealm realm1 127.0.0.1 {self.one.port}", refused(exists)),
        )
        # The realm that was added knows the other one too, except its address.
        await self.says(
            there,
            ("getrealminbox realm1", {**OK, "messages": []}),
            (f"addrealm realm1 127.0.0.1 {self.one.port}", said(added)),
            (f"addrealm realm1 127.0.0.1 {self.one.port}", refused(exists)),
        )

    async def test_kelompok3(self) -> None:
        await self.check(
            Kelompok3,
            "Realm Added",
            "Realm Sudah Ada",
            "Realm Unreachable",
            "Realm Tidak Ditemukan",
        )

    async def test_bagan(self) -> None:
        await self.check(
            Bagan, "Realm added", "Realm sudah ada", "Realm Unreachable", "Realm tidak ditemukan"
        )

    async def test_only_operators_may(self) -> None:
        self.one = self.make("realm1", add="operators")
        await self.person(self.one, "ana")
        messi = await self.speaker(Kelompok3, self.one, "messi")
        answer = await messi.say("addrealm realm2 127.0.0.1 8890")
        self.assertEqual(answer["status"], "ERROR")
        self.assertIn("operator", answer["message"])


class Strangers(ApartTestCase):
    """Nobody in realm2 has added realm1."""

    options = {"strangers": "requests"}

    async def test_requests(self) -> None:
        """A request is sent as the documents say, and shown as an ordinary message. An answer accepts it."""
        await self.set_up()
        messi = await self.speaker(Kelompok3, self.one, "messi")
        henderson = await self.speaker(Bagan, self.two, "henderson")
        sent = said("Message Sent to Realm")
        pending = "henderson@realm2 belum menerima permintaan pesan Anda; tunggu jawabannya"
        await self.says(
            messi,
            ("sendprivaterealm realm2 henderson halo", sent),
            ("sendprivaterealm realm2 nobody halo", sent),
            ("sendprivaterealm realm2 henderson lagi", refused(pending)),
            (
                "sendprivaterealm realm2 nobody lagi",
                refused(pending.replace("henderson", "nobody")),
            ),
        )
        (shown,) = (await henderson.say("getrealminbox realm1"))["messages"]
        self.assertEqual((shown["msg_from"], shown["msg"]), ("messi@realm1", "halo"))
        await henderson.say("sendprivaterealm realm1 messi ya?")
        await self.says(messi, ("sendprivaterealm realm2 henderson lagi", sent))


class ToPeople(ApartTestCase):
    """kelompok3, in which a group is a list of people."""

    async def start(self) -> None:
        await self.set_up()
        self.messi = await self.speaker(Kelompok3, self.one, "messi")
        self.henderson = await self.speaker(Kelompok3, self.two, "henderson")
        self.lineker = await self.speaker(Kelompok3, self.two, "lineker")

    async def test_one(self) -> None:
        await self.start()
        await self.says(
            self.messi,
            ("sendprivaterealm realm2 henderson apa  kabar?", said("Message Sent to Realm")),
            ("sendprivaterealm REALM2 HENDERSON lagi", said("Message Sent to Realm")),
            ("sendprivaterealm realm3 henderson halo", refused("Realm Tidak Ditemukan")),
            ("sendprivaterealm realm2 nobody halo", refused("User Tidak Ditemukan")),
            ("sendprivaterealm realm2 nobody halo", refused("User Tidak Ditemukan")),
            ("sendprivaterealm realm2 henderson", refused("Protocol Tidak Benar")),
        )
        found = [entry("messi@realm1", "Henderson", text) for text in ("apa  kabar?", "lagi")]
        self.assertEqual(await self.henderson.read("getrealminbox realm1"), found)
        # And back, by the address in the message.
        await self.says(self.henderson, ("send messi@realm1 baik", said("Message Sent")))
        self.assertEqual(
            await self.messi.read("getinboxrealm realm2 messi"),
            [entry("henderson@realm2", "Messi", "baik")],
        )

    async def test_by_token(self) -> None:
        await self.start()
        token = (await self.messi.say("auth messi messi-password"))["tokenid"]
        wire = Kelompok3(self.one)
        self.addCleanup(wire.leave)
        await self.says(
            wire,
            ("sendprivaterealm realm2 henderson halo", refused("Session Tidak Ditemukan")),
            (f"sendprivaterealm {token} realm2 henderson halo", said("Message Sent to Realm")),
            (
                f"sendgroupfilerealm {token} realm2 henderson a.txt QUJD",
                said("File Sent to Group in Realm"),
            ),
        )
        first, second = await self.henderson.read("getrealminbox realm1")
        self.assertEqual(first, entry("messi@realm1", "Henderson", "halo"))
        self.assertEqual((second["file_name"], second["file_size"]), ("a.txt", 3))

    async def test_many(self) -> None:
        await self.start()
        sent = said("Message Sent to Group in Realm")
        await self.says(
            self.messi,
            ("sendgrouprealm realm2 henderson,lineker halo semua", sent),
            ("sendgrouprealm realm2 henderson satu", sent),
            ("sendgrouprealm realm2 nobody,nothing halo", refused("User Tidak Ditemukan")),
            ("sendgrouprealm realm2 nobody halo", refused("User Tidak Ditemukan")),
            ("sendgrouprealm realm3 henderson,lineker halo", refused("Realm Tidak Ditemukan")),
        )
        answer = await self.messi.say("sendgrouprealm realm2 nobody,lineker dua")
        self.assertEqual(answer, {**sent, "unknown": ["nobody@realm2"]})
        for who, texts in (
            ("henderson", ["halo semua", "satu"]),
            ("lineker", ["halo semua", "dua"]),
        ):
            self.assertEqual(
                await getattr(self, who).read(f"getinboxrealm realm1 {who}"),
                [entry("messi@realm1", who.title(), text) for text in texts],
            )

    async def test_to_both_realms_at_once(self) -> None:
        """A list may name people of several realms."""
        await self.start()
        zico = await self.speaker(Kelompok3, self.one, "zico")
        await self.says(
            self.messi,
            ("sendgroup zico,henderson@realm2 halo", said("Message Sent")),
            ("send nobody@realm2 halo", refused("User Tidak Ditemukan")),
        )
        self.assertEqual(await zico.read("inbox"), {"messi": [entry("Messi", "Zico", "halo")]})
        self.assertEqual(
            await self.henderson.read("getrealminbox realm1"),
            [entry("messi@realm1", "Henderson", "halo")],
        )

    async def test_own_realm(self) -> None:
        await self.start()
        zico = await self.speaker(Kelompok3, self.one, "zico")
        await self.says(
            self.messi, ("sendprivaterealm realm1 zico halo", said("Message Sent to Realm"))
        )
        self.assertEqual(await zico.read("getrealminbox realm1"), [entry("Messi", "Zico", "halo")])

    async def test_each_message_is_in_one_inbox(self) -> None:
        """`inbox` has the messages of this realm, `getinboxrealm` those of the other. Reading one moves
        no mark of the other."""
        await self.start()
        zico = await self.speaker(Kelompok3, self.one, "zico")
        await self.says(zico, ("send messi dari sini", said("Message Sent")))
        await self.says(
            self.henderson,
            ("sendprivaterealm realm1 messi dari sana", said("Message Sent to Realm")),
        )
        here = {"zico": [entry("Zico", "Messi", "dari sini")]}
        there = [entry("henderson@realm2", "Messi", "dari sana")]
        self.assertEqual(await self.messi.read("inbox"), here)
        await self.says(
            self.messi,
            ("inbox", {**OK, "messages": {}}),
            ("getinboxrealm realm1 messi", {**OK, "messages": []}),
            ("getinboxrealm realm2 messi", {**OK, "messages": there}),
            ("getrealminbox realm2", {**OK, "messages": []}),
            ("inbox", {**OK, "messages": {}}),
            ("getrealminbox realm3", refused("Realm Tidak Ditemukan")),
            ("getinboxrealm realm3 messi", refused("Realm Tidak Ditemukan")),
        )
        answer = await self.messi.say("getinboxrealm realm2 zico")
        self.assertEqual(answer["status"], "ERROR")
        self.assertIn("messi", answer["message"])

    async def test_messages_to_a_group_belong_to_its_realm(self) -> None:
        """Messages to a group belong to the realm of the group, whichever realm the sender is in."""
        await self.start()
        await self.ana.must("addgroup", group="bola")
        await self.budi.must("addgroup", group="jauh")
        messi = await self.person(self.one, "messi")
        await messi.must("joingroup", group="bola")
        await messi.must("joingroup", group="jauh@realm2")
        await self.budi.must("sendgrouprealm", realm="realm1", group="bola", text="ke sini")
        await self.ana.must("sendgrouprealm", realm="realm2", group="jauh", text="ke sana")
        self.assertEqual(
            await self.messi.read("getrealminbox realm2"),
            [entry("ana", "jauh@realm2", "ke sana")],
        )
        self.assertEqual(
            await self.messi.read("inbox"),
            {"budi@realm2": [entry("budi@realm2", "bola", "ke sini")]},
        )
        await self.says(
            self.messi,
            ("inbox", {**OK, "messages": {}}),
            ("getrealminbox realm2", {**OK, "messages": []}),
        )

    async def test_files(self) -> None:
        await self.start()
        zubizarreta = await self.person(self.two, "zubizarreta")
        await self.says(
            self.messi,
            (f"sendfilerealm realm2 zubizarreta a.jpg {BASE64}", said("File Sent to Realm")),
        )
        message, data = await self.file_of(zubizarreta)
        self.assertEqual((message["from"], message["file"]["name"]), ("messi@realm1", "a.jpg"))
        self.assertEqual(data, PICTURE)
        sent = said("File Sent to Group in Realm")
        await self.says(
            self.messi,
            (f"sendgroupfilerealm realm2 zubizarreta,budi b.jpg b'{BASE64}'", sent),
            (
                f"sendgroupfilerealm realm2 nobody,budi c.jpg {BASE64}",
                {**sent, "unknown": ["nobody@realm2"]},
            ),
        )
        self.assertEqual((await self.file_of(zubizarreta))[1], PICTURE)
        names = [each["file"]["name"] for each in await self.messages(self.budi, 2)]
        self.assertEqual(names, ["b.jpg", "c.jpg"])

    async def test_a_file_in_plain(self) -> None:
        await self.start()
        await self.says(
            self.messi,
            (f"sendfilerealm realm2 henderson a.jpg {BASE64}", said("File Sent to Realm")),
        )
        (found,) = await self.henderson.read("getrealminbox realm1")
        code, size = found["file_code"], len(PICTURE)
        text = f"file a.jpg ({size} bytes) code {code}"
        shown = entry(
            "messi@realm1", "Henderson", text, file_name="a.jpg", file_size=size, file_code=code
        )
        self.assertEqual(found, shown)
        wire = Wire(self.two.door(PlainDialect()))
        wire.feed(f"auth henderson henderson-password\r\ngetfile {code}\r\n".encode())
        data = await wire.until(lambda data: len(data) > size and data.endswith(PICTURE[-256:]))
        self.assertTrue(data.endswith(END + PICTURE))
        wire.lose(Failure(ConnectionDone()))

    async def test_refused_files(self) -> None:
        await self.start()
        for verb in ("sendfilerealm", "sendgroupfilerealm"):
            await self.says(
                self.messi,
                (f"{verb} realm3 henderson a.jpg QUJD", refused("Realm Tidak Ditemukan")),
                (f"{verb} realm2 nobody a.jpg QUJD", refused("User Tidak Ditemukan")),
                (f"{verb} realm2 henderson a.jpg", refused("File Tidak Ditemukan")),
                (f"{verb} realm2 henderson", refused("Protocol Tidak Benar")),
                (f"{verb} realm2 henderson a.jpg QUJ", refused("Protocol Tidak Benar")),
            )
        await self.says(self.henderson, ("getrealminbox realm1", {**OK, "messages": []}))
        self.assertEqual((await self.ana.must("files"))["files"], [])

    async def test_while_the_other_is_down(self) -> None:
        """The message is queued, and the reply says that it is sent. It arrives later."""
        await self.start()
        await self.says(
            self.messi, ("sendprivaterealm realm2 henderson satu", said("Message Sent to Realm"))
        )
        await self.henderson.read("getrealminbox realm1")
        self.henderson.leave()
        self.lineker.leave()
        self.budi.leave()
        await self.close(self.two)
        await self.says(
            self.messi,
            ("sendprivaterealm realm2 henderson dua", said("Message Sent to Realm")),
            (
                "sendfilerealm realm2 henderson a.txt QUJD",
                said("File Sent to Realm"),
            ),
            ("sendprivaterealm realm2 nobody hilang", said("Message Sent to Realm")),
        )
        two = await self.reopen(self.two)
        back = Kelompok3(two)
        self.addCleanup(back.leave)
        await back.say("auth henderson henderson-password")
        first, *_ = await back.read("getrealminbox realm1")
        self.assertEqual(first["msg"], "dua")
        # The notice does not show who it was for.
        (notice,) = (await self.messi.read("inbox"))["system"]
        self.assertIn("nobody@realm2", notice["msg"])
        self.assertEqual((notice["msg_from"], notice["msg_to"]), ("system", "Messi"))
