"""The realm's keys reach every node, and no node makes a second identity."""

from __future__ import annotations

import base64
import os
import shutil
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from unittest import SkipTest

import msgspec
from sqlalchemy import Engine, delete, select, update
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase, TestCase

from chatd.app.key_file import make_key_file, read_key_file
from chatd.app.keys import make_cluster_key, renew_key, seal_keys
from chatd.app.shared_secrets import CERTIFICATE, SIGNING, SharedSecrets
from chatd.app.signing_key import SIGNING_KEY_FILE, load_signing_key, renew_signing_key
from chatd.app.state import StartError, StateFolder
from chatd.base.config import ClusterConfig, Config, PeersConfig
from chatd.federation.amp.identity_files import (
    CERTIFICATE_FILE,
    KEY_FILE,
    load_identity,
    rotate,
)
from chatd.store.accounts import add_account
from chatd.store.engine import alone, connect
from chatd.store.realm_keys import OWN, use_own
from chatd.store.realm_secrets import StoredSecret, all_secrets, replace_secret
from chatd.store.schema import metadata, realm_keys, realm_secrets
from tests.support.common import Realm, make_config
from tests.support.postgres import MISSING, server, temporary_database

FILES = (KEY_FILE, CERTIFICATE_FILE, SIGNING_KEY_FILE)
WAIT = 20  # seconds, for a test that fails


class SharingNode:
    """A node with a state folder of its own, of which only the keys are loaded."""

    def __init__(self, engine: Engine, folder: Path, config: Config) -> None:
        folder.mkdir()
        self.engine = engine
        self.folder = folder
        self.config = msgspec.structs.replace(config, state=folder)

    @property
    def secrets(self) -> SharedSecrets:
        return SharedSecrets(self.config, os.urandom, time.time)

    def start(self) -> tuple[str, bytes]:
        """What identifies the realm at this node. Raises StartError."""
        with alone(self.engine), self.engine.begin() as connection:
            self.secrets.fetch(connection)
            now = datetime.now(UTC)
            identity = load_identity("realm1", self.folder, self.config.peers, now)
            signing = load_signing_key(self.folder, os.urandom)
            self.secrets.record(connection)
            use_own(connection, signing.id, signing.public, 1)
        return identity.fingerprint, signing.id

    def renew(self) -> None:
        rotate(self.folder, PeersConfig(), datetime.now(UTC))
        renew_signing_key(self.folder, os.urandom)

    def record(self) -> None:
        with self.engine.begin() as connection:
            self.secrets.record(connection)

    def reseal(self) -> None:
        with self.engine.begin() as connection:
            self.secrets.reseal(connection)

    def lose(self, *names: str) -> None:
        for name in names or FILES:
            (self.folder / name).unlink()


class SecretsTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.key_file = self.folder / "cluster.key"
        make_key_file(self.key_file, os.urandom)
        self.engine = self.make_engine()
        self.addCleanup(self.engine.dispose)
        self.one, self.two = self.node("one"), self.node("two")

    def make_engine(self) -> Engine:
        engine = connect("sqlite://")
        with engine.begin() as connection:
            metadata.create_all(connection, checkfirst=False)
        return engine

    def node(self, name: str, key_file: bool = True) -> SharingNode:
        cluster = ClusterConfig(key_file=self.key_file if key_file else None)
        config = Config(realm="realm1", cluster=cluster)
        return SharingNode(self.engine, self.folder / name, config)

    def stored(self) -> dict[str, StoredSecret]:
        with self.engine.begin() as connection:
            return all_secrets(connection)

    def change(self, name: str, **values: object) -> None:
        with self.engine.begin() as connection:
            same = realm_secrets.c.name == name
            connection.execute(update(realm_secrets).where(same).values(**values))

    def refused(self, node: SharingNode, *reasons: str) -> None:
        """The node does not start, says why, and changes no file."""
        before = {path.name: path.read_bytes() for path in node.folder.iterdir()}
        sentence = str(self.assertRaises(StartError, node.start))
        for reason in (*reasons, "expected"):
            self.assertIn(reason, sentence)
        self.assertNotIn("\n", sentence)
        after = {path.name: path.read_bytes() for path in node.folder.iterdir()}
        self.assertEqual(before, after)


