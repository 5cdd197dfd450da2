"""Chooses which messages with files a reply has: whose bytes fit into it, and whose bytes are here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from chatd.base.attachments import ARRIVING, Attachment
from chatd.base.model import Message
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


def without_arriving(page: Page) -> Page:
    """The page without the messages whose files are still arriving from other realms. They stay unread until
    the files are here; up to MAX_LEFT in a conversation, and the others are shown."""
    if not any(_arrives(message) for message in page.messages):
        return page
    left = {place: set(mark.left) for place, mark in page.marks.items()}
    shown: list[Message] = []
    for message in page.messages:
        waiting = left.setdefault(message.conversation, set())
        if _arrives(message) and len(waiting) < MAX_LEFT:
            waiting.add(message.seq)
        else:
            shown.append(message)
    marks = {place: _mark(mark.seq, left[place]) for place, mark in page.marks.items()}
    return msgspec.structs.replace(page, messages=shown, marks=marks)


def _arrives(message: Message) -> bool:
    return message.file is not None and message.file.state == ARRIVING


def _mark(seq: int, left: set[int]) -> ReadMark:
    """Everything up to `seq` is read, except `left`."""
    while seq in left:
        seq -= 1
    return ReadMark(seq, frozenset(each for each in left if each < seq))
