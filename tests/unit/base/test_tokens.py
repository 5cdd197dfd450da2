"""A live token in the wrong place of a request is not stored, shown or repeated."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.errors import UnknownCommand
from chatd.base.names import Address, Place
from chatd.base.texts import Secret
from chatd.base.tokens import candidates, hide_tokens, is_token, may_hold_token
from chatd.commands import values as ask
from chatd.lines.dialects.jsonlines import JsonDialect
from chatd.lines.dialects.kelompok3 import Kelompok3Dialect
from chatd.lines.dialects.plain import PlainDialect
from chatd.lines.dialects.tugas4 import Tugas4Dialect
from tests.support.common import ClockedTestCase, Wire

# As random as real ones: hypothesis does not shrink them to zeros.
TOKENS = st.binary().map(
    lambda seed: base64.urlsafe_b64encode(hashlib.sha256(seed).digest()).rstrip(b"=").decode()
)
AROUND = st.text(st.sampled_from("aZ09_- .,:;<>é\n"), max_size=60)


class Finding(SynchronousTestCase):
    @given(TOKENS, AROUND, AROUND)
    def test_found_anywhere_in_a_text(self, token: str, before: str, after: str) -> None:
        """Also within a longer run of letters, where nothing marks its beginning."""
        text = before + token + after
        self.assertTrue(is_token(token))
        self.assertTrue(may_hold_token(text))
        self.assertIn(token, candidates(text))

    @given(TOKENS)
    def test_found_in_every_argument(self, token: str) -> None:
        name = Address(token)
        for command in (
            ask.SendMessage((Address("a"), name), "halo"),
            ask.SendMessage((Address("a", token),), "halo"),
            ask.SendGroupMessage(name, "halo"),
            ask.ShowHistory(Place(name, None)),
            ask.ChangeProfile(country=token),
            ask.SendFile((Address("a"),), f"{token}.txt", 1),
        ):
            self.assertTrue(may_hold_token(command), command)
            self.assertIn(token, candidates(command))

    @given(TOKENS)
    def test_allowed_as_a_token_or_password(self, token: str) -> None:
        for command in (
            ask.ResumeSession(Secret(token)),
            ask.LogIn("a", Secret(token)),
            ask.CheckAlive(),
        ):
            self.assertFalse(may_hold_token(command))

    def test_ordinary_texts(self) -> None:
        for text in ("", " " * 100, "Selamat malam, Budi! " * 50, "x" * 42, "é" * 100):
            self.assertFalse(may_hold_token(ask.SendMessage((Address("a"),), text)))

    def test_few_candidates_in_repeated_text(self) -> None:
        self.assertLessEqual(len(candidates("ABCDEFGHIJKLMNOP" * 500)), 16)

    def test_text_of_few_different_letters(self) -> None:
        """A line of dashes, or the text of a load generator, needs no lookup."""
        for text in ("-" * 80, "x" * 8000, "0123456789" * 10, "hahaha" * 20):
            self.assertFalse(may_hold_token(text))
            self.assertEqual(candidates(text), set())

    @given(TOKENS)
    def test_refusals_do_not_repeat_it(self, token: str) -> None:
        self.assertNotIn(token, str(UnknownCommand(verb=token)))
        self.assertEqual(hide_tokens(f"no {token}!"), "no <token>!")
        long = f"report_{token}_final.pdf"
        self.assertEqual(hide_tokens(long), long)


class Refusing(ClockedTestCase):
    async def enter(self, name: str) -> tuple[Wire, str]:
        wire = self.connect(JsonDialect())
        reply = await wire.ask(command="register", username=name, password="surabaya")
        return wire, reply["tokenId"]

    async def test_in_json(self) -> None:
        """In a text, a name, a file's name or an address, alone or within a longer run of letters."""
        messi, token = await self.enter("messi")
        lineker, other = await self.enter("lineker")
        await messi.ask(command="addgroup", group="bagan")
        requests: tuple[dict[str, Any], ...] = (
            {"command": "send", "to": "lineker", "text": f"take {token} and"},
            {"command": "send", "to": "lineker", "text": f"xx{token}yy"},
            {"command": "send", "to": ["lineker", token], "text": "halo"},
            {"command": "sendgroup", "group": "bagan", "text": token},
            {"command": "roomchat", "text": token},
            {"command": "profile", "name": token},
            {"command": "addgroup", "group": token},
            {"command": "sendfile", "to": "lineker", "filename": f"{token}.txt", "size": 0},
            {"command": "search", "text": token},
            {"command": "sendprivaterealm", "realm": "realm2", "user": "a", "text": token},
        )
        for request in requests:
            reply = await messi.ask(**request)
            self.assertEqual(reply["code"], "token-in-text", request)
            self.assertNotIn(token, reply["message"])
        self.assertEqual((await lineker.ask(command="inbox"))["messages"], [])
        for text in (
            other,
            "x" * 43,
            token[:-1],
        ):  # of another account, no token, and an incomplete one
            reply = await messi.ask(command="send", to="lineker", text=text)
            self.assertEqual(reply["status"], "OK")

    async def test_token_of_another_session(self) -> None:
        """All live sessions of the account count. After a logout the token is an ordinary text."""
        messi, _ = await self.enter("messi")
        phone = self.connect(JsonDialect())
        second = await phone.ask(command="auth", username="messi", password="surabaya")
        await phone.ask(command="quit")
        text = second["tokenId"]
        reply = await messi.ask(command="send", to="messi", text=text)
        self.assertEqual(reply["code"], "token-in-text")
        phone = self.connect(JsonDialect())
        await phone.ask(command="resume", token=text)
        await phone.ask(command="logout")
        self.assertEqual((await messi.ask(command="send", to="messi", text=text))["status"], "OK")

    async def test_order_is_kept(self) -> None:
        """A message after one whose text needs a lookup arrives after it."""
        messi, token = await self.enter("messi")
        long = base64.urlsafe_b64encode(bytes(range(32))).rstrip(b"=").decode()
        texts = ["1", f"2 {long}", "3", f"4 {long}", token, "5"]
        for text in texts:
            messi.feed(f'{{"command":"send","to":"messi","text":"{text}"}}\r\n'.encode())
        replies = [await messi.line() for _ in texts]
        codes = [reply.get("code") for reply in replies]
        self.assertEqual(codes, [None, None, None, None, "token-in-text", None])
        page = await messi.ask(command="history", user="messi")
        found = [message["text"] for message in page["messages"]]
        self.assertEqual(found, ["1", f"2 {long}", "3", f"4 {long}", "5"])

    async def test_in_plain_and_older_dialects(self) -> None:
        """The client of document 004 sends its token as the second word of group commands."""
        messi, token = await self.enter("messi")
        await messi.ask(command="addgroup", group="bagan")
        plain = self.connect(PlainDialect())
        await plain.until(b"help.\r\n")
        plain.feed(f"resume {token}\r\n".encode())
        await plain.until(b"\r\n\r\n")
        plain.feed(f"sendgroup bagan {token} halo\r\n".encode())
        self.assertIn(b"code: token-in-text", await plain.until(b"\r\n\r\n"))
        plain.feed(f"{token} halo\r\n".encode())
        self.assertNotIn(token.encode(), await plain.until(b"\r\n\r\n"))
        for dialect in (Kelompok3Dialect(), Tugas4Dialect()):
            older = self.connect(dialect)
            older.feed(f"send {token} messi  see {token} there\r\n".encode())
            answer = await older.until(b"\r\n\r\n")
            self.assertIn(b"ERROR", answer, dialect.name)
            self.assertNotIn(token.encode(), answer)
        page = await messi.ask(command="history", group="bagan")
        self.assertEqual(page["messages"], [])
        self.assertEqual((await messi.ask(command="history", user="messi"))["messages"], [])

    async def test_long_texts_count_as_several_commands(self) -> None:
        messi, _ = await self.enter("messi")
        long = base64.urlsafe_b64encode(bytes(range(256)) * 22).decode()
        for _ in range(60):
            messi.feed(f'{{"command":"send","to":"messi","text":"{long}"}}\r\n'.encode())
        await messi.until(lambda data: data.count(b"\r\n") >= 10)
        (session,) = self.realm.sessions._by_token.values()
        self.assertLess(session.bucket.take(self.clock.seconds(), 0), 10)
