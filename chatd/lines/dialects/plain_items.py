"""Items of lists as lines of the `plain` dialect."""

from __future__ import annotations

from typing import TypeAlias, assert_never

from chatd.base import model, replies
from chatd.base.characters import isolated, isolated_lines
from chatd.base.realms import Exposure, RealmInfo
from chatd.base.records import AdminRecord, record_fields
from chatd.base.timestamps import timestamp
from chatd.lines.dialect import content
from chatd.lines.dialects.plain_events import entry_lines
from chatd.lines.dialects.plain_messages import FURTHER, message_lines

_Person: TypeAlias = (
    replies.UserInfo | replies.Contact | replies.Member | replies.Ban | replies.ReaderName
)
# Items with few fields
_Short: TypeAlias = (
    replies.FormerGroup
    | replies.BlockInfo
    | replies.UnreadCount
    | replies.RoomInfo
    | replies.SyncedLog
    | Exposure
)

# What a move is, before its address
_MOVES = {"moved": "moved to", "moving": "moves to", "takes": "takes the place of"}


def item_lines(item: replies.Item) -> str:  # noqa: C901 - one case for each kind
    """The line of one item of a list, without its mark; several lines for a text of several."""
    if isinstance(item, _Person):
        return _person(item)
    match item:
        case model.Message():
            return message_lines(item)
        case replies.GroupInfo():
            return _group(item)
        case replies.InvitationInfo():
            return _invitation(item)
        case replies.RequestInfo():
            return _request(item)
        case replies.MoveInfo():
            return _move(item)
        case replies.SessionInfo():
            return _session(item)
        case replies.ReportInfo():
            return _report(item)
        case replies.ConversationInfo():
            return _conversation(item)
        case RealmInfo():
            return _realm(item)
        case replies.FileInfo():
            return _file(item)
        case replies.CommandInfo():
            return _command(item)
        case replies.LogEntry():
            return entry_lines(item.entry)
        case AdminRecord():
            return _record(item)
        case _:
            return _short(item)


def _short(item: _Short) -> str:
    match item:
        case replies.FormerGroup():
            title = f" ({isolated(item.title)})" if item.title else ""
            code = f" code {item.code}" if item.code else ""
            return f"{item.group}{title}{code}, {item.visibility}"
        case replies.BlockInfo():
            return f"{item.address} since {timestamp(item.at)}"
        case replies.UnreadCount():
            place = f"in {item.group}" if item.group is not None else f"from {item.user}"
            return f"{item.unread} {place}"
        case replies.RoomInfo():
            return f"{item.room}: {', '.join(item.users)}"
        case replies.SyncedLog():
            return f"conversation {item.conversation} up to #{item.seq}"
        case Exposure():
            return f"{item.conversation}: {item.sent} sent, {item.received} received"
        case _:
            assert_never(item)


def _move(item: replies.MoveInfo) -> str:
    if item.what == "claims":
        return f"{item.address} says that they were {item.old}, {timestamp(item.at)}"
    return f"{_MOVES[item.what]} {item.address}, {timestamp(item.at)}"


def _record(record: AdminRecord) -> str:
    first, *others = record_fields(record).items()
    facts = (name if value is True else f"{name} {_shown(value)}" for name, value in others)
    return ", ".join((f"{_shown(first[1])}", *facts))


def _shown(value: object) -> str:
    return isolated_lines(value, FURTHER) if isinstance(value, str) else str(value)


def _file(item: replies.FileInfo) -> str:
    file = f"file {item.name} ({item.size} bytes) code {item.code}"
    return f"{timestamp(item.at)} {item.sender}: {file}"


def _command(item: replies.CommandInfo) -> str:
    also = f" (also {', '.join(item.aliases)})" if item.aliases else ""
    return f"{item.usage}: {item.about}{also}"


def _request(item: replies.RequestInfo) -> str:
    text = isolated_lines(item.text or "", FURTHER)
    return f"{timestamp(item.at)} {item.user} asks to write to you: {text}"


def _invitation(item: replies.InvitationInfo) -> str:
    title = f" ({isolated(item.title)})" if item.title else ""
    return f"{timestamp(item.at)} {item.by} invites you to {item.group}{title}"


def _person(item: _Person) -> str:
    match item:
        case replies.UserInfo():
            country = f", {item.country}" if item.country else ""
            status = f": {isolated(item.status)}" if item.status else ""
            state = _online(item.online, item.away)
            return f"{item.username} ({item.name}{country}) {state}{status}"
        case replies.Contact():
            return f"{item.username} {_online(item.online, item.away)}"
        case replies.Member():
            return f"{item.username}{' (admin)' if item.admin else ''} {_online(item.online)}"
        case replies.Ban() | replies.ReaderName():
            return item.username
        case _:
            assert_never(item)


def _online(online: bool, away: bool = False) -> str:
    return "away" if away else "online" if online else "offline"


def _report(report: replies.ReportInfo) -> str:
    head = f"{report.report} {timestamp(report.at)} {report.by}: {isolated(report.reason)}"
    message = report.message
    if message is None:
        return head
    place = f"conversation {message.conversation} #{message.seq}"
    return f"{head}; {place}: {message_lines(message)}"


def _session(session: replies.SessionInfo) -> str:
    facts = [f"{session.session} {isolated(session.client) or 'unknown client'}"]
    if session.address:
        facts[0] += f" from {session.address}"
    facts.append(f"created {timestamp(session.created)}")
    facts.append(f"last used {timestamp(session.used)}")
    if session.online:
        facts.append("online")
    if session.current:
        facts.append("this one")
    return ", ".join(facts)


def _group(group: replies.GroupInfo) -> str:
    people = "1 member" if group.members == 1 else f"{group.members} members"
    if "@" in group.group:
        people += " here"  # only the group's home knows how many there are in all
    marks = [
        *(["closed"] if group.closed else []),
        *([] if group.shut is None else [_shut(group.shut)]),
        *(["you are an admin"] if group.admin else ["you are in it"] if group.member else []),
    ]
    title = f" ({group.title})" if group.title else ""
    code = f" code {group.code}" if group.code else ""
    return ", ".join([f"{group.group}{title}{code}, {people}", *marks])


def _shut(reason: str) -> str:
    return "closed by the operators of its realm" + (f": {isolated(reason)}" if reason else "")


def _conversation(conversation: replies.ConversationInfo) -> str:
    if conversation.group is not None:
        facts = [_group(conversation.group)]
    elif conversation.name == conversation.user:
        facts = [conversation.name]
    else:
        facts = [f"{conversation.user} ({conversation.name})"]
    if conversation.rescue is not None:
        facts.append(f"to go on as {conversation.rescue} if its realm stays lost")
    if conversation.online is not None:
        facts[0] += f" {_online(conversation.online, conversation.away)}"
    chosen = conversation.preferences
    if chosen.notify != "all":
        until = "" if chosen.until is None else f" until {timestamp(chosen.until)}"
        facts.append(f"notify {chosen.notify}{until}")
    if chosen.archived:
        facts.append("archived")
    if conversation.unread:
        facts.append(f"{conversation.unread} unread")
    if conversation.last is not None:
        last = conversation.last
        facts.append(
            f"last {timestamp(last.at)} {last.sender}: {isolated_lines(content(last), FURTHER)}"
        )
    return ", ".join(facts)


def _realm(realm: RealmInfo) -> str:
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
    if realm.paused is not None:
        facts.append(f"message requests paused until {timestamp(realm.paused)}")
    return ", ".join(facts)
