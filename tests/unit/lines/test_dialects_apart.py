"""The older dialects between two realms that are really peered: what their requests about other realms come
to, and how what comes from there is read."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from chatd.lines.dialect import Dialect
from chatd.lines.dialects.bagan import BaganDialect
from chatd.lines.dialects.kelompok3 import Kelompok3Dialect
from chatd.lines.dialects.plain import PlainDialect
from chatd.lines.dialects.pychat import PychatDialect
from chatd.lines.dialects.tugas4 import Tugas4Dialect
from chatd.lines.dialects.urlencoded import UrlencodedDialect
from tests.support.common import Realm, Wire, sleep
from tests.support.peering import PATIENCE, PeeringTestCase, Person, net

END = b"\r\n\r\n"
PICTURE = bytes(range(256)) * 300 + b"\r\n\r\n"  # more than what goes to a peer at a time
BASE64 = base64.b64encode(PICTURE).decode()
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
OK = {"status": "OK"}


def said(message: str) -> dict[str, Any]:
    return {"status": "OK", "message": message}


def refused(message: str) -> dict[str, Any]:
    return {"status": "ERROR", "message": message}


def entry(sender: str, to: str, text: str, **more: Any) -> dict[str, Any]:
    return {"msg_from": sender, "msg_to": to, "msg": text, **more}


class Speaker:
    """Somebody who speaks a dialect whose answers are JSON objects."""

    dialect: Callable[[], Dialect]
    end = END

    def __init__(self, realm: Realm) -> None:
        self.wire = Wire(realm.door(self.dialect()))

    async def say(self, line: str) -> Any:
        """One request, and its answer."""
        self.wire.feed(line.encode() + b"\r\n")
        return json.loads(await self.wire.until(self.end, PATIENCE))

    async def log_in(self, name: str) -> None:
        raise NotImplementedError

    async def read(self, request: str) -> Any:
        """The messages that an inbox gives, once there are any."""
        end = net.seconds() + PATIENCE
        while not (found := (await self.say(request))["messages"]):
            assert net.seconds() < end, f"{request} gave nothing"
            await sleep(0.02)
        return found

    def leave(self) -> None:
        if self.wire.transport.connected:
            self.wire.lose(Failure(ConnectionDone()))


class Kelompok3(Speaker):
    dialect = Kelompok3Dialect

    async def log_in(self, name: str) -> None:
        answer = await self.say(f"register {name} {name}-password {name.title()} Indonesia")
        assert answer["status"] == "OK", answer


class Bagan(Speaker):
    dialect = BaganDialect

    async def log_in(self, name: str) -> None:
        answer = await self.say(f"register {name} {name}-password Indonesia {name.title()} B")
        assert answer["status"] == "OK", answer


class Tugas4(Speaker):
    dialect = Tugas4Dialect

    async def log_in(self, name: str) -> None:
        await self.say(f"auth_register {name} {name}-password")
        answer = await self.say(f"auth_login {name} {name}-password")
        assert answer["status"] == "OK", answer


class Urlencoded(Speaker):
    dialect = UrlencodedDialect
    end = b"\r\n"

    async def log_in(self, name: str) -> None:
        who = f"username={name}&password={name}-password"
        await self.say(f"register {who}&nationality=Indonesia&name={name.title()}")
        self.session = (await self.say(f"auth {who}"))["session"]

    async def ask(self, verb: str, payload: str = "") -> Any:
        return await self.say(f"{verb} session={self.session}&{payload}")


class Pychat(Speaker):
    dialect = PychatDialect

    async def log_in(self, name: str) -> None:
        await self.wire.until(b"\r\n")  # the greeting
        await self.lines(f"AUTH-REGISTER {name} {name}-password {name}-password")
        assert await self.lines(f"AUTH-LOGIN {name} {name}-password") == [
            "success you are logged in now"
        ]

    async def lines(self, line: str, data: bytes = b"") -> list[str]:
        """One request, and the lines of its answer; after `ready`, of what follows the bytes."""
        self.wire.feed(line.encode() + b"\r\n")
        answer = await self.wire.until(_is_whole, PATIENCE)
        if answer == b"success ready\r\n":
            self.wire.feed(data)
            answer = await self.wire.until(_is_whole, PATIENCE)
        return answer.decode().split("\r\n")[:-1]

    async def read_lines(self, request: str, count: int = 1) -> list[str]:
        """The lines of a list, once it has so many."""
        end = net.seconds() + PATIENCE
        while len(found := await self.lines(request)) <= count:
            assert net.seconds() < end, f"{request} gave {found}"
            await sleep(0.02)
        return found[1:]

    async def fetch(self, request: str, size: int) -> bytes:
        self.wire.feed(request.encode() + b"\r\n")
        answer = await self.wire.until(
            lambda data: data.startswith(b"failed") or len(data) >= data.find(b"\r\n") + 2 + size
        )
        return answer.partition(b"\r\n")[2]


def _is_whole(data: bytes) -> bool:
    """Whether all lines of an answer of pychat's have come."""
    head, end, rest = data.partition(b"\r\n")
    listed = re.match(rb"success (\d+) (groups|messages|contacts|notifications)", head)
    return bool(end) and rest.count(b"\r\n") == (int(listed[1]) if listed else 0)


