"""Handlers of the commands that send and read messages."""

from __future__ import annotations

from functools import partial

import msgspec
from twisted.internet.defer import Deferred

from chatd.base.errors import BadArgument
from chatd.base.names import Address, InboxFilter, Place
from chatd.base.replies import Reply
from chatd.commands import values as ask
from chatd.commands.client import Client, Handlers
from chatd.commands.handlers.replies import (
    count,
    display_details,
    list_reply,
    message_sent,
    messages_sent,
    page_reply,
    readable_by,
)
from chatd.commands.results import ReplyWithFiles, Result
from chatd.commands.sessions import Session
from chatd.service.composed_sends import SendOptions
from chatd.service.contents import PageWithFiles, choose_files
from chatd.service.message_parts import MessageParts
from chatd.store.history import Page

HANDLERS = Handlers()


@HANDLERS.of(ask.SendMessage)
def send(client: Client, command: ask.SendMessage) -> Deferred[Result]:
    return _send_to_people(client, command.to, command)


@HANDLERS.of(ask.SendGroupMessage)
def send_group(client: Client, command: ask.SendGroupMessage) -> Deferred[Result]:
    if isinstance(command.group, tuple):
        return _send_to_people(client, command.group, command)
    messages, service = client.service.messages, client.service
    messages.check_text(command.text)
    if (
        command.reply is not None
        or command.opaque is not None
        or ("@" in command.text and not command.either)
    ):
        options, parts = _options(client, command, command.reply), _parts(command)
        composed = service.composed.to_group(client.account, command.group, parts, options)
        return Deferred.fromCoroutine(composed).addCallback(message_sent)
    post = messages.send_to_either if command.either else messages.post
    wait = client.waits(command.wait)
    sent = post(client.account, command.group, command.text, client.listener, command.key, wait)
    return sent.addCallback(message_sent)


def _send_to_people(
    client: Client, to: tuple[Address, ...], command: ask.SendMessage | ask.SendGroupMessage
) -> Deferred[Result]:
    messages, text, key = client.service.messages, command.text, command.key
    messages.check_text(text)
    answer = message_sent if len(to) == 1 else messages_sent
    if command.reply is not None or command.opaque is not None or "@" in text:
        if command.reply is not None and len(to) > 1:
            expected = "none, because the message goes to several people"
            raise BadArgument(argument="reply", found=command.reply, expected=expected)
        options, parts = _options(client, command, command.reply), _parts(command)
        composed = client.service.composed.to_people(client.account, to, parts, options)
        return Deferred.fromCoroutine(composed).addCallback(answer)
    wait = client.waits(command.wait)
    return messages.send_and(answer, client.account, to, text, client.listener, key, wait)


def _parts(command: ask.SendMessage | ask.SendGroupMessage) -> MessageParts:
    """The content of the message. Raises BadArgument."""
    if command.opaque is None:
        return MessageParts(command.text)
    if command.text:
        expected = "none, because the message is opaque"
        raise BadArgument(argument="text", found="given", expected=expected)
    return MessageParts(opaque=command.opaque)


def _options(
    client: Client,
    command: ask.SendMessage
    | ask.SendGroupMessage
    | ask.ReplyToMessage
    | ask.ComposeMessage
    | ask.ForwardMessage,
    reply: int | None,
) -> SendOptions:
    return SendOptions(client.listener, command.key, client.waits(command.wait), reply)


@HANDLERS.of(ask.ReplyToMessage)
async def reply_to(client: Client, command: ask.ReplyToMessage) -> Reply:
    return await _send_to_place(client, command, command.seq)


@HANDLERS.of(ask.ComposeMessage)
async def compose(client: Client, command: ask.ComposeMessage) -> Reply:
    return await _send_to_place(client, command, None)


async def _send_to_place(
    client: Client, command: ask.ReplyToMessage | ask.ComposeMessage, reply: int | None
) -> Reply:
    service = client.service
    service.messages.check_text(command.text)
    options, parts = _options(client, command, reply), MessageParts(command.text)
    return message_sent(
        await service.composed.to_place(client.account, command.place, parts, options)
    )


@HANDLERS.of(ask.ForwardMessage)
async def forward(client: Client, command: ask.ForwardMessage) -> Reply:
    options = _options(client, command, None)
    sent = await client.service.composed.forward(
        client.account, command.place, command.seq, command.to, options
    )
    return message_sent(sent)


@HANDLERS.of(ask.ReadInbox)
async def inbox(client: Client, command: ask.ReadInbox) -> Reply | ReplyWithFiles:
    if command.newest:
        session, reading = client.logged_in, client.service.reading
        page = await reading.newest(session.account, command.place, client.given)
        page = readable_by(client, session.account, page)
        reply = await _reply_with(client, page)
        client.give(session, page.marks)
        return reply
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
    """The oldest unread messages in `scope`. Without `peek`, they become read once the client has them.
    With `contents`, the reply has the bytes of files."""
    session, service = client.logged_in, client.service
    account = session.account
    page = await service.reading.inbox(account, scope, client.given)
    page = readable_by(client, account, page)
    if contents:
        budget = service.config.limits.inline_file
        found = await choose_files(page, budget, service.uploads.is_whole)
        return await _reply_with_files(client, session, found)
    reply = await _reply_with(client, page)
    if not peek:
        client.give(session, page.marks)
    return reply


async def _reply_with_files(
    client: Client, session: Session, found: PageWithFiles
) -> Reply | ReplyWithFiles:
    reply = await _reply_with(client, found.page)
    reply = msgspec.structs.replace(reply, data={**reply.data, "inline": found.files.keys()})
    give = partial(client.give, session, found.page.marks)
    if not found.files:
        give()
        return reply
    open_file = client.service.uploads.open
    openers = {ident: partial(open_file, file) for ident, file in found.files.items()}
    return ReplyWithFiles(reply, openers, give)


async def _reply_with(client: Client, page: Page) -> Reply:
    details = (
        await display_details(client, page.messages) if client.connection.traits.detailed else {}
    )
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


@HANDLERS.of(ask.SearchMessages)
async def search(client: Client, command: ask.SearchMessages) -> Reply:
    service, account = client.service, client.account
    page = await service.reading.search(account, command.text, command.before)
    messages = service.blocks.marked(account, page.messages)
    return page_reply(msgspec.structs.replace(page, messages=messages))


@HANDLERS.of(ask.DismissMessage)
async def dismiss(client: Client, command: ask.DismissMessage) -> Reply:
    await client.service.pending.dismiss(client.account, command.message_id)
    return Reply("The message is dismissed")
