"""Keys of a realm that are renewed at one node while another one runs."""

from __future__ import annotations

import dataclasses
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import SkipTest

import msgspec
from sqlalchemy import update
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import TestCase

from chatd.app import shared_key_watch
from chatd.app.key_file import make_key_file
from chatd.app.keys import renew_key
from chatd.app.shared_key_watch import LOOK_EVERY
from chatd.app.shared_secrets import SharedSecrets
from chatd.app.signing_key import SIGNING_KEY_FILE, renew_signing_key
from chatd.app.state import StateFolder
from chatd.base.config import SEVERAL_NODES, ClusterConfig
from chatd.federation.amp.identity_files import CERTIFICATE_FILE, KEY_FILE
from chatd.store.engine import alone, connect
from chatd.store.nodes import LEFT
from chatd.store.realm_keys import OWN, all_keys
from chatd.store.schema import nodes
from tests.support.buses import MemoryBus
from tests.support.common import Realm, make_config, sleep
from tests.support.node_servers import NodeServer, NodesTestCase
from tests.support.postgres import MISSING, server, temporary_database

FILES = (KEY_FILE, CERTIFICATE_FILE, SIGNING_KEY_FILE)


class SigningKey(NodesTestCase):
    """budi in realm2 is in a group of ana, who uses the node that is linked with realm2 and runs on."""

    def setUp(self) -> None:
        super().setUp()
        self.budi = self.two.person("budi")
        self.a.add(self.two)
        self.network.advance(1.0)
        self.ana = self.a.person("ana")
        self.ana.creates("bagan")
        self.budi.joins("bagan@realm1")

    def renew(self) -> bytes:
        """Renew the key at the other node, which is stopped, as --new-key does. Returns its id."""
        self.b.kill()
        config = self.b.config
        renewed = renew_signing_key(config.state, os.urandom)
        engine = connect(self.url)
        with alone(engine), engine.begin() as connection:
            SharedSecrets(config, os.urandom, time.time).record(connection)
            connection.execute(update(nodes).where(nodes.c.name == "b").values(beat=LEFT))
        engine.dispose()
        return renewed.id

    def signs_with(self, node: NodeServer) -> bytes:
        return node.realm.keys.signing_key.id

    def own_keys(self, node: NodeServer) -> list[bytes]:
        """The ids of the keys with which the realm signs by the database, without those that were renewed."""
        found = node.realm.database.now(all_keys)
        return [key.id for key in found if key.realm == OWN and key.until is None]

    def texts(self) -> list[str]:
        return [text.partition(": ")[2] for text in self.budi.history(group="bagan@realm1")]

    def test_found(self) -> None:
        """A node that runs signs with the new key after a look. The other realm learns it over a new link,
        and takes what is signed with it. The node that is started afterwards uses it too. Both nodes know
        both keys, for entries that come back from other realms."""
        old = self.signs_with(self.a)
        self.ana.posts("bagan", "satu")
        new = self.renew()
        self.network.advance(LOOK_EVERY + 2)
        self.assertEqual(self.signs_with(self.a), new)
        self.assertEqual(self.own_keys(self.a), [new])
        self.assertEqual(self.a.links, ["realm2"])
        self.ana.posts("bagan", "dua")
        self.network.advance(1)
        self.assertEqual(self.texts(), ["satu", "dua"])
        ring = self.two.federation.keys.ring
        known = {each: ring.get("realm1", each) for each in (old, new)}
        self.assertIsNone(known[new] and known[new].until)
        self.assertIsNotNone(known[old] and known[old].until)
        self.b.open()
        self.assertEqual(self.signs_with(self.b), new)
        for node in (self.a, self.b):
            own: Any = node.federation.keys.ring.of("realm1")
            self.assertIsNone(own[new].until)
            self.assertIsNotNone(own[old].until)
            self.assertNotIn(OWN, node.federation.keys.ring._realms)
        self.assertEqual(
            (self.a.config.state / SIGNING_KEY_FILE).read_bytes(),
            (self.b.config.state / SIGNING_KEY_FILE).read_bytes(),
        )

    def test_told(self) -> None:
        """When the node with the new key is started, the other one hears it at once."""
        new = self.renew()
        self.b.open()
        self.b.bus.start("b", 1)
        self.network.advance(0.5)
        self.assertEqual(self.signs_with(self.a), new)
        ring: Any = self.a.federation.keys.ring
        self.assertIsNone(ring.get("realm1", new).until)

    def test_not_had(self) -> None:
        """A node that can't open the new key says so once, continues to use the old one, and tries again."""
        old = self.signs_with(self.a)
        self.renew()
        key_file = self.a.config.cluster.key_file
        assert key_file is not None
        aside = key_file.rename(key_file.with_suffix(".aside"))
        with capturedLogs() as logged:
            self.network.advance(3 * LOOK_EVERY)
        told = [formatEvent(event) or "" for event in logged]
        self.assertEqual(len([each for each in told if "still uses the old ones" in each]), 1, told)
        self.assertEqual(self.signs_with(self.a), old)
        aside.rename(key_file)
        self.network.advance(LOOK_EVERY + 1)
        self.assertNotEqual(self.signs_with(self.a), old)


