"""A realm reaches its PostgreSQL server through PgBouncer, which gives each transaction any connection."""

from __future__ import annotations

from typing import cast
from unittest import SkipTest

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import ArgumentError
from twisted.internet.task import Clock

from chatd.base.clocks import IReactor
from chatd.base.config import ClusterConfig, Config
from chatd.cluster.bus_choice import BusUnusable, make_bus
from chatd.store.engine import backend_of, connect
from chatd.store.migrate import SchemaError, prepare
from chatd.store.postgres import SETTINGS
from chatd.store.schema import messages
from tests.support.common import make_config
from tests.support.pgbouncer import MISSING, PROGRAM, start_pgbouncer, through_pgbouncer
from tests.support.postgres import USER
from tests.support.writing_nodes import NodesCase


class Pooled(NodesCase):
    def setUp(self) -> None:
        if PROGRAM is None:
            raise SkipTest(MISSING)
        super().setUp()
        start_pgbouncer(self, self.server, 3)
        self.direct, self.url = self.url, through_pgbouncer(self.url)
        self.name = sa.make_url(self.direct).database

    def give_settings(self) -> None:
        """What a start asks the operator for, for this database alone."""
        self.addCleanup(self.server.execute, f"ALTER ROLE {USER} IN DATABASE {self.name} RESET ALL")
        for name, value in SETTINGS.items():
            change = f"ALTER ROLE {USER} IN DATABASE {self.name} SET {name} = '{value}'"
            self.server.execute(change)

    def test_settings(self) -> None:
        """A start says what the role lacks."""
        engine = connect(self.url)
        self.addCleanup(engine.dispose)
        with self.assertRaises(SchemaError) as caught:
            prepare(engine)
        text = str(caught.exception)
        self.assertIn("ALTER ROLE chatd SET statement_timeout = '60s'; ALTER ROLE", text)
        for name in SETTINGS:
            if name in ("jit", "statement_timeout", "lock_timeout"):
                self.assertIn(name, text)

    def test_nodes(self) -> None:
        """Nodes share three connections to the server for all that they read and write."""
        self.give_settings()
        nodes = [self.node(name) for name in ("three", "four", "five")]
        prepare(nodes[0].engine)
        readers = [backend_of(node.engine).reading(node.engine) for node in nodes]
        for number in range(8):
            for node, reader in zip(nodes, readers, strict=True):
                node.send(7, f"text {number}", "realm2")
                with reader.connect() as connection, connection.begin():
                    found = connection.scalar(sa.select(sa.func.count()).select_from(messages))
                    isolation = connection.exec_driver_sql("SHOW transaction_isolation").scalar()
                self.assertEqual(isolation, "repeatable read")
        self.assertEqual(found, 24)
        seqs = [seq for (seq,) in self.rows(messages.c.seq)]
        self.assertEqual(sorted(seqs), list(range(1, 25)))

        def limits(connection: Connection) -> tuple[str, ...]:
            asked = ("statement_timeout", "idle_in_transaction_session_timeout", "jit")
            return tuple(str(connection.exec_driver_sql(f"SHOW {name}").scalar()) for name in asked)

        self.assertEqual(nodes[0].run(limits), ("1min", "4s", "off"))
        with readers[0].connect() as connection, connection.begin():
            self.assertEqual(limits(connection), ("1min", "2min", "off"))

    def test_another_server(self) -> None:
        """A node notices that the pooler has connected with another server, since the next numbers begin a
        term."""
        self.give_settings()
        node = self.node("three")
        node.send(7, "a")
        before = node.send(7, "b", "realm2").number
        turns = node.writer.turns
        self.patch(turns, "_server", "2001-01-01")
        self.assertGreater(node.send(7, "c", "realm2").number >> 22, before >> 22)

    def test_bus(self) -> None:
        """Notifications need the server itself."""
        clock = cast(IReactor, Clock())
        self.assertRaises(BusUnusable, make_bus, self.configured("postgres"), clock)
        make_bus(self.configured(self.direct), clock)

    def configured(self, bus: str) -> Config:
        config = make_config(self.server.folder)
        return msgspec.structs.replace(
            config, database_url=self.url, cluster=ClusterConfig(bus=bus)
        )

    def test_unknown(self) -> None:
        self.assertRaises(ArgumentError, connect, f"{self.direct}&pooler=session")
