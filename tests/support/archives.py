"""Archives of accounts, as another realm would make them or as nobody should."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from chatd.base.account_archive import (
    CONVERSATIONS,
    MESSAGES_BEGIN,
    MESSAGES_END,
    PROFILE,
    ArchivedConversation,
    ArchivedMessage,
    ArchivedProfile,
)

OLD = ArchivedProfile(format=2, realm="realm9", username="messi")
AT = "2026-01-02T03:04:05Z"

_encode = msgspec.json.encode


def said(seq: int, sender: str, text: str | None = None, **more: Any) -> ArchivedMessage:
    """A message."""
    return ArchivedMessage(seq, more.pop("at", AT), sender, None, text, **more)


def conversation(head: ArchivedConversation, messages: Sequence[ArchivedMessage]) -> bytes:
    """The file of a conversation."""
    lines = b",".join(b"\n" + _encode(each) for each in messages)
    return _encode(head)[:-1] + MESSAGES_BEGIN + lines + b"\n" + MESSAGES_END


def archive(
    *conversations: tuple[ArchivedConversation, Sequence[ArchivedMessage]],
    profile: ArchivedProfile = OLD,
    files: Mapping[str, bytes] | None = None,
) -> bytes:
    """An archive with these conversations."""
    members = {PROFILE: _encode(profile)}
    for head, messages in conversations:
        members[f"{CONVERSATIONS}{head.conversation}.json"] = conversation(head, messages)
    return packed({**members, **(files or {})})


def packed(members: Mapping[str, bytes], how: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A ZIP archive with these files."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", how) as made:
        for name, data in members.items():
            made.writestr(name, data)
    return file.getvalue()


def direct(number: int, user: str, *messages: ArchivedMessage) -> Any:
    """A direct conversation."""
    last = max((each.seq for each in messages), default=1)
    return ArchivedConversation(number, user=user, first=1, last=last), messages


def group(number: int, name: str, *messages: ArchivedMessage, home: str = "realm9") -> Any:
    """A conversation of a group, whose number at home it has."""
    last = max((each.seq for each in messages), default=1)
    head = ArchivedConversation(number, name, home=home, home_id=number, first=1, last=last)
    return head, messages
