"""The terminal client on pseudo-terminals, with a real daemon: the sessions in the documents, and more.

Each wait is for text on the screen. Assertions after it do not wait.
"""

from __future__ import annotations

import os
from typing import Any

from PIL import Image

from chatd.client.render import cells
from tests.support.ports import free_port
from tests.support.processes import Daemon, configuration, in_thread, wait_until
from tests.support.terminal import (
    CTRL_D,
    PASSWORD,
    TAB,
    UP,
    ClientTestCase,
    Terminal,
)

BIDI = "\u202egnp.exe"


class SecondDocument(ClientTestCase):
    """The prompts of the second document, word for word."""

    @in_thread
    def test_session_of_the_document(self) -> None:
        alam, budi = self.open("alam", "--lang", "id"), self.enter("budi")
        self.register(alam)
        self.log_in(alam)
        self.send(alam, budi)
        self.send_file(alam, budi)
        budi.type("send alam hai juga", "send alam apa kabar")
        alam.await_text("apa kabar")
        alam.type("inbox")
        alam.await_text("2 message incoming.")
        alam.await_text("from budi : hai juga")
        alam.type("logout")
        alam.await_text("Bye bye !", 2)
        alam.type("quit")
        self.assertEqual(alam.ended(), 0)

    def register(self, alam: Terminal) -> None:
        alam.await_text("register membuat akun")
        alam.type("register")
        alam.await_text("Username :")
        alam.type("alam")
        alam.await_text("Password :")
        alam.type(PASSWORD)
        alam.await_text("Name :")
        alam.type("Alam Cahya")
        alam.await_text("Nationality :")
        alam.type("Indonesia")
        alam.await_text("User berhasil dibuat")
        self.assertNotIn(PASSWORD, alam.text())
        self.assertNotIn(PASSWORD.encode(), alam.raw)

    def log_in(self, alam: Terminal) -> None:
        alam.type("logout")
        alam.await_text("Bye bye !")
        alam.type("login")
        alam.await_text("Username :", 2)
        alam.type("alam")
        alam.await_text("Password :", 2)
        alam.type("wrong-password")
        alam.await_text("Itu bukan password alam; coba lagi")
        alam.type("login")
        alam.await_text("Username :", 3)
        alam.type("alam")
        alam.await_text("Password :", 3)
        alam.type(PASSWORD)
        alam.await_text("Login [alam] telah berhasil")

    def send(self, alam: Terminal, budi: Terminal) -> None:
        alam.type("chat")
        alam.await_text("Recipient username:")
        alam.type("budi")
        alam.await_text("Message:")
        alam.type("halo testing")
        alam.await_text("Message sent to user [budi].")
        budi.await_text("alam: halo testing")

    def send_file(self, alam: Terminal, budi: Terminal) -> None:
        content = os.urandom(100_000)
        (self.home("alam") / "endgame.PNG").write_bytes(content)
        alam.type("send file")
        alam.await_text("File Name:")
        alam.type("endgame.PNG")
        alam.await_text("Recipient Username:")
        alam.type("budi")
        alam.await_text("Berhasil mengirim file ! endgame.PNG telah dikirim.")
        budi.await_text("endgame.PNG (100,000 bytes)")
        budi.type("list file")
        budi.await_text("1 file")
        budi.type("get file")
        budi.await_text("File Name:")
        budi.type("endgame.PNG")
        budi.await_text("endgame.PNG is saved as download/budi/endgame.PNG")
        saved = self.home("budi") / "download" / "budi" / "endgame.PNG"
        self.assertEqual(saved.read_bytes(), content)


