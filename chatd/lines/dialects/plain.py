"""`plain`, the dialect for people: all of chatd, in lines that they type and read with telnet.

A request is a line, `verb argument …`. A reply is a block of `key: value` lines that ends in an empty line;
its first line is `status: OK`, `ERROR` or `READY`. List items begin with `- `, events with `* `. Each further
line of a text begins with `  | `, in an event with `* | `, so no text can be taken for anything else.
"""

from __future__ import annotations

from typing import Any, assert_never

from chatd.base import events, model
from chatd.base.characters import isolated, isolated_lines
from chatd.base.errors import ChatError, PasswordMismatch
from chatd.commands import arguments as types
from chatd.commands.rows import Row
from chatd.commands.table import BY_VERB
from chatd.commands.values import ChangePassword, Command, ComposeMessage, LogIn, Register
from chatd.commands.words import row_of
from chatd.lines.dialect import (
    Composition,
    Dialect,
    Prompt,
    Request,
    Unreadable,
    content,
    decode,
)
from chatd.lines.dialects.timestamps import timestamp
from chatd.lines.telnet import HIDE, SHOW

FURTHER = "\r\n  | "  # before each further line of a text
PUSHED_FURTHER = "\r\n* | "

# Missing arguments for which the user gets a prompt. The answer is not shown while it is typed. If there are
# two prompts for one argument, both answers must be the same.
Prompts = tuple[tuple[str, bytes], ...]
PASSWORD = ("password", b"Password: ")
PROMPTS: dict[type[Command], Prompts] = {
    LogIn: (PASSWORD,),
    Register: (PASSWORD, ("password", b"Password again: ")),
    ChangePassword: (
        ("old", b"Old password: "),
        ("new", b"New password: "),
        ("new", b"New password again: "),
    ),
}


class PlainDialect(Dialect):
    name = "plain"
    hint = "telnet {host} {port}"
    telnet = True
    here = b"* Yes, chatd is here.\r\n"

    def greeting(self, realm: str, version: str) -> bytes:
        return f"* chatd {version} at {realm}. Type help.\r\n".encode()

    def read(self, line: bytes) -> Request | Prompt | Composition:
        """A slash before the verb, as in IRC, is ignored."""
        verb, _, rest = decode(line).lstrip(" ").partition(" ")
        row = BY_VERB.get(verb)
        if row is None:
            try:
                row = row_of(verb.removeprefix("/"))
            except ChatError as error:
                raise Unreadable(error) from None
        prompts = PROMPTS.get(row.command)
        if prompts is None:
            return _compose(row, rest) if row.command is ComposeMessage else _request(row, rest)
        asked = {name for name, _ in prompts}
        shown = [arg.name for arg in row.args if arg.name not in asked and not arg.optional]
        words = [word for word in rest.split(" ") if word]
        if len(words) != len(shown):
            return _request(row, rest)
        return _ask(row, dict(zip(shown, words, strict=True)), prompts)

    def reply(self, request: Request, reply: model.Reply) -> bytes:
        lines = ["status: OK", f"message: {reply.message}"]
        for key, value in reply.fields.items():
            shown = {True: "yes", False: "no"}[value] if isinstance(value, bool) else value
            lines.append(f"{key}: {shown}")
        for item in (*reply.items, *reply.pending):
            lines.append(f"- {self.number(item)}{item_lines(item)}")
        return _block(lines)

    def ready(self, request: Request) -> bytes:
        return _ready("Send the bytes of the file now")

    def error(self, error: ChatError, tag: Any = None) -> bytes:
        return _block(["status: ERROR", f"code: {error.code}", f"message: {error}"])

    def write_event(self, event: events.Event) -> bytes:
        return f"* {self.number(event)}{event_lines(event)}\r\n".encode()

    def number(self, _item: object) -> str:
        """What stands before an item or an event: nothing."""
        return ""


class NumberedPlainDialect(PlainDialect):
    """`plain` after `verbose on`: each message has its number in its conversation before it."""

    def number(self, item: object) -> str:
        return f"#{item.seq} " if isinstance(item, model.Message) and item.seq else ""


PlainDialect.numbered = NumberedPlainDialect()


def _block(lines: list[str]) -> bytes:
    lines += ("", "")
    return "\r\n".join(lines).encode()


def _ready(message: str) -> bytes:
    return _block(["status: READY", f"message: {message}"])


def _request(row: Row, rest: str) -> Request:
    try:
        return Request(row, row.from_words(rest))
    except ChatError as error:
        raise Unreadable(error) from None


