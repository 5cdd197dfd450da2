"""Reads the archive of an account (chatd.base.account_archive) in small pieces. Anybody may have made it.

All methods block, so they run in a thread. The archive is never unpacked: what it calls its files is only
looked up, and what they hold is read piece by piece. These are bounded: the directory of the archive, the
bytes that come out of it (in all, and for each byte that goes in), the length of a line, and by the types of
the decoders every field. A line is decoded into these types, and what they don't have is skipped.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import IO, TypeVar

import msgspec

from chatd.base.account_archive import (
    CONVERSATIONS,
    FORMAT,
    MESSAGES_BEGIN,
    MESSAGES_END,
    PROFILE,
    ArchivedConversation,
    ArchivedMessage,
    ArchivedProfile,
)
from chatd.base.errors import BadArchive

MAX_MEMBERS = 50_000
MAX_DIRECTORY = 8 << 20  # bytes
MAX_PROFILE = 8 << 20  # bytes
MAX_LINE = 256 << 10  # bytes
MAX_MESSAGES = 1_000_000
CHUNK = 64 << 10  # bytes that are read at a time
# Bytes that may come out of a byte of the archive, and some that always may: texts shrink to a tenth, and
# long runs of one character to a thousandth.
MAX_RATIO = 100
FREE = 16 << 20
# A page ends with the message that makes it so heavy. The people of 20 reactions weigh as much as a message.
MAX_WEIGHT = 50
PEOPLE = 20
MAX_PAGE = 256 << 10  # bytes of the lines of a page

_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_FULL = 0xFFFFFFFF
_HOW = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_READ_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,  # it is encrypted
    ValueError,
    struct.error,
    UnicodeError,
)

Decoded = TypeVar("Decoded")
_profiles = msgspec.json.Decoder(ArchivedProfile)
_heads = msgspec.json.Decoder(ArchivedConversation)
_messages = msgspec.json.Decoder(ArchivedMessage)


class ArchiveReader:
    """An archive in the open file `file`. Raises BadArchive, OSError."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        size = _check_directory(file)
        self._left = FREE + MAX_RATIO * size  # bytes that may still come out of it
        self._messages = MAX_MESSAGES
        self._member: IO[bytes] | None = None
        self._name = ""
        self._buffer = b""
        try:
            self._zip = zipfile.ZipFile(file)
        except _READ_ERRORS:
            raise BadArchive(reason="it is no ZIP archive, or it is damaged") from None
        self._infos = {info.filename: info for info in self._zip.infolist()}

    def close(self) -> None:
        """Close the file."""
        self._leave()
        with suppress(OSError):
            self._zip.close()
        self._file.close()

    def profile(self) -> ArchivedProfile:
        """The account of which it is."""
        if PROFILE not in self._infos:
            raise BadArchive(reason=f"it has no {PROFILE}")
        with self._open(PROFILE) as member:
            data = self._read(member, MAX_PROFILE + 1)
        if len(data) > MAX_PROFILE:
            raise BadArchive(reason=f"{PROFILE} is too large")
        found = _decode(_profiles, data, PROFILE)
        if found.format > FORMAT:
            raise BadArchive(reason="a newer version of chatd has made it")
        return found

    def conversations(self) -> list[str]:
        """The names of the files of conversations, in the order of their numbers."""
        names = [name for name in self._infos if _number_of(name) is not None]
        return sorted(names, key=lambda name: _number_of(name) or 0)

    def begin(self, name: str) -> ArchivedConversation:
        """Start to read a conversation. Returns what comes before its messages."""
        self._leave()
        self._name = name
        self._member = self._open(name)
        line = self._line() or b""
        if not line.endswith(MESSAGES_BEGIN):
            raise BadArchive(reason=f"{name} is not as chatd writes it")
        return _decode(_heads, line.removesuffix(MESSAGES_BEGIN) + b"}", name)

    def page(self) -> list[ArchivedMessage]:
        """The next messages of the conversation; none at the end."""
        found: list[ArchivedMessage] = []
        weight, size = 0.0, 0
        while self._member is not None and weight < MAX_WEIGHT and size < MAX_PAGE:
            line = self._line()
            if line is None:
                raise BadArchive(reason=f"{self._name} is cut off")
            if line == MESSAGES_END:
                self._leave()
                break
            message = _decode(_messages, line.removesuffix(b","), self._name)
            found.append(message)
            people = sum(map(len, message.reactions.values()))
            weight, size = weight + 1 + people / PEOPLE, size + len(line)
            self._messages -= 1
            if self._messages < 0:
                raise BadArchive(reason=f"it has more than {MAX_MESSAGES} messages")
        return found

    def size_of(self, path: str) -> int | None:
        """The size of a file in bytes, as the archive has it; None if there is none with that path."""
        info = self._infos.get(path)
        return None if info is None else info.file_size

    def pieces(self, path: str) -> Iterator[bytes]:
        """The bytes of a file."""
        with self._open(path) as member:
            while piece := self._read(member, CHUNK):
                yield piece

    def _open(self, name: str) -> IO[bytes]:
        info = self._infos[name]
        if info.compress_type not in _HOW:
            raise BadArchive(reason=f"{name[:100]} is packed in another way than chatd does it")
        try:
            return self._zip.open(info)
        except _READ_ERRORS:
            raise BadArchive(reason=f"{name[:100]} is damaged or encrypted") from None

    def _read(self, member: IO[bytes], size: int) -> bytes:
        """At most `size` bytes; none at the end."""
        try:
            data = member.read(size)
        except _READ_ERRORS:
            raise BadArchive(reason="it is damaged") from None
        self._left -= len(data)
        if self._left < 0:
            raise BadArchive(reason="far more comes out of it than goes in")
        return data

    def _line(self) -> bytes | None:
        """The next line of the conversation, without its end; None at the end."""
        while (end := self._buffer.find(b"\n")) < 0 and len(self._buffer) <= MAX_LINE:
            data = b"" if self._member is None else self._read(self._member, CHUNK)
            if not data:
                rest, self._buffer = self._buffer, b""
                return rest or None
            self._buffer += data
        if not 0 <= end <= MAX_LINE:
            raise BadArchive(reason=f"a line of {self._name} is too long")
        line, self._buffer = self._buffer[:end], self._buffer[end + 1 :]
        return line

    def _leave(self) -> None:
        """Stop reading the conversation."""
        self._buffer = b""
        if self._member is not None:
            self._member.close()
            self._member = None


