"""Shows the fingerprint of the realm's certificate, and renews its key (`--fingerprint`, `--new-key`); makes
the key file of its nodes, and seals its keys with it (`--new-cluster-key`, `--seal-keys`)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from cryptography import x509
from sqlalchemy import Connection

from chatd.app.key_file import make_key_file
from chatd.app.shared_secrets import SharedSecrets, shared_secrets
from chatd.app.signing_key import SIGNING_KEY_FILE, renew_signing_key
from chatd.app.state import StartError, StateFolder, StateInUse, explained, without_password
from chatd.base.config import Config
from chatd.base.names import key_of
from chatd.federation.amp.identity import IdentityError
from chatd.federation.amp.identity_files import CERTIFICATE_FILE, KEY_FILE, rotate
from chatd.federation.amp.pem import certificates_in
from chatd.federation.amp.trust import fingerprint, realm_of
from chatd.store.engine import alone


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
    with _claimed(config, "its key is renewed") as state, _shared(config, state) as shared:
        if shared is not None:
            secrets, connection = shared
            secrets.fetch(connection)
            secrets.check_can_seal(connection)
        old = fingerprint_of(config)
        renewed = rotate(config.state, config.peers, datetime.now(UTC))
        renew_signing_key(config.state, os.urandom)
        _hand_over(config.state)
        if shared is not None:
            secrets.record(connection)
    return KeyRenewal(config.realm, old, renewed.fingerprint)


def make_cluster_key(config: Config) -> str:
    """Make the key file of the realm's nodes. Returns what to do with it. Raises StartError."""
    path = config.cluster.key_file
    if path is None:
        raise StartError("[cluster] key_file is empty; expected the path at which it is made")
    make_key_file(path, os.urandom)
    if os.geteuid() == 0 and config.state.exists():
        owner = config.state.stat()
        os.chown(path, owner.st_uid, owner.st_gid)
    return f"{path} has a new key; copy it to all nodes, and keep a copy apart from backups of the database"


def seal_keys(config: Config) -> str:
    """Seal the keys in the state folder in the database with the key file. Returns a sentence. Raises
    StartError."""
    with _claimed(config, "its keys are sealed") as state, _shared(config, state) as shared:
        if shared is None:
            raise StartError(
                "[database] url names no PostgreSQL server; expected one, because only nodes that share a "
                "database seal the realm's keys there"
            )
        secrets, connection = shared
        secrets.reseal(connection)
    return f"the keys of {config.realm} are sealed with {config.cluster.key_file}"


@contextmanager
def _claimed(config: Config, before: str) -> Iterator[StateFolder]:
    """The state folder, under its lock. Raises StartError."""
    state = StateFolder(config.state)
    try:
        state.claim()
    except StateInUse as error:
        found = str(error).partition(";")[0]
        raise StateInUse(f"{found}; stop it before {before}") from None
    try:
        yield state
    finally:
        state.release()


@contextmanager
def _shared(
    config: Config, state: StateFolder
) -> Iterator[tuple[SharedSecrets, Connection] | None]:
    """What the nodes of the realm share, in a transaction, while none of them writes; None if there is one
    node only. Raises StartError."""
    if not config.database_url:
        yield None
        return
    with explained(without_password(config.database_url)):
        engine = state.connect(config.database_url)
        secrets = shared_secrets(engine, config, os.urandom, time.time)
        try:
            if secrets is None:
                yield None
            else:
                with alone(engine), engine.begin() as connection:
                    yield secrets, connection
        finally:
            engine.dispose()


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
