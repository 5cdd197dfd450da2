"""How a realm gets its first operator: someone who can read the state folder claims the role with a code."""

from __future__ import annotations

import hmac
import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from twisted.logger import Logger

from chatd.base.errors import AlreadyClaimed, TooManyAttempts, WrongCode
from chatd.base.model import Account
from chatd.base.private_files import write_private
from chatd.base.secret_codes import ALPHABET, LENGTH, make_code, plain_code
from chatd.base.throttle import FailureThrottle
from chatd.service.accounts import Accounts
from chatd.service.context import Context
from chatd.service.login_guard import FREE_FAILURES, FailureGate, TooSoon
from chatd.store import operators as store

log = Logger()


def hash_code(code: str) -> bytes:
    """The hash of a code, of which other nodes know only that."""
    return sha256(plain_code(code).encode()).digest()


class CodeFile:
    """The file that holds the code, readable by its owner only."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def offer(self, random_bytes: Callable[[int], bytes]) -> str:
        """Write a new code unless the file has one. Returns the code. Raises OSError."""
        code = self._read()
        if code is None:
            code = make_code(random_bytes)
            write_private(self.path, f"{code}\n".encode())
        self.path.chmod(0o600)
        return code

    def _read(self) -> str | None:
        try:
            text = self.path.read_text(encoding="ascii").strip()
        except (FileNotFoundError, UnicodeDecodeError):
            return None
        digits = plain_code(text)
        return text if len(digits) == LENGTH and set(digits) <= set(ALPHABET) else None

    def remove(self) -> None:
        """Remove the file if it exists. Raises OSError."""
        with suppress(FileNotFoundError):
            self.path.unlink()


class Operators:
    """Makes accounts operators. Until the realm has had one, anyone with the code may become one. Each node
    has a code, with which the realm can be claimed at all nodes."""

    def __init__(self, context: Context, accounts: Accounts) -> None:
        self._database = context.database
        self._accounts = accounts
        self._gate = FailureGate(context.clock, FailureThrottle(FREE_FAILURES))
        self._gate.share(context.news, "operator-code-failures")
        self._tell_claimed = context.news.topic(
            "first operator", bool, lambda _claimed: self._withdraw(), lambda: None
        )
        self._file: CodeFile | None = None
        self._code = ""

    def offer(self, file: CodeFile, code: str) -> None:
        """Accept `code`, which is in `file`, because the realm has never had an operator."""
        self._file = file
        self._code = plain_code(code)

    @property
    def claimable(self) -> bool:
        """Whether a code is accepted now."""
        return self._file is not None

    async def claim(self, account: Account, code: str, source: str) -> Account:
        """Make `account` the realm's first operator. Returns the changed account. `source` is the network
        address of the request. Raises AlreadyClaimed, WrongCode, TooManyAttempts."""
        if self._file is None:
            raise AlreadyClaimed
        try:
            await self._gate.enter(source)
        except TooSoon as error:
            name, seconds = account.name, math.ceil(error.seconds)
            raise TooManyAttempts(name=name, seconds=seconds) from None
        given = plain_code(code)
        right = hmac.compare_digest(given.encode(), self._code.encode())
        try:
            right = right or await self._database.read(store.is_offered, hash_code(given))
        finally:
            self._gate.leave(source, failed=not right)
        if not right:
            log.info("a wrong operator code came from {source}", source=source)
            raise WrongCode
        try:
            changed = await self.change(self._database.run, store.claim, account.id)
        except AlreadyClaimed:
            self._withdraw()  # the code of another node was used
            raise
        log.info("{account} is the realm's first operator", account=changed.name)
        return changed

    async def appoint(self, account: Account) -> Account:
        """Make `account` an operator, without a code. Returns the changed account."""
        return await self.change(self._database.run, store.appoint, account.id)

    async def change(
        self, run: Callable[..., Awaitable[Account]], job: Callable[..., Account], *args: Any
    ) -> Account:
        """Run a job that gives a new account, or another, a role, with `run`. Returns the account."""
        changed = await self._accounts.change(run, job, *args)
        if changed.operator:
            self._withdraw()
            self._tell_claimed(True)
        return changed

    def _withdraw(self) -> None:
        """Forget the code after its use. If its file can't be removed, the next start tries again."""
        file, self._file = self._file, None
        if file is None:
            return
        try:
            file.remove()
        except OSError as error:
            log.warn("{path} was not removed: {error}", path=str(file.path), error=error.strerror)
