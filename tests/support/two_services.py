"""Two services of one realm, for the tests of what nodes keep in memory of their database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import msgspec
from sqlalchemy import Connection
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.config import SEVERAL_NODES, ClusterConfig
from chatd.base.counters import Counters
from chatd.base.errors import Banned
from chatd.base.model import Account
from chatd.base.principals import Principal
from chatd.base.roles import OPERATOR
from chatd.commands.client import Client
from chatd.commands.sessions import Session, Sessions
from chatd.federation.forwarder import Forwarder
from chatd.federation.signing.drafts import EntrySigner
from chatd.files.folder import Uploads
from chatd.media.scaler import PictureScaler
from chatd.service.audit import Act
from chatd.service.chat_service import ChatService
from chatd.service.context import Context
from chatd.service.paced_read import BETWEEN
from chatd.service.passwords import Passwords
from chatd.simulate.databases import DATABASE, connect_without_sync, provide_schema
from chatd.simulate.stepped import InstantPasswords
from chatd.store.backend import WriterTurns
from chatd.store.database import Database
from tests.support.buses import MemoryBus
from tests.support.common import make_config, same_bytes
from tests.support.inline import InlineDatabase, NoLinks, NoUploads, result_of
from tests.support.no_realms import NoRealms
from tests.support.signing import SigningRealm


class OthersMayWrite(WriterTurns):
    """There are other nodes, which may have changed something before each transaction."""

    def begin(self, connection: Connection, beside: bool) -> bool:
        return True

    def end(self, connection: Connection) -> None: ...

    def forget(self) -> None: ...


class TwoServices(SynchronousTestCase):
    """Two services on one database, whose jobs are committed at once. They share an SQLite database: they
    take turns within one process."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        provide_schema(make_config(self.folder))
        self.buses: list[MemoryBus] = []
        self.here, self.there = self.service("one"), self.service("two")
        self.sessions = Sessions(self.there, {})
        self.sessions_here = Sessions(self.here, {})

    def service(self, name: str) -> ChatService:
        config = msgspec.structs.replace(
            make_config(self.folder), cluster=ClusterConfig(SEVERAL_NODES, name)
        )
        database = InlineDatabase(connect_without_sync(f"sqlite:///{self.folder / DATABASE}"))
        self.addCleanup(database.close)
        database.be_node(name, OthersMayWrite())
        bus = MemoryBus(name, self.buses)
        random_bytes = same_bytes()
        context = Context(
            config,
            self.clock,
            self.clock.seconds,
            cast(Database, database),
            random_bytes,
            Counters(),
            bus,
        )
        signer = EntrySigner("realm1", SigningRealm("realm1").key, random_bytes)
        service = ChatService(
            context,
            cast(Passwords, InstantPasswords()),
            cast(Uploads, NoUploads()),
            NoRealms(),
            Forwarder(context, NoLinks(), signer),
            PictureScaler(None, self.clock),
        )
        service.presence.set_elsewhere(True)
        return service

    def lose(self) -> None:
        for each in self.buses:
            each.lost = True

    def heal(self) -> None:
        """Let the nodes read what they may have missed."""
        self.clock.pump([0.0, BETWEEN, 0.0])

    def account(self, name: str) -> Account:
        account: Account = result_of(self.here.accounts.add(name, "secret password", None, None))
        return account

    def log_in(self, name: str, there: bool = True) -> tuple[Session, FakeClient]:
        """A client with a session of its own."""
        service, sessions = (
            (self.there, self.sessions) if there else (self.here, self.sessions_here)
        )
        login = result_of(service.accounts.login(name, "secret password", "192.0.2.1"))
        client = FakeClient()
        session = sessions.attach(login, cast(Client, client))
        client.on_detach = lambda: sessions.detach(session, cast(Client, client))
        return session, client

    def act(self) -> Act:
        return self.here.audit.act(Principal("local", OPERATOR), "ban", "ana", "")


class FakeClient:
    """A client that keeps what it gets."""

    def __init__(self) -> None:
        self.listener = self
        self.connection = self
        self.in_use = False
        self.got: list[object] = []
        self.on_detach: Callable[[], object] = lambda: None

    def detach(self) -> None:
        self.on_detach()

    def deliver(self, events: Sequence[object]) -> None:
        self.got += events

    def refuse(self, error: Banned) -> None:
        self.got.append(error)

    def drop(self) -> None:
        raise AssertionError
