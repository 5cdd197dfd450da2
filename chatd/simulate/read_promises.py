"""What has to be true of read marks and of forwarded messages after a simulation."""

from __future__ import annotations

from collections import Counter
from typing import Any

from chatd.base.errors import ChatError
from chatd.base.model import Message
from chatd.base.replies import ConversationInfo
from chatd.commands import values as ask
from chatd.simulate.records import require
from chatd.simulate.world import World

Views = dict[
    str, list[tuple[ConversationInfo, Any]]
]  # by person: conversations, what is seen of each


def check_marks(world: World, name: str, views: Views) -> None:
    """What somebody has marked as read is read, and the author of the last message sees that. Raises
    Violation."""
    if world.restored:
        return
    read = {each.conversation: each.read for each, _ in views[name]}
    for mark in world.marks:
        if mark.name != name or not mark.request.acknowledged or mark.conversation not in read:
            continue
        require(read[mark.conversation] >= mark.seq, "read marks do not move back", mark, read)
        written = mark.written
        if written is not None and written.author == mark.to and world.is_honest(mark.to):
            conversation, shown = direct_of(world, mark.to, name, views)
            seqs = [each.seq for each in shown if written.tag in (each.text or "").split()[:1]]
            if seqs and not written.file:
                seen = _mark_of(world, mark.to, conversation, name)
                require(seen >= seqs[0], "the author sees what was read", mark.to, mark, seen)


def check_group_marks(world: World, group: str) -> None:
    """All members of a group in which everybody stays see the same of how far others have read. Raises
    Violation."""
    if world.restored:
        return
    seen = {name: marks for name in world.honest_people if (marks := _marks_in(world, name, group))}
    for reader in seen:
        own = seen[reader][reader]
        for name, marks in seen.items():
            if world.are_strangers(reader, name):
                continue  # a message request that waits separates them
            # A mark that has never moved since they joined is not told.
            known = marks.get(reader, 0)
            untold = known == 0 and own == world.joined_at.get((group, reader))
            require(
                known == own or untold, "all members see who has read", group, reader, name, seen
            )


def _marks_in(world: World, name: str, group: str) -> dict[str, int]:
    """How far the members of a group have read it, as a member sees it; empty if they are none."""
    try:
        rows = world.shown(name, f"#{group}")
    except ChatError:
        return {}
    if not rows:
        return {}
    reply = world.people[name].does(ask.SyncLog(rows[-1].conversation))
    return {each["who"].partition("@")[0]: each["seq"] for each in reply.data["marks"]}


def check_forwards(world: World, name: str, views: Views) -> None:
    """What somebody has forwarded is there once for each time, on both sides. Raises Violation."""
    if world.restored:
        return
    asked = [each for each in world.forwards if each.name == name and not each.to.startswith("#")]
    least = Counter((each.to, each.written.tag) for each in asked if each.request.acknowledged)
    most = Counter((each.to, each.written.tag) for each in asked)
    for to, tag in most:
        if not world.is_honest(to):
            continue
        for reader, other in ((name, to), (to, name)):
            _, shown = direct_of(world, reader, other, views)
            found = sum(_is_forward(world, reader, each, name, tag) for each in shown)
            kept = least[to, tag] <= found <= most[to, tag]
            require(kept, "what is forwarded arrives once", name, to, tag, reader, found)


def _is_forward(world: World, reader: str, message: Message, name: str, tag: str) -> bool:
    if message.forwarded is None or message.sender != str(world.address(name, reader)):
        return False
    words = (message.text or (message.file.name if message.file else "")).split(maxsplit=1)
    return bool(words) and words[0].partition(".")[0] == tag


def direct_of(world: World, reader: str, other: str, views: Views) -> tuple[int, list[Message]]:
    """The id of a direct of `reader`, and what they see of it."""
    with_other = str(world.address(other, reader))
    for each, page in views[reader]:
        if each.group is None and each.user == with_other:
            return each.conversation, list(page.items)
    return 0, []


def _mark_of(world: World, reader: str, conversation: int, other: str) -> int:
    """Up to where the other side of a direct has read, as `reader` sees it."""
    reply = world.people[reader].does(ask.SyncLog(conversation))
    who = str(world.address(other, reader))
    found: list[int] = [each["seq"] for each in reply.data["marks"] if each["who"] == who]
    return found[0] if found else 0
