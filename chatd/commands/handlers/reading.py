"""Handlers of the commands about conversations: their history, read marks, and what others do there."""

from __future__ import annotations

from typing import Any

import msgspec

from chatd.base.attachments import HERE
from chatd.base.model import Message
from chatd.base.replies import LogEntry, ReaderName, Reply
from chatd.base.timestamps import timestamp
from chatd.commands import values as ask
from chatd.commands.client import Client, Handlers
from chatd.commands.handlers.replies import count, page_reply, readable_by
from chatd.commands.table import BY_COMMAND
from chatd.store.sync import Cursor
from chatd.store.windows import Window

HANDLERS = Handlers()


@HANDLERS.of(ask.ShowHistory)
async def history(client: Client, command: ask.ShowHistory) -> Reply:
    given = (command.before, command.after, command.around, command.since)
    if len(given) - given.count(None) > 1:
        reason = "give only one of before, after, around and since"
        raise BY_COMMAND[ask.ShowHistory].wrong(reason)
    reading, account = client.service.reading, client.account
    page = await reading.history(account, command.place, command.n, Window(*given))
    page = readable_by(client, account, page)
    sides = {"earlier": page.remaining, "later": page.later}
    return msgspec.structs.replace(page_reply(page, sides), pending=tuple(page.pending))


@HANDLERS.of(ask.MarkRead)
async def read(client: Client, command: ask.MarkRead) -> Reply:
    reading, origin = client.service.reading, client.listener
    await reading.mark_read(client.account, command.conversation, command.seq, origin)
    return Reply("The conversation is marked as read")


@HANDLERS.of(ask.SyncLog)
async def sync(client: Client, command: ask.SyncLog) -> Reply:
    logs = client.service.sync
    if command.conversation is None:
        found, more = await logs.all(client.account, command.after, command.n)
        ends = tuple(found)
        sentence = count(ends, "conversation") + (", more remain" if more else "")
        return Reply(sentence, {}, {"more": more}, ends, "conversations")
    cursor, account = Cursor(command.after, command.version, command.term), client.account
    page = await logs.one(account, command.conversation, cursor, command.n)
    data: dict[str, Any] = {
        "conversation": command.conversation,
        "seq": page.seq,
        "version": page.version,
        "term": page.term,
        "more": page.more,
        "states": list(map(_state, page.states)),
        "files": list(map(_file, page.files)),
        "marks": [{"who": mark.who, "seq": mark.seq} for mark in page.marks],
        "pending": (),
    }
    if page.reset is not None:
        data["reset"] = page.reset
    sentence = f"{len(page.entries)} {'entry' if len(page.entries) == 1 else 'entries'}"
    if page.missing is not None:
        after, upto = page.missing
        data["missing"] = {"after": after, "upto": upto}
        sentence += ", and earlier ones are still to come from another realm"
    entries = tuple(map(LogEntry, client.service.blocks.marked(account, page.entries)))
    return Reply(sentence, {}, data, entries, "entries", tuple(page.pending))


def _state(message: Message) -> dict[str, Any]:
    """The state of an entry, as its event has it."""
    found = {"seq": message.seq, "id": message.id or None, "state": message.state}
    return found if message.reason is None else {**found, "reason": message.reason}


def _file(message: Message) -> dict[str, Any]:
    """The state of the file of a message, as its event has it."""
    file = message.file
    found = {"seq": message.seq, "state": HERE if file is None else file.state}
    if file is None or not file.arrival:
        return found
    return {**found, "reason": file.reason, "code": file.arrival}


@HANDLERS.of(ask.ShowReaders)
async def readers(client: Client, command: ask.ShowReaders) -> Reply:
    service, seq = client.service, command.seq
    conversation = await service.reading.find(client.account, command.place)
    found = await service.receipts.readers(client.account, conversation or 0, seq)
    if found is None:
        return Reply("Receipts are not shown here", items_name="readers")
    names = tuple(map(ReaderName, found))
    return Reply(count(names, "reader"), items=names, items_name="readers")


@HANDLERS.of(ask.TellTyping)
async def typing(client: Client, command: ask.TellTyping) -> Reply:
    service = client.service
    conversation = await service.reading.find(client.account, command.place)
    if conversation is not None:  # otherwise it begins with the first message
        await service.typing.tell(client.account, conversation, client.listener)
    return Reply("Typing notice sent")


@HANDLERS.of(ask.SetNotifications)
async def notify(client: Client, command: ask.SetNotifications) -> Reply:
    conversation, chosen = await client.service.settings.notify(
        client.account, command.place, command.level, command.until, client.listener
    )
    sentence = {
        "all": "You are notified of all messages",
        "mentions": "You are notified of mentions only",
        "none": "You are not notified",
    }[chosen.notify]
    until = None if chosen.until is None else timestamp(chosen.until)
    if until is not None:
        sentence += f" until {until}"
    data = {"conversation": conversation, "notify": chosen.notify, "until": until}
    return Reply(sentence, data=data)


@HANDLERS.of(ask.ArchiveConversation)
async def archive(client: Client, command: ask.ArchiveConversation) -> Reply:
    conversation, chosen = await client.service.settings.archive(
        client.account, command.place, command.on, client.listener
    )
    state = "archived" if chosen.archived else "no longer archived"
    data = {"conversation": conversation, "archived": chosen.archived}
    return Reply(f"The conversation is {state}", data=data)
