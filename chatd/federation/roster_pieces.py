"""How realms give each other the rosters of groups: piece by piece."""

from __future__ import annotations

import msgspec


class RosterPiece(msgspec.Struct, frozen=True):
    """The answer to a question for a roster: its statement and proof, encoded, and a piece of its rows."""

    statement: bytes
    proof: bytes
    rows: bytes
