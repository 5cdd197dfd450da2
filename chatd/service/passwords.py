"""Passwords: Argon2id (RFC 9106) in a few threads of its own, so that nothing else waits for it.

Each request has an owner (network address, account), and owners take turns. Logins go before those of
guessers, and these before registrations. So a flood from one address delays only itself.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError
from twisted.internet.defer import Deferred

from chatd.base.config import Argon2
from chatd.base.fair_threads import FairThreads

THREADS = 2
MAX_WAITING = 1000  # waiting hashes; beyond it, those of the busiest address make room
# In the order of service. SUSPECT: a login after recent failures of its account or address.
LOGIN, SUSPECT, REGISTRATION = range(3)

_SPACES = re.compile(
    "[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]"
)  # of category Zs, but for U+0020

Owner = tuple[str, str]
REALM: Owner = ("", "")  # for hashes that the realm itself needs


def normalized(password: str) -> str:
    """The form in which a password is hashed, the same for every keyboard and system (RFC 8265, OpaqueString;
    in NFKC, so that full and half width do not matter either)."""
    if password.isascii():
        return password
    return unicodedata.normalize("NFKC", _SPACES.sub(" ", password))


class Passwords:
    """Hashes and checks passwords. Start and stop it with the daemon."""

    def __init__(self, reactor: Any, cost: Argon2) -> None:
        self._threads = FairThreads(reactor, "passwords", THREADS, MAX_WAITING, priorities=3)
        self._hasher = PasswordHasher(
            time_cost=cost.passes,
            memory_cost=cost.memory,
            parallelism=cost.lanes,
            type=Type.ID,
        )
        # What the password of an unknown user is checked against: as costly as a real one.
        self._nobody = self._hasher.hash("nobody has this password")

    def start(self) -> None:
        self._threads.start()

    def stop(self) -> Deferred[None]:
        """Refuse the waiting requests. Fires once the running ones are done."""
        return self._threads.stop()

    def hash_now(self, password: str) -> str:
        """As `hash`, but in this thread: for the start only."""
        return self._hasher.hash(normalized(password))

    def hash(
        self, password: str, owner: Owner = REALM, priority: int = REGISTRATION
    ) -> Deferred[str]:
        """Fires with the password's hash. Fails with Busy."""
        return self._threads.run(owner, priority, self.hash_now, password)

    def verify(
        self, password: str, hashed: str | None, owner: Owner = REALM, priority: int = LOGIN
    ) -> Deferred[bool]:
        """Whether `password` belongs to `hashed`. Without a hash it never does, at the same cost. Fails with
        Busy."""
        return self._threads.run(owner, priority, self._verify, password, hashed)

    def _verify(self, password: str, hashed: str | None) -> bool:
        # Also as typed: earlier versions hashed that, whatever its spelling.
        for spelling in dict.fromkeys((normalized(password), password)):
            try:
                self._hasher.verify(hashed or self._nobody, spelling)
            except (VerificationError, InvalidHashError):
                continue
            return hashed is not None
        return False

    def is_outdated(self, hashed: str, password: str) -> bool:
        """Whether `hashed`, which belongs to `password`, has another cost than the configured one, or may
        come from a spelling that is not normalised."""
        return self._hasher.check_needs_rehash(hashed) or normalized(password) != password
