"""Arguments that several commands of operators and moderators share."""

from __future__ import annotations

from chatd.commands import arguments as types
from chatd.commands.rows import Arg

ACCOUNT = Arg("user", types.NAME)
LIMIT = Arg("limit", types.COUNT, optional=True, named=True)  # of a page
EXPIRES = Arg("expires", types.DURATION, optional=True, named=True)
REASON = Arg("reason", types.REASON, optional=True)
