"""Which accounts are connected, to this node and to the others of the realm, and what others see of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, MutableMapping
from collections.abc import Set as AbstractSet
from enum import Enum, auto
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chatd.service.presence import IListener

# What others see of an account
ONLINE = "online"
AWAY = "away"
OFFLINE = "offline"


# What a node says of an account that is connected there: a sum of these
HERE, AWAY_MARK, IDLE_MARK = 0, 1, 2


class NodeChange(Enum):
    """What a node does about a change of an account that is, or may be, told by another one."""

    TOLD = auto()  # another node tells it
    LEFT = auto()  # the account has left this node, and is connected to another one
    MISSED = auto()  # it happened at another node, and what that has told may be lost
    LOST = auto()  # the node of the account is gone, and each node tells its own listeners


def shown_state(state: str) -> str:
    """A state that another realm tells. One that is not known here means online."""
    return state if state in (AWAY, OFFLINE) else ONLINE


class OnlineAccounts:
    """Connections by account, and the states of the accounts. An account is online while it is connected to
    some node, away if it has said so, and idle if it is idle on all nodes to which it is connected."""

    def __init__(self) -> None:
        self._connected: dict[int, list[IListener]] = {}
        # Accounts that do not show whether they are online
        self._hidden: set[int] = set()
        # Accounts that are online and said that they are away, and those that have sent nothing for a while
        self._away: set[int] = set()
        self._idle: set[int] = set()
        # What the other nodes say of accounts that are connected there, by the nodes' names
        self._copies: Mapping[str, MutableMapping[int, int]] = {}
        self._tell_away: Callable[[tuple[int, bool]], object] = lambda _told: None
        self._on_change: Callable[[int, bool], None] = lambda _account, _soon: None
        self._on_node_change: Callable[[int, NodeChange], None] = lambda _account, _how: None
        self._on_mark: Callable[[int], None] = lambda _account: None

    def on_change(self, then: Callable[[int, bool], None]) -> None:
        """Call `then(account_id, soon)` when what others see of an account changes. `soon` is False for one
        that has gone, because it may come back at once."""
        self._on_change = then

    def on_node_change(self, then: Callable[[int, NodeChange], None]) -> None:
        """Call `then` when an account has changed at another node, or has left this one only."""
        self._on_node_change = then

    def spread(
        self,
        copies: Mapping[str, MutableMapping[int, int]],
        on_mark: Callable[[int], None],
        tell_away: Callable[[tuple[int, bool]], object],
    ) -> None:
        """Take accounts of other nodes from `copies`, and call `on_mark` when what this node says of an
        account has changed (see `mark_of`). `tell_away` tells the others what an account says of itself."""
        self._copies, self._on_mark, self._tell_away = copies, on_mark, tell_away

    def mark_of(self, account_id: int) -> int | None:
        """What this node says of an account: HERE, with AWAY_MARK and IDLE_MARK; None if it is not connected
        here."""
        if account_id not in self._connected:
            return None
        away, idle = account_id in self._away, account_id in self._idle
        return (AWAY_MARK if away else HERE) + (IDLE_MARK if idle else HERE)

    def node_changed(self, account_id: int, how: NodeChange) -> None:
        """What another node says of an account has changed."""
        if account_id not in self._hidden:
            self._on_node_change(account_id, how)

    def arrive(self, account_id: int, listener: IListener) -> None:
        """The account has logged in on a connection."""
        connected = self._connected.setdefault(account_id, [])
        connected.append(listener)
        if len(connected) == 1:
            marks = self._marks_elsewhere(account_id)
            if any(mark & AWAY_MARK for mark in marks):
                self._away.add(account_id)
            self._on_mark(account_id)
            if _merged(marks) != self.own_state(account_id):
                self._changed(account_id, True)

    def leave(self, account_id: int, listener: IListener) -> None:
        """The account is no longer logged in on a connection."""
        before = self.own_state(account_id)
        was_here = account_id in self._connected
        remove_listener(self._connected, account_id, listener)
        if was_here and account_id not in self._connected:
            self._away.discard(account_id)
            self._idle.discard(account_id)
            self._on_mark(account_id)
            after = self.own_state(account_id)
            if after == before:
                self.node_changed(account_id, NodeChange.LEFT)
            else:
                self._changed(account_id, after != OFFLINE)

    def _changed(self, account_id: int, soon: bool) -> None:
        if account_id not in self._hidden:
            self._on_change(account_id, soon)

    # What others see of an account

    def hide(self, hidden: Iterable[int]) -> None:
        """Do not show whether these accounts are online."""
        for account_id in hidden:
            if account_id not in self._hidden and self.own_state(account_id) != OFFLINE:
                self._changed(account_id, True)
            self._hidden.add(account_id)

    def unhide(self, account_id: int) -> None:
        """Show whether the account is online."""
        self._hidden.discard(account_id)
        if self.own_state(account_id) != OFFLINE:
            self._changed(account_id, True)

    def hear_hidden(self, account_id: int, hidden: bool) -> None:
        """The account has chosen at another node whether it shows that it is online."""
        if hidden is not (account_id in self._hidden):
            self._hidden.discard(account_id)
            self.node_changed(account_id, NodeChange.TOLD)
            if hidden:
                self._hidden.add(account_id)

    def set_hidden(self, hidden: Iterable[int]) -> None:
        """These accounts, and no others, do not show whether they are online."""
        self._hidden = set(hidden)

    def set_away(self, account_id: int, away: bool) -> None:
        """The account says that it is away, or back."""
        before, mark = self.state(account_id), self.mark_of(account_id)
        self._set_away(account_id, away)
        if not away:
            self._idle.discard(account_id)
        self._marked(account_id, before, mark)
        if self._copies:
            self._tell_away((account_id, away))

    def set_idle(self, account_id: int, idle: bool) -> None:
        """The account has sent nothing for a while, or does so again."""
        if (account_id in self._idle) is not idle:
            before, mark = self.state(account_id), self.mark_of(account_id)
            if not idle:
                self._idle.discard(account_id)
            elif mark is not None:
                self._idle.add(account_id)
            self._marked(account_id, before, mark)

    def _marked(self, account_id: int, before: str, mark: int | None) -> None:
        if self.mark_of(account_id) != mark:
            self._on_mark(account_id)
        if self.state(account_id) != before:
            self._changed(account_id, True)

    def hear_away(self, account_id: int, away: bool) -> None:
        """The account has said at another node that it is away, or back. That node tells others of it."""
        before, mark = self.state(account_id), self.mark_of(account_id)
        self._set_away(account_id, away)
        if self.mark_of(account_id) != mark:
            self._on_mark(account_id)
        if self.state(account_id) != before:
            self.node_changed(account_id, NodeChange.TOLD)

    def _set_away(self, account_id: int, away: bool) -> None:
        """Mark the account wherever it is connected."""
        if not away:
            self._away.discard(account_id)
        elif account_id in self._connected:
            self._away.add(account_id)
        for copy in self._copies.values():
            if account_id in copy:
                copy[account_id] = copy[account_id] & ~AWAY_MARK | (AWAY_MARK if away else HERE)

    def _marks_elsewhere(self, account_id: int) -> list[int]:
        return [copy[account_id] for copy in self._copies.values() if account_id in copy]

    def state(self, account_id: int) -> str:
        """What others see of the account: ONLINE, AWAY or OFFLINE."""
        return self.own_state(account_id) if self.is_online(account_id) else OFFLINE

    def own_state(self, account_id: int) -> str:
        """What the account would show if it did not hide it."""
        if not self._copies:
            if account_id not in self._connected:
                return OFFLINE
            return AWAY if account_id in self._away or account_id in self._idle else ONLINE
        marks = self._marks_elsewhere(account_id)
        if (mark := self.mark_of(account_id)) is not None:
            marks.append(mark)
        return _merged(marks)

    def is_online(self, account_id: int) -> bool:
        """Whether others see that the account is logged in on some connection."""
        if account_id in self._hidden:
            return False
        return account_id in self._connected or self.is_elsewhere(account_id)

    def is_elsewhere(self, account_id: int) -> bool:
        """Whether the account is logged in at another node."""
        return any(account_id in copy for copy in self._copies.values())

    def online(self) -> Collection[int]:
        """The ids of the accounts that others see online."""
        found: AbstractSet[int] = self._connected.keys()
        if self._copies:
            found = set(found).union(*self._copies.values())
        return found - self._hidden if self._hidden else found

    def connected(self) -> Collection[int]:
        """The ids of the accounts that are logged in on some connection of this node."""
        return self._connected.keys()


def _merged(marks: Collection[int]) -> str:
    """The state of an account, from what each node says where it is connected."""
    if not marks:
        return OFFLINE
    away = any(mark & AWAY_MARK for mark in marks) or all(mark & IDLE_MARK for mark in marks)
    return AWAY if away else ONLINE


def remove_listener(
    by_account: dict[int, list[IListener]], account_id: int, listener: IListener
) -> None:
    """Remove a connection from those of an account, if it is one of them."""
    listeners = by_account.get(account_id, [])
    if listener in listeners:
        # Replace the list instead of changing it, because a caller may be iterating over it.
        by_account[account_id] = [other for other in listeners if other is not listener]
        if not by_account[account_id]:
            del by_account[account_id]
