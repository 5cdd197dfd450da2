"""Read marks: how far an account has read a conversation, and which messages before that are still unread."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

MAX_LEFT = 100  # messages before a read mark that stay unread, for each account and conversation


class ReadMark(msgspec.Struct, frozen=True):
    """Everything up to `seq` has been read, except the messages with the numbers in `left`.

    A reply that leaves messages out has in `left` all that are unread and not shown, up to the last one that
    it shows. So marks from several connections can be joined in any order: a message is read once any of
    them has it.
    """

    seq: int
    left: frozenset[int] = frozenset()

    def has(self, seq: int) -> bool:
        """Whether the message with this number has been read."""
        return seq <= self.seq and seq not in self.left

    def joined(self, other: ReadMark) -> ReadMark:
        """The mark of what either has. Its `left` is a part of that of the higher one."""
        if not (self.left or other.left):
            return self if self.seq >= other.seq else other
        left = {seq for seq in self.left | other.left if not (self.has(seq) or other.has(seq))}
        return ReadMark(max(self.seq, other.seq), frozenset(left))


def join_marks(marks: dict[int, ReadMark], more: Mapping[int, ReadMark]) -> None:
    """Add `more` to `marks`: conversation -> mark."""
    for conversation, mark in more.items():
        known = marks.get(conversation)
        marks[conversation] = mark if known is None else known.joined(mark)
