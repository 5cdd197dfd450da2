"""Lets what people here have with somebody follow them to their new address."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec
from sqlalchemy import Connection
from twisted.logger import Logger

from chatd.base.background import in_background
from chatd.base.events import AddressChange, ConversationChange
from chatd.base.isolation import guarded
from chatd.base.timers import Timer
from chatd.service.blocks import Blocks
from chatd.service.context import Context
from chatd.service.directs import Directs
from chatd.service.moved_addresses import MovedAddresses
from chatd.service.node_caches import NodeTable
from chatd.service.presence import Presence
from chatd.service.rosters import Rosters
from chatd.store import account_moves as store
from chatd.store.account_moves import AGREED, FOLLOWED, MAX_HOPS, SETTLING, WAITS, Move, StoredMove
from chatd.store.following import FollowedDirect, Following, follow
from chatd.store.roster import Delta

AGAIN = 1.0  # seconds until conversations are looked at again whose parcels were on their way
UNFOLLOWED = "conversations did not follow to a new address; it is tried again"

log = Logger()


class Followed(msgspec.Struct, frozen=True):
    """What a transaction has let follow. `changed` are moves as they are stored now."""

    followings: list[tuple[Move, Following]]
    changed: list[StoredMove]


NOTHING = Followed([], [])


class MoveFollower:
    """Moves that this realm has verified, or has made itself."""

    def __init__(
        self,
        context: Context,
        moved: MovedAddresses,
        directs: Directs,
        blocks: Blocks,
        rosters: Rosters,
        presence: Presence,
    ) -> None:
        self.moved = moved
        self._context = context
        self._database = context.database
        self._writer = context.writers.messages
        self._directs = directs
        self._blocks = blocks
        self._rosters = rosters
        self._presence = presence
        self._on_followed: list[Callable[[], object]] = []
        self._settling: set[str] = set()  # keys of old addresses
        self._timer = Timer(context.clock, self._settle_soon)
        self._stopped = False
        # By the keys of old addresses
        self._table: NodeTable[str, list[StoredMove]] = NodeTable(
            context, "moves", str, _read_moves, self._taken_elsewhere
        )

    def stop(self) -> None:
        self._stopped = True
        self._timer.cancel()

    def load(self, moves: Iterable[StoredMove]) -> None:
        """Take the moves that are stored, and continue those that are not done."""
        self._note(moves)

    def on_followed(self, then: Callable[[], object]) -> None:
        """Call `then` when conversations have other addresses than before."""
        self._on_followed.append(then)

    # In the writer's thread

    def take_in(self, connection: Connection, move: Move, state: str = SETTLING) -> Followed:
        """Note a move, and let follow what can. Nothing is done if it is not news, or if nobody here has to
        do with the old address. In the `state` WAITS nothing follows yet."""
        if not store.is_of_interest(connection, move.old, move.new):
            return NOTHING
        if not store.note_move(connection, move, state):
            return NOTHING
        if move.new.id is not None:
            store.drop_plan(connection, move.new.id, AGREED, move.old.key)  # it is carried out
        if state == WAITS:
            return self._result(connection, [], [move])
        return self._follow(connection, move)

    def follow_in(self, connection: Connection, key: str) -> Followed:
        """Let follow what can by now, of a move that was noted."""
        known = store.find_move(connection, key)
        if known is None or known.state not in (SETTLING, FOLLOWED):
            return NOTHING
        return self._follow(connection, known.move)

    def _follow(self, connection: Connection, move: Move) -> Followed:
        """Those who have moved on since are followed further."""
        followings: list[tuple[Move, Following]] = []
        touched: list[Move] = []
        onward: Move | None = move
        while onward is not None and len(followings) < MAX_HOPS:
            move = onward
            earlier = store.find_move(connection, move.new.key)
            moved_on = store.end_earlier_move(connection, move)
            following = follow(connection, self._writer, move, self._context.now())
            store.set_state(connection, move.old.key, SETTLING if following.waits else FOLLOWED)
            followings.append((move, following))
            touched += [move] if earlier is None else [move, earlier.move]
            onward = None if moved_on is None or moved_on.state == WAITS else moved_on.move
        return self._result(connection, followings, touched)

    def _result(
        self,
        connection: Connection,
        followings: list[tuple[Move, Following]],
        touched: list[Move],
    ) -> Followed:
        keys = dict.fromkeys(each.old.key for each in touched)
        found = (store.find_move(connection, key) for key in keys)
        return Followed(followings, [each for each in found if each is not None])

    # After the commit

    async def take(self, move: Move, state: str = SETTLING) -> Followed:
        """As `take_in`, and tell the people concerned."""
        followed = await self._database.run(self.take_in, move, state)
        self.followed(followed)
        return followed

    def followed(self, followed: Followed) -> None:
        """Tell everybody here what a transaction has let follow."""
        self._note(followed.changed)
        for each in followed.changed:
            self._table.tell(each.move.old.key)
        for move, following in followed.followings:
            self._directs.readdressed(move.old.key, move.new.key)
            for account_id in following.blockers:
                self._blocks.follow(account_id, move.new.key)
            for group, epoch in following.banned.items():
                self._rosters.apply(Delta(group, banned=(move.new.key,), epoch=epoch))
            for direct in following.directs:
                guarded("an account was not told of a new address", self._tell, move, direct)
        if followed.followings:
            self._forget_old()

    def _forget_old(self) -> None:
        for then in self._on_followed:
            guarded("something of an old address was not forgotten", then)

    def _taken_elsewhere(self, _keys: object, moves: Sequence[StoredMove]) -> None:
        """Other nodes have taken moves. This one continues those that are not done, too, because they may be
        killed."""
        self._note(moves)
        self._forget_old()

    def _tell(self, move: Move, direct: FollowedDirect) -> None:
        old, new = move.old.name, move.new.name
        event = AddressChange(direct.conversation, direct.seq, direct.at, old, new)
        told = (direct.account_id,)
        self._presence.tell_followers(told, event, None)
        self._presence.tell_followers(told, ConversationChange(direct.conversation, user=new), None)

    def _note(self, moves: Iterable[StoredMove]) -> None:
        noted = list(moves)
        self.moved.note(noted)
        for each in noted:
            if each.state == SETTLING:
                self._settling.add(each.move.old.key)
            else:
                self._settling.discard(each.move.old.key)
        self._start()

    def _start(self) -> None:
        if self._settling and not self._stopped:
            self._timer.start(AGAIN)

    def _settle_soon(self) -> None:
        in_background(UNFOLLOWED, self.settle()).addBoth(lambda _: self._start())

    async def settle(self) -> None:
        """Look again whether the conversations can follow whose parcels were on their way. A move that fails
        stops no other."""
        for key in list(self._settling):
            await in_background(UNFOLLOWED, self._settle_one(key))

    async def _settle_one(self, key: str) -> None:
        self.followed(await self._database.run(self.follow_in, key))


def _read_moves(connection: Connection, keys: Sequence[str] | None) -> list[StoredMove]:
    if keys is None:
        return store.all_moves(connection)
    found = (store.find_move(connection, key) for key in keys)
    return [each for each in found if each is not None]
