"""What the client stores between runs: the last realm's addresses, session tokens and typed lines.

Everything is in the user's XDG state folder, which only they can read.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from chatd.base.errors import UnknownCommand
from chatd.base.names import key_of
from chatd.client.addresses import Addresses, with_first
from chatd.client.connection import Target
from chatd.commands.table import BY_VERB
from chatd.commands.words import FIRST_WORDS, find_row

MAX_SESSIONS = 100
MAX_LOG = 1_000_000
SECRET_VERBS = frozenset(
    verb for verb, row in BY_VERB.items() if any(arg.type.shape == "secret" for arg in row.args)
)


class Login(msgspec.Struct, frozen=True):
    """A session. `where` and `others` are the addresses of its realm. One that was opened with TLS is never
    used without."""

    where: str
    user: str
    token: str
    others: tuple[str, ...] = ()
    tls: bool = False

    def is_at(self, addresses: Addresses) -> bool:
        """Whether it belongs to the realm with these addresses."""
        return not {self.where, *self.others}.isdisjoint(addresses.names)

    def is_of(self, user: str | None) -> bool:
        return user is None or key_of(user) == key_of(self.user)

    def __repr__(self) -> str:
        return f"<login of {self.user} at {self.where}>"


class Memory(msgspec.Struct, frozen=True):
    """The stored data. `last` is the address that was used last, `others` are the other ones of its realm.
    `sessions`: the most recently used comes first."""

    last: Target | None = None
    sessions: tuple[Login, ...] = ()
    others: tuple[str, ...] = ()

    @property
    def addresses(self) -> Addresses | None:
        """The addresses of the last realm."""
        return None if self.last is None else with_first(self.last, self.others)


def state_folder(environment: Mapping[str, str] = os.environ) -> Path:
    given = environment.get("XDG_STATE_HOME", "")
    # The XDG specification says to ignore a relative path.
    base = Path(given) if given.startswith("/") else Path.home() / ".local" / "state"
    return base / "chatd"


class Store:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file = folder / "client.json"

    def prepare(self) -> None:
        """Create the folder. Raises OSError."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder.chmod(0o700)

    @property
    def history(self) -> Path:
        return self.folder / "client-history"

    def load(self) -> Memory:
        """The stored data; empty if it can't be read, since the client can work without it."""
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=Memory)
        except (OSError, msgspec.DecodeError):
            return Memory()

    def log_error(self, error: BaseException) -> Path:
        """Append the traceback of an unexpected error, without values and so without secrets, to a log.
        Return the path of the log."""
        path = self.folder / "client-errors.log"
        with contextlib.suppress(OSError):
            self.prepare()
            path.touch(mode=0o600)
            if path.stat().st_size < MAX_LOG:
                with path.open("a") as file:
                    file.writelines(traceback.format_tb(error.__traceback__))
                    file.write(f"{type(error).__name__}\n\n")
        return path

    def token(self, addresses: Addresses, user: str | None) -> Login | None:
        """The most recent session at one of the addresses, of `user` if given."""
        return next(
            (each for each in self._logins(addresses, user) if _may_use(each, addresses)), None
        )

    def needs_tls(self, addresses: Addresses, user: str | None) -> bool:
        """Whether there are sessions, but all of them need TLS and the addresses are without."""
        logins = self._logins(addresses, user)
        return bool(logins) and not any(_may_use(each, addresses) for each in logins)

    def _logins(self, addresses: Addresses, user: str | None) -> list[Login]:
        sessions = self.load().sessions
        return [each for each in sessions if each.is_at(addresses) and each.is_of(user)]

    def visited(self, addresses: Addresses, target: Target) -> None:
        """Note the realm, and its address that answered."""
        others = tuple(name for name in addresses.names if name != str(target))
        with self._changing() as memory:
            self._save(msgspec.structs.replace(memory, last=target, others=others))

    def logged_in(self, addresses: Addresses, user: str, token: str) -> None:
        first, *others = addresses.names
        new = Login(first, user, token, tuple(others), addresses.tls)
        with self._changing() as memory:
            kept = [
                each for each in memory.sessions if not (each.is_at(addresses) and each.is_of(user))
            ]
            sessions = (new, *kept)[:MAX_SESSIONS]
            self._save(msgspec.structs.replace(memory, sessions=sessions))

    def logged_out(self, token: str) -> None:
        with self._changing() as memory:
            sessions = tuple(each for each in memory.sessions if each.token != token)
            self._save(msgspec.structs.replace(memory, sessions=sessions))

    @contextlib.contextmanager
    def _changing(self) -> Iterator[Memory]:
        """Lock the file, since several clients of one user may change it."""
        self.prepare()
        lock = os.open(self.folder / "client.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield self.load()
        finally:
            os.close(lock)

    def _save(self, memory: Memory) -> None:
        """Replace the file atomically. mkstemp creates it with mode 0600."""
        handle, name = tempfile.mkstemp(prefix=".client-", dir=self.folder)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(msgspec.json.encode(memory))
            Path(name).replace(self._file)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def _may_use(login: Login, addresses: Addresses) -> bool:
    return addresses.tls or not login.tls


def for_history(line: str) -> str:
    """`line` as stored in the history: empty if it may contain a secret."""
    typed = line.strip().lstrip("/")
    verb = typed.partition(" ")[0].lower()
    if verb in FIRST_WORDS:
        try:
            verb = find_row(typed)[0].verb
        except UnknownCommand:
            return line
    return "" if verb in SECRET_VERBS else line
