"""`python -m chatd.app.reference` prints docs/protocol.md.

It is made from the table of commands, the errors, and the model's values as the dialects write them. With the
argument `metrics` it prints the table of metrics for docs/operating.md.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

import msgspec

from chatd.base import model as m
from chatd.base.config import Limits
from chatd.base.errors import ShuttingDown, every_error
from chatd.commands.table import BY_VERB, COMMON_ERRORS, TABLE, describe
from chatd.commands.values import CheckAlive
from chatd.lines.dialect import Request
from chatd.lines.dialects.jsonlines import JsonDialect
from chatd.lines.dialects.plain import PlainDialect, item_line
from chatd.service.reading import MAX_PAGE
from chatd.web.metrics import FAMILIES

# What the browser's door answers: the request, and what it does.
HTTP = (
    (
        "`GET /session`",
        (
            "what the realm is (`realm`, `registration`, `min_password`, `limits`), and who is "
            "logged in (`account`, or null)"
        ),
    ),
    (
        "`POST /session`",
        "log in: a JSON object with `username` and `password`",
    ),
    (
        "`POST /accounts`",
        "register and log in: `username`, `password`, and if wanted `name` and `country`",
    ),
    (
        "`DELETE /session`",
        "log out; with `?everywhere=true` all sessions of the account",
    ),
    (
        "`GET /ws`",
        (
            "a WebSocket: the objects of `json`, one a text frame, both ways. The session is the "
            "request's. Without one, log in within half a minute. Closed with 4401 if the session "
            "has ended"
        ),
    ),
    (
        "`PUT /uploads/<key>?to=…&filename=…&size=…`",
        (
            "send a file to people (`to=a,b`) or to a group (`group=…`): the bytes from `Upload-Offset` "
            "on. The key is the sender's own name for it, 1 to 64 letters, digits, `-` and "
            "`_`. When all bytes are there it is sent, and the answer is that of `sendfile`; the "
            "same key again gets the same answer"
        ),
    ),
    (
        "`HEAD /uploads/<key>`",
        "how much of it is here: `Upload-Offset`",
    ),
    (
        "`DELETE /uploads/<key>`",
        "give it up",
    ),
    (
        "`GET /files/<code>`",
        "fetch a file; ranges, `ETag` by SHA-256; with `?inline` pictures are shown, in a sandbox",
    ),
    (
        "`GET /healthz`",
        "whether the realm can do its work, and why not",
    ),
    (
        "`GET /livez`",
        "whether the process answers",
    ),
)

HEAD = """\
<!-- Made by `make docs` from the daemon's own tables; do not edit. -->

# The protocol

A realm speaks two dialects of its own, which offer the same: `plain` (telnet, port 8889) and `json`
(programs, port 8888). It also speaks those of five older systems, which offer parts of it: dialects.md.

## Common to both

- A request is one line of UTF-8, ended by LF or CRLF. Replies end in CRLF. Empty lines are ignored.
- A connection that begins with a request of HTTP, a TLS handshake, or a line that is too long gets one error
  and is closed. Nothing that follows is carried out.
- Each request has one reply, and they come in order. OK to a message or a file means that it is on disk.
- Commands and names are compared without case. Times are RFC 3339, in UTC, and sizes are in bytes.
- A login opens a *session*, which has a token. The session outlives its connection: `resume` goes on with
  it and `logout` ends it. One that is not used expires.
- `inbox` gives the oldest unread messages. They become read with the next command on the session, with
  `logout`, or when the connection is closed cleanly. If the connection is lost, they are given again.
- A message or file that is sent with a `key` (by name: in json) is sent once. Whoever lost the connection
  before the reply may send it again with the same key, to the same conversation, within seven days: if it
  was sent, nothing happens, and the reply says where it stands. For a file, OK then comes in place of READY.
- After `listen`, messages are pushed as they are stored, between replies. They stay unread.
- **Sending a file**: say its size. READY means: send exactly that many raw bytes; then one more reply
  comes. After an ERROR no bytes are expected, and what you send is read as requests.
