"""Keys and certificates in PEM files, read and written with an error sentence for each mistake."""

from __future__ import annotations

import re
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from chatd.base import private_files
from chatd.federation.amp.identity import IdentityError, PrivateKey

_KEY_BLOCK = re.compile(
    rb"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.*?-----END \1-----", re.DOTALL | re.ASCII
)
_EXPECTED_KEY = "an EC, Ed25519, Ed448 or RSA private key in PEM, without a password"
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)  # those of RFC 8446, 4.2.3


def write_private(path: Path, data: bytes) -> None:
    """Write `data` to a file that only this user may read, completely or not at all. Raises IdentityError."""
    try:
        private_files.write_private(path, data)
    except OSError as error:
        raise IdentityError(
            f"[realm] state is {path.parent}, and {path.name} can't be written there: {error.strerror}; "
            "expected a folder that chatd may write to"
        ) from None


def certificate_pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def key_pem(key: PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


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
    """The certificates in a file, in order. `label` begins the error sentences. Raises IdentityError."""
    return certificates_of(label, _read(label, path, expected), expected)


def certificates_of(label: str, data: bytes, expected: str) -> tuple[x509.Certificate, ...]:
    """The certificates in the content of a file. Raises IdentityError."""
    try:
        return tuple(x509.load_pem_x509_certificates(data))
    except ValueError:
        raise IdentityError(
            f"{label}, which holds no PEM certificate; expected {expected}"
        ) from None


def keys_in(label: str, path: Path) -> list[PrivateKey]:
    """The private keys in a file, in order; at least one. Raises IdentityError."""
    return keys_of(label, _read(label, path, _EXPECTED_KEY))


def keys_of(label: str, data: bytes) -> list[PrivateKey]:
    """The private keys in the content of a file. Raises IdentityError."""
    expected = _EXPECTED_KEY
    found: list[PrivateKey] = []
    for block in _KEY_BLOCK.finditer(data):
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
