"""Password hashing with Argon2id (RFC 9106), in threads of its own so that it does not block anything else.

Each request has an owner (network address, account), and owners take turns, so a flood from one address
delays only itself. Logins come first, then logins that may be guesses, then registrations.
"""

from __future__ import annotations

import re
import unicodedata

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads

from chatd.base.background import in_background
from chatd.base.config import Argon2
from chatd.base.fair_threads import FairThreads

THREADS = 2
MAX_WAITING = 1000  # waiting requests; beyond it, requests of the busiest address fail
# Priorities, the highest first. SUSPECT is a login that may be a guess.
LOGIN, SUSPECT, REGISTRATION = range(3)

# Category Zs without U+0020
_SPACES = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")

Owner = tuple[str, str]
REALM: Owner = ("", "")  # owner of requests of the realm itself


def normalized(password: str) -> str:
    """The form in which a password is hashed, which does not depend on the keyboard or system (RFC 8265,
    OpaqueString, but NFKC, so that full and half width are equal too)."""
    if password.isascii():
        return password
    return unicodedata.normalize("NFKC", _SPACES.sub(" ", password))


def _hasher_of(cost: Argon2) -> tuple[PasswordHasher, str]:
    """A hasher, and a hash against which passwords of unknown users are checked, at the cost of a real
    check."""
    hasher = PasswordHasher(
        time_cost=cost.passes, memory_cost=cost.memory, parallelism=cost.lanes, type=Type.ID
    )
    return hasher, hasher.hash("the password of no account")


class Passwords:
    """Hashes and checks passwords. Start and stop it with the daemon."""

    def __init__(self, reactor: IReactorFromThreads, cost: Argon2) -> None:
        self._threads = FairThreads(reactor, "passwords", THREADS, MAX_WAITING, priorities=3)
        self._cost = cost
        self._hasher, self._decoy = _hasher_of(cost)

    def use(self, cost: Argon2) -> None:
        """Hash at another cost from now on."""
        if cost != self._cost:
            self._cost = cost
            changing = self._threads.run(REALM, LOGIN, _hasher_of, cost)
            changing.addCallback(self._changed, cost)
            in_background("the cost of hashing passwords was not changed", changing)

    def _changed(self, made: tuple[PasswordHasher, str], cost: Argon2) -> None:
        if cost == self._cost:  # it may have been changed again
            self._hasher, self._decoy = made

    @property
    def waiting(self) -> int:
        """How many passwords wait to be hashed or checked."""
        return self._threads.waiting

    def start(self) -> None:
        self._threads.start()

    def stop(self) -> Deferred[None]:
        """Refuse the waiting requests. Fires once the running ones are done."""
        return self._threads.stop()

    def hash_now(self, password: str) -> str:
        """As `hash`, but blocks the calling thread."""
        return self._hasher.hash(normalized(password))

    def hash(
        self, password: str, owner: Owner = REALM, priority: int = REGISTRATION
    ) -> Deferred[str]:
        """Fires with the password's hash. Fails with Busy."""
        return self._threads.run(owner, priority, self.hash_now, password)

    def verify(
        self, password: str, hashed: str | None, owner: Owner = REALM, priority: int = LOGIN
    ) -> Deferred[bool]:
        """Fires with whether `password` matches `hashed`. Without a hash that is False, at the same cost.
        Fails with Busy."""
        return self._threads.run(owner, priority, self._verify, password, hashed)

    def _verify(self, password: str, hashed: str | None) -> bool:
        # Earlier versions hashed the password as typed.
        for spelling in dict.fromkeys((normalized(password), password)):
            try:
                self._hasher.verify(hashed or self._decoy, spelling)
            except (VerificationError, InvalidHashError):
                continue
            return hashed is not None
        return False

    def is_outdated(self, hashed: str, password: str) -> bool:
        """Whether the hash of `password` should be renewed, because its cost is not the configured one or the
        password may not have been normalized."""
        return self._hasher.check_needs_rehash(hashed) or normalized(password) != password
