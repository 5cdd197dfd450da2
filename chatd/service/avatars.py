"""Pictures of people, and how all pictures are made: small, square, and without metadata."""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable, Hashable
from typing import TypeAlias

from twisted.logger import Logger

from chatd.base import errors
from chatd.base.attachments import Attachment, StoredFile, attachment_of
from chatd.base.background import in_background
from chatd.base.model import Account
from chatd.base.names import Place
from chatd.files.disk_space import DiskSpace
from chatd.files.file_names import safe_name
from chatd.files.incoming import Incoming
from chatd.files.outgoing import Outgoing
from chatd.files.store import IFileStore
from chatd.media.process import Form, PictureRefused, ScaledPicture
from chatd.media.scaler import PictureScaler
from chatd.service.accounts import Accounts
from chatd.service.arriving import ArrivingFile
from chatd.service.context import Context
from chatd.service.downloads import Download
from chatd.service.node_counts import NodeCounts
from chatd.service.presence import IListener
from chatd.service.presence_news import PresenceNews
from chatd.store import avatars as store
from chatd.store.avatars import Avatar

SIDE = 256  # pixels
MAX_AVATAR = 24 << 10  # bytes of a picture; it has to fit into one request between realms
FORM = Form(square=True, side=SIDE, most=MAX_AVATAR)
MAX_SOURCE = 16 << 20  # bytes of the file that it is made of
NO_ROW = 0  # the id of a file without a row

# Keeps a picture where it belongs
Keep: TypeAlias = Callable[[Avatar], Awaitable[None]]

log = Logger()


class Avatars:
    """Makes pictures, and has those of this realm's accounts."""

    def __init__(
        self,
        context: Context,
        accounts: Accounts,
        news: PresenceNews,
        uploads: IFileStore,
        disk: DiskSpace,
        scaler: PictureScaler,
    ) -> None:
        self._context = context
        self._database = context.database
        self._accounts = accounts
        self._news = news
        self._uploads = uploads
        self._disk = disk
        self._scaler = scaler
        self._counts = NodeCounts(context.news, context.clock, "arriving-pictures")

    def stop(self) -> None:
        """Tell the other nodes nothing any more."""
        self._counts.stop()

    def receive(self, account: Account, name: str, size: int, keep: Keep) -> AvatarUpload:
        """Start to receive the file of which a picture is made, for `keep`. Raises BadFileName, FileTooLarge,
        TooManyUploads, DiskFull."""
        safe = safe_name(name)
        if size > MAX_SOURCE:
            raise errors.FileTooLarge(size=size, limit=MAX_SOURCE)
        if self._counts.of(str(account.id)).files:
            raise errors.TooManyUploads(limit=1)
        self._disk.expect(size)
        self._counts.add(str(account.id), size)
        return AvatarUpload(self, account, self._uploads.receive_temporary(safe, size), keep)

    def is_own(self, account: Account, place: Place) -> bool:
        """Whether a place may be the account."""
        user = None if place.user is None else self._context.localize(place.user)
        return user is not None and user.realm is None and user.key == account.key

    def arrived(self, account: Account) -> None:
        """The file is no longer arriving."""
        owner = str(account.id)
        size = self._counts.bytes[owner]  # it is the only one of the account
        self._disk.arrived(size)
        self._counts.remove(owner, size)

    async def made(self, account: Account, name: str, file: StoredFile) -> Avatar:
        """The picture that is made of a file, which is removed. Raises BadPicture, Busy, ShuttingDown,
        StorageFailed."""
        source = attachment_of(NO_ROW, "", name, file, self._context.now())
        try:
            scaled = await self._scaled(account, source)
        finally:
            in_background("the file of a picture stays", self._uploads.remove(file.stored))
        return store.new_avatar(scaled.body)

    async def keep_own(
        self, account: Account, origin: IListener | None, avatar: Avatar | None
    ) -> None:
        """Set or remove the picture of an account."""
        change, run = self._accounts.change, self._database.run
        if avatar is None:
            changed = await change(run, store.remove_own, account.id)
        else:
            now = self._context.now()
            changed = await change(run, store.set_own, account.id, avatar, now)
        self._news.profile_changed(changed, origin)

    async def _scaled(self, account: Account, file: Attachment) -> ScaledPicture:
        try:
            return await self._scaler.scale(account.id, lambda: self._uploads.open(file), FORM)
        except PictureRefused as refused:
            raise errors.BadPicture(name=file.name, reason=str(refused)) from None
        except OSError:
            raise errors.StorageFailed from None

    async def of_user(self, name: str) -> tuple[Account, Avatar | None]:
        """The account of that name in this realm, and its picture. Raises UnknownUser."""
        account = await self._accounts.find(name)
        place = store.place_of_user(account.name)
        return account, await self._database.read(store.find, place)

    async def remade(self, owner: Hashable, picture: bytes) -> bytes:
        """A picture from elsewhere, decoded and made again. Raises PictureRefused, Busy, ShuttingDown."""

        async def opened() -> Outgoing:
            return Outgoing(self._uploads, io.BytesIO(picture), len(picture))

        return (await self._scaler.scale(owner, opened, FORM)).body

    def opened(self, place: Place, avatar: Avatar) -> Download:
        """A picture as a file that is open for reading."""
        name = f"{safe_name(str(place))}.webp"
        file = Attachment(
            NO_ROW, "", name, len(avatar.body), avatar.sha256, "image/webp", "", self._context.now()
        )
        return Download(file, Outgoing(self._uploads, io.BytesIO(avatar.body), len(avatar.body)))


class AvatarUpload(ArrivingFile):
    """The file of which a picture is made. `write` all of its bytes, then `finish`. To break off, `abort`."""

    def __init__(self, avatars: Avatars, account: Account, incoming: Incoming, keep: Keep) -> None:
        super().__init__(incoming)
        self._avatars = avatars
        self._account = account
        self._keep = keep

    async def finish(self) -> tuple[Avatar, str]:
        """Keep the picture. Returns it, and the SHA-256 of the file as it was received. Raises as
        Avatars.made."""
        try:
            stored = await self._incoming.finish()
            avatar = await self._avatars.made(self._account, self._incoming.name, stored)
            await self._keep(avatar)
        except OSError as error:
            log.error("a picture could not be stored: {error}", error=str(error))
            raise errors.StorageFailed from None
        finally:
            self._end()
        return avatar, stored.received or stored.sha256

    def _release(self) -> None:
        self._avatars.arrived(self._account)
