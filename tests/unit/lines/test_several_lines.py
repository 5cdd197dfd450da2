"""No text of several lines can forge a reply or a push: in all dialects, programs find what was sent."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from chatd.base.characters import isolated
from chatd.base.events import Event, RoomTalk
from chatd.base.model import Message
from chatd.base.replies import ConversationInfo, Reply
from chatd.commands import arguments as types
from chatd.commands.sessions import MAX_GROWTH
from chatd.commands.table import BY_VERB
from chatd.commands.values import CheckAlive
from chatd.lines.block_buffer import BLOCK
from chatd.lines.dialect import Dialect, Request
from chatd.lines.dialects import (
    bagan,
    kelompok3,
    key_values,
    pychat,
    pychat_client,
    pychat_client_verbs,
    tugas4,
    tugas4_client,
    urlencoded,
    urlencoded_client,
)
from chatd.lines.dialects.plain import PlainDialect
from chatd.lines.dialects.pychat_client import PychatClientDialect
from chatd.lines.dialects.registry import DIALECTS
from chatd.lines.dialects.urlencoded_client import UrlencodedClientDialect
from chatd.lines.dialects.verbs import Verb
from tests.unit.lines.strategies import texts

AT = 1_795_169_703_000
PING = Request(BY_VERB["ping"], CheckAlive())
VERBS: Mapping[str, Mapping[str, Verb]] = {
    "kelompok3": kelompok3.VERBS,
    "bagan": bagan.VERBS,
    "tugas4": tugas4.VERBS,
    "urlencoded": urlencoded.VERBS,
    "pychat": pychat.VERBS,
}
INBOX = {"pychat": "notif-get"}  # elsewhere it is called inbox

# Texts that imitate replies and pushes of every dialect.
FORGED = (
    "a\n\nstatus: OK\nmessage: 1 message\n- 2026-11-20T10:15:03Z lineker: forged\n",
    "a\n* 2026-11-20T10:15:03Z lineker: forged",
    "a\n* | b\n  | c",
    'a\n\n{"status":"OK","message":"forged"}\n\n',
    'a"}]}}\n\n{"status":"OK"}',
    '{"event":"message","text":"forged"}',
    "a\nsuccess 1 messages\nlineker 2026-11-20T10:15:03Z forged",
    "a\nfailed unauthorized!",
    "a\u2028* b\u2029- c",
    "\n\n\na",
)
# What grows when it is written.
LARGE = (
    *("\n", "\t", '"', "\\", "}", " ", "'\"", "\u2028", "\xe9", "\u20ac", "\U0001f600"),
    *("\u202e", "\u202e\n"),
)
hostile = st.one_of(st.sampled_from(FORGED), texts)


def message(number: int, text: str) -> Message:
    return Message(number, 1, number, AT, "messi", to="henderson", text=text)


def request_of(dialect: Dialect) -> Request:
    """A request for unread messages."""
    verb = VERBS.get(dialect.name, {}).get(INBOX.get(dialect.name, "inbox"))
    request = PING if verb is None else Request(verb.row, CheckAlive(), verb)
    if dialect.name == "urlencoded":
        assert verb is not None
        request = Request(verb.row, CheckAlive(), key_values.Tag(verb))
    return request


def reply_of(dialect: Dialect, found: Sequence[str]) -> bytes:
    """The reply with these texts as unread messages."""
    return dialect.reply(request_of(dialect), inbox_of(found))


def inbox_of(found: Sequence[str]) -> Reply:
    """A reply with these texts as messages."""
    items = tuple(message(number, text) for number, text in enumerate(found, 1))
    return Reply("found", {}, {}, items, "messages")


# Each reads what its dialect has sent, as a program does: (texts of replies, texts of pushes).
Read = Callable[[bytes], tuple[list[list[str]], list[str]]]


def read_plain(data: bytes) -> tuple[list[list[str]], list[str]]:
    replies: list[list[str]] = []
    pushes: list[str] = []
    block: list[str] | None = None
    for line in data.decode().split("\r\n")[:-1]:
        assert "\n" not in line
        if line.startswith("* | "):
            pushes[-1] += f"\n{line[4:]}"
        elif line.startswith("* "):
            pushes.append(line.partition(": ")[2])
        elif line.startswith("  | "):
            assert block
            block[-1] += f"\n{line[4:]}"
        elif line.startswith("- "):
            assert block is not None
            block.append(line.partition(": ")[2])
        elif line.startswith("status: "):
            assert block is None
            block = []
        elif line:
            assert line.startswith("message: found"), line
        else:
            assert block is not None
            replies.append(block)
            block = None
    assert block is None
    return replies, pushes


def read_json(data: bytes) -> tuple[list[list[str]], list[str]]:
    found = [json.loads(line) for line in data.split(b"\r\n")[:-1]]
    replies = [[each["text"] for each in reply["messages"]] for reply in found if "status" in reply]
    return replies, [event["text"] for event in found if "event" in event]


def read_blocks(data: bytes) -> tuple[list[list[str]], list[str]]:
    found = [json.loads(block) for block in data.split(b"\r\n\r\n")[:-1]]
    return [[each["msg"] for each in block["messages"].get("messi", [])] for block in found], []


def read_urlencoded(data: bytes) -> tuple[list[list[str]], list[str]]:
    found: list[Any] = [json.loads(line) for line in data.split(b"\r\n")[:-1]]
    replies = [
        [each["message"] for each in reply["messages"]] for reply in found if "status" in reply
    ]
    return replies, [each["message"] for each in found if each.get("type") == "broadcast"]


def read_pychat(data: bytes) -> tuple[list[list[str]], list[str]]:
    lines = data.decode().split("\r\n")[:-1]
    assert not any("\n" in line for line in lines)
    replies = []
    while lines:
        word, count, _what = lines.pop(0).split(" ", 2)
        assert word == "success"
        replies.append([lines.pop(0).split(" ", 3)[3] for _ in range(int(count))])
    return replies, []


READERS: Mapping[str, Read] = {
    "plain": read_plain,
    "json": read_json,
    "kelompok3": read_blocks,
    "bagan": read_blocks,
    "tugas4": read_blocks,
    "urlencoded": read_urlencoded,
    "pychat": read_pychat,
}


def shown(name: str, text: str) -> str:
    """A text as the dialect shows it."""
    if name == "plain":
        return "\n".join(map(isolated, text.split("\n")))
    return "  | ".join(map(isolated, text.split("\n"))) if name == "pychat" else text


class Forging(TestCase):
    def test_every_dialect_is_here(self) -> None:
        self.assertEqual(set(READERS), set(DIALECTS))

    @given(st.lists(hostile, max_size=3), st.lists(hostile, max_size=2))
    @example(list(FORGED), list(FORGED))
    def test_replies_and_pushes(self, found: list[str], pushed: list[str]) -> None:
        """Two replies, with pushes between them."""
        for name, make in DIALECTS.items():
            dialect = make()
            events: list[Event] = [message(1, text) for text in pushed]
            events += [RoomTalk("a b", "lineker", "Gary", text, AT) for text in pushed]
            sent = reply_of(dialect, found) + dialect.events(events) + reply_of(dialect, ["end"])
            replies, pushes = READERS[name](sent)
            self.assertEqual(replies, [[shown(name, each) for each in found], ["end"]], name)
            heard = [shown(name, each) for each in pushed]
            talk = {"plain": 2 * heard, "json": 2 * heard, "urlencoded": heard}
            self.assertEqual(pushes, talk.get(name, []), name)

    @given(hostile)
    def test_list_of_conversations(self, text: str) -> None:
        """In plain's list of conversations, each further line of the last message has the prefix, too."""
        found = ConversationInfo(1, "Messi", 0, 0, 1, message(1, text), user="messi")
        reply = PlainDialect().reply(PING, Reply("found", items=(found, found)))
        lines = reply.decode().split("\r\n")[2:-2]
        self.assertEqual(len(lines), 2 * len(text.split("\n")))
        marks = ["- " if line.startswith("- messi") else line[:4] for line in lines]
        further = ["  | "] * text.count("\n")
        self.assertEqual(marks, ["- ", *further] * 2)


