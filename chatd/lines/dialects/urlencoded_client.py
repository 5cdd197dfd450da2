"""The form of `urlencoded` that the system's own client speaks.

A request is padded with spaces to whole blocks (chatd.lines.block_buffer). So is each reply and each push, a
JSON object. The client reads block by block, and takes what it has for complete when a block ends in white
space.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from chatd.base import errors
from chatd.base.events import Event, RoomChange, RoomTalk
from chatd.base.names import Address
from chatd.base.replies import Reply
from chatd.commands import arguments as types
from chatd.commands import values as ask
from chatd.commands.rows import Arg
from chatd.lines.block_buffer import BLOCK, SPACE
from chatd.lines.dialect import Request, Wrapping, content
from chatd.lines.dialects import arguments as args
from chatd.lines.dialects.blocks import Answer, base64, by_sender, said, text_entry, token
from chatd.lines.dialects.indonesian import INDONESIAN
from chatd.lines.dialects.json_text import CONTENT, encode_ascii, split
from chatd.lines.dialects.key_values import (
    ABOUT_SELF,
    FILE,
    MESSAGE,
    PAYLOAD,
    RECIPIENT,
    ROOM,
    KeyValueDialect,
    file_get,
    inbox,
    names_of_files,
    recipients,
    register,
    room_chat,
    send,
)
from chatd.lines.dialects.verbs import Verb, table, text_of

SYSTEM = "[System]"
ESCAPED_SPACE = b"\\u0020"


# Commands whose arguments differ from those of the verb.


def send_to(destination: Address, message: str) -> ask.Command:
    return send(destination, message)


def file_send(username: Address, filename: str, size: int) -> ask.Command:
    return ask.SendFile((username,), filename, size)


def room_join(roomname: str) -> ask.Command:
    return ask.JoinRoom(roomname, changes=True)


def room_send_file(filename: str, size: int) -> ask.Command:
    """The client itself tells the others."""
    return ask.SendRoomFile(filename, size, announce=False)


def room_get_file(filename: str) -> ask.Command:
    return ask.GetRoomFile(filename)


# Replies.


def registered(request: Request, _reply: Reply) -> Answer:
    command = cast(ask.Register, request.command)
    return {
        "username": command.username,
        "name": command.name,
        "nationality": command.country,
    }


def sent(request: Request, _reply: Reply) -> Answer:
    return {"message": "Message Sent", "user": recipients(request)}


def file_names(_request: Request, reply: Reply) -> Answer:
    return {"file": encode_ascii(names_of_files(reply)).decode()}


def file_sent(_request: Request, reply: Reply) -> Answer:
    return {"message": reply.fields["name"]}


def file_found(_request: Request, reply: Reply) -> Answer:
    return {"name": reply.fields["name"], PAYLOAD: CONTENT}


def told(sentence: str) -> Callable[[Request, Reply], Answer]:
    """The sentence, with fields of the reply filled in."""
    return lambda _request, reply: {"messages": sentence.format_map(reply.fields)}


def joined(_request: Request, reply: Reply) -> Answer:
    return {
        "messages": f"Telah bergabung ke ruangan [{reply.fields['room']}]",
        "users": list(reply.data["names"].values()),
    }


DESTINATION = Arg("destination", types.ADDRESS)

VERBS = table(
    Verb("register", ask.Register, ABOUT_SELF, registered, make=register),
    Verb("auth", ask.LogIn, (args.USERNAME, args.PASSWORD), token),
    Verb("send", ask.SendMessage, (DESTINATION, MESSAGE), sent, make=send_to),
    Verb("inbox", ask.ReadInbox, (), by_sender(text_entry), make=inbox),
    Verb("file_list", ask.ListFiles, (), file_names),
    Verb("file_send", ask.SendFile, (RECIPIENT, FILE, args.FILENAME), file_sent, make=file_send),
    Verb("file_get", ask.GetFile, (args.FILENAME,), file_found, make=file_get),
    Verb("room_join", ask.JoinRoom, (ROOM,), joined, make=room_join),
    Verb(
        "room_chat",
        ask.SendRoomMessage,
        (MESSAGE,),
        told("Broadcasted the messages"),
        make=room_chat,
    ),
    Verb(
        "room_send_file",
        ask.SendRoomFile,
        (FILE, args.FILENAME),
        told("File sent to the room."),
        make=room_send_file,
    ),
    Verb("room_get_file", ask.GetRoomFile, (args.FILENAME,), file_found, make=room_get_file),
    Verb("room_leave", ask.LeaveRoom, (), told("Telah keluar dari ruangan [{room}]")),
    Verb("logout", ask.LogOut, (), said("Berhasil keluar")),
)


# The number of values in a request.
VALUE_COUNTS = {name.encode(): len(verb.args) + verb.row.login for name, verb in VERBS.items()}


class UrlencodedClientDialect(KeyValueDialect):
    is_original = True
    verbs = VERBS

    def reply(self, request: Request, reply: Reply) -> bytes:
        return _whole(self.answer(request, reply))

    def wrap(self, request: Request, reply: Reply) -> Wrapping:
        (head, tail), _ = split(encode_ascii(self.answer(request, reply)))
        size = int(reply.fields["size"])
        if not size:
            return Wrapping((b"", padded(head + tail)), base64)
        return Wrapping((b"", b""), InBlocks(unbroken(head), tail, size))

    def error(self, error: errors.ChatError, tag: Any = None) -> bytes:
        sentence = text_of(error, INDONESIAN)
        return _whole({"status": "ERROR", "message": "Protocol Tidak Benar", "error": sentence})

    def write_event(self, event: Event) -> bytes:
        match event:
            case RoomTalk():
                return _broadcast(event.sender, event.display_name, content(event))
            case RoomChange():
                what = "bergabung dengan" if event.entered else "meninggalkan"
                text = f"User [{event.display_name}] telah {what} chat!"
                return _broadcast(SYSTEM, SYSTEM, text)
            case _:
                return b""


def _broadcast(sender: str, display_name: str, text: str) -> bytes:
    return _whole(
        {
            "status": "OK",
            "type": "broadcast",
            "display": display_name,
            "messages": text,
            "username": sender,
        }
    )


# Blocks.


def _whole(answer: Answer) -> bytes:
    return padded(unbroken(encode_ascii(answer)))


def unbroken(text: bytes) -> bytes:
    """Encoded JSON in which no block but the last ends in white space. In encoded JSON only strings contain
    white space, and only spaces."""
    if SPACE not in text[BLOCK - 1 :: BLOCK]:
        return text
    blocks = []
    start, carried = 0, b""
    while len(carried) + len(text) - start > BLOCK:
        end = start + BLOCK - len(carried)
        block, carried = carried + text[start:end], b""
        if block[-1] == SPACE:
            block, carried = block[:-1] + ESCAPED_SPACE[:1], ESCAPED_SPACE[1:]
        blocks.append(block)
        start = end
    return b"".join((*blocks, carried, text[start:]))


def padded(text: bytes) -> bytes:
    """Whole blocks. What fits exactly gets one more, because the client reads on after a full block."""
    return text.ljust(len(text) // BLOCK * BLOCK + BLOCK)


class InBlocks:
    """Encodes a file of `size` bytes in base64, between `head` and `tail`, and gives out whole blocks."""

    def __init__(self, head: bytes, tail: bytes, size: int) -> None:
        self._waiting = head
        self._tail = tail
        self._left = size

    def __call__(self, data: bytes) -> bytes:
        encoded = self._waiting + base64(data)
        self._left -= len(data)
        if not self._left:
            return padded(encoded + self._tail)
        whole = len(encoded) - len(encoded) % BLOCK
        self._waiting = encoded[whole:]
        return encoded[:whole]
