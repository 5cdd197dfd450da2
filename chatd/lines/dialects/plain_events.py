"""Events and entries of logs as lines of the `plain` dialect."""

from __future__ import annotations

from typing import assert_never

from chatd.base import events, model
from chatd.base.characters import isolated, isolated_lines
from chatd.base.group_settings import SHUT
from chatd.base.timestamps import timestamp
from chatd.lines.dialect import content
from chatd.lines.dialects.plain_messages import FURTHER, PUSHED_FURTHER, message_lines


def event_lines(event: events.Event) -> str:
    """The line of an event, without its mark; several lines for a text of several. Empty for an event that is
    not shown."""
    match event:
        case model.Message():
            return message_lines(event, PUSHED_FURTHER)
        case events.StateChange() | events.FileChange():
            return _outcome(event)
        case (
            events.ReadMoved()
            | events.Typing()
            | events.PresenceChange()
            | events.ProfileChange()
            | events.ConversationChange()
            | events.GroupRescue()
            | events.Invitation()
            | events.MessageRequest()
            | events.ImportChange()
        ):
            return _news(event)
        case events.BlockChange():
            return f"{event.address} is {'blocked' if event.on else 'no longer blocked'}"
        case events.RoomTalk():
            shown = isolated_lines(content(event), PUSHED_FURTHER)
            return f"{timestamp(event.at)} {event.sender} in room {event.room}: {shown}"
        case events.RoomChange():
            return f"{event.who} has {'entered' if event.entered else 'left'} room {event.room}"
        case events.RoomsChanged():
            return "somebody has entered or left a room"
        case events.Closing():
            return str(event.error)
        case events.SessionEnded():
            return event.reason
        case _:
            return _change(event, PUSHED_FURTHER)


def entry_lines(entry: model.Message | events.Change) -> str:
    """The line of an entry of a log, without its mark; several lines for a text of several."""
    return message_lines(entry) if isinstance(entry, model.Message) else _change(entry, FURTHER)


def _outcome(event: events.StateChange | events.FileChange) -> str:
    """What became of a message or of its file."""
    is_message = isinstance(event, events.FileChange) or event.id
    if event.seq:
        kind = "message" if is_message else "entry"
        what = f"{kind} #{event.seq} of conversation {event.conversation}"
    elif event.conversation:
        what = f"a message of yours in conversation {event.conversation}"
    else:
        what = "a message of yours"
    if isinstance(event, events.FileChange):
        what = f"the file of {what}"
    reason = "" if event.reason is None else f": {event.reason}"
    return f"{what} is {event.state}{reason}"


def _news(
    event: events.ReadMoved
    | events.Typing
    | events.PresenceChange
    | events.ProfileChange
    | events.ConversationChange
    | events.GroupRescue
    | events.Invitation
    | events.MessageRequest
    | events.ImportChange,
) -> str:
    """An event about people or conversations."""
    match event:
        case events.ReadMoved():
            return f"{event.who} has read conversation {event.conversation} up to #{event.seq}"
        case events.Typing():
            return f"{event.who} is typing"
        case events.PresenceChange():
            return f"{event.who} is {event.state}"
        case events.ProfileChange():
            status = f": {isolated(event.status)}" if event.status else ""
            return f"{event.who} is now called {isolated(event.name)}{status}"
        case events.ConversationChange(what="new"):
            return ""  # its first message or entry is shown
        case events.ConversationChange(what="moved"):
            return f"{event.group} is the new address of a group that has moved"
        case events.ConversationChange():
            return f"conversation with {event.group or event.user}: {event.what}"
        case events.GroupRescue():
            return _rescue(event)
        case events.Invitation():
            return f"{event.by} invites you to {event.group}: accept #{event.group}"
        case events.MessageRequest():
            return f"{event.user} is not known here, and asks to write to you: accept @{event.user}"
        case events.ImportChange():
            return event.sentence
        case _:
            assert_never(event)


def _rescue(event: events.GroupRescue) -> str:
    if event.state == "pending":
        return f"{event.was} is to go on as {event.to}, if its realm stays lost"
    if event.state == "void":
        return f"{event.was} does not go on as {event.to}: it stays where it is"
    return f"{event.was} has moved; its address is now {event.to}"


def _change(change: events.Change, further: str) -> str:
    """The line of an entry that is no message."""
    place = "" if change.group is None else f" in {change.group}"
    match change:
        case events.Edited():
            text = isolated_lines(change.text or "", further)
            return f"{change.by} edited #{change.target}{place}{_trust(change)}: {text}"
        case events.Deleted():
            return f"{change.by} deleted #{change.target}{place}{_trust(change)}"
        case events.Reaction():
            what = "reacted" if change.on else "no longer reacts"
            done = f"{what} with {change.emoji} to #{change.target}"
            return f"{change.by} {done}{place}{_trust(change)}"
        case events.Pinned():
            done = f"{'pinned' if change.on else 'unpinned'} #{change.target}"
            return f"{change.by} {done}{place}{_trust(change)}"
        case events.MemberChange():
            if change.removed:
                return change.sentence
            return f"{_member(change)}{_trust(change)}"
        case events.GroupChange():
            return _group(change)
        case events.AddressChange():
            return f"{change.old} has moved and is {change.new} now{_trust(change)}"
        case _:
            assert_never(change)


def _group(change: events.GroupChange) -> str:
    """What has become of a group."""
    fields, trust = change.fields, _trust(change)
    if (closed := fields.get("closed")) is not None:
        return f"{change.by} {'closed' if closed else 'opened'} {change.group}{trust}"
    if SHUT in fields:
        return f"{_shut(change, fields[SHUT])}{trust}"
    if "home" in fields:
        return f"{change.group} has moved to {fields['home']}{trust}"
    if "picture" in fields:
        return f"{change.by} changed the picture of {change.group}{trust}"
    facts = ", ".join(f"{key} {value}" for key, value in fields.items())
    return f"{change.by} changed {change.group}{trust}: {isolated(facts)}"


def _shut(change: events.GroupChange, reason: object) -> str:
    """That the operators of its realm have closed a group for everybody, or opened it."""
    if reason is None:
        return f"{change.group} was opened again by the operators of its realm"
    why = f": {isolated(str(reason))}" if reason else ""
    return f"{change.group} was closed by the operators of its realm{why}"


def _member(change: events.MemberChange) -> str:
    """What has happened to a member. The lines name who did it, unless that is not known or is the member."""
    who, group = change.who, change.group
    by = change.by if change.by != who else ""
    match change.what:
        case "joined" if by:
            return f"{by} added {who} to {group}"
        case "invited":
            return f"{by} invited {who} to {group}" if by else f"{who} is invited to {group}"
        case "kicked":
            return f"{by} removed {who} from {group}" if by else f"{who} was removed from {group}"
        case "promoted":
            return f"{by} made {who} an admin of {group}" if by else f"{who} is an admin of {group}"
        case "demoted":
            if by:
                return f"{by} made {who} an ordinary member of {group}"
            return f"{who} is no longer an admin of {group}"
        case "ended":
            return f"{group} has ended"
        case "moved":
            return f"{by or 'a member'} has moved and is {who} now in {group}"
        case _:
            return f"{who} {change.what} {group}"


def _trust(change: events.Change) -> str:
    return " (unverified)" if change.unverified else ""