class ApartTestCase(PeeringTestCase):
    """realm1 knows realm2 already, unless the test is about how they come to know each other."""

    peered = True

    async def set_up(self) -> None:
        """The realms, and somebody in each who speaks json: ana in realm1, budi in realm2."""
        self.one, self.two = self.make("realm1"), self.make("realm2")
        self.ana, self.budi = (
            await self.person(self.one, "ana"),
            await self.person(self.two, "budi"),
        )
        if self.peered:
            await self.ana.must("addrealm", realm="realm2", host="127.0.0.1", port=self.two.port)

    async def speaker(self, kind: type[Any], realm: Realm, name: str) -> Any:
        """Somebody new."""
        speaker = kind(realm)
        self.addCleanup(speaker.leave)
        await speaker.log_in(name)
        return speaker

    async def says(self, speaker: Speaker, *lines: tuple[str, dict[str, Any]]) -> None:
        """Each request has that answer."""
        for line, answer in lines:
            self.assertEqual(await speaker.say(line), answer, line[:80])

    async def fetched(self, person: Person, code: str) -> bytes:
        """What getfile gives in json."""
        reply = await person.must("getfile", code=code)
        wire = person.wire
        data = await wire.until(lambda data: len(data) >= reply["size"])
        self.assertEqual(len(data), reply["size"])
        return data

    async def file_of(self, person: Person) -> tuple[dict[str, Any], bytes]:
        """The message that brought a file, and the bytes."""
        (message,) = await self.messages(person, 1)
        return message, await self.fetched(person, message["file"]["code"])

    async def messages(self, person: Person, count: int) -> Any:
        """What is unread, once it is so many."""
        end = net.seconds() + PATIENCE
        while len((await person.must("inbox", peek=True))["messages"]) < count:
            assert net.seconds() < end, "not all came"
            await sleep(0.02)
        return (await person.must("inbox"))["messages"]


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
        # Who was added knows the other as well, save where it is to be found.
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

    async def test_not_everybody_may(self) -> None:
        self.one = self.make("realm1", add="operators")
        await self.person(self.one, "ana")
        messi = await self.speaker(Kelompok3, self.one, "messi")
        answer = await messi.say("addrealm realm2 127.0.0.1 8890")
        self.assertEqual(answer["status"], "ERROR")
        self.assertIn("operator", answer["message"])


class ToPeople(ApartTestCase):
    """kelompok3, whose groups are lists of people."""

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
        # And back, by the address that stands there.
        await self.says(self.henderson, ("send messi@realm1 baik", said("Message Sent")))
        self.assertEqual(
            await self.messi.read("getinboxrealm realm2 messi"),
            [entry("henderson@realm2", "Messi", "baik")],
        )

    async def test_a_token_speaks(self) -> None:
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

    async def test_ones_own_realm(self) -> None:
        await self.start()
        zico = await self.speaker(Kelompok3, self.one, "zico")
        await self.says(
            self.messi, ("sendprivaterealm realm1 zico halo", said("Message Sent to Realm"))
        )
        self.assertEqual(await zico.read("getrealminbox realm1"), [entry("Messi", "Zico", "halo")])

    async def test_whose_inbox(self) -> None:
        """`inbox` gives what is of this realm, `getinboxrealm` what is of that one: each message stands in
        one of them, and reading the one moves no mark of the other."""
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

    async def test_a_group_is_where_it_lives(self) -> None:
        """What somebody of another realm writes to a group of this one stands in `inbox`; what anybody
        writes to a group there is that realm's."""
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
        """It is queued, and said to be sent; it arrives later."""
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
        # Nobody is told to whom it was sent.
        (notice,) = (await self.messi.read("inbox"))["system"]
        self.assertIn("nobody@realm2", notice["msg"])
        self.assertEqual((notice["msg_from"], notice["msg_to"]), ("system", "Messi"))


