"""The terminal: the input line, the status bar below it and the output above it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import Completer
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import ANSI, FormattedText, to_formatted_text
from prompt_toolkit.history import FileHistory, History
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.layout.processors import Processor, Transformation, TransformationInput
from prompt_toolkit.output import ColorDepth, Output
from prompt_toolkit.renderer import print_formatted_text
from prompt_toolkit.shortcuts import CompleteStyle
from prompt_toolkit.styles import Style

from chatd.client import render
from chatd.client.completion import ArgumentCompleter, LineCompleter
from chatd.client.link import Reconnector, Reply
from chatd.client.local_store import for_history
from chatd.client.render import Line, cells, cut, indent_of, safe, wrap
from chatd.client.state import Menu, State
from chatd.client.translations import tr, trn
from chatd.commands import arguments as types
from chatd.commands.rows import Arg

# Readable on dark and light backgrounds.
_SENDERS = (
    "#d75f5f", "#5f87d7", "#5faf5f", "#af5faf", "#d7875f", "#00afaf",
    "#8787d7", "#afaf00", "#d75faf", "#5fafd7", "#87af5f", "#af875f",
)  # fmt: skip
STYLE = Style.from_dict(
    {
        **{f"sender{number}": f"{colour} bold" for number, colour in enumerate(_SENDERS)},
        "own": "bold",
        "place": "bold",
        "time": "#808080",
        "note": "italic #808080",
        "error": "#d75f5f",
        "mention": "bold #d7af00",
        "up": "#5faf5f",
        "down": "#d75f5f",
        "prompt": "bold",
        "bottom-toolbar": "noreverse bg:#303030 #d0d0d0",
        "bottom-toolbar.bad": "bg:#5f0000 #ffffff",
        "bottom-toolbar.unread": "bold #d7af00",
    }
)
MAX_BAR_NAME = 24
BETWEEN_BELLS = 0.5  # seconds


class TypedHistory(FileHistory):
    """The history of typed lines, readable only by the user and without passwords."""

    def __init__(self, path: Path) -> None:
        path.touch(mode=0o600)
        path.chmod(0o600)
        super().__init__(str(path))

    def append_string(self, string: str) -> None:
        if for_history(string):
            super().append_string(string)


class Unseen(Processor):
    """Hides the typed text and its length."""

    def apply_transformation(self, transformation_input: TransformationInput) -> Transformation:
        return Transformation([], lambda _position: 0, lambda _position: 0)


class Screen:
    """The terminal of the client. `cancel` cancels transfers on Ctrl-C and returns whether there were any;
    `progress` returns the progress bar for a width; `waiting` returns the number of queued lines."""

    def __init__(
        self,
        history: Path | None = None,
        quiet: bool = False,
        terminal_in: Input | None = None,
        terminal_out: Output | None = None,
    ) -> None:
        self.cancel: Callable[[], bool] = lambda: False
        self.progress: Callable[[int], str] = lambda _width: ""
        self.waiting: Callable[[], int] = lambda: 0
        self._history = history
        self._quiet = quiet
        self._in, self._out = terminal_in, terminal_out
        self._pending: list[Line] = []
        self._flushing: asyncio.Task[None] | None = None
        self._rang = 0.0
        self._paste = ""  # the pasted text that the current line begins with
        self.was_pasted = False  # whether the last line began with a paste
        self._ticking: asyncio.Task[None] | None = None

    def attach(self, state: State, reconnector: Reconnector) -> None:
        self._state = state
        self._reconnector = reconnector
        self._argument = ArgumentCompleter(state)
        self._hide = False
        history = None if self._history is None else TypedHistory(self._history)
        self._line = self._session(LineCompleter(state), history, self._keys(), [])
        unseen = _When(Unseen(), lambda: self._hide)
        self._asked = self._session(self._argument, None, None, [unseen])
        self._now = self._line
        for session in (self._line, self._asked):
            # Suppress prompt_toolkit's warning about terminals that don't report the cursor position.
            session.app.renderer.cpr_not_supported_callback = lambda: None

    def _session(
        self,
        completer: Completer,
        history: History | None,
        keys: KeyBindings | None,
        processors: list[Processor],
    ) -> PromptSession[str]:
        return PromptSession(
            completer=completer,
            history=history,
            key_bindings=keys,
            input_processors=processors,
            bottom_toolbar=self._bar,
            style=STYLE,
            complete_style=CompleteStyle.READLINE_LIKE,
            complete_while_typing=False,
            color_depth=colour_depth(),
            enable_suspend=True,
            input=self._in,
            output=self._out,
        )

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()

        @keys.add("c-c")
        def _interrupt(event: KeyPressEvent) -> None:
            if self.cancel():
                return
            if event.current_buffer.text:
                event.current_buffer.reset()
            else:
                self.note(tr("quit or Ctrl-D leaves"))

        @keys.add(Keys.BracketedPaste)
        def _paste(event: KeyPressEvent) -> None:
            buffer = event.current_buffer
            text = "\n".join(event.data.splitlines())
            if not buffer.text:
                self._paste = text
            buffer.insert_text(text)

        return keys

    @property
    def has_colours(self) -> bool:
        return self._line.app.color_depth is not ColorDepth.DEPTH_1_BIT

    # Typing

    @contextlib.contextmanager
    def typing(self) -> Iterator[None]:
        """Disable the echo of keys typed before a prompt is shown."""
        with self._line.app.input.raw_mode():
            yield

    async def line(self) -> str:
        """Read a line. Raises EOFError for Ctrl-D."""
        self._now = self._line
        await self.flushed()
        self.title()
        self._paste = ""
        typed = await self._line.prompt_async(self._prompt)
        self.was_pasted = bool(self._paste) and typed.startswith(self._paste)
        return typed

    async def confirm(self, question: str) -> bool:
        """Ask a yes-or-no question; the default is no."""
        answer = await self.ask(f"{question} [y/N]", Arg("answer", types.TEXT))
        return (answer or "").strip().lower() in ("y", "yes", "ya")

    async def ask(self, prompt: str, arg: Arg) -> str | None:
        """Ask for one argument; None if the user cancels."""
        self._now = self._asked
        self._argument.arg = arg
        self._hide = arg.type is types.SECRET
        await self.flushed()
        try:
            return await self._asked.prompt_async([("class:prompt", f"{prompt.rstrip()} ")])
        except (KeyboardInterrupt, EOFError):
            return None
        finally:
            self._hide = False
            self._now = self._line

    def _prompt(self) -> FormattedText:
        chat, menu = self._state.chat, self._state.menu
        if chat is not None:
            return FormattedText([("class:prompt", f"{cut(safe(chat), MAX_BAR_NAME)}> ")])
        return FormattedText([("class:prompt", "> " if menu is Menu.MAIN else f"{menu}> ")])

    # Showing

    def answered(self, _reply: Reply, lines: list[Line]) -> None:
        self.show(lines)

    def refused(self, _reply: Reply, lines: list[Line]) -> None:
        self.show(lines)

    def happened(self, event: Reply, lines: list[Line], notice: bool) -> None:
        self.show(lines)
        if notice:
            self._ring()
            self.title(safe(event.get("from", "")))
        self.changed()

    def _ring(self) -> None:
        """Ring the bell, at most once in BETWEEN_BELLS seconds."""
        now = time.monotonic()
        if not self._quiet and now - self._rang > BETWEEN_BELLS:
            self._rang = now
            self._line.app.output.bell()

    def note(self, text: str) -> None:
        self.show([render.note(text)])

    def show(self, lines: list[Line]) -> None:
        """Print lines above the input line, batched with others of the same moment."""
        width = self._line.app.output.get_size().columns
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
            app = self._now.app
            if app.is_running and app.output.responds_to_cpr:
                # A pending cursor position report would be wrong after printing.
                await app.renderer.wait_for_cpr_responses()
            running = app.is_running
            lines, self._pending = self._pending, []
            if running:
                app.renderer.erase()
            self._write(lines)
            if running:
                app.renderer.reset()
                app.renderer.request_absolute_cursor_position()
                app.invalidate()

    def _write(self, lines: list[Line]) -> None:
        text: list[tuple[str, str]] = []
        for line in lines:
            text.extend((_style(style), part) for style, part in line)
            text.append(("", "\n"))
        app = self._line.app
        print_formatted_text(
            app.output, FormattedText(text), app.renderer.style, color_depth=app.color_depth
        )
        app.output.flush()

    # The status bar and the title

    def changed(self) -> None:
        self._now.app.invalidate()
        if self._reconnector.status.phase == "waiting" and (
            self._ticking is None or self._ticking.done()
        ):
            self._ticking = asyncio.get_running_loop().create_task(self._tick())

    async def _tick(self) -> None:
        """Redraw the countdown to the next connection attempt."""
        while self._reconnector.status.phase == "waiting":
            self._now.app.invalidate()
            await asyncio.sleep(0.5)

    def _bar(self) -> FormattedText:
        width = self._line.app.output.get_size().columns
        found: list[tuple[str, str]] = []
        if bar := self.progress(width):
            found.extend((style, text) for style, text, *_ in to_formatted_text(ANSI(bar)))
            found.append(("", "\n"))
        return FormattedText([*found, *_fit(self._parts(), width)])

    def _parts(self) -> list[tuple[str, str]]:
        state = self._state
        who = safe(state.user) if state.is_logged_in else tr("not logged in")
        parts = [("", f" {cut(who, MAX_BAR_NAME)} @ {safe(state.where)}")]
        if state.chat is not None:
            parts.append(("", cut(safe(state.chat), MAX_BAR_NAME)))
        elif state.menu is not Menu.MAIN:
            parts.append(("", str(state.menu)))
        if state.room is not None:
            parts.append(("", cut(tr("room {room}", room=safe(state.room)), MAX_BAR_NAME)))
        if unread := state.total_unread:
            parts.append(("class:bottom-toolbar.unread", tr("{n} unread", n=unread)))
        if (waiting := self.waiting()) and not self._reconnector.is_up:
            parts.append(
                ("class:bottom-toolbar.bad", trn("{n} line waits", "{n} lines wait", waiting))
            )
        parts.append(self._link())
        return parts

    def _link(self) -> tuple[str, str]:
        reconnector = self._reconnector
        if reconnector.is_up:
            return ("", tr("connected"))
        if reconnector.status.phase == "waiting":
            left = max(reconnector.status.next_try - asyncio.get_running_loop().time(), 0)
            text = tr(
                "connection lost, attempt {n} in {s} s", n=reconnector.status.tries, s=round(left)
            )
            return ("class:bottom-toolbar.bad", text)
        return ("class:bottom-toolbar.bad", tr("connecting"))

    def title(self, sender: str = "") -> None:
        """Set the terminal's title. `sender` has just written a message that deserves attention."""
        state = self._state
        unread = f"({state.total_unread}) " if state.total_unread else ""
        who = f"{sender} → " if sender else ""
        self._line.app.output.set_title(f"{unread}{who}{safe(state.user or '')} - chatd")
        self._line.app.output.flush()

    def leave(self) -> None:
        self._line.app.output.clear_title()
        self._line.app.output.flush()


