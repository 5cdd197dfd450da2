"""Takes groups of other realms over that move to this one.

When both realms agree, this one fetches what it lacks of the log, also what its members may not see, while
the group goes on as usual. Then it lets the home close the log. The parcel `moved` comes after all else that
the home has sent. Once it is here, and what the home hands over, the copy becomes a group of this realm.

All that is to be done follows from the database. It is looked at when a realm is linked, when something has
come, and again after a while, so it goes on after a cut or a restart.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection
from twisted.logger import Logger

from chatd.base.background import in_background, log_unexpected
from chatd.base.entries import MadeFact, MemberFact
from chatd.base.errors import BadSignature, ChatError
from chatd.base.group_settings import columns_of
from chatd.base.model import Group, Party, party_of
from chatd.base.names import is_code, key_of
from chatd.base.timers import Signal, Timer
from chatd.federation.handed_groups import HandedGroup, check_handed, open_package
from chatd.federation.links import ILinks
from chatd.federation.move_steps import MoveStep, open_steps
from chatd.federation.moved_posts import Adopted, MovedPosts
from chatd.federation.package_fetcher import PackageFetcher, check_agreed
from chatd.federation.parcels import decode_steps
from chatd.federation.pasts import Pasts
from chatd.federation.rerouting import GroupPlace
from chatd.federation.standing import Standings
from chatd.media.process import PictureRefused
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
from chatd.store.pasts import expect_entries, past_of, want_all
from chatd.store.peer_marks import doubt
from chatd.store.starts import start_before

AGAIN = 30.0  # seconds after which it is tried again
MAX_AGAIN = 3600.0  # seconds up to which this is doubled while a home does not hand its groups over
PATIENCE = 10.0  # seconds for which posts to a group that is coming wait

log = Logger()


class _Taken(msgspec.Struct, frozen=True):
    """A group that was taken over: what tells other realms, and members here. `doubted` is the first number
    of the last start before this realm has agreed, if it has started since."""

    group: Group
    staged: list[StagedNotice]
    facts: list[StoredFact]
    adopted: Adopted
    members: frozenset[int]
    left: str  # the key of the former home
    doubted: int | None = None


class GroupMover:
    def __init__(
        self,
        service: ChatService,
        links: ILinks,
        forwarder: IForwarder,
        pasts: Pasts,
        posts: MovedPosts,
        packages: PackageFetcher,
        standings: Standings,
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
        self._packages = packages
        self._standings = standings
        # conversation -> told when this realm has tried to take the group over
        self._ready: dict[int, Signal] = {}
        # Groups for which somebody has waited in vain
        self._late: set[int] = set()
        # Realms whose groups are taken over, and whether to begin again
        self._running: dict[str, bool] = {}
        self._timers: dict[str, Timer] = {}
        # Seconds until they are tried again
        self._pauses: dict[str, float] = {}
        # Whether other realms have to return everything again, over new links
        self._in_doubt = False
        self._stopped = False

    def stop(self) -> None:
        self._stopped = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    async def expire(self) -> None:
        """End moves to which this realm has not agreed for a week."""
        await self._database.run(store.end_old, self._context.now(), self._own)

    # When

    def begin(self, realm: str) -> None:
        """Go on with the moves of groups from that realm to this one."""
        self._pauses.pop(realm, None)
        self._begin(realm)

    def _begin(self, realm: str) -> None:
        if realm in self._running:
            self._running[realm] = True
            return
        self._running[realm] = False
        in_background("groups of {realm} were not taken over", self._run(realm), realm=realm)

    async def _run(self, realm: str) -> None:
        is_done = False
        try:
            moves = await self._database.read(store.under_way, realm)
            is_done = all([await self._go_on(move) for move in moves])
        except Exception:
            log_unexpected("the moves of groups of {realm} were not read", realm=realm)
        if self._in_doubt:
            self._in_doubt = False
            self._links.renew()
        if self._running.pop(realm):
            self._begin(realm)
        elif not is_done and not self._stopped:
            self._begin_later(realm)

    def _begin_later(self, realm: str) -> None:
        pause = self._pauses.get(realm, AGAIN)
        self._pauses[realm] = min(2 * pause, MAX_AGAIN)
        timer = self._timers.get(realm)
        if timer is None:
            timer = self._timers[realm] = Timer(self._clock, lambda: self._begin(realm))
        timer.restart(pause)

    async def _go_on(self, move: GroupMove) -> bool:
        """Go on with one move. Returns False if that is not possible now."""
        try:
            return await self._try(move)
        except ChatError as error:
            where = move.conversation
            log.info("the group {where} is not taken over yet: {error}", where=where, error=error)
        except Exception:
            log_unexpected("a group was not taken over")
        return False

    async def closed(self, group: Group, steps: list[MoveStep], proofs: bytes) -> None:
        """The home has closed a group, as these steps say, which were checked: it lives here from now on, if
        this realm has agreed. Raises BadSignature if this realm has agreed to another name or id."""
        step = steps[-1]

        def job(connection: Connection) -> None:
            move = store.move_of(connection, group.id)
            if move is not None and move.realm != step.home:
                # What was agreed for an earlier home of the group.
                store.end_move(connection, move, self._own)
                move = None
            if move is not None and move.accepted_by is not None:
                check_agreed(step, move.new_id, move.new_name or "")
            move = move or GroupMove(group.id, step.home, at=self._context.now())
            closed = msgspec.structs.replace(
                move, new_id=step.to.home_id, new_name=step.to.name, steps=proofs
            )
            store.put_move(connection, closed)

        await self._database.run(job)
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
        group = await self._database.read(group_of, move.conversation)
        if group is None or group.realm != move.realm:
            return True  # it has been rescued, or has moved elsewhere
        if move.steps is None:
            if not await self._fetch_log(move):
                return False
            return await self._packages.is_closed(group)
        package = await self._packages.whole(group)
        if package is None:
            return False
        try:
            handed = open_package(move.realm, package)
            consent = await self._packages.check_consent(move, group, handed)
        except BadSignature:
            await self._refuse(move)
            raise
        await self._expect_rest(move)
        if not await self._fetch_log(move):
            return False
        picture = await self._picture(move.realm, handed)
        await self._take_over(move, handed, picture, consent)
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

    async def _expect_rest(self, move: GroupMove) -> None:
        """Note that the end of a closed log is missing, if it is. `moved` comes after it, unless this realm
        was restored to before that: the former home returns entries only of groups that live there."""
        last = open_steps(decode_steps(move.steps or b""))[-1].last

        def job(connection: Connection) -> None:
            group = group_of(connection, move.conversation)
            if group is None or group.realm != move.realm:
                return
            newest = self._rosters.log.newest(connection, group)
            expect_entries(connection, group.id, newest, last)

        await self._database.run(job)

    async def _refuse(self, move: GroupMove) -> None:
        """Forget what a home has closed without this realm's consent: it would be fetched again and again.
        A move that an admin here has accepted goes on."""

        def job(connection: Connection) -> None:
            current = store.move_of(connection, move.conversation)
            if current is not None and current.realm == move.realm and not current.accepted_by:
                store.end_move(connection, current, self._own)

        await self._database.run(job)
        self._settled(move.conversation)

    def _settled(self, conversation: int) -> None:
        """Tell those who wait for a group that it has come, or does not come."""
        self._late.discard(conversation)
        if (ready := self._ready.pop(conversation, None)) is not None:
            ready.notify()

    async def _picture(self, realm: str, handed: HandedGroup) -> avatars.Avatar | None:
        """The group's picture, made again; None if there is none, or it can't be used. Raises Busy,
        ShuttingDown."""
        if not handed.picture:
            return None
        try:
            return avatars.new_avatar(await self._avatars.remade(("realm", realm), handed.picture))
        except PictureRefused:
            return None

    # The group lives here

    async def _take_over(
        self,
        move: GroupMove,
        handed: HandedGroup,
        picture: avatars.Avatar | None,
        consent: int,
    ) -> None:
        """`consent` is the number of the entry in which this realm has agreed."""

        def job(connection: Connection) -> _Taken | None:
            current = store.move_of(connection, move.conversation)
            group = group_of(connection, move.conversation)
            if current is None or current.steps is None or group is None or group.realm is None:
                return None
            taken = self._promote(connection, group, current, handed, picture)
            return msgspec.structs.replace(taken, doubted=_doubt(connection, consent))

        taken = await self._rosters.move(move.conversation, job)
        self._settled(move.conversation)
        if taken is None:
            return
        if taken.doubted is not None:
            self._in_doubt = True
            self._standings.lower(taken.doubted)
        await self._tell(taken)

    def _promote(
        self,
        connection: Connection,
        group: Group,
        move: GroupMove,
        handed: HandedGroup,
        picture: avatars.Avatar | None,
    ) -> _Taken:
        """Runs in the writer's thread. Raises GroupExists if a group has the name, BadSignature,
        StorageFailed."""
        check_handed(handed, self._context.config.limits.group_members)
        step = open_steps(decode_steps(move.steps or b""))[-1]
        left = GroupPlace(move.realm, group.home_id or 0, group.name.partition("@")[0])
        new = self._home(connection, step, handed)
        promoted = promote(connection, group, new, step.left(key_of(left.name), group.key))
        store.end_move(connection, move, self._own, done=True)
        now, home = self._context.now(), promoted.group
        if picture is not None:
            avatars.keep(connection, avatars.place_of_group(home.name), picture, now)
        realms = realms_of(connection, home.id)
        staged = self._stage(connection, home.id, realms)
        self._rosters.renumbered(home.id)
        adopted = self._posts.adopt(connection, left, roster_of(connection, home))
        facts = [
            self._rosters.log.write(connection, home, fact, realms)
            for fact in self._absent(connection, promoted.absent, now)
        ]
        members = member_ids(connection, home.id)
        return _Taken(home, staged, facts, adopted, members, left.realm)

    def _home(self, connection: Connection, step: MoveStep, handed: HandedGroup) -> NewHome:
        """What the group becomes here."""
        code, settings = self._code(connection, handed), columns_of(handed.settings)
        people = handed.members, handed.bans, handed.invited
        return NewHome(self._own, step.to.name, code, *people, settings, step.last)

    def _stage(
        self, connection: Connection, conversation: int, realms: Sequence[str]
    ) -> list[StagedNotice]:
        """Store what tells these realms, and all former homes, that a group lives here now."""
        news = GroupHasMoved(tuple(each.proof for each in planned_steps(connection, conversation)))
        former = {each.realm for each in former_of(connection, conversation)} - {self._own}
        told, now = dict.fromkeys((*realms, *sorted(former))), self._context.now()
        return [*self._forwarder.stage(connection, [Notice(each, now, news) for each in told])]

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
        self._posts.send(taken.adopted)
        for fact in taken.facts:
            self._forwarder.relay(fact.place, None)
        await self._rosters.tell_moved(taken.group)
        await self._posts.tell(taken.left, taken.adopted)
        for fact in taken.facts:
            self._rosters.log.tell_members(fact, taken.members, None)


def _doubt(connection: Connection, consent: int) -> int | None:
    """If this realm has started since it has agreed, with the entry `consent`, it may have been restored, and
    the group may have lived here before. Realms that were linked meanwhile have returned nothing of that,
    because this realm was not the home. So all are to return everything again since the last start before,
    whose first number is returned."""
    before = start_before(connection, consent)
    if before is not None:
        doubt(connection, before)
    return before
