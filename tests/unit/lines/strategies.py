"""Hypothesis strategies for what dialects read and write."""

from __future__ import annotations

import string
from typing import Any

import msgspec
from hypothesis import strategies as st

from chatd.base.attachments import Attachment
from chatd.base.errors import ChatError, every_error
from chatd.base.events import Closing, Event, MemberChange, RoomChange, RoomTalk, SessionEnded
from chatd.base.model import Message, Receipt
from chatd.base.names import printable
from chatd.base.realms import RealmInfo
from chatd.base.replies import (
    Contact,
    FileInfo,
    GroupInfo,
    Member,
    Reply,
    RoomInfo,
    UnreadCount,
    UserInfo,
)
from chatd.base.texts import check_text
from chatd.commands.table import TABLE, describe
from chatd.files.file_names import safe_name

ODD = [
    "\u2028",
    "\u2029",
    "\u00a0",
    "\u200b",
    "\u202e",
    "👋🏽",
    "* ",
    "- ",
    "\t",
    "\n",
    "\n\n",
    "\n* ",
    "\n- ",
    "\nstatus: OK\n",
    "\nsuccess ",
    " ",
    "é",
    "\ufeff",
]


# What people may write.


def _is_text(text: str) -> bool:
    try:
        check_text(text)
    except ChatError:
        return False
    return True


_characters = st.one_of(st.characters(codec="utf-8"), st.sampled_from(ODD))
texts = st.lists(_characters, min_size=1, max_size=20).map("".join).filter(_is_text)
lines = texts.map(lambda text: text.replace("\n", " "))  # display names, titles and sentences
names = st.text(string.ascii_letters + string.digits + "._-é日", min_size=1, max_size=64)
rooms = st.builds("{} {}".format, names, names)
codes = st.text("abcdefghijkmnpqrstuvwxyz23456789", min_size=6, max_size=6)
numbers = st.integers(0, 2**62)
times = st.integers(0, 4_000_000_000_000)


def _file_name(text: str) -> str:
    try:
        return safe_name(text)
    except ChatError:
        return "a"


file_names = st.lists(_characters, max_size=20).map("".join).map(_file_name)
attachments = st.builds(
    Attachment,
    id=numbers,
    code=codes,
    name=file_names,
    size=numbers,
    sha256=st.just("0" * 64),
    mime=st.just("text/plain"),
    stored=file_names,
    at=times,
)
_direct = {"to": names, "group": st.none()}
_in_group = {"to": st.none(), "group": names}
_with_text = {"text": texts, "file": st.none()}
_with_file = {"text": st.none(), "file": attachments}
messages = st.one_of(
    *(
        st.builds(
            Message,
            id=numbers,
            conversation=numbers,
            seq=numbers,
            at=times,
            sender=names,
            state=st.sampled_from(["stored", "queued", "delivered"]),
            **place,
            **content,
        )
        for place in (_direct, _in_group)
        for content in (_with_text, _with_file)
    )
)
counts = st.one_of(
    st.builds(UnreadCount, conversation=numbers, unread=numbers, user=names, group=st.none()),
    st.builds(UnreadCount, conversation=numbers, unread=numbers, user=st.none(), group=names),
)
ITEMS: dict[str, st.SearchStrategy[msgspec.Struct]] = {
    "messages": messages,
    "users": st.builds(
        UserInfo,
        username=names,
        name=lines,
        country=st.one_of(st.just(""), lines),
        online=st.booleans(),
    ),
    "contacts": st.builds(Contact, username=names, online=st.booleans()),
    "groups": st.builds(
        GroupInfo,
        group=names,
        code=codes,
        members=numbers,
        closed=st.booleans(),
        member=st.booleans(),
        admin=st.booleans(),
        title=st.one_of(st.none(), lines),
    ),
    "members": st.builds(Member, username=names, admin=st.booleans(), online=st.booleans()),
    "conversations": counts,
    "rooms": st.builds(RoomInfo, room=rooms, users=st.lists(names, max_size=3).map(tuple)),
    "files": st.builds(FileInfo, code=codes, name=file_names, size=numbers, sender=names, at=times),
    "realms": st.builds(
        RealmInfo,
        realm=names,
        state=st.sampled_from(["up", "down", "connecting"]),
        since=times,
        direction=st.sampled_from([None, "in", "out"]),
        address=st.one_of(st.none(), names.map("{}:8890".format)),
        queued=numbers,
        oldest=st.one_of(st.none(), times),
        error=st.one_of(st.none(), lines),
        next_try=st.one_of(st.none(), times),
        paused=st.one_of(st.none(), times),
    ),
    "commands": st.sampled_from(TABLE).map(describe),
}
data: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"conversation": numbers, "seq": numbers, "id": numbers}),
    st.fixed_dictionaries(
        {
            "sent": st.lists(
                st.builds(
                    Receipt,
                    conversation=numbers,
                    seq=numbers,
                    id=numbers,
                    to=names,
                    state=st.sampled_from(["stored", "queued", "delivered"]),
                ),
                max_size=3,
            ).map(tuple),
            "unknown": st.lists(names, max_size=3).map(tuple),
            "refused": st.dictionaries(
                names, st.fixed_dictionaries({"code": names, "message": lines}), max_size=2
            ),
        }
    ),
)
fields = st.dictionaries(
    st.sampled_from(["tokenId", "username", "name", "country", "group", "size", "operator"]),
    st.one_of(lines, numbers, st.booleans(), st.just("")),
)
replies = st.one_of(
    st.builds(Reply, message=lines, fields=fields, data=data),
    *(
        st.builds(
            Reply,
            message=lines,
            fields=fields,
            data=st.just({"remaining": 0}),
            items=st.lists(items, max_size=4).map(tuple),
            items_name=st.just(name),
        )
        for name, items in ITEMS.items()
    ),
)


def _details(error: type[ChatError]) -> st.SearchStrategy[ChatError]:
    """`error` with details for its sentence, as chatd fills them in."""
    keys = [key for _, key, _, _ in string.Formatter().parse(error.sentence) if key]
    value = st.one_of(st.text(max_size=100).map(printable), numbers)
    return st.fixed_dictionaries(dict.fromkeys(keys, value)).map(lambda found: error(**found))


refusals = st.sampled_from(every_error()).flatmap(_details)
events: st.SearchStrategy[Event] = st.one_of(
    messages,
    st.builds(RoomTalk, room=rooms, sender=names, display_name=lines, text=texts, at=times),
    st.builds(RoomChange, room=rooms, who=names, display_name=lines, entered=st.booleans()),
    st.builds(Closing, refusals),
    st.builds(MemberChange, conversation=st.integers(1, 2**62), group=names, who=names),
    st.builds(SessionEnded, lines),
)
tags: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(st.characters(codec="utf-8")),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), inner, max_size=3),
    ),
    max_leaves=8,
)
