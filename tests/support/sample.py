"""A realm as after some weeks of use, for pictures of its pages and for tests of them.

It has users with display names, groups, another realm that is up, with an invitation from there, and one that
is down, pictures and files, and unread messages.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from tests.support.browser import PASSWORD, Site
from tests.support.ports import free_port
from tests.support.talker import Talker

ME = "messi"
PEOPLE = {
    ME: ("Lionel Messi", "Argentina"),
    "henderson": ("Jordan Henderson", "England"),
    "lineker": ("Gary Lineker", "England"),
    "tasya": ("Tasya Kamila", "Indonesia"),
    "omar": ("عمر الشريف", "مصر"),
    "yuki": ("山田 雪", "日本"),
    "budi": ("Budi", "Indonesia"),
}
ELSEWHERE = {"alam": ("Alam Cahya", "Indonesia"), "rooney": ("Wayne Rooney", "England")}
GROUPS = {"bola": ("henderson", "lineker", "tasya", "budi"), "keluarga": ("tasya", "omar", "yuki")}

# Sender, recipient and text; `#` marks a group.
TALK: Sequence[tuple[str, str, str]] = (
    ("henderson", ME, "Halo Leo, are you coming to the match on Saturday?"),
    (ME, "henderson", "Halo! Yes, I'll be there at three."),
    (
        "henderson",
        ME,
        "Great. The usual place, behind the north stand. I have the tickets, just bring yourself.",
    ),
    (ME, "henderson", "👍"),
    ("henderson", ME, "And look at this: https://chat.example.org/photos/2026?album=surabaya#12"),
    (ME, "#bola", "Training starts half an hour later today, because of the rain."),
    ("lineker", "#bola", "Fine with me."),
    ("budi", "#bola", "Siap! Saya bawa bola yang baru."),
    ("tasya", "#bola", "I can't come before seven, start without me please 🙏"),
    ("omar", ME, "مرحبا، كيف حالك اليوم؟ هل رأيت المباراة؟"),
    (ME, "omar", "بخير، شكراً! It was 2:1 in the end."),
    ("yuki", "#keluarga", "おはようございます 🌸"),
    ("tasya", "#keluarga", "Selamat pagi semuanya"),
    ("lineker", ME, "Do you still have the list of last year's results?"),
)
LATER: Sequence[tuple[str, str, str]] = (
    ("tasya", "#keluarga", "Who brings the cake on Sunday? 🎂"),
    ("omar", "#keluarga", "I do!"),
    ("lineker", ME, "Never mind, found it. It was in the drawer all the time."),
    (
        "lineker",
        ME,
        "Supercalifragilisticexpialidocious-and-some-more-of-that-without-any-space-in-it",
    ),
)


def painting(size: tuple[int, int] = (640, 420)) -> bytes:
    """A picture to send: hills and a sun."""
    image = Image.new("RGB", size, (250, 214, 165))
    draw = ImageDraw.Draw(image)
    draw.ellipse((430, 60, 550, 180), fill=(240, 120, 60))
    for number, colour in enumerate(((120, 150, 130), (80, 120, 100), (40, 80, 70))):
        top = 220 + 60 * number
        ridge = ((0, 40), (160, -40), (330, 30), (520, -60), (640, 0))
        draw.polygon([*((x, top + y) for x, y in ridge), (640, 420), (0, 420)], fill=colour)
    data = io.BytesIO()
    image.save(data, "PNG")
    return data.getvalue()


class Sample:
    """The realm `realm1`, in which `ME` logs in, and `realm2`. `realm3` is known and down."""

    def __init__(self, root: Path) -> None:
        down = f"[peer realm3]\naddress = 127.0.0.1:{free_port()}\n"
        self.here, self.there = Site(root, "realm1", down), Site(root, "realm2")
        self._talkers: dict[str, Talker] = {}

    def start(self) -> Sample:
        self.here.launch()
        self.there.launch()
        for site, people in ((self.here, PEOPLE), (self.there, ELSEWHERE)):
            site.daemon.listening()
            for name, (display_name, country) in people.items():
                talker = self._talkers[name] = site.daemon.talk()
                account = {"username": name, "password": PASSWORD, "name": display_name}
                talker.must(command="register", country=country, **account)
        self._link()
        self._groups()
        for talk in (TALK, self._from_elsewhere(), LATER):
            for sender, to, text in talk:
                self._say(sender, to, text)
            if talk is TALK:
                self._files()
                self._read()
        self._say(ME, "kroos@realm3", "Are you still there?")
        return self

    def close(self) -> None:
        for talker in self._talkers.values():
            talker.close()
        self.here.close()
        self.there.close()

    def _link(self) -> None:
        me = self._talkers[ME]
        port = self.there.ports["peers"]
        self.here.claim(me)
        me.must(command="addrealm", realm="realm2", host="127.0.0.1", port=port)

    def _groups(self) -> None:
        for group, people in GROUPS.items():
            self._talkers[ME].must(command="addgroup", group=group)
            self._talkers[ME].must(command="invite", group=group, users=list(people))
        self._talkers["lineker"].must(command="addgroup", group="pundits")
        poets, title = "penyair", "Penyair Nusantara"
        self._talkers["alam"].must(command="addgroup", group=poets, title=title)
        self._talkers["alam"].must(command="invite", group=poets, users=[f"{ME}@realm1"])
        for contact in ("henderson", "tasya", "alam@realm2"):
            self._talkers[ME].must(command="addcontact", user=contact)
        self._talkers["budi"].must(command="roomjoin", room="stadium")
        self._talkers["tasya"].must(command="roomjoin", room="stadium")

    def _from_elsewhere(self) -> Sequence[tuple[str, str, str]]:
        return (
            ("alam", f"{ME}@realm1", "Salam dari realm2!"),
            (ME, "alam@realm2", "Salam! How is the weather over there?"),
        )

    def _say(self, sender: str, to: str, text: str) -> None:
        talker = self._talkers[sender]
        if to.startswith("#"):
            talker.must(command="sendgroup", group=to[1:], text=text)
        else:
            talker.must(command="send", to=to, text=text)

    def _files(self) -> None:
        self._send_file("henderson", "stadium.png", painting())
        self._send_file(
            "henderson", "Laporan pertandingan 2026.pdf", b"%PDF-1.7\n" + bytes(184_000)
        )

        self._upload("henderson", "setpicture", "me.png", painting(), user="henderson")

    def _send_file(self, sender: str, name: str, data: bytes) -> None:
        self._upload(sender, "sendfile", name, data, to=ME)

    def _upload(self, sender: str, verb: str, name: str, data: bytes, **more: Any) -> None:
        talker = self._talkers[sender]
        order: dict[str, Any] = {"filename": name, "size": len(data), **more}
        assert talker.ask(command=verb, **order)["status"] == "READY"
        talker.socket.sendall(data)
        reply = talker.line()
        assert reply is not None
        assert reply["status"] == "OK", reply

    def _read(self) -> None:
        """Mark all messages so far as read."""
        me = self._talkers[ME]
        while me.must(command="inbox")["remaining"]:
            pass
        me.must(command="ping")
