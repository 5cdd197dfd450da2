"""kelompok3, bagan, urlencoded, tugas4 and pychat: all input is read or refused, all output is written."""

from __future__ import annotations

import base64
import json
import re
import string
from typing import Any
from urllib.parse import quote_plus, urlencode

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase, TestCase

from chatd.base import errors
from chatd.base.errors import BadArgument, ChatError, every_error
from chatd.base.events import RoomTalk
from chatd.base.model import Message
from chatd.base.names import Address
from chatd.base.replies import Reply
from chatd.base.tokens import is_token
from chatd.commands import values as ask
from chatd.lines.dialect import Dialect, PartialRequest, Request, Unreadable
from chatd.lines.dialects import bagan, kelompok3, key_values, pychat, tugas4, urlencoded
from chatd.lines.dialects.blocks import BlockDialect
from chatd.lines.dialects.indonesian import INDONESIAN
from chatd.lines.dialects.json_text import split
from chatd.lines.dialects.verbs import Verb, text_of
from chatd.lines.inline_file import CHUNK, INLINE_FILE, InlineFile
from tests.unit.lines.strategies import ITEMS, events, lines, messages, names, refusals

BLOCKS: tuple[type[BlockDialect], ...] = (
    kelompok3.Kelompok3Dialect,
    bagan.BaganDialect,
    tugas4.Tugas4Dialect,
)
DIALECTS: tuple[type[Dialect], ...] = (
    *BLOCKS,
    urlencoded.UrlencodedDialect,
    pychat.PychatDialect,
)
VERBS = {
    "kelompok3": kelompok3.VERBS,
    "bagan": bagan.VERBS,
    "tugas4": tugas4.VERBS,
    "urlencoded": urlencoded.VERBS,
    "pychat": pychat.VERBS,
}
TOKEN = "3q2-7wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

_words = st.lists(
    st.one_of(
        st.sampled_from(
            [
                "messi",
                "bola,messi",
                "12",
                "-1",
                "",
                "a@b",
                "@",
                ",",
                TOKEN,
                "aGFsbw==",
                "b'QQ=='",
                "%",
            ]
        ),
        st.text(max_size=5),
    ),
    max_size=6,
)
_pairs = st.lists(
    st.one_of(
        st.builds(
            "{}={}".format,
            st.sampled_from(
                ["username", "password", "session", "payload", "filename", "message", "name", "x"]
            ),
            st.one_of(
                st.sampled_from(["messi", TOKEN, "iVBORwo%3D", "%", "%zz", "%ff", "a+b", "="]),
                st.text(max_size=5),
                st.text(max_size=5).map(quote_plus),
            ),
        ),
        st.text(max_size=4),
    ),
    max_size=6,
)


def lines_of(name: str) -> st.SearchStrategy[bytes]:
    """Lines that resemble requests, and arbitrary bytes."""
    verbs = st.sampled_from([*VERBS[name], "x", "", "SEND"])
    rests = _pairs.map("&".join) if name == "urlencoded" else _words.map(" ".join)
    return st.one_of(
        st.binary(max_size=60),
        st.builds(
            lambda verb, rest: f"{verb} {rest}".encode("utf-8", "surrogatepass"), verbs, rests
        ),
    )


def settle(dialect: Dialect, line: bytes, live: bool) -> Request | ChatError:
    """The request in the line, or its error. Any other exception is a bug in the dialect."""
    try:
        call = dialect.read(line)
    except Unreadable as problem:
        dialect.error(problem.error, problem.tag)
        return problem.error
    assert isinstance(call, PartialRequest)
    try:
        request = call.read(live)
        if request.content is not None:
            b"".join(request.content.chunks())
    except ChatError as error:
        dialect.error(error, call.tag)
        return error
    assert isinstance(request, Request)
    return request


