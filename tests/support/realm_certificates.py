"""Certificates, keys and TLS clients for tests, well-formed or not."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from OpenSSL import SSL
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
)
from zope.interface import implementer

from chatd.base.config import PeersConfig
from chatd.base.names import key_of
from chatd.federation.amp.identity import RealmIdentity
from chatd.federation.amp.trust import (
    TrustRecord,
    dns_id,
    fingerprint,
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
    """A certificate with any names, any issuer and any signature."""
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


def self_signed(realm: str, length: int = 1) -> RealmIdentity:
    """An identity that was renewed until its chain has this length."""
    keys = [new_key() for _ in range(length)]
    chain = [make(dns_id(realm), key=keys[0])]
    for old, key in itertools.pairwise(keys):
        chain.insert(0, make(dns_id(realm), key=key, issuer=chain[0], signer=old))
    return RealmIdentity(key_of(realm), keys[-1], tuple(chain))


@implementer(IOpenSSLClientConnectionCreator)
class Foreign:
    """A TLS client with its own context."""

    def __init__(self, prepare: Callable[[SSL.Context], object]) -> None:
        self.context = SSL.Context(SSL.TLS_METHOD)
        prepare(self.context)

    def clientConnectionForTLS(self, _protocol: Any) -> SSL.Connection:  # noqa: N802
        return SSL.Connection(self.context, None)


def remembers(certificate: x509.Certificate) -> TrustRecord:
    return TrustRecord(added=True, certificate=pem(certificate).decode())


def pinned_to(pin: x509.Certificate, seen: x509.Certificate | None = None) -> TrustRecord:
    """Pinned by the configuration; `seen` is the remembered certificate."""
    return TrustRecord(True, fingerprint(pin), None if seen is None else pem(seen).decode())


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
