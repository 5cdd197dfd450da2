"""Bounces: messages from `system` about messages that another realm has refused or not taken in time."""

from __future__ import annotations

from chatd.base.errors import BadSignature, ChatError, UnknownRealm
from chatd.base.timestamps import timestamp
from chatd.federation import parcels
from chatd.federation.links import ILinks
from chatd.federation.parcels import Parcel
from chatd.service.chat_service import ChatService
from chatd.service.system_messages import SystemMessages

# Changes that were not delivered, before the address of the other person
CHANGES: dict[type[Parcel], str] = {
    parcels.DirectEdit: "edit of a message to",
    parcels.DirectDeletion: "deletion of a message to",
    parcels.DirectReaction: "reaction in the conversation with",
    parcels.DirectPin: "pin in the conversation with",
}
# The same in groups, by the kind of the entry
GROUP_CHANGES = {
    "edited": "edit of a message in",
    "deleted": "deletion of a message in",
    "reaction": "reaction in",
    "pinned": "pin in",
}
MAX_QUOTED = 60  # characters of a message that its sender is shown


class Bounces(SystemMessages):
    """Writes and stores the messages."""

    def __init__(self, service: ChatService, links: ILinks) -> None:
        super().__init__(service.context, service.messages.fan_out)
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
                if (change := _group_change(parcel)) is not None:
                    return f"Your {change} {whom} was not delivered: {error}"
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


def _group_change(post: parcels.Post) -> str | None:
    """What a post changes; None if it is a message."""
    opened = post.opening
    return None if isinstance(opened, BadSignature) else GROUP_CHANGES.get(opened.statement.kind)
