"""Passwords: Argon2id (RFC 9106) in a few threads of its own, so that nothing else waits for it.

Who asks is an owner (network address, account), and owners take turns; logins go before those of guessers,
and these before registrations. So a flood of any of them from one address delays itself.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError
from twisted.internet.defer import Deferred

from chatd.config import Argon2
from chatd.fairthreads import FairThreads

THREADS = 2
MAX_WAITING = 1000  # hashes; with more, those of the busiest address make room
# What is done first. SUSPECT: a login of an account or from an address that has failed lately.
LOGIN, SUSPECT, REGISTRATION = range(3)

_SPACES = re.compile(
    "[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]"
)  # of category Zs, but for U+0020

Owner = tuple[str, str]
REALM: Owner = ("", "")  # what the realm itself asks for


def normalized(password: str) -> str:
    """The form in which a password is hashed: every keyboard and system comes to the same (RFC 8265,
    OpaqueString; in NFKC, so that full and half width do not count either)."""
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
        """Refuse what waits; fires once what runs is done."""
        return self._threads.stop()

    def hash_now(self, password: str) -> str:
        """As `hash`, but in this thread: for the start only."""
        return self._hasher.hash(normalized(password))

    def hash(
        self, password: str, owner: Owner = REALM, priority: int = REGISTRATION
    ) -> Deferred[str]:
        """Fires with the password's hash. Errs with Busy."""
        return self._threads.run(owner, priority, self.hash_now, password)

    def verify(
        self, password: str, hashed: str | None, owner: Owner = REALM, priority: int = LOGIN
    ) -> Deferred[bool]:
        """Whether `password` belongs to `hashed`; never, but at the same cost, if there is no hash.

        Errs with Busy.
        """
        return self._threads.run(owner, priority, self._verify, password, hashed)

    def _verify(self, password: str, hashed: str | None) -> bool:
        # As it stands, too: hashes of earlier versions were made of whatever spelling was typed.
        for spelling in dict.fromkeys((normalized(password), password)):
            try:
                self._hasher.verify(hashed or self._nobody, spelling)
            except (VerificationError, InvalidHashError):
                continue
            return hashed is not None
        return False

    def is_outdated(self, hashed: str, password: str) -> bool:
        """Whether `hashed`, which belongs to `password`, was made at another cost than is configured, or
        may have been made of another spelling than the normalised one."""
        return self._hasher.check_needs_rehash(hashed) or normalized(password) != password
