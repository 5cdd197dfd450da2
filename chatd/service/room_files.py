"""Files that people send to a room. They last as long as somebody is in it, and only those who are in it may
fetch them.

The database does not know them. Their bytes are in a folder that is emptied at the start.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable

import msgspec
from twisted.logger import Logger

from chatd.base import errors
from chatd.base.attachments import Attachment, StoredFile, attachment_of
from chatd.base.background import in_background
from chatd.base.file_handles import find_by_handle
from chatd.base.model import Account
from chatd.base.names import key_of, printable
from chatd.base.replies import FileInfo
from chatd.files.disk_space import DiskSpace
from chatd.files.file_names import safe_name
from chatd.files.incoming import Incoming
from chatd.files.store import IFileStore
from chatd.service.arriving import ArrivingFile
from chatd.service.codes import new_code
from chatd.service.context import Context
from chatd.service.downloads import Download
from chatd.service.node_counts import NodeCounts
from chatd.service.rooms import Room, RoomFile, Rooms
from chatd.service.soft_state import SoftState, StatePage, StateSource

# An account may have one largest file in rooms, or several smaller ones. A room takes the files of several
# such accounts, so that none of them fills it, and all rooms together take those of several such rooms. The
# numbers of files bound the memory, and the length of a list.
SIZES = {"account": 1, "room": 4, "realm": 16}  # times [limits] file
COUNTS = {"account": 50, "room": 200, "realm": 10_000}
NO_ROW = 0  # the id of a file without a row

log = Logger()


class RoomSend(msgspec.Struct, frozen=True):
    """A file of `size` bytes that `session` of `sender` sends to a room. `announce`: the others are told."""

    session: Hashable
    sender: Account
    room: Room
    size: int
    announce: bool


class FileInRoom(msgspec.Struct, frozen=True):
    """A file in a room, for the other nodes. `room` is the key of its name."""

    room: str
    file: Attachment
    sender: Account


class RoomFiles:
    """The files in all rooms."""

    def __init__(
        self, context: Context, rooms: Rooms, uploads: IFileStore, disk: DiskSpace
    ) -> None:
        self._context = context
        self._rooms = rooms
        self._uploads = uploads
        self._disk = disk
        # Files of each account, of each room, and of the realm. Those that are arriving count.
        self._counts = NodeCounts(context.news, context.clock, "room-file-counts")
        self._places: dict[str, Room] = {}  # of the files of this node, by code
        # Files stay at the node to which they were sent.
        self._state = SoftState[str, FileInRoom](
            context.news,
            context.clock,
            "room-files",
            StatePage[str, FileInRoom],
            StateSource(lambda: self._places.keys(), self._place),
            lambda *_: None,
        )
        rooms.on_end(self._remove_all)

    def stop(self) -> None:
        """Tell the other nodes nothing any more."""
        self._state.stop()
        self._counts.stop()

    def _place(self, code: str) -> FileInRoom | None:
        room = self._places.get(code)
        if room is None:
            return None
        found = room.files[code]
        return FileInRoom(key_of(room.name), found.file, found.sender)

    def _elsewhere(self, room: Room) -> list[RoomFile]:
        """The files of the room that were sent to it at other nodes."""
        key = key_of(room.name)
        return [
            RoomFile(each.file, each.sender)
            for copy in self._state.copies.values()
            for each in copy.values()
            if each.room == key
        ]

    @property
    def _largest(self) -> int:
        return self._context.config.limits.file

    def begin(
        self, session: Hashable, sender: Account, name: str, size: int, announce: bool = True
    ) -> RoomUpload:
        """Start an upload to the session's room. `announce`: the others in it are told about the file.

        Raises NotInRoom, BadFileName, FileTooLarge, RoomFilesFull, DiskFull.
        """
        room = self._rooms.room_of(session)
        safe = safe_name(name)
        if size > self._largest:
            raise errors.FileTooLarge(size=size, limit=self._largest)
        owners = _owners(room, sender)
        for kind, owner in owners.items():
            count, limit = COUNTS[kind], SIZES[kind] * self._largest
            files, used = self._counts.of(owner)
            if files >= count or used + size > limit:
                raise errors.RoomFilesFull(files=count, limit=limit)
        self._disk.expect(size)
        for owner in owners.values():
            self._counts.add(owner, size)
        incoming = self._uploads.receive_temporary(safe, size)
        return RoomUpload(self, RoomSend(session, sender, room, size, announce), incoming)

    def arrived(self, send: RoomSend) -> None:
        """The file is no longer arriving."""
        self._disk.arrived(send.size)

    def keep(self, send: RoomSend, name: str, stored: StoredFile) -> Attachment:
        """Add a file whose bytes are on disk to its room. Raises NotInRoom, and removes the file, if the
        session has left the room."""
        for owner in _owners(send.room, send.sender).values():
            self._counts.grow(owner, stored.size - send.size)  # location data were removed
        if self._rooms.find(send.session) is not send.room:
            self._remove(send.room, send.sender, stored.size, stored.stored)
            raise errors.NotInRoom
        files, now = send.room.files, self._context.now()
        while (code := new_code(self._context.random_bytes)) in files:
            pass
        file = attachment_of(NO_ROW, code, name, stored, now)
        files[code] = RoomFile(file, send.sender)
        self._places[code] = send.room
        self._state.changed(code)
        if send.announce:
            self._rooms.talk(send.session, "", now, file)
        return file

    def release(self, room: Room, sender: Account, size: int) -> None:
        """Stop counting a file that is gone."""
        for owner in _owners(room, sender).values():
            self._counts.remove(owner, size)

    async def fetch(self, session: Hashable, name: str) -> Download:
        """Open the file that `name` means in the session's room (see chatd.base.file_handles). Raises
        NotInRoom, UnknownFile, FileMissing, FileDamaged, StorageFailed. A file of another node is missing
        unless the nodes share their files."""
        room = self._rooms.room_of(session)
        files = [each.file for each in room.files.values()]
        far = [each.file for each in self._elsewhere(room)]
        found = find_by_handle([*files, *far], name)
        if found is None:
            raise errors.UnknownFile(name=printable(name), advice="roomfiles lists them")
        if found.code not in room.files and not self._uploads.is_shared:
            raise errors.FileMissing(name=found.name)
        try:
            return Download(found, await self._uploads.open(found))
        except OSError:
            raise errors.StorageFailed from None

    def list(self, session: Hashable) -> tuple[FileInfo, ...]:
        """The files in the session's room, oldest first. Raises NotInRoom."""
        room = self._rooms.room_of(session)
        found: Iterable[RoomFile] = room.files.values()
        if far := self._elsewhere(room):
            found = sorted([*found, *far], key=lambda each: each.file.at)
        return tuple(
            FileInfo(each.file.code, each.file.name, each.file.size, each.sender.name, each.file.at)
            for each in found
        )

    def _remove_all(self, room: Room) -> None:
        for code, each in room.files.items():
            del self._places[code]
            self._state.changed(code)
            self._remove(room, each.sender, each.file.size, each.file.stored)
        room.files.clear()

    def _remove(self, room: Room, sender: Account, size: int, stored: str) -> None:
        self.release(room, sender, size)
        in_background("a file of a room was not removed", self._uploads.remove(stored))


def _owners(room: Room, sender: Account) -> dict[str, str]:
    """Those who have room for a limited number of files and bytes, by kind."""
    return {
        "account": f"account {sender.id}",
        "room": f"room {key_of(room.name)}",
        "realm": "realm",
    }


class RoomUpload(ArrivingFile):
    """A file for a room. `write` all of its bytes, then `finish`. To break off, `abort`."""

    def __init__(self, files: RoomFiles, send: RoomSend, incoming: Incoming) -> None:
        super().__init__(incoming)
        self._files = files
        self._send = send
        self._is_stored = False

    @property
    def where(self) -> str:
        """The name of the room."""
        return self._send.room.name

    async def finish(self) -> Attachment:
        """Add the file to the room. Raises StorageFailed, and NotInRoom if the sender has left; then nothing
        is stored."""
        try:
            stored = await self._incoming.finish()
        except OSError as error:
            log.error("a file for a room could not be stored: {error}", error=str(error))
            self._end()
            raise errors.StorageFailed from None
        self._is_stored = True
        self._end()
        return self._files.keep(self._send, self._incoming.name, stored)

    def _release(self) -> None:
        send = self._send
        self._files.arrived(send)
        if not self._is_stored:
            self._files.release(send.room, send.sender, send.size)
