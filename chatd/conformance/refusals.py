"""Refusals: their codes, and the details that belong to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: The details of each code, as the table in docs/federation.md has them.
DETAILS: Mapping[str, tuple[str, ...]] = {
    code: names
    for names, codes in (
        (
            ("name",),
            "unknown-user not-accepted request-pending unknown-group bad-filename",
        ),
        (("name",), "unknown-file file-arriving file-missing file-damaged"),
        (("name", "reason"), "file-lost"),
        (("group",), "group-closed not-member not-admin banned"),
        (("name", "group"), "already-member user-not-member last-admin not-banned not-requested"),
        (("group", "limit"), "group-full"),
        (("group", "to"), "group-moved"),
        (("group", "until"), "muted"),
        (("group", "reason"), "group-shut"),
        (("group", "realm", "reason"), "not-movable"),
        (("group", "limit", "realm"), "realm-full"),
        (("name", "limit"), "too-many-groups too-many-invitations"),
        (("size", "limit"), "message-too-long file-too-large"),
        (("limit", "left"), "quota-exceeded too-much-arriving"),
        (("limit", "minutes"), "realm-quota"),
        (("limit",), "too-many-unknown too-many-pins"),
        (("seconds",), "too-many-failed-joins"),
        (("reason",), "bad-signature"),
        (("realm", "what"), "not-supported-there"),
        (("seq", "who"), "not-yours"),
        (("seq", "has"), "not-editable"),
        (("seq", "limit"), "too-many-reactions"),
    )
    for code in codes.split()
}


def wrong_details(code: str, details: Mapping[str, Any]) -> str:
    """What is missing among the details of a refusal, or an empty text."""
    lacks = [name for name in DETAILS.get(code, ()) if type(details.get(name)) not in (str, int)]
    return f"the details of {code} lack {', '.join(lacks)}" if lacks else ""
