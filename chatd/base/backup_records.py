"""What backups, restores and checks of the state have done and found."""

from __future__ import annotations

import msgspec

from chatd.base.records import AdminRecord

FORMAT = 1  # of backups


class Manifest(msgspec.Struct, frozen=True):
    """What a backup has. `realm` is the realm's name, `database` the database's random id, `made_at` a
    time in ms since 1970 UTC. `state` is the folder with the database, whose size and SHA-256 follow. `files`
    and `file_bytes` count the files; `missing` are names of files that were no longer there, and `damaged` of
    those whose bytes were not the ones that the database knows. `objects` says where the files are if they
    are in a bucket; then the backup has none."""

    realm: str
    database: str
    schema: str
    made_at: int
    state: str
    size: int
    sha256: str
    keys: tuple[str, ...]
    files: int
    file_bytes: int
    missing: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()
    objects: str = ""
    format: int = FORMAT


class BackupReport(msgspec.Struct, frozen=True):
    """What a backup has done. `copied` files are new, `kept` ones were in the folder before, and `removed`
    ones are no longer in the realm. `bytes` is how much was copied, without the database."""

    manifest: Manifest
    copied: int
    kept: int
    removed: int
    bytes: int


class RestoreReport(msgspec.Struct, frozen=True):
    """What a restore has done. `missing` and `damaged` are names of files that the backup lacks, or has with
    other bytes; damaged ones are not restored."""

    manifest: Manifest
    files: int
    bytes: int
    missing: tuple[str, ...]
    damaged: tuple[str, ...]


class StateProblem(AdminRecord, frozen=True):
    """Something that is wrong. `kind` is such as `file-missing`, `what` a sentence, and `repaired`
    says what was done about it."""

    kind: str
    what: str
    repaired: str | None = None


class CheckReport(msgspec.Struct, frozen=True):
    """What a check has found. `found` counts the problems of each kind, also those that are not listed.
    `files` and `messages` count what was looked at."""

    files: int
    messages: int
    found: dict[str, int]
    problems: tuple[StateProblem, ...]

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong that was not repaired."""
        return all(problem.repaired for problem in self.problems)
