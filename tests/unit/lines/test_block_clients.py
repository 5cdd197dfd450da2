"""What the clients of kelompok3, bagan and tugas4 send in a form of their own."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from chatd.base import errors
from chatd.base.errors import ChatError, NotLoggedIn
from chatd.base.model import Message
from chatd.base.names import Address
from chatd.base.replies import Reply, UserInfo
from chatd.base.texts import Secret
from chatd.commands import values as ask
from chatd.lines.dialect import Request
from chatd.lines.dialects import bagan, kelompok3
from tests.unit.lines.strategies import refusals
from tests.unit.lines.test_older_dialects import (
    BLOCKS,
    TOKEN,
    example_of,
    json_of,
    replies_to,
    settle,
)

WITH_TYPED_TEXTS = (kelompok3.Kelompok3Dialect, bagan.BaganDialect)


class Reading(TestCase):
    def test_token(self) -> None:
        """A request with a token has the client's form, and the token is none of its arguments."""
        for make in BLOCKS:
            for verb in make.client_verbs.values():
                rest = example_of(verb, make.name) + " " * verb.aside
                call: Any = make().read(f"{verb.name} {TOKEN} {rest}".encode())
                self.assertEqual(call.token, TOKEN)
                self.assertTrue(call.required)
                self.assertIs(call.tag, verb)
                self.assertEqual(call.read(True).command, verb.read(rest).command)

    def test_space_at_the_end(self) -> None:
        """It marks the client's form of requests that the client sends without a token."""
        for make in BLOCKS:
            for name, verb in make.client_verbs.items():
                line = f"{name} {example_of(verb, make.name)}".rstrip()
                documented = make.verbs.get(name, verb)
                plain: Any = make().read(line.encode())
                self.assertIs(plain.tag, documented)
                spaced: Any = make().read(f"{line} ".encode())
                self.assertIs(spaced.tag, verb if verb.bare else documented)

    def test_what_was_typed(self) -> None:
        """The spaces that the client adds are taken off a text, and no others."""
        for make in WITH_TYPED_TEXTS:
            for written, text in (
                ("  halo ", "halo"),
                ("   dua  spasi   ", " dua  spasi  "),
                (" halo", "halo"),
                ("  halo", "halo"),
            ):
                found = settle(make(), f"send {TOKEN} messi{written}".encode(), live=True)
                assert isinstance(found, Request)
                self.assertEqual(found.command, ask.SendMessage((Address("messi"),), text))
            for written in ("", " ", "  ", "   ", "    "):
                found = settle(make(), f"send {TOKEN} messi{written}".encode(), live=True)
                self.assertIsInstance(found, errors.Usage | errors.EmptyText)
            line = f"sendprivaterealm {TOKEN} realm1 messi  halo "
            found = settle(make(), line.encode(), live=True)
            assert isinstance(found, Request)
            self.assertEqual(found.command, ask.SendRealmMessage("realm1", "messi", "halo "))

    def test_name_with_spaces_in_a_registration(self) -> None:
        for words, name, country in (
            ("Budi Indonesia", "Budi", "Indonesia"),
            ("Budi_Santoso Sri_Lanka", "Budi Santoso", "Sri Lanka"),
            ("Budi Santoso  Wijaya Indonesia ", "Budi Santoso Wijaya", "Indonesia"),
        ):
            line = f"register budi surabaya {words}"
            found = settle(kelompok3.Kelompok3Dialect(), line.encode(), live=False)
            assert isinstance(found, Request)
            self.assertEqual(found.command, ask.Register("budi", Secret("surabaya"), name, country))
        found = settle(kelompok3.Kelompok3Dialect(), b"register budi surabaya Budi", live=False)
        self.assertIsInstance(found, errors.Usage)

    def test_placeholder(self) -> None:
        """`info {}` is answered with an object, `info` with a list."""
        dialect = kelompok3.Kelompok3Dialect()
        for line, kind in (("info {} ", dict), ("info {}", dict), ("info ", list), ("info", list)):
            request = settle(dialect, line.encode(), live=False)
            assert isinstance(request, Request)
            reply = Reply("", {}, {}, (UserInfo("messi", "Leo", "Argentina", online=True),))
            found = json_of(self, dialect, dialect.reply(request, reply))
            self.assertIsInstance(found["message"], kind, line)


class Writing(TestCase):
    @given(st.data())
    def test_replies(self, data: st.DataObject) -> None:
        make = data.draw(st.sampled_from(BLOCKS))
        verbs = sorted(make.client_verbs.values(), key=lambda verb: verb.name)
        verb = data.draw(st.sampled_from(verbs))
        reply = data.draw(replies_to(verb))
        files = [item.id for item in reply.items if isinstance(item, Message) and item.file]
        inline = data.draw(st.sets(st.sampled_from(files))) if files else set()
        reply = msgspec.structs.replace(reply, data={**reply.data, "inline": inline})
        wrapping = make().wrap(verb.read(example_of(verb, make.name)), reply)
        if make in WITH_TYPED_TEXTS and verb.row.command is not ask.ReadGroupInbox:
            self.assertEqual(set(wrapping.files), inline)
        answer = b"QUJD".join(wrapping.pieces)
        self.assertIn(json_of(self, make(), answer)["status"], ("OK", "ERROR"))
        self.assertTrue(answer.isascii())

    def test_strangers(self) -> None:
        """Where the client needs an answer without a login, it gets an empty one."""
        for make in BLOCKS:
            for verb in make.client_verbs.values():
                found = json_of(self, make(), make().error(NotLoggedIn(), verb))
                if verb.strangers is None:
                    self.assertEqual(found["status"], "ERROR")
                else:
                    self.assertEqual(found, {"status": "OK", **verb.strangers})

    @given(refusals)
    def test_words_of_a_refused_registration(self, error: ChatError) -> None:
        """The graphical client of bagan shows the second word of `Error, <message>` and the third."""
        answer = bagan.BaganDialect().error(error, bagan.VERBS["register"])
        self.assertGreater(len(json.loads(answer)["message"].split(" ")), 1)
