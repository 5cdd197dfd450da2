"""Read marks and typing, on their way between realms."""

from __future__ import annotations

import re
from typing import assert_never

from chatd.base.names import key_of
from chatd.federation import parcels
from chatd.federation.parcels import DirectMark, GroupMark, Mark
from chatd.service.realm_news import (
    DirectRead,
    DirectTyping,
    GroupRead,
    GroupTyping,
    ReadNews,
    TypingNews,
)
from chatd.store.outbox import NewParcel

_GROUP = re.compile(r"#([0-9]{1,18})@(.+)", re.ASCII)


def mark_parcel(realm: str, news: ReadNews, now: int) -> NewParcel:
    """The parcel of a read mark. It has no sender, so a failure to deliver it is not reported."""
    return NewParcel(realm, parcels.encode(mark_of(news)), now, subject=subject_of(news))


def mark_of(news: ReadNews) -> Mark:
    match news:
        case DirectRead(reader, user, number):
            return DirectMark(reader, user, number)
        case GroupRead(reader, home, group_id, seq):
            return GroupMark(reader, home, group_id, seq)
        case _:
            assert_never(news)


def subject_of(news: object) -> str | None:
    """The subject of a read mark, which replaces an older one that waits; None for other news."""
    match news:
        case DirectRead(reader, user):
            return f"{key_of(reader)} has read {key_of(user)}"
        case GroupRead(reader, home, group_id):
            return f"{key_of(reader)} has read #{group_id}@{home}"
    return None


def news_of(mark: Mark) -> ReadNews:
    """The read mark in a parcel."""
    match mark:
        case DirectMark(sender, to, number):
            return DirectRead(sender, to, number)
        case GroupMark(sender, home, group_id, seq):
            return GroupRead(sender, home, group_id, seq)
        case _:
            assert_never(mark)


def typing_to(news: TypingNews) -> tuple[str, str]:
    """The arguments `sender` and `to` of a `Typing` request."""
    match news:
        case DirectTyping(who, user):
            return who, user
        case GroupTyping(who, home, group_id):
            return who, f"#{group_id}@{home}"
        case _:
            assert_never(news)


def typing_in(sender: str, to: str) -> TypingNews:
    """The inverse of `typing_to`."""
    group = _GROUP.fullmatch(to)
    if group is None:
        return DirectTyping(sender, to)
    return GroupTyping(sender, group[2], int(group[1]))
