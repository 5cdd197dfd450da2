"""Handlers of the commands with which operators and moderators read and delete messages of other people."""

from __future__ import annotations

from typing import Any

from chatd.base.model import Message
from chatd.base.replies import Reply
from chatd.base.timestamps import timestamp
from chatd.commands import values as ask
from chatd.commands.client import Client
from chatd.commands.handlers.replies import count
from chatd.commands.restricted import ActHandlers
from chatd.service.audit import Act
from chatd.service.moderated_messages import DeletedMessage

ACT_HANDLERS = ActHandlers()


@ACT_HANDLERS.of(ask.ShowAnyMessage)
async def show(client: Client, command: ask.ShowAnyMessage, act: Act) -> Reply:
    _, message, people = await client.service.moderated.read(act, command.where, command.seq)
    return Reply(f"Message #{message.seq}", _fields(message, people))


def _fields(message: Message, people: tuple[str, ...]) -> dict[str, Any]:
    opaque, file = message.opaque, message.file
    kind = "text" if file is None else "file"
    if message.deleted or opaque is not None:
        kind = "deleted" if message.deleted else "opaque"
    found: dict[str, Any] = {
        "conversation": message.conversation,
        "seq": message.seq,
        "group": message.group,
        "between": ", ".join(people) or None,
        "sender": message.sender,
        "sent": timestamp(message.at),
        "kind": kind,
        "edited": None if message.edited is None else timestamp(message.edited),
        "forwarded": message.forwarded,
        "unverified": message.unverified or None,
        "text": message.text,
        "media": None if opaque is None else opaque.media,
        "file": None if file is None else file.name,
        "size": None if file is None else file.size,
    }
    return {name: value for name, value in found.items() if value is not None}


@ACT_HANDLERS.of(ask.DeleteAnyMessage)
async def delete(client: Client, command: ask.DeleteAnyMessage, act: Act) -> Reply:
    deleted = await client.service.moderated.delete(act, command.where, command.seq)
    found = deleted.message
    fields: dict[str, Any] = {"conversation": found.conversation, "seq": found.seq}
    if deleted.before:
        fields["before"] = True
    if deleted.elsewhere is not None and deleted.realm is not None:
        fields |= {"realm": deleted.realm, "elsewhere": deleted.elsewhere}
    if deleted.reports:
        fields["reports"] = deleted.reports
    return Reply(_sentence(deleted), fields)


def _sentence(deleted: DeletedMessage) -> str:
    """What has become of a message here and in the other realm that has it, and of its reports."""
    was = "was deleted before" if deleted.before else "is deleted"
    said = f"Message #{deleted.message.seq} {was}"
    match deleted.elsewhere:
        case "deleted":
            said += f", also in {deleted.realm}"
        case "told":
            said += f", and {deleted.realm} is told to delete it"
        case "waits":
            said += f" here, and {deleted.realm} is told once it is linked"
        case "refused":
            said += f" here, but {deleted.realm} refuses to delete it: {deleted.refusal}"
        case "kept":
            said += f" in this realm alone; ask the operators of {deleted.realm} to delete it there"
    if deleted.reports:
        closed = count(range(deleted.reports), "report")
        said += f"; {closed} closed"
    return said
