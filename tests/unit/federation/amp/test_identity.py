"""Who a realm is: names on certificates, key files, pins and vouchers, and TLS between two ends."""

from __future__ import annotations

import itertools
import shutil
import socket
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from unittest import mock

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from hypothesis import example, given
from hypothesis import strategies as st
from OpenSSL import SSL
from service_identity.hazmat import DNS_ID, DNSPattern
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import (
    IHandshakeListener,
    IOpenSSLClientConnectionCreator,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer

from chatd.base.config import PeersConfig, load_config
from chatd.base.config_values import realm_name
from chatd.base.errors import (
    BadCertificate,
    CertificateChanged,
    ChatError,
    OwnRealm,
    RealmNotAllowed,
    WrongRealm,
)
from chatd.base.names import key_of
from chatd.federation.amp import identity_files
from chatd.federation.amp import pem as pem_files
from chatd.federation.amp import tls as tls_module
from chatd.federation.amp.identity import IdentityError, RealmIdentity
from chatd.federation.amp.identity_files import MAX_KEPT, load_identity, read_policy, rotate
from chatd.federation.amp.tls import TLSOptions, peer_chain
from chatd.federation.amp.trust import (
    SUFFIX,
    Authentication,
    Policy,
    TrustRecord,
    authenticate,
    dns_id,
    fingerprint,
    realm_named,
    realm_of,
)

NOW = datetime(2026, 11, 20, 10, 15, 3, tzinfo=UTC)
DAY = timedelta(days=1)
OURS = PeersConfig()  # no certificate configured: the one in the state folder
PEM = serialization.Encoding.PEM
KEY = ec.generate_private_key(ec.SECP256R1())


def make(
    *names: str,
    key: Any = KEY,
    issuer: x509.Certificate | None = None,
    signer: Any = None,
    subject: str = "realm",
    begin: datetime = NOW - DAY,
    end: datetime = NOW + DAY,
    san: Any = None,
    ca: bool = False,
) -> x509.Certificate:
    """A certificate as nobody has to make it: any names, any issuer, any signature."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)])
    signer = signer or key
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name if issuer is None else issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
    )
    general = [x509.DNSName(name) for name in names] if san is None else san
    if general:
        builder = builder.add_extension(x509.SubjectAlternativeName(general), critical=False)
    if ca:
        builder = builder.add_extension(x509.BasicConstraints(True, None), critical=True)
    edwards = isinstance(signer, ed25519.Ed25519PrivateKey)
    return builder.sign(signer, None if edwards else hashes.SHA256())


def pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(certificate.public_bytes(PEM) for certificate in certificates)


def key_pem(key: Any, password: bytes | None = None) -> bytes:
    encryption: Any = serialization.NoEncryption()
    if password:
        encryption = serialization.BestAvailableEncryption(password)
    pem: bytes = key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, encryption)
    return pem


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _is_name(text: str) -> bool:
    """Whether a realm may be called that."""
    try:
        realm_name(text)
    except ValueError:
        return False
    return True


names = st.text(
    st.one_of(st.sampled_from("aZ09._-ßİǰΐﬃ"), st.characters(categories=("L", "Nl", "Nd", "No"))),
    min_size=1,
    max_size=64,
).filter(_is_name)
ascii_names = st.text(st.sampled_from("abzABZ0123456789._-x"), min_size=1, max_size=64)

AS_THEY_ARE = (
    "realm1",
    "localhost",
    "chat.example.org",
    "a",
    "1a",
    "a-b",
    "xn--bcher-kva.example",
    "x.invalid",
    "3.example",
    "a" * 63,
)
AS_DIGITS = (
    "1",
    "172.16.16.102",
    "1.2.3.400",
    "chat.1",
    "_",
    "-",
    "..",
    ".",
    "a..b",
    "a.",
    ".a",
    "-a",
    "a-",
    "a_b",
    "a" * 64,
    "bücher",
    "名前",
    "٣",
    "İstanbul",
    "ﬃ" * 64,
    "𐐀" * 64,
    "a.x.invalid",
    "6131.x.invalid",
)


class Names(SynchronousTestCase):
    def test_host_names_stay(self) -> None:
        for name in AS_THEY_ARE:
            self.assertEqual(dns_id(name), name)
        self.assertEqual(dns_id("Chat.Example.ORG"), "chat.example.org")

    def test_others_become_digits(self) -> None:
        for name in AS_DIGITS:
            self.assertTrue(dns_id(name).endswith(SUFFIX), name)
        self.assertEqual(dns_id("7"), "37.x.invalid")
        self.assertEqual(dns_id("Bücher"), "62c3bc63686572.x.invalid")

    def test_every_label_is_one(self) -> None:
        for name in AS_THEY_ARE + AS_DIGITS:
            self.assertTrue(all(0 < len(label) < 64 for label in dns_id(name).split(".")), name)

    def test_both_ways(self) -> None:
        for name in AS_THEY_ARE + AS_DIGITS:
            self.assertEqual(realm_named(dns_id(name)), key_of(name))
            self.assertEqual(realm_of(make(dns_id(name))), key_of(name))

    @given(st.one_of(names, ascii_names))
    @example("İ.")
    @example("0x7f.1")
    def test_any_name(self, name: str) -> None:
        """Each is read back, by its key; and service_identity takes it for that name and no IP address."""
        written = dns_id(name)
        self.assertEqual(dns_id(key_of(name)), written)
        self.assertEqual(realm_named(written), key_of(name))
        self.assertTrue(DNS_ID(written).verify(DNSPattern.from_bytes(written.encode())))

    @given(st.one_of(names, ascii_names), st.one_of(names, ascii_names))
    @example("6131.x.invalid", "a1")
    @example("bücher", "xn--bcher-kva")
    def test_no_two_share_one(self, one: str, other: str) -> None:
        self.assertEqual(dns_id(one) == dns_id(other), key_of(one) == key_of(other))
        matched = DNS_ID(dns_id(one)).verify(DNSPattern.from_bytes(dns_id(other).encode()))
        self.assertEqual(matched, key_of(one) == key_of(other))

    @given(st.one_of(st.text(), st.from_regex(r"[0-9a-f.]{0,80}\.x\.invalid", fullmatch=True)))
    def test_only_those(self, name: str) -> None:
        """Whatever is read as a realm is written as it was."""
        realm = realm_named(name)
        if realm is not None:
            self.assertEqual(dns_id(realm), name.lower())

    def test_none_of_ours(self) -> None:
        for name in (
            "",
            "*.example.org",
            "a*.example.org",
            "a b",
            "1.2.3.4",
            "12",
            "a_b.example",
            "example.org.",
            ".x.invalid",
            "zz.x.invalid",
            "ff.x.invalid",  # not UTF-8
            "61.x.invalid",  # `a` has a simpler one
            "41.x.invalid",  # `A` is no key
            "5f.5f.x.invalid",  # `__` is cut up in another way
            "1b5b324a.x.invalid",  # it would clear the terminal
            "612c62.x.invalid",  # `a,b` is no name
            f"{'a' * 32}.{'b' * 32}",  # longer than a name
            dns_id("_") * 2,
            "a" * 200,
            "5f" * 31 + "." + ("5f" * 31 + ".") * 6 + "x.invalid",
        ):
            self.assertIsNone(realm_named(name), name)

    def test_on_certificates(self) -> None:
        """The first DNS name holds; what else stands there does not."""
        self.assertEqual(realm_of(make("Realm1", "realm2")), "realm1")
        self.assertEqual(realm_of(make("realm1", "*.example.org")), "realm1")
        san = [
            x509.UniformResourceIdentifier("http://realm3:80/"),
            x509.IPAddress(ip_address("127.0.0.1")),
            x509.DNSName("realm1"),
        ]
        self.assertEqual(realm_of(make(san=san)), "realm1")
        self.assertIsNone(realm_of(make(subject="realm1")))
        self.assertIsNone(realm_of(make("*.example.org", "realm1")))
        self.assertIsNone(realm_of(make("172.16.16.102")))
        self.assertIsNone(realm_of(make(san=san[:2])))

    def test_fingerprint(self) -> None:
        """It is what the configuration makes of one that was written in another way."""
        certificate = make("realm2")
        path = Path(self.mktemp())
        digits = certificate.fingerprint(hashes.SHA256()).hex(":").upper()
        path.write_text(f"[peer realm2]\nfingerprint = {digits}\n")
        self.assertEqual(
            load_config(path).peers.known["realm2"].fingerprint, fingerprint(certificate)
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
        """A realm that remembers `seen`: what it makes of an identity."""
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
        """After the key was written: it gets its certificate later. Leftovers are in nobody's way."""
        (self.state / "realm.key.new").write_text("half a k")
        with mock.patch.object(tls_module, "_issue", side_effect=KeyboardInterrupt):
            self.assertRaises(KeyboardInterrupt, self.load)
        key = self.key_path.read_bytes()
        identity = self.load()
        self.assertEqual(key_pem(identity.private_key), key)

    def test_certificate_lost(self) -> None:
        """The same key makes another, and vouches for it: other realms need not be told."""
        identity = self.load()
        self.path.unlink()
        renewed = self.load()
        self.assertNotEqual(renewed.chain, identity.chain)
        self.assertTrue(self.trustees(identity)(renewed).remember)

    def test_key_lost(self) -> None:
        """That is not passed over in silence: to other realms it would be someone else."""
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
        """The old key is gone, and what was renewed is what is loaded."""
        self.load()
        new = rotate(self.state, OURS, NOW)
        loaded = self.load()
        self.assertEqual(loaded.chain, new.chain)
        self.assertEqual(self.key_path.read_bytes(), key_pem(new.private_key))
        self.assertEqual(len(list(self.state.iterdir())), 2)
        self.assertEqual(stat.S_IMODE(self.key_path.stat().st_mode), 0o600)

    def test_many_times(self) -> None:
        """Who missed as many renewals as are kept still finds the way; who missed more does not."""
        made = [self.load()]
        made += [rotate(self.state, OURS, NOW) for _ in range(MAX_KEPT + 1)]
        self.assertEqual(len(made[-1].chain), MAX_KEPT)
        for seen in made[1:-1]:
            self.assertTrue(self.trustees(seen)(made[-1]).remember)
        self.assertFalse(self.trustees(made[-1])(made[-1]).remember)
        self.assertRaises(CertificateChanged, self.trustees(made[0]), made[-1])

    def test_never_back(self) -> None:
        """The old key is worth nothing once the new one is remembered."""
        old = self.load()
        new = rotate(self.state, OURS, NOW)
        self.assertRaises(CertificateChanged, self.trustees(new), old)
        mixed = RealmIdentity("realm1", old.private_key, (old.certificate, new.certificate))
        self.assertRaises(CertificateChanged, self.trustees(new), mixed)

    def test_after_its_end(self) -> None:
        """A certificate that ended still vouches for the next."""
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
        """Whichever write was the last, key and certificate fit; and it can be done again."""
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


class JudgeTestCase(SynchronousTestCase):
    policy = Policy("Realm1")

    def authenticate(
        self,
        *chain: x509.Certificate,
        known: TrustRecord | None = None,
        now: datetime = NOW,
        **kw: Any,
    ) -> Authentication:
        self.asked: list[str] = []

        def known_of(realm: str) -> TrustRecord:
            self.asked.append(realm)
            return known or TrustRecord()

        kw = {"policy": self.policy, "address": "172.16.16.102:8890", **kw}
        return authenticate(chain, now, known_of=known_of, **kw)

    def refused(self, kind: type[ChatError], *chain: x509.Certificate, **kw: Any) -> str:
        return str(self.assertRaises(kind, self.authenticate, *chain, **kw))


def remembers(certificate: x509.Certificate) -> TrustRecord:
    return TrustRecord(added=True, certificate=pem(certificate).decode())


def pinned_to(pin: x509.Certificate, seen: x509.Certificate | None = None) -> TrustRecord:
    """By the configuration; `seen` is what is remembered besides."""
    return TrustRecord(True, fingerprint(pin), None if seen is None else pem(seen).decode())


class Judging(JudgeTestCase):
    def test_first_contact(self) -> None:
        leaf = make("Realm2")
        judged = self.authenticate(leaf)
        self.assertEqual(judged, Authentication("realm2", leaf, True))
        self.assertEqual(self.asked, ["realm2"])
        self.assertFalse(
            self.authenticate(leaf, known=TrustRecord(certificate=judged.pem)).remember
        )

    def test_nothing_shown(self) -> None:
        text = self.refused(BadCertificate)
        self.assertIn("of the realm at 172.16.16.102:8890 is not valid: it showed none", text)

    def test_out_of_date(self) -> None:
        text = self.refused(BadCertificate, make("realm2", end=NOW - DAY / 2))
        self.assertIn("of realm2 is not valid: it ended on 2026-11-19 22:15 UTC", text)
        text = self.refused(BadCertificate, make("realm2", begin=NOW + DAY / 2))
        self.assertIn("it holds only from 2026-11-20 22:15 UTC on", text)
        self.authenticate(make("realm2", end=NOW))
        self.authenticate(make("realm2", begin=NOW))

    def test_names_none(self) -> None:
        for leaf in (make(subject="realm2"), make("*.example.org"), make("10.0.0.1"), make("a_b")):
            text = self.refused(BadCertificate, leaf, expected="realm2")
            self.assertIn("of realm2 is not valid: the first DNS name", text)
            self.assertEqual(self.asked, [])

    def test_expected(self) -> None:
        self.assertEqual(self.authenticate(make("realm2"), expected="Realm2").realm, "realm2")
        self.assertEqual(
            self.authenticate(make(dns_id("Bücher")), expected="bücher").realm, "bücher"
        )
        self.assertEqual(
            self.refused(WrongRealm, make("realm3", "realm2"), expected="Realm2"),
            "The realm at 172.16.16.102:8890 is realm3, not Realm2; add it under its own name",
        )

    def test_ourselves(self) -> None:
        self.assertIn("realm1 is this realm", self.refused(OwnRealm, make("realm1")))

    def test_blocked(self) -> None:
        policy = Policy("realm1", blocked=frozenset({"realm2"}))
        text = self.refused(RealmNotAllowed, make("realm2"), policy=policy)
        self.assertEqual(text, "realm2 may not connect to realm1: it is blocked there")
        self.authenticate(make("realm3"), policy=policy)

    def test_known_only(self) -> None:
        policy = Policy("realm1", "known")
        leaf = make("realm2")
        for known in (TrustRecord(), TrustRecord(certificate=pem(leaf).decode())):
            text = self.refused(RealmNotAllowed, leaf, policy=policy, known=known)
            self.assertEqual(
                text, "realm2 may not connect to realm1: only realms that were added there may"
            )
        self.assertTrue(
            self.authenticate(leaf, policy=policy, known=TrustRecord(added=True)).remember
        )
        self.assertFalse(self.authenticate(leaf, policy=policy, known=remembers(leaf)).remember)
        other = make("realm2", key=new_key())
        self.refused(CertificateChanged, other, policy=policy, known=remembers(leaf))

    def test_changed(self) -> None:
        """Another key is another realm, whatever the names; the same key may have a new certificate."""
        old, new = make("realm2"), make("realm2", key=new_key())
        text = self.refused(CertificateChanged, new, known=remembers(old))
        self.assertIn(f"({fingerprint(new)}) other than the remembered one", text)
        self.assertIn(f"({fingerprint(old)})", text)
        self.refused(CertificateChanged, new, old, known=remembers(old))
        self.assertTrue(self.authenticate(make("realm2"), known=remembers(old)).remember)

    def test_from_the_configuration(self) -> None:
        """It goes before what is remembered."""
        old, new = make("realm2"), make("realm2", key=new_key())
        self.assertTrue(self.authenticate(new, known=pinned_to(new)).remember)
        both = pinned_to(new, old)
        self.assertTrue(self.authenticate(new, known=both).remember)
        text = self.refused(CertificateChanged, old, known=both)
        self.assertIn(f"({fingerprint(new)})", text)
        settled = pinned_to(new, new)
        self.assertFalse(self.authenticate(new, known=settled).remember)


class Vouchers(JudgeTestCase):
    """A renewed certificate is accepted by the word of the one that is pinned, and of nobody else."""

    def setUp(self) -> None:
        self.keys = [new_key() for _ in range(3)]
        self.line = [make("realm2", key=self.keys[0])]
        for old, key in itertools.pairwise(self.keys):
            ended = {"begin": NOW - 9 * DAY, "end": NOW - 8 * DAY} if key is self.keys[1] else {}
            self.line.append(
                make("realm2", key=key, issuer=self.line[-1], signer=old, **ended)  # type: ignore[arg-type]
            )

    def test_twice(self) -> None:
        first, second, third = self.line
        for chain in ((third, second, first), (third, first, second), (third, second)):
            self.assertTrue(self.authenticate(*chain, known=remembers(first)).remember)
        self.assertTrue(self.authenticate(third, known=remembers(second)).remember)

    def test_gap(self) -> None:
        first, _second, third = self.line
        self.refused(CertificateChanged, third, first, known=remembers(first))

    def test_by_fingerprint(self) -> None:
        """The one that the fingerprint is of has to be shown: there is no other way to know its key."""
        first, second, third = self.line
        self.assertTrue(self.authenticate(third, second, first, known=pinned_to(first)).remember)
        self.refused(CertificateChanged, third, second, known=pinned_to(first))
        known = pinned_to(first, second)
        self.refused(CertificateChanged, third, second, known=known)

    def test_forged(self) -> None:
        """The issuer's name alone vouches for nothing, nor does a public certificate shown beside."""
        first = self.line[0]
        thief = new_key()
        own = make("realm2", key=thief)
        forged = make("realm2", key=thief, issuer=first)
        for known in (remembers(first), pinned_to(first)):
            for chain in ((own,), (forged,), (forged, first), (forged, own, first), (own, first)):
                self.refused(CertificateChanged, *chain, known=known)
        onward = make("realm2", key=new_key(), issuer=forged, signer=thief)
        self.refused(CertificateChanged, onward, forged, first, known=remembers(first))

    def test_other_realms_key(self) -> None:
        first = self.line[0]
        other = make("realm3", key=new_key())
        for known in (remembers(first), pinned_to(first)):
            self.refused(CertificateChanged, make("realm2", key=KEY), other, first, known=known)

    def test_pinned_ca(self) -> None:
        """Whom the same CA also gave a certificate to must not vouch for this realm."""
        ca_key, thief = new_key(), new_key()
        ca = make(key=ca_key, subject="ca")
        honest = make("realm2", issuer=ca, signer=ca_key)
        self.assertTrue(self.authenticate(honest, ca, known=pinned_to(ca)).remember)
        his = make("evil.example", key=thief, issuer=ca, signer=ca_key, subject="evil")
        forged = make("realm2", key=new_key(), issuer=his, signer=thief)
        self.refused(CertificateChanged, forged, his, ca, known=pinned_to(ca))

    def test_loops(self) -> None:
        """Two that issued each other lead nowhere, and the search ends."""
        one_key, other_key = new_key(), new_key()
        one = make("realm2", key=one_key, signer=other_key)
        other = make("realm2", key=other_key, signer=one_key)
        chain = (one, other, one, other, other)
        self.refused(CertificateChanged, *chain, known=remembers(self.line[0]))
        self.assertTrue(self.authenticate(*chain, known=remembers(other)).remember)

    def test_bounded(self) -> None:
        """What is shown beyond a number of certificates is not looked at."""
        first, second, third = self.line
        many = [make("realm2") for _ in range(20)]
        self.refused(CertificateChanged, third, *many, second, known=remembers(first))
        with mock.patch("chatd.federation.amp.trust._issued", return_value=False) as issued:
            self.refused(CertificateChanged, third, *many, known=remembers(first))
        self.assertLess(issued.call_count, 100)

    def test_keys_of_other_kinds(self) -> None:
        edwards, big = ed25519.Ed25519PrivateKey.generate(), rsa.generate_private_key(65537, 2048)
        for old_key, key in ((edwards, KEY), (KEY, edwards), (big, edwards), (edwards, big)):
            old = make("realm2", key=old_key)
            new = make("realm2", key=key, issuer=old, signer=old_key)
            self.assertTrue(self.authenticate(new, old, known=remembers(old)).remember)
            self.refused(CertificateChanged, make("realm2", key=key), known=remembers(old))


class Authorities(JudgeTestCase):
    def setUp(self) -> None:
        self.ca = trustme.CA()
        self.file = Path(self.mktemp())
        self.ca.cert_pem.write_to_path(self.file)
        self.policy = read_policy("realm1", PeersConfig(trust="ca", ca_file=self.file))

    def chain(self, ca: trustme.CA, *names: str, **kw: Any) -> list[x509.Certificate]:
        issued = ca.issue_cert(*names, **kw)
        return x509.load_pem_x509_certificates(
            b"".join(blob.bytes() for blob in issued.cert_chain_pems)
        )

    def test_signed(self) -> None:
        judged = self.authenticate(*self.chain(self.ca, "realm2"))
        self.assertEqual(judged.realm, "realm2")
        self.assertFalse(judged.remember)

    def test_no_pin_needed(self) -> None:
        self.assertFalse(
            self.authenticate(
                *self.chain(self.ca, "realm2"), known=remembers(make("realm2"))
            ).remember
        )

    def test_fingerprint_holds_too(self) -> None:
        """Who writes one into the configuration means it."""
        chain = self.chain(self.ca, "realm2")
        self.assertFalse(self.authenticate(*chain, known=pinned_to(chain[0])).remember)
        self.refused(CertificateChanged, *chain, known=pinned_to(make("realm2")))

    def test_not_signed(self) -> None:
        for chain in ([make("realm2")], self.chain(trustme.CA(), "realm2")):
            text = self.refused(BadCertificate, *chain)
            self.assertIn("of realm2 is not valid: no authority of the ca_file", text)
            self.refused(BadCertificate, *chain, known=remembers(chain[0]))

    def test_by_way_of_another(self) -> None:
        child = self.ca.create_child_ca()
        leaf, between = self.chain(child, "realm2")
        self.authenticate(leaf, between)
        self.refused(BadCertificate, leaf)
        child.cert_pem.write_to_path(self.file)
        policy = read_policy("realm1", PeersConfig(trust="ca", ca_file=self.file))
        self.authenticate(leaf, policy=policy)

    def test_no_authority_itself(self) -> None:
        """A realm's certificate signs for nobody, neither by the CA's word nor if it is in ca_file."""
        issued = self.ca.issue_cert("realm2")
        key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
        (its,) = x509.load_pem_x509_certificates(issued.cert_chain_pems[0].bytes())
        forged = make("realm3", issuer=its, signer=key)
        self.refused(BadCertificate, forged, its)
        state = Path(self.mktemp())
        state.mkdir()
        listed = load_identity("realm2", state, OURS, NOW)
        policy = Policy("realm1", "ca", (listed.certificate,))
        self.authenticate(listed.certificate, policy=policy)
        forged = make("realm3", issuer=listed.certificate, signer=listed.private_key)
        self.refused(BadCertificate, forged, listed.certificate, policy=policy)

    def test_time(self) -> None:
        """Authorities end too, and the time is the one that is given."""
        (authority,) = x509.load_pem_x509_certificates(self.file.read_bytes())
        old = make(subject="old", ca=True, begin=NOW - 900 * DAY, end=NOW - 800 * DAY)
        child = make("realm2", issuer=old, signer=KEY, begin=NOW - 900 * DAY)
        policy = Policy("realm1", "ca", (authority, old))
        self.authenticate(child, policy=policy, now=NOW - 850 * DAY)
        text = self.refused(BadCertificate, child, policy=policy)
        self.assertIn("certificate has expired", text)

    def test_name(self) -> None:
        self.refused(BadCertificate, *self.chain(self.ca, "*.example.org"))
        self.refused(WrongRealm, *self.chain(self.ca, "realm3"), expected="realm2")

    def test_policy(self) -> None:
        self.assertEqual(len(self.policy.authorities), 1)
        self.assertEqual(read_policy("realm1", PeersConfig()), Policy("realm1"))
        peers = PeersConfig(trust="ca", ca_file=self.file)
        self.file.write_text("nothing")
        error = self.assertRaises(IdentityError, read_policy, "realm1", peers)
        self.assertIn(f"[peers] ca_file is {self.file}, which holds no PEM", str(error))
        self.file.unlink()
        error = self.assertRaises(IdentityError, read_policy, "realm1", peers)
        self.assertIn("can't be read: No such file", str(error))


def self_signed(realm: str, length: int = 1) -> RealmIdentity:
    """An identity that was renewed until its chain had this length."""
    keys = [new_key() for _ in range(length)]
    chain = [make(dns_id(realm), key=keys[0])]
    for old, key in itertools.pairwise(keys):
        chain.insert(0, make(dns_id(realm), key=key, issuer=chain[0], signer=old))
    return RealmIdentity(key_of(realm), keys[-1], tuple(chain))


@implementer(IHandshakeListener)
class End(Protocol):
    """One end: fires with the other's certificates, or errs with why it was lost; then fires `lost`."""

    def __init__(self) -> None:
        self.seen: Deferred[list[x509.Certificate]] = Deferred()
        self.lost: Deferred[None] = Deferred()
        self.version = ""

    def handshakeCompleted(self) -> None:  # noqa: N802
        self.version = self.transport.getHandle().get_protocol_version_name()  # type: ignore[union-attr]
        self.seen.callback(peer_chain(self.transport))

    def connectionLost(self, reason: Failure = None) -> None:  # type: ignore[assignment]
        if not self.seen.called:
            self.seen.errback(reason)
        self.lost.callback(None)


@implementer(IOpenSSLClientConnectionCreator)
class Foreign:
    """A client of another making."""

    def __init__(self, prepare: Callable[[SSL.Context], object]) -> None:
        self.context = SSL.Context(SSL.TLS_METHOD)
        prepare(self.context)

    def clientConnectionForTLS(self, _protocol: Any) -> SSL.Connection:  # noqa: N802
        return SSL.Connection(self.context, None)


class OverTLS(TestCase):
    def listen(self, identity: RealmIdentity) -> int:
        self.server = End()
        factory = Factory.forProtocol(lambda: self.server)
        net: Any = reactor
        port = net.listenTCP(
            0, TLSMemoryBIOFactory(TLSOptions(identity), False, factory), interface="127.0.0.1"
        )
        self.addCleanup(port.stopListening)
        number: int = port.getHost().port
        return number

    async def connect(self, port: int, options: Any) -> None:
        self.client = End()
        endpoint: Any = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
        if options is not None:
            endpoint = wrapClientTLS(options, endpoint)
        await endpoint.connect(Factory.forProtocol(lambda: self.client))

    async def hang_up(self) -> None:
        if self.client.transport is not None:
            self.client.transport.loseConnection()
        await gatherResults([self.client.lost, self.server.lost])

    async def refusal(self) -> str:
        """Why the server's end broke off; the client's may have thought that all was well."""
        error: Any = None
        try:
            await self.server.seen
        except SSL.Error as caught:
            error = caught
        self.client.seen.addErrback(lambda _: None)
        await self.hang_up()
        self.assertIsNotNone(error, "it was let in")
        return str(error)

    async def test_mutual(self) -> None:
        """Each end sees all of the other's chain, in TLS 1.3, and knows whom it talks to."""
        one, two = self_signed("realm1", 3), self_signed("Bücher_2", 2)
        await self.connect(self.listen(one), TLSOptions(two))
        at_client, at_server = await self.client.seen, await self.server.seen
        self.assertEqual(at_client, list(one.chain))
        self.assertEqual(at_server, list(two.chain))
        self.assertEqual((self.client.version, self.server.version), ("TLSv1.3", "TLSv1.3"))
        await self.hang_up()
        judged = authenticate(
            at_server,
            NOW,
            policy=Policy("realm1"),
            known_of=lambda _: remembers(two.chain[-1]),
            address="127.0.0.1:1",
        )
        self.assertEqual(judged, Authentication("bücher_2", two.certificate, True))

    async def test_by_ca(self) -> None:
        """Nothing is verified on the way, and afterwards all is; also for a key that is no EC key."""
        ca = trustme.CA()
        issued = ca.issue_cert("realm2", key_type=trustme.KeyType.RSA)
        key: Any = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
        leaf = x509.load_pem_x509_certificate(issued.cert_chain_pems[0].bytes())
        root = x509.load_pem_x509_certificate(ca.cert_pem.bytes())
        two = RealmIdentity("realm2", key, (leaf,))
        await self.connect(self.listen(self_signed("realm1")), TLSOptions(two))
        await self.client.seen
        chain = await self.server.seen
        await self.hang_up()
        policy = Policy("realm1", "ca", (root,))
        judged = authenticate(
            chain, NOW, policy=policy, known_of=lambda _: TrustRecord(), address="a:1"
        )
        self.assertEqual(judged.realm, "realm2")

    async def test_ended_passes_tls(self) -> None:
        """A certificate that ended comes through the handshake, so that it can be told about."""
        key = new_key()
        old = RealmIdentity("realm2", key, (make("realm2", key=key, end=NOW - DAY / 2),))
        await self.connect(self.listen(self_signed("realm1")), TLSOptions(old))
        await self.client.seen
        self.assertEqual(await self.server.seen, list(old.chain))
        await self.hang_up()

    async def test_no_certificate(self) -> None:
        await self.connect(self.listen(self_signed("realm1")), Foreign(lambda _: None))
        self.assertIn("peer did not return a certificate", await self.refusal())

    async def test_older_tls(self) -> None:
        two = self_signed("realm2")

        def prepare(context: SSL.Context) -> None:
            context.set_max_proto_version(SSL.TLS1_2_VERSION)
            context.use_certificate(two.certificate)
            context.use_privatekey(two.private_key)

        await self.connect(self.listen(self_signed("realm1")), Foreign(prepare))
        self.assertIn("unsupported protocol", await self.refusal())

    async def test_older_server(self) -> None:
        """The connecting end does not go back to TLS 1.2 either."""
        one = self_signed("realm1")
        context = SSL.Context(SSL.TLS_METHOD)
        context.set_max_proto_version(SSL.TLS1_2_VERSION)
        context.use_certificate(one.certificate)
        context.use_privatekey(one.private_key)
        with mock.patch.object(tls_module, "make_context", return_value=context):
            port = self.listen(one)
        await self.connect(port, TLSOptions(self_signed("realm2")))
        await self.refusal()

    def test_stolen_certificate(self) -> None:
        """A certificate without its key can't even be shown."""
        two = self_signed("realm2")
        stolen = RealmIdentity("realm2", new_key(), two.chain)
        self.assertRaises(SSL.Error, TLSOptions, stolen)

    async def test_plain(self) -> None:
        await self.connect(self.listen(self_signed("realm1")), None)
        assert self.client.transport is not None
        self.client.transport.write(b"login messi surabaya\r\n")
        await self.refusal()

    async def test_quits_at_once(self) -> None:
        port = self.listen(self_signed("realm1"))
        socket.create_connection(("127.0.0.1", port)).close()
        with self.assertRaises(Exception):  # noqa: B017 - whichever way it was lost
            await self.server.seen
        await self.server.lost


class WithoutSockets(SynchronousTestCase):
    def shake(self, client: SSL.Connection, server: SSL.Connection) -> int:
        """Let both talk until nothing is left to say; how many bytes the server said."""
        client.set_connect_state()
        server.set_accept_state()
        said = 0
        for _ in range(10):
            for end, other in ((client, server), (server, client)):
                try:
                    end.do_handshake()
                    end.recv(1)
                except SSL.WantReadError:
                    pass
                try:
                    data = end.bio_read(1 << 16)
                except SSL.WantReadError:
                    continue
                said += len(data) * (end is server)
                other.bio_write(data)
        return said

    def test_no_resumption(self) -> None:
        """A client that comes back with a session has to show its certificate anew, and so do we."""
        server_side = TLSOptions(self_signed("realm1"))
        client_side = TLSOptions(self_signed("realm2"))
        protocol: Any = None
        first = client_side.clientConnectionForTLS(protocol)
        self.shake(first, server_side.serverConnectionForTLS(protocol))
        session = first.get_session()
        assert session is not None
        second = client_side.clientConnectionForTLS(protocol)
        second.set_session(session)
        server = server_side.serverConnectionForTLS(protocol)
        self.shake(second, server)
        reused: Any = SSL._lib.SSL_session_reused  # type: ignore[attr-defined]
        self.assertFalse(reused(second._ssl))
        self.assertFalse(reused(server._ssl))
        self.assertEqual(realm_of(peer_chain(mock.Mock(getHandle=lambda: server))[0]), "realm2")

    def test_none_shown(self) -> None:
        connection = SSL.Connection(SSL.Context(SSL.TLS_METHOD), None)
        self.assertEqual(peer_chain(mock.Mock(getHandle=lambda: connection)), [])

    def test_not_understood(self) -> None:
        handle = mock.Mock()
        handle.get_peer_certificate.side_effect = ValueError("asn.1")
        transport = mock.Mock(getHandle=lambda: handle)
        self.assertRaises(BadCertificate, peer_chain, transport)