def _number_of(name: str) -> int | None:
    """The number of the conversation in the file of that name; None if it is no such file."""
    number = name.removeprefix(CONVERSATIONS).removesuffix(".json")
    if name != f"{CONVERSATIONS}{number}.json" or len(number) > 19 or not number.isdecimal():
        return None
    return int(number)


def _decode(decoder: msgspec.json.Decoder[Decoded], data: bytes, name: str) -> Decoded:
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        reason = f"{name} is not as chatd writes it: {str(error)[:200]}"
        raise BadArchive(reason=reason) from None


def _check_directory(file: IO[bytes]) -> int:
    """Check the size of the archive's directory, before the module zipfile reads it into memory. Returns the
    size of the archive in bytes. chatd writes no comment after the directory, so its end is that of the
    file."""
    size = file.seek(0, 2)
    none = BadArchive(reason="it is no ZIP archive, or it is cut off")
    if size < _END.size:
        raise none
    file.seek(size - _END.size)
    mark, *_, members, length, _offset, comment = _END.unpack(file.read(_END.size))
    if mark != b"PK\x05\x06" or comment:
        raise none
    before = size - _END.size - _LOCATOR.size
    if before >= _END_64.size:
        file.seek(before)
        mark, _disk, at, _disks = _LOCATOR.unpack(file.read(_LOCATOR.size))
        if mark == b"PK\x06\x07":
            if at != before - _END_64.size:
                raise none
            file.seek(at)
            mark, *_, members, length, _offset = _END_64.unpack(file.read(_END_64.size))
            if mark != b"PK\x06\x06":
                raise none
    if members > MAX_MEMBERS or length > MAX_DIRECTORY:
        raise BadArchive(
            reason=f"it has more than {MAX_MEMBERS} files, or their names are too long"
        )
    file.seek(0)
    return size
