"""What the service sees of the realm's state folder and configuration, for the commands of operators."""

from __future__ import annotations

from typing import Protocol

from twisted.internet.defer import Deferred

from chatd.base.backup_records import BackupReport, CheckReport


class IUpkeep(Protocol):
    """Work on the state folder of the running realm. One piece of work runs at a time."""

    def back_up(self, folder: str) -> Deferred[BackupReport]:
        """Make a backup in a folder, or bring the one there up to date. Fails with BackupFailed, Busy,
        ShuttingDown."""

    def check(self, hashes: bool, repair: bool) -> Deferred[CheckReport]:
        """Check the database and the files. Fails as `back_up`."""
