"""`python -m chatd.app.reference` prints docs/protocol.md.

It is made from the table of commands, the errors, and some values of replies as the dialects write them. With
the argument `metrics` it prints the table of metrics for docs/operating/monitoring.md.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

import msgspec

from chatd.app.reference_examples import ALL_EVENTS, EVENTS, ITEMS, SENT
from chatd.base import events
from chatd.base.config import Limits
from chatd.base.errors import every_error
from chatd.base.replies import Item, Reply
from chatd.commands.table import BY_VERB, COMMON_ERRORS, TABLE
from chatd.commands.values import CheckAlive
from chatd.lines.dialect import Request
from chatd.lines.dialects.jsonlines import JsonDialect
from chatd.lines.dialects.plain import PlainDialect
from chatd.lines.dialects.plain_items import item_lines
from chatd.service.reading import MAX_PAGE
from chatd.web.metric_families import FAMILIES

# The requests of the browser's door, and what each does.
HTTP = (
    (
        "`GET /session`",
        (
            "describes the realm (`realm`, `registration`, `min_password`, `limits`) and the account that "
            "is logged in (`account`, or null)"
        ),
    ),
    ("`POST /session`", "logs in: a JSON object with `username` and `password`"),
    (
        "`POST /accounts`",
        (
            "registers and logs in: `username`, `password`, and optionally `name`, `country` and the code of "
            "an invitation as `invite`"
        ),
    ),
    (
        "`POST /reset`",
        (
            "changes a password with the token of a link that an operator has made: `token`, which works "
            "once, and `password`. All sessions of the account end"
        ),
    ),
    ("`DELETE /session`", "logs out; with `?everywhere=true`, ends all sessions of the account"),
    (
        "`GET /ws`",
        (
            "opens a WebSocket for the objects of `json`, one in each text frame, in both directions. It "
            "uses the session of the request; without one, log in within 30 s. If that session has ended, "
            "it is closed with 4401. If the session ends later, the event `session-ended` says so"
        ),
    ),
    (
        "`PUT /uploads/<key>?to=…&filename=…&size=…`",
        (
            "sends a file to people (`to=a,b`) or to a group (`group=…`): the bytes from `Upload-Offset` "
            "on. The sender chooses the key, 1 to 64 letters, digits, `-` and `_`. When all bytes have "
            "arrived, the file is sent, and the answer is that of `sendfile`. The same key again gets the "
            "same answer"
        ),
    ),
    (
        "`HEAD /uploads/<key>?…`",
        "with the same query, returns in `Upload-Offset` how many bytes have arrived",
    ),
    ("`DELETE /uploads/<key>`", "cancels an upload"),
    (
        "`GET /export`",
        "everything that the account has here, as a ZIP archive",
    ),
    (
        "`GET /files/<code>`",
        (
            "fetches a file, with ranges, and its SHA-256 as `ETag`; with `?inline`, pictures are shown, in "
            "a sandbox; with `?room`, one of the room that the session is in"
        ),
    ),
    (
        "`GET /join/<code>`",
        "the page of a join link; it is the same for every code, and asks before it joins",
    ),
    (
        "`POST /join/<code>`",
        "joins the group with that code, as `joingroup`; `<code>@<realm>` joins a group of another realm",
    ),
    (
        "`GET /pictures/@<user>`, `GET /pictures/%23<group>`",
        "fetches a picture, a square WebP of at most 256 pixels; lists have the path",
    ),
    (
        "`PUT /pictures/…`",
        "makes your own picture, or a group's, of the file in the body (up to 16 MiB); `DELETE` removes it",
    ),
    (
        "`GET /thumbnails/<code>`",
        "fetches a small WebP (at most 480 pixels wide and high) of a picture, if you may fetch the file",
    ),
    (
        "`PUT /import`",
        "imports the archive in the body, as `import`; `GET` and `DELETE` are `imported` and `cancelimport`",
    ),
    ("`GET /healthz`", "tells whether the realm can do its work, and if not, why"),
    ("`GET /livez`", "answers while the process runs"),
)

HEAD = """\
<!-- Made by `make docs` from the daemon's own tables; do not edit. -->

# The protocol

A realm speaks two dialects with the same commands: `plain` for people (telnet, port 8889) and `json` for
programs (port 8888). It also speaks the dialects of five older systems, which have some of the commands:
[dialects.md](dialects.md).

## Common to both

- A request is one line of UTF-8, ended by LF or CRLF. Replies end in CRLF. Empty lines are ignored.
- A connection that begins with an HTTP request, a TLS handshake, or a line that is too long gets one error
  and is closed. Nothing after it is carried out.
- Each request has one reply. Replies come in the order of the requests. OK to a message or file means that
  it is on disk.
- Commands and names are compared without case. Times are RFC 3339, in UTC. Sizes are in bytes.
- A login opens a *session*, which has a token. The session outlives its connection: `resume` continues it,
  and `logout` ends it. A session that is not used expires.
