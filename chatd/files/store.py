"""The interface of the store of files: what the service, the federation and the web door need of it.

Two classes implement it. chatd.files.folder keeps files in a folder, which chatd.files.shared_folder shares
between nodes, and chatd.files.object_store keeps them in a bucket of an S3-compatible service.

A file arrives as a part (`IPart`), which an Incoming drives. A part that can be resumed has a key. Each node
writes a part of its own; a node that resumes a key takes over what other nodes have received of it, and what
these receive later is refused at its end.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from twisted.internet.defer import Deferred

from chatd.base.attachments import Attachment, StoredFile
from chatd.base.counters import Counters

if TYPE_CHECKING:
    from chatd.files.incoming import Incoming
    from chatd.files.outgoing import Outgoing

KEEP_PARTS = 7 * 24 * 3600.0  # seconds for which a suspended file is kept
# Seconds after its last change in which a file that no message carries may belong to a message that another
# node is about to store
ABOUT_TO_BE_STORED = 3600.0


class IPart(Protocol):
    """A file that is still arriving. All methods block and run in a thread; all may raise OSError.

    The complete file will have `size` bytes and the (safe) name `name`. Only a `resumable` part may exist
    before the transfer and stay after it. `sha256` is what the complete file must have, in lower-case hex;
    None accepts anything. `sent_at` (ms since 1970 UTC) is when it was sent; None means now. `label` names
    the part in the log.
    """

    name: str
    size: int
    resumable: bool
    sha256: str | None
    sent_at: int | None

    @property
    def label(self) -> str: ...

    def read_back(self) -> tuple[int, bool]:
        """Read the next bytes that an earlier transfer left. Returns their number, and whether there may be
        more."""
        ...

    def append(self, chunks: Sequence[bytes]) -> None:
        """Add the next bytes."""
        ...

    def complete(self, chunks: Sequence[bytes]) -> StoredFile:
        """Add the last bytes, and store the complete file under its final name. A picture loses its location
        data, unless its SHA-256 is given. Raises ChangedBytes and other OSErrors."""
        ...

    def discard(self) -> None:
        """Remove everything that has arrived."""
        ...

    def leave(self) -> object:
        """Keep what has arrived, for a later part of the same key. Returns what that one needs to know, so
        that it does not read the bytes again; None: it has to read them."""
        ...


class IReadable(Protocol):
    """A file that is open for reading. Its methods block and run in a thread; they raise OSError."""

    @property
    def closed(self) -> bool: ...

    def read(self, size: int, /) -> bytes: ...

    def seek(self, offset: int, /) -> Any: ...

    def close(self) -> Any: ...


class IFileThreads(Protocol):
    """The threads that read and write files. `trouble` is why the last file could not be stored; None if it
    could."""

    counters: Counters
    trouble: str | None

    def in_thread(self, work: Callable[..., Any], *args: Any) -> Deferred[Any]:
        """Do `work`, which blocks, in one of the threads."""
        ...


class IFileStore(IFileThreads, Protocol):
    """The store of files. Names of stored files (Attachment.stored) have a meaning only to the store.

    `folder` is the folder on this node's disk in which files arrive; its disk has to have room.
    """

    folder: Path

    @property
    def is_shared(self) -> bool:
        """Whether other nodes can read the files."""
        ...

    def start(self) -> None:
        """Begin to work. Raises OSError."""
        ...

    def stop(self) -> Deferred[None]:
        """Fires once all jobs are done."""
        ...

    # Files that arrive

    def receive(self, name: str, size: int) -> Incoming:
        """A new file of `size` bytes with this (safe) name."""
        ...

    def receive_temporary(self, name: str, size: int) -> Incoming:
        """As `receive`, for a file that does not outlive the daemon. All nodes can open it."""
        ...

    def resume(self, key: str, name: str, size: int) -> Deferred[Incoming]:
        """As `receive`, for a file that is kept under `key` when its transfer is suspended or the daemon
        stops.

        The bytes that are there are read back first (`Incoming.offset`). If there are more than `size`, they
        belong to another file and are dropped. Waits until an earlier Incoming of the same key is closed, if
        it is this node's. Fails with OSError. May be cancelled.
        """
        ...

    def forget(self, key: str) -> Deferred[None]:
        """Remove the suspended file of `key`. Waits as `resume` does. Never fails."""
        ...

    def suspended(self, prefix: str) -> Deferred[dict[str, int]]:
        """The sizes of the files whose keys begin with `prefix` and that are not arriving at this node, by
        key, the oldest first. Fails with OSError."""
        ...

    def claimed(self, prefix: str) -> set[str]:
        """The keys with this beginning under which a file is arriving at this node now."""
        ...

    # Stored files

    def open(self, attachment: Attachment) -> Deferred[Outgoing]:
        """Open a stored file for reading, if it is intact. Fails with FileMissing, FileDamaged, OSError.

        Its bytes are compared with its SHA-256 when the file is first opened after a start, and again when
        the store shows a change.
        """
        ...

    def read_piece(self, attachment: Attachment, offset: int, size: int) -> Deferred[bytes]:
        """At most `size` bytes of a stored file, if it is intact. Fails as `open`."""
        ...

    async def is_whole(self, attachment: Attachment) -> bool:
        """Whether a stored file exists and is intact."""
        ...

    def open_stored(self, stored: str) -> Deferred[IO[bytes]]:
        """Open a file by its name in the store, for reading in a thread. Fails with OSError."""
        ...

    def open_nameless(self) -> IO[bytes]:
        """In a thread: a new file on this node's disk, for reading and writing, that is gone once it is
        closed. Raises OSError."""
        ...

    def thumbnail(self, stored: str) -> Deferred[bytes | None]:
        """The thumbnail of a stored file, if there is one."""
        ...

    def keep_thumbnail(self, stored: str, body: bytes) -> Deferred[None]:
        """Keep a thumbnail, unless its file was removed meanwhile. Fails with OSError."""
        ...

    def remove(self, stored: str) -> Deferred[None]:
        """Remove a file whose attachment was not committed. Fails with OSError."""
        ...

    def erase(self, stored: Collection[str]) -> Deferred[None]:
        """Remove files of deleted messages, so that they do not come back after a power cut. Those that are
        arriving are aborted. Fails with OSError."""
        ...

    def probe(self) -> Deferred[None]:
        """Write and remove a small file, to find out whether that works again. Fails with OSError."""
        ...
