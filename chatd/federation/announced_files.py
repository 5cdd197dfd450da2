"""Judges the files that other realms announce, and reserves room for them."""

from __future__ import annotations

import re
from collections.abc import Callable

from sqlalchemy import Connection

from chatd.base.attachments import Attachment
from chatd.base.errors import FileTooLarge
from chatd.federation.file_arrivals import may_arrive, part_of
from chatd.federation.parcel_fields import FileNote
from chatd.files.file_names import safe_name
from chatd.files.partial_file import guess_type
from chatd.service.chat_service import ChatService
from chatd.store import arrivals as store
from chatd.store.arrivals import Announced, ArrivalLimits, Welcome
from chatd.store.files import Owner, same_file

_MEDIA = re.compile(r"[a-z0-9.+-]{1,63}/[a-z0-9.+-]{1,63}", re.IGNORECASE)


class AnnouncedFiles:
    """The rules for the files of other realms."""

    def __init__(self, service: ChatService) -> None:
        self._context = service.context
        self._database = service.database
        self._uploads = service.uploads
        self._now = service.context.now

    @property
    def _limits(self) -> ArrivalLimits:
        quota = self._context.config.peers.files
        account_files = self._context.config.limits.account_files
        return ArrivalLimits(account_files, quota, may_arrive(quota))

    @property
    def _largest(self) -> int:
        config = self._context.config
        return min(config.limits.file, may_arrive(config.peers.files))

    def announced(self, realm: str, note: FileNote, owner: Owner) -> Announced:
        """The file that a parcel of the realm announces. Raises BadFileName."""
        name = safe_name(note.name)
        mime = note.media if _MEDIA.fullmatch(note.media) else guess_type(b"", name)
        return Announced(owner, realm, name, note.size, note.sha256, mime)

    async def known(self, file: Announced) -> Attachment | None:
        """The file with that name and content that the same sender has sent before, if it is undamaged or
        arrives now."""
        found = await self._database.read(same_file, file.owner, file.name, file.sha256, file.size)
        if found is None or found.arrival is not None or await self._uploads.is_whole(found):
            return found
        return None

    async def may_wait(self, realm: str) -> bool:
        """Whether a file of the realm may wait until others have arrived."""
        return await self._database.read(store.may_wait, realm)

    async def check(self, file: Announced) -> None:
        """Raises FileTooLarge, QuotaExceeded, TooMuchArriving."""
        if file.size > (largest := self._largest):
            raise FileTooLarge(size=file.size, limit=largest)
        await self._database.read(store.check_room, file, self._limits)

    def addition(
        self, file: Announced, code: str, welcome: Welcome
    ) -> Callable[[Connection], Attachment]:
        """A job that adds a file. It raises CodeTaken."""
        part, now = part_of(file.realm, code), self._now()

        def add(connection: Connection) -> Attachment:
            return store.announce(connection, file, (code, part), now, welcome)

        return add