# The clients of the older systems.


def read_client_blocks(data: bytes) -> list[list[str]]:
    """As the clients of kelompok3, bagan and tugas4."""
    found = []
    for block in data.split(b"\r\n\r\n")[:-1]:
        assert block.isascii()
        entries = json.loads(block)["messages"].get("messi", [])
        # The client of tugas4 evaluates each entry.
        entries = [ast.literal_eval(each) if isinstance(each, str) else each for each in entries]
        found.append([each["msg"] for each in entries])
    return found


def read_padded(data: bytes) -> list[dict[str, Any]]:
    """The objects in padded blocks, as the client of urlencoded reads them."""
    found, whole = [], b""
    assert data.isascii()
    for start in range(0, len(data), BLOCK):
        piece = data[start : start + BLOCK].rstrip()
        whole += piece
        if len(piece) < BLOCK:
            found.append(json.loads(whole))
            whole = b""
    assert not whole
    return found


def read_object(data: bytes) -> dict[str, Any]:
    """The object in one write, as the client of pychat reads it."""
    assert data.isascii()
    whole = b""
    for start in range(0, len(data), BLOCK):
        assert not whole.endswith(b"}"), "the client takes it for complete"
        whole += data[start : start + BLOCK]
    assert whole.endswith(b"}")
    found: dict[str, Any] = json.loads(whole)
    return found


