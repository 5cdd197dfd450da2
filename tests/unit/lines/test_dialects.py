"""plain and json: every input is read or refused, and everything can be written."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
from hypothesis import assume, example, given
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from chatd.base import errors
from chatd.base.entries import HAPPENINGS
from chatd.base.errors import ChatError, every_error
from chatd.base.events import Closing, Event, MemberChange, SessionEnded, StateChange
from chatd.base.model import Message
from chatd.base.realms import Exposure, RealmInfo
from chatd.base.replies import Reply
from chatd.base.texts import Secret
from chatd.commands.arguments import (
    AgeType,
    BytesType,
    DurationType,
    EmojiType,
    FlagType,
    NumberType,
    OpaqueType,
    PathType,
    PortType,
    QuotaType,
    TimeType,
)
from chatd.commands.rows import Arg, Row
from chatd.commands.table import BY_VERB, TABLE, describe
from chatd.commands.values import (
    AddAccount,
    ChangePassword,
    CheckAlive,
    LogIn,
    Register,
    SetPassword,
)
from chatd.lines.dialect import (
    Composition,
    Confirmation,
    Dialect,
    PartialRequest,
    Prompt,
    Request,
    Unreadable,
)
from chatd.lines.dialects.jsonlines import JsonDialect
from chatd.lines.dialects.plain import PlainDialect
from chatd.lines.dialects.plain_events import event_lines
from tests.unit.lines.strategies import (
    events,
    messages,
    refusals,
    replies,
    tags,
)

PING = Request(BY_VERB["ping"], CheckAlive())

# Lines that resemble requests, and arbitrary bytes.
_words = st.lists(
    st.one_of(
        st.sampled_from(["messi", "bola,messi", "on", "12", "-1", "", "a@b", "@", ","]),
        st.text(max_size=5),
    ),
    max_size=5,
)
plain_lines = st.one_of(
    st.binary(max_size=60),
    st.builds(
        lambda verb, words: " ".join([verb, *words]).encode("utf-8", "surrogatepass"),
        st.sampled_from([*BY_VERB, "LOGIN", "x"]),
        _words,
    ),
)
_keys = sorted({key for row in TABLE for arg in row.args for key in arg.keys})
json_lines = st.one_of(
    st.binary(max_size=60),
    st.builds(
        lambda verb, arguments, tag: json.dumps({"id": tag, "command": verb, **arguments}).encode(),
        st.one_of(st.sampled_from([*BY_VERB, "LOGIN", "x", "\u0130"]), tags),
        st.dictionaries(st.one_of(st.sampled_from(_keys), st.text(max_size=5)), tags, max_size=4),
        tags,
    ),
    tags.map(lambda tag: json.dumps(tag).encode()),
    tags.map(lambda tag: json.dumps(tag).encode()[:-1]),
)


def read(
    dialect: Dialect, line: bytes
) -> Request | PartialRequest | Confirmation | Prompt | Composition | Unreadable:
    """What the dialect makes of the line. Any other exception is a bug in the dialect."""
    try:
        return dialect.read(line)
    except Unreadable as problem:
        return problem


class Reading(TestCase):
    """Every line is a Request, a Prompt, a Composition, or Unreadable. Nothing else is raised."""

    @given(plain_lines, st.lists(st.binary(max_size=20), min_size=3, max_size=3))
    @example(b"auth messi", [b"\xff", b"", b""])
    @example(b"register messi ", [b" ", b" ", b" "])
    @example(b"password", [b"", b"", b""])
    @example(b"compose messi", [b"\xff", b"", b""])
    @example(b"compose messi", [b"a", b"", b""])
    def test_plain_reads_or_refuses(self, line: bytes, answers: list[bytes]) -> None:
        """The answers to a prompt are read or refused too."""
        dialect = PlainDialect()
        found = read(dialect, line)
        for answer in answers:
            if not isinstance(found, Prompt):
                break
            try:
                found = found.answer(answer)
            except Unreadable as problem:
                found = problem
        if isinstance(found, Composition):
            try:
                found = found.finish(b"\n".join(answers))
            except Unreadable as problem:
                found = problem
        self.assertIsInstance(found, Request | Unreadable)
        if isinstance(found, Unreadable):
            assert_plain_reply(self, dialect.error(found.error, found.tag))

    @given(json_lines)
    @example(b'{"command":"ping","id":' + b"[" * 5000 + b"]" * 5000 + b"}")
    @example(b'{"command":"read","seq":1,"conversation":' + b"1" * 5000 + b"}")
    @example(b'{"command":"read","seq":1,"conversation":1e999}')
    @example(b"\xef\xbb\xbf{}")
    def test_json_reads_or_refuses(self, line: bytes) -> None:
        dialect = JsonDialect()
        found = read(dialect, line)
        self.assertIsInstance(found, Request | Unreadable)
        if isinstance(found, Unreadable):
            assert_json_line(self, dialect.error(found.error, found.tag), "status")

    def test_plain_asks_for_a_password(self) -> None:
        """`register` asks twice, `auth` once, `password` three times. The answers are not shown."""
        word = Secret("surabaya")
        for line, command, times_asked in (
            (b"auth messi", LogIn("messi", word), 1),
            (b"LOGIN messi", LogIn("messi", word), 1),
            (b"register messi", Register("messi", word), 2),
            (b"password", ChangePassword(word, word), 3),
            (b"admin user passwd messi", SetPassword("messi", word), 2),
            (b"admin user add messi role=moderator", AddAccount("messi", word, "moderator"), 2),
        ):
            found: Any = PlainDialect().read(line)
            for _ in range(times_asked):
                self.assertIsInstance(found, Prompt)
                self.assertTrue(found.prompt.startswith(b"\xff\xfb\x01"))
                self.assertTrue(found.after.startswith(b"\xff\xfc\x01"))
                found = found.answer(b"surabaya")
            self.assertEqual(found.command, command)

    def test_every_verb_is_read_without_case(self) -> None:
        for verb, row in BY_VERB.items():
            for written in (verb, verb.upper(), verb.title()):
                for dialect, line in (
                    (PlainDialect(), f"{written} {_example_line(row)}"),
                    (JsonDialect(), json.dumps({"command": written, **_example_names(row)})),
                ):
                    found = read(dialect, line.encode())
                    self.assertIsInstance(found, Request | Composition, line)
                    self.assertIs(getattr(found, "row", None), row)

    @given(tags)
    def test_json_keeps_the_id(self, tag: Any) -> None:
        """A reply repeats the id of the request, of any type."""
        dialect = JsonDialect()
        request = dialect.read(json.dumps({"command": "ping", "id": tag}).encode())
        assert isinstance(request, Request)
        for answer in (
            dialect.reply(request, Reply("pong")),
            dialect.ready(request),
            dialect.error(errors.NotLoggedIn(), request.tag),
        ):
            self.assertEqual(json.loads(answer)["id"], tag)


def _example_line(row: Row) -> str:
    return " ".join(_example(arg) for arg in row.args if not arg.named)


def _example_names(row: Row) -> dict[str, Any]:
    values: dict[type, Any] = {
        NumberType: 7,
        PortType: 7,
        FlagType: True,
        OpaqueType: {"type": "application/example", "body": "aGFsbw=="},
    }
    return {arg.name: values.get(type(arg.type), _example(arg)) for arg in row.args}


def _example(arg: Arg) -> str:
    if isinstance(arg.type, NumberType):
        return "7"
    if isinstance(arg.type, FlagType):
        return "on"
    words = {
        TimeType: "2026-11-20",
        EmojiType: "👍",
        AgeType: "7d",
        BytesType: "5M",
        QuotaType: "5M",
        PathType: "/srv/backups",
        DurationType: "7d",
    }
    first, choice, _ = arg.type.shape.partition("|")
    if choice and type(arg.type) not in words:
        return first
    return words.get(type(arg.type), "messi")


class PlainWriting(TestCase):
    """A reply is a block whose only empty line is its last. Each line of an event begins with `* `."""

    @given(replies)
    def test_replies(self, reply: Reply) -> None:
        lines = assert_plain_reply(self, PlainDialect().reply(PING, reply))
        self.assertEqual(lines[0], "status: OK")
        self.assertEqual(lines[1], f"message: {reply.message}")
        head = 2 + len(reply.fields)
        self.assertEqual(sum(line.startswith("- ") for line in lines[head:]), len(reply.items))
        self.assertFalse(any(line.startswith("  | ") for line in lines[: head + 1]))

    @given(refusals)
    def test_refusals(self, error: ChatError) -> None:
        lines = assert_plain_reply(self, PlainDialect().error(error))
        self.assertEqual(lines[:2], ["status: ERROR", f"code: {error.code}"])
        self.assertEqual(len(lines), 3)

    def test_realms(self) -> None:
        """A peer in one line: its state, its address, who dialled, the queue, the last error."""
        quiet = RealmInfo("realm2", "up", 1000, "in", None, 0, None, None, None)
        busy = RealmInfo(
            "realm3", "down", 0, "out", "10.0.0.3:8890", 7, 61_000, "refused", 3_600_000, 86_400_000
        )
        reply = PlainDialect().reply(PING, Reply("2 realms", items=(quiet, busy)))
        self.assertEqual(
            reply.decode().split("\r\n")[2:4],
            [
                "- realm2 up since 1970-01-01T00:00:01Z, dialled from there, nothing queued",
                (
                    "- realm3 down since 1970-01-01T00:00:00Z, at 10.0.0.3:8890, dialled from here, "
                    "7 queued, the oldest of 1970-01-01T00:01:01Z, last error: refused, "
                    "next try 1970-01-01T01:00:00Z, "
                    "message requests paused until 1970-01-02T00:00:00Z"
                ),
            ],
        )

    def test_messages_exchanged_with_a_replaced_realm(self) -> None:
        """addrealm lists them if another realm had the name before."""
        reply = Reply("realm2 is a peer", items=(Exposure("henderson@realm2", 2, 1),))
        lines = assert_plain_reply(self, PlainDialect().reply(PING, reply))
        self.assertEqual(lines[2:], ["- henderson@realm2: 2 sent, 1 received"])

    def test_ready(self) -> None:
        lines = assert_plain_reply(self, PlainDialect().ready(PING))
        self.assertEqual(lines[0], "status: READY")

    @given(events)
    def test_events(self, event: Event) -> None:
        assume(not isinstance(event, Closing) or not str(event.error).startswith("|"))
        pushed = PlainDialect().events([event])
        self.assertTrue(pushed.endswith(b"\r\n"))
        first, *further = pushed[:-2].split(b"\r\n")
        self.assertRegex(first, rb"\A\* [^|]")
        text = getattr(event, "text", None) or ""
        self.assertEqual(len(further), text.count("\n"))
        for line in further:
            self.assertRegex(line, rb"\A\* \| ")
        self.assertNotIn(b"\n", b"".join((first, *further)))

    def test_the_greeting_is_a_pushed_line(self) -> None:
        self.assertEqual(
            PlainDialect().greeting("realm1", "1.0"), b"* chatd 1.0 at realm1. Type help.\r\n"
        )

    def test_outcomes(self) -> None:
        """A post to a group elsewhere has no number, and of people who are no members no conversation."""
        for place, shown in (
            ((9, 2), "message #2 of conversation 9"),
            ((9, 0), "a message of yours in conversation 9"),
            ((0, 0), "a message of yours"),
        ):
            event = StateChange(*place, 13, "refused", "why")
            self.assertEqual(event_lines(event), f"{shown} is refused: why")

    def test_members(self) -> None:
        """A sentence says what has happened to a member and who did it, if that is another person whom this
        realm knows. There is one for everything that can happen."""
        known = {
            "joined": ("budi joined bola", "ana added budi to bola", "budi joined bola"),
            "left": ("budi left bola",) * 3,
            "invited": (
                "budi is invited to bola",
                "ana invited budi to bola",
                "budi is invited to bola",
            ),
            "kicked": (
                "budi was removed from bola",
                "ana removed budi from bola",
                "budi was removed from bola",
            ),
            "promoted": (
                "budi is an admin of bola",
                "ana made budi an admin of bola",
                "budi is an admin of bola",
            ),
            "demoted": (
                "budi is no longer an admin of bola",
                "ana made budi an ordinary member of bola",
                "budi is no longer an admin of bola",
            ),
            "ended": ("bola has ended",) * 3,
            "moved": (
                "a member has moved and is budi now in bola",
                "ana has moved and is budi now in bola",
                "a member has moved and is budi now in bola",
            ),
        }
        self.assertEqual(set(known), set(HAPPENINGS))
        for what, sentences in known.items():
            for by, sentence in zip(("", "ana", "budi"), sentences, strict=True):
                change = MemberChange(1, "bola", "budi", what, 2, 0, by)
                self.assertEqual(event_lines(change), sentence)
                marked = msgspec.structs.replace(change, unverified=True)
                self.assertEqual(event_lines(marked), f"{sentence} (unverified)")


class JsonWriting(TestCase):
    """All output is one line with one JSON object, `status` or `event` first, without spaces."""

    @given(replies, tags)
    def test_replies(self, reply: Reply, tag: Any) -> None:
        request = msgspec.structs.replace(PING, tag=tag)
        found = assert_json_line(self, JsonDialect().reply(request, reply), "status")
        self.assertEqual(found["status"], "OK")
        self.assertEqual(found["message"], reply.message)
        if tag is not None:
            self.assertEqual(found["id"], tag)
        if reply.items_name:
            self.assertEqual(len(found[reply.items_name]), len(reply.items))

    @given(refusals, tags)
    def test_refusals(self, error: ChatError, tag: Any) -> None:
        found = assert_json_line(self, JsonDialect().error(error, tag), "status")
        self.assertEqual(
            found, {"status": "ERROR", "id": tag, "code": error.code, "message": str(error)}
        )

    @given(tags)
    def test_ready(self, tag: Any) -> None:
        request = msgspec.structs.replace(PING, tag=tag)
        found = assert_json_line(self, JsonDialect().ready(request), "status")
        self.assertEqual((found["status"], found["id"]), ("READY", tag))

    @given(events)
    def test_events(self, event: Event) -> None:
        found = assert_json_line(self, JsonDialect().events([event]), "event")
        self.assertNotIn("status", found)

    @given(messages)
    def test_messages_carry_everything(self, message: Message) -> None:
        """conversation, seq, id, from, to or group, text or file, and at, in lists and in events."""
        dialect = JsonDialect()
        reply = dialect.reply(PING, Reply("1 message", items=(message,), items_name="messages"))
        (found,) = json.loads(reply)["messages"]
        pushed = json.loads(dialect.events([message]))
        self.assertEqual(pushed, {"event": "message", **found})
        place = "to" if message.group is None else "group"
        content = "text" if message.file is None else "file"
        names = {"conversation", "seq", "id", "from", place, content, "at", "state"}
        self.assertEqual(set(found), names)
        self.assertEqual(found["text"] if content == "text" else None, message.text)

    def test_realms(self) -> None:
        """All fields of a peer, with times as elsewhere, and null for missing ones."""
        items = (
            RealmInfo("realm2", "up", 1000, "in", None, 0, None, None, None),
            RealmInfo(
                "realm3", "down", 0, "out", "h:1", 7, 61_000, "refused", 3_600_000, 86_400_000
            ),
        )
        reply = JsonDialect().reply(PING, Reply("", items=items, items_name="realms"))
        self.assertEqual(
            json.loads(reply)["realms"],
            [
                {
                    "realm": "realm2",
                    "state": "up",
                    "since": "1970-01-01T00:00:01Z",
                    "direction": "in",
                    "address": None,
                    "queued": 0,
                    "oldest": None,
                    "error": None,
                    "next_try": None,
                    "paused": None,
                },
                {
                    "realm": "realm3",
                    "state": "down",
                    "since": "1970-01-01T00:00:00Z",
                    "direction": "out",
                    "address": "h:1",
                    "queued": 7,
                    "oldest": "1970-01-01T00:01:01Z",
                    "error": "refused",
                    "next_try": "1970-01-01T01:00:00Z",
                    "paused": "1970-01-02T00:00:00Z",
                },
            ],
        )

    def test_help_is_the_whole_table(self) -> None:
        """Verbs, arguments with types and errors, from the table of commands."""
        reply = Reply("", items=tuple(map(describe, TABLE)), items_name="commands")
        shown = json.loads(JsonDialect().reply(PING, reply))["commands"]
        self.assertEqual([each["command"] for each in shown], [row.verb for row in TABLE])
        codes = {error.code for error in every_error()}
        for row, each in zip(TABLE, shown, strict=True):
            self.assertEqual(each["aliases"], list(row.aliases))
            self.assertEqual(each["login"], row.login)
            self.assertLessEqual(set(each["errors"]), codes)
            self.assertEqual(
                [argument["name"] for argument in each["arguments"]],
                [arg.name for arg in row.args],
            )
            for argument in each["arguments"]:
                self.assertTrue(argument["type"])
                self.assertTrue(argument["about"])


class Sharing(TestCase):
    """Events are written once for all listeners, and never get the bytes of other events."""

    def test_each_dialect_writes_each_batch(self) -> None:
        dialects: list[Callable[[], Dialect]] = [PlainDialect, JsonDialect]
        for make in dialects:
            dialect = make()
            one, two = (SessionEnded("one"),), (SessionEnded("two"),)
            first = dialect.events(one)
            self.assertIs(dialect.events(one), first)
            self.assertIn(b"two", dialect.events(two))
            self.assertEqual(dialect.events(one), first)
            self.assertEqual(dialect.events([*one, *two]), first + dialect.events(two))


def assert_plain_reply(case: TestCase, answer: bytes) -> list[str]:
    """Check the form of a reply. Returns its lines without the empty one at the end."""
    text = answer.decode("utf-8")
    case.assertTrue(text.endswith("\r\n\r\n"), text)
    lines = text[:-4].split("\r\n")
    for line in lines:
        case.assertTrue(line, text)
        case.assertFalse(line.startswith("* "), line)
        case.assertNotIn("\n", line)
        case.assertNotIn("\r", line)
        case.assertRegex(line, r"\A(- |  \| |[a-zA-Z0-9]+: )")
    return lines


def assert_json_line(case: TestCase, answer: bytes, first: str) -> dict[str, Any]:
    """Check the form of the line. Returns its object."""
    case.assertTrue(answer.endswith(b"\r\n"))
    case.assertEqual(answer.count(b"\n"), 1)
    found = json.loads(answer)
    case.assertIsInstance(found, dict)
    case.assertEqual(next(iter(found)), first)
    case.assertTrue(answer.startswith(b'{"%s":"' % first.encode()))
    outside_strings = b"".join(_outside_strings(answer[:-2]))
    case.assertNotIn(b" ", outside_strings)
    return dict(found)


def _outside_strings(line: bytes) -> list[bytes]:
    """The parts of a line of JSON outside strings."""
    parts = line.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
    return parts[::2]
