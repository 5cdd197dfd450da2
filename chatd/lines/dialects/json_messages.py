"""Messages and their files as objects of the `json` dialect."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from operator import attrgetter
from typing import Any

from chatd.base import attachments, model
from chatd.base.pictures import picture_fields
from chatd.base.timestamps import timestamp

# Most messages have none of these, and building the dict takes longer than the rest.
_rare_values = attrgetter(
    "reason",
    "edited",
    "reply",
    "forwarded",
    "opaque",
    "mentions",
    "reactions",
    "pinned",
    "unverified",
    "blocked",
    "imported",
)
_NO_HEAD: Mapping[str, Any] = {}
_NONE = (None, None, None, None, None, (), (), False, False, False, False)


def message_object(message: model.Message, head: Mapping[str, Any] = _NO_HEAD) -> dict[str, Any]:
    """A message, in lists and in events. Begins with what is in `head`."""
    found: dict[str, Any] = {
        **head,
        "conversation": message.conversation or None,
        "seq": message.seq or None,
        "id": message.id,
        "from": message.sender,
    }
    if message.group is None:
        found["to"] = message.to
    else:
        found["group"] = message.group
    if message.file is not None:
        found["file"] = file_object(message.file)
    elif message.text is not None:
        found["text"] = message.text
    found["at"] = timestamp(message.at)
    found["state"] = message.state
    if message.deleted:
        found["deleted"] = True
    if _rare_values(message) != _NONE:
        found |= _rare_fields(message)
    return found


def _rare_fields(message: model.Message) -> dict[str, Any]:
    """What few messages have."""
    opaque, edited = message.opaque, message.edited
    fields = {
        "reason": message.reason,
        "edited": None if edited is None else timestamp(edited),
        "reply": message.reply,
        "forwarded": message.forwarded,
        "mentions": message.mentions,
        "reactions": {each.emoji: each.people for each in message.reactions},
        "reaction_counts": {
            each.emoji: each.count for each in message.reactions if each.count > len(each.people)
        },
        "pinned": message.pinned,
        "unverified": message.unverified,
        "blocked": message.blocked,
        "imported": message.imported,
        "opaque": None if opaque is None else opaque_object(opaque),
    }
    return {name: value for name, value in fields.items() if value}


def opaque_object(opaque: model.Opaque) -> dict[str, str]:
    """Opaque content, its bytes in base64."""
    return {"type": opaque.media, "body": b64encode(opaque.body).decode()}


def file_object(file: attachments.Attachment) -> dict[str, Any]:
    """A file. One that is not here has its `state`, and a lost one also the `reason` and its code, `lost`."""
    found = {
        "name": file.name,
        "size": file.size,
        "sha256": file.sha256,
        "mime": file.mime,
        "code": file.code,
        **picture_fields(file),
    }
    if file.arrival is None:
        return found
    lost = {"reason": file.reason, "lost": file.arrival} if file.arrival else {}
    return found | {"state": file.state} | lost
