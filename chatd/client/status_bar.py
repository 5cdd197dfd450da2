"""The status bar below the input line: who is logged in, where, what is unread or waits for an
answer, and the connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from prompt_toolkit.formatted_text import ANSI, FormattedText, to_formatted_text

from chatd.client.link import Phase, Reconnector
from chatd.client.render import cells, cut, safe
from chatd.client.state import Menu, State
from chatd.client.translations import tr, trn

MAX_NAME = 24  # cells for each name
COUNTDOWN_STEP = 0.5  # seconds between two redraws of a countdown


class StatusBar:
    """`progress` returns the progress bar of a transfer for a width; `waiting` returns the number of queued
    lines."""

    def __init__(
        self,
        state: State,
        reconnector: Reconnector,
        progress: Callable[[int], str],
        waiting: Callable[[], int],
    ) -> None:
        self._state = state
        self._reconnector = reconnector
        self._progress = progress
        self._waiting = waiting
        self._countdown: asyncio.Task[None] | None = None

    def text(self, width: int) -> FormattedText:
        found: list[tuple[str, str]] = []
        if bar := self._progress(width):
            found.extend((style, text) for style, text, *_ in to_formatted_text(ANSI(bar)))
            found.append(("", "\n"))
        return FormattedText([*found, *_fit(self._parts(), width)])

    def count_down(self, redraw: Callable[[], None]) -> None:
        """Redraw regularly while the client waits for its next attempt to connect."""
        if self._is_counting and (self._countdown is None or self._countdown.done()):
            self._countdown = asyncio.get_running_loop().create_task(self._count_down(redraw))

    async def _count_down(self, redraw: Callable[[], None]) -> None:
        while self._is_counting:
            redraw()
            await asyncio.sleep(COUNTDOWN_STEP)

    @property
    def _is_counting(self) -> bool:
        return self._reconnector.status.phase is Phase.WAITING

    def _parts(self) -> list[tuple[str, str]]:
        state = self._state
        who = safe(state.user) if state.is_logged_in else tr("not logged in")
        parts = [("", f" {cut(who, MAX_NAME)} @ {safe(state.where)}")]
        if state.chat is not None:
            parts.append(("", cut(safe(state.chat), MAX_NAME)))
            thread = state.threads.of(state.chat.key)
            if (typist := state.typing.get(thread.conversation or 0)) is not None:
                parts.append(("", tr("{user} is typing", user=cut(safe(typist), MAX_NAME))))
        elif state.menu is not Menu.MAIN:
            parts.append(("", str(state.menu)))
        if state.room is not None:
            parts.append(("", cut(tr("room {room}", room=safe(state.room)), MAX_NAME)))
        if unread := state.total_unread:
            parts.append(("class:bottom-toolbar.unread", tr("{n} unread", n=unread)))
        if asking := len(state.asking):
            parts.append(("class:bottom-toolbar.unread", tr("{n} to answer", n=asking)))
        if (waiting := self._waiting()) and not self._reconnector.is_up:
            parts.append(
                ("class:bottom-toolbar.bad", trn("{n} line waits", "{n} lines wait", waiting))
            )
        parts.append(self._link())
        return parts

    def _link(self) -> tuple[str, str]:
        status = self._reconnector.status
        where = safe(str(status.target)) if status.addresses > 1 and status.target else ""
        if self._reconnector.is_up:
            return ("", tr("connected to {where}", where=where) if where else tr("connected"))
        text = tr("connecting to {where}", where=where) if where else tr("connecting")
        if status.phase is Phase.WAITING:
            left = round(max(status.next_try - asyncio.get_running_loop().time(), 0))
            text = tr("connection lost, attempt {n} in {s} s", n=status.tries, s=left)
            if where and status.tries > 1:
                text = tr("none of {n} addresses answers, attempt {m} in {s} s",
                          n=status.addresses, m=status.tries, s=left)  # fmt: skip
        return ("class:bottom-toolbar.bad", text)


def _fit(parts: list[tuple[str, str]], width: int) -> list[tuple[str, str]]:
    """Join the parts. If there is too little room, the first one is shortened."""
    rest = sum(cells(text) + 3 for _, text in parts[1:])
    style, first = parts[0]
    found = [(style, cut(first, max(width - rest - 1, 8)))]
    for style, text in parts[1:]:
        found += [("", " │ "), (style, text)]
    return found
