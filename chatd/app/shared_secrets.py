"""Lets all nodes of a realm have the same private keys: that of its certificate, and its signing key.

Each node has them as files in its state folder. The database on the server, which the nodes share, has their
fingerprints, so that no node makes others beside them. With [cluster] key_file it also has the keys
themselves, sealed, and a node without them, or with older ones, gets them from there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path

import msgspec
from sqlalchemy import Connection, Engine
from twisted.logger import Logger

from chatd.app.key_file import REPAIR, SealingKey, read_key_file
from chatd.app.signing_key import (
    SIGNING_KEY_FILE,
    signing_key_of,
    stored_signing_key,
    write_signing_key,
)
from chatd.app.state import StartError
from chatd.base.clocks import Wall
from chatd.base.config import Config
from chatd.base.names import key_of
from chatd.federation.amp.identity import IdentityError, RealmIdentity
from chatd.federation.amp.identity_files import (
    CERTIFICATE_FILE,
    KEY_FILE,
    identity_of,
    identity_pem,
    stored_identity,
    write_identity,
)
from chatd.federation.amp.trust import fingerprint
from chatd.federation.signing.proofs import SigningKey, key_id
from chatd.store.engine import backend_of
from chatd.store.realm_secrets import (
    StoredSecret,
    all_secrets,
    has_accounts,
    replace_secret,
    signs_with,
)

log = Logger()


class SecretCopy(msgspec.Struct, frozen=True):
    """A secret that a node has. `replaces` are the fingerprints of older ones, as far as it tells."""

    fingerprint: str
    data: bytes
    replaces: frozenset[str] = frozenset()


class SecretKind(ABC):
    """One for each secret. `name` is that in the database and in sentences."""

    name: str
    files: str

    @abstractmethod
    def read(self, state: Path) -> SecretCopy | None:
        """The copy in a state folder, if it is complete. Raises StartError."""

    @abstractmethod
    def write(self, state: Path, data: bytes) -> None:
        """Replace the copy in a state folder by one with this content. Raises StartError."""

    @abstractmethod
    def parse(self, data: bytes) -> SecretCopy | None:
        """The copy with this content; None if it makes no sense."""


class CertificateSecret(SecretKind):
    """The certificate by which other realms know this one, and its key."""

    name = "certificate"
    files = f"{KEY_FILE} and {CERTIFICATE_FILE}"

    def read(self, state: Path) -> SecretCopy | None:
        try:
            found = stored_identity(state)
        except IdentityError as error:
            raise StartError(str(error)) from None
        return None if found is None else self._copy(found)

    def write(self, state: Path, data: bytes) -> None:
        try:
            write_identity(state, identity_of(self.name, data))
        except IdentityError as error:
            raise StartError(str(error)) from None

    def parse(self, data: bytes) -> SecretCopy | None:
        try:
            return self._copy(identity_of(self.name, data))
        except IdentityError:
            return None

    def _copy(self, identity: RealmIdentity) -> SecretCopy:
        older = frozenset(map(fingerprint, identity.chain[1:]))
        return SecretCopy(identity.fingerprint, identity_pem(identity), older)


class SigningSecret(SecretKind):
    """The key that signs entries."""

    name = "signing key"
    files = SIGNING_KEY_FILE

    def read(self, state: Path) -> SecretCopy | None:
        found = stored_signing_key(state)
        return None if found is None else self._copy(found)

    def write(self, state: Path, data: bytes) -> None:
        found = signing_key_of(data)
        if found is not None:
            write_signing_key(state, found)

    def parse(self, data: bytes) -> SecretCopy | None:
        found = signing_key_of(data)
        return None if found is None else self._copy(found)

    def _copy(self, key: SigningKey) -> SecretCopy:
        return SecretCopy(f"sha256:{sha256(key.public).hexdigest()}", key.pem())


CERTIFICATE = CertificateSecret()
SIGNING = SigningSecret()


def shared_secrets(
    engine: Engine, config: Config, random_bytes: Callable[[int], bytes], wall: Wall
) -> SharedSecrets | None:
    """The secrets of a realm that several nodes may serve; None for others. Raises StartError."""
    if not (config.database_url and backend_of(engine).is_shared):
        return None
    return SharedSecrets(config, random_bytes, wall)


class SharedSecrets:
    """The secrets of one node. Call the methods while no other node does (chatd.store.engine.alone)."""

    def __init__(self, config: Config, random_bytes: Callable[[int], bytes], wall: Wall) -> None:
        self._state = config.state
        self._key_file = config.cluster.key_file
        self._realm = key_of(config.realm)
        self._random_bytes = random_bytes
        self._wall = wall
        # A certificate that [peers] names is renewed by others, and each node reads it from its files.
        self._given = config.peers.certificate is not None
        self._kinds = (SIGNING,) if self._given else (CERTIFICATE, SIGNING)

    def fetch(self, connection: Connection) -> list[str]:
        """Write the realm's secrets to the state folder, if it does not have them. Returns their names.
        Raises StartError if they can't be had, and if a new one would be a second one."""
        found = self.find(connection)
        self.write(found)
        return list(found)

    def find(self, connection: Connection) -> dict[str, bytes]:
        """The realm's secrets by their names, if the state folder does not have them. Raises StartError, as
        `fetch`."""
        stored = all_secrets(connection)
        return self.missing(stored, signs_with(connection), has_accounts(connection))

    def write(self, found: Mapping[str, bytes]) -> None:
        """Write these secrets to the state folder. Raises StartError."""
        for kind in self._kinds:
            if kind.name in found:
                kind.write(self._state, found[kind.name])
                log.warn("the {name} in the state folder is now that of the realm", name=kind.name)

    def missing(
        self, stored: Mapping[str, StoredSecret], signed: list[bytes], used: bool
    ) -> dict[str, bytes]:
        """The secrets that the state folder has not. `signed` are the ids of the keys with which the realm
        signs; `used`: it has accounts. Raises StartError."""
        key = self._key()
        own = {kind.name: self._read(kind, stored.get(kind.name), key) for kind in self._kinds}
        newer = self._is_newer(own.get(CERTIFICATE.name), stored.get(CERTIFICATE.name))
        found: dict[str, bytes] = {}
        for kind in self._kinds:
            row, copy = stored.get(kind.name), own[kind.name]
            if row is None:
                self._check_new(kind, copy, signed, used)
                continue
            if not row.fingerprint or newer:
                continue
            sealed = None if key is None else self._unseal(key, kind, row)
            if copy is not None and copy.fingerprint == row.fingerprint:
                continue
            if sealed is None:
                raise StartError(self._other(kind, copy, row))
            found[kind.name] = sealed
        return found

    def record(self, connection: Connection, reseal: bool = False) -> None:
        """Store what the state folder has, unless that is stored. `reseal`: seal everything again. Raises
        StartError."""
        stored, key, now = all_secrets(connection), self._key(), int(self._wall() * 1000)
        if self._given and CERTIFICATE.name not in stored:
            replace_secret(connection, CERTIFICATE.name, None, StoredSecret("", None), now)
        for kind in self._kinds:
            row, copy = stored.get(kind.name), kind.read(self._state)
            if copy is None:
                continue
            same = row is not None and row.fingerprint == copy.fingerprint
            if (
                same
                and not reseal
                and (key is None or (row is not None and row.sealed is not None))
            ):
                continue
            if key is None and row is not None and row.sealed is not None:
                raise StartError(self._no_key())
            sealed = None if key is None else key.seal(kind.name, copy.data)
            new = StoredSecret(copy.fingerprint, sealed)
            if not replace_secret(connection, kind.name, row, new, now):
                raise StartError(
                    f"another node has changed the realm's {kind.name} at this moment; start again"
                )

    def reseal(self, connection: Connection) -> None:
        """Seal the secrets in the state folder with the key file, whatever they were sealed with. Raises
        StartError if they are not those of the realm."""
        stored = all_secrets(connection)
        if self._key() is None:
            raise StartError("[cluster] key_file is empty; expected the path of the new key file")
        newer = self._is_newer(
            CERTIFICATE.read(self._state), None if self._given else stored.get(CERTIFICATE.name)
        )
        for kind in self._kinds:
            row, copy = stored.get(kind.name), kind.read(self._state)
            if row is None or not row.fingerprint or newer:
                continue
            if copy is None or copy.fingerprint != row.fingerprint:
                raise StartError(self._other(kind, copy, row))
        self.record(connection, reseal=True)

    def check_can_seal(self, connection: Connection) -> None:
        """Raises StartError if the secrets are sealed, and this node has no key file."""
        if self._key() is None and any(row.sealed for row in all_secrets(connection).values()):
            raise StartError(self._no_key())

    def _key(self) -> SealingKey | None:
        if self._key_file is None:
            return None
        return read_key_file(self._key_file, self._realm, self._random_bytes)

    def _read(
        self, kind: SecretKind, row: StoredSecret | None, key: SealingKey | None
    ) -> SecretCopy | None:
        """The copy in the state folder. One that is damaged is replaced, if that is possible."""
        try:
            return kind.read(self._state)
        except StartError as error:
            if key is None or row is None or row.sealed is None:
                raise
            log.warn("{error}", error=str(error))
            return None

    @staticmethod
    def _is_newer(copy: SecretCopy | None, row: StoredSecret | None) -> bool:
        """Whether the key was renewed here and that is not stored, because the renewal was interrupted or the
        database is an older copy. The signing key is renewed together with the certificate."""
        return copy is not None and row is not None and row.fingerprint in copy.replaces

    def _unseal(self, key: SealingKey, kind: SecretKind, row: StoredSecret) -> bytes | None:
        if row.sealed is None:
            return None
        data = key.unseal(kind.name, row.sealed)
        copy = kind.parse(data)
        if copy is None or copy.fingerprint != row.fingerprint:
            raise StartError(
                f"[cluster] key_file is {key.path}, and the {kind.name} in the database is not the one "
                f"whose fingerprint is {row.fingerprint}; {REPAIR}"
            )
        return data

    def _check_new(
        self, kind: SecretKind, copy: SecretCopy | None, signed: list[bytes], used: bool
    ) -> None:
        """Check that a secret of which the database knows nothing may be that of the realm, or may be made.
        A realm that was moved to this database has keys in one state folder. Raises StartError."""
        if copy is None:
            known = bool(signed) or used
        else:
            key = signing_key_of(copy.data) if kind is SIGNING else None
            known = key is not None and bool(signed) and key_id(key.public) not in signed
        if known:
            raise StartError(
                f"[realm] state is {self._state}, and the realm in the database has a {kind.name} that is "
                f"not there; expected {kind.files} from the state folder in which the realm was until now"
            )

    def _other(self, kind: SecretKind, copy: SecretCopy | None, row: StoredSecret) -> str:
        has = "none" if copy is None else copy.fingerprint
        if row.sealed is None:
            way = (
                f"copy {kind.files} from the state folder of another node, or set [cluster] key_file at all "
                "nodes and start one that has them first"
            )
        else:
            way = "set [cluster] key_file to the key file of the other nodes"
        return (
            f"[realm] state is {self._state}, and its {kind.name} is {has}; expected that of the realm, "
            f"{row.fingerprint}: {way}"
        )

    @staticmethod
    def _no_key() -> str:
        return (
            "[cluster] key_file is empty, and the realm's keys in the database are sealed; expected the "
            "key file of the other nodes"
        )
