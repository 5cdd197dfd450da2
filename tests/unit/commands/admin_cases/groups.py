"""Groups, as operators and moderators manage them."""

from __future__ import annotations

from typing import Any

from chatd.base.names import Address
from chatd.commands import values as ask
from chatd.commands.values import Command

BAGAN = Address("bagan", "realm2")

CASES: tuple[tuple[str, str, dict[str, Any], Command], ...] = (
    ("admin.group.list", "", {}, ask.ListManagedGroups()),
    (
        "admin.group.list",
        "text=ba visibility=private home=elsewhere members=5 state=closed limit=2 after=bagan@realm2",
        {
            "text": "ba",
            "visibility": "private",
            "home": "elsewhere",
            "members": 5,
            "state": "closed",
            "limit": 2,
            "after": "bagan@realm2",
        },
        ask.ListManagedGroups("ba", "private", "elsewhere", 5, "closed", 2, BAGAN),
    ),
    ("admin.group.show", "bagan@realm2", {"group": "bagan@realm2"}, ask.InspectGroup(BAGAN)),
    ("admin.group.close", "bagan", {"group": "bagan"}, ask.ShutGroup(Address("bagan"))),
    (
        "admin.group.close",
        "bagan nothing but spam",
        {"group": "bagan", "reason": "nothing but spam"},
        ask.ShutGroup(Address("bagan"), "nothing but spam"),
    ),
    (
        "admin.group.transfer",
        "bagan budi@realm2 keep_admins=on",
        {"group": "bagan", "user": "budi@realm2", "keep_admins": True},
        ask.PassOnGroup(Address("bagan"), Address("budi", "realm2"), True),
    ),
    ("admin.group.delete", "bagan", {"group": "bagan"}, ask.DeleteGroup(Address("bagan"))),
    ("admin.group.open", "bagan", {"group": "bagan"}, ask.OpenShutGroup(Address("bagan"))),
)
