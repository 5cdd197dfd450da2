"""Messages from the realm itself to accounts."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection

from chatd.base.model import Account
from chatd.base.names import SYSTEM
from chatd.service.context import Context
from chatd.service.fan_out import FanOut
from chatd.service.targets import Target
from chatd.store import accounts as account_store
from chatd.store import conversations as conversation_store
from chatd.store.new_entries import NewMessage, Stored


class SystemMessage(msgspec.Struct, frozen=True):
    """A message from the realm itself to one account, and its place."""

    account: Account
    new: NewMessage
    stored: Stored


class SystemMessages:
    """Stores the messages, and passes them on."""

    def __init__(self, context: Context, fan_out: FanOut) -> None:
        self._writers = context.writers
        self._fan_out = fan_out

    def store(self, connection: Connection, account_id: int, text: str, now: int) -> SystemMessage:
        """Store a message to an account. Runs in the writer's thread."""
        account = account_store.get_accounts(connection, [account_id])[0]
        conversation = conversation_store.open_system(connection, account_id, now)
        new = NewMessage(conversation, None, SYSTEM, now, text)
        return SystemMessage(account, new, self._writers.messages.store(connection, [new])[0])

    def tell(self, message: SystemMessage) -> None:
        """Pass a stored message to the account's connections."""
        account, new = message.account, message.new
        target = Target(new.conversation, (account.id,), to=account.name)
        self._fan_out.tell(message.stored, new, target, None, None)