class _When(Processor):
    def __init__(self, processor: Processor, condition: Callable[[], bool]) -> None:
        self._processor = processor
        self._condition = Condition(condition)

    def apply_transformation(self, transformation_input: TransformationInput) -> Transformation:
        if self._condition():
            return self._processor.apply_transformation(transformation_input)
        return Transformation(transformation_input.fragments)


def _fit(parts: list[tuple[str, str]], width: int) -> list[tuple[str, str]]:
    """Join the parts. If there is too little room, the first one is shortened."""
    rest = sum(cells(text) + 3 for _, text in parts[1:])
    style, first = parts[0]
    found = [(style, cut(first, max(width - rest - 1, 8)))]
    for style, text in parts[1:]:
        found += [("", " │ "), (style, text)]
    return found


def _style(style: str) -> str:
    """The prompt_toolkit style: a colour of a picture, or a class of the style sheet."""
    return style if not style or style.startswith("fg:") else f"class:{style}"


def colour_depth() -> ColorDepth | None:
    """The colour depth that the environment asks for; None lets prompt_toolkit decide."""
    if os.environ.get("NO_COLOR"):
        return ColorDepth.DEPTH_1_BIT
    if os.environ.get("COLORTERM", "").lower() in ("truecolor", "24bit"):
        return ColorDepth.DEPTH_24_BIT
    return None
