"""Messages of operators to all accounts."""

from __future__ import annotations

from chatd.base.names import Address
from chatd.commands.values.base import Command

__all__ = ["Announce"]


class Announce(Command, frozen=True):
    """With a `group`, only the accounts of this realm that are in it get the text."""

    text: str
    group: Address | None = None
