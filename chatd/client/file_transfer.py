"""The transfer of one file on a connection of its own.

Chat continues meanwhile, and closing that connection cancels the transfer.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from chatd.client import local_paths
from chatd.client.connection import Connection, ConnectionFailed, ConnectionLost
from chatd.client.idempotency import OF_NODE, IdempotentSend
from chatd.client.nodes import Nodes
from chatd.client.translations import tr
from chatd.commands.table import BY_VERB

CHUNK = 256 * 1024
MAX_TRIES = 1000  # names to try when saving a file

Reply = dict[str, Any]


class Damaged(Exception):
    """The received bytes differ from the sent ones. `str()` is a sentence for the user."""


class Refused(Exception):
    """The realm refused the transfer with `reply`."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(str(reply.get("message")))
        self.reply = reply


class ProgressMeter(Protocol):
    """Shows the progress of a transfer."""

    def begin(self, name: str, size: int) -> None: ...

    def advance(self, size: int) -> None: ...

    def end(self) -> None: ...


class UploadState:
    """The progress of an upload, for the case that its reply is lost."""

    def __init__(self) -> None:
        self.bytes = 0
        self.complete = False
        self.sha256 = ""


async def log_in(nodes: Nodes, token: str) -> Connection:
    """Connect to the node that the client uses, or else to another one, and resume the session of `token`.
    Raises ConnectionFailed, Refused."""
    attempt = nodes.attempt()
    refusal: Refused | None = None
    while (connection := await attempt.next()) is not None:
        try:
            await ask(connection, "resume", token=token)
        except ConnectionLost as lost:
            connection.abort()
            attempt.failed(connection.endpoint.target, ConnectionFailed(str(lost)))
        except Refused as refused:
            connection.abort()
            if refused.reply.get("code") not in OF_NODE:
                raise
            refusal = refused
        except BaseException:
            connection.abort()
            raise
        else:
            return connection
    raise refusal or attempt.failure()


async def ask(connection: Connection, command: str, **arguments: Any) -> Reply:
    """Send a request and return its reply. Raises Refused, ConnectionLost."""
    connection.send({"command": command, **arguments})
    return await _answer(connection)


async def _answer(connection: Connection) -> Reply:
    while True:
        reply = await connection.read()
        if "event" in reply:
            continue
        if reply.get("status") == "ERROR":
            raise Refused(reply)
        return reply


async def upload(
    connection: Connection,
    request: Reply,
    path: Path,
    meter: ProgressMeter,
    sent: UploadState,
    once: IdempotentSend,
) -> Reply:
    """Send the file at `path` and return the realm's reply. If the file was sent before, no bytes are sent.

    Raises Refused, ConnectionLost, Damaged, OSError.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        request = {**request, "filename": local_paths.sent_name(path), "size": size}
        try:
            reply = await ask(connection, **request, **once.arguments())
        except Refused as refused:
            if not once.is_too_new(refused.reply):
                raise
            reply = await ask(connection, **request, **once.arguments())
        if reply.get("status") != "READY":
            return reply
        meter.begin(path.name, size)
        try:
            await _pour(file, connection, size, meter, sent)
            reply = await _answer(connection)
        finally:
            meter.end()
    # The realm removes location data from pictures, which changes their SHA-256.
    if reply.get("received_sha256", reply.get("sha256")) != sent.sha256:
        raise Damaged(tr("{name} arrived damaged; send it again", name=path.name))
    return reply


async def _pour(
    file: BinaryIO, connection: Connection, size: int, meter: ProgressMeter, sent: UploadState
) -> None:
    digest = hashlib.sha256()
    while sent.bytes < size:
        data = await asyncio.to_thread(file.read, min(CHUNK, size - sent.bytes))
        if not data:
            # The realm still waits for the announced size, so the connection must be closed.
            connection.abort()
            raise Damaged(
                tr("{name} became shorter while it was being sent", name=Path(file.name).name)
            )
        digest.update(data)
        await connection.write(data)
        sent.bytes += len(data)
        meter.advance(len(data))
    sent.sha256 = digest.hexdigest()
    sent.complete = True


async def fetch(
    connection: Connection,
    wanted: str,
    take: Callable[[bytes], Any],
    begin: Callable[[Reply], Any],
    verb: str = "getfile",
) -> Reply:
    """Download a file with the command `verb`, and pass its bytes to `take`. `wanted` is the argument of the
    command, if it takes one. `begin`, which may be a coroutine, gets the reply first.

    Raises Refused, ConnectionLost, Damaged.
    """
    arguments = {arg.name: wanted for arg in BY_VERB[verb].args}
    reply = await ask(connection, verb, **arguments)
    started = begin(reply)
    if asyncio.iscoroutine(started):
        await started
    left = size = int(reply["size"])
    digest = hashlib.sha256()
    while left:
        data = await connection.read_some(left)
        left -= len(data)
        digest.update(data)
        take(data)
    if digest.hexdigest() != reply.get("sha256"):
        name, n = reply.get("name"), size
        raise Damaged(tr("{name} ({n} bytes) arrived damaged, and is not kept", name=name, n=n))
    return reply


class PartialDownload:
    """A file being downloaded to a temporary file. `keep` gives it its name once it is complete."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = local_paths.safe_name(name)
        folder.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=".", suffix=".part", dir=folder)
        self._file = os.fdopen(handle, "wb")
        self._temporary = Path(temporary)

    def write(self, data: bytes) -> None:
        self._file.write(data)

    def keep(self) -> Path:
        """Rename the file to its own name, or to a free one if that is taken. Raises OSError."""
        self._file.close()
        for number in range(MAX_TRIES):
            path = local_paths.free_name(self._folder, self._name, number)
            try:
                _move(self._temporary, path)
            except FileExistsError:
                continue
            return path
        raise FileExistsError(tr("there are {n} files called {name}", n=MAX_TRIES, name=self._name))

    def drop(self) -> None:
        with contextlib.suppress(OSError):
            self._file.close()
        self._temporary.unlink(missing_ok=True)


def _move(temporary: Path, path: Path) -> None:
    """Rename without overwriting. Raises FileExistsError."""
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        raise
    except OSError:
        # Without hard links, create the name first and then replace it.
        path.open("xb").close()
        temporary.replace(path)
    else:
        temporary.unlink()


def folder_for(base: Path, user: str, group: str | None) -> Path:
    """The folder for a download, as in the fourth document. The name is made safe, since a user may be called
    `..`."""
    return base / ("downloadgroup" if group else "download") / local_paths.safe_name(user)
