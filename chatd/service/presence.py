"""Who is connected, who listens, and passing events to listeners."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple, TypeAlias

from zope.interface import Interface

from chatd.base.counters import Counters
from chatd.base.errors import ChatError
from chatd.base.events import Event
from chatd.base.isolation import drop_failed, guarded
from chatd.service.online_accounts import OnlineAccounts, remove_listener

# Whom an event is for, the event, the connection that caused it, and whether it is for followers only
Told: TypeAlias = "tuple[Collection[int], Event, IListener | None, bool]"
# As above, without the connection, and with the entry of a group that the event is about
ToldToNodes: TypeAlias = "tuple[Collection[int], Event, bool, LogPlace | None]"


class LogPlace(NamedTuple):
    """An entry of the log of a group that is told to those who see the entry `seq`. `epoch` is that of the
    log when it was stored, or a later one; None: it is not known."""

    group: int
    epoch: int | None
    seq: int


# Accounts that get an event in one turn of the reactor. More get it in several, so that other clients do not
# wait.
MAX_AT_ONCE = 1000
# If more events than these wait, they are passed on at once, so that their number is bounded.
MAX_WAITING = 1000


class IListener(Interface):
    """A connection that gets events as they happen."""

    def deliver(events: Sequence[Event]) -> None:
        """Take events in order, without blocking. A connection that raises here is dropped. All listeners of
        the same events get the same sequence object, so that it can be encoded once."""

    def drop() -> None:
        """End the connection at once."""

    def refuse(error: ChatError) -> None:
        """Tell the client of an error, and close the connection."""


class Presence(OnlineAccounts):
    """Connections by account: those that are logged in, and those that listen.

    Events wait for `flush`, so that a listener gets many at once: until the outcomes of a transaction are all
    passed on, or else until the reactor's next turn (`on_waiting`).
    """

    def __init__(self, counters: Counters | None = None) -> None:
        super().__init__()
        self._counters = counters or Counters()
        self._listening: dict[int, list[IListener]] = {}
        # Those of the listeners that get all events
        self._following: dict[int, list[IListener]] = {}
        self._told: list[Told] = []
        # There are other nodes, where anybody may listen
        self.elsewhere = False
        # There may be other nodes later: what is told is noted until then
        self._in_cluster = False
        self._for_others: list[ToldToNodes] = []
        self._on_told: Callable[[Sequence[ToldToNodes]], object] | None = None
        self._on_waiting: Callable[[], object] = lambda: None
        self._origin_of: Callable[[Event], IListener | None] = lambda _event: None
        self._on_follow: Callable[[int], object] = lambda _account: None

    def on_waiting(self, then: Callable[[], object]) -> None:
        """Call `then` when events begin to wait that may come after a transaction. It has to schedule a
        `flush`."""
        self._on_waiting = then

    def on_follow(self, then: Callable[[int], object]) -> None:
        """Call `then(account_id)` when the first connection of an account begins to listen for all events."""
        self._on_follow = then

    def on_told(
        self, then: Callable[[Sequence[ToldToNodes]], object], in_cluster: bool = False
    ) -> None:
        """Call `then` with the events of a flush while there are other nodes (`elsewhere`), or always if this
        node is `in_cluster`."""
        self._on_told = then
        self._in_cluster = in_cluster

    def set_elsewhere(self, elsewhere: bool) -> None:
        """Whether there are other nodes."""
        self.elsewhere = elsewhere
        if not elsewhere and not self._in_cluster:
            self._for_others.clear()

    def hear(self, accounts: Collection[int], event: Event, followers: bool) -> None:
        """Pass an event that another node has told to those who listen here."""
        if not self._told:
            self._on_waiting()
        self._told.append((accounts, event, self._origin_of(event), followers))

    def on_heard(self, origin_of: Callable[[Event], IListener | None]) -> None:
        """Let `origin_of` name the connection here that caused an event of another node, if there is one."""
        self._origin_of = origin_of

    def leave(self, account_id: int, listener: IListener) -> None:
        """The account is no longer logged in on a connection."""
        for listeners in (self._listening, self._following):
            remove_listener(listeners, account_id, listener)
        super().leave(account_id, listener)

    def listen(
        self, account_id: int, listener: IListener, on: bool, all_events: bool = False
    ) -> None:
        """Start or stop passing the account's messages to `listener`, and with `all_events` all events."""
        _set(self._listening, account_id, listener, on)
        followed = account_id in self._following
        _set(self._following, account_id, listener, on and all_events)
        if not followed and account_id in self._following:
            self._on_follow(account_id)

    def listeners(self) -> int:
        """How many connections of this node listen."""
        return sum(map(len, self._listening.values()))

    def listening(self) -> list[int]:
        """The accounts for which a connection of this node listens."""
        return list(self._listening)

    def drop_listeners(self) -> None:
        """End the connections that listen, because events may be lost that nobody tells again. Clients read
        what they have missed when they have connected again."""
        listeners = dict.fromkeys(each for many in self._listening.values() for each in many)
        for listener in listeners:
            guarded("a connection could not be dropped", listener.drop)

    def listens_here(self, accounts: Collection[int]) -> bool:
        """Whether a connection of this node listens for one of `accounts`."""
        listening = self._listening
        fewer, more = (
            (accounts, listening) if len(accounts) < len(listening) else (listening, accounts)
        )
        return any(account in more for account in fewer)

    def hears(self, accounts: Collection[int], origin: IListener | None) -> bool:
        """Whether any connection except `origin` may listen for one of `accounts`."""
        if self.elsewhere:
            return True
        for account in accounts:
            for listener in self._listening.get(account, ()):
                if listener is not origin:
                    return True
        return False

    def tell(
        self,
        accounts: Collection[int],
        event: Event,
        origin: IListener | None,
        place: LogPlace | None = None,
    ) -> None:
        """At the end of the transaction, pass `event` to all that listen for one of `accounts`, except
        `origin`, the connection that it came from. `place` is the entry of a group that it is about."""
        self._told.append((accounts, event, origin, False))
        if self.elsewhere or self._in_cluster:
            self._for_others.append((accounts, event, False, place))

    def tell_soon(self, accounts: Collection[int], event: Event) -> None:
        """As `tell`, for an event that may come after the end of the transaction."""
        self._on_waiting()
        self.tell(accounts, event, None)

    def tell_followers(
        self,
        accounts: Collection[int],
        event: Event,
        origin: IListener | None,
        place: LogPlace | None = None,
    ) -> None:
        """As `tell_soon`, for an event that only connections get that listen for all events."""
        if self._following or self.elsewhere or self._in_cluster:
            self.tell_followers_here(accounts, event, origin)
            if self.elsewhere or self._in_cluster:
                self._for_others.append((accounts, event, True, place))

    def tell_followers_here(
        self, accounts: Collection[int], event: Event, origin: IListener | None = None
    ) -> None:
        """As `tell_followers`, for the connections of this node only."""
        if not self._told:
            self._on_waiting()
        self._told.append((accounts, event, origin, True))

    @property
    def anyone_follows(self) -> bool:
        """Whether any connection may listen for all events."""
        return bool(self._following) or self.elsewhere

    def followers_of(self, accounts: Collection[int]) -> list[int]:
        """Those of `accounts` for which some connection may listen for all events."""
        if self.elsewhere:
            return list(accounts)
        following = self._following
        return [account for account in accounts if account in following]

    def is_following(self, account_id: int, listener: IListener) -> bool:
        """Whether that connection listens for all events of the account."""
        return listener in self._following.get(account_id, ())

    def may_follow(self, accounts: Collection[int]) -> bool:
        """Whether any connection here listens for all events of one of `accounts`, or one of these is logged
        in at another node."""
        return any(each in self._following or self.is_elsewhere(each) for each in accounts)

    def follows(self, accounts: Collection[int]) -> bool:
        """Whether any connection may listen for all events of one of `accounts`."""
        following = self._following
        return self.elsewhere or (
            bool(following) and any(account in following for account in accounts)
        )

    def flush(self) -> None:
        """Pass on the events since the last flush. Consecutive events for the same accounts are passed
        together."""
        if self._for_others and self._on_told is not None:
            others, self._for_others = self._for_others, []
            self._on_told(others)
        told, self._told = self._told, []
        if not self._listening:
            return
        most = MAX_AT_ONCE if len(told) < MAX_WAITING else len(self._listening)
        start = 0
        while start < len(told):
            accounts, _, _, followers = told[start]
            end = start + 1
            while end < len(told) and told[end][0] is accounts and told[end][3] is followers:
                end += 1
            _, events, origins, _ = zip(*told[start:end], strict=True)
            listening = self._following if followers else self._listening
            left = self._give(listening, accounts, events, origins, most)
            if left:
                later = [(left, *each[1:]) for each in told[start:end]]
                self._told = [*later, *told[end:], *self._told]
                self._on_waiting()
                return
            start = end

    def _give(
        self,
        listening: dict[int, list[IListener]],
        accounts: Collection[int],
        events: tuple[Event, ...],
        origins: tuple[IListener | None, ...],
        most: int,
    ) -> Collection[int]:
        """Pass events to the listeners of the first `most` accounts. Returns the accounts that are left."""
        # Go through the shorter list: a large group with few listeners costs only those few.
        size = len(accounts)
        present: Collection[int] = accounts
        left: Collection[int] = ()
        if size > len(listening):
            present = [account for account in listening if account in accounts]
        if size > most:
            everybody = list(present)
            present, left = everybody[:most], dict.fromkeys(everybody[most:])  # for `in`, above
        one_origin = origins[0] if origins.count(origins[0]) == len(origins) else self
        given, many = 0, len(events)
        for account in present:
            for listener in listening.get(account, ()):
                if listener is one_origin:
                    continue
                try:
                    if one_origin is not self or listener not in origins:
                        listener.deliver(events)
                        given += many
                    elif others := [
                        event
                        for event, origin in zip(events, origins, strict=True)
                        if origin is not listener
                    ]:
                        listener.deliver(others)
                        given += len(others)
                except Exception:
                    self.listen(account, listener, False)
                    drop_failed(listener)
        self._counters.delivered += given
        return left


def _set(
    by_account: dict[int, list[IListener]], account_id: int, listener: IListener, on: bool
) -> None:
    if not on:
        remove_listener(by_account, account_id, listener)
    elif listener not in by_account.get(account_id, ()):
        by_account.setdefault(account_id, []).append(listener)
