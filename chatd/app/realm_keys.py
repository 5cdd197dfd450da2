"""The keys of a realm: the certificate that its links show, and the key that signs its entries."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from cryptography.x509 import Certificate
from sqlalchemy import Engine
from twisted.logger import Logger

from chatd.app.shared_secrets import SharedSecrets, shared_secrets
from chatd.app.signing_key import load_signing_key, stored_signing_key
from chatd.app.state import StartError, StateFolder
from chatd.base.clocks import IReactor, Wall, date_of
from chatd.base.config import Config
from chatd.base.names import key_of
from chatd.federation.amp.dialer import Endpoint
from chatd.federation.amp.endpoint import TLSEndpoint
from chatd.federation.amp.identity import IdentityError, RealmIdentity
from chatd.federation.amp.identity_files import load_identity, read_policy, web_flaw
from chatd.federation.amp.trust import Policy
from chatd.federation.signing.drafts import EntrySigner
from chatd.federation.signing.proofs import SigningKey

log = Logger()


class RealmKeys:
    """`endpoint` makes the links to other realms. `signer` signs with `signing_key`. `secrets` are what the
    nodes of the realm share; None if there is one node only. Call `load` first."""

    endpoint: Endpoint
    signing_key: SigningKey
    signer: EntrySigner

    def __init__(
        self, config: Config, state: StateFolder, random_bytes: Callable[[int], bytes], wall: Wall
    ) -> None:
        self._config = config
        self._state = state
        self._random_bytes = random_bytes
        self._wall = wall
        self._identity: RealmIdentity | None = None  # which links to other realms show
        self.secrets: SharedSecrets | None = None

    def load(self, engine: Engine, reactor: IReactor, endpoint: Endpoint | None) -> None:
        """Load the realm's keys, which are made at the first start. An `endpoint` that is given makes links
        without the certificate. Raises StartError."""
        random_bytes = self._random_bytes
        self.secrets = secrets = shared_secrets(engine, self._config, random_bytes, self._wall)
        if secrets is not None:
            with engine.begin() as connection:
                secrets.fetch(connection)
        self.endpoint = endpoint or self._tls(reactor)
        self.signing_key = load_signing_key(self._state.path, random_bytes)
        self.signer = EntrySigner(key_of(self._config.realm), self.signing_key, random_bytes)
        if secrets is not None:
            with engine.begin() as connection:
                secrets.record(connection)

    def _tls(self, reactor: IReactor) -> TLSEndpoint:
        try:
            identity, policy = self.identify(self._config)
        except IdentityError as error:
            raise StartError(str(error)) from None
        log.info(
            "realm {realm}, certificate {fingerprint}",
            realm=self._config.realm,
            fingerprint=identity.fingerprint,
        )
        self._identity = identity
        return TLSEndpoint(reactor, identity, policy, self._wall)

    def use(self, config: Config) -> None:
        """Use another configuration, which has the same realm and state."""
        self._config = config

    def identify(self, config: Config) -> tuple[RealmIdentity, Policy]:
        """Load the realm's key and certificate, and the rules for other realms. Raises IdentityError."""
        peers, kept = config.peers, self._identity
        if kept is not None and peers.certificate is None and self._is_made(self._config):
            identity = kept  # it does not change in the state folder, unless `reread` was called
        else:
            identity = load_identity(config.realm, self._state.path, peers, date_of(self._wall))
        policy = read_policy(key_of(config.realm), peers)
        if peers.trust == "web" and (flaw := web_flaw(identity, policy, date_of(self._wall))):
            log.warn(
                "other realms with [peers] trust = web will not accept this realm's certificate: {flaw}",
                flaw=flaw,
            )
        return identity, policy

    @staticmethod
    def _is_made(config: Config) -> bool:
        """Whether chatd has made the certificate."""
        return config.peers.certificate is None

    @property
    def authorities(self) -> tuple[Certificate, ...]:
        """Those who may sign for realms, as they were read at the start or at the last reload."""
        return self.endpoint.authorities if isinstance(self.endpoint, TLSEndpoint) else ()

    def reload(self) -> None:
        """Read the files of `[peers]` again. Raises IdentityError, and changes nothing then."""
        self.show(*self.identify(self._config))

    def show(self, identity: RealmIdentity, policy: Policy) -> None:
        """Use this identity and these rules for other realms from now on."""
        self._identity = identity
        if isinstance(self.endpoint, TLSEndpoint):
            self.endpoint.show(identity, policy)

    def restrict(self, block: frozenset[str]) -> None:
        """Let these realms not link any more, and others again."""
        if isinstance(self.endpoint, TLSEndpoint):
            self.endpoint.block(block)

    async def reread(self, store: Callable[[SigningKey], Awaitable[None]]) -> bool:
        """Use the keys in the state folder from now on, which another node has renewed. `store` stores the
        key that signs before it is used. Returns whether they are others. Raises StartError, IdentityError,
        StorageFailed."""
        signing = stored_signing_key(self._state.path)
        renewed = self._reread_certificate()
        if signing is not None and signing.id != self.signing_key.id:
            await store(signing)
            self.signing_key, renewed = signing, True
            self.signer.use(signing)
        return renewed

    def _reread_certificate(self) -> bool:
        """Show the certificate in the state folder. Returns whether it is another one. Raises
        IdentityError."""
        before = self._identity
        if before is None or not self._is_made(self._config):
            return False
        self._identity = None
        try:
            identity, policy = self.identify(self._config)
        except IdentityError:
            self._identity = before
            raise
        self.show(identity, policy)
        return identity.fingerprint != before.fingerprint
