"""The commands with which operators watch the realm."""

from __future__ import annotations

from chatd.base import errors
from chatd.base.roles import OPERATOR
from chatd.commands import arguments as types
from chatd.commands import values as ask
from chatd.commands.rows import Arg, Row
from chatd.commands.table.admin.common import LIMIT

ROWS: tuple[Row, ...] = (
    Row(
        "admin.audit",
        ask.ReadAudit,
        "list what operators and moderators have done, the newest first",
        (LIMIT, Arg("before", types.COUNT, optional=True, named=True)),
        role=OPERATOR,
        errors=(errors.NotOperator,),
    ),
    Row(
        "admin.node.list",
        ask.ListNodes,
        "list the nodes that serve the realm, and what the bus between them has carried",
        role=OPERATOR,
        errors=(errors.NotOperator,),
    ),
    Row(
        "admin.stats",
        ask.ShowStats,
        "show how much there is in the realm",
        role=OPERATOR,
        errors=(errors.NotOperator,),
    ),
)
