"""What a node has heard of the others on the bus: which numbers come next, and since when they are silent."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto

import msgspec

from chatd.cluster.frames import BusFrame

# Seconds without a frame (twelve heartbeats), and seconds between two gaps that are told of a silent node
SILENT_AFTER = 3.0
FORGOTTEN_AFTER = 60.0  # seconds; a silent node that is not expected
MAX_HEARD = 1000  # nodes; beyond it, the one that was heard longest ago is forgotten
UNKNOWN = 0  # the start of a node that was not heard yet; no node has it


class Hearing(Enum):
    """Whether a node is heard."""

    HEARD = auto()
    SILENT = auto()


class HeardNode(msgspec.Struct):
    """`next` is the number of the next message of the node's start. `at` is when it was heard, and `due` when
    a gap is to be told unless it is heard. `is_expected` says whether the node is known to live."""

    at: float
    due: float
    start: int = UNKNOWN
    next: int = 0
    state: Hearing = Hearing.HEARD
    is_expected: bool = False


class FrameNews(msgspec.Struct, frozen=True):
    """What is new in a frame, and whether messages before it may have been lost."""

    messages: Sequence[bytes] = ()
    gap: bool = False


NOTHING_NEW = FrameNews()


class HeardNodes:
    """Its times are monotonic, in seconds."""

    def __init__(self) -> None:
        self._nodes: dict[str, HeardNode] = {}

    def __len__(self) -> int:
        """How many nodes are known."""
        return len(self._nodes)

    def expect(self, node: str, now: float) -> None:
        """A node lives, so it should be heard from now on."""
        self._get(node, now).is_expected = True

    def forget(self, node: str) -> bool:
        """Returns whether it was known."""
        return self._nodes.pop(node, None) is not None

    def arrived(self, frame: BusFrame, now: float) -> FrameNews:
        """A frame has arrived. Frames may come twice, late, in any order, or not at all."""
        heard = self._get(frame.node, now)
        if frame.start < heard.start:
            # The node was started again since, which was told as a gap.
            return NOTHING_NEW
        heard.at, heard.due, heard.state = now, now + SILENT_AFTER, Hearing.HEARD
        gap = frame.start > heard.start or frame.first > heard.next
        if gap:
            heard.start, heard.next = frame.start, frame.first
        messages = frame.messages[heard.next - frame.first :]
        heard.next += len(messages)
        return FrameNews(messages, gap)

    def silent(self, now: float) -> list[tuple[str, bool]]:
        """The nodes of which a gap is to be told because they are silent, and whether they have just fallen
        silent. As long as they are, the database is all that tells what they do."""
        found = []
        for name, heard in list(self._nodes.items()):
            if now < heard.due:
                continue
            found.append((name, heard.state is Hearing.HEARD))
            heard.due, heard.state = now + SILENT_AFTER, Hearing.SILENT
            if not heard.is_expected and now - heard.at > FORGOTTEN_AFTER:
                del self._nodes[name]
        return found

    def quiet_for(self, now: float) -> float:
        """The seconds since the node was heard that was heard longest ago; 0 if there are no others."""
        return max((now - heard.at for heard in self._nodes.values()), default=0.0)

    def _get(self, node: str, now: float) -> HeardNode:
        heard = self._nodes.get(node)
        if heard is None:
            if len(self._nodes) >= MAX_HEARD:
                del self._nodes[min(self._nodes, key=lambda name: self._nodes[name].at)]
            heard = self._nodes[node] = HeardNode(now, now + SILENT_AFTER)
        return heard
