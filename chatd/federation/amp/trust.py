"""Authenticates a realm by its certificate: the name in it, pinning, and certificate authorities.

The certificate of a realm has the realm's name as the first DNS name of its subjectAltName (RFC 5280,
4.2.1.6). Other names, the common name included, are ignored (RFC 9525, 2). Not every realm's name is a host
name; `dns_id` returns how each one is written.

Trust is on first use, as with SSH (RFC 4251, 4.1), unless authorities are trusted. The key of a pinned
certificate may sign the realm's next certificate. That is not path validation in the sense of RFC 5280,
section 6: only the signature counts, not the dates or the purpose of the pinned certificate.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import crypto
from service_identity import CertificateError, VerificationError
from service_identity.hazmat import DNS_ID, DNSPattern, verify_service_identity

from chatd.base import errors
from chatd.base.names import key_of
from chatd.federation.amp.web_authorities import NotIssued, check_issued

AUTHORITIES = ("ca", "web")  # the values of `trust` with which authorities vouch for realms
MAX_SHOWN = 10  # certificates of a peer that are checked; signatures cost time
SUFFIX = ".x.invalid"  # `invalid` never exists in the DNS (RFC 6761, 6.4)
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"(?=.{{1,64}}\Z)(?:{_LABEL}\.)*(?![0-9]+\Z){_LABEL}", re.ASCII)
# Case folding may make a name three times as long. The only character that it adds, and that no name may
# contain, is the dot above an i (of İ).
_KEY = re.compile(r"(?:[\w.-]|(?<=i)\u0307){1,192}")
_HEX_LABEL = 62


# Names in certificates


def dns_id(realm: str) -> str:
    """The DNS name of a realm in its certificate. `realm` may be a name or a key.

    A name that could be a host name is used as it is. All others (digits only, like an IP address, letters
    beyond ASCII, `_`, a hyphen at an end, a label of more than 63 letters) are written as the hexadecimal
    digits of their key's UTF-8 under `SUFFIX`, which `realm_named` decodes. The result may be longer than the
    DNS allows, but these names are compared and never looked up.
    """
    key = key_of(realm)
    if _HOST.fullmatch(key) and not key.endswith(SUFFIX):
        return key
    digits = key.encode().hex()
    labels = [digits[at : at + _HEX_LABEL] for at in range(0, len(digits), _HEX_LABEL)]
    return ".".join(labels) + SUFFIX


def realm_named(name: str) -> str | None:
    """The key of the realm that a DNS name stands for, or None. This is the inverse of `dns_id`."""
    if not name.isascii():
        return None
    key = name = name.lower()
    if name.endswith(SUFFIX):
        try:
            key = bytes.fromhex(name.removesuffix(SUFFIX).replace(".", "")).decode()
        except ValueError:
            return None
    # Each realm has exactly one DNS name; variants of it stand for no realm.
    if _KEY.fullmatch(key) is None or dns_id(key) != name:
        return None
    return key


def realm_of(certificate: x509.Certificate) -> str | None:
    """The key of the realm that the first DNS name of a certificate stands for, or None.

    A wildcard (RFC 9525, 6.3) stands for no realm.
    """
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (
        ValueError,
        x509.ExtensionNotFound,
        x509.DuplicateExtension,
        x509.UnsupportedGeneralNameType,
    ):
        return None
    for name in names.get_values_for_type(x509.DNSName):
        realm = realm_named(name)
        return realm if realm is not None and _matches(name, realm) else None
    return None


def _matches(name: str, realm: str) -> bool:
    try:
        pattern = DNSPattern.from_bytes(name.encode())
        verify_service_identity([pattern], [DNS_ID(dns_id(realm))], [])
    except (CertificateError, VerificationError, ValueError):
        return False
    return True


def fingerprint(certificate: x509.Certificate) -> str:
    """`sha256:` and 64 hexadecimal digits, as in the configuration."""
    return f"sha256:{certificate.fingerprint(hashes.SHA256()).hex()}"


def out_of_date(certificate: x509.Certificate, now: datetime) -> str | None:
    """Why a certificate is not valid at this time (RFC 5280, 4.1.2.5), or None if it is."""
    try:
        begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    except ValueError:
        return "its dates can't be understood"
    if now < begin:
        return f"it holds only from {begin:%Y-%m-%d %H:%M} UTC on"
    if now > end:
        return f"it ended on {end:%Y-%m-%d %H:%M} UTC"
    return None


# Authentication


class TrustRecord(msgspec.Struct, frozen=True):
    """What is known of a realm before it is authenticated.

    `added`: somebody here has added it, or the configuration names it. `fingerprint`: the one that the
    configuration gives for its certificate. `certificate`: the certificate that is remembered, as PEM.
    """

    added: bool = False
    fingerprint: str | None = None
    certificate: str | None = None


class Policy(msgspec.Struct, frozen=True):
    """Which realms are let in. `own` is this realm, `trust` is as in [peers], `blocked` are keys of
    realms."""

    own: str
    trust: str = "pinned"
    authorities: tuple[x509.Certificate, ...] = ()
    blocked: frozenset[str] = frozenset()


class Authentication(msgspec.Struct, frozen=True):
    """The realm at the other end: its key and its certificate. `remember` says whether the certificate must
    be stored as the one to be remembered, in place of any other."""

    realm: str
    certificate: x509.Certificate
    remember: bool

    @property
    def pem(self) -> str:
        """The certificate in the form of `TrustRecord.certificate`."""
        return self.certificate.public_bytes(Encoding.PEM).decode()


def authenticate(
    chain: Sequence[x509.Certificate],
    now: datetime,
    *,
    policy: Policy,
    known_of: Callable[[str], TrustRecord],
    address: str,
    expected: str | None = None,
) -> Authentication:
    """Authenticate the realm that showed `chain` (leaf first) and proved in TLS that it has the leaf's key.

    `now` has a time zone. `known_of` returns what is known of the realm with a key, or `TrustRecord()`.
    `address` is the other end of the connection, for the error sentences, and `expected` is the realm that
    was dialled there. Raises BadCertificate, WrongRealm, OwnRealm, RealmNotAllowed, CertificateChanged.
    """
    shown = expected or f"the realm at {address}"
    if not chain:
        raise errors.BadCertificate(realm=shown, reason="it showed none")
    leaf = chain[0]
    realm = realm_of(leaf)
    reason = out_of_date(leaf, now)
    if reason is not None:
        raise errors.BadCertificate(realm=realm or shown, reason=reason)
    if realm is None:
        raise errors.BadCertificate(
            realm=shown, reason="the first DNS name of its subjectAltName stands for no realm"
        )
    if expected is not None and key_of(expected) != realm:
        raise errors.WrongRealm(address=address, found=realm, realm=expected)
    if realm == key_of(policy.own):
        raise errors.OwnRealm(realm=realm)
    known = known_of(realm)
    _check_allowed(realm, policy, known)
    if policy.trust == "ca":
        _check_signed(chain[:MAX_SHOWN], now, policy.authorities, realm)
    elif policy.trust == "web":
        _check_issued(chain[:MAX_SHOWN], now, policy.authorities, realm)
    remember = _check_pin(chain[:MAX_SHOWN], realm, known, policy.trust)
    return Authentication(realm, leaf, remember)


def _check_allowed(realm: str, policy: Policy, known: TrustRecord) -> None:
    if realm in policy.blocked:
        raise errors.RealmNotAllowed(realm=realm, where=policy.own, reason="it is blocked there")
    if policy.trust == "known" and not known.added:
        raise errors.RealmNotAllowed(
            realm=realm, where=policy.own, reason="only realms that were added there may"
        )


def _check_signed(
    chain: Sequence[x509.Certificate],
    now: datetime,
    authorities: Sequence[x509.Certificate],
    realm: str,
) -> None:
    """Validate the path as OpenSSL does (RFC 5280, section 6). Every certificate in ca_file is trusted,
    root or not. Raises BadCertificate.

    The purpose is not checked: many CAs no longer issue certificates for TLS clients, and a realm is client
    and server.
    """
    store = crypto.X509Store()
    for authority in authorities:
        store.add_cert(crypto.X509.from_cryptography(authority))
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
    store.set_time(now.astimezone(UTC))
    leaf, *others = map(crypto.X509.from_cryptography, chain)
    try:
        crypto.X509StoreContext(store, leaf, others).verify_certificate()
    except crypto.X509StoreContextError as error:
        raise errors.BadCertificate(
            realm=realm, reason=f"no authority of the ca_file stands behind it ({error})"
        ) from None


def _check_issued(
    chain: Sequence[x509.Certificate],
    now: datetime,
    authorities: tuple[x509.Certificate, ...],
    realm: str,
) -> None:
    """Raises BadCertificate unless a public authority has issued the certificate for the realm's name."""
    try:
        check_issued(chain, dns_id(realm), now, authorities)
    except NotIssued as error:
        reason = f"no public authority has issued it for {dns_id(realm)} ({error})"
        raise errors.BadCertificate(realm=realm, reason=reason) from None


