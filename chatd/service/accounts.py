"""Accounts: registration, login, sessions and profiles."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Collection
from contextlib import nullcontext
from typing import Protocol

import msgspec
from sqlalchemy import Connection
from twisted.logger import Logger

from chatd.base import errors
from chatd.base.background import in_background
from chatd.base.config import AccountsConfig
from chatd.base.isolation import guarded
from chatd.base.model import Account, Device
from chatd.base.names import check_new_name, check_reserved, key_of
from chatd.base.texts import Secret
from chatd.base.throttle import Quota
from chatd.base.tokens import TOKEN_BYTES, hash_token, holds_one_of
from chatd.service.context import Context
from chatd.service.guesses import TakenNames
from chatd.service.known_accounts import KnownAccounts
from chatd.service.login_guard import PasswordGuard
from chatd.service.node_limits import share_quota
from chatd.service.passwords import LOGIN, REGISTRATION, Passwords
from chatd.service.presence import Presence
from chatd.service.realm_invitations import RealmInvitations
from chatd.store import accounts as store
from chatd.store.realm_invitations import add_invited_account

log = Logger()

RENEW_EVERY = 3_600_000  # ms; the use of a session is stored at most this often


class Login(msgspec.Struct, frozen=True):
    """A session that was opened or resumed. `expires_at` is in ms since 1970 UTC. Only a new session has its
    `token`, because the database stores only the hash. `device` is what it was used with before."""

    account: Account
    token_hash: bytes
    expires_at: int
    token: Secret | None = None
    device: Device | None = None


class LiveSessions(Protocol):
    """The sessions that are in use on some connection."""

    def in_use(self, account_id: int) -> Collection[bytes]:
        """The token hashes of the account's sessions that are in use."""

    def ended(self, hashes: Collection[bytes]) -> None:
        """Tell the clients that use these sessions that the sessions have ended."""


def _is_token_among(
    connection: Connection, account_id: int, now: int, words: Collection[str]
) -> bool:
    """Runs in a reader's thread, because there may be thousands of words."""
    return holds_one_of(words, store.live_sessions(connection, account_id, now))


