"""Pictures of people: set, removed and looked up."""

from __future__ import annotations

import io
from collections.abc import Hashable

from twisted.logger import Logger

from chatd.base import errors
from chatd.base.background import in_background
from chatd.base.model import Account, Attachment, StoredFile, attachment_of
from chatd.base.names import Place
from chatd.files.disk_space import DiskSpace
from chatd.files.file_names import safe_name
from chatd.files.folder import Uploads
from chatd.files.incoming import Incoming
from chatd.files.outgoing import Outgoing
from chatd.media.process import Form, PictureRefused, ScaledPicture
from chatd.media.scaler import PictureScaler
from chatd.service.accounts import Accounts
from chatd.service.arriving import ArrivingFile
from chatd.service.attachments import Download
from chatd.service.context import Context
from chatd.service.presence import IListener
from chatd.service.presence_news import PresenceNews
from chatd.store import avatars as store
from chatd.store.avatars import Avatar

SIDE = 256  # pixels
MAX_AVATAR = 24 << 10  # bytes of a picture; it has to fit into one request between realms
FORM = Form(square=True, side=SIDE, most=MAX_AVATAR)
MAX_SOURCE = 16 << 20  # bytes of the file that it is made of
NO_ROW = 0  # the id of a file without a row

log = Logger()


class Avatars:
    """The pictures of this realm's accounts."""

    def __init__(
        self,
        context: Context,
        accounts: Accounts,
        news: PresenceNews,
        uploads: Uploads,
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
        self._arriving: dict[int, int] = {}  # bytes, by account

    def begin(
        self, account: Account, place: Place, name: str, size: int, origin: IListener | None
    ) -> AvatarUpload:
        """Start to receive the file of which the account's picture is made. Raises NotYourPicture,
        BadFileName, FileTooLarge, TooManyUploads, DiskFull."""
        self._check_own(account, place)
        safe = safe_name(name)
        if size > MAX_SOURCE:
            raise errors.FileTooLarge(size=size, limit=MAX_SOURCE)
        if account.id in self._arriving:
            raise errors.TooManyUploads(limit=1)
        self._disk.check(size + sum(self._arriving.values()))
        self._arriving[account.id] = size
        return AvatarUpload(self, account, self._uploads.receive_temporary(safe, size), origin)

    def _check_own(self, account: Account, place: Place) -> None:
        """Raises NotYourPicture unless the place is the account."""
        user = None if place.user is None else self._context.localize(place.user)
        if user is None or user.realm is not None or user.key != account.key:
            raise errors.NotYourPicture(name=place)

    def arrived(self, account: Account) -> None:
        """The file is no longer arriving."""
        self._arriving.pop(account.id, None)

    async def use(
        self, account: Account, name: str, file: StoredFile, origin: IListener | None
    ) -> tuple[Account, Avatar]:
        """Make the account's picture of a file, which is removed. Raises BadPicture, Busy, ShuttingDown,
        StorageFailed."""
        source = attachment_of(NO_ROW, "", name, file, self._context.now())
        try:
            scaled = await self._scaled(account, source)
        finally:
            in_background("the file of a picture stays", self._uploads.remove(file.stored))
        avatar = store.new_avatar(scaled.body)
        changed = await self._database.run(store.set_own, account.id, avatar, self._context.now())
        return self._changed(changed, origin), avatar

    async def _scaled(self, account: Account, file: Attachment) -> ScaledPicture:
        try:
            return await self._scaler.scale(account.id, lambda: self._uploads.open(file), FORM)
        except PictureRefused as refused:
            raise errors.BadPicture(name=file.name, reason=str(refused)) from None
        except OSError:
            raise errors.StorageFailed from None

    async def remove(self, account: Account, place: Place, origin: IListener | None) -> Account:
        """Remove the account's picture, if it has one. Raises NotYourPicture."""
        self._check_own(account, place)
        changed = await self._database.run(store.remove_own, account.id)
        return self._changed(changed, origin)

    def _changed(self, account: Account, origin: IListener | None) -> Account:
        account = self._accounts.renew(account)
        self._news.profile_changed(account, origin)
        return account

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
    """The file of which an account's picture is made. `write` all of its bytes, then `finish`. To break off,
    `abort`."""

    def __init__(
        self, avatars: Avatars, account: Account, incoming: Incoming, origin: IListener | None
    ) -> None:
        super().__init__(incoming)
        self._avatars = avatars
        self._account = account
        self._origin = origin

    async def finish(self) -> tuple[Account, Avatar, str]:
        """The changed account, its picture, and the SHA-256 of the file as it was received. Raises as
        Avatars.use."""
        try:
            stored = await self._incoming.finish()
            name = self._incoming.name
            changed, avatar = await self._avatars.use(self._account, name, stored, self._origin)
        except OSError as error:
            log.error("a picture could not be stored: {error}", error=str(error))
            raise errors.StorageFailed from None
        finally:
            self._end()
        return changed, avatar, stored.received or stored.sha256

    def _end(self) -> None:
        self._avatars.arrived(self._account)
