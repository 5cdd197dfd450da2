"""What is left to do for accounts that have moved, at their old realm: their groups get the new address once
the new realm has their luggage, and messages of realms that do not follow are forwarded.

All of it is resumed after a restart.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from sqlalchemy import Connection
from twisted.logger import Logger

from chatd.base.background import EXPECTED, in_background
from chatd.base.errors import ChatError, NotMember, UnknownGroup
from chatd.base.model import Account, Party
from chatd.base.names import Address, parse_address
from chatd.base.timers import Timer
from chatd.service.context import Context
from chatd.service.groups import Groups
from chatd.service.member_moves import MemberMoves
from chatd.service.move_follower import MoveFollower
from chatd.service.node_work import WorkKind
from chatd.service.realm_news import MemberMoved
from chatd.service.remote import IForwarder, IRealms, Notice, StagedNotice
from chatd.store import account_moves as store
from chatd.store import moving_out as out
from chatd.store.account_moves import DONE, LUGGAGE, OVER, Move, StoredMove
from chatd.store.accounts import account_of
from chatd.store.conversations import open_remote
from chatd.store.groups import group_of
from chatd.store.new_entries import Extras, NewMessage, Stored
from chatd.store.outcomes import SentEntry

AGAIN = 1.0  # seconds until it is looked at again whether the luggage has arrived
KIND = "moves"
PAGE = 50  # messages that are forwarded at a time
UNCONTINUED = "a move was not continued; it is tried again"

log = Logger()


class ForwardedMessage(msgspec.Struct, frozen=True):
    """A message that was forwarded in a transaction, and its place."""

    realm: str
    new: NewMessage
    stored: Stored


class MovingOut:
    def __init__(
        self,
        context: Context,
        follower: MoveFollower,
        groups: Groups,
        members: MemberMoves,
        realms: IRealms,
        forwarder: IForwarder,
    ) -> None:
        self._context = context
        self._database = context.database
        self._messages = context.writers.messages
        self._follower = follower
        self._groups = groups
        self._members = members
        self._realms = realms
        self._forwarder = forwarder
        self._unfinished: dict[str, Move] = {}  # by the keys of old addresses
        self._arrived: dict[str, Move] = {}  # those that may have messages to be forwarded
        self._timer = Timer(context.clock, self._begin_round)
        self._busy = False  # a round is under way
        self._stopped = False
        self._work = context.work
        self._work.add(KIND, WorkKind(self._look, self._told, lambda: None))

    def stop(self) -> None:
        """Leave the rest to the next start."""
        self._stopped = True
        self._timer.cancel()

    def load(self, moves: Iterable[StoredMove]) -> None:
        """Continue after a start."""
        for each in moves:
            if each.move.old.id is not None and each.state != OVER:
                self._arrived[each.move.old.key] = each.move
                if each.step == LUGGAGE:
                    self._unfinished[each.move.old.key] = each.move
        self._start(AGAIN)

    @property
    def _is_over(self) -> bool:
        """Whether the rest is left to the next start, or to another node."""
        return self._stopped or not self._work.is_here

    async def _look(self) -> None:
        self.load(await self._database.read(store.all_moves))

    def _told(self, account_id: int) -> None:
        """Another node has moved an account, or has got a message for one that has moved."""
        move = self._follower.moved.away(account_id)
        if move is None:  # this node has not read it yet
            in_background(UNCONTINUED, self._look())
        else:
            self._unfinished[move.old.key] = move
            self.arrived(account_id)

    def begin(self, move: Move) -> None:
        """An account of this realm has moved."""
        if self._work.claim(KIND, move.old.id or 0):
            self._unfinished[move.old.key] = move
            self._start(0.0)

    def arrived(self, account_id: int) -> None:
        """A message has come for an account that may have moved, from a realm that does not follow."""
        move = self._follower.moved.away(account_id)
        if move is not None and self._work.claim(KIND, account_id):
            self._arrived[move.old.key] = move
            self._start(0.0)

    def _start(self, seconds: float) -> None:
        """Begin a round then, if there is anything to do and none is under way."""
        if not self._is_over and not self._busy and (self._unfinished or self._arrived):
            self._timer.start(seconds)

    def _begin_round(self) -> None:
        self._busy = True
        in_background(UNCONTINUED, self._continue()).addBoth(lambda _: self._end_round())

    def _end_round(self) -> None:
        self._busy = False
        self._start(AGAIN)

    async def _continue(self) -> None:
        """Continue all moves. One that fails, as on a full disk, is tried again, and stops no other."""
        for move in list(self._unfinished.values()):
            await in_background(UNCONTINUED, self._advance(move))
        for move in list(self._arrived.values()):
            await in_background(UNCONTINUED, self._forward(move))

    # Groups

    async def _advance(self, move: Move) -> None:
        """Take the next steps of a move."""
        if await self._is_done(move) and self._unfinished.get(move.old.key) is move:
            del self._unfinished[move.old.key]

    async def _is_done(self, move: Move) -> bool:
        """Take the next steps of a move. Returns whether nothing is left to do."""
        stored = await self._database.read(store.find_move, move.old.key)
        if stored is None or stored.state == OVER or stored.step != LUGGAGE:
            return True
        there, own = move.new.realm or "", move.old.id or 0
        if await self._database.read(out.is_waiting, there, stored.luggage):
            return False
        account = await self._database.read(account_of, own)
        found = await self._database.read(out.groups_left, own)
        for each in found:
            if self._is_over:
                return False
            if each.realm is None:
                await self._replace_here(each, move)
            elif not self._realms.follows_moves(each.realm):
                await self._leave(account, each.name)
        self._forwarder.send_notices(await self._database.run(self._report, account, move, found))
        return True

    def _report(
        self, connection: Connection, account: Account, move: Move, found: list[out.MovedGroup]
    ) -> list[StagedNotice]:
        """Tell the homes of groups elsewhere, once."""
        now = self._context.now()
        notices = [
            Notice(
                each.realm,
                now,
                MemberMoved(each.name.partition("@")[0], each.home_id, account.name, move.new),
            )
            for each in found
            if each.realm is not None and self._realms.follows_moves(each.realm)
        ]
        store.set_step(connection, move.old.key, DONE)
        return list(self._forwarder.stage(connection, notices))

    async def _replace_here(self, each: out.MovedGroup, move: Move) -> None:
        group = await self._database.read(group_of, each.conversation)
        if group is not None:
            await self._members.replace(group, move.old, move.new)

    async def left_behind(self, account_id: int, group: str) -> None:
        """The home of a group does not follow: the account only leaves it."""
        move = self._follower.moved.away(account_id)
        if move is not None:
            await self._leave(await self._database.read(account_of, account_id), group)

    async def _leave(self, account: Account, group: str) -> None:
        try:
            await self._groups.leave(account, parse_address(group), None)
        except (NotMember, UnknownGroup):
            return
        except EXPECTED:
            raise
        except ChatError as error:
            log.info(
                "{account} has moved and was not taken out of {group}: {error}",
                account=account.name,
                group=group,
                error=error,
            )

    # Messages

    async def _forward(self, move: Move) -> None:
        """Forward what has come to the old address, in order, each once."""
        key = move.old.key
        self._arrived.pop(key, None)  # what arrives from now on is looked for in another round
        try:
            await self._forward_all(move)
        except Exception:
            self._arrived.setdefault(key, move)
            raise

    async def _forward_all(self, move: Move) -> None:
        while not self._is_over:
            done = await self._database.run(self._forward_page, move)
            for each in done:
                sender = each.new.sender_id or 0
                entry = SentEntry(sender, each.new.conversation, each.stored.seq, each.stored.id)
                file = each.new.attachment_id
                self._forwarder.deliver(each.realm, each.stored, file, entry)
            if len(done) < PAGE:
                return

    def _forward_page(self, connection: Connection, move: Move) -> list[ForwardedMessage]:
        stored = store.find_move(connection, move.old.key)
        if stored is None or stored.state == OVER or move.old.id is None:
            return []
        after = store.forwarded_upto(connection, move.old.key)
        found = out.unforwarded(connection, move.old.id, after, PAGE)
        to, now = self._present(move.new), self._context.now()
        if not found or to.realm is None:
            return []
        place = open_remote(connection, move.old.id, _address(to), now)
        done = []
        for each in found:
            new = NewMessage(
                place,
                move.old.id,
                move.old.name,
                now,
                each.text,
                each.attachment_id,
                extras=Extras(forwarded=each.sender, media=each.media, body=each.body),
            )
            copies = self._forwarder.mover().readdress(connection, new, to.name, to.realm)
            new = msgspec.structs.replace(new, copies=copies)
            done.append(ForwardedMessage(to.realm, new, self._messages.store(connection, [new])[0]))
        store.set_forwarded(connection, move.old.key, found[-1].id)
        return done

    def _present(self, new: Party) -> Party:
        """Where the new address is now, if it has moved on."""
        onward = self._follower.moved.of(new.key)
        return new if onward is None else onward.new


def _address(party: Party) -> Address:
    return parse_address(party.name)
