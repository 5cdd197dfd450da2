"""Tells readers that an unverified entry was verified, or that its author's realm did not sign it."""

from __future__ import annotations

from collections.abc import Sequence

from chatd.base.events import StateChange
from chatd.base.isolation import guarded
from chatd.service.presence import Presence
from chatd.store.guard import reason_of
from chatd.store.judged import JudgedEntry

UNTOLD = "readers were not told whether an entry was signed"


def tell_judged(presence: Presence, judged: Sequence[JudgedEntry]) -> None:
    """Tell the members who see these entries, where they follow everything."""
    for conversation, seq, ident, sender, status, accounts in judged:
        event = StateChange(conversation, seq, ident, status, reason_of(status, sender))
        guarded(UNTOLD, presence.tell_followers, accounts, event, None)
    presence.flush()
