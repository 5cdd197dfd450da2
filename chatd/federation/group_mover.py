"""Takes groups of other realms over that move to this one.

When both realms agree, this one fetches what it lacks of the log, also what its members may not see, while
the group goes on as usual. Then it lets the home close the log. The parcel `moved` comes after all else that
the home has sent. Once it is here, and what the home hands over, the copy becomes a group of this realm.

All that is to be done follows from the database. It is looked at when a realm is linked, when something has
come, and again after a while, so it goes on after a cut or a restart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection
from twisted.logger import Logger

from chatd.base.background import EXPECTED, in_background, log_unexpected
from chatd.base.entries import MadeFact, MemberFact
from chatd.base.errors import BadName, BadSignature, ChatError, RealmDown, UnknownGroup
from chatd.base.group_settings import columns_of
from chatd.base.model import Group, Party, party_of
from chatd.base.names import is_code, key_of, parse_foreign_address
from chatd.base.timers import Signal, Timer
from chatd.federation.entry_trust import EntryTrust
from chatd.federation.handing_over import HandedGroup
from chatd.federation.links import ILinks
from chatd.federation.move_steps import MoveStep, home_in, open_steps
from chatd.federation.moved_posts import Adopted, MovedPosts
from chatd.federation.parcels import decode_steps
from chatd.federation.pasts import Pasts
from chatd.federation.rerouting import GroupPlace
from chatd.federation.signing.entries import SignedEntry, Trust, decode_entry, open_entry
from chatd.service.chat_service import ChatService
from chatd.service.codes import new_group_code, new_private_code
from chatd.service.group_log import StoredFact
from chatd.service.realm_news import GroupHasMoved
from chatd.service.remote import IForwarder, Notice, StagedNotice
from chatd.store import avatars
from chatd.store import move_agreements as store
from chatd.store.accounts import find_account
from chatd.store.group_moves import NewHome, promote
from chatd.store.groups import find_group_by_code, group_of
from chatd.store.lineage import former_of, planned_steps
from chatd.store.members import member_ids, realms_of, roster_of
from chatd.store.move_agreements import GroupMove
from chatd.store.pasts import past_of, want_all

AGAIN = 30.0  # seconds after which it is tried again
PATIENCE = 10.0  # seconds for which posts to a group that is coming wait
MAX_PACKAGE = 16 << 20  # bytes

log = Logger()
_packages = msgspec.msgpack.Decoder(HandedGroup)


class _Taken(NamedTuple):
    """A group that was taken over: what tells other realms, and members here."""

    group: Group
    staged: list[StagedNotice]
    facts: list[StoredFact]
    adopted: Adopted
    members: frozenset[int]
    left: str  # the key of the former home


class GroupMover:
    def __init__(
        self,
        service: ChatService,
        links: ILinks,
        forwarder: IForwarder,
        pasts: Pasts,
        posts: MovedPosts,
        trust: EntryTrust,
    ) -> None:
        self._context = service.context
        self._clock = service.clock
        self._database = service.database
        self._own = service.context.realm_key
        self._rosters = service.rosters
        self._avatars = service.avatars
        self._links = links
        self._forwarder = forwarder
        self._pasts = pasts
        self._posts = posts
        self._trust = trust
        # conversation -> told when this realm has tried to take the group over
        self._ready: dict[int, Signal] = {}
        # Groups for which somebody has waited in vain
        self._late: set[int] = set()
        # Realms whose groups are taken over, and whether to begin again
        self._running: dict[str, bool] = {}
        self._timers: dict[str, Timer] = {}
        self._stopped = False

    def stop(self) -> None:
        self._stopped = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    async def expire(self) -> None:
        """End moves that have not been agreed for a week."""
        await self._database.run(store.end_old, self._context.now(), self._own)

    # When

    def begin(self, realm: str) -> None:
        """Go on with the moves of groups from that realm to this one."""
        if realm in self._running:
            self._running[realm] = True
            return
        self._running[realm] = False
        in_background("groups of {realm} were not taken over", self._run(realm), realm=realm)

    async def _run(self, realm: str) -> None:
        try:
            for move in await self._database.read(store.under_way, realm):
                await self._go_on(move)
        finally:
            if self._running.pop(realm):
                self.begin(realm)

    async def _go_on(self, move: GroupMove) -> None:
        """Go on with one move. If that is not possible now, it is tried again."""
        try:
            done = await self._try(move)
        except RealmDown:
            return  # the next link goes on
        except ChatError as error:
            where = move.conversation
            log.info("the group {where} is not taken over yet: {error}", where=where, error=error)
            done = False
        except EXPECTED:
            done = False
        except Exception:
            log_unexpected("a group was not taken over")
            done = False
        if not done and not self._stopped:
            again = Timer(self._clock, lambda: self.begin(move.realm))
            self._timers.setdefault(move.realm, again).start(AGAIN)

    async def closed(self, group: Group, steps: list[MoveStep], proofs: bytes) -> None:
        """The home has closed a group, as these steps say, which were checked: it lives here from now on, if
        this realm has agreed. Raises BadSignature if this realm has agreed to another name or id."""
        step = steps[-1]

        def job(connection: Connection) -> bool:
            move = store.move_of(connection, group.id)
            if move is not None and move.realm != step.home:
                return False
            if move is not None and move.accepted_by is not None:
                _check_agreed(step, move.new_id, move.new_name or "")
            move = move or GroupMove(group.id, step.home, at=self._context.now())
            closed = msgspec.structs.replace(
                move, new_id=step.to.home_id, new_name=step.to.name, steps=proofs
            )
            store.put_move(connection, closed)
            return True

        if await self._database.run(job):
            self.begin(step.home)

    async def is_coming(self, realm: str, name: str) -> bool:
        """Whether a group will come that has members of that realm, and will have the name with that key.
        Waits a while until it has come."""
        conversation = await self._database.read(store.coming, name, realm)
        if conversation is None:
            return False
        if conversation in self._late:
            return True
        signal = self._ready.setdefault(conversation, Signal())
        await signal.wait_at_most(PATIENCE, self._clock)
        if await self._database.run(store.coming, name, realm) is None:
            return False
        self._late.add(conversation)
        return True

    # What

    async def _try(self, move: GroupMove) -> bool:
        """Returns whether the group lives here now, or the home will say so in a parcel."""
        if move.steps is None:
            if not await self._fetch_log(move):
                return False
            await self._package(move, 0)  # the home closes the group
            return True
        package = await self._whole_package(move)
        if package is None:
            return False
        group = await self._database.read(group_of, move.conversation)
        if group is None or group.realm is None:
            return True
        try:
            handed = self._checked(move, package)
            await self._check_consent(move, group, handed)
        except BadSignature:
            await self._refuse(move)
            raise
        await self._fetch_log(move)
        picture = await self._picture(move.realm, handed)
        await self._take_over(move, handed, picture)
        return True

    async def _fetch_log(self, move: GroupMove) -> bool:
        """Fetch what is missing of the log here. Returns whether nothing is."""
        await self._database.run(want_all, move.conversation)
        upto = None
        while True:
            past = await self._database.read(past_of, move.conversation)
            if past is None:
                return True
            if past.upto == upto:
                return False
            upto = past.upto
            error = await self._pasts.fetch_now(move.conversation)
            if error is not None:
                raise error

    async def _package(self, move: GroupMove, start: int) -> tuple[bytes, int]:
        group = await self._database.read(group_of, move.conversation)
        if group is None:
            raise UnknownGroup(name=move.conversation)
        home_id = group.home_id or 0
        have = await self._database.run(self._rosters.log.newest, group)
        return await self._links.handover(move.realm, home_id, have, start)

    async def _whole_package(self, move: GroupMove) -> bytes | None:
        """What the home hands over; None if it does not yet."""
        data, size = await self._package(move, 0)
        if not size:
            return None
        while len(data) < size <= MAX_PACKAGE:
            more, _ = await self._package(move, len(data))
            if not more:
                return None
            data += more
        return data if len(data) == size else None

    def _checked(self, move: GroupMove, package: bytes) -> HandedGroup:
        """Raises BadSignature if a package can't be read."""
        try:
            handed: HandedGroup = _packages.decode(package)
        except (msgspec.DecodeError, RecursionError):
            raise BadSignature(reason=f"{move.realm} hands over what can't be read") from None
        return handed

    async def _check_consent(self, move: GroupMove, group: Group, handed: HandedGroup) -> None:
        """Raises BadSignature unless this realm has agreed. It may have lost that, but has signed it."""
        if move.accepted_by is not None:
            return
        entry: SignedEntry = decode_entry(handed.consent)
        opened = open_entry(entry)
        stated, home = opened.statement, home_in(opened)
        wanted = (self._own, move.realm, group.home_id)
        is_ours = (stated.realm, stated.home, stated.group) == wanted
        if not is_ours or (home.realm, home.home_id) != (self._own, group.id):
            raise BadSignature(reason="this realm has not agreed")
        if await self._trust.check(move.realm, entry, stated) is not Trust.VERIFIED:
            raise BadSignature(reason="this realm has not agreed")
        _check_agreed(open_steps(decode_steps(move.steps or b""))[-1], group.id, home.name)

    async def _refuse(self, move: GroupMove) -> None:
        """Forget what a home has closed without this realm's consent: it would be fetched again and again.
        A move that an admin here has accepted goes on."""

        def job(connection: Connection) -> None:
            current = store.move_of(connection, move.conversation)
            if current is not None and current.realm == move.realm and not current.accepted_by:
                # No name is reserved for it.
                store.end_move(connection, current, self._own, done=True)

        await self._database.run(job)

    async def _picture(self, realm: str, handed: HandedGroup) -> avatars.Avatar | None:
        """The group's picture, made again; None if there is none, or it can't be used."""
        if not handed.picture:
            return None
        try:
            return avatars.new_avatar(await self._avatars.remade(("realm", realm), handed.picture))
        except ChatError:
            return None

    # The group lives here

    async def _take_over(
        self, move: GroupMove, handed: HandedGroup, picture: avatars.Avatar | None
    ) -> None:
        def job(connection: Connection) -> _Taken | None:
            current = store.move_of(connection, move.conversation)
            group = group_of(connection, move.conversation)
            if current is None or current.steps is None or group is None or group.realm is None:
                return None
            return self._promote(connection, group, current, handed, picture)

        taken = await self._rosters.move(move.conversation, job)
        self._late.discard(move.conversation)
        if (ready := self._ready.pop(move.conversation, None)) is not None:
            ready.notify()
        if taken is not None:
            await self._tell(taken)

    def _promote(
        self,
        connection: Connection,
        group: Group,
        move: GroupMove,
        handed: HandedGroup,
        picture: avatars.Avatar | None,
    ) -> _Taken:
        """Runs in the writer's thread. Raises GroupExists if the name is taken, which was kept for it, and
        BadSignature."""
        _check_handed(handed, self._context.config.limits.group_members)
        step = open_steps(decode_steps(move.steps or b""))[-1]
        left = GroupPlace(move.realm, group.home_id or 0, group.name.partition("@")[0])
        new = NewHome(
            self._own,
            step.to.name,
            self._code(connection, handed),
            handed.members,
            handed.bans,
            handed.invited,
            columns_of(handed.settings),
            step.last,
        )
        promoted = promote(connection, group, new, step.left(key_of(left.name), group.key))
        store.end_move(connection, move, self._own, done=True)
        now, home = self._context.now(), promoted.group
        if picture is not None:
            avatars.keep(connection, avatars.place_of_group(home.name), picture, now)
        realms = realms_of(connection, home.id)
        news = GroupHasMoved(tuple(each.proof for each in planned_steps(connection, home.id)))
        former = {each.realm for each in former_of(connection, home.id)} - {self._own}
        told = dict.fromkeys((*realms, *sorted(former)))
        staged = self._forwarder.stage(connection, [Notice(each, now, news) for each in told])
        self._rosters.renumbered(home.id)
        facts = [
            self._rosters.log.write(connection, home, fact, realms)
            for fact in self._absent(connection, promoted.absent, now)
        ]
        adopted = self._posts.adopt(connection, left, roster_of(connection, home))
        members = member_ids(connection, home.id)
        return _Taken(home, [*staged], facts, adopted, members, left.realm)

    def _code(self, connection: Connection, handed: HandedGroup) -> str:
        """The code that the group had, unless it is none or another group here has it."""
        code = handed.code if is_code(handed.code) else ""
        is_private = handed.settings.get("visibility") == "private"
        make = new_private_code if is_private else new_group_code
        while not code or find_group_by_code(connection, code) is not None:
            code = make(self._context.random_bytes)
        return code

    def _absent(self, connection: Connection, absent: Sequence[str], now: int) -> list[MadeFact]:
        """People here who have left, which the former home does not know, have done so."""
        found = (find_account(connection, key) for key in absent)
        parties: list[Party] = [party_of(each) for each in found if each is not None]
        return [MadeFact(MemberFact(each, "left"), each, now) for each in parties]

    async def _tell(self, taken: _Taken) -> None:
        """Tell other realms, and the people here."""
        self._forwarder.send_notices(taken.staged)
        for fact in taken.facts:
            self._forwarder.relay(fact.place, None)
            self._rosters.log.tell_members(fact, taken.members, None)
        await self._rosters.tell_moved(taken.group)
        await self._posts.tell(taken.left, taken.adopted)

    async def adopt(self, conversation: int, left: GroupPlace) -> None:
        """Take posts into the log of a group that lives here, which went to its former home meanwhile."""

        def job(connection: Connection) -> Adopted | None:
            group = group_of(connection, conversation)
            if group is None or group.realm is not None:
                return None
            return self._posts.adopt(connection, left, roster_of(connection, group))

        adopted = await self._database.run(job)
        if adopted is not None:
            await self._posts.tell(left.realm, adopted)


def _check_agreed(step: MoveStep, ident: int | None, name: str) -> None:
    """Raises BadSignature unless a step gives a group the id and the name here that this realm has agreed to.
    Otherwise the former home could give it the name of an account here."""
    if (step.to.home_id, key_of(step.to.name)) != (ident, key_of(name)):
        raise BadSignature(reason="this realm has agreed to another name or id")


def _check_handed(handed: HandedGroup, limit: int) -> None:
    """Raises BadSignature unless a package has no more than `limit` members, and people whose addresses
    can be shown."""
    if len(handed.members) > limit:
        raise BadSignature(reason=f"the group has more than {limit} members")
    written = [each.address for each in handed.members]
    written += [each.address for each in (*handed.bans, *handed.invited)]
    try:
        addresses = [parse_foreign_address(each) for each in written]
    except BadName:
        raise BadSignature(reason="the address of a member is none") from None
    if any(each.realm is None for each in addresses):
        raise BadSignature(reason="the address of a member has no realm")
