"""What a node shows of itself among the others, for operators."""

from __future__ import annotations

import msgspec

from chatd.cluster.bus import BusCounts


class ClusterFigures(msgspec.Struct, frozen=True):
    """`node` is the name of this node, and `nodes` counts all that it knows, itself included. `beat` is the
    age of its last beat, `quiet` and `delay` are those of the bus (chatd.cluster.bus), all in seconds.
    `leases` are those that it has."""

    node: str
    nodes: int
    beat: float
    leases: int
    bus: BusCounts
    quiet: float
    delay: float | None
