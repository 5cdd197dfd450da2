"""The key file that the nodes of a realm share, and what is sealed with it.

Sealed is what only a holder of the key can read and make: ChaCha20-Poly1305 (RFC 8439) with a random nonce.
The name of the realm and that of the secret are authenticated, so one value can't stand for another one.
"""

from __future__ import annotations

import base64
import os
import stat
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from chatd.app.state import StartError
from chatd.base.private_files import write_private

KEY_SIZE = 32  # bytes
NONCE_SIZE = 12  # bytes
ID_SIZE = 8  # bytes, by which a sealed value says which key it was sealed with
MAX_FILE = 1024  # bytes
VERSION = b"\x01"  # of the format of sealed values
_PREFIX = len(VERSION) + ID_SIZE + NONCE_SIZE

_EXPECTED = (
    "expected the key file of the realm's nodes, which twistd chatd --new-cluster-key makes once"
)


class SealingKey:
    """The key in the key file `path`. `realm` is the key of the realm's name."""

    def __init__(
        self, path: Path, key: bytes, realm: str, random_bytes: Callable[[int], bytes]
    ) -> None:
        self.path = path
        self._realm = realm
        self._random_bytes = random_bytes
        self._cipher = ChaCha20Poly1305(key)
        self._id = blake2b(key=key, person=b"chatd key id", digest_size=ID_SIZE).digest()

    def seal(self, name: str, secret: bytes) -> bytes:
        """Seal a secret under its name."""
        nonce = self._random_bytes(NONCE_SIZE)
        sealed = self._cipher.encrypt(nonce, secret, self._context(name))
        return VERSION + self._id + nonce + sealed

    def unseal(self, name: str, sealed: bytes) -> bytes:
        """Return what was sealed under that name. Raises StartError."""
        where = f"[cluster] key_file is {self.path}, and the {name} in the database"
        if sealed[:1] != VERSION or len(sealed) <= _PREFIX:
            raise StartError(f"{where} is damaged; {REPAIR}")
        if sealed[1 : 1 + ID_SIZE] != self._id:
            raise StartError(
                f"{where} was sealed with another key file; expected the one that the other nodes have"
            )
        try:
            return self._cipher.decrypt(
                sealed[1 + ID_SIZE : _PREFIX], sealed[_PREFIX:], self._context(name)
            )
        except InvalidTag:
            raise StartError(f"{where} is damaged or that of another realm; {REPAIR}") from None

    def _context(self, name: str) -> bytes:
        return b"\0".join((b"chatd", self._realm.encode(), name.encode()))


REPAIR = (
    "expected what was sealed; stop a node that has the realm's keys in its state folder, and run "
    "twistd chatd --seal-keys there"
)


def read_key_file(
    path: Path, realm: str, random_bytes: Callable[[int], bytes] = os.urandom
) -> SealingKey:
    """Read the key file. Raises StartError if that is not possible, and if others may read it."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        raise StartError(
            f"[cluster] key_file is {path}, which can't be read: {error.strerror}; {_EXPECTED}"
        ) from None
    if mode & 0o077:
        raise StartError(
            f"[cluster] key_file is {path}, which others may read or write (mode {mode:04o}); expected a "
            f"file for the user that runs chatd alone, so run chmod 600 {path}"
        )
    key = _decode(data)
    if key is None:
        raise StartError(
            f"[cluster] key_file is {path}, which does not hold {KEY_SIZE} bytes in base64 or in hexadecimal "
            f"digits; {_EXPECTED}"
        )
    return SealingKey(path, key, realm, random_bytes)


def _decode(data: bytes) -> bytes | None:
    text = data.strip()
    try:
        if len(text) == 2 * KEY_SIZE:
            return bytes.fromhex(text.decode("ascii"))
        key = base64.b64decode(text, validate=True)
    except ValueError:
        return None
    return key if len(key) == KEY_SIZE else None


def make_key_file(path: Path, random_bytes: Callable[[int], bytes]) -> None:
    """Make a key file with a new key. Raises StartError; also if there is one, which is kept."""
    if path.exists():
        raise StartError(
            f"[cluster] key_file is {path}, which is there already; expected no such file, because "
            "the realm's keys may be sealed with it; to make another one, move it away first"
        )
    try:
        write_private(path, base64.b64encode(random_bytes(KEY_SIZE)) + b"\n")
    except OSError as error:
        raise StartError(
            f"[cluster] key_file is {path}, which can't be written: {error.strerror}; expected a path in a "
            "folder that exists"
        ) from None
