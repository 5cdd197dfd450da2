"""Links with which people who have forgotten their password choose another in the browser."""

from __future__ import annotations

import base64

import msgspec
from twisted.logger import Logger

from chatd.base.errors import BadResetLink, NoWebDoor
from chatd.base.model import Account
from chatd.base.tokens import TOKEN_BYTES, hash_token
from chatd.base.web_address import web_address
from chatd.service.accounts import Accounts
from chatd.service.audit import Act
from chatd.service.code_guesses import CodeGuesses
from chatd.service.context import Context
from chatd.service.passwords import LOGIN, Passwords
from chatd.store import password_resets as store

LIFETIME = 3_600_000  # ms

log = Logger()


class ResetLink(msgspec.Struct, frozen=True):
    """A link, and when it expires, in ms since 1970 UTC."""

    link: str
    expires_at: int


class PasswordResets:
    """Makes the links, and changes the passwords. The caller tells the clients whose sessions have ended."""

    def __init__(self, context: Context, accounts: Accounts, passwords: Passwords) -> None:
        self._context = context
        self._database = context.database
        self._accounts = accounts
        self._passwords = passwords
        self._guesses = CodeGuesses(context.clock, BadResetLink)
        self._guesses.share(context.news, "reset-link-failures")

    async def new(self, act: Act, account: Account) -> ResetLink:
        """Make a link for an account, which replaces an earlier one. Its token is stored as a hash. Raises
        UnknownUser, NoWebDoor."""
        site = web_address(self._context.config)
        if site is None:
            raise NoWebDoor(name=account.name)
        random = self._context.random_bytes(TOKEN_BYTES)
        token = base64.urlsafe_b64encode(random).rstrip(b"=").decode()
        expires_at = self._context.now() + LIFETIME
        await act.run(store.add_reset, account, hash_token(token), expires_at)
        return ResetLink(f"{site}/#/reset/{token}", expires_at)

    async def use(self, token: str, password: str, source: str) -> Account:
        """Change the password of the account that the token is for. All its sessions end. `source` is the
        network address of the request. Raises WeakPassword, BadResetLink, TooManyCodes, Busy."""
        self._accounts.check_password(password)
        token_hash = hash_token(token)
        async with self._guesses.attempt(source):
            account = await self._database.read(
                store.account_of_reset, token_hash, self._context.now()
            )
        hashed = await self._passwords.hash(password, (source, account.key), LOGIN)
        now = self._context.now()
        account = await self._database.run(store.use_reset, token_hash, hashed, now)
        self._accounts.sessions_ended()
        log.info("{account} has chosen another password by a link", account=account.name)
        return account