class ToGroups(ApartTestCase):
    """bagan, whose groups are made and joined: bola lives in realm2, where henderson has made it."""

    async def start(self) -> None:
        await self.set_up()
        self.messi = await self.speaker(Bagan, self.one, "messi")
        self.henderson = await self.speaker(Bagan, self.two, "henderson")
        await self.says(
            self.henderson,
            ("addgroup bola", said("Add group Berhasil")),
        )
        await self.budi.must("joingroup", group="bola")

    async def test_people(self) -> None:
        await self.start()
        await self.says(
            self.messi,
            ("sendprivaterealm realm2 henderson apa kabar", said("Message sent")),
            ("sendprivaterealm realm3 henderson halo", refused("Realm tidak ditemukan")),
            ("sendprivaterealm realm2 nobody halo", refused("User tidak ada")),
            ("sendfilerealm realm2 henderson a.txt QUJD", said("File sent")),
            ("sendfilerealm realm2 henderson a.txt", refused("File tidak ditemukan")),
            ("sendfilerealm realm2 nobody a.txt QUJD", refused("User tidak ada")),
            ("sendfilerealm realm3 henderson a.txt QUJD", refused("Realm tidak ditemukan")),
            ("getrealminbox realm3", refused("Realm tidak ditemukan")),
        )
        text, file = await self.henderson.read("getrealminbox realm1")
        self.assertEqual(text, entry("messi@realm1", "Henderson B", "apa kabar"))
        self.assertEqual((file["file_name"], file["file_size"]), ("a.txt", 3))
        await self.says(
            self.henderson,
            ("inbox", {**OK, "messages": {}}),
            ("privateinbox messi@realm1", {**OK, "messages": []}),
        )

    async def test_a_group_of_which_one_is_no_member(self) -> None:
        await self.start()
        await self.says(
            self.messi,
            ("sendgrouprealm realm2 bola halo semua", said("Message sent")),
            ("sendgrouprealm realm2 nothing halo", refused("Group tidak ditemukan")),
            ("sendgrouprealm realm3 bola halo", refused("Realm tidak ditemukan")),
            ("sendgrouprealm realm2 bola", refused("Protocol Tidak Benar")),
        )
        # It is a group of theirs, whoever has written it.
        self.assertEqual(
            await self.henderson.read("inbox"),
            {"messi@realm1": [entry("messi@realm1", "bola", "halo semua", group="bola")]},
        )
        await self.says(
            self.henderson,
            ("getrealminbox realm1", {**OK, "messages": []}),
            ("groupinbox bola", {**OK, "messages": []}),
        )
        self.assertEqual(await self.budi.texts(), ["halo semua"])
        await self.says(self.messi, ("getrealminbox realm2", {**OK, "messages": []}))

    async def test_a_closed_one(self) -> None:
        """Only members may write there: and one of another realm may be a member."""
        await self.start()
        await self.says(self.messi, ("sendgrouprealm realm2 bola satu", said("Message sent")))
        henderson = await self.person(self.two, "henderson")
        await henderson.must("closegroup", group="bola")
        for line in (
            "sendgrouprealm realm2 bola dua",
            "sendgroupfilerealm realm2 bola a.txt QUJD",
        ):
            answer = await self.messi.say(line)
            self.assertEqual(answer["status"], "ERROR")
            self.assertEqual(
                answer["message"],
                "Hanya anggota yang boleh menulis di bola; bergabunglah dahulu",
            )
        await self.says(
            self.messi,
            ("joingroup nothing@realm2", refused("Group belum ada")),
            ("joingroup bola@realm2", said("Join group berhasil")),
            ("joingroup bola@realm2", refused("User sudah join")),
            ("sendgrouprealm realm2 bola tiga", said("Message sent")),
            ("sendgroup bola@realm2 empat", said("Message sent")),
        )
        await self.says(self.henderson, ("sendgroup bola lima", said("Message sent")))
        self.assertEqual(
            await self.messi.read("getrealminbox realm2"),
            [entry("henderson@realm2", "bola@realm2", "lima", group="bola@realm2")],
        )
        await self.says(self.messi, ("inbox", {**OK, "messages": {}}))
        self.assertEqual(await self.budi.texts(), ["satu", "tiga", "empat", "lima"])

    async def test_files(self) -> None:
        await self.start()
        await self.says(
            self.messi,
            (f"sendgroupfilerealm realm2 bola pokijan.jpg {BASE64}", said("File sent")),
            ("sendgroupfilerealm realm2 bola pokijan.jpg", refused("File tidak ditemukan")),
            ("sendgroupfilerealm realm2 nothing a.jpg QUJD", refused("Group tidak ditemukan")),
            ("sendgroupfilerealm realm3 bola a.jpg QUJD", refused("Realm tidak ditemukan")),
        )
        message, data = await self.file_of(self.budi)
        self.assertEqual((message["from"], message["group"]), ("messi@realm1", "bola"))
        self.assertEqual(data, PICTURE)
        found = (await self.henderson.read("inbox"))["messi@realm1"]
        self.assertEqual(
            [(each["file_name"], each["group"]) for each in found], [("pokijan.jpg", "bola")]
        )

    async def test_a_file_comes_back_to_its_members(self) -> None:
        await self.start()
        await self.ana.must("joingroup", group="bola@realm2")
        await self.says(
            self.messi,
            ("joingroup bola@realm2", said("Join group berhasil")),
            (f"sendgroupfile bola@realm2 pokijan.jpg {BASE64}", said("File sent")),
        )
        message, data = await self.file_of(self.ana)
        self.assertEqual((message["from"], message["group"]), ("messi", "bola@realm2"))
        self.assertEqual(data, PICTURE)
        self.assertEqual((await self.file_of(self.budi))[1], PICTURE)

    async def test_a_group_of_ones_own_realm(self) -> None:
        await self.start()
        await self.ana.must("addgroup", group="dekat")
        await self.says(
            self.messi,
            ("sendgrouprealm realm1 nothing halo", refused("Group tidak ditemukan")),
            ("joingroup dekat", said("Join group berhasil")),
            ("sendgrouprealm realm1 dekat halo", said("Message sent")),
        )
        self.assertEqual(await self.ana.texts(), ["halo"])


