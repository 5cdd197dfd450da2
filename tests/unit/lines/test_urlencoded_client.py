"""urlencoded as the system's own client speaks it: padded blocks in both directions."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import urlencode

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from chatd.base.errors import ChatError
from chatd.base.events import Event, RoomChange, RoomTalk
from chatd.base.model import Message
from chatd.base.replies import Reply
from chatd.lines.block_buffer import BLOCK, CUT_TIME, EXACT_FIT_TIME
from chatd.lines.dialects.json_text import encode_ascii
from chatd.lines.dialects.urlencoded import UrlencodedDialect
from chatd.lines.dialects.urlencoded_client import (
    InBlocks,
    UrlencodedClientDialect,
    padded,
    unbroken,
)
from chatd.lines.long_line import STALL
from tests.support.common import RealmTestCase, Wire, sleep
from tests.support.plays import padded as request_in_blocks
from tests.unit.lines.strategies import events, messages, names, refusals, texts

# Texts with many blanks, in which blocks end.
TEXTS = st.one_of(
    st.text(alphabet=' ab\té"\\', max_size=50),
    st.tuples(st.integers(900, 1100), st.sampled_from([" ", "a ", "\t ", " \\"])).map(
        lambda found: found[1] * found[0]
    ),
)


def read(data: bytes) -> tuple[Any, bytes]:
    """What the client makes of `data`, and what it leaves in the socket."""
    found = block = b""
    while not found or len(block) == BLOCK:
        if len(data) < BLOCK:
            raise AssertionError(f"the client waits for more after {found!r}")
        block, data = data[:BLOCK].rstrip(), data[BLOCK:]
        found += block
    return json.loads(found.decode("ascii")), data


def request(command: str, **values: str) -> bytes:
    return request_in_blocks(f"{command} {urlencode(values)}".encode())


class Blocks(TestCase):
    @given(st.lists(TEXTS, max_size=5), st.binary(max_size=3))
    def test_any_answer_is_read_in_whole_blocks(self, texts: list[str], after: bytes) -> None:
        answer = padded(unbroken(encode_ascii({"messages": texts})))
        self.assertEqual(len(answer) % BLOCK, 0)
        self.assertEqual(read(answer + after), ({"messages": texts}, after))

    def test_answers_around_the_size_of_a_block(self) -> None:
        for size in range(1000, 1050):
            answer = padded(unbroken(encode_ascii("a" * size)))
            self.assertEqual(read(answer), ("a" * size, b""))
            self.assertEqual(len(answer), 2048 if size >= 1022 else 1024)

    def test_a_blank_at_each_place(self) -> None:
        for place in range(1000, 1050):
            text = "a" * place + " " + "b" * 100
            self.assertEqual(read(padded(unbroken(encode_ascii(text)))), (text, b""))

    @given(st.integers(1, 5000), st.integers(1, 600).map(lambda third: third * 3), TEXTS)
    def test_a_file_is_sent_in_whole_blocks(self, size: int, step: int, name: str) -> None:
        data = bytes(range(256)) * 20
        head = unbroken(encode_ascii({"name": name, "payload": ""}))[:-2]
        encode = InBlocks(head, b'"}', size)
        pieces = [encode(data[at : min(at + step, size)]) for at in range(0, size, step)]
        self.assertEqual({len(piece) % BLOCK for piece in pieces}, {0})
        found, rest = read(b"".join(pieces))
        self.assertEqual((found["name"], rest), (name, b""))
        self.assertEqual(base64.b64decode(found["payload"]), data[:size])


class Writing(TestCase):
    """Whatever happens, the client finds the keys that it reads."""

    dialect = UrlencodedClientDialect()

    @given(refusals)
    def test_refusals(self, error: ChatError) -> None:
        found, rest = read(self.dialect.error(error))
        self.assertEqual(list(found), ["status", "message", "error"])
        self.assertEqual((found["status"], rest), ("ERROR", b""))
        self.assertTrue(found["error"])

    @given(events)
    def test_events(self, event: Event) -> None:
        pushed = self.dialect.events([event])
        if not isinstance(event, RoomTalk | RoomChange):
            self.assertEqual(pushed, b"")
            return
        found, rest = read(pushed)
        self.assertEqual(list(found), ["status", "type", "display", "messages", "username"])
        self.assertEqual((found["type"], rest), ("broadcast", b""))
        sender = event.sender if isinstance(event, RoomTalk) else "[System]"
        self.assertEqual(found["username"], sender)

    @given(st.lists(messages, max_size=4), st.dictionaries(names, texts, max_size=3))
    def test_every_message_is_in_the_inbox(
        self, found: list[Message], shown: dict[str, str]
    ) -> None:
        asked = self.dialect.read(b"inbox session=" + b"t" * 43).read(True)
        reply = Reply("", {}, {"names": shown}, tuple(found), "messages")
        inbox, rest = read(self.dialect.reply(asked, reply))
        self.assertEqual(rest, b"")
        self.assertEqual(list(inbox["messages"]), list(dict.fromkeys(m.sender for m in found)))
        entries = [entry for each in inbox["messages"].values() for entry in each]
        self.assertEqual(len(entries), len(found))
        self.assertTrue(all(isinstance(each["msg"], str) for each in entries))
        self.assertEqual(
            sorted(each["msg_from"] for each in entries),
            sorted(shown.get(each.sender, each.sender) for each in found),
        )


class ClientTestCase(RealmTestCase):
    limits: dict[str, Any] = {"commands_per_second": 0}

    def setUp(self) -> None:
        self.time = Clock()
        self.clock = self.time if self.turned else None
        super().setUp()

    turned = False

    def wire(self) -> Wire:
        wire = self.connect(UrlencodedDialect())
        self.addCleanup(wire.lose, Failure(ConnectionDone()))
        return wire

    async def token_of(self, name: str) -> str:
        login = await self.realm.service.accounts.register(name, "surabaya1", None, None)
        return str(login.token)

    async def ask(self, wire: Wire, data: bytes, step: int = 1 << 20) -> Any:
        """Send a request in pieces of `step` bytes, and read the reply."""
        for at in range(0, len(data), step):
            wire.feed(data[at : at + step])
        answer, rest = read(await wire.until(_is_whole))
        self.assertEqual(rest, b"")
        return answer


def _is_whole(data: bytes) -> bool:
    try:
        read(data)
    except AssertionError:
        return False
    return True


class Waiting(ClientTestCase):
    """A request that fits exactly is complete when nothing follows."""

    turned = True

    def exact(self, size: int = BLOCK) -> bytes:
        return b"nonsense username=messi&password=".ljust(size, b"x")

    async def taken(self, wire: Wire) -> bytes:
        await sleep(0)  # the turn ends
        return wire.taken()

    async def test_it_waits(self) -> None:
        for size in (BLOCK, 2 * BLOCK):
            wire = self.wire()
            wire.feed(self.exact(size))
            self.time.advance(EXACT_FIT_TIME - 0.01)
            self.assertEqual(await self.taken(wire), b"")
            self.time.advance(0.02)
            self.assertEqual(len(await self.taken(wire)), BLOCK)

    async def test_what_follows_in_time_belongs_to_it(self) -> None:
        wire = self.wire()
        wire.feed(self.exact())
        self.time.advance(EXACT_FIT_TIME / 2)
        wire.feed(b"&more")
        self.time.advance(EXACT_FIT_TIME)
        self.assertEqual(await self.taken(wire), b"")
        wire.feed(b"=1".ljust(BLOCK - 5))
        self.assertEqual(read(await self.taken(wire))[0]["error"], "Tidak ada perintah nonsense")

    async def test_what_is_cut_on_its_way_waits_longer(self) -> None:
        wire = self.wire()
        whole = request("send", destination="messi", message="x" * 3000, session="t" * 43)
        for at in range(0, len(whole), BLOCK):
            wire.feed(whole[at : at + BLOCK])
            self.time.advance(CUT_TIME - 0.1)
        found, _ = read(await wire.until(_is_whole))
        self.assertEqual(found["error"], "Session itu tidak ada atau sudah berakhir; login lagi")
        wire.feed(whole[:BLOCK])
        self.time.advance(CUT_TIME + 0.1)
        self.assertEqual(read(await self.taken(wire))[0]["error"], "Login dahulu")

    async def test_it_need_not_wait_for_a_client_that_sends_nothing_more(self) -> None:
        wire = self.wire()
        wire.feed(self.exact())
        wire.protocol.readConnectionLost()
        self.assertEqual(read(await self.taken(wire))[0]["status"], "ERROR")
        self.assertTrue(wire.transport.disconnecting)

    async def test_a_lost_connection_leaves_nothing_behind(self) -> None:
        wire = self.wire()
        wire.feed(self.exact())
        wire.lose(Failure(ConnectionDone()))
        self.assertEqual(
            [call for call in self.time.getDelayedCalls() if 0 < call.getTime() < 1], []
        )

    async def test_a_silent_block_is_no_request(self) -> None:
        wire = self.wire()
        wire.feed(b"auth username=messi&password=surabaya")
        self.time.advance(EXACT_FIT_TIME * 10)
        self.assertEqual(await self.taken(wire), b"")


DATA = bytes(range(256)) * 1200


class FileTestCase(ClientTestCase):
    limits = {
        "commands_per_second": 0,
        "line": 4096,
        "inline_line": 2_000_000,
        "inline_total": 20_000_000,
    }

    def send(self, token: str, data: bytes, name: str = "pokijan.jpg") -> bytes:
        payload = base64.b64encode(data).decode()
        values = {"username": "messi", "session": token, "payload": payload, "filename": name}
        return request("file_send", **values)


class Files(FileTestCase):
    """Files are part of requests and replies, in base64."""

    async def test_both_ways(self) -> None:
        token = await self.token_of("messi")
        wire = self.wire()
        for size in (0, 1, 2, 3, 600, 700, 765, 768, 3000, 3072, len(DATA)):
            for step in (7, 64, 1024, 65536):
                if size // step > 10_000:
                    continue
                data = DATA[:size]
                sent = await self.ask(wire, self.send(token, data), step)
                self.assertEqual(sent, {"status": "OK", "message": "pokijan.jpg"})
                asked = request("file_get", session=token, filename="pokijan.jpg")
                found = await self.ask(wire, asked, step)
                self.assertEqual(list(found), ["status", "name", "payload"])
                self.assertEqual(found["name"], "pokijan.jpg")
                self.assertEqual(base64.b64decode(found["payload"]), data, (size, step))

    async def test_byte_by_byte(self) -> None:
        token = await self.token_of("messi")
        wire = self.wire()
        sent = await self.ask(wire, self.send(token, DATA[:9000]), 1)
        self.assertEqual(sent["status"], "OK")

    async def test_pipelined(self) -> None:
        token = await self.token_of("messi")
        wire = self.wire()
        got = request("file_get", session=token, filename="pokijan.jpg")
        wire.feed((self.send(token, DATA) + got) * 2)
        data = b""
        for _ in range(4):
            data += await wire.until(lambda found: _is_whole(data + found))  # noqa: B023
            answer, data = read(data)
            self.assertEqual(answer["status"], "OK")
            if "payload" in answer:
                self.assertEqual(base64.b64decode(answer["payload"]), DATA)

    async def test_strangers_send_none(self) -> None:
        wire = self.wire()
        first = request("auth", username="nobody", password="surabaya")
        self.assertEqual((await self.ask(wire, first))["status"], "ERROR")
        answer = await self.ask(wire, self.send("x" * 43, DATA))
        self.assertIn("Baris lebih panjang dari 4096 byte", answer["error"])
        self.assertLess(len(wire.protocol.lines), BLOCK)
        # The connection lives.
        token = await self.token_of("messi")
        answer = await self.ask(wire, request("inbox", session=token))
        self.assertEqual(answer, {"status": "OK", "messages": {}})


class Stalled(FileTestCase):
    """A long request that stops growing is dropped, and so is what follows of it."""

    turned = True

    async def test_the_rest_is_dropped_up_to_its_end(self) -> None:
        token = await self.token_of("messi")
        wire = self.wire()
        await self.ask(wire, request("inbox", session=token))
        whole = self.send(token, DATA)
        wire.feed(whole[:100_000])
        self.assertGreater(self.realm.sessions.inline.held, 90_000)
        self.time.advance(STALL + 1)
        answer, _ = read(await wire.until(_is_whole))
        self.assertIn(f"{int(STALL)} detik dan dibuang", answer["error"])
        self.assertEqual(self.realm.sessions.inline.held, 0)
        self.assertLess(len(wire.protocol.lines), BLOCK)
        rest = whole[100_000:]
        for at in range(0, len(rest), 10_000):
            wire.feed(rest[at : at + 10_000])
        answer = await self.ask(wire, request("file_list", session=token))
        self.assertEqual(answer, {"status": "OK", "file": "[]"})