class Accounts(KnownAccounts):
    """The realm's accounts, and their sessions."""

    def __init__(
        self,
        context: Context,
        passwords: Passwords,
        presence: Presence,
        invitations: RealmInvitations,
    ) -> None:
        super().__init__(context)
        self._context = context
        self._passwords = passwords
        self._presence = presence
        self._invitations = invitations
        self._on_deleted: list[Callable[[Account], None]] = []
        self._tell_deleted = context.news.topic(
            "deleted accounts", Account, self._forget, lambda: None
        )
        self._endings = 0  # how many times sessions were ended
        self._live: LiveSessions | None = None
        self._check_access: Callable[[Account], None] = lambda _account: None
        self._guard = PasswordGuard(context.clock, passwords)
        self._guard.share(context.news)
        self._registrations = Quota(self._settings.registrations_per_hour)
        share_quota(self._registrations, context.news, context.clock, "registrations")
        limited = self._settings.registrations_per_hour > 0
        self._taken = TakenNames(context.clock, limited)
        self._taken.share(context.news, "taken-account-names")
        context.on_config(self._change_limits)

    @property
    def _settings(self) -> AccountsConfig:
        return self._context.config.accounts

    def _change_limits(self) -> None:
        per_hour = self._settings.registrations_per_hour
        self._registrations.allow(per_hour)
        self._taken.limit(limited=per_hour > 0)

    def check_name(self, name: str) -> None:
        """Raises BadName or ReservedName if a new account or group may not have this name."""
        check_new_name(name)
        check_reserved(name, self._context.config.realm)

    def is_allowed(self, name: str) -> bool:
        """Whether a new account or group may have this name."""
        try:
            self.check_name(name)
        except (errors.BadName, errors.ReservedName):
            return False
        return True

    async def register(
        self,
        name: str,
        password: str,
        display_name: str | None,
        country: str | None,
        source: str | None = None,
        invite: str | None = None,
    ) -> Login:
        """Create an account and log in. `source` is the network address of the request, whose registrations
        are limited; None is not limited. `invite` is the code of an invitation.

        Raises RegistrationClosed, InvitationNeeded, BadInvitation, TooManyCodes, BadName, ReservedName,
        WeakPassword, UserExists, TooManyRegistrations, Busy.
        """
        account, hashed = await self.sign_up(name, password, display_name, country, source, invite)
        return await self._open_session(account, hashed)

    async def sign_up(
        self,
        name: str,
        password: str,
        display_name: str | None,
        country: str | None,
        source: str | None = None,
        invite: str | None = None,
    ) -> tuple[Account, str]:
        """As `register`, without the login. Returns the account and the hash of its password."""
        admitted = await self._invitations.admit(invite, source)
        self.check_name(name)
        with nullcontext() if source is None else self._taken.attempt(source):
            return await self._add(name, password, display_name, country, source, admitted)

    async def add(
        self, name: str, password: str, display_name: str | None, country: str | None
    ) -> Account:
        """Create an account even if registration is closed, without a login. Raises WeakPassword,
        UserExists."""
        return (await self._add(name, password, display_name, country))[0]

    async def _add(
        self,
        name: str,
        password: str,
        display_name: str | None,
        country: str | None,
        source: str | None = None,
        admitted: bytes | None = None,
    ) -> tuple[Account, str]:
        """Create an account. `admitted` is the hash of the code of its invitation."""
        self.check_password(password)
        version = self.version
        if await self._database.read(store.find_account, key_of(name)) is not None:
            raise errors.UserExists(name=name)  # before the costly hash
        self._count_registration(source)
        try:
            owner = source or "", key_of(name)
            hashed = await self._passwords.hash(password, owner, REGISTRATION)
            values = name, hashed, display_name or name, country or "", self._context.now()
            if admitted is None:
                account = await self._database.run(store.add_account, *values)
            else:
                account = await self._database.run(add_invited_account, admitted, *values)
        except errors.ChatError:
            if source is not None:
                self._registrations.give_back(source)
            raise
        self.remember(account, version)
        return account, hashed

    def _count_registration(self, source: str | None) -> None:
        """Raises TooManyRegistrations."""
        if source is None:
            return
        wait = self._registrations.take(source, self._context.clock.seconds())
        if wait > 0:
            raise errors.TooManyRegistrations(minutes=math.ceil(wait / 60))

    def check_password(self, password: str) -> None:
        """Raises WeakPassword if it is too short for a new password."""
        minimum = self._settings.min_password
        if len(password) < minimum:
            raise errors.WeakPassword(minimum=minimum)

    async def login(self, name: str, password: str, source: str) -> Login:
        """Open a session. `source` is the network address of the request.

        An unknown name takes as long as a known one, so that the time does not tell them apart.

        Raises UnknownUser, WrongPassword, AccountDisabled, Banned, TooManyAttempts, Busy.
        """
        key = key_of(name)
        account: Account | None = None
        hashed: str | None = None

        async def find_hash() -> str | None:
            nonlocal account, hashed
            version, account = self.version, self.cached(key)
            if account is None:
                account = await self._database.read(store.find_account, key)
            if account is not None:
                account = self.remember(account, version)
                hashed = await self._database.read(store.password_of, account.id)
            return hashed

        good = await self._guard.check(key, password, source, find_hash)
        if account is None or hashed is None:
            # The name is not logged, because it may be a password that was typed into the wrong field.
            log.info("login of an unknown user from {source} failed", source=source)
            raise errors.UnknownUser(name=name)
        if not good:
            log.info("login of {account} from {source} failed", account=account.name, source=source)
            raise errors.WrongPassword(name=name)
        login = await self._open_session(account, hashed)
        if self._passwords.is_outdated(hashed, password):
            renewed = await self._passwords.hash(password, (source, key), LOGIN)
            await self._database.run(store.renew_password, account.id, hashed, renewed)
        return login

    async def _open_session(self, account: Account, hashed: str) -> Login:
        self._check_access(account)
        token = (
            base64.urlsafe_b64encode(self._context.random_bytes(TOKEN_BYTES)).rstrip(b"=").decode()
        )
        now = self._context.now()
        expires_at = now + self._lifetime
        login = Login(account, hash_token(token), expires_at, Secret(token))
        live = self._live
        ended = await self._database.run(
            store.add_session,
            login.token_hash,
            account,
            hashed,
            now,
            expires_at,
            self._context.config.limits.sessions,
            frozenset() if live is None else live.in_use(account.id),
        )
        if ended:
            self._endings += 1
            if live is not None:
                live.ended(ended)
        self._check_access(account)  # it may have been banned just before the session was stored
        return login

    def on_login(self, check: Callable[[Account], None]) -> None:
        """Call `check` for each account that logs in or resumes a session. It raises Banned."""
        self._check_access = check

    def watch(self, live: LiveSessions) -> None:
        """Ask `live` which sessions are in use, and tell it which were ended to make room for others."""
        self._live = live

    @property
    def _lifetime(self) -> int:
        return self._settings.session_expiry * 1000

    async def resume(self, token: str) -> Login:
        """Return the session of a token, and extend it. Raises BadToken, Banned."""
        token_hash = hash_token(token)
        endings, version = -1, 0
        found = None
        while endings != self._endings:
            # If sessions were ended during the read, this may have been one of them: read again.
            endings, version = self._endings, self.version
            found = await self._database.read(store.find_session, token_hash, self._context.now())
        if found is None:
            raise errors.BadToken
        account, created_at, expires_at, device = found
        self._check_access(account)
        account = self.remember(account, version)
        if expires_at - created_at <= self._lifetime:
            # Store the first use after the login: unused sessions are ended first when there are too many.
            expires_at = self._renew_session(token_hash)
        else:
            expires_at = self.extend(token_hash, expires_at)
        return Login(account, token_hash, expires_at, device=device)

    async def is_token_among(self, account: Account, words: Collection[str]) -> bool:
        """Whether one of `words` is the token of a session of the account."""
        return await self._database.read(_is_token_among, account.id, self._context.now(), words)

    def extend(self, token_hash: bytes, expires_at: int) -> int:
        """Extend a session that is in use, at most once an hour. Returns when it expires (ms)."""
        if self._context.now() + self._lifetime - expires_at > min(
            RENEW_EVERY, self._lifetime // 2
        ):
            return self._renew_session(token_hash)
        return expires_at

    def _renew_session(self, token_hash: bytes) -> int:
        """Extend a session. Returns when it expires (ms).

        It does not wait for the database, so that a session can be resumed while the disk is full.
        """
        now = self._context.now()
        expires_at = now + self._lifetime
        renewing = self._database.run(store.extend_session, token_hash, now, expires_at)
        in_background("a session was not extended", renewing)
        return expires_at

    async def end_session(self, token_hash: bytes) -> None:
        """End one session. The caller tells its clients."""
        await self._database.run(store.end_session, token_hash)
        self._endings += 1

    async def end_sessions(self, account: Account) -> None:
        """End all sessions of the account. The caller tells their clients."""
        await self._database.run(store.end_sessions, account.id)
        self._endings += 1

    def sessions_ended(self) -> None:
        """Note that sessions were ended elsewhere, so that none of them is resumed from an earlier read."""
        self._endings += 1

    async def set_status(self, account: Account, status: str) -> Account:
        """Change the status text; an empty one removes it. Returns the changed account."""
        return await self.change(self._database.run, store.set_status, account.id, status)

    async def change_profile(
        self, account: Account, name: str | None, country: str | None
    ) -> Account:
        """Change the display name, the country or both. Returns the changed account."""
        return await self.change(self._database.run, store.set_profile, account.id, name, country)

    async def check_own_password(self, account: Account, password: str, source: str) -> str:
        """Check the password of an account that is logged in. Returns its hash. Raises WrongPassword,
        TooManyAttempts, Busy."""
        hashed = ""

        async def find_hash() -> str:
            nonlocal hashed
            hashed = await self._database.read(store.password_of, account.id)
            return hashed

        if not await self._guard.check(account.key, password, source, find_hash):
            raise errors.WrongPassword(name=account.name)
        return hashed

    def on_deleted(self, then: Callable[[Account], None]) -> None:
        """Call `then` when an account was deleted."""
        self._on_deleted.append(then)

    def deleted(self, account: Account, left: Account, version: int) -> None:
        """Forget an account that was deleted, on all nodes; `left` is what is left of it, and `version` is
        from before that. Its sessions have ended."""
        self.forget(account, left, version)
        self._forget(account)
        self._tell_deleted(account)

    def _forget(self, account: Account) -> None:
        self._endings += 1
        self._context.file_quotas.forget(account)
        for then in self._on_deleted:
            guarded("something of a deleted account was not forgotten", then, account)

    async def change_password(
        self, account: Account, old: str, new: str, keep: bytes, source: str
    ) -> None:
        """Change the password, and end all sessions of the account except the one with the token hash `keep`.
        Raises WeakPassword, WrongPassword, TooManyAttempts, Busy."""
        self.check_password(new)
        hashed = await self.check_own_password(account, old, source)
        renewed = await self._passwords.hash(new, (source, account.key), LOGIN)
        await self._database.run(store.set_password, account, hashed, renewed, keep)
        self._endings += 1
