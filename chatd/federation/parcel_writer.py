"""Storing the messages that other realms bring, and telling those who listen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from chatd.base.errors import Banned
from chatd.base.model import Attachment, Party
from chatd.base.names import key_of
from chatd.federation.file_receive import Arrivals
from chatd.federation.outgoing import Crossings
from chatd.federation.parcel_reader import Arrived
from chatd.federation.parcels import KEPT, Direct, Post, Relay, Verdict
from chatd.federation.realm_quotas import RealmQuotas
from chatd.files.file_names import safe_name
from chatd.service.accounts import Accounts
from chatd.service.home_groups import with_new_code
from chatd.service.messages import Messages
from chatd.service.realms import verdict_of
from chatd.service.rosters import Rosters
from chatd.store import files as file_store
from chatd.store import messages as message_store
from chatd.store.bans import check_ban
from chatd.store.database import Database
from chatd.store.files import Owner
from chatd.store.members import Roster
from chatd.store.messages import NewMessage, Stored, Stream

log = Logger()


def owner_of(realm: str, parcel: Direct | Post | Relay) -> Owner:
    """Whose quota a parcel's file counts against: its sender's, or for a relayed file the group's realm's."""
    sender = "" if isinstance(parcel, Relay) else key_of(parcel.sender)
    return Owner(sender_key=f"{sender}@{realm}", realm=realm)


class ParcelWriter:
    def __init__(
        self,
        database: Database,
        accounts: Accounts,
        rosters: Rosters,
        messages: Messages,
        crossings: Crossings,
        arrivals: Arrivals,
        quotas: RealmQuotas,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._database = database
        self._accounts = accounts
        self._rosters = rosters
        self._messages = messages
        self._crossings = crossings
        self._arrivals = arrivals
        self._quotas = quotas
        self._random_bytes = random_bytes

    def store(
        self, realm: str, arrived: Sequence[Arrived], stream: Stream
    ) -> list[Deferred[Verdict]]:
        """Store texts that are charged already, in one job. Returns a verdict for each, which fires once it
        is on disk."""
        verdicts: list[Deferred[Verdict]] = []
        run: list[tuple[Arrived, Deferred[Verdict]]] = []
        for each in arrived:
            verdict: Deferred[Verdict] = Deferred()
            verdicts.append(verdict)
            if each.guest is not None and self._is_kicked(*each.guest):
                self._quotas.give_back(realm, each.new)
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
                    self._quotas.give_back(realm, each.new)
                verdict.callback(KEPT if place is None else self._told(each, place))

        def failed(failure: Any) -> None:
            for each, verdict in run:
                self._quotas.give_back(realm, each.new)
                verdict.errback(failure)

        stored.addCallbacks(kept, failed)
        return verdicts

    def _is_kicked(self, roster: Roster, guest: Party) -> bool:
        """Whether a kick overtook a post after it was checked: the kick is stored first."""
        return guest.key in roster.banned or self._rosters.is_leaving(roster.group, guest)

    def _told(self, arrived: Arrived, place: Stored) -> Verdict:
        """As `_tell`, but never raises: the message is on disk, so it is kept even if nobody can be told."""
        try:
            return self._tell(arrived, place, None)
        except Exception:
            log.failure("a message from another realm was stored, and its readers were not told")
            return KEPT if arrived.target.group is None else Verdict(seq=place.seq)

    def _tell(self, arrived: Arrived, place: Stored, file: Attachment | None) -> Verdict:
        receipt = self._messages.fan_out.tell(
            place, arrived.new, arrived.target, file, arrived.origin
        )
        if arrived.echo:
            self._crossings.echoed(arrived.echo, receipt)
        return KEPT if arrived.target.group is None else Verdict(seq=place.seq)

    async def store_with_file(
        self,
        realm: str,
        number: int,
        arrived: Arrived,
        parcel: Direct | Post | Relay,
        stream: Stream,
    ) -> Verdict:
        """Store a message whose file has arrived. Raises FileIncomplete, QuotaExceeded, RealmQuota,
        StorageFailed."""
        note = parcel.file
        assert note is not None  # noqa: S101 - the caller has checked it
        if await self._database.read(message_store.has_come, realm, number):
            return KEPT
        if arrived.new.sender_id is not None:
            own = await self._database.read(file_store.own_file, arrived.new.sender_id, note.code)
            if own is None or own.sha256 != note.sha256:
                return KEPT
            return await self._store_file(realm, arrived, stream, lambda _connection: own)
        owner = owner_of(realm, parcel)
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

        self._quotas.charge(realm, arrived.new)
        try:
            new, place, file = await self._database.run(job)
        except Exception:
            self._quotas.give_back(realm, arrived.new)
            raise
        if place is None:
            self._quotas.give_back(realm, arrived.new)
            return KEPT
        return self._tell(msgspec.structs.replace(arrived, new=new), place, file)
