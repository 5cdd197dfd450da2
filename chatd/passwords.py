"""Passwords: Argon2id (RFC 9106) in a small thread pool of its own, so that nothing else waits for it."""

from __future__ import annotations

from typing import Any

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from chatd.config import Argon2

THREADS = 2


class Passwords:
    """Hashes and checks passwords. Start and stop it with the daemon."""

    def __init__(self, reactor: Any, cost: Argon2) -> None:
        self._reactor = reactor
        self._pool = ThreadPool(0, THREADS, name="passwords")
        self._hasher = PasswordHasher(
            time_cost=cost.passes,
            memory_cost=cost.memory,
            parallelism=cost.lanes,
            type=Type.ID,
        )
        # What the password of an unknown user is checked against: as costly as a real one.
        self._nobody = self._hasher.hash("nobody has this password")

    def start(self) -> None:
        self._pool.start()

    def stop(self) -> None:
        self._pool.stop()

    def hash_now(self, password: str) -> str:
        """As `hash`, but in this thread: for the start only."""
        return self._hasher.hash(password)

    def hash(self, password: str) -> Deferred[str]:
        return deferToThreadPool(self._reactor, self._pool, self._hasher.hash, password)

    def verify(self, password: str, hashed: str | None) -> Deferred[bool]:
        """Whether `password` belongs to `hashed`; never, but at the same cost, if there is no hash."""
        return deferToThreadPool(self._reactor, self._pool, self._verify, password, hashed)

    def _verify(self, password: str, hashed: str | None) -> bool:
        try:
            self._hasher.verify(hashed or self._nobody, password)
        except (VerificationError, InvalidHashError):
            return False
        return hashed is not None

    def is_outdated(self, hashed: str) -> bool:
        """Whether the configured cost has changed since `hashed` was made."""
        return self._hasher.check_needs_rehash(hashed)
