"""Shows the fingerprint of the realm's certificate, and renews its key (`--fingerprint`, `--new-key`)."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from cryptography import x509

from chatd.app.signing_key import SIGNING_KEY_FILE, renew_signing_key
from chatd.app.state import StateFolder, StateInUse
from chatd.base.config import Config
from chatd.base.names import key_of
from chatd.federation.amp.identity import IdentityError
from chatd.federation.amp.identity_files import CERTIFICATE_FILE, KEY_FILE, rotate
from chatd.federation.amp.pem import certificates_in
from chatd.federation.amp.trust import fingerprint, realm_of


class KeyRenewal(msgspec.Struct, frozen=True):
    """The fingerprints of the old and the new certificate. `str()` is the text for the operator."""

    realm: str
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.realm} has a new key, and the old one vouches for it\nold: {self.old}\nnew: {self.new}"


def fingerprint_of(config: Config) -> str:
    """The fingerprint of the realm's certificate, as `[peer <name>] fingerprint` takes it. Raises
    IdentityError."""
    given = config.peers.certificate
    if given is not None:
        return fingerprint(_certificate(f"[peers] certificate is {given}", given))
    return fingerprint(_own_certificate(config))


def renew_key(config: Config) -> KeyRenewal:
    """Give the realm a new key with a certificate signed with the old one, and a new signing key. Raises
    IdentityError, StartError."""
    if config.peers.certificate is not None:
        raise IdentityError(
            f"[peers] certificate is {config.peers.certificate}; expected none, because chatd renews only "
            "certificates that it created"
        )
    found = realm_of(_own_certificate(config))
    if found != key_of(config.realm):
        raise IdentityError(
            f"[realm] name is {config.realm}, and the certificate in {config.state} is that of "
            f"{found or 'no realm'}; expected the state of this realm"
        )
    state = StateFolder(config.state)
    try:
        state.claim()
    except StateInUse as error:
        found = str(error).partition(";")[0]
        raise StateInUse(f"{found}; stop it before its key is renewed") from None
    try:
        old = fingerprint_of(config)
        renewed = rotate(config.state, config.peers, datetime.now(UTC))
        renew_signing_key(config.state, os.urandom)
        _hand_over(config.state)
    finally:
        state.release()
    return KeyRenewal(config.realm, old, renewed.fingerprint)


def _own_certificate(config: Config) -> x509.Certificate:
    path = config.state / CERTIFICATE_FILE
    if not path.exists():
        raise IdentityError(
            f"[realm] state is {config.state}, and there is no {CERTIFICATE_FILE} in it; expected the "
            "state of a realm that was started once, when its key is made"
        )
    return _certificate(f"[realm] state holds {path}", path)


def _certificate(label: str, path: Path) -> x509.Certificate:
    return certificates_in(label, path, "the realm's certificate in PEM")[0]


def _hand_over(state: Path) -> None:
    """If root created the files, give them to the owner of the folder, who runs the daemon."""
    if os.geteuid() == 0:
        owner = state.stat()
        for name in (KEY_FILE, CERTIFICATE_FILE, SIGNING_KEY_FILE):
            os.chown(state / name, owner.st_uid, owner.st_gid, follow_symlinks=False)
