"""Who is in a group, as it is kept in memory, and what a transaction changes of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import msgspec

from chatd.base.model import Group, Party


class Delta(msgspec.Struct, frozen=True):
    """What a transaction changed in the roster of the group with the id `group`. `roles` are in order: True
    is an admin, None is no longer a member. `fields` are new attributes of the Group. New members see the
    entries from `first` on. `banned` and `unbanned` are keys of addresses. `epoch` is that of the group's log
    after the change."""

    group: int
    roles: tuple[tuple[Party, bool | None], ...] = ()
    fields: dict[str, Any] = {}
    ended: bool = False
    banned: tuple[str, ...] = ()
    unbanned: tuple[str, ...] = ()
    epoch: int = 0
    first: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing was changed."""
        return self == Delta(self.group)


class Viewers(Collection[int]):
    """The accounts that see the entry `seq` of a group, without a copy of its members. Its length may be too
    large."""

    __slots__ = ("_firsts", "_members", "_seq")

    def __init__(self, roster: Roster, seq: int) -> None:
        self._members, self._firsts = roster.members, roster.firsts
        self._seq = seq

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, account: object) -> bool:
        return account in self._members and self._firsts.get(account, 0) <= self._seq

    def __iter__(self) -> Iterator[int]:
        return (account for account in self._members if self._firsts.get(account, 0) <= self._seq)


class Roster(msgspec.Struct):
    """A group and its members, each with whether they are an admin, longest-standing first: `members` by
    account id; `guests`, who are of other realms, by the key of their address. `realms` counts guests by
    the key of their realm. `banned` holds keys of addresses. `epoch` is that of the group's log. `firsts` has
    the first entry that each account sees, if it does not see all. From the entry `seen_by_all` on, all
    members see all."""

    group: Group
    members: dict[int, bool]
    guests: dict[str, bool]
    realms: dict[str, int]
    banned: set[str]
    epoch: int = 0
    firsts: dict[int, int] = {}
    seen_by_all: int = 0

    def __post_init__(self) -> None:
        self.seen_by_all = max(self.firsts.values(), default=0)

    def role(self, party: Party) -> bool | None:
        """Whether `party` is an admin; None for non-members."""
        return self.members.get(party.id) if party.id is not None else self.guests.get(party.key)

    @property
    def size(self) -> int:
        """How many members there are, of all realms."""
        return len(self.members) + len(self.guests)

    def apply(self, delta: Delta) -> None:
        """Deltas have to be applied in the order of their transactions."""
        for party, admin in delta.roles:
            if party.id is None:
                self._set_guest(party, admin)
            elif admin is None:
                self.members.pop(party.id, None)
                self.firsts.pop(party.id, None)
            else:
                if delta.first and party.id not in self.members:
                    # Earlier events may wait to be passed on to the members as they were.
                    self.members = dict(self.members)
                    self.firsts[party.id] = delta.first
                    self.seen_by_all = max(self.seen_by_all, delta.first)
                self.members[party.id] = admin
        if delta.fields:
            self.group = msgspec.structs.replace(self.group, **delta.fields)
        self.banned.difference_update(delta.unbanned)
        self.banned.update(delta.banned)
        self.epoch = max(self.epoch, delta.epoch)

    def viewers(self, seq: int) -> Collection[int]:
        """The accounts that see an entry."""
        return self.members if seq >= self.seen_by_all else Viewers(self, seq)

    def _set_guest(self, party: Party, admin: bool | None) -> None:
        realm = party.realm or ""
        if admin is not None:
            if party.key not in self.guests:
                self.realms[realm] = self.realms.get(realm, 0) + 1
            self.guests[party.key] = admin
        elif self.guests.pop(party.key, None) is not None:
            self.realms[realm] -= 1
            if not self.realms[realm]:
                del self.realms[realm]