- `inbox` gives the oldest unread messages. They become read with the next command on the session, with
  `logout`, or when the client closes the connection cleanly. If the connection is lost, they are given again.
- A message or file with a `key` (an argument by name, in json) is sent once. If the connection is lost before
  the reply, send it again with the same key to the same conversation, within seven days. If it was sent
  already, nothing is sent, and the reply is that of the first time. For a file, this OK replaces READY.
- After `listen`, new messages are pushed between replies. They stay unread.
- **To send a file**, give its size. After READY send exactly this many raw bytes, and a second reply follows.
  After an ERROR no bytes are expected: further input is read as requests.
- **To fetch a file**, read its size in the reply. Exactly this many raw bytes follow the reply.
- **Pictures** (JPEG, PNG, WebP, GIF, HEIC, AVIF) lose location data and other metadata, such as EXIF and XMP,
  before they are stored; TIFF and raw files of cameras lose location data, XMP and IPTC. The picture itself
  stays the same. Then the reply has the SHA-256 of the stored file, in json also
  that of the bytes that you sent (`received_sha256`). In json, a picture has its `width` and `height`,
  and its `thumbnail`: a path over HTTP.

## plain

The server begins with `* chatd <version> at <realm>. Type help.` Pushed lines begin with `* `, and no line
of a reply does. A request is `command argument …`, separated by single spaces. A last argument that is a
text, a room, a list of users or a file's code takes the rest of the line. In the name and country of
`register` and `profile`, `_` stands for a space. `auth` and `register` with only a name, and `password`
without arguments, ask for the passwords and do not show them. A slash before the command is ignored:
`/help` is `help`.

Telnet (RFC 854): a client that sends a telnet command is offered BINARY (RFC 856) in both directions, so
that all text arrives intact. Other clients get no telnet commands, except ECHO (RFC 857) while a password
is typed. While a client sends BINARY, the server answers each of its lines with CR first, because the
terminal of such a client does not return to the first column by itself. IP, BRK, EL and ABORT drop the
half-typed line, and EC drops its last character. AYT is answered with a line, and DO TIMING-MARK (RFC 860)
with WONT TIMING-MARK, in order with the replies. Other options are refused.

A reply is a block of `key: value` lines, ended by an empty line. First comes `status: OK`, `status: ERROR`
or `status: READY`, then `code:` for an error, then `message:` with a sentence, then other fields. Items of
a list are lines that begin with `- `. The bytes of a file follow the empty line.

## json

A request is one JSON object on a line, with the arguments by name:
`{"id":1,"command":"send","to":"messi","text":"halo"}`. `id` may be any value, and the reply repeats it. A
reply begins with `status` (`OK`, `ERROR` or `READY`) and `id`. Then come `code` for an error, `message`
with a sentence, and other fields. An object that begins with `event` was pushed. The bytes of a file follow
the end of the line.

The reply to a message or file has `conversation`, `seq`, `at`, `state` and `message_id`; if the request had
no `id`, the reply has the message's id as `id` instead. The reply to a list of recipients has them in
`sent`, and names without an account in `unknown`. `state` is `stored`, or for a message to another realm
`queued`, `delivered` or `refused` (with a `reason`). With `"wait": true`, the reply to a message for another
realm comes once that realm has answered, or after 5 s. With `"peek": true`, `inbox` leaves messages unread.
With `"before"` (a seq), `history` gives older messages. With `"everywhere": true`, `logout` ends all sessions
of the account.

A message has `deleted` (true) once its content is gone, and if it has been changed or has more than a text:
`edited` (a time), `reply` (a seq), `forwarded` (the author), `mentions`, `reactions` (addresses by emoji),
`reaction_counts` (where more people reacted than are named), `pinned`, `opaque`. `imported`: it is from an
archive, and its signature could not be checked; in a direct, its `seq` is negative. `unverified`, also of
a change: the realm does not know the key with which it is signed. Its `file` has a `state` while the bytes
are `arriving` from another realm, or if they are `lost`; then `reason` says why, and `lost` has the code.

Each conversation is one log. Its entries are messages and changes, and are numbered by `seq`. `sync` with
`conversation` and `after` gives the entries after a seq, in order: each is the object of its event, with
`kind` in place of `event`. `seq` is the end of the log, and `more` says whether to ask again. What has
changed without an entry since `version` (that of the last reply) is in `states`, `files` and `marks`.
`pending` has your messages that the group's home has not numbered yet. `reset`: the log has lost entries;
drop what is after this seq. `missing`: entries above the seq `after` in it and up to `upto` are still to come
from another realm, and may not be among these; read them with `history` before you count on them, or `sync`
from there later. `sync` without arguments lists where each conversation ends.

`send` and `sendgroup` take `opaque` in place of `text`, for content that the server does not read, such as
an encrypted message: `"opaque":{"type":"application/example","body":"aGFsbw=="}`. Clients that can't show
it show that there is an encrypted message. It is not searched and can't be edited.
"""
WEB = """\
## Over HTTP and WebSocket

