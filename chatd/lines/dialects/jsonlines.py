"""`json`, the dialect for programs: one JSON object (RFC 8259) a line, in both directions.

`{"id": <anything>, "command": "<verb>", …arguments by name…}` is answered by
`{"status": "OK"|"ERROR"|"READY", "id": …, "code"?, "message": …, …}`. Events begin with `"event"` and have no
`id` of a request. A request without an id is answered with `"id": null`; only the reply to a command that
sends something then has the message's id there. If the request has an id, the message's is in `message_id`.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any, assert_never

import msgspec

from chatd.base import events, model
from chatd.base.errors import BadEncoding, BadSyntax, ChatError
from chatd.commands.table import BY_VERB
from chatd.commands.words import row_of
from chatd.lines.dialect import Dialect, Prompt, Request, Unreadable, content
from chatd.lines.dialects.json_text import encode as _encode
from chatd.lines.dialects.timestamps import timestamp

_decode = msgspec.json.Decoder().decode
END = b"\r\n"


class JsonDialect(Dialect):
    name = "json"
    waits = False

    def read(self, line: bytes) -> Request | Prompt:
        try:
            request = _decode(line)
        except UnicodeDecodeError:
            raise Unreadable(BadEncoding()) from None
        except (msgspec.DecodeError, RecursionError) as error:
            raise Unreadable(BadSyntax(reason=f"{error}; send one JSON object a line")) from None
        if type(request) is not dict:
            raise Unreadable(BadSyntax(reason="send one JSON object a line"))
        tag = _as_written(request.pop("id", None))
        verb = request.pop("command", None)
        if not isinstance(verb, str):
            raise Unreadable(BadSyntax(reason='"command" has to name a command'), tag)
        try:
            row = BY_VERB.get(verb) or row_of(verb)
            return Request(row, row.from_names(request), tag)
        except ChatError as error:
            raise Unreadable(error, tag) from None

    def reply(self, request: Request, reply: model.Reply) -> bytes:
        tag = request.tag
        answer = {"status": "OK", "id": tag, "message": reply.message, **reply.fields}
        for key, value in reply.data.items():
            if key != "id":
                answer[key] = value
            elif tag is None:
                answer["id"] = value
            else:
                answer["message_id"] = value
        if reply.items_name:
            answer[reply.items_name] = [_item(item) for item in reply.items]
        if reply.pending:
            answer["pending"] = list(map(message_object, reply.pending))
        return _encode(answer) + END

    def ready(self, request: Request) -> bytes:
        sentence = "Send the bytes of the file now"
        return _encode({"status": "READY", "id": request.tag, "message": sentence}) + END

    def error(self, error: ChatError, tag: Any = None) -> bytes:
        answer = {"status": "ERROR", "id": tag, "code": error.code, "message": str(error)}
        return _encode(answer) + END

    def write_event(self, event: events.Event) -> bytes:
        return _encode(event_object(event)) + END


def _as_written(tag: Any) -> Any:
    """An id as it is sent back. Raises Unreadable for one that is nested too deeply to be written."""
    if type(tag) not in (dict, list):
        return tag
    try:
        return msgspec.Raw(_encode(tag))
    except RecursionError:
        reason = "its id is nested too deeply; take a simpler one"
        raise Unreadable(BadSyntax(reason=reason)) from None


def _item(item: model.Item) -> Any:
    """An item of a list. Items without a case are written with their fields as they are."""
    match item:
        case model.Message():
            return message_object(item)
        case model.ConversationInfo():
            return _conversation(item)
        case model.FileInfo():
            return _file_info(item)
        case model.LogEntry():
            return entry_object(item.entry)
        case model.ReaderName():
            return item.username
        case model.RealmInfo():
            return _realm_info(item)
        case model.InvitationInfo():
            return {**_given(item), "at": timestamp(item.at)}
        case _:
            return item


def message_object(message: model.Message) -> dict[str, Any]:
    """A message, in lists and in events."""
    found: dict[str, Any] = {
        "conversation": message.conversation or None,
        "seq": message.seq or None,
        "id": message.id,
        "from": message.sender,
    }
    if message.group is None:
        found["to"] = message.to
    else:
        found["group"] = message.group
    if message.file is not None:
        found["file"] = file_object(message.file)
    elif message.text is not None:
        found["text"] = message.text
    found["at"] = timestamp(message.at)
    found["state"] = message.state
    if message.deleted:
        found["deleted"] = True
    # Most messages have none of these, and building the dict takes longer than the rest.
    if (
        message.reply is not None
        or message.edited is not None
        or message.forwarded is not None
        or message.reason is not None
        or message.opaque is not None
        or message.mentions
        or message.reactions
        or message.pinned
        or message.unverified
    ):
        found |= _rare_fields(message)
    return found


def _rare_fields(message: model.Message) -> dict[str, Any]:
    """What few messages have."""
    opaque, edited = message.opaque, message.edited
    fields = {
        "reason": message.reason,
        "edited": None if edited is None else timestamp(edited),
        "reply": message.reply,
        "forwarded": message.forwarded,
        "mentions": message.mentions,
        "reactions": {each.emoji: each.people for each in message.reactions},
        "reaction_counts": {
            each.emoji: each.count for each in message.reactions if each.count > len(each.people)
        },
        "pinned": message.pinned,
        "unverified": message.unverified,
        "opaque": None if opaque is None else opaque_object(opaque),
    }
    return {name: value for name, value in fields.items() if value}


def opaque_object(opaque: model.Opaque) -> dict[str, str]:
    """Opaque content, its bytes in base64."""
    return {"type": opaque.media, "body": b64encode(opaque.body).decode()}


def file_object(file: model.Attachment) -> dict[str, Any]:
    return {
        "name": file.name,
        "size": file.size,
        "sha256": file.sha256,
        "mime": file.mime,
        "code": file.code,
    }


def _conversation(conversation: model.ConversationInfo) -> dict[str, Any]:
    """A conversation. A direct one has `online`, if that is known; a group has the fields of a group."""
    last = conversation.last
    found: dict[str, Any] = {"conversation": conversation.conversation}
    group = conversation.group
    if group is None:
        found |= {"user": conversation.user, "name": conversation.name}
        if conversation.online is not None:
            found["online"] = conversation.online
    else:
        found |= {"group": group.group, "name": conversation.name, "code": group.code}
        found |= {"members": group.members, "closed": group.closed, "admin": group.admin}
        if group.title is not None:
            found["title"] = group.title
    found |= {
        "unread": conversation.unread,
        "first_unread": conversation.first_unread,
        "read": conversation.read,
        "seq": conversation.seq,
        "last": None if last is None else message_object(last),
    }
    return found


def _file_info(file: model.FileInfo) -> dict[str, Any]:
    return {
        "code": file.code,
        "name": file.name,
        "size": file.size,
        "from": file.sender,
        "at": timestamp(file.at),
    }


def _realm_info(realm: model.RealmInfo) -> dict[str, Any]:
    found = msgspec.structs.asdict(realm)
    for key in ("since", "oldest", "next_try"):
        if found[key] is not None:
            found[key] = timestamp(found[key])
    return found


def event_object(event: events.Event) -> dict[str, Any]:  # noqa: C901 - one case for each kind
    """An event. The entries of a log look the same in `sync`, with `kind` in place of `event`."""
    match event:
        case model.Message():
            return {"event": "message", **message_object(event)}
        case (
            events.Edited()
            | events.Deleted()
            | events.Reaction()
            | events.Pinned()
            | events.MemberChange()
            | events.GroupChange()
        ):
            return {"event": _kind(event), **_change(event)}
        case events.StateChange():
            return {
                "event": "state",
                "conversation": event.conversation,
                "seq": event.seq or None,
                "id": event.id,
                "state": event.state,
                **_refusal(event.reason, event.code),
            }
        case events.FileChange():
            return {
                "event": "file",
                "conversation": event.conversation,
                "seq": event.seq,
                "state": event.state,
                **_refusal(event.reason, None),
            }
        case events.ReadMoved():
            return {
                "event": "read",
                "conversation": event.conversation,
                "seq": event.seq,
                "who": event.who,
            }
        case events.Typing():
            return {"event": "typing", "conversation": event.conversation, "who": event.who}
        case events.PresenceChange():
            return {"event": "presence", "who": event.who, "state": event.state}
        case events.ProfileChange():
            return {
                "event": "profile",
                "who": event.who,
                "name": event.name,
                "country": event.country,
            }
        case events.ConversationChange():
            return {"event": "conversation", **_given(event)}
        case events.Invitation():
            return {"event": "invitation", **_given(event), "at": timestamp(event.at)}
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
        case events.Closing():
            error = event.error
            return {"event": "closing", "code": error.code, "message": str(error)}
        case events.SessionEnded():
            return {"event": "session-ended", "message": event.reason}
        case _:
            assert_never(event)


def entry_object(entry: model.Message | events.Change) -> dict[str, Any]:
    """An entry of a log: the object of its event, with `kind` in place of `event`."""
    found = event_object(entry)
    return {"kind": found.pop("event"), **found}


def _given(event: msgspec.Struct) -> dict[str, Any]:
    """The fields of an event that are not None."""
    return {key: value for key, value in msgspec.structs.asdict(event).items() if value is not None}


def _refusal(reason: str | None, code: str | None) -> dict[str, str]:
    found = {"reason": reason, "code": code}
    return {key: value for key, value in found.items() if value is not None}


def _kind(change: events.Change) -> str:
    """The name of a kind of entry."""
    match change:
        case events.Edited():
            return "edited"
        case events.Deleted():
            return "deleted"
        case events.Reaction():
            return "reaction"
        case events.Pinned():
            return "pinned"
        case events.MemberChange():
            return "member"
        case events.GroupChange():
            return "group"
        case _:
            assert_never(change)


def _change(change: events.Change) -> dict[str, Any]:
    """An entry that is no message."""
    found: dict[str, Any] = {"conversation": change.conversation, "seq": change.seq or None}
    if change.group is not None:
        found["group"] = change.group
    match change:
        case events.Edited():
            found |= {"target": change.target, "from": change.by}
            if change.text is not None:
                found["text"] = change.text
        case events.Deleted():
            found |= {"target": change.target, "from": change.by}
        case events.Reaction():
            found |= {"target": change.target, "from": change.by}
            found |= {"emoji": change.emoji, "on": change.on}
        case events.Pinned():
            found |= {"target": change.target, "from": change.by, "on": change.on}
        case events.MemberChange():
            found |= {"who": change.who, "what": change.what, "by": change.by or None}
            if change.removed:
                found["message"] = change.sentence
        case events.GroupChange():
            found |= {"by": change.by, **change.fields}
        case _:
            assert_never(change)
    if change.at:
        found["at"] = timestamp(change.at)
    return found
