"""Signs the rosters of groups here for the realms with members, and fetches those of groups elsewhere.

A home tells a realm the numbers of its newest rosters: of all common groups when the link comes up, and of a
group when it has changed. The realm asks for those that it lacks. So nothing waits in an outbox, and a realm
that was restored from a backup, or was away, gets the newest roster of each group and no others.

A roster of many members costs as much as they are, so a large group gets one less often: SECONDS for each
member between two.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

import msgspec
from sqlalchemy import Connection
from twisted.logger import Logger

from chatd.base.background import in_background, log_unexpected
from chatd.base.errors import BadSignature, ChatError, RealmDown, UnknownGroup
from chatd.base.timers import Timer
from chatd.federation.capabilities import RESCUES
from chatd.federation.links import ILinks
from chatd.federation.realm_quotas import RealmQuotas
from chatd.federation.roster_pieces import RosterPiece
from chatd.federation.signing.entries import Trust
from chatd.federation.signing.group_rosters import (
    ADMIN,
    BANNED,
    MAX_ROSTER,
    MAX_ROWS,
    MEMBER,
    RosterPlace,
    RosterRow,
    RosterStatement,
    check_rows,
    decode_roster_statement,
    state_roster,
)
from chatd.federation.signing.key_book import KeyBook
from chatd.federation.signing.proofs import Proof
from chatd.federation.signing.statements import encode
from chatd.service.context import Context
from chatd.store import group_rosters as store
from chatd.store.group_rosters import RosterBase, RosterMember, StoredRoster

SOON = 5.0  # seconds between a change of a group and its roster, at least
SECONDS = 0.36  # for each member, between two rosters of a group: an hour for 10,000
PIECE = 32 << 10  # bytes of rows in one answer
LISTED = 1000  # groups in one hint
MAX_DIRTY = 100_000  # groups that have changed since their rosters
MAX_WANTED = 10_000  # rosters that are fetched from one realm

log = Logger()
_proofs = msgspec.msgpack.Decoder(Proof)

# Signs a statement with the current key of this realm
Sign = Callable[[bytes], Proof]


class RosterSupply:
    """The rosters of groups here."""

    def __init__(self, context: Context, links: ILinks, sign: Sign) -> None:
        self._context = context
        self._database = context.database
        self._own = context.realm_key
        self._links = links
        self._sign = sign
        self._linked: set[str] = set()
        # Groups that have changed -> when the next roster may be made, by the clock
        self._dirty: OrderedDict[int, float] = OrderedDict()
        self._stopped = False
        self._signing = Timer(context.clock, self._begin)

    def stop(self) -> None:
        self._stopped = True
        self._signing.cancel()

    def changed(self, group: int) -> None:
        """The group has changed. If no realm is linked, it is noticed when one is."""
        if self._linked and not self._stopped and len(self._dirty) < MAX_DIRTY:
            self._dirty.setdefault(group, self._context.clock.seconds() + SOON)
            self._signing.start(SOON)

    def link_up(self, realm: str) -> None:
        """Tell the realm the numbers of the rosters of all common groups."""
        if not self._links.lacks(realm, RESCUES):
            self._linked.add(realm)
            in_background("{realm} was not told of rosters", self._tell_all(realm), realm=realm)

    def linked_elsewhere(self, realm: str) -> None:
        """Another node of this realm is linked with that one, and has told it of all rosters."""
        if not self._links.lacks(realm, RESCUES):
            self._linked.add(realm)

    def link_down(self, realm: str) -> None:
        self._linked.discard(realm)

    async def _tell_all(self, realm: str) -> None:
        after = 0
        while realm in self._linked:
            page = await self._database.read(store.shared_rosters, realm, after, LISTED)
            told = [(each.group, each.number) for each in page if each.number is not None]
            if told:
                self._links.rosters_changed(realm, told)
            for each in page:
                if each.is_stale:
                    self.changed(each.group)
            if len(page) < LISTED:
                return
            after = page[-1].group

    def _begin(self) -> None:
        in_background("rosters were not signed", self._sign_due())

    async def _sign_due(self) -> None:
        """Sign the rosters that are due, one after another."""
        now = self._context.clock.seconds()
        for group in [each for each, due in self._dirty.items() if due <= now]:
            del self._dirty[group]
            try:
                await self._renew(group)
            except Exception:
                log_unexpected("the roster of a group was not signed")
        if self._dirty and not self._stopped:
            self._signing.start(SOON)

    async def _renew(self, group: int) -> None:
        base = await self._database.read(store.roster_base, group)
        if base is None or len(base.members) > MAX_ROWS:
            return
        realms = await self._database.read(store.realms_with_members, group)
        if not realms:
            return
        wait = await self._database.read(self._wait, group, len(base.members))
        if wait > 0:
            self._dirty[group] = self._context.clock.seconds() + wait
            return
        number = await self._database.run(self._store, base)
        for realm in realms:
            if realm in self._linked:
                self._links.rosters_changed(realm, [(group, number)])

    def _wait(self, connection: Connection, group: int, members: int) -> float:
        """The seconds until the group may get another roster."""
        made = store.made_at(connection, group)
        if made is None:
            return 0.0
        passed = (self._context.now() - made) / 1000
        # A clock that was ahead must not stop rosters.
        return SECONDS * members - passed if passed >= 0 else 0.0

    def _store(self, connection: Connection, base: RosterBase) -> int:
        """Sign and store a roster. Runs in the writer's thread. Returns its number."""
        number, now = self._context.writers.parcels.take(connection), self._context.now()
        group, name = base.group, self._context.config.realm
        place = RosterPlace(self._own, group.id, group.name, base.seq)
        statement, rows = state_roster(
            place, [_row(each, name) for each in base.members], number, now
        )
        if len(rows) > MAX_ROSTER:
            return 0
        signed = StoredRoster(number, statement, encode(self._sign(statement)), rows)
        store.keep_own(connection, base, signed, now)
        return number

    async def piece(self, realm: str, group: int, offset: int) -> RosterPiece:
        """A piece of the roster of a group, for a realm with members. Raises UnknownGroup."""
        found = await self._database.read(store.own_roster, realm, group)
        if found is None or found.rows is None or not 0 <= offset <= len(found.rows):
            raise UnknownGroup(name=str(group))
        return RosterPiece(found.statement, found.proof, found.rows[offset : offset + PIECE])


