"""Sentences and fields that several handlers' replies share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from chatd.errors import UnknownGroup, UnknownRealm
from chatd.messages import Sent
from chatd.model import Message, Reply
from chatd.names import parse_address
from chatd.session import Client
from chatd.store.messages import Page


def count(things: Any, noun: str) -> str:
    return f"1 {noun}" if len(things) == 1 else f"{len(things)} {noun}s"


def some_of(
    sentence: str, items: tuple[msgspec.Struct, ...], items_name: str, remaining: int
) -> Reply:
    """Some items, and how many more there are."""
    fields: dict[str, str | int | bool] = {}
    if remaining:
        sentence += f", {remaining} more remain"
        fields["remaining"] = remaining
    return Reply(sentence, fields, {"remaining": remaining}, items, items_name)


def page_of(page: Page, details: Mapping[str, Any] = {}) -> Reply:
    sentence = count(page.messages, "message")
    reply = some_of(sentence, tuple(page.messages), "messages", page.remaining)
    return msgspec.structs.replace(reply, data={**reply.data, **details}) if details else reply


async def details_of(client: Client, messages: Sequence[Message]) -> dict[str, Any]:
    """For those who show them: display names by address (`names`), and groups' codes by name (`codes`)."""
    names: dict[str, str] = {}
    codes: dict[str, str] = {}
    for message in messages:
        for address in (message.sender, message.to):
            if address is not None and address not in names:
                names[address] = await client.service.accounts.display_name(address)
        group = message.group
        if group is not None and group not in codes:
            with suppress(UnknownGroup, UnknownRealm):  # it has ended meanwhile, or lives elsewhere
                codes[group] = (await client.service.groups.find(parse_address(group))).group.code
    return {"names": names, "codes": codes}


def but_unknown(sent: Sent) -> str:
    return f"; there is no user {', '.join(sent.unknown)}" if sent.unknown else ""


def receipts(sent: Sent, single: bool) -> dict[str, Any]:
    """Where what was sent stands: for one, its conversation, seq and id; for a list, a list of them."""
    if single:
        receipt = sent.receipts[0]
        return {
            "conversation": receipt.conversation,
            "seq": receipt.seq,
            "id": receipt.id,
        }
    return {"sent": sent.receipts, "unknown": sent.unknown}


def message_sent(sent: Sent) -> Reply:
    return Reply("Message sent", data=receipts(sent, single=True))


def messages_sent(sent: Sent) -> Reply:
    return Reply(f"Message sent{but_unknown(sent)}", data=receipts(sent, single=False))
