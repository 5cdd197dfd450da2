"""Small versions of the pictures that people send. They are made when they are first asked for."""

from __future__ import annotations

import math

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from chatd.base import errors
from chatd.base.attachments import Attachment
from chatd.base.cache import Cache
from chatd.base.model import Account
from chatd.base.pictures import has_thumbnail
from chatd.base.timers import Signal
from chatd.files.disk_space import DiskSpace
from chatd.files.store import IFileStore
from chatd.media.process import Form, PictureRefused, PictureTooHard
from chatd.media.scaler import PictureScaler
from chatd.service.downloads import Downloads

SIDE = 480  # pixels: sharp at twice the 240 that lists show
MAX_THUMBNAIL = 64 << 10  # bytes
FORM = Form(square=False, side=SIDE, most=MAX_THUMBNAIL)
MAX_REFUSED = 10_000  # pictures that are remembered as unusable
AGAIN = 600.0  # seconds after which a picture that ended the process is tried again

log = Logger()


class Thumbnails:
    """Makes each thumbnail once, and keeps it beside the files."""

    def __init__(
        self,
        clock: IReactorTime,
        downloads: Downloads,
        uploads: IFileStore,
        disk: DiskSpace,
        scaler: PictureScaler,
    ) -> None:
        self._clock = clock
        self._downloads = downloads
        self._uploads = uploads
        self._disk = disk
        self._scaler = scaler
        self._making: dict[str, Signal] = {}  # by the names of stored files
        # The reasons, and until when they hold
        self._refused: Cache[str, tuple[str, float]] = Cache(MAX_REFUSED)

    async def find(self, account: Account, code: str) -> Attachment:
        """The picture with that code that the account may fetch. Raises BadPicture, and what Downloads.find
        does."""
        file = await self._downloads.find(account, code, by_code=True)
        if not has_thumbnail(file):
            raise errors.BadPicture(name=file.name)
        return file

    async def small(self, account: Account, file: Attachment) -> bytes:
        """A small WebP of the picture. Raises BadPicture, Busy, ShuttingDown, FileMissing, FileDamaged,
        StorageFailed."""
        while (making := self._making.get(file.stored)) is not None:
            await making.wait()
        known = await self._uploads.thumbnail(file.stored)
        if known is not None:
            return known
        if file.stored in self._making:  # another request was faster
            return await self.small(account, file)
        refused = self._refused.get(file.stored)
        if refused is not None and self._clock.seconds() < refused[1]:
            raise errors.BadPicture(name=file.name, reason=refused[0])
        making = self._making[file.stored] = Signal()
        try:
            return await self._make(account, file)
        finally:
            del self._making[file.stored]
            making.notify()

    async def _make(self, account: Account, file: Attachment) -> bytes:
        try:
            scaled = await self._scaler.scale(account.id, lambda: self._uploads.open(file), FORM)
        except PictureRefused as refused:
            hold = AGAIN if isinstance(refused, PictureTooHard) else math.inf
            self._refused[file.stored] = str(refused), self._clock.seconds() + hold
            raise errors.BadPicture(name=file.name, reason=str(refused)) from None
        except OSError:
            raise errors.StorageFailed from None
        if not self._disk.is_low():
            try:
                await self._uploads.keep_thumbnail(file.stored, scaled.body)
            except OSError as error:
                log.warn("a thumbnail is not kept: {error}", error=str(error))
        return scaled.body
