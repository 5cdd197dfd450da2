"""What a realm shows in TLS between realms: its key and its certificate.

Both are made at the first start (or are given in [peers]), and may be renewed: `rotate`.

Connections are TLS 1.3 (RFC 8446), and both sides show a certificate. OpenSSL checks that the other
side has the key to what it shows, and nothing more: whose that is, is for chatd.federation.amp.trust.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from OpenSSL import SSL
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
)
from zope.interface import implementer

from chatd.base.config import PeersConfig
from chatd.base.errors import BadCertificate
from chatd.base.names import key_of
from chatd.federation.amp.trust import Policy, dns_id, fingerprint, out_of_date, realm_of

PrivateKey: TypeAlias = (
    ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
    | rsa.RSAPrivateKey
)

KEY_FILE = "realm.key"
CERTIFICATE_FILE = "realm.pem"
LIFETIME = timedelta(days=3652)
BACKDATED = timedelta(days=1)  # the clocks of two realms may differ
MAX_KEPT = 5  # certificates in realm.pem: a peer may miss as many renewals in a row

_KEY_BLOCK = re.compile(
    rb"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.*?-----END \1-----", re.DOTALL | re.ASCII
)
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)  # those of RFC 8446, 4.2.3


class IdentityError(Exception):
    """The realm can't prove who it is; `str()` is the sentence for the operator."""


class Identity(msgspec.Struct, frozen=True):
    """What a realm shows. `realm` is its key (chatd.base.names.key_of); `chain` has the leaf first."""

    realm: str
    private_key: PrivateKey
    chain: tuple[x509.Certificate, ...]

    @property
    def certificate(self) -> x509.Certificate:
        return self.chain[0]

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.chain[0])


# The realm's own key and certificate.


def load_identity(realm: str, state: Path, peers: PeersConfig, now: datetime) -> Identity:
    """The identity of `realm`: the configured one, else that in the state folder, made at first start.

    The caller holds the folder's lock. `now` is aware of its time zone. Raises IdentityError.
    """
    if (peers.certificate is None) != (peers.private_key is None):
        given, missing = ("certificate", "private_key")[:: 1 if peers.certificate else -1]
        raise IdentityError(
            f"[peers] {given} is given and {missing} is empty; expected both or none"
        )
    if peers.certificate is not None and peers.private_key is not None:
        label = f"[peers] certificate is {peers.certificate}"
        chain = certificates_in(label, peers.certificate)
        keys = _keys(f"[peers] private_key is {peers.private_key}", peers.private_key)
    else:
        label = f"[realm] state holds {state / CERTIFICATE_FILE}"
        chain, keys = _own(realm, state, now)
    identity = Identity(key_of(realm), _fitting(label, chain, keys), chain)
    _check(label, identity, now)
    return identity


def rotate(state: Path, peers: PeersConfig, now: datetime) -> Identity:
    """Renew the key and the certificate in the state folder; the old key vouches for the new one, so
    that peers who remember the old certificate accept it.

    The caller holds the folder's lock. First realm.key gets the new key beside the old one, then
    realm.pem the new certificate, then realm.key the new key alone. Each of these is written whole or
    not at all, and of the keys it finds `load_identity` takes the one that the certificate is for: so
    whenever this is cut off, what is on disk fits together. Raises IdentityError.
    """
    if peers.certificate is not None or peers.private_key is not None:
        raise IdentityError(
            f"[peers] certificate is {peers.certificate or 'empty'} and private_key "
            f"{peers.private_key or 'empty'}; expected both empty: chatd renews only what it made itself"
        )
    label = f"[realm] state holds {state / CERTIFICATE_FILE}"
    chain = certificates_in(label, state / CERTIFICATE_FILE)
    old_key = _fitting(
        label, chain, _keys(f"[realm] state holds {state / KEY_FILE}", state / KEY_FILE)
    )
    realm = realm_of(chain[0])
    if realm is None:
        raise IdentityError(
            f"{label}, which names no realm; expected the certificate of this realm"
        )
    key = ec.generate_private_key(ec.SECP256R1())
    renewed = (_issue(realm, key, now, old_key, chain[0]), *chain[: MAX_KEPT - 1])
    _write(state / KEY_FILE, _key_pem(key) + _key_pem(old_key))
    _write(state / CERTIFICATE_FILE, b"".join(map(_certificate_pem, renewed)))
    _write(state / KEY_FILE, _key_pem(key))
    return Identity(realm, key, renewed)