def _ask(row: Row, given: dict[str, str], prompts: Prompts) -> Prompt:
    """Ask for the first missing argument besides `given`."""
    (name, prompt), *others = prompts

    def answer(line: bytes) -> Request | Prompt:
        typed = decode(line)
        if given.get(name, typed) != typed:
            raise Unreadable(PasswordMismatch())
        found = {**given, name: typed}
        if others:
            return _ask(row, found, tuple(others))
        try:
            return Request(row, row.from_names(found))
        except ChatError as error:
            raise Unreadable(error) from None

    return Prompt(row, HIDE + prompt, SHOW + b"\r\n", answer)


def _compose(row: Row, rest: str) -> Composition:
    """Ask for the text. Whether the place exists is checked after it, because a client that does not wait
    for this answer has sent the text already."""
    words = [word for word in rest.split(" ") if word]
    if len(words) != 1:
        raise Unreadable(row.wrong("Too many arguments" if words else "place is missing"))
    try:
        place = row.args[0].type.from_text("place", words[0])
    except ChatError as error:
        raise Unreadable(error) from None

    def finish(text: bytes) -> Request:
        try:
            checked = types.TEXT.from_text("text", decode(text))
        except ChatError as error:
            raise Unreadable(error) from None
        return Request(row, ComposeMessage(place, checked))

    return Composition(row, _ready("Write the text, and a dot alone after its last line"), finish)


def message_lines(message: model.Message, further: str = FURTHER) -> str:
    place = "" if message.group is None else f" in {message.group}"
    before = f"{timestamp(message.at)} {message.sender}{place}{_marks(message)}"
    if message.deleted:
        return before
    text = content(message)
    shown = isolated(text) if "\n" not in text else isolated_lines(text, further)
    return f"{before}: {shown}"


def _marks(message: model.Message) -> str:
    """What few messages have, in brackets before the text, where no text can pretend to be it."""
    marks = ["deleted"] if message.deleted else []
    if not message.seq:
        marks.append(f"id {message.id}")
    if message.edited is not None:
        marks.append("edited")
    if message.forwarded is not None:
        marks.append(f"forwarded from {message.forwarded}")
    if message.reply is not None:
        marks.append(f"reply to #{message.reply}")
    if message.pinned:
        marks.append("pinned")
    if message.unverified:
        marks.append("unverified")
    if message.state in (model.QUEUED, model.REFUSED):
        marks.append(message.state if message.reason is None else f"refused: {message.reason}")
    marks.extend(f"{each.emoji} {each.count}" for each in message.reactions)
    return f" ({', '.join(marks)})" if marks else ""


def item_lines(item: model.Item) -> str:  # noqa: C901 - one case for each kind
    """The line of one item of a list, without its mark; several lines for a text of several."""
    match item:
        case model.Message():
            return message_lines(item)
        case model.UserInfo():
            country = f", {item.country}" if item.country else ""
            return f"{item.username} ({item.name}{country}) {_online(item.online)}"
        case model.Contact():
            return f"{item.username} {_online(item.online)}"
        case model.GroupInfo():
            return _group(item)
        case model.Member():
            return f"{item.username}{' (admin)' if item.admin else ''} {_online(item.online)}"
        case model.Ban() | model.ReaderName():
            return item.username
        case model.InvitationInfo():
            title = f" ({isolated(item.title)})" if item.title else ""
            return f"{timestamp(item.at)} {item.by} invites you to {item.group}{title}"
        case model.UnreadCount():
            place = f"in {item.group}" if item.group is not None else f"from {item.user}"
            return f"{item.unread} {place}"
        case model.ConversationInfo():
            return _conversation(item)
        case model.RoomInfo():
            return f"{item.room}: {', '.join(item.users)}"
        case model.RealmInfo():
            return _realm(item)
        case model.FileInfo():
            file = f"file {item.name} ({item.size} bytes) code {item.code}"
            return f"{timestamp(item.at)} {item.sender}: {file}"
        case model.CommandInfo():
            also = f" (also {', '.join(item.aliases)})" if item.aliases else ""
            return f"{item.usage}: {item.about}{also}"
        case model.LogEntry():
            entry = item.entry
            if isinstance(entry, model.Message):
                return message_lines(entry)
            return change_lines(entry, FURTHER)
        case model.SyncedLog():
            return f"conversation {item.conversation} up to #{item.seq}"
        case model.Exposure():
            return f"{item.conversation}: {item.sent} sent, {item.received} received"
        case _:
            assert_never(item)


def _online(online: bool) -> str:
    return "online" if online else "offline"