The browser's door (port 8550) speaks HTTP/1.1. Answers are JSON objects as above, without `id`, with a
suitable HTTP status. The session is in the cookie that a login sets, or in `Authorization: Bearer <token>`.
Requests that change something are refused from pages of other sites (`Origin`). `Host` must be the realm's
name, `localhost`, an IP address or one of `[web] hosts`; others are refused (421). WebSockets are pinged
every 30 s and closed if nothing arrives before the next ping.
"""
COMMANDS = """\
## Commands

*errors* has the command's own ones; those of every command are under Errors. Where a role stands under
*login*, the account needs it, and an operator may do what a moderator may. What these commands change stands
in the audit log. In plain, their verbs have spaces in place of the dots, and optional arguments are words
such as `limit=5`.
"""
ALSO = """After `listen` with `all` come these, too. `seq` is the number of the entry that the event
announces, or that it is about (`state`, `file`, `read`), and `target` that of the message that was changed.
"""


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown."""
    cells = [[str(cell).replace("|", "\\|") for cell in row] for row in rows]
    return "".join(f"| {' | '.join(row)} |\n" for row in (head, ["---"] * len(head), *cells))


def code(*texts: object) -> str:
    return ", ".join(f"`{text}`" for text in texts)


def in_json(name: str, item: Item) -> str:
    """An item of a list, as a reply in the json dialect has it."""
    reply = Reply("", items=(item,), items_name=name)
    line = JsonDialect().reply(Request(BY_VERB["ping"], CheckAlive()), reply)
    return msgspec.json.encode(msgspec.json.decode(line)[name][0]).decode()


def _commands() -> str:
    rows = (
        (
            code(row.verb, *row.aliases),
            code(row.usage),
            "; ".join(" or ".join(map(code, arg.keys)) for arg in row.args),
            row.help,
            row.role or ("yes" if row.login else "no"),
            code(*(error.code for error in row.errors)),
        )
        for row in TABLE
    )
    return table(("command", "in plain", "in json", "what it does", "login", "errors"), rows)


def _arguments() -> str:
    types = dict.fromkeys(arg.type for row in TABLE for arg in row.args)
    rows = ((code(each.shape), each.about, each.json) for each in types)
    return table(("in usage", "meaning", "in json"), rows)


def _lists() -> str:
    rows = (
        (code(name), commands, code(f"- {item_lines(item)}"), code(in_json(name, item)))
        for name, commands, item in ITEMS
    )
    return table(("name in json", "in the reply to", "in plain", "in json"), rows)


def _events(shown: Sequence[tuple[str, events.Event]]) -> str:
    dialects = (PlainDialect(), JsonDialect())
    written = (
        (when, [dialect.write_event(event).decode().rstrip() for dialect in dialects])
        for when, event in shown
    )
    rows = (
        (when, *(code(line) if line else "not shown" for line in lines)) for when, lines in written
    )
    return table(("when", "in plain", "in json"), rows)


def _errors() -> str:
    rows = []
    for error in every_error():
        users = code(*(row.verb for row in TABLE if error in row.errors))
        where = "any" if error in COMMON_ERRORS else users or "where it applies"
        rows.append((code(error.code), code(error.sentence), where))
    return table(("code", "sentence", "of commands"), rows)


def _limits() -> str:
    rows = (
        (key, "depends on the disk" if value is None else value)
        for key, value in msgspec.structs.asdict(Limits()).items()
    )
    return table(("`[limits]`", "default"), rows)


def reference() -> str:
    """All of docs/protocol.md."""
    parts = (
        HEAD,
        WEB,
        table(("request", "what it does"), HTTP),
        COMMANDS,
        _commands(),
        "## Arguments\n",
        _arguments(),
        f"## Lists\n\nA reply has at most {MAX_PAGE} messages; `remaining` is the number of the others.\n",
        "`sync` without `conversation` lists as many; if it says `more`, ask again `after` the last one.\n",
        "Only groups with a title have `title`, private ones `visibility`, those with a picture `picture`.\n",
        "Groups that the operators of their realm have closed have `shut`: the reason, or an empty text.\n",
        "A group with `rescue` gets that address if its realm stays lost.\n",
        _lists(),
        f"A place in `sent`: {code(msgspec.json.encode(SENT['sent'][0]).decode())}.\n",
        "## Events\n",
        _events(EVENTS),
        ALSO,
        _events(ALL_EVENTS),
        "## Errors\n\nCodes are stable; sentences may change. Values replace the names in braces.\n",
        _errors(),
        "## Limits\n\nDefaults, in bytes and seconds; etc/chatd.ini explains them.\n",
        _limits(),
    )
    return "\n".join(parts)


def metrics() -> str:
    """The table of metrics in docs/operating/monitoring.md."""
    rows = [
        (code(family.name), family.kind, code(*family.labels), family.help) for family in FAMILIES
    ]
    return table(("name", "type", "labels", "what it is"), rows)


if __name__ == "__main__":
    sys.stdout.write(metrics() if sys.argv[1:] == ["metrics"] else reference())
