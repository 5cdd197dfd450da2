"""Sentences and fields that several handlers' replies share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from chatd.base.errors import UnknownRealm, UnknownUser
from chatd.base.model import Attachment, Item, Message, Receipt, Reply, Sent
from chatd.base.names import parse_address
from chatd.commands.client import Client
from chatd.store.history import Page


def count(things: Any, noun: str) -> str:
    return f"1 {noun}" if len(things) == 1 else f"{len(things)} {noun}s"


def some_of(sentence: str, items: tuple[Item, ...], items_name: str, remaining: int) -> Reply:
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
            codes[group] = await client.service.groups.code_of(parse_address(group))
    return {"names": names, "codes": codes}


def but_refused(sent: Sent) -> str:
    """Who did not get it, and why."""
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


def but_queued(sent: Sent) -> str:
    """What waits, and for whom."""
    queued = [receipt.to for receipt in sent.receipts if receipt.queued]
    return f"; queued until it can be delivered: {', '.join(queued)}" if queued else ""


def receipts(sent: Sent, single: bool) -> dict[str, Any]:
    """Where what was sent stands: for one, its conversation, seq and id; for a list, a list of them."""
    if single:
        return _where(sent.receipts[0])
    unknown = _unknown(sent)
    refused = {
        name: {"code": error.code, "message": str(error)}
        for name, error in sent.refused.items()
        if name not in unknown
    }
    known = [_where(receipt) | {"to": receipt.to} for receipt in sent.receipts]
    found: dict[str, Any] = {"sent": known, "unknown": unknown}
    return {**found, "refused": refused} if refused else found


def _where(receipt: Receipt) -> dict[str, Any]:
    """Null stands for a number that only the other realm will give, or that it alone knows."""
    found: dict[str, Any] = {
        "conversation": receipt.conversation or None,
        "seq": receipt.seq or None,
        "id": receipt.id or None,
    }
    return {**found, "queued": True} if receipt.queued else found


def message_sent(sent: Sent) -> Reply:
    receipt = sent.receipts[0]
    if not receipt.queued:  # most of them
        return Reply("Message sent", data=_where(receipt))
    return Reply(f"Message sent{but_queued(sent)}", data=receipts(sent, single=True))


def messages_sent(sent: Sent) -> Reply:
    sentence = f"Message sent{but_queued(sent)}{but_refused(sent)}"
    return Reply(sentence, data=receipts(sent, single=False))


def file_sent(file: Attachment, sent: Sent, single: bool, details: Mapping[str, Any] = {}) -> Reply:
    return Reply(
        f"File sent{but_queued(sent)}{but_refused(sent)}",
        {"name": file.name, "size": file.size, "sha256": file.sha256, "code": file.code},
        {**receipts(sent, single), "mime": file.mime, **details},
    )
