"""The client in scripts: it runs lines from `-c` or standard input and prints the replies.

It never prompts or uses colours. It runs all lines; the exit code is 1 if any was refused, and 2 if there is
no connection or it is lost. Only if the realm has several nodes, it connects again, for about half a
minute, and repeats what has no answer if that is safe.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import TextIO, assert_never

from chatd.base.errors import ChatError
from chatd.client.actions import (
    EnterMenu,
    GetFiles,
    GoBack,
    ListNumberedGroups,
    LocalAction,
    OpenChat,
    QueuedAction,
    QuitClient,
    Request,
    SayInChat,
    SendFiles,
    ShowHelp,
)
from chatd.client.addresses import Addresses
from chatd.client.client import Client
from chatd.client.command_queue import CommandQueue
from chatd.client.connection import ConnectionFailed, ConnectionLost
from chatd.client.file_transfer import ProgressMeter
from chatd.client.help_text import help_lines
from chatd.client.input_errors import NotUnderstood
from chatd.client.line_parser import parse_line, sentence
from chatd.client.link import Reply
from chatd.client.local_store import Store
from chatd.client.render import Line, safe, text_of
from chatd.client.state import Menu
from chatd.client.transfer_queue import Transfers
from chatd.client.translations import tr
from chatd.commands.table import BY_VERB

FINE, REFUSED, NO_LINK = 0, 1, 2


class Pipe:
    """The output of a script: plain text, or the realm's JSON objects, one a line."""

    def __init__(self, as_json: bool, out: TextIO, err: TextIO) -> None:
        self.failed = False
        self.as_json = as_json
        self._out = out
        self._err = err

    def answered(self, reply: Reply, lines: list[Line]) -> None:
        self._write(reply, lines, self._out)

    def refused(self, reply: Reply, lines: list[Line]) -> None:
        self.failed = True
        self._write(reply, lines, self._err)

    def happened(self, event: Reply, lines: list[Line], notice: bool) -> None:
        self._write(event, lines, self._out)

    def note(self, text: str) -> None:
        print(safe(text), file=self._err, flush=True)

    def changed(self) -> None:
        pass

    def show(self, lines: list[Line]) -> None:
        for line in lines:
            print(text_of(line), file=self._out)
        self._out.flush()

    def _write(self, reply: Reply, lines: list[Line], plain: TextIO) -> None:
        if self.as_json:
            shown = {
                key: value for key, value in reply.items() if key != "id" or "status" not in reply
            }
            print(as_json(shown), file=self._out)
            self._out.flush()
            return
        for line in lines:
            print(text_of(line), file=plain)
        plain.flush()


def as_json(value: object) -> str:
    """JSON with everything escaped that could control a terminal."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if text.isprintable():
        return text
    return "".join(c if safe(c) == c else json.dumps(c)[1:-1] for c in text)


class Script:
    def __init__(
        self,
        addresses: Addresses,
        store: Store,
        pipe: Pipe,
        downloads: Path,
        user: str | None,
        meter: ProgressMeter,
    ) -> None:
        self._client = Client(addresses, store, pipe, live=False)
        self._pipe = pipe
        self._user = user
        self._jobs = CommandQueue(self._client, Transfers(self._client, downloads, meter).add)

    async def run(self, lines: AsyncIterator[str]) -> int:
        """Run `lines` and return the exit code."""
        client = self._client
        try:
            await client.connect(self._user)
        except ConnectionFailed as no_link:
            self._pipe.note(str(no_link))
            return NO_LINK
        working = asyncio.create_task(self._jobs.run())
        try:
            await client.reconnector.link()
            await self._carry_out(lines, working)
        except ConnectionLost as lost:
            self._pipe.note(str(lost))
            for line in self._jobs.left():
                self._pipe.note(tr("No reply came to: {line}", line=line))
            return NO_LINK
        except BrokenPipeError:
            # The output was not read. Reset the connection, so that messages stay unread.
            client.reconnector.abort()
            raise
        finally:
            working.cancel()
        await client.close()
        return REFUSED if self._pipe.failed else FINE

    async def _carry_out(self, lines: AsyncIterator[str], working: asyncio.Task[None]) -> None:
        async for line in lines:
            if not line.strip():
                continue
            try:
                todo = await parse_line(line, self._client.state, None)
            except (NotUnderstood, ChatError) as problem:
                code = problem.code
                reply = {"status": "ERROR", "code": code, "message": sentence(problem)}
                self._pipe.refused(reply, [[("", safe(reply["message"]))]])
                continue
            if isinstance(todo, QuitClient):
                return
            if todo is not None:
                self._begin(line, todo)
                await self._until_done(working)
        if self._client.listening is not None:
            await self._client.reconnector.end()

    async def _until_done(self, working: asyncio.Task[None]) -> None:
        """Wait until the queue is empty. Raises the errors of the queue."""
        idle = asyncio.create_task(self._jobs.idle())
        await asyncio.wait({idle, working}, return_when=asyncio.FIRST_COMPLETED)
        idle.cancel()
        if working.done():
            working.result()

    def _begin(self, line: str, todo: LocalAction | QueuedAction) -> None:
        state = self._client.state
        match todo:
            case EnterMenu(menu=menu):
                state.chat, state.menu = None, menu
            case GoBack():
                state.back()
            case ShowHelp(verb=verb):
                self._help(line, verb)
            case OpenChat(place=place):
                state.chat = place
                self._jobs.put(line, todo)
            case Request() | SayInChat() | SendFiles() | GetFiles() | ListNumberedGroups():
                self._jobs.put(line, todo)
            case _:
                assert_never(todo)

    def _help(self, line: str, verb: str) -> None:
        lines = help_lines(verb, Menu.MAIN)
        if lines and self._pipe.as_json:
            row = BY_VERB["help"]
            self._jobs.put(line, Request(row, row.from_words(verb), "help"))
        elif lines:
            self._pipe.show(lines)
        else:
            self._pipe.refused(
                {"status": "ERROR", "code": "unknown-command", "message": verb},
                [[("", tr("There is no command {verb}; help lists all commands", verb=verb))]],
            )


async def given(lines: Iterable[str]) -> AsyncIterator[str]:
    for line in lines:
        yield line


async def read_lines(source: TextIO) -> AsyncIterator[str]:
    """Yield lines as they arrive, so that a script can wait for replies."""
    while line := await asyncio.to_thread(source.readline):
        yield line.rstrip("\r\n")


def quietly_end_output() -> None:
    """Discard the interpreter's last flush after a broken pipe."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
