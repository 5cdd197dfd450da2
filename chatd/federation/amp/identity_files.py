"""Loads, makes and renews the realm's key and certificate: files in the state folder, or those of [peers]."""

from __future__ import annotations

import ssl
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519
from OpenSSL import SSL

from chatd.base.config import PeersConfig
from chatd.base.names import key_of
from chatd.federation.amp.identity import IdentityError, PrivateKey, RealmIdentity
from chatd.federation.amp.pem import (
    certificate_pem,
    certificates_in,
    certificates_of,
    key_pem,
    keys_in,
    keys_of,
    write_private,
)
from chatd.federation.amp.tls import make_context
from chatd.federation.amp.trust import AUTHORITIES, Policy, dns_id, out_of_date, realm_of
from chatd.federation.amp.web_authorities import NotIssued, check_issued

KEY_FILE = "realm.key"
CERTIFICATE_FILE = "realm.pem"
LIFETIME = timedelta(days=3652)
BACKDATED = timedelta(days=1)  # the clocks of two realms may differ
# Where systems keep the certificates of public authorities, in one file
SYSTEM_FILES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Alpine, Arch, NixOS
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # the BSDs, macOS
)
MAX_KEPT = 5  # certificates in realm.pem: a peer may miss that many renewals in a row


def load_identity(realm: str, state: Path, peers: PeersConfig, now: datetime) -> RealmIdentity:
    """The identity of `realm`: from the files that [peers] names, or else from the state folder, where it is
    made at the first start.

    The caller holds the folder's lock. `now` has a time zone. Raises IdentityError.
    """
    if (peers.certificate is None) != (peers.private_key is None):
        given, missing = ("certificate", "private_key")[:: 1 if peers.certificate else -1]
        raise IdentityError(
            f"[peers] {given} is given and {missing} is empty; expected both or none"
        )
    if peers.certificate is not None and peers.private_key is not None:
        label = f"[peers] certificate is {peers.certificate}"
        chain = certificates_in(label, peers.certificate)
        keys = keys_in(f"[peers] private_key is {peers.private_key}", peers.private_key)
    else:
        label = f"[realm] state holds {state / CERTIFICATE_FILE}"
        chain, keys = _own(realm, state, now)
    identity = RealmIdentity(key_of(realm), _fitting(label, chain, keys), chain)
    _check(label, identity, now)
    return identity


def stored_identity(state: Path) -> RealmIdentity | None:
    """The identity in the state folder; None if a file of it is missing. Raises IdentityError."""
    if not (state / KEY_FILE).exists() or not (state / CERTIFICATE_FILE).exists():
        return None
    label = f"[realm] state holds {state / CERTIFICATE_FILE}"
    chain = certificates_in(label, state / CERTIFICATE_FILE)
    keys = keys_in(f"[realm] state holds {state / KEY_FILE}", state / KEY_FILE)
    return RealmIdentity(realm_of(chain[0]) or "", _fitting(label, chain, keys), chain)


def identity_pem(identity: RealmIdentity) -> bytes:
    """The key and the certificates in one text."""
    return key_pem(identity.private_key) + b"".join(map(certificate_pem, identity.chain))


def identity_of(label: str, data: bytes) -> RealmIdentity:
    """The identity in what `identity_pem` has returned. Raises IdentityError."""
    chain = certificates_of(label, data, "the realm's certificate in PEM")
    key = _fitting(label, chain, keys_of(label, data))
    return RealmIdentity(realm_of(chain[0]) or "", key, chain)


def write_identity(state: Path, identity: RealmIdentity) -> None:
    """Replace the identity in the state folder, in the order of `rotate`. Raises IdentityError."""
    before = b""
    with suppress(FileNotFoundError):
        before = (state / KEY_FILE).read_bytes()
    key = key_pem(identity.private_key)
    write_private(state / KEY_FILE, key + before)
    write_private(state / CERTIFICATE_FILE, b"".join(map(certificate_pem, identity.chain)))
    write_private(state / KEY_FILE, key)


def rotate(state: Path, peers: PeersConfig, now: datetime) -> RealmIdentity:
    """Renew the key and the certificate in the state folder. The old key signs the new certificate, so that
    peers that remember the old certificate accept it. Raises IdentityError.

    The caller holds the folder's lock. First the new key is written to realm.key beside the old one, then the
    new certificate to realm.pem, then the new key alone to realm.key. Each file is written completely or not
    at all, and `load_identity` takes the key that belongs to the certificate. So the files fit together even
    if this is interrupted.
    """
    if peers.certificate is not None or peers.private_key is not None:
        raise IdentityError(
            f"[peers] certificate is {peers.certificate or 'empty'} and private_key "
            f"{peers.private_key or 'empty'}; expected both empty: chatd renews only what it made itself"
        )
    label = f"[realm] state holds {state / CERTIFICATE_FILE}"
    chain = certificates_in(label, state / CERTIFICATE_FILE)
    old_key = _fitting(
        label, chain, keys_in(f"[realm] state holds {state / KEY_FILE}", state / KEY_FILE)
    )
    realm = realm_of(chain[0])
    if realm is None:
        raise IdentityError(
            f"{label}, which names no realm; expected the certificate of this realm"
        )
    key = ec.generate_private_key(ec.SECP256R1())
    renewed = (issue_certificate(realm, key, now, old_key, chain[0]), *chain[: MAX_KEPT - 1])
    write_private(state / KEY_FILE, key_pem(key) + key_pem(old_key))
    write_private(state / CERTIFICATE_FILE, b"".join(map(certificate_pem, renewed)))
    write_private(state / KEY_FILE, key_pem(key))
    return RealmIdentity(realm, key, renewed)


