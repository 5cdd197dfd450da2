"""The client in a terminal: it reads, parses and runs lines until the user quits."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import assert_never

from chatd.base.errors import ChatError
from chatd.client import pictures
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
from chatd.client.help_text import help_lines, menu_lines
from chatd.client.input_errors import NotUnderstood
from chatd.client.line_parser import parse_line, sentence
from chatd.client.local_store import Store
from chatd.client.progress_bar import ProgressBar
from chatd.client.queued_command import needs_login
from chatd.client.render import error, plain
from chatd.client.screen import Screen
from chatd.client.state import Menu
from chatd.client.status_bar import StatusBar
from chatd.client.transfer_queue import Transfers
from chatd.client.translations import tr, trn
from chatd.commands.table import BY_VERB

MOMENT = 0.25  # seconds; a reply within this time needs no redraw of the prompt


class InteractiveClient:
    """`downloads`: the folder for downloads. `user`: the user to log in as, if given."""

    def __init__(
        self,
        addresses: Addresses,
        store: Store,
        screen: Screen,
        downloads: Path,
        user: str | None,
        show_pictures: bool,
    ) -> None:
        self._client = client = Client(addresses, store, screen, live=True)
        self._screen = screen
        self._user = user
        self._warned = False  # the last line wanted to quit and was told of pending work
        bar = ProgressBar(screen.changed)
        self._transfers = Transfers(client, downloads, bar)
        self._jobs = CommandQueue(client, self._transfers.add)
        status = StatusBar(client.state, client.reconnector, bar.text, lambda: self._jobs.waiting)
        screen.attach(client.state, status, self._transfers.cancel)
        client.pictures.enabled = show_pictures and screen.has_colours

    async def run(self) -> None:
        """Run until the user quits. Raises ConnectionFailed if the realm can't be reached at the start."""
        client = self._client
        known = await client.connect(self._user)
        self._screen.note(
            tr("Connected to {where}. help lists the commands.", where=client.whereabouts)
        )
        working = [
            asyncio.create_task(each)
            for each in (self._jobs.run(), self._transfers.run(), pictures.show_arriving(client))
        ]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                await client.reconnector.link()
        try:
            with self._screen.typing():
                if not known:
                    await self._invite()
                await self._read_lines()
        finally:
            for task in working:
                task.cancel()
            await client.close()
            await self._screen.flushed()
            self._screen.leave()

    async def _invite(self) -> None:
        """Without a session, explain how to log in, or ask for the password of the given user."""
        if self._user is None:
            self._screen.note(tr("register creates an account, login logs in"))
        else:
            await self._handle(f"login {self._user}")

    async def _read_lines(self) -> None:
        while True:
            try:
                typed = await self._screen.line()
            except KeyboardInterrupt:
                continue
            except EOFError:
                if not self._step_out():
                    return
                continue
            if not await self._take(typed):
                return

    async def _take(self, typed: str) -> bool:
        """Run what was typed or pasted; False to quit. Lines that were pasted outside of a chat are commands.
        All other lines belong together: they are a text, or a command that ends in one."""
        pasted = self._screen.was_pasted
        if not pasted or self._client.state.chat is not None:
            return await self._handle(typed.strip("\n"), pasted)
        lines = [line for line in typed.splitlines() if line.strip()]
        question = tr("Run {n} pasted lines as commands?", n=len(lines))
        if len(lines) > 1 and not await self._screen.confirm(question):
            self._screen.note(tr("The pasted lines were not used; arrow-up recalls them"))
            return True
        for line in lines:
            if await self._handle(line, pasted) is False:
                return False
        return True

    def _step_out(self) -> bool:
        """Leave the chat or menu; False to quit the client."""
        state = self._client.state
        if state.chat is None and state.menu is Menu.MAIN:
            return not self._may_leave()
        state.back()
        return True

    def _may_leave(self) -> bool:
        """Whether to quit now. If lines or files are still pending, warn once first."""
        waiting = self._jobs.waiting
        if self._warned or not (waiting or self._transfers.busy):
            return True
        self._warned = True
        if waiting:
            self._screen.note(
                trn("{n} line is not sent yet; quit again to leave anyway",
                    "{n} lines are not sent yet; quit again to leave anyway", waiting)
            )  # fmt: skip
        else:
            self._screen.note(tr("A file is being transferred; quit again to leave anyway"))
        return False

    async def _handle(self, line: str, pasted: bool = False) -> bool:
        """Run one line; False to quit."""
        state = self._client.state
        try:
            todo = await parse_line(line, state, self._screen.ask, pasted)
        except (NotUnderstood, ChatError) as problem:
            self._screen.show([error(sentence(problem))])
            return True
        if isinstance(todo, QuitClient):
            return not self._may_leave()
        self._warned = False
        state.picked = None
        if todo is not None:
            self._begin(line, todo)
            if self._client.reconnector.is_up:
                await self._moment()
        return True

    def _begin(self, line: str, todo: LocalAction | QueuedAction) -> None:
        """Run local actions at once and queue requests."""
        state, screen = self._client.state, self._screen
        match todo:
            case EnterMenu(menu=menu):
                state.chat, state.menu = None, menu
                screen.show(menu_lines(menu))
                if menu is Menu.LIST:
                    row = BY_VERB["inbox"]
                    self._jobs.put(line, Request(row, row.from_words(""), "list"))
            case GoBack():
                state.back()
                screen.show([])
            case ShowHelp(verb=verb):
                lines = help_lines(verb, state.menu)
                unknown = [
                    error(tr("There is no command {verb}; help lists all commands", verb=verb))
                ]
                screen.show(lines or unknown)
            case OpenChat(place=place):
                state.chat = place
                self._jobs.put(line, todo)
            case Request() | SayInChat() | SendFiles() | GetFiles() | ListNumberedGroups():
                self._jobs.put(line, todo)
                if not self._client.reconnector.is_up:
                    screen.show([plain(tr("(waiting for the connection)"))])
                elif state.expired and needs_login(todo):
                    screen.show([plain(tr("(waiting until you log in again)"))])
            case _:
                assert_never(todo)

    async def _moment(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(MOMENT):
                await self._jobs.idle()
