"""The older dialects use groups of another realm, and read messages that come from there."""

from __future__ import annotations

import base64
import re

from tests.unit.lines.speakers import (
    BASE64,
    OK,
    PICTURE,
    TIME,
    ApartTestCase,
    Bagan,
    Pychat,
    Tugas4,
    Urlencoded,
    entry,
    refused,
    said,
)


class ToGroups(ApartTestCase):
    """bagan has groups that people create and join. henderson has created bola in realm2."""

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
            ("privateinbox messi@realm1", {**OK, "messages": {}}),
        )

    async def test_group_of_others(self) -> None:
        await self.start()
        await self.says(
            self.messi,
            ("sendgrouprealm realm2 bola halo semua", said("Message sent")),
            ("sendgrouprealm realm2 nothing halo", refused("Group tidak ditemukan")),
            ("sendgrouprealm realm3 bola halo", refused("Realm tidak ditemukan")),
            ("sendgrouprealm realm2 bola", refused("Protocol Tidak Benar")),
        )
        # The group belongs to the other realm, and so do all messages in it.
        self.assertEqual(
            await self.henderson.read("inbox"),
            {"messi@realm1": [entry("messi@realm1", "bola", "halo semua", group="bola")]},
        )
        await self.says(
            self.henderson,
            ("getrealminbox realm1", {**OK, "messages": []}),
            ("groupinbox bola", {**OK, "messages": {}}),
        )
        self.assertEqual(await self.budi.texts(), ["halo semua"])
        await self.says(self.messi, ("getrealminbox realm2", {**OK, "messages": []}))

    async def test_closed_group(self) -> None:
        """Only members may write to it. A user of another realm may be a member."""
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
                "Hanya anggota yang boleh menulis di bola@realm2; bergabunglah dahulu",
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

    async def test_group_of_the_own_realm(self) -> None:
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
    """Messages from another realm, in dialects that have no realms."""

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
        ((file,),) = (await messi.read("privateinbox lineker@realm2")).values()
        self.assertEqual((file["file_name"], file["file_size"]), ("a.txt", 3))

    async def test_groups_in_pychat(self) -> None:
        """A group of another realm has no code here, and is named by its address."""
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
            ("sendgrouprealm realm2 dekat permisi", said("Message sent")),
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
