"""The bans of accounts, networks and realms, in memory: they are looked up at each connection and request.

An account that is banned can't log in, a network can't connect, and with a realm there is no link. Expired
bans have no effect, and are removed from the database at the next ban.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from ipaddress import ip_network

from sqlalchemy import Connection

from chatd.base.ban_targets import ACCOUNT, NETWORK, REALM, BanKind, BanTarget
from chatd.base.errors import Banned, NotBannedHere
from chatd.base.isolation import guarded
from chatd.base.model import Account
from chatd.base.sources import parse_ip
from chatd.base.terms import Term
from chatd.base.timers import Timer
from chatd.service.audit import Act
from chatd.service.context import Context
from chatd.service.node_caches import NodeTable
from chatd.store import access_bans as store
from chatd.store.access_bans import AccessBan

# Seconds after which the ends of bans of realms are looked at again, because the date may be changed
LONGEST_WAIT = 3600.0


class AccessBans:
    """All bans of the realm."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._bans: dict[tuple[BanKind, str], AccessBan] = {}
        # (version, length of the prefix) -> prefix as a number -> ban. So a look-up takes one step for each
        # length that is in use, and not one for each ban.
        self._networks: defaultdict[tuple[int, int], dict[int, AccessBan]] = defaultdict(dict)
        self._on_network: list[Callable[[], object]] = []
        self._on_account: Callable[[AccessBan], object] = lambda _ban: None
        self._table: NodeTable[str, list[AccessBan]] = NodeTable(
            context, "access bans", str, self._read, self._take
        )
        context.rechecks.add(self._table.read_all)
        self._ending = Timer(context.clock, self._restrict)

    def load(self, found: Iterable[AccessBan]) -> None:
        """Take the bans that are stored."""
        for ban in found:
            self._add(ban)
        self._restrict()

    def stop(self) -> None:
        """Look no more for bans of realms that end."""
        self._ending.cancel()

    def on_network(self, then: Callable[[], object]) -> None:
        """Call `then` when a network was banned: it has to close the connections from there."""
        self._on_network.append(then)

    def on_account(self, then: Callable[[AccessBan], object]) -> None:
        """Call `then` when another node has banned an account: it has to close its connections."""
        self._on_account = then

    # What other nodes have changed

    def _read(self, connection: Connection, _targets: object) -> list[AccessBan]:
        return store.all_bans(connection, self._context.now())

    def _take(self, _targets: object, found: Sequence[AccessBan]) -> None:
        before, self._bans = self._bans, {}
        self._networks.clear()
        self.load(found)
        news = [ban for key, ban in self._bans.items() if before.get(key) != ban]
        if any(ban.target.kind == NETWORK for ban in news):
            self._close_network()
        for ban in news:
            if ban.target.kind == ACCOUNT:
                guarded("connections of a banned account were not closed", self._on_account, ban)

    def _close_network(self) -> None:
        for then in self._on_network:
            guarded("connections from a banned network were not closed", then)

    # Who is banned

    def of_address(self, host: str | None) -> AccessBan | None:
        """The ban of the network address `host`. A Unix socket has none."""
        if not self._networks or not host or (address := parse_ip(host)) is None:
            return None
        now = self._context.now()
        bits, number, version = address.max_prefixlen, int(address), address.version
        for (of, length), bans in self._networks.items():
            if of == version:
                ban = bans.get(number >> (bits - length))
                if ban is not None and ban.holds(now):
                    return ban
        return None

    def refusal(self, host: str | None) -> Banned | None:
        """The error for a client at that network address; None if it is not banned."""
        ban = self.of_address(host)
        return None if ban is None else self.error(ban)

    def check_account(self, account: Account) -> None:
        """Raises Banned."""
        ban = self._bans.get((ACCOUNT, account.key))
        if ban is not None and ban.holds(self._context.now()):
            raise self.error(ban)

    def error(self, ban: AccessBan) -> Banned:
        """What somebody is told who is banned."""
        term = Term(ban.until, ban.reason)
        return Banned(group=self._context.config.realm, until=term, advice="ask its operators")

    def list(self, kind: BanKind | None, limit: int) -> tuple[Sequence[AccessBan], int]:
        """The newest `limit` bans, and how many more there are."""
        now = self._context.now()
        found = [
            ban
            for ban in reversed(self._bans.values())
            if ban.holds(now) and kind in (None, ban.target.kind)
        ]
        return found[:limit], max(0, len(found) - limit)

    # Changing them

    async def add(
        self,
        act: Act,
        target: BanTarget,
        account: Account | None,
        reason: str,
        seconds: int | None,
    ) -> AccessBan:
        """Ban `target`, for `seconds` or without an end, in place of an earlier ban. `account` is the account
        that it names. Returns the ban. Raises UnknownUser, TooManyBans."""
        now = self._context.now()
        until = None if seconds is None else now + 1000 * seconds
        ban = AccessBan(target, now, until, reason, act.actor.name)
        await act.run(store.put_ban, ban, account, now)
        for other in [each for each in self._bans.values() if not each.holds(now)]:
            self._drop(other.target)
        self._drop(target)
        self._add(ban)
        if target.kind == NETWORK:
            self._close_network()
        elif target.kind == REALM:
            self._restrict()
        self._table.tell(target.key)
        return ban

    async def remove(self, act: Act, target: BanTarget) -> None:
        """Lift a ban. Raises NotBannedHere."""
        found = self._bans.get((target.kind, target.key))
        if found is not None and not found.holds(self._context.now()):
            raise NotBannedHere(target=str(target))
        await act.run(store.remove_ban, target)
        self._drop(target)
        if target.kind == REALM:
            self._restrict()
        self._table.tell(target.key)

    def _add(self, ban: AccessBan) -> None:
        self._bans[ban.target.kind, ban.target.key] = ban
        if (place := _place(ban.target)) is not None:
            version, length, number = place
            self._networks[version, length][number] = ban

    def _drop(self, target: BanTarget) -> None:
        self._bans.pop((target.kind, target.key), None)
        if (place := _place(target)) is not None:
            version, length, number = place
            self._networks[version, length].pop(number, None)
            if not self._networks[version, length]:
                del self._networks[version, length]

    def _restrict(self) -> None:
        """Let banned realms not link, and those whose bans have ended again."""
        now = self._context.now()
        bans = [ban for ban in self._bans.values() if ban.target.kind == REALM and ban.holds(now)]
        self._context.ban_realms(frozenset(ban.target.key for ban in bans))
        self._ending.cancel()
        ends = [ban.until for ban in bans if ban.until is not None]
        if ends:
            self._ending.start(min(LONGEST_WAIT, (min(ends) - now) / 1000 + 0.001))


def _place(target: BanTarget) -> tuple[int, int, int] | None:
    """The version, the length of the prefix, and the prefix of a network."""
    if target.kind != NETWORK:
        return None
    network = ip_network(target.name)
    number, unused = int(network.network_address), network.max_prefixlen - network.prefixlen
    return network.version, network.prefixlen, number >> unused
