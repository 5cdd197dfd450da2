"""Items of lists as lines of the `plain` dialect."""

from __future__ import annotations

from typing import assert_never

from chatd.base import model
from chatd.base.characters import isolated, isolated_lines
from chatd.base.realms import Exposure, RealmInfo
from chatd.base.timestamps import timestamp
from chatd.lines.dialect import content
from chatd.lines.dialects.plain_events import entry_lines
from chatd.lines.dialects.plain_messages import FURTHER, message_lines


def item_lines(item: model.Item) -> str:  # noqa: C901 - one case for each kind
    """The line of one item of a list, without its mark; several lines for a text of several."""
    match item:
        case model.Message():
            return message_lines(item)
        case model.UserInfo() | model.Contact() | model.Member() | model.Ban() | model.ReaderName():
            return _person(item)
        case model.GroupInfo():
            return _group(item)
        case model.InvitationInfo():
            return _invitation(item)
        case model.BlockInfo():
            return f"{item.address} since {timestamp(item.at)}"
        case model.SessionInfo():
            return _session(item)
        case model.ReportInfo():
            return _report(item)
        case model.UnreadCount():
            place = f"in {item.group}" if item.group is not None else f"from {item.user}"
            return f"{item.unread} {place}"
        case model.ConversationInfo():
            return _conversation(item)
        case model.RoomInfo():
            return f"{item.room}: {', '.join(item.users)}"
        case RealmInfo():
            return _realm(item)
        case model.FileInfo():
            file = f"file {item.name} ({item.size} bytes) code {item.code}"
            return f"{timestamp(item.at)} {item.sender}: {file}"
        case model.CommandInfo():
            also = f" (also {', '.join(item.aliases)})" if item.aliases else ""
            return f"{item.usage}: {item.about}{also}"
        case model.LogEntry():
            return entry_lines(item.entry)
        case model.SyncedLog():
            return f"conversation {item.conversation} up to #{item.seq}"
        case Exposure():
            return f"{item.conversation}: {item.sent} sent, {item.received} received"
        case _:
            assert_never(item)


def _invitation(item: model.InvitationInfo) -> str:
    title = f" ({isolated(item.title)})" if item.title else ""
    return f"{timestamp(item.at)} {item.by} invites you to {item.group}{title}"


def _person(
    item: model.UserInfo | model.Contact | model.Member | model.Ban | model.ReaderName,
) -> str:
    match item:
        case model.UserInfo():
            country = f", {item.country}" if item.country else ""
            status = f": {isolated(item.status)}" if item.status else ""
            state = _online(item.online, item.away)
            return f"{item.username} ({item.name}{country}) {state}{status}"
        case model.Contact():
            return f"{item.username} {_online(item.online, item.away)}"
        case model.Member():
            return f"{item.username}{' (admin)' if item.admin else ''} {_online(item.online)}"
        case model.Ban() | model.ReaderName():
            return item.username
        case _:
            assert_never(item)


def _online(online: bool, away: bool = False) -> str:
    return "away" if away else "online" if online else "offline"


def _report(report: model.ReportInfo) -> str:
    head = f"{report.report} {timestamp(report.at)} {report.by}: {isolated(report.reason)}"
    message = report.message
    if message is None:
        return head
    place = f"conversation {message.conversation} #{message.seq}"
    return f"{head}; {place}: {message_lines(message)}"


def _session(session: model.SessionInfo) -> str:
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
    return ", ".join(facts)
