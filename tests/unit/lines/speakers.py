"""Users of the older dialects in two peered realms."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from typing import Any, ClassVar

from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from chatd.lines.dialect import Dialect
from chatd.lines.dialects.bagan import BaganDialect
from chatd.lines.dialects.kelompok3 import Kelompok3Dialect
from chatd.lines.dialects.pychat import PychatDialect
from chatd.lines.dialects.tugas4 import Tugas4Dialect
from chatd.lines.dialects.urlencoded import UrlencodedDialect
from tests.support.common import Realm, Wire, sleep
from tests.support.peering import PATIENCE, PeeringTestCase, Person, net

END = b"\r\n\r\n"
PICTURE = bytes(range(256)) * 300 + b"\r\n\r\n"  # more than one chunk of a transfer
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
    """A user of a dialect whose answers are JSON objects."""

    dialect: Callable[[], Dialect]
    end = END

    def __init__(self, realm: Realm) -> None:
        self.wire = Wire(realm.door(self.dialect()))

    async def say(self, line: str) -> Any:
        """Send a request. Returns its answer."""
        self.wire.feed(line.encode() + b"\r\n")
        return json.loads(await self.wire.until(self.end, PATIENCE))

    async def log_in(self, name: str) -> None:
        raise NotImplementedError

    async def read(self, request: str) -> Any:
        """Ask for an inbox until it contains messages. Returns them."""
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
        """Send a request, and `data` after `ready`. Returns the lines of the last answer."""
        self.wire.feed(line.encode() + b"\r\n")
        answer = await self.wire.until(_is_whole, PATIENCE)
        if answer == b"success ready\r\n":
            self.wire.feed(data)
            answer = await self.wire.until(_is_whole, PATIENCE)
        return answer.decode().split("\r\n")[:-1]

    async def read_lines(self, request: str, count: int = 1) -> list[str]:
        """Ask until the list has `count` lines. Returns them."""
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
    """Whether an answer in pychat is complete."""
    head, end, rest = data.partition(b"\r\n")
    listed = re.match(rb"success (\d+) (groups|messages|contacts|notifications)", head)
    return bool(end) and rest.count(b"\r\n") == (int(listed[1]) if listed else 0)


class ApartTestCase(PeeringTestCase):
    """Two realms, peered unless the test is about peering."""

    peered = True
    options: ClassVar[dict[str, Any]] = {}  # of [peers], in both realms

    async def set_up(self) -> None:
        """Start the realms, with a user of json in each: ana in realm1, budi in realm2."""
        self.one = self.make("realm1", **self.options)
        self.two = self.make("realm2", **self.options)
        self.ana, self.budi = (
            await self.person(self.one, "ana"),
            await self.person(self.two, "budi"),
        )
        if self.peered:
            await self.ana.must("addrealm", realm="realm2", host="127.0.0.1", port=self.two.port)

    async def speaker(self, kind: type[Any], realm: Realm, name: str) -> Any:
        """A new user, logged in."""
        speaker = kind(realm)
        self.addCleanup(speaker.leave)
        await speaker.log_in(name)
        return speaker

    async def says(self, speaker: Speaker, *lines: tuple[str, dict[str, Any]]) -> None:
        """Check the answer to each request."""
        for line, answer in lines:
            self.assertEqual(await speaker.say(line), answer, line[:80])

    async def fetched(self, person: Person, code: str) -> bytes:
        """The bytes that getfile sends in json."""
        reply = await person.must("getfile", code=code)
        wire = person.wire
        data = await wire.until(lambda data: len(data) >= reply["size"])
        self.assertEqual(len(data), reply["size"])
        return data

    async def file_of(self, person: Person) -> tuple[dict[str, Any], bytes]:
        """The message with a file, and the bytes of the file."""
        (message,) = await self.messages(person, 1)
        return message, await self.fetched(person, message["file"]["code"])

    async def messages(self, person: Person, count: int) -> Any:
        """The unread messages, once there are `count`."""
        end = net.seconds() + PATIENCE
        while len((await person.must("inbox", peek=True))["messages"]) < count:
            assert net.seconds() < end, "not all came"
            await sleep(0.02)
        return (await person.must("inbox"))["messages"]
