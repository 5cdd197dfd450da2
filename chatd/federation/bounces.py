"""Bounces: messages from `system` about messages that another realm has refused or not taken in time."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection

from chatd.base.errors import ChatError, UnknownRealm
from chatd.base.model import Account
from chatd.base.names import SYSTEM
from chatd.base.timestamps import timestamp
from chatd.federation import parcels
from chatd.federation.links import ILinks
from chatd.federation.parcels import Parcel
from chatd.service.chat_service import ChatService
from chatd.service.targets import Target
from chatd.store import accounts as account_store
from chatd.store import conversations as conversation_store
from chatd.store.new_entries import NewMessage, Stored

# Changes that were not delivered, before the address of the other person
CHANGES: dict[type[Parcel], str] = {
    parcels.DirectEdit: "edit of a message to",
    parcels.DirectDeletion: "deletion of a message to",
    parcels.DirectReaction: "reaction in the conversation with",
    parcels.DirectPin: "pin in the conversation with",
}
MAX_QUOTED = 60  # characters of a message that its sender is shown


class BounceMessage(msgspec.Struct, frozen=True):
    """A message from the realm itself to one account, and its place."""

    account: Account
    new: NewMessage
    stored: Stored


class Bounces:
    """Writes and stores the messages."""

    def __init__(self, service: ChatService, links: ILinks) -> None:
        self._writers = service.context.writers
        self._fan_out = service.messages.fan_out
        self._links = links

    def sentence(self, realm: str, parcel: Parcel | None, error: ChatError) -> str:
        """The text about a parcel for that realm that was not delivered."""
        try:
            name = self._links.name_of(realm)
        except UnknownRealm:
            name = realm
        match parcel:
            case (
                parcels.DirectEdit()
                | parcels.DirectDeletion()
                | parcels.DirectReaction()
                | parcels.DirectPin()
            ):
                return f"Your {CHANGES[type(parcel)]} {parcel.to}@{name} was not delivered: {error}"
            case parcels.Direct(to=to):
                whom = f"{to}@{name}"
            case parcels.Post(group=group):
                whom = f"the group {group}@{name}"
            case parcels.Invite(group, _, user):
                return f"Your invitation of {user}@{name} to {group} was not delivered: {error}"
            case _:
                return f"{name} was not told: {error}"
        if parcel.file is not None:
            what = f"file {parcel.file.name}"
        elif parcel.text is None:
            what = "message"
        else:
            text = (parcel.text or "").replace("\n", " ")
            what = f'message "{text[:MAX_QUOTED]}{"…" if len(text) > MAX_QUOTED else ""}"'
        sent = timestamp(parcel.at)
        return f"Your {what} of {sent} to {whom} was not delivered: {error}"

    def store(self, connection: Connection, account_id: int, text: str, now: int) -> BounceMessage:
        """Store a message to an account. Runs in the writer's thread."""
        account = account_store.get_accounts(connection, [account_id])[0]
        conversation = conversation_store.open_system(connection, account_id, now)
        new = NewMessage(conversation, None, SYSTEM, now, text)
        return BounceMessage(account, new, self._writers.messages.store(connection, [new])[0])

    def tell(self, bounce: BounceMessage) -> None:
        """Pass a stored message to the account's connections."""
        account, new = bounce.account, bounce.new
        target = Target(new.conversation, (account.id,), to=account.name)
        self._fan_out.tell(bounce.stored, new, target, None, None)
