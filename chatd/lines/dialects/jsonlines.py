"""`json`, the dialect for programs: one JSON object (RFC 8259) a line, in both directions.

`{"id": <anything>, "command": "<verb>", …arguments by name…}` is answered by
`{"status": "OK"|"ERROR"|"READY", "id": …, "code"?, "message": …, …}`. Events begin with `"event"` and have no
`id` of a request. A request without an id is answered with `"id": null`; only the reply to a command that
sends something then has the message's id there. If the request has an id, the message's is in `message_id`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from chatd.base import events, model, replies
from chatd.base.errors import BadEncoding, BadSyntax, ChatError
from chatd.base.group_settings import SHUT
from chatd.base.realms import RealmInfo
from chatd.base.records import AdminRecord, record_fields
from chatd.base.timestamps import timestamp
from chatd.commands.table import BY_VERB
from chatd.commands.words import row_of
from chatd.lines.dialect import Dialect, Prompt, Request, Unreadable
from chatd.lines.dialects.json_events import MESSAGE, chosen_fields, entry_object, event_object
from chatd.lines.dialects.json_messages import message_object
from chatd.lines.dialects.json_text import encode as _encode

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

    def reply(self, request: Request, reply: replies.Reply) -> bytes:
        tag = request.tag
        data = reply.data
        if tag is not None and "id" in data:
            data = {"message_id" if key == "id" else key: data[key] for key in data}
        answer = {"status": "OK", "id": tag, "message": reply.message, **reply.fields, **data}
        if reply.items_name:
            answer[reply.items_name] = [_record_or_item(item) for item in reply.items]
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
        if type(event) is model.Message:  # as `event_object`, with fewer calls
            return _encode(message_object(event, MESSAGE)) + END
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


def _record_or_item(item: replies.Item) -> Any:
    return record_fields(item) if isinstance(item, AdminRecord) else _item(item)


def _item(item: replies.Item) -> Any:
    """An item of a list. Items without a case are written with their fields as they are."""
    match item:
        case model.Message():
            return message_object(item)
        case replies.ConversationInfo():
            return _conversation(item)
        case replies.FileInfo():
            return _file_info(item)
        case replies.LogEntry():
            return entry_object(item.entry)
        case replies.ReaderName():
            return item.username
        case RealmInfo():
            return _realm_info(item)
        case replies.MoveInfo():
            old = {} if item.old is None else {"old": item.old}
            return {"what": item.what, "address": item.address, **old, "at": timestamp(item.at)}
        case replies.BlockInfo():
            return {**item.fields, "at": timestamp(item.at)}
        case replies.ReportInfo():
            message = None if item.message is None else message_object(item.message)
            about = {"report": item.report, "at": timestamp(item.at), "by": item.by}
            return {**about, "reason": item.reason, "message": message}
        case replies.SessionInfo():
            times = {"created": timestamp(item.created), "used": timestamp(item.used)}
            return {"id": item.session, **msgspec.to_builtins(item), **times}
        case replies.InvitationInfo() | replies.RequestInfo():
            return {**msgspec.to_builtins(item), "at": timestamp(item.at)}
        case _:
            return item


def _conversation(conversation: replies.ConversationInfo) -> dict[str, Any]:
    """A conversation. A direct one has `online`, if that is known; a group has the fields of a group."""
    last = conversation.last
    found: dict[str, Any] = {"conversation": conversation.conversation}
    group = conversation.group
    if group is None:
        found |= {"user": conversation.user, "name": conversation.name}
        if conversation.online is not None:
            found["online"] = conversation.online
        if conversation.away:
            found["away"] = True
    else:
        found |= {"group": group.group, "name": conversation.name, "code": group.code}
        found |= {"members": group.members, "closed": group.closed, "admin": group.admin}
        if group.visibility != model.PUBLIC:
            found["visibility"] = group.visibility
        if group.title is not None:
            found["title"] = group.title
        if group.shut is not None:
            found[SHUT] = group.shut
        if conversation.rescue is not None:
            found["rescue"] = conversation.rescue
    if conversation.request is not None:
        found["request"] = conversation.request
    if conversation.picture is not None:
        found["picture"] = conversation.picture
    found |= {
        "unread": conversation.unread,
        "first_unread": conversation.first_unread,
        "read": conversation.read,
        "seq": conversation.seq,
        **chosen_fields(conversation.preferences),
        "last": None if last is None else message_object(last),
    }
    return found


def _file_info(file: replies.FileInfo) -> dict[str, Any]:
    return {
        "code": file.code,
        "name": file.name,
        "size": file.size,
        "from": file.sender,
        "at": timestamp(file.at),
        **({} if file.seq is None else {"seq": file.seq}),
        **file.picture,
    }


def _realm_info(realm: RealmInfo) -> dict[str, Any]:
    found = msgspec.structs.asdict(realm)
    for key in ("since", "oldest", "next_try", "paused"):
        if found[key] is not None:
            found[key] = timestamp(found[key])
    return found
