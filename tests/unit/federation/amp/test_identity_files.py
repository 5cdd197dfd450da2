"""The key and the certificate of a realm in files: made, configured, renewed."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest import mock

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.config import PeersConfig
from chatd.base.errors import (
    CertificateChanged,
)
from chatd.base.names import key_of
from chatd.federation.amp import identity_files
from chatd.federation.amp import pem as pem_files
from chatd.federation.amp.identity import IdentityError, RealmIdentity
from chatd.federation.amp.identity_files import MAX_KEPT, load_identity, rotate
from chatd.federation.amp.trust import (
    Authentication,
    Policy,
    TrustRecord,
    authenticate,
    fingerprint,
    realm_of,
)
from tests.support.realm_certificates import (
    AS_DIGITS,
    AS_THEY_ARE,
    DAY,
    KEY,
    NOW,
    OURS,
    PEM,
    key_pem,
    make,
    new_key,
    pem,
)


class FolderTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.state = Path(self.mktemp())
        self.state.mkdir()
        self.key_path = self.state / "realm.key"
        self.path = self.state / "realm.pem"

    def load(
        self, realm: str = "realm1", peers: PeersConfig = OURS, now: datetime = NOW
    ) -> RealmIdentity:
        return load_identity(realm, self.state, peers, now)

    def sentence(self, *args: Any, **kw: Any) -> str:
        error = self.assertRaises(IdentityError, self.load, *args, **kw)
        text = str(error)
        self.assertNotIn("\n", text)
        self.assertIn("expected", text)
        return text

    def trustees(self, seen: RealmIdentity) -> Callable[[RealmIdentity], Authentication]:
        """Returns how a realm that remembers `seen` authenticates an identity."""
        known = TrustRecord(certificate=pem(seen.certificate).decode())

        def look(shown: RealmIdentity) -> Authentication:
            return authenticate(
                shown.chain, NOW, policy=Policy("own"), known_of=lambda _: known, address="a:1"
            )

        return look


class Made(FolderTestCase):
    def test_first_start(self) -> None:
        identity = self.load("Realm1")
        self.assertEqual(identity.realm, "realm1")
        (leaf,) = identity.chain
        self.assertEqual(realm_of(leaf), "realm1")
        self.assertEqual(leaf.not_valid_before_utc, NOW - DAY)
        self.assertEqual(leaf.not_valid_after_utc.year, 2036)
        leaf.verify_directly_issued_by(leaf)
        constraints = leaf.extensions.get_extension_for_class(x509.BasicConstraints)
        self.assertFalse(constraints.value.ca)
        self.assertEqual(identity.fingerprint, fingerprint(leaf))

    def test_kept(self) -> None:
        first = self.load()
        again = self.load(now=NOW + 365 * DAY)
        self.assertEqual(again.chain, first.chain)
        self.assertEqual(key_pem(again.private_key), key_pem(first.private_key))

    def test_files(self) -> None:
        self.load()
        self.assertEqual(sorted(p.name for p in self.state.iterdir()), ["realm.key", "realm.pem"])
        for path in self.state.iterdir():
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)

    def test_any_name(self) -> None:
        for realm in AS_THEY_ARE + AS_DIGITS:
            shutil.rmtree(self.state)
            self.state.mkdir()
            self.assertEqual(self.load(realm).realm, key_of(realm))
            self.assertEqual(realm_of(self.load(realm).certificate), key_of(realm))

    def test_cut_off(self) -> None:
        """A crash after the key was written: the certificate is made later. Leftovers do no harm."""
        (self.state / "realm.key.new").write_text("half a k")
        with mock.patch.object(identity_files, "issue_certificate", side_effect=KeyboardInterrupt):
            self.assertRaises(KeyboardInterrupt, self.load)
        key = self.key_path.read_bytes()
        identity = self.load()
        self.assertEqual(key_pem(identity.private_key), key)

    def test_certificate_lost(self) -> None:
        """The same key signs another certificate, so other realms accept it."""
        identity = self.load()
        self.path.unlink()
        renewed = self.load()
        self.assertNotEqual(renewed.chain, identity.chain)
        self.assertTrue(self.trustees(identity)(renewed).remember)

    def test_key_lost(self) -> None:
        """That is an error, because other realms would not recognize a new key."""
        self.load()
        self.key_path.unlink()
        self.assertIn("realm.key is missing", self.sentence())

    def test_not_ours(self) -> None:
        self.load()
        text = self.sentence("realm2")
        self.assertIn(str(self.path), text)
        self.assertIn("names the realm realm1; expected realm2", text)

    def test_mismatch(self) -> None:
        self.load()
        self.key_path.write_bytes(key_pem(KEY))
        self.assertIn("private key is not its first certificate's", self.sentence())

    def test_ended(self) -> None:
        self.load()
        self.assertIn("it ended on 2036-11-19", self.sentence(now=NOW + 4000 * DAY))
        self.assertIn("it holds only from 2026-11-19", self.sentence(now=NOW - 2 * DAY))

    def test_garbage(self) -> None:
        self.load()
        self.key_path.write_bytes(b"\0\xff")
        self.assertIn("realm.key, which holds no PEM private key", self.sentence())
        self.path.write_bytes(b"\0\xff")
        self.key_path.write_bytes(key_pem(KEY))
        self.assertIn("realm.pem, which holds no PEM certificate", self.sentence())

    def test_no_folder(self) -> None:
        self.state.rmdir()
        self.assertIn("[realm] state is", self.sentence())

    def test_full_disk(self) -> None:
        with mock.patch("os.fsync", side_effect=OSError(28, "No space left on device")):
            self.assertIn("No space left on device", self.sentence())
        self.assertEqual(list(self.state.iterdir()), [])


class Configured(FolderTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.certificate = self.state / "given.pem"
        self.private_key = self.state / "given.key"
        self.peers = PeersConfig(certificate=self.certificate, private_key=self.private_key)

    def give(self, *chain: x509.Certificate, key: Any = KEY) -> None:
        self.certificate.write_bytes(pem(*chain))
        self.private_key.write_bytes(key_pem(key))

    def mistake(self) -> str:
        return self.sentence(peers=self.peers)

    def test_taken(self) -> None:
        keys = (KEY, ed25519.Ed25519PrivateKey.generate(), rsa.generate_private_key(65537, 2048))
        for key in keys:
            root = make(subject="root")
            leaf = make("realm1", key=key, issuer=root, signer=KEY)
            self.give(leaf, root, key=key)
            identity = self.load(peers=self.peers)
            self.assertEqual(identity.chain, (leaf, root))
            self.assertEqual(identity.private_key.public_key(), key.public_key())
        self.assertFalse(self.path.exists())

    def test_by_trustme(self) -> None:
        ca = trustme.CA()
        issued = ca.issue_cert("realm1")
        self.certificate.write_bytes(b"".join(c.bytes() for c in issued.cert_chain_pems))
        self.private_key.write_bytes(issued.private_key_pem.bytes())
        self.assertEqual(self.load(peers=self.peers).realm, "realm1")

    def test_key_in_the_older_form(self) -> None:
        self.give(make("realm1"))
        form = serialization.PrivateFormat.TraditionalOpenSSL
        parameters = (
            b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
        )
        self.private_key.write_bytes(
            parameters + KEY.private_bytes(PEM, form, serialization.NoEncryption())
        )
        self.load(peers=self.peers)

    def test_both_or_none(self) -> None:
        self.give(make("realm1"))
        self.assertEqual(
            self.sentence(peers=PeersConfig(certificate=self.certificate)),
            "[peers] certificate is given and private_key is empty; expected both or none",
        )
        self.assertEqual(
            self.sentence(peers=PeersConfig(private_key=self.private_key)),
            "[peers] private_key is given and certificate is empty; expected both or none",
        )

    def test_missing(self) -> None:
        self.assertIn(
            f"[peers] certificate is {self.certificate}, which can't be read: No such file",
            self.mistake(),
        )
        self.give(make("realm1"))
        self.private_key.unlink()
        self.assertIn(
            f"[peers] private_key is {self.private_key}, which can't be read: No such file",
            self.mistake(),
        )

    def test_unreadable(self) -> None:
        self.certificate.mkdir()
        self.assertIn("can't be read: Is a directory", self.mistake())

    def test_not_pem(self) -> None:
        self.give(make("realm1"))
        self.private_key.write_bytes(
            b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
        )
        self.assertIn("private_key is", self.mistake())
        self.assertIn("can't be understood", self.mistake())
        self.private_key.write_bytes(b"secret")
        self.assertIn("holds no PEM private key", self.mistake())
        self.certificate.write_bytes(make("realm1").public_bytes(serialization.Encoding.DER))
        self.assertIn("holds no PEM certificate", self.mistake())
        self.certificate.write_bytes(b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n")
        self.assertIn("holds no PEM certificate", self.mistake())

    def test_password(self) -> None:
        self.give(make("realm1"))
        self.private_key.write_bytes(key_pem(KEY, b"surabaya"))
        self.assertIn("has a password", self.mistake())

    def test_unfit_keys(self) -> None:
        curve = ec.generate_private_key(ec.SECP256K1())
        self.give(make("realm1", key=curve), key=curve)
        self.assertIn("whose curve is secp256k1", self.mistake())
        old = dsa.generate_private_key(1024)  # noqa: S505
        self.give(make("realm1", key=old), key=old)
        self.assertIn("TLS 1.3 can't use", self.mistake())
        small = rsa.generate_private_key(65537, 1024)  # noqa: S505
        self.give(make("realm1", key=small), key=small)
        self.assertIn("key too small", self.mistake())

    def test_mismatch(self) -> None:
        self.give(make("realm1"), key=new_key())
        self.assertIn("private key is not its first certificate's", self.mistake())
        root = make(subject="root")
        key = new_key()
        self.give(root, make("realm1", key=key, issuer=root, signer=KEY), key=key)
        self.assertIn("private key is not its first certificate's", self.mistake())

    def test_names_another(self) -> None:
        self.give(make("realm2"))
        self.assertIn("names the realm realm2; expected realm1 as", self.mistake())
        self.give(make("*.example.org"))
        self.assertIn("names no realm; expected realm1 as", self.mistake())

    def test_ended(self) -> None:
        self.give(make("realm1", begin=NOW - 3 * DAY, end=NOW - DAY))
        self.assertIn("it ended on 2026-11-19 10:15 UTC", self.mistake())
        self.give(make("realm1", begin=NOW + DAY, end=NOW + 3 * DAY))
        self.assertIn("it holds only from 2026-11-21 10:15 UTC on", self.mistake())

    def test_not_renewed_by_us(self) -> None:
        self.give(make("realm1"))
        error = self.assertRaises(IdentityError, rotate, self.state, self.peers, NOW)
        self.assertIn("[peers] certificate is", str(error))


class Renewed(FolderTestCase):
    def test_once(self) -> None:
        old = self.load()
        new = rotate(self.state, OURS, NOW)
        self.assertEqual(new.realm, "realm1")
        self.assertEqual(new.chain[1:], old.chain)
        self.assertNotEqual(new.private_key.public_key(), old.private_key.public_key())
        new.certificate.verify_directly_issued_by(old.certificate)
        judged = self.trustees(old)(new)
        self.assertTrue(judged.remember)
        self.assertEqual(judged.certificate, new.certificate)

    def test_on_disk(self) -> None:
        """The old key is gone, and the renewed identity is loaded."""
        self.load()
        new = rotate(self.state, OURS, NOW)
        loaded = self.load()
        self.assertEqual(loaded.chain, new.chain)
        self.assertEqual(self.key_path.read_bytes(), key_pem(new.private_key))
        self.assertEqual(len(list(self.state.iterdir())), 2)
        self.assertEqual(stat.S_IMODE(self.key_path.stat().st_mode), 0o600)

    def test_many_times(self) -> None:
        """A peer that missed as many renewals as are kept still accepts; one that missed more does not."""
        made = [self.load()]
        made += [rotate(self.state, OURS, NOW) for _ in range(MAX_KEPT + 1)]
        self.assertEqual(len(made[-1].chain), MAX_KEPT)
        for seen in made[1:-1]:
            self.assertTrue(self.trustees(seen)(made[-1]).remember)
        self.assertFalse(self.trustees(made[-1])(made[-1]).remember)
        self.assertRaises(CertificateChanged, self.trustees(made[0]), made[-1])

    def test_never_back(self) -> None:
        """The old key is refused once the new one is remembered."""
        old = self.load()
        new = rotate(self.state, OURS, NOW)
        self.assertRaises(CertificateChanged, self.trustees(new), old)
        mixed = RealmIdentity("realm1", old.private_key, (old.certificate, new.certificate))
        self.assertRaises(CertificateChanged, self.trustees(new), mixed)

    def test_after_its_end(self) -> None:
        """An expired certificate still confirms the next one."""
        old = self.load()
        later = NOW + 4000 * DAY
        new = rotate(self.state, OURS, later)
        known = TrustRecord(certificate=pem(old.certificate).decode())
        self.load(now=later)
        judged = authenticate(
            new.chain, later, policy=Policy("own"), known_of=lambda _: known, address="a:1"
        )
        self.assertTrue(judged.remember)

    def test_crash_anywhere(self) -> None:
        """After a crash at any write the key and the certificate fit, and `rotate` can be repeated."""
        write = pem_files.write_private
        for writes in range(4):
            shutil.rmtree(self.state)
            self.state.mkdir()
            old = self.load()
            left = iter([write] * writes)

            def until(path: Path, data: bytes, left: Any = left) -> None:
                call = next(left, None)
                if call is None:
                    raise KeyboardInterrupt
                call(path, data)

            with mock.patch.object(identity_files, "write_private", until):
                if writes < 3:
                    self.assertRaises(KeyboardInterrupt, rotate, self.state, OURS, NOW)
                else:
                    rotate(self.state, OURS, NOW)
            found = self.load()
            self.assertEqual(found.chain == old.chain, writes < 2)
            self.trustees(old)(found)
            again = rotate(self.state, OURS, NOW)
            self.assertEqual(self.load().chain, again.chain)
            self.trustees(old)(again)

    def test_nothing_yet(self) -> None:
        error = self.assertRaises(IdentityError, rotate, self.state, OURS, NOW)
        self.assertIn("can't be read: No such file", str(error))

    def test_names_no_realm(self) -> None:
        self.key_path.write_bytes(key_pem(KEY))
        self.path.write_bytes(pem(make("*.example.org")))
        error = self.assertRaises(IdentityError, rotate, self.state, OURS, NOW)
        self.assertIn("names no realm", str(error))
