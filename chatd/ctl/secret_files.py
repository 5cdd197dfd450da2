"""The files with the passwords or invitations that an import has made: CSV files that only their owner may
read."""

from __future__ import annotations

import csv
import io
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from chatd.base.names import key_of
from chatd.base.private_files import sync_folder
from chatd.ctl.exits import WrongUsage

ENTROPY = 12  # bytes of a password


class SecretFile:
    """The file at `path`: the name of an account and its secret in each row below `head`. What an earlier,
    interrupted import has written is used again."""

    def __init__(self, path: Path, head: tuple[str, ...]) -> None:
        self.path = path
        self.used = 0
        self._head = head
        self._known: dict[str, tuple[str, ...]] | None = None

    def values_for(self, name: str, make: Callable[[], tuple[str, ...]]) -> tuple[str, ...]:
        """What the file has for an account after its name, or else what `make` returns, which is in the file
        when this returns. Raises WrongUsage, and as `make`."""
        try:
            known = self._read()
            values = known.get(key_of(name))
            if values is None:
                values = make()
                self._append((name, *values))
                known[key_of(name)] = values
        except (OSError, UnicodeDecodeError) as error:
            raise WrongUsage(f"{self.path} can't be read or written: {error}") from None
        self.used += 1
        return values

    def _read(self) -> dict[str, tuple[str, ...]]:
        """What is in the file. The line of an import that was killed while it wrote is ignored."""
        if self._known is None:
            try:
                flags = os.O_RDONLY | os.O_NOFOLLOW
                with os.fdopen(os.open(self.path, flags), encoding="utf-8") as file:
                    self._check_owner(file.fileno())
                    text = file.read()
            except FileNotFoundError:
                text = ""
            rows = csv.reader(text[: text.rfind("\n") + 1].splitlines())
            self._known = {
                key_of(row[0]): tuple(row[1:])
                for row in rows
                if len(row) == len(self._head) and tuple(row) != self._head
            }
        return self._known

    def _check_owner(self, file: int) -> None:
        """Refuse a file that somebody else has put there, to choose or to read the secrets. Raises
        WrongUsage."""
        if os.fstat(file).st_uid != os.geteuid():
            raise WrongUsage(f"{self.path} belongs to somebody else; choose another path")

    def _append(self, row: tuple[str, ...]) -> None:
        """Add a row, and return when it is on disk. Raises OSError."""
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
        with os.fdopen(os.open(self.path, flags, 0o600), "rb+", buffering=0) as file:
            self._check_owner(file.fileno())
            os.fchmod(file.fileno(), 0o600)
            size = file.seek(0, os.SEEK_END)
            is_cut_off = size > 0 and os.pread(file.fileno(), 1, size - 1) != b"\n"
            text = io.StringIO()
            text.write("\n" if is_cut_off else "")
            csv.writer(text, lineterminator="\n").writerows([row] if size else [self._head, row])
            file.write(text.getvalue().encode())
            os.fsync(file.fileno())
        sync_folder(self.path.parent)


class PasswordFile(SecretFile):
    """The passwords of new accounts."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, ("name", "password"))

    def password_for(self, name: str) -> str:
        """The password of a new account, which is in the file when this returns. Raises WrongUsage."""
        return self.values_for(name, lambda: (secrets.token_urlsafe(ENTROPY),))[0]


class InvitationFile(SecretFile):
    """The invitations of people who create their accounts themselves."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, ("name", "code", "link"))