def _own(
    realm: str, state: Path, now: datetime
) -> tuple[tuple[x509.Certificate, ...], list[PrivateKey]]:
    """What the state folder holds. The key is written first: without a certificate, it still needs one."""
    key_path, path = state / KEY_FILE, state / CERTIFICATE_FILE
    if not key_path.exists():
        if path.exists():
            raise IdentityError(
                f"[realm] state holds {path}, and {KEY_FILE} is missing beside it; expected both, or "
                "neither: then new ones are made, and the other realms have to be told"
            )
        _write(key_path, _key_pem(ec.generate_private_key(ec.SECP256R1())))
    keys = _keys(f"[realm] state holds {key_path}", key_path)
    if not path.exists():
        _write(path, _certificate_pem(_issue(key_of(realm), keys[0], now, keys[0], None)))
    return certificates_in(f"[realm] state holds {path}", path), keys


def _issue(
    realm: str,
    key: PrivateKey,
    now: datetime,
    signer: PrivateKey,
    issuer: x509.Certificate | None,
) -> x509.Certificate:
    """A certificate for `key`: signed by itself, or by the key of `issuer`.

    It is no CA's. That the old key signs the new certificate is no path of RFC 5280, section 6, but a
    voucher for chatd.federation.amp.trust: no other software shall take a realm's word for another realm.
    """
    # A common name is 64 octets at most (RFC 5280, appendix A.1); nothing reads it.
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, dns_id(realm)[:64])])
    usage = x509.KeyUsage(True, *[False] * 8)  # digitalSignature is all that TLS 1.3 needs
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now.astimezone(UTC).replace(microsecond=0) - BACKDATED)
        .not_valid_after(now.astimezone(UTC).replace(microsecond=0) + LIFETIME)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(dns_id(realm))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )
    edwards = isinstance(signer, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)
    return builder.sign(signer, None if edwards else hashes.SHA256())


def _write(path: Path, data: bytes) -> None:
    """Put `data` into a file that only we may read, whole or not at all. Raises IdentityError."""
    temporary = path.with_name(f"{path.name}.new")
    try:
        temporary.unlink(missing_ok=True)
        file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(file, "wb") as opened:
            opened.write(data)
            opened.flush()
            os.fsync(file)
        temporary.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise IdentityError(
            f"[realm] state is {path.parent}, and {path.name} can't be written there: {error.strerror}; "
            "expected a folder that chatd may write to"
        ) from None


def _certificate_pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


# Reading, with a sentence for each mistake.


