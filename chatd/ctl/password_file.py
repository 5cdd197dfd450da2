"""The file with the passwords that an import has made: a CSV file that only its owner may read."""

from __future__ import annotations

import csv
import io
import os
import secrets
from pathlib import Path

from chatd.base.names import key_of
from chatd.base.private_files import sync_folder
from chatd.ctl.exits import WrongUsage

ENTROPY = 12  # bytes
HEAD = ("name", "password")


class PasswordFile:
    """The passwords at `path`. Those of an earlier, interrupted import are used again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.made = 0
        self._known: dict[str, str] | None = None

    def password_for(self, name: str) -> str:
        """The password of a new account, which is in the file when this returns. Raises WrongUsage."""
        try:
            known = self._read()
            password = known.get(key_of(name))
            if password is None:
                password = secrets.token_urlsafe(ENTROPY)
                self._append((name, password))
                known[key_of(name)] = password
        except (OSError, UnicodeDecodeError) as error:
            raise WrongUsage(f"{self.path} can't be read or written: {error}") from None
        self.made += 1
        return password

    def _read(self) -> dict[str, str]:
        """What is in the file. The line of an import that was killed while it wrote is ignored."""
        if self._known is None:
            try:
                text = self.path.read_text(encoding="utf-8")
            except FileNotFoundError:
                text = ""
            rows = csv.reader(text[: text.rfind("\n") + 1].splitlines())
            self._known = {
                key_of(row[0]): row[1]
                for row in rows
                if len(row) == len(HEAD) and tuple(row) != HEAD
            }
        return self._known

    def _append(self, row: tuple[str, str]) -> None:
        """Add a row, and return when it is on disk. Raises OSError."""
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
        with os.fdopen(os.open(self.path, flags, 0o600), "rb+", buffering=0) as file:
            os.fchmod(file.fileno(), 0o600)
            size = file.seek(0, os.SEEK_END)
            is_cut_off = size > 0 and os.pread(file.fileno(), 1, size - 1) != b"\n"
            text = io.StringIO()
            text.write("\n" if is_cut_off else "")
            csv.writer(text, lineterminator="\n").writerows([row] if size else [HEAD, row])
            file.write(text.getvalue().encode())
            os.fsync(file.fileno())
        sync_folder(self.path.parent)