class Reading(TestCase):
    """Every line is a request or an error. Nothing else is raised."""

    def check(self, make: type[Dialect], line: bytes, live: bool) -> None:
        self.assertIsInstance(settle(make(), line, live), Request | ChatError)

    @given(lines_of("kelompok3"), st.booleans())
    def test_kelompok3(self, line: bytes, live: bool) -> None:
        self.check(kelompok3.Kelompok3Dialect, line, live)

    @given(lines_of("bagan"), st.booleans())
    def test_bagan(self, line: bytes, live: bool) -> None:
        self.check(bagan.BaganDialect, line, live)

    @given(lines_of("tugas4"), st.booleans())
    @example(b"download_file 0000_00_00_00_00_00_x", False)
    @example(b"download_file 9999_12_31_23_59_59_x", False)
    @example(b"download_file 0001_01_01_00_00_00_x", False)
    @example(b"download_file 2026_11_20_10_15_61_x", False)
    def test_tugas4(self, line: bytes, live: bool) -> None:
        self.check(tugas4.Tugas4Dialect, line, live)

    @given(lines_of("urlencoded"), st.booleans())
    @example(b"file_send session=x&payload=%&filename=a&username=b", True)
    @example("file_send session=x&payload=%é&filename=a&username=b".encode(), True)
    @example("file_send session=x&payload=é&filename=a&username=b".encode(), True)
    @example(b"inbox " + b"&" * 1000, True)
    @example(b"inbox " + b"=&" * 1000, True)
    def test_urlencoded(self, line: bytes, live: bool) -> None:
        self.check(urlencoded.UrlencodedDialect, line, live)

    @given(lines_of("pychat"), st.booleans())
    def test_pychat(self, line: bytes, live: bool) -> None:
        self.check(pychat.PychatDialect, line, live)

    def test_every_verb_is_read_without_case(self) -> None:
        for make in DIALECTS:
            for key, verb in VERBS[make.name].items():
                for written in (key, key.upper(), key.title()):
                    line = f"{written} {example_of(verb, make.name)}".rstrip()
                    found = settle(make(), line.encode(), live=False)
                    self.assertIsInstance(found, Request, line)
                    assert isinstance(found, Request)
                    self.assertIs(found.row, verb.row)
                    self.assertIsInstance(found.command, verb.command, line)

    def test_token_of_a_session_is_removed(self) -> None:
        """What remains is read by the client's verb, if there is one."""
        for make in BLOCKS:
            for verb in VERBS[make.name].values():
                line = f"{verb.name} {TOKEN} {example_of(verb, make.name)}".encode()
                call: Any = make().read(line)
                self.assertEqual(call.token, TOKEN)
                own = make.client_verbs.get(verb.name, verb)
                if own.aside:  # only in a request that ends in a space
                    own = verb
                self.assertEqual(call.read(True).row, own.row)
                self.assertIs(call.read(True).tag, own)
                if own is verb:
                    bare: Any = make().read(f"{verb.name} {example_of(verb, make.name)}".encode())
                    self.assertEqual(call.read(True).command, bare.read(False).command)

    def test_words_have_a_limit_of_their_own(self) -> None:
        """A line may be as long as a file. Its words may not."""
        long = "a" * 5000
        for make in BLOCKS:
            for verb in VERBS[make.name].values():
                if verb.inline:
                    for at in range(len(verb.args) - 1):
                        words = ["a"] * (len(verb.args) - 1)
                        words[at] = long
                        found = settle(
                            make(), f"{verb.name} {' '.join(words)} QUJD".encode(), live=False
                        )
                        self.assertIsInstance(found, BadArgument)

    def test_where_the_file_begins(self) -> None:
        """After one space. The words before it are read as usual."""
        dialect = kelompok3.Kelompok3Dialect()
        for line, size in (
            ("sendfile a b QUJD", 3),
            ("sendfile  a  b QUJD", 3),
            ("sendfile a b b'QUJD'", 3),
            ("sendfile a b b''", 0),
        ):
            found = settle(dialect, line.encode(), live=False)
            assert isinstance(found, Request)
            self.assertEqual(found.command, ask.SendFile((Address("a"),), "b", size))
        for line, error in (
            ("sendfile", errors.Usage),
            ("sendfile a", errors.Usage),
            ("sendfile a ", errors.Usage),
            ("sendfile a b", errors.UnknownFile),
            ("sendfile a b ", errors.UnknownFile),
            ("sendfile a b  QUJD", BadArgument),
            ("sendfile a b QUJD ", BadArgument),
            ("sendfile a b QUJD QUJD", BadArgument),
        ):
            self.assertIsInstance(settle(dialect, line.encode(), live=False), error, line)

    def test_too_much_in_a_payload(self) -> None:
        found = settle(
            urlencoded.UrlencodedDialect(),
            b"send session=x&username=a&message=" + b"%41" * 30_000,
            live=True,
        )
        self.assertIsInstance(found, errors.MessageTooLong)

    def test_form_data(self) -> None:
        """Any form data arrives, in any order and encoding."""
        for text in ("a b", "a+b&c=d%", "é日", "%41", "="):
            values = {"session": TOKEN, "message": text, "username": "messi"}
            found = settle(
                urlencoded.UrlencodedDialect(), f"send {urlencode(values)}".encode(), live=True
            )
            assert isinstance(found, Request)
            self.assertEqual(found.command, ask.SendMessage((Address("messi"),), text))
            self.assertNotIn(TOKEN, repr(found))