class Certificate(TestCase):
    """Two whole realms, with the identities that links would show."""

    def setUp(self) -> None:
        if server() is None:
            raise SkipTest(MISSING)
        self.patch(shared_key_watch, "LOOK_EVERY", 0.02)
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.url = temporary_database(self)
        self.buses: list[MemoryBus] = []
        self.key_file: Path | None = self.folder / "key"
        make_key_file(self.key_file, os.urandom)

    def open(self, name: str) -> Realm:
        cluster = ClusterConfig(SEVERAL_NODES, name, key_file=self.key_file)
        config = make_config(self.folder / name)
        config = msgspec.structs.replace(config, database_url=self.url, cluster=cluster)
        realm = Realm(config, random_bytes=os.urandom)
        realm.state = StateFolder(config.state)
        realm.environment = dataclasses.replace(
            realm.environment, bus=lambda _config: MemoryBus(name, self.buses)
        )
        realm.open()
        return realm

    async def until(self, condition: Callable[[], bool]) -> None:
        for _ in range(500):
            if condition():
                return
            await sleep(0.01)
        raise AssertionError

    def copy(self, source: Realm, target: Realm) -> None:
        for name in FILES:
            shutil.copy2(source.config.state / name, target.config.state)

    async def test_copied_by_hand(self) -> None:
        """Without a key file a node says what to do, and notices the files that are copied to it."""
        self.key_file = None
        one = self.open("one")
        self.addCleanup(lambda: Deferred.fromCoroutine(one.close()))
        (self.folder / "two").mkdir()
        spare = Realm(make_config(self.folder / "two"), random_bytes=os.urandom)
        self.copy(one, spare)
        with capturedLogs() as logged:
            renewed = renew_key(
                msgspec.structs.replace(
                    spare.config, database_url=self.url, cluster=one.config.cluster
                )
            )
            await self.until(lambda: bool(logged))
        self.assertIn("copy realm.key and realm.pem", formatEvent(logged[0]) or "")
        self.copy(spare, one)
        await self.until(lambda: self.shows(one) == renewed.new)

    def shows(self, realm: Realm) -> str:
        return realm.keys.identify(realm.config)[0].fingerprint

    async def test_shown(self) -> None:
        """New links show the new certificate, and those that are up end."""
        one, two = self.open("one"), self.open("two")
        self.addCleanup(lambda: Deferred.fromCoroutine(one.close()))
        await two.close()
        endpoint: Any = one.keys.endpoint
        before = endpoint._tls._context
        ended: list[None] = []
        self.patch(one.directory, "renew", lambda: ended.append(None))
        await sleep(0.1)
        self.assertEqual(ended, [], "before, looks change nothing")
        renewed = renew_key(two.config)
        self.assertNotEqual(renewed.old, renewed.new)
        await self.until(lambda: bool(ended))
        self.assertEqual(self.shows(one), renewed.new)
        self.assertIsNot(endpoint._tls._context, before)
        self.assertEqual(ended, [None])
        for name in FILES:
            here, there = (each.config.state / name for each in (one, two))
            self.assertEqual(here.read_bytes(), there.read_bytes())


del NodesTestCase  # it is no test
