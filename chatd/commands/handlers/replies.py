"""Builds the parts of replies that several handlers share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized
from typing import Any

import msgspec

from chatd.base.attachments import Attachment
from chatd.base.errors import UnknownRealm, UnknownUser
from chatd.base.model import QUEUED, REQUESTED, Account, Message, Receipt, Sent
from chatd.base.names import parse_address
from chatd.base.pictures import picture_fields
from chatd.base.replies import Item, Reply
from chatd.base.timestamps import timestamp
from chatd.commands.client import Client
from chatd.commands.results import DownloadReply
from chatd.service.contents import without_arriving
from chatd.service.downloads import Download
from chatd.store.history import Page

# What a sender reads of messages in these states
WAITING = {QUEUED: "queued until it can be delivered", REQUESTED: "it waits to be accepted"}


def count(things: Sized, noun: str) -> str:
    """The number of `things`, and the noun in the singular or plural."""
    return f"1 {noun}" if len(things) == 1 else f"{len(things)} {noun}s"


def list_reply(sentence: str, items: tuple[Item, ...], items_name: str, remaining: int) -> Reply:
    """A reply with a list of items, of which `remaining` more exist."""
    fields: dict[str, str | int | bool] = {}
    if remaining:
        sentence += f", {remaining} more remain"
        fields["remaining"] = remaining
    return Reply(sentence, fields, {"remaining": remaining}, items, items_name)


def readable_by(client: Client, account: Account, page: Page) -> Page:
    """The page as the client may read it, with marks at the messages of people whom the account has blocked.
    The older dialects can't say that a file is still arriving from another realm, so its message is not in it
    yet."""
    if client.connection.traits.detailed:
        page = without_arriving(page)
    messages = client.service.blocks.marked(account, page.messages)
    return msgspec.structs.replace(page, messages=messages)


def page_reply(page: Page, details: Mapping[str, Any] = {}) -> Reply:
    sentence = count(page.messages, "message")
    reply = list_reply(sentence, tuple(page.messages), "messages", page.remaining)
    return msgspec.structs.replace(reply, data={**reply.data, **details}) if details else reply


async def display_details(client: Client, messages: Sequence[Message]) -> dict[str, Any]:
    """Display names by address (`names`) and the codes of groups by name (`codes`), for dialects that show
    them."""
    names: dict[str, str] = {}
    codes: dict[str, str] = {}
    for message in messages:
        for address in (message.sender, message.to):
            if address is not None and address not in names:
                names[address] = await client.service.accounts.display_name(address)
        group = message.group
        if group is not None and group not in codes:
            code = client.service.groups.code_of(client.account, parse_address(group))
            codes[group] = await code
    return {"names": names, "codes": codes}


def refusal_suffix(sent: Sent) -> str:
    """The recipients that were refused, and why; to be appended to a sentence."""
    unknown = _unknown(sent)
    reasons = [f"; there is no user {', '.join(unknown)}"] if unknown else []
    for name, error in sent.refused.items():
        if name not in unknown:
            reasons.append(f"; not to {name}: {error}")
    return "".join(reasons)


def _unknown(sent: Sent) -> tuple[str, ...]:
    return tuple(
        name
        for name, error in sent.refused.items()
        if isinstance(error, UnknownUser | UnknownRealm)
    )


def queue_suffix(sent: Sent) -> str:
    """The recipients whose messages are queued, or wait to be accepted; to be appended to a sentence."""
    found = ""
    for state, what in WAITING.items():
        if names := [receipt.to for receipt in sent.receipts if receipt.state == state]:
            found += f"; {what}: {', '.join(names)}"
    return found


def receipt_data(sent: Sent, single: bool) -> dict[str, Any]:
    """Where sent messages are: for a single recipient the conversation, seq and id; for a list of recipients
    a list of these, and the recipients that were refused."""
    if single:
        return _position(sent.receipts[0])
    unknown = _unknown(sent)
    refused = {
        name: {"code": error.code, "message": str(error)}
        for name, error in sent.refused.items()
        if name not in unknown
    }
    known = [_position(receipt) | {"to": receipt.to} for receipt in sent.receipts]
    found: dict[str, Any] = {"sent": known, "unknown": unknown}
    return {**found, "refused": refused} if refused else found


def _position(receipt: Receipt) -> dict[str, Any]:
    """The place, the time and the state of a message. None stands for a number that only the other realm
    knows."""
    found = {
        "conversation": receipt.conversation or None,
        "seq": receipt.seq or None,
        "id": receipt.id or None,
        "at": timestamp(receipt.at),
        "state": receipt.state,
    }
    if receipt.reason is not None:
        found["reason"] = receipt.reason
    return found


def message_sent(sent: Sent) -> Reply:
    receipt = sent.receipts[0]
    if receipt.state not in WAITING:  # the common case
        sentence = "Message sent" if receipt.reason is None else f"Refused: {receipt.reason}"
        return Reply(sentence, data=_position(receipt))
    return Reply(f"Message sent{queue_suffix(sent)}", data=receipt_data(sent, single=True))


def messages_sent(sent: Sent) -> Reply:
    sentence = f"Message sent{queue_suffix(sent)}{refusal_suffix(sent)}"
    return Reply(sentence, data=receipt_data(sent, single=False))


def file_sent(file: Attachment, sent: Sent, single: bool, details: Mapping[str, Any] = {}) -> Reply:
    return Reply(
        f"File sent{queue_suffix(sent)}{refusal_suffix(sent)}",
        {"name": file.name, "size": file.size, "sha256": file.sha256, "code": file.code},
        {**receipt_data(sent, single), **about(file), **details},
    )


def about(file: Attachment) -> dict[str, Any]:
    """What programs are told of a file that was sent: its type, what is known of a picture, and the SHA-256
    of the bytes as they were received, if that is another than of the file."""
    found: dict[str, Any] = {"mime": file.mime, **picture_fields(file)}
    if file.received is not None:
        found["received_sha256"] = file.received
    return found


def file_found(download: Download, details: Mapping[str, Any] = {}) -> DownloadReply:
    file = download.attachment
    reply = Reply(
        f"{file.size} bytes follow",
        {"name": file.name, "size": file.size, "sha256": file.sha256},
        {"code": file.code, "mime": file.mime, **details},
    )
    return DownloadReply(reply, download)