def example_of(verb: Verb, dialect: str) -> str:
    """Valid arguments of the verb."""
    values = {
        arg.name: "QUJD"
        if arg.type is INLINE_FILE
        else {"size": "7", "port": "8890", "host": "127.0.0.1"}.get(arg.name, "messi")
        for arg in verb.args
    }
    if dialect == "urlencoded":
        if verb.row.login:
            values["session"] = TOKEN
        return urlencode(values)
    return " ".join(values.values())


class Files(SynchronousTestCase):
    """Base64 in a line is decoded in chunks. Anything else is refused."""

    @given(st.binary(max_size=100), st.sampled_from((1, 500)))
    def test_round_trip(self, some: bytes, times: int) -> None:
        data = some * times
        bare = base64.b64encode(data).decode()
        for text in (bare, repr(bare.encode())):
            content = INLINE_FILE.from_text("content", text)
            if content is None:
                self.assertEqual(text, "")
                continue
            self.assertEqual(content.size, len(data))
            self.assertEqual(b"".join(content.chunks()), data)

    def test_in_pieces(self) -> None:
        """No chunk is so long that other connections would have to wait."""
        content = InlineFile("content", base64.b64encode(bytes(1_000_001)).decode())
        pieces = list(content.chunks())
        self.assertGreater(len(pieces), 10)
        self.assertLessEqual(max(map(len, pieces)), CHUNK)
        self.assertEqual(sum(map(len, pieces)), 1_000_001)

    def test_invalid_base64(self) -> None:
        end = "QQ=="
        for text in (
            "a", "ab", "abc", "====", "Q===", "QQ=Q", "QQ==QQ==", "Q Q=", "QQ-_", "é===", "b'QQ==",
            "QUJD====", "\u212aAAA", "A" * CHUNK + "QQ==QQ==", "QQ==" + "A" * CHUNK,
            "A" * (CHUNK - 4) + end + "A" * CHUNK,
        ):  # fmt: skip
            with self.assertRaises(BadArgument, msg=text[:20]):
                content = INLINE_FILE.from_text("content", text)
                assert content is not None
                list(content.chunks())

    def test_payloads(self) -> None:
        """With and without percent-encoding of any characters."""
        data = bytes(range(256))
        bare = base64.b64encode(data).decode()
        for written in (
            bare,
            quote_plus(bare),
            re.sub("%..", lambda found: found[0].lower(), quote_plus(bare)),
            "".join(f"%{byte:02x}" for byte in bare.encode()),
        ):
            line = f"file_send session=x&username=a&filename=b&payload={written}"
            found = settle(urlencoded.UrlencodedDialect(), line.encode(), live=True)
            assert isinstance(found, Request)
            assert found.content is not None
            self.assertEqual(b"".join(found.content.chunks()), data)


