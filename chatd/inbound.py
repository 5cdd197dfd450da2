"""What other realms may do here: bring parcels, and ask on behalf of their people.

A realm speaks for its own people only: nowhere does it say of which realm a sender is. What it relays of
others' messages stands in its own groups, and it alone answers for it.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Collection, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection
from twisted.internet.defer import Deferred, DeferredList, DeferredLock, succeed
from twisted.logger import Logger

from chatd import parcels
from chatd.accounts import Accounts
from chatd.arguments import check_text
from chatd.arrivals import Arrivals, FileIncomplete
from chatd.cache import Cache
from chatd.crossings import Crossings
from chatd.directs import Directs, Target
from chatd.diskspace import DiskSpace
from chatd.errors import (
    BadRequest,
    Banned,
    ChatError,
    NotMember,
    RealmQuota,
    StorageFailed,
    TooManyUnknown,
    UnknownGroup,
    UnknownUser,
)
from chatd.groups import Groups
from chatd.guessing import MAX_UNKNOWN, NameGuesses
from chatd.homegroups import HomeGroups, with_new_code
from chatd.messages import Messages, group_target
from chatd.model import Account, Attachment, Party
from chatd.names import (
    Address,
    key_of,
    parse_foreign_address,
    parse_foreign_name,
    parse_group_name,
    parse_name,
    printable,
)
from chatd.parcels import KEPT, Direct, Joined, Left, Parcel, Post, Relay, Removed, Verdict
from chatd.presence import IListener
from chatd.questions import guest_of
from chatd.quotas import MessageQuotas, cost_of
from chatd.realms import IRealms, verdict_of
from chatd.rosters import Rosters
from chatd.store import files as file_store
from chatd.store import messages as message_store
from chatd.store.bans import check_ban
from chatd.store.database import Database
from chatd.store.files import Owner
from chatd.store.members import Roster
from chatd.store.messages import Crossing, NewMessage, Stored, Stream
from chatd.store.mirrors import is_news
from chatd.uploads import safe_name

CACHED_PAIRS = 100_000

log = Logger()

Numbered = tuple[int, Parcel | None]


class Arrived(msgspec.Struct, frozen=True):
    """A message as it will be stored here, whom it concerns, and who of them has sent it and waits. `guest`
    has posted it to a group of this realm."""

    new: NewMessage
    target: Target
    echo: int = 0
    origin: IListener | None = None
    guest: tuple[Roster, Party] | None = None


class Inbound:
    def __init__(
        self,
        database: Database,
        accounts: Accounts,
        rosters: Rosters,
        homes: HomeGroups,
        groups: Groups,
        directs: Directs,
        messages: Messages,
        crossings: Crossings,
        arrivals: Arrivals,
        disk: DiskSpace,
        quotas: MessageQuotas,
        realms: IRealms,
        random_bytes: Callable[[int], bytes],
        guesses: NameGuesses,
    ) -> None:
        self._guesses = guesses
        self._database = database
        self._accounts = accounts
        self._rosters = rosters
        self._homes = homes
        self._groups = groups
        self._directs = directs
        self._messages = messages
        self._crossings = crossings
        self._arrivals = arrivals
        self._disk = disk
        self._quotas = quotas
        self._realms = realms
        self._random_bytes = random_bytes
        # (realm, sender there, recipient here) -> their conversation, and the sender as shown
        self._pairs: Cache[tuple[str, str, str], tuple[Target, str]] = Cache(CACHED_PAIRS)
        self._turns: dict[str, DeferredLock] = {}

    # Parcels

    async def receive(
        self, realm: str, batch: Sequence[Numbered], stream: Stream | None = None
    ) -> list[Verdict]:
        """Take parcels of the realm with that key, in order: what became of each, once it is on disk.

        What can't be kept just now (StorageFailed) raises: it may be sent again later. Then nothing is kept
        that comes later on the same `stream`.
        """
        stream = stream or Stream()
        try:
            return await self._receive(realm, batch, stream)
        except Exception:
            stream.broken = True
            raise

    async def _receive(
        self, realm: str, batch: Sequence[Numbered], stream: Stream
    ) -> list[Verdict]:
        verdicts: list[Verdict | Deferred[Verdict]] = []
        turn = self._turns.setdefault(realm, DeferredLock())
        await turn.acquire()
        try:
            # What is read here goes to the database in this order; the disk need not be waited for.
            if stream.broken:
                raise StorageFailed
            await self._disk.wait()
            await self._submit(realm, batch, stream, verdicts)
        except Exception:
            stream.broken = True  # before it is the next one's turn
            for verdict in verdicts:
                if isinstance(verdict, Deferred):
                    verdict.addErrback(lambda _failure: None)
            raise
        finally:
            turn.release()
        waits = [succeed(each) if isinstance(each, Verdict) else each for each in verdicts]
        results: Any = await DeferredList(waits, consumeErrors=True)
        for good, result in results:
            if not good:
                raise result.value
        return [result for _, result in results]

    async def _submit(
        self,
        realm: str,
        batch: Sequence[Numbered],
        stream: Stream,
        verdicts: list[Verdict | Deferred[Verdict]],
    ) -> None:
        """Add to `verdicts` what becomes of each."""
        barred = await self._open_directs(
            realm, [each for _, each in batch if type(each) is Direct]
        )
        run: list[Arrived] = []  # texts that follow each other, which are stored together

        def store_run() -> None:
            nonlocal run
            verdicts.extend(self._store(realm, run, stream))
            run = []

        for number, parcel in batch:
            file = getattr(parcel, "file", None)
            try:
                arrived = None
                if type(parcel) is Direct:
                    arrived = self._direct(realm, number, parcel, barred)
                elif isinstance(parcel, Post | Relay):
                    arrived = await self._read(realm, number, parcel)
                if arrived is not None:
                    self._quotas.charge(realm, cost_of(arrived.new), self._accounts.now())
                if arrived is not None and file is None:
                    run.append(arrived)
                    continue
                store_run()
                verdicts.append(await self._see_to(realm, number, parcel, arrived, stream))
            except StorageFailed:
                raise
            except RealmQuota as error:
                if file is not None:
                    await self._arrivals.forget(realm, number)
                store_run()
                # What came before is kept; its verdict was lost with the link.
                came = await self._database.read(message_store.has_come, realm, number)
                verdicts.append(KEPT if came else verdict_of(error))
            except (ChatError, FileIncomplete) as error:
                if isinstance(error, ChatError) and file is not None:
                    await self._arrivals.forget(realm, number)
                store_run()
                verdicts.append(verdict_of(error))
        store_run()

    async def _see_to(
        self,
        realm: str,
        number: int,
        parcel: Parcel | None,
        arrived: Arrived | None,
        stream: Stream,
    ) -> Verdict:
        """What becomes of a parcel that is no text for somebody here: of a file, of news of a group, of
        what is none of ours, and of what can't be read."""
        if parcel is None:
            return parcels.UNREADABLE
        if not isinstance(parcel, Direct | Post | Relay):
            await self._happened(realm, number, parcel)
        elif arrived is not None:
            verdict = await self._keep_file(realm, number, arrived, parcel, stream)
            await self._arrivals.forget(realm, number)
            return verdict
        return KEPT

    def _store(
        self, realm: str, arrived: Sequence[Arrived], stream: Stream
    ) -> list[Deferred[Verdict]]:
        """Hand messages over to the database, as one job; a verdict for each."""
        verdicts: list[Deferred[Verdict]] = []
        run: list[tuple[Arrived, Deferred[Verdict]]] = []
        for each in arrived:
            verdict: Deferred[Verdict] = Deferred()
            verdicts.append(verdict)
            if each.guest is not None and self._is_kicked(*each.guest):
                self._quotas.give_back(realm, cost_of(each.new))
                verdict.callback(verdict_of(Banned(group=each.target.name)))
            else:
                run.append((each, verdict))
        if not run:
            return verdicts
        stored = self._database.run(
            self._messages.writer.receive, realm, [each.new for each, _ in run], stream
        )

        def kept(places: list[Stored | None]) -> None:
            for (each, verdict), place in zip(run, places, strict=True):
                if place is None:
                    self._quotas.give_back(realm, cost_of(each.new))
                verdict.callback(KEPT if place is None else self._told(each, place))

        def failed(failure: Any) -> None:
            for each, verdict in run:
                self._quotas.give_back(realm, cost_of(each.new))
                verdict.errback(failure)

        stored.addCallbacks(kept, failed)
        return verdicts

    def _told(self, arrived: Arrived, place: Stored) -> Verdict:
        """As `_tell`. It is on disk, so it counts as kept even if nobody could be told."""
        try:
            return self._tell(arrived, place, None)
        except Exception:
            log.failure("a message from another realm was stored, and its readers were not told")
            return KEPT if arrived.target.group is None else Verdict(seq=place.seq)

    def _is_kicked(self, roster: Roster, guest: Party) -> bool:
        """Whether a kick overtook a post after it was checked: the kick is stored first."""
        return guest.key in roster.banned or self._rosters.is_leaving(roster.group, guest)

    def _tell(self, arrived: Arrived, place: Stored, file: Attachment | None) -> Verdict:
        receipt = self._messages.arrived(place, arrived.new, arrived.target, file, arrived.origin)
        if arrived.echo:
            self._crossings.echoed(arrived.echo, receipt)
        return KEPT if arrived.target.group is None else Verdict(seq=place.seq)

    def _at(self, at: int) -> int:
        """When a message was sent, as far as that can be."""
        return max(0, min(at, self._accounts.now()))

    def _check(self, parcel: Direct | Post | Relay) -> None:
        """Raises BadText, EmptyText, MessageTooLong."""
        if parcel.text is not None:
            check_text(parcel.text)
            self._messages.check_text(parcel.text)
        elif parcel.file is None:
            check_text("")

    async def _open_directs(self, realm: str, direct: Sequence[Direct]) -> Collection[str]:
        """Have the conversations of these parcels in memory, as far as their recipients exist. Returns the
        keys of those of whom the realm is told nothing."""
        pairs = self._pairs
        missing = [each for each in direct if (realm, each.sender, each.to) not in pairs]
        if not missing:
            return ()
        name = self._realms.name_of(realm)
        wanted: dict[tuple[str, str], tuple[str, Address]] = {}
        for each in missing:
            try:
                sender = Address(parse_foreign_name(each.sender), name)
                wanted[each.sender, each.to] = key_of(parse_name(each.to)), sender
            except BadRequest:
                continue  # its own verdict will say so
        barred = await self._guesses.barred(realm, [key for key, _ in wanted.values()])
        if barred:
            wanted = {pair: each for pair, each in wanted.items() if each[0] not in barred}
        await self._directs.open_from(list(wanted.values()))
        for (sender_name, to), (key, sender) in wanted.items():
            account = self._accounts.cached(key)
            target = None if account is None else self._directs.cached(account, sender)
            if account is not None and target is not None:
                mine = Target(target.conversation, frozenset((account.id,)), to=account.name)
                pairs[realm, sender_name, to] = mine, str(sender)
        return barred

    def _direct(self, realm: str, number: int, parcel: Direct, barred: Collection[str]) -> Arrived:
        self._check(parcel)
        found = self._pairs.get((realm, parcel.sender, parcel.to))
        if found is None:
            parse_foreign_name(parcel.sender)
            if key_of(parcel.to) in barred:
                raise TooManyUnknown(limit=MAX_UNKNOWN)
            raise UnknownUser(name=printable(parcel.to))
        target, sender = found
        return Arrived(
            NewMessage(
                target.conversation,
                None,
                sender,
                self._at(parcel.at),
                parcel.text,
                origin=(realm, number),
            ),
            target,
        )

    async def _read(
        self,
        realm: str,
        number: int,
        parcel: Direct | Post | Relay,
        barred: Collection[str] = (),
    ) -> Arrived | None:
        """The message that a parcel brings; None if it is none for anybody here."""
        if isinstance(parcel, Direct):
            return self._direct(realm, number, parcel, barred)
        self._check(parcel)
        if isinstance(parcel, Post):
            return await self._post(realm, number, parcel)
        return await self._relay(realm, number, parcel)

    async def _post(self, realm: str, number: int, parcel: Post) -> Arrived:
        """Into a group of this realm, from there to all realms with members of it."""
        sender = guest_of(self._realms, realm, parcel.sender)
        name = Address(parse_group_name(parcel.group))
        await self._guesses.check_group(realm, name)
        roster = await self._homes.find_postable(sender, name)
        group = roster.group

        def relay(seq: int) -> bytes:
            return parcels.encode(
                Relay(
                    group.name,
                    group.id,
                    seq,
                    sender.name,
                    parcel.at,
                    parcel.text,
                    parcel.file,
                    number,
                    parcel.proof,
                )
            )

        crossing = Crossing(tuple(roster.realms), relay) if roster.realms else None
        at = self._at(parcel.at)
        origin = (realm, number)
        new = NewMessage(
            group.id, None, sender.name, at, parcel.text, origin=origin, crossing=crossing
        )
        return Arrived(new, group_target(roster), guest=(roster, sender))

    async def _relay(self, realm: str, number: int, parcel: Relay) -> Arrived | None:
        """Into what is known here of a group that lives there."""
        roster = await self._mirror(realm, parcel)
        address = parse_foreign_address(parcel.sender)
        local = self._accounts.localize(address)
        author: Account | None = None
        if address.realm is None:
            address = Address(address.name, self._realms.name_of(realm))
        elif local.realm is None:
            author = await self._author(realm, local, parcel)
            if author is None:
                return None
        new = NewMessage(
            roster.group.id,
            None if author is None else author.id,
            author.name if author else str(address),
            self._at(parcel.at),
            parcel.text,
            seq=parcel.seq,
            origin=(realm, number),
        )
        if author is None:
            return Arrived(new, group_target(roster))
        waiting = self._crossings.awaited(parcel.origin)
        return Arrived(new, group_target(roster), parcel.origin, waiting)

    async def _mirror(self, realm: str, parcel: Relay | Removed) -> Roster:
        name = Address(parse_foreign_name(parcel.group), self._realms.name_of(realm))
        try:
            roster = await self._rosters.find(name)
        except NotMember:
            raise UnknownGroup(name=parcel.group) from None
        if roster.group.home_id != parcel.group_id:
            raise UnknownGroup(name=parcel.group)
        return roster

    async def _author(self, realm: str, sender: Address, parcel: Relay) -> Account | None:
        """Who of this realm has sent what comes back; None if nobody has."""
        try:
            account = await self._accounts.find(sender.name)
        except UnknownUser:
            return None
        sent = self._crossings.proof(account, realm, parcel.at, parcel.text, parcel.file)
        return account if hmac.compare_digest(sent, parcel.proof) else None

    async def _happened(self, realm: str, number: int, parcel: Parcel) -> None:
        """What is no message: who is in which group."""
        if isinstance(parcel, Joined):
            parse_foreign_name(parcel.group)
            await self._guesses.check_people(realm, [Address(parse_name(parcel.user))])
            await self._groups.joined(realm, number, parcel)
        elif isinstance(parcel, Removed):
            await self._groups.removed(realm, number, parcel)
        elif isinstance(parcel, Left):
            try:
                await self._leave(realm, number, parcel)
            except (UnknownGroup, NotMember):
                return  # so it is, whoever has seen to it

    # Files

    async def take(self, realm: str, number: int, offset: int, data: bytes) -> None:
        """See `Arrivals.take`."""
        await self._arrivals.take(realm, number, offset, data)

    async def lost(self, realm: str) -> None:
        """The link is gone: what has come of files is kept for later."""
        turn = self._turns.get(realm)
        if turn is not None and not turn.locked:
            del self._turns[realm]
        await self._arrivals.drop_all(realm)

    async def forget(self, realm: str) -> None:
        """Nothing is known of the realm any more: remove what has come of its files."""
        await self._arrivals.forget_all(realm)

    async def offer(self, realm: str, number: int, parcel: Parcel) -> int:
        """The file of a parcel that will follow: the offset from which it is to be sent. Raises what
        its message would be refused for, and what `Arrivals.offer` does."""
        if not isinstance(parcel, Direct | Post | Relay) or parcel.file is None:
            raise UnknownGroup(name="")
        barred = await self._open_directs(realm, [parcel] if isinstance(parcel, Direct) else [])
        await self._read(realm, number, parcel, barred)
        return await self._arrivals.offer(realm, number, parcel.file, self._owner(realm, parcel))

    def _owner(self, realm: str, parcel: Direct | Post | Relay) -> Owner:
        """Whose quota the file is taken from: a relayed one its home's, whoever sent it."""
        sender = "" if isinstance(parcel, Relay) else key_of(parcel.sender)
        return Owner(sender_key=f"{sender}@{realm}", realm=realm)

    async def _keep_file(
        self,
        realm: str,
        number: int,
        arrived: Arrived,
        parcel: Direct | Post | Relay,
        stream: Stream,
    ) -> Verdict:
        """Store a message with its file, which has come before."""
        note = parcel.file
        assert note is not None  # noqa: S101 - asked for by the caller
        if await self._database.read(message_store.has_come, realm, number):
            return KEPT
        if arrived.new.sender_id is not None:
            own = await self._database.read(file_store.own_file, arrived.new.sender_id, note.code)
            if own is None or own.sha256 != note.sha256:
                return KEPT
            return await self._store_file(realm, arrived, stream, lambda _connection: own)
        owner = self._owner(realm, parcel)
        name = safe_name(note.name)
        same = await self._arrivals.known(note, owner)
        if same is not None:
            return await self._store_file(realm, arrived, stream, lambda _connection: same)
        file = await self._arrivals.finish(realm, number)
        now = self._accounts.now()
        quota = self._arrivals.quota

        def keep(code: str) -> Deferred[Verdict]:
            def add(connection: Connection) -> Attachment:
                return file_store.add_attachment(connection, owner, code, name, file, now, quota)

            return Deferred.fromCoroutine(self._store_file(realm, arrived, stream, add))

        try:
            return await with_new_code(self._random_bytes, keep)
        except Exception:
            await self._arrivals.discard(file)
            raise

    async def _store_file(
        self,
        realm: str,
        arrived: Arrived,
        stream: Stream,
        add: Callable[[Connection], Attachment],
    ) -> Verdict:
        def job(connection: Connection) -> tuple[NewMessage, Stored | None, Attachment]:
            if arrived.guest is not None:
                roster, guest = arrived.guest
                check_ban(connection, roster.group, guest)
            file = add(connection)
            new = msgspec.structs.replace(arrived.new, attachment_id=file.id)
            return new, self._messages.writer.receive(connection, realm, [new], stream)[0], file

        new, place, file = await self._database.run(job)
        if place is None:
            return KEPT
        return self._tell(msgspec.structs.replace(arrived, new=new), place, file)

    # Groups

    async def _leave(self, realm: str, number: int, left: Left) -> None:
        """Raises UnknownGroup, NotMember."""
        key = key_of(left.group)
        await self._homes.leave(
            guest_of(self._realms, realm, left.sender),
            Address(parse_name(left.group)),
            lambda db: is_news(db, realm, key, number),
        )