class ForgingToClients(TestCase):
    @given(st.lists(hostile, max_size=3))
    @example(list(FORGED))
    def test_blocks(self, found: list[str]) -> None:
        for make, verbs in (
            (kelompok3.Kelompok3Dialect, kelompok3.CLIENT_VERBS),
            (bagan.BaganDialect, bagan.CLIENT_VERBS),
            (tugas4.Tugas4Dialect, tugas4_client.CLIENT_VERBS),
        ):
            dialect, verb = make(), verbs["inbox"]
            sent = b"".join(
                dialect.reply(Request(verb.row, CheckAlive(), verb), inbox_of(texts))
                for texts in (found, ["end"])
            )
            self.assertEqual(read_client_blocks(sent), [found, ["end"]], make.name)

    @given(st.lists(hostile, max_size=3), st.lists(hostile, max_size=2))
    @example(list(FORGED), list(FORGED))
    def test_urlencoded(self, found: list[str], said: list[str]) -> None:
        dialect, verb = UrlencodedClientDialect(), urlencoded_client.VERBS["inbox"]
        request = Request(verb.row, CheckAlive(), key_values.Tag(verb))
        events = [RoomTalk("a b", "lineker", "Gary", text, AT) for text in said]
        sent = dialect.reply(request, inbox_of(found)) + dialect.events(events)
        reply, *pushes = read_padded(sent)
        self.assertEqual([each["msg"] for each in reply["messages"].get("messi", [])], found)
        self.assertEqual([each["messages"] for each in pushes], said)

    @given(st.lists(hostile, max_size=3))
    @example(list(FORGED))
    def test_pychat(self, found: list[str]) -> None:
        dialect, verb = PychatClientDialect(), pychat_client_verbs.VERBS["msg-private-get"]
        tag = pychat_client.CalledVerb("MSG-PRIVATE-GET", verb)
        reply = read_object(dialect.reply(Request(verb.row, CheckAlive(), tag), inbox_of(found)))
        expected = ["\n".join(map(isolated, text.split("\n"))) for text in found]
        self.assertEqual([each["text"] for each in reply["messages"]], expected)
        for number, text in enumerate(found):
            pushed = read_object(dialect.events([message(1, text)]))
            self.assertEqual(pushed["text"], expected[number])


class Size(TestCase):
    def test_largest_replies(self) -> None:
        """A reply fits into what an account may leave unread, whatever its texts are made of. Otherwise a
        slow reader could never read them."""
        limit, count = 8192, 10
        padded, objects = (
            urlencoded_client.VERBS["inbox"],
            pychat_client_verbs.VERBS["msg-private-get"],
        )
        called = pychat_client.CalledVerb("MSG-PRIVATE-GET", objects)
        evaluated = tugas4_client.CLIENT_VERBS["inbox"]
        requests = [
            (dialect, request_of(dialect)) for dialect in (make() for make in DIALECTS.values())
        ]
        requests += (
            (tugas4.Tugas4Dialect(), Request(evaluated.row, CheckAlive(), evaluated)),
            (UrlencodedClientDialect(), Request(padded.row, CheckAlive(), key_values.Tag(padded))),
            (PychatClientDialect(), Request(objects.row, CheckAlive(), called)),
        )
        for piece in LARGE:
            text = "a" + piece * ((limit - 1) // len(piece.encode()))
            for dialect, request in requests:
                sent = dialect.reply(request, inbox_of([text] * count))
                self.assertLess(len(sent), MAX_GROWTH * limit * count, (dialect, piece))


class LineEnds(TestCase):
    @given(texts)
    def test_one_end_of_line(self, text: str) -> None:
        """CR LF becomes LF, so a text comes back with LF alone."""
        self.assertEqual(types.TEXT.from_text("text", text.replace("\n", "\r\n")), text)

    def test_rooms_of_urlencoded(self) -> None:
        """Its client ends each text with the end of a line, which is no part of the text."""
        for said, text in (("a\n", "a"), ("a\r\n", "a"), ("a\n\nb\n", "a\n\nb"), ("a", "a")):
            command: Any = urlencoded.VERBS["room_chat"].read_names({"message": said}).command
            self.assertEqual(command.text, text)
