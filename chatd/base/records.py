"""What the commands of operators and moderators list. All dialects write these records in one way."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, TypeAlias, get_args, get_type_hints

import msgspec

from chatd.base.timestamps import timestamp

_TIME = "time"
Time: TypeAlias = Annotated[int, _TIME]  # ms since 1970 UTC


class AdminRecord(msgspec.Struct, frozen=True):
    """An item of such a list. Its first field says what it is. Fields that are None, False or empty are not
    written, and those that are a `Time` as a timestamp. The name of a number of bytes ends in `size`."""


@cache
def _times(kind: type[AdminRecord]) -> frozenset[str]:
    """The fields that are times."""
    hints = get_type_hints(kind, include_extras=True)
    return frozenset(name for name, hint in hints.items() if _is_time(hint))


def _is_time(hint: Any) -> bool:
    return _TIME in getattr(hint, "__metadata__", ()) or any(map(_is_time, get_args(hint)))


def record_fields(record: AdminRecord) -> dict[str, Any]:
    """The fields of a record as they are written."""
    times = _times(type(record))
    return {
        name: timestamp(value) if name in times else value
        for name, value in msgspec.structs.asdict(record).items()
        if value is not None and value is not False and value != "" and value != ()
    }


class AuditInfo(AdminRecord, frozen=True):
    """An act in the audit log: `actor` did `act` to `target`. `detail` has the other arguments. `outcome` is
    done, begun, or the code of the error."""

    entry: int
    at: Time
    actor: str
    act: str
    outcome: str
    target: str | None = None
    detail: str = ""


class AccountInfo(AdminRecord, frozen=True):
    """An account as operators see it. `used` is when one of its sessions was used last; `files` counts
    those that it has sent, and `size` are their bytes."""

    username: str
    name: str
    role: str
    created: Time
    used: Time | None = None
    online: bool = False
    disabled: bool = False
    files: int = 0
    size: int = 0


class AccountSession(AdminRecord, frozen=True):
    """A session of an account as operators see it."""

    session: int
    created: Time
    used: Time
    client: str = ""
    address: str = ""
    online: bool = False


class UsageInfo(AdminRecord, frozen=True):
    """What an account, a group or a realm uses: messages with `text_size` bytes of text, and files with
    `size` bytes."""

    name: str
    messages: int
    text_size: int
    files: int
    size: int


class NodeInfo(AdminRecord, frozen=True):
    """A node of the realm. `state` is `here` for the one that answers, `alive`, or `silent` if its last beat
    was `silent` ms ago, which is too long. `leases` are those that it has: links to other realms, and work
    that one node does."""

    node: str
    state: str
    address: str
    joined: Time
    silent: int
    leases: int


class RetentionInfo(AdminRecord, frozen=True):
    """How long messages and files are kept. `scope` is `realm`, or `#` and a group that has limits of its
    own. Ages are durations such as `30d`, or `forever`. `size` and `file_size` are bytes, or `all`. What a
    group does not have is as in the realm."""

    scope: str
    age: str | None = None
    size: int | str | None = None
    file_age: str | None = None
    file_size: int | str | None = None