def replies_to(verb: Verb) -> st.SearchStrategy[Reply]:
    """Replies that the service may give to the command of the verb."""
    kinds = {
        ask.ListActive: "users",
        ask.ListUsers: "users",
        ask.ListContacts: "contacts",
        ask.ListGroups: "groups",
        ask.ListOwnGroups: "groups",
        ask.ListMembers: "members",
        ask.ListFiles: "files",
        ask.ReadInbox: "messages",
        ask.ReadGroupInbox: "messages",
        ask.ReadRealmInbox: "messages",
        ask.ReadOwnRealmInbox: "messages",
    }
    kind = kinds.get(verb.command)
    items = st.lists(ITEMS[kind], max_size=4).map(tuple) if kind else st.just(())
    return st.builds(
        Reply,
        message=lines,
        fields=st.fixed_dictionaries(
            {
                "tokenId": st.just(TOKEN),
                "group": names,
                "groupcode": names,
                "name": lines,
                "size": st.integers(0, 10**9),
                "code": names,
                "room": names,
            }
        ),
        data=st.fixed_dictionaries(
            {
                "username": names,
                "at": st.integers(0, 4_000_000_000_000),
                "stored": st.sampled_from(["2026_11_20_10_15_03_0", "20261120T101503.000000Z-0"]),
                "users": st.lists(names).map(tuple),
                "joined": st.lists(names),
                "unknown": st.lists(names),
                "remaining": st.integers(0, 3),
                "names": st.dictionaries(names, lines, max_size=3),
                "codes": st.dictionaries(names, names, max_size=3),
            }
        ),
        items=items,
        items_name=st.just(kind or ""),
    )


def json_of(case: TestCase, dialect: Dialect, answer: bytes) -> dict[str, Any]:
    """The one object of an answer."""
    end = b"\r\n" if dialect.name == "urlencoded" else b"\r\n\r\n"
    case.assertTrue(answer.endswith(end), answer)
    body = answer[: -len(end)]
    case.assertNotIn(b"\n", body)
    found = json.loads(body)
    case.assertIsInstance(found, dict)
    return dict(found)


def lines_in(case: TestCase, answer: bytes) -> list[str]:
    """The lines of one of pychat's answers."""
    text = answer.decode()
    case.assertTrue(text.endswith("\r\n"))
    lines = text[:-2].split("\r\n")
    for line in lines:
        case.assertNotIn("\n", line)
        case.assertNotIn("\r", line)
    case.assertRegex(lines[0], r"\A(success|failed) .")
    return lines


