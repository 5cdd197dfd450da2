"""Texts of several lines in plain: whole, in pieces, too long, and cut off."""

from __future__ import annotations

import re

from chatd.lines.dialects.plain import PlainDialect
from tests.support.common import Wire
from tests.unit.lines.cases import ProtocolTestCase, settle

READY = b"status: READY\r\nmessage: Write the text, and a dot alone after its last line\r\n\r\n"
SENT = b"status: OK\r\nmessage: Message sent\r\n\r\n"
PLACE = re.compile(rb"conversation: .*\r\nseq: .*\r\nat: .*\r\nstate: stored\r\n")
PONG = b"status: OK\r\nmessage: pong\r\n\r\n"
DIALOG = b"compose henderson\r\nhalo\r\n\r\n..\r\nquit\r\n.\r\nping\r\n"
TEXT = "halo\n\n.\nquit"


def without_places(replies: bytes) -> bytes:
    """Replies without the places of the messages that were sent."""
    return PLACE.sub(b"", replies)


class Composing(ProtocolTestCase):
    async def texts(self) -> list[str | None]:
        reader = await self.logged_in("henderson")
        reply = await reader.ask(command="history", user="messi", n=100)
        return [message["text"] for message in reply.get("messages", ())]

    async def composing(self) -> Wire:
        wire = await self.logged_in(dialect=PlainDialect)
        wire.feed(b"compose henderson\n")
        self.assertEqual(await wire.until(b"\r\n\r\n"), READY)
        return wire

    async def test_split_anywhere(self) -> None:
        wire = await self.logged_in(dialect=PlainDialect)
        whole = READY + SENT + PONG
        for dialog in (DIALOG, DIALOG.replace(b"\r\n", b"\n")):
            for at in range(len(dialog)):
                wire.feed(dialog[:at])
                wire.feed(dialog[at:])
                self.assertEqual(without_places(await wire.until(PONG)), whole, at)
        self.assertEqual(set(await self.texts()), {TEXT})

    async def test_byte_by_byte(self) -> None:
        wire = await self.logged_in(dialect=PlainDialect)
        for byte in DIALOG:
            wire.feed(bytes((byte,)))
        self.assertEqual(without_places(await wire.until(PONG)), READY + SENT + PONG)
        self.assertEqual(await self.texts(), [TEXT])

    async def test_after_other_requests(self) -> None:
        """Replies are in order, and what follows the text is executed."""
        wire = await self.logged_in(dialect=PlainDialect)
        wire.feed(b"send henderson 1\n" * 3 + DIALOG * 2)
        expected = SENT * 3 + (READY + SENT + PONG) * 2
        replies = await wire.until(lambda data: data.count(PONG) == 2)
        self.assertEqual(without_places(replies), expected)
        self.assertEqual(await self.texts(), ["1"] * 3 + [TEXT] * 2)

    async def test_telnet_commands_in_a_text(self) -> None:
        wire = await self.composing()
        wire.feed(b"hal\xff\xf1o\xff\xf6\r\n.\xff\xf1\r\n")
        reply = without_places(await wire.until(b"state: stored\r\n\r\n"))
        self.assertTrue(reply.endswith(b"* Yes, chatd is here.\r\n" + SENT), reply)
        self.assertEqual(await self.texts(), ["halo"])

    async def test_too_long_texts_take_no_memory(self) -> None:
        """Of lines and in one line. There is one refusal, and nothing of the text is executed."""
        wire = await self.composing()
        for _ in range(10):
            wire.feed(b"send henderson forged\n" * 50)
            await settle()
        wire.feed(b"x" * 200_000)
        pending = wire.protocol._prompts.pending
        self.assertLess(len(pending._text), 10_000)  # type: ignore[union-attr]
        self.assertLess(len(wire.protocol.lines), 100_000)
        self.assertEqual(wire.taken(), b"")
        wire.feed(b"\nquit\n.\nping\n")
        reply = await wire.until(PONG)
        self.assertEqual(reply.count(b"status: ERROR"), 1, reply)
        self.assertIn(b"code: message-too-long\r\n", reply)
        self.assertEqual(await self.texts(), [])

    async def test_lost_connection_stores_nothing(self) -> None:
        wire = await self.composing()
        wire.feed(b"halo\n")
        self.lose(wire)
        self.assertIsNone(wire.protocol._prompts.pending)
        wire = await self.composing()
        wire.feed(b"halo\n")
        wire.protocol.readConnectionLost()
        self.assertEqual(wire.taken(), b"")
        self.lose(wire)
        self.assertEqual(await self.texts(), [])
