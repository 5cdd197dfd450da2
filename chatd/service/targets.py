"""The conversation that a message is sent to, and who takes part in it."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from chatd.base.errors import GroupShut
from chatd.store.roster import Roster


class Target(msgspec.Struct, frozen=True):
    """A conversation to send to, and the accounts that take part in it; `to` or `group` names it.

    `realms` are the keys of other realms that get a copy. `home` is the key of the realm that a group lives
    in, if that is another: a message is stored there first, and comes back from there. `home_id` is its id
    there, if it is known here. `title` is the group's. `epoch` is that of the roster, which decides who may
    write if the group lives here. `shut` is why the operators of this realm have closed a group of it.
    """

    conversation: int
    audience: Collection[int]
    to: str | None = None
    group: str | None = None
    realms: tuple[str, ...] = ()
    home: str | None = None
    title: str | None = None
    home_id: int | None = None
    epoch: int | None = None
    shut: str | None = None

    def check_open(self) -> None:
        """Raises GroupShut."""
        if self.shut is not None:
            raise GroupShut(group=self.group, reason=self.shut)

    @property
    def name(self) -> str:
        """The address of the person or group."""
        return self.to or self.group or ""

    @property
    def there(self) -> str:
        """The name as its own realm writes it."""
        return self.name.partition("@")[0]


def group_target(roster: Roster) -> Target:
    """The target of a message to a group."""
    group = roster.group
    return Target(
        group.id,
        roster.members,
        group=group.name,
        realms=tuple(roster.realms),
        home=group.realm,
        title=group.title,
        home_id=group.home_id,
        epoch=roster.epoch,
        shut=None if group.realm is not None else group.shut,
    )
