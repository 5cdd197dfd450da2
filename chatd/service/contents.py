"""Chooses the files of a page of messages whose bytes fit into one reply."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from chatd.base.model import Attachment, Message
from chatd.base.read_marks import MAX_LEFT, ReadMark
from chatd.store.history import Page
from chatd.store.unread import marks_of


class PageWithFiles(msgspec.Struct, frozen=True):
    """A page, and the files whose bytes belong to it, by the id of the message. Its other files are named
    only."""

    page: Page
    files: dict[int, Attachment]


async def choose_files(
    page: Page, budget: int, is_whole: Callable[[Attachment], Awaitable[bool]]
) -> PageWithFiles:
    """Choose files of at most `budget` bytes together, oldest first. `page` has unread messages.

    A file that does not fit any more is left out of the page and stays unread, up to MAX_LEFT in a
    conversation. Those beyond that, files that never fit, and those that can't be read, are named only.
    """
    room = budget
    shown: list[Message] = []
    files: dict[int, Attachment] = {}
    # conversation -> numbers of messages that stay unread
    left = {place: set(mark.left) for place, mark in page.marks.items()}
    for message in page.messages:
        file = message.file
        if file is not None and file.size <= budget:
            waiting = left.setdefault(message.conversation, set())
            if file.size > room and len(waiting) < MAX_LEFT:
                waiting.add(message.seq)
                continue
            if file.size <= room and await is_whole(file):
                files[message.id] = file
                room -= file.size
        shown.append(message)
    marks = {
        place: ReadMark(mark.seq, frozenset(seq for seq in left.get(place, ()) if seq < mark.seq))
        for place, mark in marks_of(shown).items()
    }
    remaining = page.remaining + len(page.messages) - len(shown)
    return PageWithFiles(Page(shown, remaining, marks), files)
