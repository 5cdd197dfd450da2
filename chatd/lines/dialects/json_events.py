"""Events and entries of logs as objects of the `json` dialect."""

from __future__ import annotations

from typing import Any, assert_never

import msgspec

from chatd.base import events, model
from chatd.base.avatars import avatar_path
from chatd.base.replies import blocked_fields
from chatd.base.timestamps import timestamp
from chatd.lines.dialect import content
from chatd.lines.dialects.json_messages import file_object, message_object

MESSAGE = {"event": "message"}  # how the object of a message begins


def event_object(event: events.Event) -> dict[str, Any]:
    """An event. The entries of a log look the same in `sync`, with `kind` in place of `event`."""
    match event:
        case model.Message():
            return message_object(event, MESSAGE)
        case events.StateChange() | events.FileChange():
            return _outcome(event)
        case (
            events.ReadMoved()
            | events.Typing()
            | events.PresenceChange()
            | events.ProfileChange()
            | events.ConversationChange()
            | events.GroupRescue()
            | events.BlockChange()
            | events.Invitation()
            | events.MessageRequest()
            | events.ImportChange()
        ):
            return _news(event)
        case events.RoomTalk() | events.RoomChange():
            return _in_room(event)
        case events.RoomsChanged():
            return {"event": "rooms"}
        case events.Closing():
            error = event.error
            return {"event": "closing", "code": error.code, "message": str(error)}
        case events.SessionEnded():
            return {"event": "session-ended", "message": event.reason}
        case _:
            return _change(event)


def entry_object(entry: model.Message | events.Change) -> dict[str, Any]:
    """An entry of a log: the object of its event, with `kind` in place of `event`."""
    found = event_object(entry)
    return {"kind": found.pop("event"), **found}


def _outcome(event: events.StateChange | events.FileChange) -> dict[str, Any]:
    """What became of a message or of its file."""
    where = {"conversation": event.conversation, "seq": event.seq or None}
    reason = {} if event.reason is None else {"reason": event.reason}
    code = {} if event.code is None else {"code": event.code}
    match event:
        case events.StateChange():
            return {
                "event": "state",
                **where,
                "id": event.id or None,
                "state": event.state,
                **reason,
                **code,
            }
        case events.FileChange():
            return {"event": "file", **where, "state": event.state, **reason, **code}
        case _:
            assert_never(event)


def _news(
    event: events.ReadMoved
    | events.Typing
    | events.PresenceChange
    | events.ProfileChange
    | events.ConversationChange
    | events.GroupRescue
    | events.BlockChange
    | events.Invitation
    | events.MessageRequest
    | events.ImportChange,
) -> dict[str, Any]:
    """An event about people or conversations. Its fields are written as they are."""
    fields = msgspec.structs.asdict(event)
    given = {name: value for name, value in fields.items() if value is not None}
    match event:
        case events.ReadMoved():
            return {"event": "read", **given}
        case events.Typing():
            return {"event": "typing", **given}
        case events.PresenceChange():
            return {"event": "presence", **given}
        case events.ProfileChange():
            return {"event": "profile", **given}
        case events.ConversationChange():
            chosen = given.pop("preferences", None)
            settings = {} if chosen is None else chosen_fields(chosen, every=True)
            return {"event": "conversation", **given, **settings}
        case events.GroupRescue():
            return {"event": "rescue", **given, "at": timestamp(event.at)}
        case events.BlockChange():
            return {"event": "block", **blocked_fields(event.address), "on": event.on}
        case events.Invitation():
            return {"event": "invitation", **given, "at": timestamp(event.at)}
        case events.MessageRequest():
            return {"event": "request", **given, "at": timestamp(event.at)}
        case events.ImportChange():
            return {"event": "import", **given}
        case _:
            assert_never(event)


def chosen_fields(chosen: model.Preferences, every: bool = False) -> dict[str, Any]:
    """What an account has chosen for a conversation, as far as it differs from the defaults; or `every`
    choice."""
    until = None if chosen.until is None else timestamp(chosen.until)
    found = {"notify": chosen.notify, "until": until, "archived": chosen.archived}
    if every:
        return found
    defaults = model.Preferences()
    return {key: value for key, value in found.items() if value != getattr(defaults, key)}


def _in_room(event: events.RoomTalk | events.RoomChange) -> dict[str, Any]:
    match event:
        case events.RoomTalk():
            return {
                "event": "room",
                "room": event.room,
                "from": event.sender,
                "name": event.display_name,
                "text": content(event),
                "at": timestamp(event.at),
                **({} if event.file is None else {"file": file_object(event.file)}),
            }
        case events.RoomChange():
            return {
                "event": "room-change",
                "room": event.room,
                "who": event.who,
                "name": event.display_name,
                "what": "entered" if event.entered else "left",
            }
        case _:
            assert_never(event)


def _change(change: events.Change) -> dict[str, Any]:
    """An entry that is no message."""
    kind, facts = _kind_and_facts(change)
    found: dict[str, Any] = {"event": kind}
    found |= {"conversation": change.conversation or None, "seq": change.seq or None}
    if change.group is not None:
        found["group"] = change.group
    found |= facts
    if change.unverified:
        found["unverified"] = True
    if change.at:
        found["at"] = timestamp(change.at)
    return found


def _kind_and_facts(change: events.Change) -> tuple[str, dict[str, Any]]:
    """The name of a kind of entry, and what only this kind has."""
    match change:
        case events.Edited():
            about = {"target": change.target, "from": change.by}
            text = {} if change.text is None else {"text": change.text}
            mentions = {"mentions": change.mentions} if change.mentions else {}
            return "edited", {**about, **text, **mentions}
        case events.Deleted():
            return "deleted", {"target": change.target, "from": change.by}
        case events.Reaction():
            about = {"target": change.target, "from": change.by}
            return "reaction", {**about, "emoji": change.emoji, "on": change.on}
        case events.Pinned():
            return "pinned", {"target": change.target, "from": change.by, "on": change.on}
        case events.MemberChange():
            facts = {"who": change.who, "what": change.what, "by": change.by or None}
            removed = {"message": change.sentence} if change.removed else {}
            return "member", facts | removed
        case events.GroupChange():
            return "group", {"by": change.by, **_shown_fields(change)}
        case events.AddressChange():
            return "moved", {"old": change.old, "new": change.new}
        case _:
            assert_never(change)


def _shown_fields(change: events.GroupChange) -> dict[str, Any]:
    """The changed fields of a group. The picture is shown by its path."""
    found = change.fields.get("picture")
    if not isinstance(found, str):
        return change.fields
    return {**change.fields, "picture": avatar_path(f"#{change.group}", found)}