def _group(group: model.GroupInfo) -> str:
    people = "1 member" if group.members == 1 else f"{group.members} members"
    if "@" in group.group:
        people += " here"  # only the group's home knows how many there are in all
    marks = [
        *(["closed"] if group.closed else []),
        *(["you are an admin"] if group.admin else ["you are in it"] if group.member else []),
    ]
    title = f" ({group.title})" if group.title else ""
    code = f" code {group.code}" if group.code else ""
    return ", ".join([f"{group.group}{title}{code}, {people}", *marks])


def _conversation(conversation: model.ConversationInfo) -> str:
    if conversation.group is not None:
        facts = [_group(conversation.group)]
    elif conversation.name == conversation.user:
        facts = [conversation.name]
    else:
        facts = [f"{conversation.user} ({conversation.name})"]
    if conversation.online is not None:
        facts[0] += f" {_online(conversation.online)}"
    if conversation.unread:
        facts.append(f"{conversation.unread} unread")
    if conversation.last is not None:
        last = conversation.last
        facts.append(
            f"last {timestamp(last.at)} {last.sender}: {isolated_lines(content(last), FURTHER)}"
        )
    return ", ".join(facts)


def _realm(realm: model.RealmInfo) -> str:
    facts = [f"{realm.realm} {realm.state} since {timestamp(realm.since)}"]
    if realm.address is not None:
        facts.append(f"at {realm.address}")
    if realm.direction is not None:
        facts.append({"out": "dialled from here", "in": "dialled from there"}[realm.direction])
    if realm.oldest is not None:
        facts.append(f"{realm.queued} queued, the oldest of {timestamp(realm.oldest)}")
    else:
        facts.append("nothing queued")
    if realm.error is not None:
        facts.append(f"last error: {realm.error}")
    if realm.next_try is not None:
        facts.append(f"next try {timestamp(realm.next_try)}")
    return ", ".join(facts)


def event_lines(event: events.Event) -> str:  # noqa: C901 - one case for each kind
    """The line of an event, without its mark; several lines for a text of several."""
    match event:
        case model.Message():
            return message_lines(event, PUSHED_FURTHER)
        case events.RoomTalk():
            shown = isolated_lines(content(event), PUSHED_FURTHER)
            return f"{timestamp(event.at)} {event.sender} in room {event.room}: {shown}"
        case events.RoomChange():
            return f"{event.who} has {'entered' if event.entered else 'left'} room {event.room}"
        case (
            events.Edited()
            | events.Deleted()
            | events.Reaction()
            | events.Pinned()
            | events.MemberChange()
            | events.GroupChange()
        ):
            return change_lines(event, PUSHED_FURTHER)
        case events.StateChange():
            reason = "" if event.reason is None else f": {event.reason}"
            return f"message {_numbered(event)} is {event.state}{reason}"
        case events.FileChange():
            reason = "" if event.reason is None else f": {event.reason}"
            return f"the file of message {_numbered(event)} is {event.state}{reason}"
        case events.ReadMoved():
            return f"{event.who} has read conversation {event.conversation} up to #{event.seq}"
        case events.Typing():
            return f"{event.who} is typing"
        case events.PresenceChange():
            return f"{event.who} is {event.state}"
        case events.ProfileChange():
            return f"{event.who} is now called {isolated(event.name)}"
        case events.ConversationChange():
            return f"conversation with {event.group or event.user}: {event.what}"
        case events.Invitation():
            return f"{event.by} invites you to {event.group}: accept #{event.group}"
        case events.Closing():
            return str(event.error)
        case events.SessionEnded():
            return event.reason
        case _:
            assert_never(event)


def _numbered(event: events.StateChange | events.FileChange) -> str:
    return f"#{event.seq} of conversation {event.conversation}"


def change_lines(change: events.Change, further: str = FURTHER) -> str:
    """The line of an entry that is no message."""
    place = "" if change.group is None else f" in {change.group}"
    match change:
        case events.Edited():
            text = isolated_lines(change.text or "", further)
            return f"{change.by} edited #{change.target}{place}: {text}"
        case events.Deleted():
            return f"{change.by} deleted #{change.target}{place}"
        case events.Reaction():
            what = "reacted" if change.on else "no longer reacts"
            return f"{change.by} {what} with {change.emoji} to #{change.target}{place}"
        case events.Pinned():
            return f"{change.by} {'pinned' if change.on else 'unpinned'} #{change.target}{place}"
        case events.MemberChange():
            if change.removed:
                return change.sentence
            by = f" by {change.by}" if change.by not in ("", change.who) else ""
            return f"{change.who} {change.what}{by}{place}"
        case events.GroupChange():
            facts = ", ".join(f"{key} {value}" for key, value in change.fields.items())
            return f"{change.by} changed {change.group}: {isolated(facts)}"
        case _:
            assert_never(change)