def _read(label: str, path: Path, expected: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise IdentityError(
            f"{label}, which can't be read: {error.strerror}; expected {expected}"
        ) from None


def certificates_in(
    label: str,
    path: Path,
    expected: str = "the realm's certificate in PEM, then those that it was issued by",
) -> tuple[x509.Certificate, ...]:
    data = _read(label, path, expected)
    try:
        return tuple(x509.load_pem_x509_certificates(data))
    except ValueError:
        raise IdentityError(
            f"{label}, which holds no PEM certificate; expected {expected}"
        ) from None


def _keys(label: str, path: Path) -> list[PrivateKey]:
    expected = "an EC, Ed25519, Ed448 or RSA private key in PEM, without a password"
    found: list[PrivateKey] = []
    for block in _KEY_BLOCK.finditer(_read(label, path, expected)):
        try:
            key = serialization.load_pem_private_key(block[0], None)
        except TypeError:
            raise IdentityError(f"{label}, which has a password; expected {expected}") from None
        except (ValueError, UnsupportedAlgorithm):
            raise IdentityError(
                f"{label}, which can't be understood; expected {expected}"
            ) from None
        if not isinstance(key, PrivateKey):
            raise IdentityError(f"{label}, which TLS 1.3 can't use; expected {expected}")
        if isinstance(key, ec.EllipticCurvePrivateKey) and not isinstance(key.curve, _CURVES):
            raise IdentityError(
                f"{label}, whose curve is {key.curve.name}; expected P-256, P-384 or P-521"
            )
        found.append(key)
    if not found:
        raise IdentityError(f"{label}, which holds no PEM private key; expected {expected}")
    return found


def _fitting(label: str, chain: tuple[x509.Certificate, ...], keys: list[PrivateKey]) -> PrivateKey:
    with suppress(ValueError, UnsupportedAlgorithm):  # a key of a kind that is none of ours
        public = chain[0].public_key()
        for key in keys:
            if key.public_key() == public:
                return key
    raise IdentityError(
        f"{label}, and the private key is not its first certificate's; expected the two that belong "
        "together"
    )


def _check(label: str, identity: Identity, now: datetime) -> None:
    leaf, realm = identity.certificate, identity.realm
    found = realm_of(leaf)
    if found != realm:
        shown = "no realm" if found is None else f"the realm {found}"
        raise IdentityError(
            f"{label}, which names {shown}; expected {dns_id(realm)} as the first DNS name of its "
            f"subjectAltName, for [realm] name is {realm}"
        )
    reason = out_of_date(leaf, now)
    if reason is not None:
        raise IdentityError(f"{label}: {reason}; expected one that holds now, so renew it")
    try:
        _context(identity)
    except SSL.Error as error:
        detail = error.args[0][-1][-1] if error.args and error.args[0] else "OpenSSL refuses it"
        raise IdentityError(
            f"{label}, which can't be used: {detail}; expected one fit for TLS 1.3"
        ) from None


def read_policy(realm: str, peers: PeersConfig) -> Policy:
    """What [peers] says of whom to trust, with the certificates of ca_file. Raises IdentityError."""
    if peers.trust != "ca" or peers.ca_file is None:
        return Policy(realm, peers.trust, (), peers.block)
    label = f"[peers] ca_file is {peers.ca_file}"
    expected = "the certificates of those who may sign for realms, in PEM"
    return Policy(realm, peers.trust, certificates_in(label, peers.ca_file, expected), peers.block)


# TLS.


def client_options(identity: Identity) -> TLSOptions:
    """For the end that connects. Who the other side is, has to be judged once the handshake is done."""
    return TLSOptions(identity)


def server_options(identity: Identity) -> TLSOptions:
    """For the end that is connected to: without a certificate of the other side the handshake fails."""
    return TLSOptions(identity)


@implementer(IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator)
class TLSOptions:
    """TLS as `identity`, for either end of a connection."""

    def __init__(self, identity: Identity) -> None:
        self.show(identity)

    def show(self, identity: Identity) -> None:
        """Use this identity from the next connection on."""
        self._context = _context(identity)

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:  # noqa: N802, N803
        return SSL.Connection(self._context, None)

    def serverConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:  # noqa: N802, N803
        return SSL.Connection(self._context, None)


def _context(identity: Identity) -> SSL.Context:
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    context.set_max_proto_version(SSL.TLS1_3_VERSION)
    # A resumed session shows no certificate (RFC 8446, 2.2), and each connection has to.
    context.set_options(SSL.OP_NO_TICKET)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_session_id(b"chatd")  # OpenSSL wants one wherever certificates are asked for
    context.set_verify(
        SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_whatever_it_finds: True
    )
    context.use_privatekey(identity.private_key)
    context.use_certificate(identity.certificate)
    for certificate in identity.chain[1:]:
        context.add_extra_chain_cert(certificate)
    context.check_privatekey()
    return context


def peer_chain(transport: Any) -> list[x509.Certificate]:
    """The certificates that the other end of a TLS transport showed, leaf first; none if it did not.

    Once the handshake is done, so not before `handshakeCompleted`. Raises BadCertificate.
    """
    connection: SSL.Connection = transport.getHandle()
    try:
        leaf = connection.get_peer_certificate(as_cryptography=True)
        # OpenSSL leaves the leaf out of it at one end and not at the other.
        rest = connection.get_peer_cert_chain(as_cryptography=True) or ()
    except (ValueError, x509.InvalidVersion):
        raise BadCertificate(realm="the other realm", reason="it can't be understood") from None
    if leaf is None:
        return []
    return [leaf, *(certificate for certificate in rest if certificate != leaf)]