- **Fetching a file**: the reply says its size, and exactly that many raw bytes follow the reply.

## plain

The server begins: `* chatd <version> at <realm>. Type help.` Every line that is pushed begins with `* `,
and no line of a reply does. A request is `command argument …`, with single spaces between. A last argument
that is a text, a room, a list of users or a file's code takes the rest of the line. In the name and country
of `register` and `profile`, `_` stands for a space. `auth` and `register` with a name alone, and `password`
alone, ask for the passwords, unseen. A slash before the command is ignored: `/help` is `help`.

Telnet (RFC 854): a client that sends any telnet command is offered BINARY (RFC 856) in both directions, so
that text arrives whole; one that sends none is sent none, except ECHO (RFC 857) while a password is typed.
IP, BRK, EL and ABORT drop the half-typed line, EC its last character. AYT is answered by a line, DO
TIMING-MARK (RFC 860) by WONT TIMING-MARK, in order with the replies. Other options are refused.

A reply is a block of `key: value` lines, ended by an empty line: first `status: OK`, `status: ERROR` or
`status: READY`, then `code:` if it is an error, then `message:`, a sentence, and what else there is to
know. Each item of a list is a line that begins with `- `. A file's bytes come after the empty line.

## json

A request is one JSON object on a line, `{"id":1,"command":"send","to":"messi","text":"halo"}`, with the
arguments by name. `id` may be anything, and the reply repeats it. A reply begins with `status` (`OK`,
`ERROR` or `READY`) and `id`; then come `code` if it is an error, `message`, a sentence, and what else there
is to know. An object that begins with `event` was pushed. A file's bytes come after the line's end.

The reply to a message or file has `conversation`, `seq` and `message_id` (under `id` if the request had
none); sent to a list, it has `sent`, a list of these, and `unknown`, the names that nobody has. One's own
messages to another realm have `"queued": true` while they wait for it.
With `"peek": true`, `inbox` makes nothing read; with `"before"`, a seq, `history` gives what is older; with
`"everywhere": true`, `logout` ends all sessions of the account.
"""
WEB = """\
## Over HTTP and WebSocket