class ThirdDocument(ClientTestCase):
    """The menus of the third document."""

    @in_thread
    def test_contacts(self) -> None:
        modis, tasya = self.enter("modis"), self.enter("tasya")
        modis.type("contact")
        modis.await_text("contact>")
        modis.type("add tasya")
        modis.await_text("tasya is on your list of contacts")
        modis.type("get")
        modis.await_text("tasya online")
        modis.type("chat tasya")
        modis.await_text("You are talking to tasya")
        modis.type("sudah makan?", "back?", "back")
        tasya.await_text("modis: sudah makan?")
        tasya.await_text("modis: back?")
        modis.type("del tasya")
        modis.await_text("tasya is no longer on your list")
        modis.type("back", "get")
        modis.await_text("There is no command get")

    @in_thread
    def test_groups(self) -> None:
        modis, tasya = self.enter("modis"), self.enter("tasya")
        modis.type("group", "create keluarga")
        modis.await_text("groupcode: ")
        code = modis.text().partition("groupcode: ")[2][:7]
        tasya.type("group", f"join {code}")
        tasya.await_text("You are a member of keluarga")
        tasya.type("get")
        tasya.await_text(f"1 {code} keluarga")
        tasya.type("chat 2")
        tasya.await_text("There is no group number 2")
        tasya.type("chat 1")
        tasya.await_text("You are talking to #keluarga")
        tasya.type("halo semua, halo modis")
        modis.await_text("tasya in keluarga: halo semua")
        self.assertEqual(modis.screen.bells, 1)  # the mention
        modis.type("chat keluarga")
        modis.await_text("You are talking to #keluarga")
        modis.type("halo juga")
        tasya.await_text("modis in keluarga: halo juga")
        modis.type("back", "back", "list")
        modis.await_text("0 messages")  # the chat has shown it, so it is read
        modis.await_text("list>")
        modis.type("back")

    @in_thread
    def test_files_of_the_first_and_fourth_document(self) -> None:
        """Files for several people and groups, with the folders that the fourth document has."""
        messi, lineker = self.enter("messi"), self.enter("lineker")
        home = self.home("messi")
        for name in ("pokijan.jpg", "dua file.txt"):
            (home / name).write_text(f"what is in {name}")
        messi.type("mkgr bagan")
        messi.await_text("The group bagan was created")
        lineker.type("join bagan")
        lineker.await_text("You are a member of bagan")
        messi.type("sendgroup lineker,messi halo gaiss")
        lineker.await_text("messi: halo gaiss")
        messi.type("sendgroup_file bagan pokijan.jpg 'dua file.txt'")
        lineker.await_text("messi in bagan: file dua file.txt")
        lineker.type("downloadgroup_file bagan dua file.txt", "download_file pokijan.jpg")
        lineker.await_text("is saved as", 2)
        folder = self.home("lineker") / "downloadgroup" / "lineker"
        self.assertEqual((folder / "pokijan.jpg").read_text(), "what is in pokijan.jpg")
        self.assertEqual((folder / "dua file.txt").read_text(), "what is in dua file.txt")
        messi.type("sendfile lineker nothere.jpg")
        messi.await_text("There is no file nothere.jpg here")

    @in_thread
    def test_files_of_a_room(self) -> None:
        messi, lineker = self.enter("messi"), self.enter("lineker")
        (self.home("messi") / "dua file.txt").write_text("what is in it")
        for each in (messi, lineker):
            each.type("roomjoin 12345 67890")
            each.await_text("You are in 12345 67890")
        messi.type("roomsendfile dua file.txt")
        messi.await_text("File sent to 12345 67890")
        lineker.await_text("messi in room 12345 67890: file dua file.txt (13 bytes)")
        lineker.type("roomfiles")
        lineker.await_text("1 file")
        lineker.type("roomgetfile dua file.txt")
        lineker.await_text("is saved as")
        saved = self.home("lineker") / "download" / "lineker" / "dua file.txt"
        self.assertEqual(saved.read_text(), "what is in it")


class TwoClients(ClientTestCase):
    @in_thread
    def test_chat_while_typing(self) -> None:
        lina, budi = self.enter("lina"), self.enter("budi")
        lina.type("chat budi")
        lina.await_text("You are talking to budi")
        budi.type("chat lina")
        budi.await_text("You are talking to lina")
        lina.press("half a li")
        budi.type("Selamat malam")
        lina.await_text("budi: Selamat malam")
        lina.await_text("budi> half a li")
        lina.type("ne")
        budi.await_text("lina: half a line")
        self.assertGreater(lina.screen.bells, 0)
        lina.press(CTRL_D)  # leave the chat
        lina.await_text("\n>")
        lina.press(CTRL_D)
        self.assertEqual(lina.ended(), 0)
        again = self.open("lina")
        again.await_text("Welcome back, lina")
        again.press(UP)
        again.await_text("half a line")
        self.assertNotIn(PASSWORD, (self.home("lina") / "state/chatd/client-history").read_text())

    @in_thread
    def test_completion(self) -> None:
        (self.home("lina") / "holiday photo.jpg").write_text("x")
        self.enter("henderson")
        lina = self.enter("lina")
        lina.press(f"sendf{TAB}")
        lina.await_text("sendfile")
        lina.press("\x15sendfile hen")

        def is_completed() -> bool:
            lina.press(TAB)
            return "sendfile henderson" in lina.text()

        # The names are loaded after the login.
        wait_until(is_completed, lina.text)
        lina.press(f" holi{TAB}")
        lina.await_text("sendfile henderson holiday\\ photo.jpg")
        lina.type("")
        lina.await_text("File sent")


