"""Handlers of the commands that send and read messages."""

from __future__ import annotations

from functools import partial

import msgspec
from twisted.internet.defer import Deferred

from chatd.base.model import Reply
from chatd.base.names import Address, InboxFilter, Place
from chatd.commands import values as ask
from chatd.commands.client import Client, Handlers
from chatd.commands.handlers.replies import (
    count,
    display_details,
    list_reply,
    message_sent,
    messages_sent,
    page_reply,
)
from chatd.commands.results import ReplyWithFiles, Result
from chatd.commands.sessions import Session
from chatd.service.contents import choose_files
from chatd.store.history import Page

HANDLERS = Handlers()


@HANDLERS.of(ask.SendMessage)
def send(client: Client, command: ask.SendMessage) -> Deferred[Result]:
    return _send_to_people(client, command.to, command.text, command.key)


@HANDLERS.of(ask.SendGroupMessage)
def send_group(client: Client, command: ask.SendGroupMessage) -> Deferred[Result]:
    if isinstance(command.group, tuple):
        return _send_to_people(client, command.group, command.text, command.key)
    messages = client.service.messages
    messages.check_text(command.text)
    post = messages.send_to_either if command.either else messages.post
    sent = post(client.account, command.group, command.text, client.listener, command.key)
    return sent.addCallback(message_sent)


def _send_to_people(
    client: Client, to: tuple[Address, ...], text: str, key: str | None
) -> Deferred[Result]:
    messages = client.service.messages
    messages.check_text(text)
    sent = messages.send(client.account, to, text, client.listener, key)
    return sent.addCallback(message_sent if len(to) == 1 else messages_sent)


@HANDLERS.of(ask.ReadInbox)
async def inbox(client: Client, command: ask.ReadInbox) -> Reply | ReplyWithFiles:
    if command.newest:
        session, reading = client.logged_in, client.service.reading
        page = await reading.newest(session.account, command.place, client.given)
        return await _give(client, session, page)
    scope = InboxFilter(
        command.place,
        here=command.here,
        direct=command.direct,
        own=command.own,
        sender=command.sender,
    )
    return await read_inbox(client, scope, peek=command.peek, contents=command.contents)


@HANDLERS.of(ask.ReadGroupInbox)
async def inbox_group(client: Client, command: ask.ReadGroupInbox) -> Reply | ReplyWithFiles:
    return await read_inbox(client, InboxFilter(Place(group=command.group)))


async def read_inbox(
    client: Client, scope: InboxFilter, *, peek: bool = False, contents: bool = False
) -> Reply | ReplyWithFiles:
    """The oldest unread messages in `scope`. Without `peek`, they become read once they have arrived. With
    `contents`, the reply has the bytes of files."""
    session, service = client.logged_in, client.service
    page = await service.reading.inbox(session.account, scope, client.given)
    if not contents:
        return await _give(client, session, page, peek)
    uploads = service.uploads
    budget = service.config.limits.inline_line // 4 * 3
    found = await choose_files(page, budget, uploads.is_whole)
    reply = await _give(client, session, found.page, peek)
    reply = msgspec.structs.replace(reply, data={**reply.data, "inline": found.files.keys()})
    if not found.files:
        return reply
    return ReplyWithFiles(
        reply, {ident: partial(uploads.open, file) for ident, file in found.files.items()}
    )


async def _give(client: Client, session: Session, page: Page, peek: bool = False) -> Reply:
    """The reply with a page. Without `peek`, what its marks say becomes read."""
    details = (
        await display_details(client, page.messages) if client.connection.traits.detailed else {}
    )
    if not peek:
        client.give(session, page.marks)
    return page_reply(page, details)


@HANDLERS.of(ask.CountUnread)
async def unread(client: Client, _command: ask.CountUnread) -> Reply:
    session = client.logged_in
    counts = await client.service.reading.unread(session.account, client.given)
    total = sum(each.unread for each in counts)
    return Reply(
        f"{total} unread in {count(counts, 'conversation')}",
        items=counts,
        items_name="conversations",
    )


@HANDLERS.of(ask.ListConversations)
async def conversations(client: Client, _command: ask.ListConversations) -> Reply:
    session = client.logged_in
    found, more = await client.service.conversations.all(session.account, client.given)
    return list_reply(count(found, "conversation"), found, "conversations", more)


@HANDLERS.of(ask.MarkRead)
async def read(client: Client, command: ask.MarkRead) -> Reply:
    await client.service.reading.mark_read(client.account, command.conversation, command.seq)
    return Reply("The conversation is marked as read")


@HANDLERS.of(ask.ShowHistory)
async def history(client: Client, command: ask.ShowHistory) -> Reply:
    reading = client.service.reading
    return page_reply(
        await reading.history(client.account, command.place, command.n, command.before)
    )


@HANDLERS.of(ask.SearchMessages)
async def search(client: Client, command: ask.SearchMessages) -> Reply:
    return page_reply(await client.service.reading.search(client.account, command.text))