The browser's door (port 8550) speaks HTTP/1.1. Answers are JSON objects as above, without an `id`, with a
fitting HTTP status. Who asks is told by the cookie that logging in sets, or by
`Authorization: Bearer <token>`. What changes something must not come from another site's page (`Origin`).
`Host` names the realm, `localhost`, an IP address or one of `[web] hosts`; any other is refused (421). A
WebSocket is pinged every 30 s, and closed if nothing comes until the next ping.
"""
AT = 1_795_169_703_000
FILE = m.Attachment(1, "v4jgxn", "plan.txt", 21, "97201e35…", "text/plain", "", AT)
TEXT = m.Message(7, 2, 3, AT, "henderson", "messi", None, "halo, selamat malam")
POST = m.Message(8, 5, 1, AT, "lineker", None, "bagan", file=FILE)
BAGAN = m.GroupInfo("bagan", "k3x:9qa", 3, False, True, True)
DIRECT = m.ConversationInfo(2, "Jordan Henderson", 2, 1, 3, TEXT, user="henderson", online=True)
GROUP = m.ConversationInfo(5, "bagan", 0, 1, 1, POST, group=BAGAN)
ITEMS: tuple[tuple[str, str, msgspec.Struct], ...] = (
    ("messages", "inbox, history, search: a direct message", TEXT),
    ("messages", "the same: a file, in a group", POST),
    ("users", "users, info", m.UserInfo("messi", "Lionel Messi", "Argentina", True)),
    ("contacts", "contacts", m.Contact("lineker", False)),
    ("conversations", "unread", m.UnreadCount(2, 4, user="henderson")),
    ("conversations", "conversations: a direct one", DIRECT),
    ("conversations", "the same: a group", GROUP),
    ("groups", "groups, mygroups", BAGAN),
    ("members", "members", m.Member("messi", True, True)),
    ("files", "files", m.FileInfo("v4jgxn", "plan.txt", 21, "lineker", AT)),
    ("rooms", "rooms", m.RoomInfo("12345 67890", ("henderson", "messi"))),
    ("commands", "help", describe(BY_VERB["ping"])),
)
EVENTS: tuple[tuple[str, m.Event], ...] = (
    ("a message arrived (after `listen`)", TEXT),
    ("a file arrived in a group (after `listen`)", POST),
    ("talk in your room", m.RoomTalk("12345 67890", "messi", "Lionel Messi", "vamos", AT)),
    ("an admin has removed you from a group", m.MemberChange(7, "bola", "lineker")),
    ("the session has ended elsewhere", m.SessionEnded("The password was changed; log in again")),
    ("the connection is being closed", m.Closing(ShuttingDown())),
)


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    cells = [[str(cell).replace("|", "\\|") for cell in row] for row in rows]
    return "".join(f"| {' | '.join(row)} |\n" for row in (head, ["---"] * len(head), *cells))


def code(*texts: object) -> str:
    return ", ".join(f"`{text}`" for text in texts)


def in_json(name: str, item: msgspec.Struct) -> str:
    reply = m.Reply("", items=(item,), items_name=name)
    line = JsonDialect().reply(Request(BY_VERB["ping"], CheckAlive()), reply)
    return msgspec.json.encode(msgspec.json.decode(line)[name][0]).decode()


def reference() -> str:
    """All of docs/protocol.md."""
    dialects = (PlainDialect(), JsonDialect())
    verbs = [
        (
            code(row.verb, *row.aliases),
            code(row.usage),
            "; ".join(" or ".join(map(code, arg.keys)) for arg in row.args),
            row.help,
            "yes" if row.login else "no",
            code(*(error.code for error in row.errors)),
        )
        for row in TABLE
    ]
    types = dict.fromkeys(arg.type for row in TABLE for arg in row.args)
    kinds = [(code(each.shape), each.about, each.json) for each in types]
    items = [(code(n), of, code(f"- {item_line(it)}"), code(in_json(n, it))) for n, of, it in ITEMS]
    events = [
        (when, *(code(dialect.write_event(event).decode().rstrip()) for dialect in dialects))
        for when, event in EVENTS
    ]
    codes = []
    for error in every_error():
        users = code(*(row.verb for row in TABLE if error in row.errors))
        where = "any" if error in COMMON_ERRORS else users or "where it applies"
        codes.append((code(error.code), code(error.sentence), where))
    limits = [
        (key, "depends on the disk" if value is None else value)
        for key, value in msgspec.structs.asdict(Limits()).items()
    ]
    parts = (
        HEAD,
        WEB,
        table(("request", "what it does"), HTTP),
        "## Commands\n\n*errors*: the command's own, besides those that any may meet.\n",
        table(("command", "in plain", "in json", "what it does", "login", "errors"), verbs),
        "## Arguments\n",
        table(("as usage shows it", "what it is", "in json"), kinds),
        f"## Lists\n\nAt most {MAX_PAGE} messages a reply; `remaining` says how many more there are.\n",
        table(("name in json", "in the reply to", "in plain", "in json"), items),
        f"A place in `sent`: {code(msgspec.json.encode(m.Receipt(2, 3, 7, 'messi')).decode())}.\n",
        "## Events\n",
        table(("when", "in plain", "in json"), events),
        "## Errors\n\nCodes are stable; sentences may change. What stands in braces is filled in.\n",
        table(("code", "sentence", "of commands"), codes),
        "## Limits\n\nDefaults, in bytes and seconds; etc/chatd.ini says what each means.\n",
        table(("`[limits]`", "default"), limits),
    )
    return "\n".join(parts)


def metrics() -> str:
    """The table of metrics in docs/operating.md."""
    rows = [
        (code(family.name), family.kind, code(*family.labels), family.help) for family in FAMILIES
    ]
    return table(("name", "type", "labels", "what it is"), rows)


if __name__ == "__main__":
    sys.stdout.write(metrics() if sys.argv[1:] == ["metrics"] else reference())
