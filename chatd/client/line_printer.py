"""Prints lines above the input line while the user types."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from prompt_toolkit.application import Application
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.renderer import print_formatted_text

from chatd.client.render import Line, indent_of, wrap


class LinePrinter:
    """`current` returns the application that draws the input line now."""

    def __init__(self, current: Callable[[], Application[str]]) -> None:
        self._current = current
        self._pending: list[Line] = []
        self._flushing: asyncio.Task[None] | None = None

    def show(self, lines: list[Line]) -> None:
        """Print lines soon, together with others of the same moment."""
        width = self._current().output.get_size().columns
        for line in lines:
            self._pending.extend(wrap(line, width, indent_of(line)))
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.get_running_loop().create_task(self._flush())

    async def flushed(self) -> None:
        """Wait until all lines are printed."""
        if self._flushing is not None:
            await self._flushing

    async def _flush(self) -> None:
        while self._pending:
            app = self._current()
            if app.is_running and app.output.responds_to_cpr:
                # A pending cursor position report would be wrong after printing.
                await app.renderer.wait_for_cpr_responses()
            running = app.is_running
            lines, self._pending = self._pending, []
            if running:
                app.renderer.erase()
            _write(app, lines)
            if running:
                app.renderer.reset()
                app.renderer.request_absolute_cursor_position()
                app.invalidate()


def _write(app: Application[str], lines: list[Line]) -> None:
    text: list[tuple[str, str]] = []
    for line in lines:
        text.extend((_style(style), part) for style, part in line)
        text.append(("", "\n"))
    print_formatted_text(
        app.output, FormattedText(text), app.renderer.style, color_depth=app.color_depth
    )
    app.output.flush()


def _style(style: str) -> str:
    """The prompt_toolkit style: a colour of a picture, or a class of the style sheet."""
    return style if not style or style.startswith("fg:") else f"class:{style}"
