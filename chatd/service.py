"""ChatService, the shared object behind every protocol: accounts, groups, messages, rooms and files.

It knows no socket, no clock and no wire: time, randomness and the threads' reactor are given to it,
connections reach it as `IListener`s (chatd.presence) through a `Client` (chatd.session), and it reaches other
realms through `IRealms` (chatd.realms), which reach it through its `inbound`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from twisted.logger import Logger

from chatd.accounts import Accounts
from chatd.arrivals import Arrivals
from chatd.clocks import Wall
from chatd.config import Config
from chatd.contacts import Contacts
from chatd.conversations import Conversations
from chatd.counters import Counters
from chatd.crossings import Crossings
from chatd.directs import Directs
from chatd.diskspace import DiskSpace
from chatd.fanout import FanOut
from chatd.files import Files
from chatd.groupnews import GroupNews
from chatd.groups import Groups
from chatd.guessing import NameGuesses
from chatd.homegroups import HomeGroups
from chatd.inbound import Inbound
from chatd.messages import Messages
from chatd.operators import Operators
from chatd.outbox import Outbox
from chatd.parcelreader import ParcelReader
from chatd.parcelwriter import ParcelWriter
from chatd.passwords import Passwords
from chatd.presence import Presence
from chatd.questions import Questions
from chatd.quotas import MessageQuotas
from chatd.reading import Reading
from chatd.realmquotas import RealmQuotas
from chatd.realms import IRealms, NoRealms
from chatd.returns import Returns
from chatd.rooms import Rooms
from chatd.rosters import Rosters
from chatd.sends import Sends
from chatd.store.database import Database
from chatd.store.engine import limit_log
from chatd.store.members import Bounds
from chatd.store.messages import MessageWriter
from chatd.uploads import Uploads

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
