"""Handlers of the commands that change messages."""

from __future__ import annotations

from typing import Any

from chatd.base.entries import Deletion, Edit, MessageChange, Pin, React
from chatd.base.names import Place
from chatd.base.replies import Reply
from chatd.commands import values as ask
from chatd.commands.client import Client, Handlers
from chatd.commands.handlers.replies import count, list_reply

HANDLERS = Handlers()


@HANDLERS.of(ask.EditMessage)
async def edit(client: Client, command: ask.EditMessage) -> Reply:
    client.service.messages.check_text(command.text)
    change = Edit(command.text)
    return await _change(client, command.place, command.seq, change, "Message edited")


@HANDLERS.of(ask.DeleteMessage)
async def delete(client: Client, command: ask.DeleteMessage) -> Reply:
    return await _change(client, command.place, command.seq, Deletion(), "Message deleted")


@HANDLERS.of(ask.ReactToMessage)
async def react(client: Client, command: ask.ReactToMessage) -> Reply:
    sentence = "Reaction added" if command.on else "Reaction removed"
    change = React(command.emoji, command.on)
    return await _change(client, command.place, command.seq, change, sentence)


@HANDLERS.of(ask.PinMessage)
async def pin(client: Client, command: ask.PinMessage) -> Reply:
    sentence = "Message pinned" if command.on else "Message unpinned"
    return await _change(client, command.place, command.seq, Pin(command.on), sentence)


@HANDLERS.of(ask.ListPins)
async def pins(client: Client, command: ask.ListPins) -> Reply:
    service, account = client.service, client.account
    found = tuple(
        service.blocks.marked(account, await service.changes.pins(account, command.place))
    )
    return list_reply(count(found, "pinned message"), found, "messages", 0)


async def _change(
    client: Client, place: Place | int, seq: int, change: MessageChange, sentence: str
) -> Reply:
    """Change a message. The reply has the number of the change in the log, or none if nothing changed."""
    receipt = await client.service.changes.change(
        client.account, place, seq, change, client.listener
    )
    data: dict[str, Any] = {
        "conversation": receipt.conversation,
        "seq": receipt.seq or None,
        "target": receipt.target,
    }
    if receipt.mentions:
        data["mentions"] = receipt.mentions
    if receipt.queued:
        data["queued"] = True
        if receipt.seq:
            sentence += "; queued until it can be delivered"
        else:
            sentence = "The home of the group makes the change once it is linked, if it accepts it"
    return Reply(sentence, data=data)
