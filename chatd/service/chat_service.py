"""ChatService, the shared object behind every protocol: accounts, groups, messages, rooms and files.

It knows no socket, no clock and no wire. Time, randomness and the reactor for threads are arguments.
Connections are `IListener`s (chatd.service.presence) and act through a `Client` (chatd.commands.client).
It reaches other realms through `IRealms` (chatd.service.realms).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from twisted.logger import Logger

from chatd.base.clocks import Wall
from chatd.base.config import Config
from chatd.base.counters import Counters
from chatd.federation.bounces import Returns
from chatd.federation.file_receive import Arrivals
from chatd.federation.membership import GroupNews
from chatd.federation.name_guesses import NameGuesses
from chatd.federation.outbox import Outbox
from chatd.federation.outgoing import Crossings
from chatd.federation.parcel_reader import ParcelReader
from chatd.federation.parcel_writer import ParcelWriter
from chatd.federation.questions import Questions
from chatd.federation.realm_quotas import RealmQuotas
from chatd.federation.receive import Inbound
from chatd.files.disk_space import DiskSpace
from chatd.files.folder import Uploads
from chatd.service.accounts import Accounts
from chatd.service.attachments import Files
from chatd.service.contacts import Contacts
from chatd.service.conversations import Conversations
from chatd.service.directs import Directs
from chatd.service.fan_out import FanOut
from chatd.service.groups import Groups
from chatd.service.home_groups import HomeGroups
from chatd.service.messages import Messages
from chatd.service.operators import Operators
from chatd.service.passwords import Passwords
from chatd.service.presence import Presence
from chatd.service.quotas import MessageQuotas
from chatd.service.reading import Reading
from chatd.service.realms import IRealms, NoRealms
from chatd.service.rooms import Rooms
from chatd.service.rosters import Rosters
from chatd.service.sends import Sends
from chatd.store.database import Database
from chatd.store.engine import limit_log
from chatd.store.members import Bounds
from chatd.store.messages import MessageWriter

log = Logger()


class ChatService:
    """Everything that one realm consists of, except its links and ports. `random_bytes(n)` makes tokens and
    codes. `clock` has the timers and measures durations; `wall` tells the date, which `accounts.now()`
    returns in milliseconds."""

    def __init__(
        self,
        config: Config,
        clock: Any,
        database: Database,
        passwords: Passwords,
        uploads: Uploads,
        random_bytes: Callable[[int], bytes],
        realms: IRealms | None = None,
        secret: bytes = b"",
        counters: Counters | None = None,
        wall: Wall = time.time,
    ) -> None:
        self.counters = counters = counters or Counters()
        self.stopping = False  # the realm is shutting down
        self.config = config
        self.clock = clock
        self.database = database
        self.realms = realms = realms or NoRealms()
        self.presence = presence = Presence(counters)
        database.on_settled(presence.flush)
        self.uploads = uploads
        self.disk = disk = DiskSpace(
            clock, uploads.in_thread, [uploads.folder], config.limits.reserve
        )
        database.on_settled(disk.settled)
        disk.on_change(self._spare_disk)
        limits, peers = config.limits, config.peers
        self.quotas = quotas = MessageQuotas(
            clock, database, disk, limits.account_messages, peers.messages
        )
        self.rooms = Rooms()
        self.accounts = accounts = Accounts(
            config, clock, wall, database, passwords, presence, random_bytes
        )
        self.contacts = Contacts(
            database, accounts, presence, realms, config.limits.account_contacts
        )
        self.operators = Operators(clock, database, accounts)
        self.outbox = outbox = Outbox(clock, database, realms)
        directs = Directs(database, accounts, realms)
        rosters = Rosters(database, accounts, outbox, realms)
        self.reading = Reading(database, directs, rosters)
        self.conversations = Conversations(database, presence, self.reading)
        writer = MessageWriter(outbox.writer)
        sends = Sends(database, writer, outbox)
        self.crossings = Crossings(clock, database, outbox, sends, realms, secret)
        self.messages = Messages(
            database,
            accounts,
            rosters,
            directs,
            writer,
            sends,
            self.crossings,
            quotas,
            config.limits.message,
            FanOut(rosters, self.reading, presence, self.crossings, counters),
        )
        limits = config.limits
        homes = HomeGroups(
            clock,
            database,
            accounts,
            presence,
            rosters,
            realms,
            random_bytes,
            Bounds(limits.group_members, config.peers.group_members, limits.account_groups),
            limits.groups_per_hour,
        )
        self.groups = Groups(
            clock,
            database,
            accounts,
            outbox,
            rosters,
            homes,
            presence,
            realms,
            limits.account_groups,
        )
        self.files = Files(
            config.limits,
            database,
            accounts,
            directs,
            self.messages,
            self.reading,
            uploads,
            disk,
            quotas,
            random_bytes,
        )
        self.arrivals = Arrivals(config, database, uploads, disk)
        guesses = NameGuesses(clock, database, accounts, rosters, realms)
        self.questions = Questions(accounts, homes, self.groups, realms, guesses)
        realm_quotas = RealmQuotas(quotas, realms, accounts.now)
        self.inbound = Inbound(
            database,
            self.arrivals,
            disk,
            realm_quotas,
            ParcelReader(
                accounts,
                rosters,
                homes,
                directs,
                self.messages,
                self.crossings,
                realms,
                guesses,
                realm_quotas,
            ),
            ParcelWriter(
                database,
                accounts,
                rosters,
                self.messages,
                self.crossings,
                self.arrivals,
                realm_quotas,
                random_bytes,
            ),
            GroupNews(homes, self.groups, realms, guesses),
        )
        self.returns = Returns(database, accounts, rosters, self.messages, realms)

    def _spare_disk(self, low: bool) -> None:
        """Below the reserve logins and read marks go on: the database's log must not use it up."""
        limited = self.database.run(limit_log, low)
        limited.addErrback(lambda failure: log.failure("the log was not limited", failure))
