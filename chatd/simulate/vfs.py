"""An SQLite VFS whose writes can fail, and are lost in part when the power fails.

It is registered as the default of the SQLite library that Python's sqlite3 uses, and wraps the one that was
the default. That opens and reads the files; only what changes a file passes through here. Nothing is really
synced: a disk (chatd.simulate.disks) keeps what each write since the last sync has replaced.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import CFUNCTYPE, POINTER, c_char_p, c_int, c_int64, c_void_p, cast, string_at
from pathlib import Path
from typing import Any, Protocol

OK = 0
IOERR = 10
FULL = 13
IOERR_WRITE = IOERR | 3 << 8
IOERR_FSYNC = IOERR | 4 << 8
IOERR_DELETE = IOERR | 10 << 8
IOERR_TRUNCATE = IOERR | 6 << 8

CLOSE, WRITE, TRUNCATE, SYNC = 1, 3, 4, 5  # places in sqlite3_io_methods
METHODS = 19  # pointers in version 3, of which the first is the version


class FileWatcher(Protocol):
    """Hears of the changes of the files in a folder before they are made. Each returns OK, or the error that
    SQLite gets; `removed`, whether the file may be removed."""

    def write(self, path: str, data: bytes, offset: int) -> int: ...

    def truncate(self, path: str, size: int) -> int: ...

    def sync(self, path: str) -> int: ...

    def removed(self, path: str) -> bool: ...


class _Vfs(ctypes.Structure):
    _fields_ = [
        ("version", c_int),
        ("file_size", c_int),
        ("max_path", c_int),
        ("next", c_void_p),
        ("name", c_char_p),
        ("data", c_void_p),
        ("open", c_void_p),
        ("delete", c_void_p),
        ("access", c_void_p),
        ("full_path", c_void_p),
        ("dl_open", c_void_p),
        ("dl_error", c_void_p),
        ("dl_sym", c_void_p),
        ("dl_close", c_void_p),
        ("randomness", c_void_p),
        ("sleep", c_void_p),
        ("current_time", c_void_p),
        ("last_error", c_void_p),
        ("current_time_64", c_void_p),
        ("set_call", c_void_p),
        ("get_call", c_void_p),
        ("next_call", c_void_p),
    ]


_Methods = c_void_p * METHODS
_Open = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_int, c_void_p)
_Delete = CFUNCTYPE(c_int, c_void_p, c_char_p, c_int)
_Close = CFUNCTYPE(c_int, c_void_p)
_Write = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
_Truncate = CFUNCTYPE(c_int, c_void_p, c_int64)
_Sync = CFUNCTYPE(c_int, c_void_p, c_int)


class NotShared(Exception):
    """Python's SQLite is not a shared library that others can extend."""


def library() -> Any:
    """The SQLite library that Python's sqlite3 uses. Raises NotShared."""
    import sqlite3

    for line in Path("/proc/self/maps").read_text().splitlines():
        path = line.partition("/")[1] + line.partition("/")[2]
        if "libsqlite3" in path:
            found = ctypes.CDLL(path)
            found.sqlite3_libversion.restype = c_char_p
            if found.sqlite3_libversion().decode() == sqlite3.sqlite_version:
                return found
    raise NotShared


class SimulatedVfs:
    """The VFS. `watchers` are those of folders, by the beginning of their files' paths."""

    def __init__(self) -> None:
        self.watchers: dict[str, FileWatcher] = {}
        self._library = library()
        self._library.sqlite3_vfs_find.restype = c_void_p
        self._library.sqlite3_vfs_find.argtypes = [c_char_p]
        self._library.sqlite3_vfs_register.argtypes = [c_void_p, c_int]
        below = self._library.sqlite3_vfs_find(None)
        self._below = cast(below, POINTER(_Vfs)).contents
        self._files: dict[int, tuple[str, FileWatcher]] = {}  # by the address of the sqlite3_file
        self._tables: dict[int, tuple[Any, Any]] = {}  # by the address of the methods below
        self._keep: list[Any] = []  # what C has pointers to
        own = _Vfs.from_buffer_copy(self._below)
        own.name = b"chatd-simulate"
        own.open = self._pointer(_Open(self._open))
        own.delete = self._pointer(_Delete(self._delete))
        self._open_below = _Open(self._below.open)
        self._delete_below = _Delete(self._below.delete)
        self._close = _Close(self._closed)
        self._methods = {
            CLOSE: self._pointer(self._close),
            WRITE: self._pointer(_Write(self._write)),
            TRUNCATE: self._pointer(_Truncate(self._truncate)),
            SYNC: self._pointer(_Sync(self._sync)),
        }
        self._own = own
        self._library.sqlite3_vfs_register(ctypes.addressof(own), 1)

    def _pointer(self, function: Any) -> int:
        self._keep.append(function)
        return cast(function, c_void_p).value or 0

    def _watcher(self, path: str) -> FileWatcher | None:
        for folder, watcher in self.watchers.items():
            if path.startswith(folder):
                return watcher
        return None

    def _open(self, vfs: int, name: int | None, file: int, flags: int, out: int | None) -> int:
        status: int = self._open_below(vfs, name, file, flags, out)
        if status != OK or name is None:
            return status
        path = string_at(name).decode()
        watcher = self._watcher(path)
        if watcher is not None:
            methods = cast(file, POINTER(c_void_p))
            below = methods[0]
            if below:
                methods[0] = ctypes.addressof(self._table(below)[0])
                self._files[file] = path, watcher
        return status

    def _table(self, below: int) -> tuple[Any, Any]:
        """The methods that replace those at that address, and those themselves."""
        found = self._tables.get(below)
        if found is None:
            old = _Methods.from_address(below)
            new = _Methods(*old)
            for at, pointer in self._methods.items():
                new[at] = pointer
            found = self._tables[below] = new, old
            self._tables[ctypes.addressof(new)] = found
        return found

    def _below_of(self, file: int, at: int, kind: Callable[[int], Any]) -> Any:
        methods = cast(file, POINTER(c_void_p))[0] or 0
        return kind(self._tables[methods][1][at])

    def _closed(self, file: int) -> int:
        self._files.pop(file, None)
        status: int = self._below_of(file, CLOSE, _Close)(file)
        return status

    def _write(self, file: int, data: int, size: int, offset: int) -> int:
        path, watcher = self._files[file]
        status = watcher.write(path, string_at(data, size), offset)
        return status or self._below_of(file, WRITE, _Write)(file, data, size, offset)

    def _truncate(self, file: int, size: int) -> int:
        path, watcher = self._files[file]
        status = watcher.truncate(path, size)
        return status or self._below_of(file, TRUNCATE, _Truncate)(file, size)

    def _sync(self, file: int, _flags: int) -> int:
        path, watcher = self._files[file]
        return watcher.sync(path)

    def _delete(self, vfs: int, name: bytes, folder: int) -> int:
        path = name.decode()
        watcher = self._watcher(path)
        if watcher is not None and not watcher.removed(path):
            return IOERR_DELETE
        status: int = self._delete_below(vfs, name, folder)
        return status