class FromThere(ApartTestCase):
    """What somebody of another realm has sent, in dialects that know nothing of realms."""

    async def test_pychat(self) -> None:
        await self.set_up()
        messi = await self.speaker(Bagan, self.one, "messi")
        lineker = await self.speaker(Pychat, self.two, "lineker")
        await self.says(
            messi,
            ("sendprivaterealm realm2 lineker apa kabar", said("Message sent")),
            (f"sendfilerealm realm2 lineker pokijan.jpg {BASE64}", said("File sent")),
        )
        notes = await lineker.read_lines("NOTIF-GET")
        self.assertRegex(notes[0], rf"\Amessi@realm1 - {TIME} apa kabar\Z")
        await lineker.read_lines("NOTIF-GET", 2)
        lines = await lineker.read_lines("CHAT-PRIVATE-GET messi@realm1")
        self.assertEqual(len(lines), 2)
        self.assertRegex(lines[0], rf"\Amessi@realm1 {TIME} apa kabar\Z")
        found = re.fullmatch(rf"messi@realm1 {TIME} \[pokijan\.jpg\], file_code: (\w+)", lines[1])
        assert found is not None
        data = await lineker.fetch(f"FILE-GET-PRIVATE messi@realm1 {found[1]}", len(PICTURE))
        self.assertEqual(data, PICTURE)
        for line, answer in (
            ("CHAT-PRIVATE-SEND messi@realm1 baik saja", "success message sent"),
            ("CHAT-PRIVATE-SEND nobody@realm1 halo", "failed unknown user"),
            ("CHAT-PRIVATE-GET messi@realm1", "success 0 messages"),
            ("CONTACT-ADD messi@realm1", "success contact added"),
            ("CONTACT-ADD nobody@realm1", "failed unknown user"),
        ):
            self.assertEqual(await lineker.lines(line), [answer], line)
        self.assertEqual(await lineker.read_lines("CONTACT-GET"), ["messi@realm1 online"])
        self.assertEqual(
            await messi.read("getrealminbox realm2"),
            [entry("lineker@realm2", "Messi B", "baik saja")],
        )
        (sent,) = await lineker.lines("FILE-SEND-PRIVATE messi@realm1 /tmp/a.txt 3", b"abc")
        self.assertRegex(sent, r"\Asuccess file \w+\Z")
        (file,) = await messi.read("privateinbox lineker@realm2")
        self.assertEqual((file["file_name"], file["file_size"]), ("a.txt", 3))

    async def test_groups_in_pychat(self) -> None:
        """A group elsewhere has no code here; it goes by its name."""
        await self.set_up()
        messi = await self.speaker(Bagan, self.one, "messi")
        lineker = await self.speaker(Pychat, self.two, "lineker")
        await self.says(messi, ("addgroup bola", said("Add group Berhasil")))
        (created,) = await lineker.lines("GROUP-CREATE dekat")
        dekat = created.split(" ")[1]
        self.assertEqual(
            await lineker.lines("GROUP-JOIN nothing@realm1"), ["failed group code is invalid"]
        )
        self.assertEqual(
            await lineker.lines("GROUP-JOIN bola@realm1"), ["success you have joined bola@realm1"]
        )
        self.assertEqual(
            await lineker.read_lines("GROUP-GET"),
            ["1 bola@realm1 bola@realm1", f"2 {dekat} dekat"],
        )
        await self.says(
            messi,
            ("sendgroup bola halo", said("Message sent")),
            (f"sendgrouprealm realm2 {dekat} permisi", said("Message sent")),
        )
        notes = await lineker.read_lines("NOTIF-GET", 2)
        self.assertEqual(
            [re.sub(TIME, "T", line) for line in notes],
            ["messi@realm1 bola@realm1 T halo", f"messi@realm1 {dekat} T permisi"],
        )
        await lineker.lines("CHAT-GROUP-GET bola@realm1")
        await self.says(messi, (f"sendgroupfile bola a.jpg {BASE64}", said("File sent")))
        (line,) = await lineker.read_lines("CHAT-GROUP-GET bola@realm1")
        code = line.rpartition(" ")[2]
        data = await lineker.fetch(f"FILE-GET-GROUP bola@realm1 {code}", len(PICTURE))
        self.assertEqual(data, PICTURE)
        for line, answer in (
            ("CHAT-GROUP-SEND bola@realm1 baik", "success message sent"),
            ("GROUP-INVITE bola@realm1 budi", "failed you are not an admin of the group!"),
            ("GROUP-EXIT bola@realm1", "success you have left bola@realm1"),
            ("CHAT-GROUP-GET bola@realm1", "failed you are not a member of the group!"),
            ("GROUP-EXIT bola@realm1", "failed you are not a member of the group!"),
        ):
            self.assertEqual(await lineker.lines(line), [answer], line)
        self.assertEqual(
            await messi.read("inbox"),
            {"lineker@realm2": [entry("lineker@realm2", "bola", "baik", group="bola")]},
        )

    async def test_tugas4(self) -> None:
        await self.set_up()
        lineker = await self.speaker(Tugas4, self.two, "lineker")
        await self.ana.must("send", to="lineker@realm2", text="apa kabar")
        await self.ana.send_file("lineker@realm2", "pokijan.jpg", PICTURE)
        text, file = (await lineker.read("inbox"))["ana@realm1"]
        self.assertEqual(text, entry("ana@realm1", "lineker", "apa kabar"))
        self.assertRegex(file["file_name"], r"\A\d{4}(_\d\d){5}_pokijan\.jpg\Z")
        for name in (file["file_name"], "pokijan.jpg"):
            found = await lineker.say(f"download_file {name}")
            self.assertEqual(base64.b64decode(found["file_content"]), PICTURE)
            self.assertEqual(found["filename"], file["file_name"])
        await self.says(
            lineker,
            ("send ana@realm1 baik", said("Message sent")),
            ("send nobody@realm1 halo", refused("User not found")),
            ("send_file nobody@realm1 a.txt QUJD", refused("User not found")),
        )
        answer = await lineker.say("send_file ana@realm1 a.txt QUJD")
        self.assertRegex(answer["filename"], r"\A\d{4}(_\d\d){5}_a\.txt\Z")
        first, second = await self.messages(self.ana, 2)
        self.assertEqual((first["from"], first["text"]), ("lineker@realm2", "baik"))
        self.assertEqual(await self.fetched(self.ana, second["file"]["code"]), b"ABC")

    async def test_groups_in_tugas4(self) -> None:
        await self.set_up()
        lineker = await self.speaker(Tugas4, self.two, "lineker")
        await self.ana.must("addgroup", group="bola")
        await self.says(
            lineker,
            ("sendgroup nothing@realm1 halo", refused("Group not found")),
            ("ls_member bola@realm1", refused("You are not group member")),
            ("inboxgroup bola@realm1", refused("You are not group member")),
            ("leave bola@realm1", refused("You are not group member")),
            ("join nothing@realm1", refused("Group not found")),
            ("join bola@realm1", said("You have joined the group bola@realm1")),
            ("join bola@realm1", refused("You have already in group")),
            (
                "ls_member bola@realm1",
                {**OK, "messages": {"bola@realm1": ["ana@realm1", "lineker"]}},
            ),
            ("ls_group", {**OK, "messages": []}),
            ("sendgroup bola@realm1 halo", said("Message sent")),
        )
        await self.ana.must("sendgroup", group="bola", text="hai")
        ready = await self.ana.ask("sendgroupfile", group="bola", filename="a.bin", size=3)
        self.assertEqual(ready["status"], "READY")
        self.ana.wire.feed(b"abc")
        await self.ana.wire.line()
        found = await lineker.read("inboxgroup bola@realm1")
        while len(found) < 2:
            found += await lineker.read("inboxgroup bola@realm1")
        self.assertEqual(found[0], {"msg_from": "ana@realm1", "msg": "hai"})
        answer = await lineker.say(f"downloadgroup_file bola@realm1 {found[1]['file_name']}")
        self.assertEqual(base64.b64decode(answer["file_content"]), b"abc")
        answer = await lineker.say("sendgroup_file bola@realm1 b.txt QUJD")
        self.assertEqual(answer["message"], "File sent")
        await self.says(lineker, ("leave bola@realm1", said("You have left the group bola@realm1")))

    async def test_urlencoded(self) -> None:
        await self.set_up()
        lineker = await self.speaker(Urlencoded, self.two, "lineker")
        answer = await lineker.ask("send", "username=ana%40realm1&message=halo+ana")
        self.assertEqual(answer["message"], "Message sent to user [ana@realm1].")
        answer = await lineker.ask("send", "username=nobody%40realm1&message=halo")
        self.assertEqual(
            (answer["error"], answer["message"]),
            ("unknown-user", "Tidak ada user nobody"),
        )
        answer = await lineker.ask("send", "username=ana%40realm3&message=halo")
        self.assertEqual(answer["error"], "unknown-realm")
        answer = await lineker.ask(
            "file_send", f"username=ana%40realm1&filename=a.jpg&payload={BASE64}"
        )
        self.assertEqual(answer["status"], "OK")
        text, file = await self.messages(self.ana, 2)
        self.assertEqual((text["from"], text["text"]), ("lineker@realm2", "halo ana"))
        self.assertEqual(await self.fetched(self.ana, file["file"]["code"]), PICTURE)
        await self.ana.must("send", to="lineker@realm2", text="hai")
        await self.ana.send_file("lineker@realm2", "endgame.PNG", PICTURE)
        answer = await lineker.ask("inbox")
        self.assertEqual(
            [(each["from"], each.get("filename")) for each in answer["messages"]],
            [("ana@realm1", None), ("ana@realm1", "endgame.PNG")],
        )
        self.assertIn("endgame.PNG", (await lineker.ask("list_file"))["message"])
        answer = await lineker.ask("file_get", "filename=endgame.PNG")
        self.assertEqual(base64.b64decode(answer["payload"]), PICTURE)