class Writing(TestCase):
    """Every dialect writes any reply, error and event."""

    @given(st.data())
    def test_replies(self, data: st.DataObject) -> None:
        make = data.draw(st.sampled_from(DIALECTS))
        dialect = make()
        verb = data.draw(st.sampled_from(sorted(VERBS[make.name].values(), key=lambda v: v.name)))
        request = settle(dialect, f"{verb.name} {example_of(verb, make.name)}".encode(), live=False)
        assert isinstance(request, Request)
        reply = data.draw(replies_to(verb))
        answer = b"".join(split(dialect.reply(request, reply))[0])  # without files
        if make is pychat.PychatDialect:
            lines = lines_in(self, answer)
            listed = len(reply.items) if reply.items_name else 0
            self.assertEqual(len(lines), 1 + listed)
            if reply.items_name:
                self.assertTrue(lines[0].startswith(f"success {listed} "))
            return
        found = json_of(self, dialect, answer)
        self.assertEqual(next(iter(found)), "status")
        if verb.command is ask.ListActive and not reply.items:
            self.assertEqual(found, {"status": "ERROR", "message": "Tidak ada user yang aktif"})
        else:
            self.assertEqual(found["status"], "OK")
        for value in found.values():
            self.assertIsNotNone(value)

    @given(refusals, st.sampled_from(DIALECTS), st.data())
    def test_refusals(self, error: ChatError, make: type[Dialect], data: st.DataObject) -> None:
        dialect = make()
        verbs = sorted(VERBS[make.name].values(), key=lambda verb: verb.name)
        verb = data.draw(st.one_of(st.none(), st.sampled_from(verbs)))
        tag = key_values.Tag(verb) if verb and make.name == "urlencoded" else verb
        answer = dialect.error(error, tag)
        if make is pychat.PychatDialect:
            (line,) = lines_in(self, answer)
            self.assertTrue(line.startswith("failed "))
            return
        found = json_of(self, dialect, answer)
        self.assertEqual(found["status"], "ERROR")
        self.assertTrue(found["message"])
        self.assertEqual(found.get("error"), error.code if make.name == "urlencoded" else None)

    @given(events)
    def test_events(self, event: Any) -> None:
        """Nothing is pushed, except talk in rooms in urlencoded."""
        for make in DIALECTS:
            pushed = make().events([event])
            if make is urlencoded.UrlencodedDialect and isinstance(event, RoomTalk):
                found = json_of(self, make(), pushed)
                self.assertEqual(
                    list(found), ["type", "roomname", "username", "display", "message"]
                )
                self.assertEqual(found["message"], event.text)
            else:
                self.assertEqual(pushed, b"")

    @given(st.lists(messages, max_size=4), st.dictionaries(names, lines, max_size=3))
    def test_every_message_is_in_the_inbox(
        self, found: list[Message], shown: dict[str, str]
    ) -> None:
        reply = Reply("", {}, {"names": shown}, tuple(found), "messages")
        for make in BLOCKS:
            request = settle(make(), b"inbox", live=False)
            assert isinstance(request, Request)
            inbox = json.loads(make().reply(request, reply))["messages"]
            self.assertEqual(list(inbox), list(dict.fromkeys(each.sender for each in found)))
            self.assertEqual(sum(map(len, inbox.values())), len(found))
            for each in found:
                entries = [
                    entry for entry in inbox[each.sender] if each.text in (None, entry["msg"])
                ]
                self.assertTrue(entries)
                self.assertEqual(entries[0]["msg_from"], shown.get(each.sender, each.sender))

    def test_every_refusal_is_in_indonesian(self) -> None:
        self.assertEqual(set(INDONESIAN), set(every_error()))
        for kind, text in INDONESIAN.items():
            self.assertIsNotNone(text)
            fields = {key for _, key, _, _ in string.Formatter().parse(str(text)) if key}
            known = {key for _, key, _, _ in string.Formatter().parse(kind.sentence) if key}
            self.assertLessEqual(fields, known, kind)

    def test_sentence_of_an_error(self) -> None:
        """From the verb, else from the dialect, for the error or its base class; else its own
        sentence."""
        error = errors.BadName(name="a b")
        self.assertEqual(text_of(error), str(error))
        self.assertEqual(text_of(error, {}, {errors.BadRequest: "no"}), "no")
        self.assertEqual(
            text_of(error, {errors.BadName: "{name}?"}, {errors.BadRequest: "no"}), "a b?"
        )
        self.assertEqual(
            text_of(error, {errors.BadName: None, errors.BadRequest: "no"}), str(error)
        )

    def test_nobody_is_active(self) -> None:
        """The client itself is always active, so only a unit test can show this."""
        for make, verb in ((kelompok3.Kelompok3Dialect, "info"), (bagan.BaganDialect, "info")):
            request = settle(make(), verb.encode(), live=False)
            assert isinstance(request, Request)
            self.assertEqual(
                json.loads(make().reply(request, Reply("0 users active", items_name="users"))),
                {"status": "ERROR", "message": "Tidak ada user yang aktif"},
            )


class Tokens(SynchronousTestCase):
    def test_what_looks_like_one(self) -> None:
        self.assertTrue(is_token(TOKEN))
        for word in ("", "messi", TOKEN[:-1], TOKEN + "A", TOKEN[:-1] + "=", TOKEN[:-1] + "\n"):
            self.assertFalse(is_token(word), word)