def _check_pin(
    chain: Sequence[x509.Certificate], realm: str, known: TrustRecord, trust: str
) -> bool:
    """Whether the leaf must be remembered from now on. Raises CertificateChanged.

    The fingerprint in the configuration takes precedence over the remembered certificate, and is checked with
    authorities too.
    """
    leaf = chain[0]
    remembered = None
    pins = trust not in AUTHORITIES
    if known.certificate is not None and pins:
        remembered = x509.load_pem_x509_certificate(known.certificate.encode())
    pin = remembered
    if known.fingerprint is not None:
        pin = next((shown for shown in chain if fingerprint(shown) == known.fingerprint), None)
    elif pin is None:
        return pins
    if pin is None or not (_same_key(leaf, pin) or _signed_by(chain, pin, realm)):
        expected = known.fingerprint or (pin and fingerprint(pin))
        raise errors.CertificateChanged(realm=realm, found=fingerprint(leaf), remembered=expected)
    return pins and leaf != remembered


def _same_key(leaf: x509.Certificate, pin: x509.Certificate) -> bool:
    """Whether both certificates have the same key, and so the same holder. Authorities issue renewed
    certificates, also for the same key."""
    try:
        return leaf == pin or leaf.public_key() == pin.public_key()
    except (ValueError, UnsupportedAlgorithm):  # a kind of key that is not supported
        return False


def _signed_by(chain: Sequence[x509.Certificate], pin: x509.Certificate, realm: str) -> bool:
    """Whether the leaf was issued by the pinned certificate, directly or through others of `chain`.

    All certificates in between must name the realm. If the pin is a CA, other owners of its certificates
    can't sign for the realm.
    """
    others = [shown for shown in chain[1:] if realm_of(shown) == realm]
    reached, waiting = [chain[0]], [chain[0]]
    while waiting:
        certificate = waiting.pop()
        if _issued(certificate, pin):
            return True
        for other in others:
            if other not in reached and _issued(certificate, other):
                reached.append(other)
                waiting.append(other)
    return False


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True