class Appearance(ClientTestCase):
    @in_thread
    def test_pictures_and_colours(self) -> None:
        Image.new("RGB", (40, 20), "red").save(self.home("budi") / "red.png")
        lina, budi = self.enter("lina"), self.enter("budi")
        plain = self.open("lina", NO_COLOR="1")
        plain.await_text("Welcome back")
        budi.type("sendfile lina red.png")
        lina.await_text("▀" * 40, 10)
        plain.await_text("red.png")
        self.assertNotIn("▀", plain.text())
        self.assertNotEqual(self.senders(lina), {"default"})
        self.assertEqual(self.senders(plain), {"default"})

    def senders(self, terminal: Terminal) -> set[str]:
        """The colours of budi's name."""
        found = set()
        for y, line in enumerate(terminal.screen.display):
            if (x := line.find(" budi: ")) >= 0:
                found.add(terminal.screen.buffer[y][x + 1].fg)
        return found

    @in_thread
    def test_typing_during_a_flood(self) -> None:
        """The typed text stays intact while messages arrive."""
        lina = self.enter("lina")
        with self.daemon.register("budi") as budi:
            lina.press("this is ")
            for number in range(300):
                budi.send(command="send", to="lina", text=f"message {number:03}")
                if number == 150:
                    lina.press("being typed")
            lina.await_text("message 299")
        lina.await_text("> this is being typed")
        text = lina.text()
        self.assertEqual([text.count(f"message {number:03}") for number in range(300)], [1] * 300)
        self.assertNotIn("^[[", text)


class Widths(ClientTestCase):
    """Narrow and wide terminals, and characters that are two cells wide."""

    TEXT = (
        "Selamat pagi 🎉 semua 世界你好世界你好世界你好世界你好 apa kabar "
        "\U0001f469\u200d\U0001f469\u200d\U0001f467 ini kalimat panjang 가나다라 akhir."
    )

    def look(self, columns: int) -> None:
        self.enter("budi").type("mkgr g1")
        lina = self.enter("lina", columns=columns)
        lina.type("ping")
        lina.await_text("pong")  # after the reply to `listen`, which was sent before
        with self.daemon.login("budi", PASSWORD) as budi:
            budi.must(command="send", to="lina", text=self.TEXT)
            budi.must(command="send", to="lina", text=f"see {BIDI} here")
        lina.press("typing 世界 while it comes")
        lina.await_text("here")
        lina.await_text("typing 世界 while it comes")
        lines = lina.shown()
        begin = next(i for i, line in enumerate(lines) if "Selamat pagi" in line)
        end = next(i for i, line in enumerate(lines) if "akhir." in line)
        for line in lines:
            self.assertLessEqual(cells(line), columns)
        self.assertTrue(all(line.startswith("      ") for line in lines[begin + 1 : end + 1]))
        together = " ".join(line.strip() for line in lines[begin : end + 1])
        for word in self.TEXT.split():
            if word.isascii():
                self.assertIn(word, together)
        self.assertNotIn("\u202e".encode(), lina.raw)
        self.assertIn("gnp.exe", lina.text())
        self.assertIn("connected", lines[-1])

    @in_thread
    def test_narrow(self) -> None:
        self.look(60)

    @in_thread
    def test_wide(self) -> None:
        self.look(140)


class TwoRealms(ClientTestCase):
    """Two daemons, whose users talk with each other."""

    def start(self, more: str = "", **options: Any) -> Daemon:
        """Start realm1 and realm2."""
        self.here, _ = self.realm("realm1", **options)
        self.there, self.peer_port = self.realm("realm2", **options)
        return self.here

    def realm(self, name: str, **options: Any) -> tuple[Daemon, int]:
        port, peer_port = free_port(), free_port()
        doors = {"json": port, "peers": peer_port}
        more = "\n[peers]\nadd = anyone\nprivate = yes\nstrangers = welcome\n"
        text = configuration(doors, more, name=name, state=f"state-{name}")
        (self.root / f"{name}.ini").write_text(text)
        return self.launch(port, "--config", f"../{name}.ini", **options).listening(), peer_port

    @in_thread
    def test_messages_files_and_groups(self) -> None:
        lina = self.enter("lina")
        self.daemon = self.there
        budi = self.enter("budi")
        lina.type(f"addrealm realm2 127.0.0.1 {self.peer_port}", "realms")
        lina.await_text("realm2 up")
        lina.type("sendprivaterealm realm2 budi bagaimana di mesin 2")
        budi.await_text("lina@realm1: bagaimana di mesin 2")
        budi.type("chat lina@realm1")
        budi.await_text("You are talking to lina@realm1")
        budi.type("baik")
        lina.await_text("budi@realm2: baik")
        (self.home("lina") / "pokijan.jpg").write_bytes(b"x" * 1000)
        lina.type("sendfilerealm realm2 budi pokijan.jpg")
        budi.await_text("lina@realm1: file pokijan.jpg (1,000 bytes)")
        budi.type("/getfile pokijan.jpg")
        budi.await_text("is saved as download/budi/pokijan.jpg")
        lina.type("getrealminbox realm2")
        lina.await_text("budi@realm2: baik", 2)
        budi.type("back", "addgroup bola")
        budi.await_text("The group bola was created")
        lina.type("join bola@realm2")
        lina.await_text("You are a member of bola@realm2")
        lina.type("chat bola@realm2")
        lina.await_text("You are talking to #bola@realm2")
        lina.type("halo dari sini")
        budi.await_text("lina@realm1 in bola: halo dari sini")
