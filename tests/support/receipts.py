"""Lets tests tell other realms of read marks, and replace the rule that decides who sees whose read marks,
typing and presence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from twisted.trial.unittest import SynchronousTestCase

from chatd.service.realm_news import ReadNews
from chatd.service.remote import Notice
from chatd.simulate.servers import Server
from chatd.store import receipts


def tell_read(server: Server, realm: str, news: ReadNews) -> None:
    """Let a realm tell another one how far somebody has read."""
    forwarder = server.federation.forwarder
    staging = server.realm.database.run(forwarder.stage, [Notice(realm, 1, news)])
    forwarder.send_notices(server.network.result(staging))


def patch_may_see(
    case: SynchronousTestCase, may_see: Callable[[Any, Any], sa.ColumnElement[bool]]
) -> None:
    """Use `may_see` in place of the rule during a test, also in statements that were built before."""
    case.patch(receipts, "may_see", may_see)
    case.patch(receipts, "_PLACES", receipts._select_places())
    members = {each: receipts._select_members(each) for each in (False, True)}
    case.patch(receipts, "_MEMBERS", members)
