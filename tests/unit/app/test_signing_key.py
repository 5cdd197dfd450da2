"""The file of the realm's signing key, and what becomes of older keys."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import TestCase

from chatd.app.signing_key import SIGNING_KEY_FILE, load_signing_key, renew_signing_key
from chatd.app.state import StartError
from chatd.store.realm_keys import OWN, StoredKey, all_keys
from tests.support.network import LinkedTestCase


class FileTests(TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.path = self.folder / SIGNING_KEY_FILE

    def test_made_once(self) -> None:
        made = load_signing_key(self.folder, os.urandom)
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)
        self.assertEqual(load_signing_key(self.folder, os.urandom).public, made.public)

    def test_renewed(self) -> None:
        made = load_signing_key(self.folder, os.urandom)
        renewed = renew_signing_key(self.folder, os.urandom)
        self.assertNotEqual(renewed.public, made.public)
        self.assertEqual(load_signing_key(self.folder, os.urandom).public, renewed.public)

    def test_damaged(self) -> None:
        for data in (b"", b"x", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"):
            self.path.write_bytes(data)
            with self.assertRaisesRegex(StartError, "no Ed25519 private key"):
                load_signing_key(self.folder, os.urandom)
            self.assertEqual(self.path.read_bytes(), data)

    def test_unreadable(self) -> None:
        self.path.mkdir()
        with self.assertRaisesRegex(StartError, "can't be read"):
            load_signing_key(self.folder, os.urandom)


class RotationTests(LinkedTestCase):
    def own_keys(self) -> list[StoredKey]:
        found = self.one.realm.database.now(all_keys)
        return sorted((key for key in found if key.realm == OWN), key=lambda key: key.since)

    def renew(self) -> None:
        """Renew the key of realm1 while it is down."""
        folder = self.one.realm.state.path
        self.one.kill()
        renew_signing_key(folder, os.urandom)
        self.network.advance(1)
        self.one.open()
        self.network.until(lambda: self.network.open_connections(self.one, self.two))

    def test_learnt(self) -> None:
        key = self.one.realm.keys.signing_key
        self.assertIsNotNone(self.two.federation.keys.ring.get("realm1", key.id))
        self.two.restart()
        self.assertIsNotNone(self.two.federation.keys.ring.get("realm1", key.id))

    def test_renewed(self) -> None:
        """The old key is kept with the time of its end, here and there, and posts go on."""
        self.ana.creates("bagan")
        self.budi.joins("bagan@realm1")
        self.ana.posts("bagan", "satu")
        old = self.one.realm.keys.signing_key
        self.renew()
        new = self.one.realm.keys.signing_key
        before, after = self.own_keys()
        self.assertEqual((before.id, after.id), (old.id, new.id))
        self.assertEqual(before.until, after.since)
        self.assertIsNone(after.until)
        there = self.two.federation.keys.ring.get("realm1", old.id)
        assert there is not None
        self.assertEqual(there.until, before.until)
        self.ana.posts("bagan", "dua")
        self.assertEqual(
            self.budi.history(group="bagan@realm1"), ["ana@realm1: satu", "ana@realm1: dua"]
        )

    def test_put_back(self) -> None:
        """The old file came back from a backup: its key is in use again."""
        path = self.one.realm.state.path / SIGNING_KEY_FILE
        data = path.read_bytes()
        self.renew()
        self.one.kill()
        path.write_bytes(data)
        self.one.open()
        (key,) = [key for key in self.own_keys() if key.until is None]
        self.assertEqual(key.id, self.one.realm.keys.signing_key.id)

    def test_forgotten(self) -> None:
        key = self.one.realm.keys.signing_key
        self.network.result(self.two.realm.directory.forget("realm1"))
        self.assertIsNone(self.two.federation.keys.ring.get("realm1", key.id))
        found = self.two.realm.database.now(all_keys)
        self.assertEqual([each.realm for each in found], [OWN])