def _own(
    realm: str, state: Path, now: datetime
) -> tuple[tuple[x509.Certificate, ...], list[PrivateKey]]:
    """The certificates and keys in the state folder. Missing ones are made, the key first: a key without a
    certificate is completed at the next start."""
    key_path, path = state / KEY_FILE, state / CERTIFICATE_FILE
    if not key_path.exists():
        if path.exists():
            raise IdentityError(
                f"[realm] state holds {path}, and {KEY_FILE} is missing beside it; expected both, or "
                "neither: then new ones are made, and the other realms have to be told"
            )
        write_private(key_path, key_pem(ec.generate_private_key(ec.SECP256R1())))
    keys = keys_in(f"[realm] state holds {key_path}", key_path)
    if not path.exists():
        write_private(
            path, certificate_pem(issue_certificate(key_of(realm), keys[0], now, keys[0], None))
        )
    return certificates_in(f"[realm] state holds {path}", path), keys


def issue_certificate(
    realm: str, key: PrivateKey, now: datetime, signer: PrivateKey, issuer: x509.Certificate | None
) -> x509.Certificate:
    """Make a certificate for `key`, signed by `signer`: by `key` itself, or by the key of `issuer`.

    It is not a CA certificate, so no other software accepts what it signs. That the old key signs the new
    certificate is not a path in the sense of RFC 5280, section 6, but evidence for
    chatd.federation.amp.trust.
    """
    # A common name has at most 64 octets (RFC 5280, appendix A.1); nothing reads it.
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, dns_id(realm)[:64])])
    usage = x509.KeyUsage(True, *[False] * 8)  # digitalSignature: all that TLS 1.3 needs
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


def _fitting(label: str, chain: tuple[x509.Certificate, ...], keys: list[PrivateKey]) -> PrivateKey:
    """The key that belongs to the first certificate. Raises IdentityError."""
    with suppress(ValueError, UnsupportedAlgorithm):  # a kind of key that is not supported
        public = chain[0].public_key()
        for key in keys:
            if key.public_key() == public:
                return key
    raise IdentityError(
        f"{label}, and the private key is not its first certificate's; expected the two that belong "
        "together"
    )


def _check(label: str, identity: RealmIdentity, now: datetime) -> None:
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
        make_context(identity)
    except SSL.Error as error:
        detail = error.args[0][-1][-1] if error.args and error.args[0] else "OpenSSL refuses it"
        raise IdentityError(
            f"{label}, which can't be used: {detail}; expected one fit for TLS 1.3"
        ) from None


def read_policy(realm: str, peers: PeersConfig) -> Policy:
    """The rules of [peers] on whom to trust, with the certificates in ca_file, or, with `web` and without
    ca_file, those that the system trusts. Raises IdentityError."""
    if peers.trust not in AUTHORITIES:
        return Policy(realm, peers.trust, (), peers.block)
    if peers.ca_file is not None:
        file, label = peers.ca_file, f"[peers] ca_file is {peers.ca_file}"
    else:
        file = system_authorities()
        label = f"[peers] trust is {peers.trust!r} and the system's authorities are in {file}"
    expected = "the certificates of those who may sign for realms, in PEM"
    return Policy(realm, peers.trust, certificates_in(label, file, expected), peers.block)


def system_authorities() -> Path:
    """The file with the authorities that the system trusts; OpenSSL's variable SSL_CERT_FILE comes first.
    Raises IdentityError."""
    known = ssl.get_default_verify_paths().cafile
    for name in (known, *SYSTEM_FILES):
        if name is not None and Path(name).is_file():
            return Path(name)
    raise IdentityError(
        "[peers] trust is 'web' and the system has no file with the certificates of public authorities; "
        "expected that ca-certificates is installed, or a PEM file in ca_file"
    )


def web_flaw(identity: RealmIdentity, policy: Policy, now: datetime) -> str | None:
    """Why realms with `trust = web` do not accept the certificate of this one, as far as the authorities of
    `policy` tell; None if they do."""
    try:
        check_issued(identity.chain, dns_id(identity.realm), now, policy.authorities)
    except NotIssued as error:
        return str(error)
    return None
