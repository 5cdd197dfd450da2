"""Items of the lists that moderators read."""

from __future__ import annotations

from chatd.base.records import AdminRecord, Time


class AccessBanInfo(AdminRecord, frozen=True):
    """A ban of `target`, which is an account, a network or a realm. `by` is who has banned it."""

    target: str
    kind: str
    at: Time
    by: str
    until: Time | None = None
    reason: str = ""


class MuteInfo(AdminRecord, frozen=True):
    """A mute of `username` in `group`, or in all groups. `by` is who has muted them."""

    username: str
    at: Time
    by: str
    group: str | None = None
    until: Time | None = None
    reason: str = ""


class OpenReport(AdminRecord, frozen=True):
    """A report by the account `by` of the message `seq` of a conversation, which `sender` has written, in
    `group` if it is one. Without `seq`, the message does not exist any more."""

    report: int
    at: Time
    by: str
    reason: str
    conversation: int | None = None
    seq: int | None = None
    sender: str | None = None
    group: str | None = None
    text: str = ""
