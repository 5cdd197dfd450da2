"""Groups as operators and moderators see them."""

from __future__ import annotations

from chatd.base.records import AdminRecord, Time


class GroupRecord(AdminRecord, frozen=True):
    """A group of this realm, or one of another realm with members here; then `members` and `admins` are those
    of this realm. `messages` counts them, also deleted ones, up to 10,000. `newest` is the time of the newest
    entry of its log. `closed`: the operators of its home have closed it for everybody."""

    group: str
    visibility: str
    members: int
    admins: int
    messages: int
    title: str = ""
    newest: Time | None = None
    closed: bool = False