def _row(member: RosterMember, realm: str) -> RosterRow:
    address = member.address if "@" in member.address else f"{member.address}@{realm}"
    role = BANNED if member.admin is None else ADMIN if member.admin else MEMBER
    return RosterRow(address, role, member.since, member.first)


class RosterCopies:
    """The rosters of groups elsewhere. One is fetched at a time from each realm."""

    def __init__(self, context: Context, links: ILinks, keys: KeyBook, quotas: RealmQuotas) -> None:
        self._database = context.database
        self._links = links
        self._keys = keys
        self._quotas = quotas
        # Realm -> the numbers of the rosters to fetch, by the realm's ids of the groups
        self._wanted: dict[str, OrderedDict[int, int]] = {}

    def link_down(self, realm: str) -> None:
        """The realm tells its numbers again over the next link."""
        self._wanted.pop(realm, None)

    async def told(self, realm: str, numbers: Sequence[tuple[int, int]]) -> None:
        """Fetch the rosters with these numbers that are not here. Never raises: no answer is wanted."""
        try:
            lacking = await self._database.read(store.lacking_rosters, realm, dict(numbers))
        except ChatError:
            return
        if not lacking:
            return
        is_idle = realm not in self._wanted
        wanted = self._wanted.setdefault(realm, OrderedDict())
        for group, number in lacking.items():
            if len(wanted) < MAX_WANTED:
                wanted[group] = number
        if is_idle:
            in_background(
                "rosters of {realm} were not fetched", self._fetch_all(realm, wanted), realm=realm
            )

    async def _fetch_all(self, realm: str, wanted: OrderedDict[int, int]) -> None:
        try:
            while wanted and self._wanted.get(realm) is wanted:
                group, _ = wanted.popitem(last=False)
                try:
                    await self._fetch(realm, group)
                except RealmDown:
                    return  # the next link begins again
                except ChatError as error:
                    log.debug("a roster of {realm} is not taken: {error}", realm=realm, error=error)
        finally:
            if self._wanted.get(realm) is wanted:
                del self._wanted[realm]

    async def _fetch(self, realm: str, group: int) -> None:
        """Fetch one roster. Raises what the realm refuses with, BadSignature, RealmQuota."""
        found = await self._links.roster(realm, group, 0)
        statement = self.check(realm, found.statement, found.proof)
        if (statement.home, statement.group) != (realm, group):
            raise BadSignature(reason="it is the roster of another group")
        kept = StoredRoster(statement.number, found.statement, found.proof, None)
        # Who may found the group is known, even if the rows never come.
        await self._database.run(store.keep_theirs, realm, group, kept)
        self._quotas.charge_bytes(realm, statement.size)
        rows = found.rows
        while len(rows) < statement.size:
            more = await self._links.roster(realm, group, len(rows))
            if more.statement != found.statement or not more.rows:
                return  # there is a newer one, of which the realm tells
            rows += more.rows
        check_rows(statement, rows)
        kept = msgspec.structs.replace(kept, rows=rows)
        await self._database.run(store.keep_theirs, realm, group, kept)

    def check(self, realm: str, statement: bytes, proof: bytes) -> RosterStatement:
        """The statement of a roster that `realm` has signed. Raises BadSignature."""
        stated = decode_roster_statement(statement)
        try:
            decoded = _proofs.decode(proof)
        except (msgspec.DecodeError, RecursionError):
            raise BadSignature(reason="it can't be decoded") from None
        trust = self._keys.verifier.check(statement, realm, stated.at, decoded)
        if trust is not Trust.VERIFIED:
            raise BadSignature(reason="its key was never announced")
        return stated
