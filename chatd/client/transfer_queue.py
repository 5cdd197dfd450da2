"""The queue of uploads and downloads.

They run one after another, can be cancelled, and restart after the connection is lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, assert_never

from chatd.base.errors import NotLoggedIn
from chatd.base.names import key_of
from chatd.client import file_transfer, local_paths, pictures, render
from chatd.client.actions import GetFiles, SendFiles
from chatd.client.client import Client
from chatd.client.connection import Connection, ConnectionFailed, ConnectionLost
from chatd.client.file_transfer import Damaged, PartialDownload, ProgressMeter, Refused, UploadState
from chatd.client.idempotency import TEMPORARY, IdempotentSend
from chatd.client.line_parser import row_for
from chatd.client.local_paths import BadPath
from chatd.client.state import AnnouncedFile
from chatd.client.translations import tr
from chatd.commands import values as ask

MAX_STARTS = 5  # attempts for one file
PAUSE = 0.5  # seconds before another attempt after a lost connection; after a refusal it doubles each time


class Transfers:
    """Runs uploads and downloads. `folder` contains `download/` and `downloadgroup/`."""

    def __init__(self, client: Client, folder: Path, meter: ProgressMeter) -> None:
        self._client = client
        self._folder = folder
        self._meter = meter
        self._queue: asyncio.Queue[SendFiles | GetFiles] = asyncio.Queue()
        self._current: asyncio.Task[None] | None = None

    async def add(self, todo: SendFiles | GetFiles) -> None:
        """Queue a transfer. In a terminal this returns at once; a script waits for the transfer."""
        if self._client.live:
            self._queue.put_nowait(todo)
        else:
            await self._do(todo)

    @property
    def busy(self) -> bool:
        return self._current is not None or not self._queue.empty()

    def cancel(self) -> bool:
        """Cancel the current transfer and all queued ones. Return whether there was any."""
        there_was = self.busy
        while not self._queue.empty():
            self._queue.get_nowait()
        if self._current is not None:
            self._current.cancel()
        return there_was

    async def run(self) -> None:
        while True:
            todo = await self._queue.get()
            self._current = asyncio.create_task(self._do(todo))
            try:
                await asyncio.wait({self._current})
            finally:
                self._current.cancel()  # does nothing if it has ended
                self._current = None

    async def _do(self, todo: SendFiles | GetFiles) -> None:
        try:
            match todo:
                case SendFiles():
                    for path in todo.files:
                        await self._send(todo, path)
                case GetFiles():
                    for code in await self._wanted(todo):
                        await self._retrying(code, partial(self._get, todo, code))
                case _:
                    assert_never(todo)
        except Refused as refused:
            self._client.refuse(refused.reply)

    async def _connection(self) -> Connection:
        await self._client.reconnector.link()
        token = self._client.state.token
        if token is None:
            raise Refused(_error(NotLoggedIn.code, str(NotLoggedIn())))
        return await file_transfer.log_in(self._client.nodes, token)

    async def _retrying(
        self, name: str, once: Any, is_out: Callable[[], bool] = lambda: False
    ) -> None:
        """Run `once`, again after each lost connection, and report its errors.

        `is_out` returns whether an upload was sent completely, so that it can't be cancelled any more.
        """
        for start in range(1, MAX_STARTS + 1):
            try:
                if await once():
                    return
            except asyncio.CancelledError:
                kept = tr("{name} is cancelled; nothing of it is kept", name=name)
                gone = tr("{name} was sent completely; history shows whether it arrived", name=name)
                self._client.out.note(gone if is_out() else kept)
                raise
            except Refused as refused:
                if self._is_final(refused, start):
                    self._client.refuse(refused.reply)
                    return
                await asyncio.sleep(PAUSE * 2**start)
            except Damaged as damaged:
                self._fail("damaged", str(damaged))
                return
            except BrokenPipeError:
                raise  # the output of the script was closed
            except OSError as error:
                reason = error.strerror or str(error)
                self._fail("file", tr("{name}: {reason}", name=name, reason=reason))
                return
            except (ConnectionLost, ConnectionFailed) as lost:
                if not self._client.live and self._is_last(start):
                    raise ConnectionLost(str(lost)) from None
                if start < MAX_STARTS:
                    self._client.out.note(_lost(name, is_out()))
                    await asyncio.sleep(PAUSE)
        self._fail(
            "link-lost", tr("{name} was given up: the connection was lost too often", name=name)
        )

    def _is_last(self, start: int) -> bool:
        return start == MAX_STARTS or not self._client.reconnects

    def _is_final(self, refused: Refused, start: int) -> bool:
        return refused.reply.get("code") not in TEMPORARY or self._is_last(start)

    def _fail(self, code: str, sentence: str) -> None:
        self._client.out.refused(_error(code, sentence), [render.error(render.safe(sentence))])

    # Up

    async def _send(self, todo: SendFiles, path: Path) -> None:
        try:
            local_paths.check(path)
        except BadPath as bad:
            self._fail("file", str(bad))
            return
        once = IdempotentSend()
        before: list[UploadState] = []

        async def send() -> bool:
            if before and before[-1].complete and not once.is_safe:
                self._client.out.note(
                    tr("{name} may or may not have been sent; history shows it", name=path.name)
                )
                return True
            before.append(UploadState())
            return await self._send_once(todo, path, before[-1], once)

        await self._retrying(path.name, send, lambda: bool(before) and before[-1].complete)

    async def _send_once(
        self, todo: SendFiles, path: Path, sent: UploadState, once: IdempotentSend
    ) -> bool:
        request: dict[str, Any] = {"command": todo.row.verb, **todo.to}
        if todo.place is not None:
            request = {"command": row_for(todo.place).verb, todo.place.kind.value: todo.place.name}
        client = self._client
        connection = await self._connection()
        try:
            client.uploading = local_paths.size_of(path)
            reply = await file_transfer.upload(connection, request, path, self._meter, sent, once)
            for receipt in (reply, *reply.get("sent", ())):
                client.state.note(receipt.get("message_id") or receipt.get("id", 0))
        except BaseException:
            connection.abort()
            raise
        finally:
            client.uploading = None
        await connection.close()
        if todo.row.command in (ask.SetPicture, ask.ImportArchive):
            client.answer(todo.row.verb, reply, [], {})
        else:
            client.answer("sendfile", reply, [_facts(reply)], {"filename": path.name})
        return True

    # Down

    async def _wanted(self, todo: GetFiles) -> list[str]:
        """The codes or names of the requested files. Raises Refused."""
        link = await self._client.reconnector.link()
        if todo.grouped and len(todo.words) > 1:
            group = todo.words[0]
            rest = todo.whole.partition(" ")[2].strip(" ")
            found = await self._codes_in(group, rest)
            names = [] if found else list(todo.words[1:])
            for name in names:
                found += await self._codes_in(group, name) or [name]
            return found
        if len(todo.words) == 1 or todo.lists is None:
            return list(todo.words)
        reply = await link.ask(todo.lists)
        if any(each.get("name") == todo.whole for each in reply.get("files", ())):
            return [todo.whole]
        return list(todo.words)

    async def _codes_in(self, group: str, name: str) -> list[str]:
        """The code of the newest file with that name in a group, as a list of none or one."""
        link = await self._client.reconnector.link()
        reply = await link.ask("search", text=_phrases(name))
        codes = [
            str(each["file"]["code"])
            for each in reply.get("messages", ())
            if each.get("file", {}).get("name") == name
            and key_of(str(each.get("group", ""))) == key_of(group)
        ]
        for code in codes[:1]:
            self._client.state.files[code] = AnnouncedFile(name, group)
        return codes[:1]

    async def _get(self, todo: GetFiles, code: str) -> bool:
        client = self._client
        saving: list[PartialDownload] = []
        kept = bytearray()

        async def begin(reply: dict[str, Any]) -> None:
            group = None
            if todo.verb == "getfile":
                group = await self._group_of(str(reply.get("code")), str(reply.get("name")))
            folder = file_transfer.folder_for(self._folder, client.state.user or "_", group)
            saving.append(PartialDownload(folder, str(reply.get("name"))))
            self._meter.begin(str(reply.get("name")), int(reply["size"]))

        def take(data: bytes) -> None:
            saving[0].write(data)
            self._meter.advance(len(data))
            if client.pictures.enabled and len(kept) <= pictures.MAX_BYTES:
                kept.extend(data)

        connection = await self._connection()
        try:
            reply = await file_transfer.fetch(connection, code, take, begin, todo.verb)
            path = saving[0].keep()
        except BaseException:
            connection.abort()
            for each in saving:
                each.drop()
            raise
        finally:
            self._meter.end()
        await connection.close()
        sentence = tr("{name} is saved as {path}", name=render.safe(reply["name"]), path=path)
        client.out.answered({**reply, "path": str(path)}, [render.plain(sentence)])
        await self._show_picture(reply, bytes(kept))
        return True

    async def _show_picture(self, reply: dict[str, Any], data: bytes) -> None:
        client = self._client
        if not client.pictures.is_new(reply.get("code")):
            return
        if pictures.is_picture(str(reply.get("mime"))):
            lines = await asyncio.to_thread(pictures.preview, data)
            client.out.happened({}, lines, notice=False)

    async def _group_of(self, code: str, name: str) -> str | None:
        """The group whose message announced a file, or None."""
        state = self._client.state
        if code not in state.files:
            link = await self._client.reconnector.link()
            reply = await link.ask("search", text=_phrases(name))
            for message in reply.get("messages", ()):
                if message.get("file"):
                    group = message.get("group")
                    file = message["file"]
                    state.files[file["code"]] = AnnouncedFile(file["name"], group)
        known = state.files.get(code)
        return known.group if known is not None else None


def _phrases(name: str) -> str:
    """A search for a file by its name, in which no part is a filter."""
    return " ".join(f'"{part}"' for part in name.split('"') if part.strip())


def _lost(name: str, is_out: bool) -> str:
    if is_out:
        return tr("The connection was lost before the reply for {name} arrived", name=name)
    return tr(
        "The connection was lost during {name}, and nothing of it was kept; it starts again",
        name=name,
    )


def _facts(reply: dict[str, Any]) -> render.Line:
    size, code = reply.get("size"), render.safe(reply.get("code"))
    text = tr("{name}, {size} bytes, code {code}", name=render.safe(reply.get("name")), size=f"{size:,}",
              code=code)  # fmt: skip
    return [("time", text)]


def _error(code: str, sentence: str) -> dict[str, Any]:
    return {"status": "ERROR", "code": code, "message": sentence}
