"""Names of realms, and the certificates that the suite shows."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
MAX_HOST = 64
HEX_LABEL = 62  # digits
OTHER_NAMES = ".x.invalid"  # the domain of realms whose names are no host names
VALID = timedelta(days=30)
PEM = serialization.Encoding.PEM


def key_of(name: str) -> str:
    """The key of a name. Names with equal keys are the same."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return unicodedata.normalize("NFKC", folded)


def dns_name(realm: str) -> str:
    """The DNS name in the certificate of a realm."""
    key = key_of(realm)
    labels = key.split(".")
    is_host = len(key) <= MAX_HOST and all(map(LABEL.fullmatch, labels))
    if is_host and not labels[-1].isdigit() and not key.endswith(OTHER_NAMES):
        return key
    digits = key.encode().hex()
    cut = [digits[at : at + HEX_LABEL] for at in range(0, len(digits), HEX_LABEL)]
    return ".".join(cut) + OTHER_NAMES


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def write_certificate(path: Path, key: ec.EllipticCurvePrivateKey, *names: str) -> None:
    """Write a self-signed certificate with these DNS names, and its key before it, to one file."""
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a realm for tests")])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + VALID)
    )
    if names:
        alternative = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        builder = builder.add_extension(alternative, critical=False)
    private = key.private_bytes(
        PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.touch(mode=0o600)
    path.write_bytes(private + builder.sign(key, hashes.SHA256()).public_bytes(PEM))


def read_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """The key of a file that `write_certificate` has written."""
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{path} has no key of an elliptic curve")
    return key


def first_dns_name(certificate: bytes) -> str | None:
    """The first DNS name of a certificate in DER, or None."""
    shown = x509.load_der_x509_certificate(certificate)
    try:
        found = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return None
    names: list[str] = found.value.get_values_for_type(x509.DNSName)
    return names[0] if names else None
