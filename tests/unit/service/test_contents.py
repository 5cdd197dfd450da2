"""Which files of a page come with it, which wait, and which are only named."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.attachments import Attachment
from chatd.base.model import Message
from chatd.base.read_marks import MAX_LEFT, ReadMark
from chatd.service.contents import PageWithFiles, choose_files, without_arriving
from chatd.store.history import Page
from chatd.store.unread import marks_of
from tests.support.inline import result_of


def letter(seq: int, size: int | None = None, conversation: int = 1) -> Message:
    """A message; with a size, one with a file."""
    ident = conversation * 1000 + seq
    if size is None:
        return Message(ident, conversation, seq, 0, "ana", "budi", text=f"t{seq}")
    file = Attachment(ident, f"c{ident}", f"f{ident}", size, "", "", f"f{ident}", 0)
    return Message(ident, conversation, seq, 0, "ana", "budi", file=file)


def arriving(seq: int, conversation: int = 1) -> Message:
    """A message whose file still arrives."""
    message = letter(seq, 1, conversation)
    assert message.file is not None
    return msgspec.structs.replace(message, file=msgspec.structs.replace(message.file, arrival=""))


def choose(messages: Sequence[Message], budget: int, broken: Sequence[int] = ()) -> PageWithFiles:
    async def is_whole(file: Attachment) -> bool:
        return file.id % 1000 not in broken

    page = Page(list(messages), marks=marks_of(messages))
    found: PageWithFiles = result_of(choose_files(page, budget, is_whole))
    return found


class ChoosingFiles(SynchronousTestCase):
    def test_budget(self) -> None:
        """Files are taken as long as they fit; the others stay unread, and what follows them is shown."""
        found = choose([letter(1, 6), letter(2, 5), letter(3), letter(4, 4), letter(5, 1)], 10)
        self.assertEqual([each.seq for each in found.page.messages], [1, 3, 4])
        self.assertEqual(set(found.files), {1001, 1004})
        self.assertEqual(found.page.marks, {1: ReadMark(4, frozenset((2,)))})
        self.assertEqual(found.page.remaining, 2)

    def test_never_fits(self) -> None:
        """A file beyond the whole budget, or one that can't be read, is named: its message is shown."""
        found = choose([letter(1, 11), letter(2, 3), letter(3, 10)], 10, broken=[2])
        self.assertEqual([each.seq for each in found.page.messages], [1, 2, 3])
        self.assertEqual(set(found.files), {1003})
        self.assertEqual(found.page.marks, {1: ReadMark(3)})

    def test_progress(self) -> None:
        """The first message of a page is always shown."""
        for first in (letter(1), letter(1, 10), letter(1, 11), letter(1, 0)):
            found = choose([first, letter(2, 10)], 10)
            self.assertEqual(found.page.messages[0].seq, 1)

    def test_too_many(self) -> None:
        """At most MAX_LEFT files of a conversation wait. Those beyond that are named."""
        files = [letter(seq, 10) for seq in range(1, MAX_LEFT + 5)]
        found = choose([*files, letter(1, 5, conversation=2), letter(999)], 10)
        named = [each.id for each in found.page.messages]
        self.assertEqual(named, [1001, *(1000 + MAX_LEFT + each for each in (2, 3, 4)), 1999])
        self.assertEqual(set(found.files), {1001})
        self.assertEqual(len(found.page.marks[1].left), MAX_LEFT)
        self.assertNotIn(2, found.page.marks)

    def test_after_others_were_left_out(self) -> None:
        """What a page leaves out already stays unread too, and counts."""
        messages = [letter(seq, 10) for seq in range(10, 10 + MAX_LEFT)]
        page = Page(messages, marks={1: ReadMark(200, frozenset((1, 2, 300)))})

        async def is_whole(_file: Attachment) -> bool:
            return True

        found = result_of(choose_files(page, 10, is_whole))
        self.assertEqual(len(found.page.messages), 3)
        mark = found.page.marks[1]
        self.assertEqual((mark.seq, len(mark.left)), (9 + MAX_LEFT, MAX_LEFT - 1))
        self.assertLessEqual({1, 2}, mark.left)


class ArrivingFiles(SynchronousTestCase):
    """Messages for clients that can't be told that a file arrives."""

    def shown(self, *messages: Message) -> Page:
        return without_arriving(Page(list(messages), 3, marks_of(messages)))

    def test_none(self) -> None:
        page = Page([letter(1), letter(2, 5)], marks=marks_of([letter(2)]))
        self.assertIs(without_arriving(page), page)

    def test_in_between(self) -> None:
        page = self.shown(letter(1), arriving(2), letter(3), arriving(2, 2), letter(9, 1, 3))
        self.assertEqual([each.seq for each in page.messages], [1, 3, 9])
        marks = {1: ReadMark(3, frozenset((2,))), 2: ReadMark(1), 3: ReadMark(9)}
        self.assertEqual((page.marks, page.remaining), (marks, 3))

    def test_at_the_end(self) -> None:
        """The mark does not pass them."""
        page = self.shown(letter(1), arriving(2), letter(3), arriving(4), arriving(5))
        self.assertEqual(page.marks, {1: ReadMark(3, frozenset((2,)))})

    def test_too_many(self) -> None:
        page = self.shown(*map(arriving, range(1, MAX_LEFT + 3)), letter(999))
        self.assertEqual([each.seq for each in page.messages], [MAX_LEFT + 1, MAX_LEFT + 2, 999])
        self.assertEqual(len(page.marks[1].left), MAX_LEFT)

    def test_lost(self) -> None:
        """A lost file is named."""
        lost = letter(1, 5)
        assert lost.file is not None
        lost = msgspec.structs.replace(
            lost, file=msgspec.structs.replace(lost.file, arrival="file-gone")
        )
        self.assertEqual(self.shown(lost).messages, [lost])
