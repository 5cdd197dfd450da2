"""The key and the certificate that a realm shows to other realms."""

from __future__ import annotations

from typing import TypeAlias

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from chatd.federation.amp.trust import fingerprint

PrivateKey: TypeAlias = (
    ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
    | rsa.RSAPrivateKey
)


class IdentityError(Exception):
    """The realm can't prove its identity. `str()` is the sentence for the operator."""


class RealmIdentity(msgspec.Struct, frozen=True):
    """`realm` is the key of the realm's name (chatd.base.names.key_of); `chain` begins with the leaf."""

    realm: str
    private_key: PrivateKey
    chain: tuple[x509.Certificate, ...]

    @property
    def certificate(self) -> x509.Certificate:
        return self.chain[0]

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.chain[0])