class Sealed(SecretsTestCase):
    def test_reaches(self) -> None:
        """A new node gets everything from the database."""
        self.assertEqual(self.one.start(), self.two.start())
        for name in FILES:
            path = self.two.folder / name
            self.assertEqual(path.read_bytes(), (self.one.folder / name).read_bytes())
            self.assertEqual(path.stat().st_mode & 0o777, 0o600)

    def test_nothing_readable(self) -> None:
        """The database alone has no key."""
        self.one.start()
        for row in self.stored().values():
            assert row.sealed is not None
            self.assertNotIn(b"PRIVATE", row.sealed)
            self.assertEqual(row.fingerprint[:7], "sha256:")

    def test_lost(self) -> None:
        identity = self.one.start()
        for names in (FILES, (KEY_FILE,), (CERTIFICATE_FILE,), (SIGNING_KEY_FILE,)):
            self.one.lose(*names)
            self.assertEqual(self.one.start(), identity)

    def test_damaged_file(self) -> None:
        identity = self.one.start()
        for name in FILES:
            (self.one.folder / name).write_bytes(b"x")
            self.assertEqual(self.one.start(), identity)

    def test_renewed(self) -> None:
        """A node with an older key gets the new one at its start."""
        old = self.one.start()
        self.two.start()
        self.one.renew()
        self.one.record()
        new = self.two.start()
        self.assertNotEqual(new[0], old[0])
        self.assertNotEqual(new[1], old[1])
        self.assertEqual(self.one.start(), new)

    def test_renewal_cut_off(self) -> None:
        """The node that has the newer key keeps it, if it was killed before that was stored."""
        old = self.one.start()
        self.two.start()
        self.one.renew()
        new = self.one.start()
        self.assertNotEqual(new, old)
        self.assertEqual(self.two.start(), new)

    def test_first_start_cut_off(self) -> None:
        """Killed before anything was stored: another node may be the first one."""
        load_identity("realm1", self.one.folder, PeersConfig(), datetime.now(UTC))
        identity = self.two.start()
        self.assertEqual(self.one.start(), identity)

    def test_writing_cut_off(self) -> None:
        """A node that was killed while it wrote what it got writes it again."""
        identity = self.one.start()
        self.two.start()
        shutil.copy(self.one.folder / SIGNING_KEY_FILE, self.two.folder / KEY_FILE)
        (self.two.folder / KEY_FILE).unlink()
        self.assertEqual(self.two.start(), identity)

    def test_given_certificate(self) -> None:
        """A certificate of [peers] is not shared, and a realm that has used one may make its own later."""
        self.one.start()
        with self.engine.begin() as connection:
            connection.execute(delete(realm_secrets))
        given = PeersConfig(
            certificate=self.one.folder / CERTIFICATE_FILE, private_key=self.one.folder / KEY_FILE
        )
        config = self.one.config
        self.one.config = msgspec.structs.replace(config, peers=given)
        self.one.start()
        self.assertEqual(self.stored()[CERTIFICATE.name], StoredSecret("", None))
        self.assertIsNotNone(self.stored()[SIGNING.name].sealed)
        self.one.config = config
        self.assertEqual(self.one.start(), self.two.start())

    def test_changed_at_once(self) -> None:
        """Of two that replace the same secret, one does."""
        old = StoredSecret("a", None)
        with self.engine.begin() as connection:
            self.assertTrue(replace_secret(connection, "x", None, old, 1))
            self.assertFalse(replace_secret(connection, "x", None, old, 1))
            self.assertTrue(replace_secret(connection, "x", old, StoredSecret("b", b"s"), 1))
            self.assertFalse(replace_secret(connection, "x", old, StoredSecret("c", b"s"), 1))
            self.assertEqual(all_secrets(connection), {"x": StoredSecret("b", b"s")})


class Unsealed(SecretsTestCase):
    """Without a key file."""

    def node(self, name: str, key_file: bool = False) -> SharingNode:
        return super().node(name, key_file)

    def test_none(self) -> None:
        self.one.start()
        self.refused(self.two, "its certificate is none", "key_file", f"copy {KEY_FILE}")
        self.assertEqual(list(self.two.folder.iterdir()), [])

    def test_copied(self) -> None:
        identity = self.one.start()
        for name in FILES:
            shutil.copy(self.one.folder / name, self.two.folder / name)
        self.assertEqual(self.two.start(), identity)
        self.two.lose(SIGNING_KEY_FILE)
        self.refused(self.two, "its signing key is none", f"copy {SIGNING_KEY_FILE}")

    def test_other(self) -> None:
        load_identity("realm1", self.two.folder, PeersConfig(), datetime.now(UTC))
        identity, _ = self.one.start()
        self.refused(self.two, "certificate", identity)

    def test_sealed_later(self) -> None:
        identity = self.one.start()
        self.one.config = msgspec.structs.replace(
            self.one.config, cluster=ClusterConfig(key_file=self.key_file)
        )
        self.one.start()
        self.refused(self.two, "set [cluster] key_file to the key file of the other nodes")
        self.two.config = msgspec.structs.replace(self.one.config, state=self.two.folder)
        self.assertEqual(self.two.start(), identity)

    def test_renewal_needs_key_file(self) -> None:
        """Once the keys are sealed, a node without the key file does not renew them."""
        three = super().node("three")
        three.start()
        with self.engine.begin() as connection:
            self.assertRaises(StartError, self.one.secrets.check_can_seal, connection)
            three.secrets.check_can_seal(connection)
        for name in FILES:
            shutil.copy(three.folder / name, self.one.folder / name)
        self.one.start()
        self.one.renew()
        self.assertIn("sealed", str(self.assertRaises(StartError, self.one.record)))


