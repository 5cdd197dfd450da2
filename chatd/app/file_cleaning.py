"""Brings a folder of stored files into order at the start of a realm. A bucket is looked through while the
realm runs (chatd.service.object_sweep)."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection
from twisted.logger import Logger

from chatd.app.state import StartError
from chatd.files.claims import key_of_part
from chatd.files.folder import Uploads
from chatd.files.shared_folder import SharedFolder
from chatd.store.content import files_erased, files_to_erase
from chatd.store.files import all_stored
from chatd.store.imports import archives

log = Logger()


def clean_files(
    connection: Connection, uploads: Uploads, lossy: bool, accept_loss: bool = False
) -> None:
    """Remove the files of deleted messages, and set aside those that no message carries.

    `lossy`: the database has lost something. Then none is set aside, because files that it does not know may
    be all that is left of their messages. `accept_loss`: all files of a shared folder may be missing, which
    otherwise raises StartError.
    """
    erased = files_to_erase(connection)
    uploads.erase_now(erased)
    files_erased(connection, erased)
    claimed = all_stored(connection) | archives(connection)
    if isinstance(uploads, SharedFolder) and not accept_loss:
        _check_mounted(uploads, claimed)
    if lossy:
        return
    if unclaimed := uploads.clean(claimed):
        log.warn("files that no message carries, now in unclaimed/: {count}", count=unclaimed)


def _check_mounted(folder: SharedFolder, claimed: Collection[str]) -> None:
    """Raises StartError if the database names files, and the folder has none of them. Other realms would be
    told that they are lost."""
    known = {each for each in claimed if key_of_part(each) is None}
    if known and not folder.has_any(known):
        raise StartError(
            f"[files] folder is {folder.folder}, and it has none of the {len(known)} files that the database "
            "names; mount it, or start once with --accept-loss if they are lost"
        )
