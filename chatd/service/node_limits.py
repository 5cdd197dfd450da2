"""Limits on uses in an hour that hold for all nodes of a realm together.

Each node tells the others what it has counted. What the bus loses counts at its own node only. If several
nodes allow the last use at the same moment, the key is in debt afterwards, and waits longer for the next one.
"""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime

from chatd.base.throttle import Quota
from chatd.service.node_news import NodeNews


def share_quota(quota: Quota, news: NodeNews, clock: IReactorTime, topic: str) -> Quota:
    """Count the uses of `quota` at all nodes. `topic` identifies it. Returns `quota`."""

    def heard(told: tuple[str, bool]) -> None:
        key, used = told
        if used:
            quota.used_elsewhere(key, clock.seconds())
        else:
            quota.returned_elsewhere(key)

    quota.on_use(news.topic(topic, tuple[str, bool], heard, lambda: None))
    return quota