class Moved(SecretsTestCase):
    """The database knows the realm, but not its keys: it was moved from SQLite."""

    def test_signed(self) -> None:
        identity = self.one.start()
        with self.engine.begin() as connection:
            connection.execute(delete(realm_secrets))
        self.refused(self.two, "has a certificate that is not there")
        self.one.lose(SIGNING_KEY_FILE)
        self.refused(self.one, "has a signing key that is not there")
        renew_signing_key(self.one.folder, os.urandom)
        self.refused(self.one, "has a signing key that is not there")
        self.assertEqual(identity[1], self.signs_with())

    def signs_with(self) -> bytes | None:
        with self.engine.begin() as connection:
            found: bytes | None = connection.scalar(
                select(realm_keys.c.id).where(realm_keys.c.realm == OWN)
            )
            return found

    def test_goes_on(self) -> None:
        identity = self.one.start()
        with self.engine.begin() as connection:
            connection.execute(delete(realm_secrets))
        self.assertEqual(self.one.start(), identity)
        self.assertEqual(self.two.start(), identity)

    def test_never_signed(self) -> None:
        with self.engine.begin() as connection:
            add_account(connection, "ana", "x", "Ana", "Indonesia", 1)
        self.refused(self.one, "has a certificate that is not there")

    def test_made_anew(self) -> None:
        """An operator has said that the next start makes other keys."""
        old = self.one.start()
        self.two.start()
        with self.engine.begin() as connection:
            connection.execute(update(realm_secrets).values(fingerprint="", sealed=None))
        self.one.lose()
        new = self.one.start()
        self.assertNotEqual(new[0], old[0])
        self.assertNotEqual(new[1], old[1])
        self.assertEqual(self.two.start(), new)


class KeyFileTests(SecretsTestCase):
    def test_others(self) -> None:
        self.one.start()
        for mode in (0o644, 0o640, 0o602):
            self.key_file.chmod(mode)
            self.refused(self.two, f"others may read or write (mode {mode:04o})", "chmod 600")

    def test_missing(self) -> None:
        self.key_file.unlink()
        self.refused(self.one, "can't be read: No such file", "--new-cluster-key")

    def test_forms(self) -> None:
        key = os.urandom(32)
        sealed = []
        for text in (base64.b64encode(key), key.hex().encode(), key.hex().upper().encode()):
            self.key_file.write_bytes(text + b"\n")
            found = read_key_file(self.key_file, "realm1")
            sealed.append(found.seal("x", b"secret"))
            self.assertEqual(
                [found.unseal("x", each) for each in sealed], [b"secret"] * len(sealed)
            )

    def test_no_key(self) -> None:
        for data in (
            b"",
            b"x" * 64,
            b"x" * 44,
            base64.b64encode(bytes(31)),
            b"\xff" * 64,
            b"a" * 2000,
        ):
            self.key_file.write_bytes(data)
            self.refused(self.one, "does not hold 32 bytes")

    def test_wrong(self) -> None:
        self.one.start()
        self.key_file.unlink()
        make_key_file(self.key_file, os.urandom)
        for node in (self.one, self.two):
            self.refused(node, "certificate in the database was sealed with another key file")

    def test_damaged(self) -> None:
        self.one.start()
        good = self.stored()[SIGNING.name].sealed
        assert good is not None
        for place in (9, 21, len(good) - 1):
            bad = good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :]
            self.change(SIGNING.name, sealed=bad)
            self.refused(self.two, "signing key in the database is damaged", "--seal-keys")
        for bad in (b"", good[:21], b"\x02" + good[1:]):
            self.change(SIGNING.name, sealed=bad)
            self.refused(self.two, "signing key in the database is damaged")

    def test_exchanged(self) -> None:
        """What was sealed under another name, in another realm, or is an older key, is refused."""
        self.one.start()
        before = self.stored()
        self.change(SIGNING.name, sealed=before[CERTIFICATE.name].sealed)
        self.refused(self.two, "signing key in the database is damaged")
        other = read_key_file(self.key_file, "realm2").seal(SIGNING.name, b"x")
        self.change(SIGNING.name, sealed=other)
        self.refused(self.two, "or that of another realm")
        self.change(SIGNING.name, sealed=before[SIGNING.name].sealed)
        self.one.renew()
        self.one.record()
        self.change(CERTIFICATE.name, sealed=before[CERTIFICATE.name].sealed)
        self.refused(self.two, "is not the one whose fingerprint is")

    def test_replaced(self) -> None:
        """With another key file, a node that has the keys seals them again."""
        identity = self.one.start()
        self.key_file.unlink()
        make_key_file(self.key_file, os.urandom)
        self.assertIn(
            "its certificate is none", str(self.assertRaises(StartError, self.two.reseal))
        )
        self.one.reseal()
        self.assertEqual(self.two.start(), identity)

    def test_kept(self) -> None:
        before = self.key_file.read_bytes()
        self.assertEqual(self.key_file.stat().st_mode & 0o777, 0o600)
        self.assertRaises(StartError, make_key_file, self.key_file, os.urandom)
        self.assertEqual(self.key_file.read_bytes(), before)
        nowhere = self.folder / "nowhere" / "key"
        self.assertRaises(StartError, make_key_file, nowhere, os.urandom)


