"""The realm's signing key: a file in the state folder, beside the key of its certificate."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chatd.app.state import StartError
from chatd.base.private_files import write_private
from chatd.federation.signing.proofs import SigningKey

SIGNING_KEY_FILE = "signing.key"


def load_signing_key(state: Path, random_bytes: Callable[[int], bytes]) -> SigningKey:
    """The signing key in the state folder, which is made at the first start. Raises StartError.

    The caller holds the folder's lock.
    """
    return stored_signing_key(state) or renew_signing_key(state, random_bytes)


def stored_signing_key(state: Path) -> SigningKey | None:
    """The signing key in the state folder; None if there is none. Raises StartError."""
    path = state / SIGNING_KEY_FILE
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StartError(
            f"[realm] state holds {path}, which can't be read: {error.strerror}; "
            "expected a file that belongs to the user that runs chatd"
        ) from None
    found = signing_key_of(data)
    if found is None:
        raise StartError(
            f"[realm] state holds {path}, which is no Ed25519 private key in PEM without a password; "
            "expected that, or no such file: then a new key is made, and the other realms learn it"
        )
    return found


def signing_key_of(data: bytes) -> SigningKey | None:
    """The key in the content of a file; None if it is no Ed25519 key in PEM."""
    try:
        private = serialization.load_pem_private_key(data, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return SigningKey(private) if isinstance(private, Ed25519PrivateKey) else None


def renew_signing_key(state: Path, random_bytes: Callable[[int], bytes]) -> SigningKey:
    """Make a new signing key, in place of an older one. Raises StartError.

    The public key of the older one is in the database, since the daemon has run with it.
    """
    key = SigningKey(Ed25519PrivateKey.from_private_bytes(random_bytes(32)))
    write_signing_key(state, key)
    return key


def write_signing_key(state: Path, key: SigningKey) -> None:
    """Replace the signing key in the state folder. Raises StartError."""
    try:
        write_private(state / SIGNING_KEY_FILE, key.pem())
    except OSError as error:
        raise StartError(
            f"[realm] state is {state}, and {SIGNING_KEY_FILE} can't be written there: "
            f"{error.strerror}; expected a folder that chatd may write to"
        ) from None
