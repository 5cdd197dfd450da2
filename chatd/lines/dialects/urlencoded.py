"""`urlencoded`, the dialect of "FinalProjectProgjar" (Alam, Firman and Chendra), as its document has it.

A line `verb key=value&key=value`, percent-encoded, is answered by one JSON object and CRLF. What is said in a
room is pushed to those who joined it. The system's own client speaks otherwise (urlencoded_client.py).
"""

from __future__ import annotations

from typing import Any, cast

from chatd.base import errors
from chatd.base.events import Event, RoomTalk
from chatd.base.model import Message
from chatd.base.names import Address
from chatd.base.replies import Reply
from chatd.commands import values as ask
from chatd.lines.block_buffer import BLOCK, BlockBuffer
from chatd.lines.dialect import Request, Wrapping, content
from chatd.lines.dialects import arguments as args
from chatd.lines.dialects.blocks import Answer, json_around, json_object, non_empty
from chatd.lines.dialects.indonesian import INDONESIAN
from chatd.lines.dialects.key_values import (
    ABOUT_SELF,
    FILE,
    MESSAGE,
    PAYLOAD,
    RECIPIENT,
    ROOM,
    SESSION,
    KeyValueDialect,
    file_get,
    inbox,
    names_of_files,
    recipients,
    register,
    room_chat,
    send,
)
from chatd.lines.dialects.urlencoded_client import VALUE_COUNTS, UrlencodedClientDialect
from chatd.lines.dialects.verbs import Verb, table, text_of
from chatd.lines.line_buffer import LineBuffer

END = b"\r\n"


# Commands whose arguments differ from those of the verb.


def file_send(username: Address, filename: str, size: int) -> ask.Command:
    return ask.SendFile((username,), filename, size, echo=True)


def room_join(roomname: str) -> ask.Command:
    return ask.JoinRoom(roomname)


# Replies.


def welcome(_request: Request, reply: Reply) -> Answer:
    name = reply.data["username"]
    return {"message": f"Login [{name}] telah berhasil", SESSION: reply.fields["tokenId"]}


def registered(_request: Request, _reply: Reply) -> Answer:
    return {"message": "User berhasil dibuat"}


def sent(request: Request, _reply: Reply) -> Answer:
    return {"message": f"Message sent to user [{recipients(request)}]."}


def incoming(request: Request, reply: Reply) -> Answer:
    messages = [_entry(item) for item in reply.items if isinstance(item, Message)]
    return {
        SESSION: request.tag.session,
        "message": f"{len(messages)} message incoming.",
        "messages": messages,
        **non_empty(remaining=reply.data.get("remaining")),
    }


def _entry(message: Message) -> Answer:
    found: Answer = {"from": message.sender, "message": content(message)}
    return found if message.file is None else {**found, "filename": message.file.name}


def goodbye(request: Request, _reply: Reply) -> Answer:
    return {SESSION: request.tag.session, "message": "Bye bye !"}


def file_names(request: Request, reply: Reply) -> Answer:
    return {SESSION: request.tag.session, "message": names_of_files(reply)}


def file_sent(request: Request, reply: Reply) -> Answer:
    name = reply.fields["name"]
    return {
        "username": recipients(request),
        SESSION: request.tag.session,
        "filename": name,
        "message": f"Berhasil mengirim file ! {name} telah dikirim.",
    }


def file_found(request: Request, reply: Reply) -> Answer:
    return {SESSION: request.tag.session, "filename": reply.fields["name"]}


def joined(request: Request, reply: Reply) -> Answer:
    return {
        "roomname": reply.fields["room"],
        SESSION: request.tag.session,
        "users": reply.data["users"],
    }


def spoken(request: Request, _reply: Reply) -> Answer:
    return {
        "message": cast(ask.SendRoomMessage, request.command).text,
        SESSION: request.tag.session,
    }


def left(request: Request, _reply: Reply) -> Answer:
    return {SESSION: request.tag.session}


VERBS = table(
    Verb("auth", ask.LogIn, (args.USERNAME, args.PASSWORD), welcome),
    Verb("register", ask.Register, ABOUT_SELF, registered, make=register),
    Verb("send", ask.SendMessage, (RECIPIENT, MESSAGE), sent, make=send),
    Verb("inbox", ask.ReadInbox, (), incoming, make=inbox),
    Verb("logout", ask.LogOut, (), goodbye),
    Verb(
        "list_file",
        ask.ListFiles,
        (),
        file_names,
        aliases=("file_list", "file list", "list file"),
    ),
    Verb(
        "file_send",
        ask.SendFile,
        (RECIPIENT, FILE, args.FILENAME),
        file_sent,
        make=file_send,
        aliases=("file send", "send file"),
    ),
    Verb(
        "file_get",
        ask.GetFile,
        (args.FILENAME,),
        file_found,
        make=file_get,
        aliases=("file get", "get file"),
    ),
    Verb("room_join", ask.JoinRoom, (ROOM,), joined, make=room_join),
    Verb("room_chat", ask.SendRoomMessage, (MESSAGE,), spoken, make=room_chat),
    Verb("room_leave", ask.LeaveRoom, (), left),
)


class UrlencodedDialect(KeyValueDialect):
    verbs = VERBS
    segment = BLOCK

    def __init__(self) -> None:
        super().__init__()
        self.original = UrlencodedClientDialect()

    def new_buffer(self, limit: int, most: int) -> LineBuffer:
        return BlockBuffer(limit, most, VALUE_COUNTS)

    def reply(self, request: Request, reply: Reply) -> bytes:
        return json_object(self.answer(request, reply), END)

    def wrap(self, request: Request, reply: Reply) -> Wrapping:
        return json_around(self.answer(request, reply), PAYLOAD, END)

    def error(self, error: errors.ChatError, tag: Any = None) -> bytes:
        sentence = text_of(error, INDONESIAN)
        return json_object({"status": "ERROR", "message": sentence, "error": error.code}, END)

    def write_event(self, event: Event) -> bytes:
        if not isinstance(event, RoomTalk):
            return b""
        said = {
            "type": "broadcast",
            "roomname": event.room,
            "username": event.sender,
            "display": event.display_name,
            "message": content(event),
        }
        return json_object(said, END)
