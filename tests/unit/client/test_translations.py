"""Indonesian: the documents' own texts, refusals with their parts, and a complete catalogue."""

from __future__ import annotations

import string
from pathlib import Path

from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from twisted.trial.unittest import TestCase

import chatd.client
from chatd.base.attachments import LOSSES
from chatd.base.errors import (
    Banned,
    ChatError,
    Muted,
    UnknownGroup,
    UnknownUser,
    WrongPassword,
    every_error,
)
from chatd.base.terms import Term
from chatd.client import translations
from chatd.commands.table import GROUPS, TABLE
from chatd.commands.words import row_of

CLIENT = Path(chatd.client.__file__).parent
MESSAGE = {"conversation": 2, "seq": 3, "id": 7, "from": "budi", "at": "2026-11-20T10:15:03Z"}


class TranslationTests(TestCase):
    def setUp(self) -> None:
        self.addCleanup(translations.use, "en")

    def test_texts_of_the_documents(self) -> None:
        translations.use("id")
        reply = {"status": "OK", "message": "Message sent", "username": "alam"}
        self.assertEqual(
            translations.said("send", reply, {"to": "alam"}), "Message sent to user [alam]."
        )
        self.assertEqual(translations.said("auth", reply, {}), "Login [alam] telah berhasil")
        self.assertEqual(translations.said("whoami", {"message": "You are x"}, {}), "You are x")
        queued = {"status": "OK", "message": "Message queued", "state": "queued"}
        self.assertEqual(translations.said("send", queued, {"to": "a@b"}), "Message queued")

    def test_sentences_of_the_realm(self) -> None:
        """They are translated as a whole, or by their verb."""
        translations.use("id")
        for verb, reply, details, shown in (
            ("away", {"message": "You are away"}, {}, "Anda sedang pergi"),
            ("status", {"message": "You have no status"}, {}, "Anda tidak punya status"),
            ("status", {"message": "x", "status_text": "libur"}, {}, "Status Anda: libur"),
            ("block", {"message": "x"}, {"user": "@@realm2"}, "@@realm2 diblokir"),
            ("ping", {"message": "pong"}, {}, "pong"),
            ("contacts", {"message": "1 contact"}, {}, "1 kontak"),
            ("users", {"message": "2 users, 3 more remain"}, {}, "2 user, masih ada 3"),
            ("members", {"message": "2 members in bola"}, {}, "2 anggota di bola"),
            ("react", {"message": "Reaction added"}, {}, "Reaksi ditambahkan"),
            (
                "unread",
                {"message": "1 unread in 1 conversation"},
                {},
                "1 belum dibaca di 1 percakapan",
            ),
            ("roomjoin", {"message": "You are in a with 2 users"}, {}, "Anda di a dengan 2 user"),
            ("users", {"message": "many users"}, {}, "many users"),
            (
                "send",
                {"message": "Message sent; queued: a@b", "state": "queued"},
                {"to": "a@b"},
                "Pesan terkirim; masih mengantre: a@b",
            ),
            ("ping", {}, {}, ""),
        ):
            self.assertEqual(translations.said(verb, reply, details), shown)

    def test_refusals(self) -> None:
        for error, shown in (
            (UnknownUser(name="x"), "User x tidak ada di realm ini"),
            (UnknownUser(name="x", where="realm2"), "User x tidak ada di realm2"),
            (UnknownGroup(name="x"), "Grup x tidak ada di realm ini; groups menampilkan daftarnya"),
            (WrongPassword(name="a {b}"), "Itu bukan password a {b}; coba lagi"),
        ):
            self.assertEqual(translations.of_error(error), str(error))
            translations.use("id")
            self.assertEqual(translations.of_error(error), shown)
            self.assertEqual(
                translations.refused(error.code, "another sentence"), "another sentence"
            )
            translations.use("en")

    def test_terms(self) -> None:
        """Until when somebody is muted or banned is translated, and the reason is not."""
        translations.use("id")
        until, day = 1_800_000_000_000, "2027-01-15T08:00:00Z"
        for term, shown in (
            (Term(None), ""),
            (Term(None, "bising; lama"), " (bising; lama)"),
            (Term(until), f" sampai {day}"),
            (Term(until, "until (x)"), f" sampai {day} (until (x))"),
        ):
            for error, sentence in (
                (
                    Muted(group="bagan@realm2", until=term),
                    f"Anda dibisukan di bagan@realm2{shown}; hubungi moderator realm-nya",
                ),
                (
                    Banned(group="realm1", until=term, advice="ask its operators"),
                    f"Anda dilarang masuk ke realm1{shown}; hubungi pengelolanya",
                ),
            ):
                self.assertEqual(translations.of_error(error), sentence)

    def test_parts_of_refusals(self) -> None:
        """Reasons, advice and expected values are translated too."""
        translations.use("id")
        for line, shown in (
            ("sned x", "Tidak ada perintah sned; maksud Anda send? help menampilkan semuanya"),
            ("whoami x", "whoami tidak memerlukan argumen; pemakaian: whoami"),
            (
                "history budi many",
                "n tidak dapat berisi many; yang diharapkan: bilangan bulat, 1 atau lebih",
            ),
            (
                "addrealm r localhost 0",
                "port tidak dapat berisi 0; yang diharapkan: port TCP, 1 sampai 65535",
            ),
            ("listen perhaps", "on tidak dapat berisi perhaps; yang diharapkan: on, all atau off"),
            ("away perhaps", "on tidak dapat berisi perhaps; yang diharapkan: on atau off"),
            (
                "notify budi loud",
                "level tidak dapat berisi loud; yang diharapkan: all, mentions atau none",
            ),
        ):
            verb, _, rest = line.partition(" ")
            with self.assertRaises(ChatError) as caught:
                row_of(verb).from_words(rest)
            self.assertEqual(translations.of_error(caught.exception), shown)

    def test_losses(self) -> None:
        """All reasons for which files are lost are translated. Others are shown as they are."""
        translations.use("id")
        for reason in LOSSES.values():
            self.assertNotEqual(translations.loss(reason), reason)
        self.assertEqual(translations.loss("edited"), "edited")

    def test_catalogue_is_complete(self) -> None:
        keywords = {"tr": None, "trn": (1, 2), "later": None}
        wanted = {
            message if isinstance(message, str) else message[0]
            for _, _, message, _, _ in extract_from_dir(
                str(CLIENT), [("**.py", "python")], keywords=keywords
            )
        }
        wanted |= {error.sentence for error in every_error()} | {row.help for row in TABLE}
        wanted |= {*LOSSES.values(), *GROUPS.values()}
        path = CLIENT / "locale" / "id" / "LC_MESSAGES" / "chatd-client.po"
        with path.open("rb") as file:
            catalogue = read_po(file, abort_invalid=True)
        have = {}
        for message in catalogue:
            if not message.context and message.id:
                one, other = (
                    each if isinstance(each, str) else (each or [""])[0]
                    for each in (message.id, message.string)
                )
                have[one] = other
        self.assertEqual(wanted - set(have), set())
        for one, other in have.items():
            self.assertTrue(other, one)
            self.assertLessEqual(self.fields(other), self.fields(one), one)

    def fields(self, sentence: str) -> set[str]:
        return {field for _, field, _, _ in string.Formatter().parse(sentence) if field}
