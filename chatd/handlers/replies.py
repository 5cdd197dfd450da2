"""Sentences and fields that several handlers' replies share."""

from __future__ import annotations

from typing import Any

import msgspec

from chatd.messages import Sent
from chatd.model import Reply
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


def page_of(page: Page) -> Reply:
    sentence = count(page.messages, "message")
    return some_of(sentence, tuple(page.messages), "messages", page.remaining)


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