class CommandTests(SynchronousTestCase):
    """The options of twistd chatd, for a realm without a server."""

    def test_made(self) -> None:
        path = Path(self.mktemp())
        config = Config(state=Path(self.mktemp()), cluster=ClusterConfig(key_file=path))
        self.assertIn("copy it to all nodes", make_cluster_key(config))
        read_key_file(path, "realm1")
        empty = msgspec.structs.replace(config, cluster=ClusterConfig())
        self.assertIn(
            "key_file is empty", str(self.assertRaises(StartError, make_cluster_key, empty))
        )

    def test_one_process(self) -> None:
        config = Config(state=Path(self.mktemp()))
        self.assertIn("no PostgreSQL", str(self.assertRaises(StartError, seal_keys, config)))


class OnPostgres(SecretsTestCase):
    def make_engine(self) -> Engine:
        if server() is None:
            raise SkipTest(MISSING)
        self.url = temporary_database(self)
        return connect(self.url)

    def test_at_once(self) -> None:
        """Two nodes that start at the same moment have one identity."""
        found = []
        threads = [
            threading.Thread(target=lambda node=node: found.append(node.start()))
            for node in (self.one, self.two)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT)
        self.assertEqual(len(found), 2)
        self.assertEqual(found[0], found[1])

    def test_commands(self) -> None:
        """--new-key and --seal-keys on one node, with the file replaced: the other one follows."""
        old = self.one.start()
        self.two.start()
        config = msgspec.structs.replace(self.one.config, database_url=self.url)
        renewed = renew_key(config)
        self.assertEqual(renewed.old, old[0])
        new = self.two.start()
        self.assertEqual(new[0], renewed.new)
        self.key_file.unlink()
        make_cluster_key(config)
        seal_keys(config)
        self.two.lose()
        self.assertEqual(self.two.start(), new)


class RealmsTests(TestCase):
    """Whole realms."""

    def setUp(self) -> None:
        if server() is None:
            raise SkipTest(MISSING)
        self.url = temporary_database(self)
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def make(self, name: str, key_file: Path | None = None) -> Realm:
        made = Realm(
            msgspec.structs.replace(
                make_config(self.folder / name),
                database_url=self.url,
                cluster=ClusterConfig(key_file=key_file),
            ),
            random_bytes=os.urandom,
        )
        made.state = StateFolder(made.config.state)
        return made

    def open(self, name: str, key_file: Path | None = None) -> Realm:
        realm = self.make(name, key_file)
        realm.open()
        self.addCleanup(lambda: Deferred.fromCoroutine(realm.close()))
        return realm

    def test_sealed(self) -> None:
        path = self.folder / "key"
        make_key_file(path, os.urandom)
        one, two = self.open("one", path), self.open("two", path)
        self.assertEqual(one.keys.signing_key.id, two.keys.signing_key.id)
        self.assertEqual(
            one.keys.identify(one.config)[0].fingerprint,
            two.keys.identify(two.config)[0].fingerprint,
        )

    def test_refused(self) -> None:
        self.open("one")
        two = self.make("two")
        self.assertIn("its certificate is none", str(self.assertRaises(StartError, two.open)))
        two.release()
