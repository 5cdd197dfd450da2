"""A test authority whose certificates have the form of those from public authorities."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.support.realm_certificates import key_pem, new_key, pem

LIFETIME = timedelta(days=90)
SERVER = ExtendedKeyUsageOID.SERVER_AUTH


class PublicAuthority:
    """An authority with an intermediate certificate, valid around `now`. Only the root is trusted."""

    def __init__(self, now: datetime | None = None) -> None:
        self.now = now or datetime.now(UTC)
        self._root_key, self._key = new_key(), new_key()
        self.root = self._authority("Root", self._root_key, None, self._root_key)
        self.between = self._authority("Between", self._key, self.root, self._root_key)

    def _builder(
        self, subject: str, key: Any, issuer: x509.Certificate | None, signer: Any
    ) -> x509.CertificateBuilder:
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)])
        issued_by = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name if issuer is None else issuer.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.now - LIFETIME)
            .not_valid_after(self.now + LIFETIME)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .add_extension(issued_by, False)
        )

    def _authority(
        self, subject: str, key: Any, issuer: x509.Certificate | None, signer: Any
    ) -> x509.Certificate:
        signs = x509.KeyUsage(
            digital_signature=False,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )
        builder = self._builder(subject, key, issuer, signer)
        builder = builder.add_extension(x509.BasicConstraints(True, None), True)
        return builder.add_extension(signs, True).sign(signer, hashes.SHA256())

    def issue(
        self,
        *names: str,
        key: ec.EllipticCurvePrivateKey | None = None,
        purpose: x509.ObjectIdentifier = SERVER,
    ) -> tuple[x509.Certificate, x509.Certificate]:
        """A certificate for a server with these DNS names, and the intermediate one."""
        builder = self._builder(names[0][:64], key or new_key(), self.between, self._key)
        general = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        builder = builder.add_extension(general, False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), False)
        builder = builder.add_extension(x509.BasicConstraints(False, None), True)
        return builder.sign(self._key, hashes.SHA256()), self.between

    def write_root(self, path: Path) -> Path:
        """Write the root certificate, for `[peers] ca_file`."""
        path.write_bytes(pem(self.root))
        return path

    def write(self, folder: Path, name: str) -> dict[str, Path]:
        """Write a certificate for `name` with its chain, and its key. Returns the keys of [peers]."""
        key = new_key()
        certificate, private_key = folder / f"{name}.pem", folder / f"{name}.key"
        certificate.write_bytes(pem(*self.issue(name, key=key)))
        private_key.write_bytes(key_pem(key))
        return {"certificate": certificate, "private_key": private_key}
