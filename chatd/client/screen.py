"""The terminal: the input line, questions, the bell and the title."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
from prompt_toolkit import PromptSession
from prompt_toolkit.completion import Completer
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import FileHistory, History
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.layout.processors import Processor, Transformation, TransformationInput
from prompt_toolkit.output import ColorDepth, Output
from prompt_toolkit.shortcuts import CompleteStyle
from prompt_toolkit.styles import Style

from chatd.client import render
from chatd.client.completion import ArgumentCompleter, LineCompleter
from chatd.client.line_printer import LinePrinter
from chatd.client.link import Reply
from chatd.client.local_store import for_history
from chatd.client.render import Line, cut, safe
from chatd.client.state import Menu, State
from chatd.client.status_bar import MAX_NAME, StatusBar
from chatd.client.threads import Shown
from chatd.client.translations import tr
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
BETWEEN_BELLS = 0.5  # seconds
MAX_PICKED = 30  # cells of the picked message in the prompt


class TypedHistory(FileHistory):
    """The history of typed lines, readable only by the user and without passwords."""

    def __init__(self, path: Path) -> None:
        path.touch(mode=0o600)
        path.chmod(0o600)
        super().__init__(str(path))

    def append_string(self, string: str) -> None:
        if for_history(string):
            super().append_string(string)


class Question(Processor):
    """The input line that asks for one argument. Passwords and tokens are not shown."""

    def __init__(self, state: State) -> None:
        self.completer = ArgumentCompleter(state)
        self._is_hidden = False

    def begin(self, arg: Arg) -> None:
        self.completer.arg = arg
        self._is_hidden = arg.type is types.SECRET

    def end(self) -> None:
        self._is_hidden = False

    def apply_transformation(self, transformation_input: TransformationInput) -> Transformation:
        if self._is_hidden:  # not even the length
            return Transformation([], lambda _position: 0, lambda _position: 0)
        return Transformation(transformation_input.fragments)


class ScreenOptions(msgspec.Struct, frozen=True):
    """`history`: the file of typed lines. `quiet`: no bell. Without `terminal_in` and `terminal_out`, the
    terminal of the process is used."""

    history: Path | None = None
    quiet: bool = False
    terminal_in: Input | None = None
    terminal_out: Output | None = None


class Screen:
    """The terminal of the client."""

    def __init__(self, options: ScreenOptions) -> None:
        self._options = options
        self._printer = LinePrinter(lambda: self._now.app)
        self._rang = 0.0
        self._paste = ""  # the pasted text that the current line begins with
        self.was_pasted = False  # whether the last line began with a paste

    def attach(self, state: State, status_bar: StatusBar, cancel: Callable[[], bool]) -> None:
        """Prepare for input. `cancel` cancels transfers on Ctrl-C and returns whether there were any."""
        self._state = state
        self._status_bar = status_bar
        self._cancel = cancel
        self._question = Question(state)
        history = None if self._options.history is None else TypedHistory(self._options.history)
        self._line = self._session(LineCompleter(state), history, self._keys(), [])
        self._asked = self._session(self._question.completer, None, None, [self._question])
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
            bottom_toolbar=lambda: self._status_bar.text(self._columns),
            style=STYLE,
            complete_style=CompleteStyle.READLINE_LIKE,
            complete_while_typing=False,
            color_depth=colour_depth(),
            enable_suspend=True,
            input=self._options.terminal_in,
            output=self._options.terminal_out,
        )

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()
        self._add_picking(keys)

        @keys.add("c-c")
        def _interrupt(event: KeyPressEvent) -> None:
            if self._state.picked is not None:
                self._state.picked = None
                return
            if self._cancel():
                return
            if event.current_buffer.text:
                event.current_buffer.reset()
            else:
                self.note(tr("quit or Ctrl-D leaves"))

        @keys.add("escape", "enter")
        def _further_line(event: KeyPressEvent) -> None:
            event.current_buffer.insert_text("\n")

        @keys.add(Keys.BracketedPaste)
        def _paste(event: KeyPressEvent) -> None:
            buffer = event.current_buffer
            text = "\n".join(event.data.splitlines())
            if not buffer.text:
                self._paste = text
            buffer.insert_text(text)

        return keys

    def _add_picking(self, keys: KeyBindings) -> None:
        """The keys that pick a message of the open chat."""
        is_picking = Condition(lambda: self._state.picked is not None)
        may_pick = Condition(
            lambda: self._state.chat is not None and not self._line.default_buffer.text
        )

        @keys.add("up", filter=is_picking | may_pick)
        def _pick_earlier(event: KeyPressEvent) -> None:
            self._state.pick(back=True)
            event.app.invalidate()

        @keys.add("down", filter=is_picking)
        def _pick_later(event: KeyPressEvent) -> None:
            self._state.pick(back=False)
            event.app.invalidate()

        @keys.add("escape", filter=is_picking)
        def _pick_none(event: KeyPressEvent) -> None:
            self._state.picked = None
            event.app.invalidate()

    @property
    def _columns(self) -> int:
        return self._line.app.output.get_size().columns

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
        self._question.begin(arg)
        await self.flushed()
        try:
            return await self._asked.prompt_async([("class:prompt", f"{prompt.rstrip()} ")])
        except (KeyboardInterrupt, EOFError):
            return None
        finally:
            self._question.end()
            self._now = self._line

    def _prompt(self) -> FormattedText:
        chat, menu = self._state.chat, self._state.menu
        if chat is not None:
            picked = self._state.picked
            about = [] if picked is None else [("class:time", f" {_picked(picked)}")]
            place = ("class:prompt", cut(safe(chat), MAX_NAME))
            return FormattedText([place, *about, ("class:prompt", "> ")])
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
        if not self._options.quiet and now - self._rang > BETWEEN_BELLS:
            self._rang = now
            self._line.app.output.bell()

    def note(self, text: str) -> None:
        self.show([render.note(text)])

    def show(self, lines: list[Line]) -> None:
        """Print lines above the input line."""
        self._printer.show(lines)

    async def flushed(self) -> None:
        """Wait until all lines are printed."""
        await self._printer.flushed()

    # The status bar and the title

    def changed(self) -> None:
        self._redraw()
        self._status_bar.count_down(self._redraw)

    def _redraw(self) -> None:
        self._now.app.invalidate()

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


def _picked(message: Shown) -> str:
    """The picked message in the prompt."""
    return f"↩ {cut(safe(message.sender), MAX_NAME)}: {cut(safe(message.text), MAX_PICKED)}"


def colour_depth() -> ColorDepth | None:
    """The colour depth that the environment asks for; None lets prompt_toolkit decide."""
    if os.environ.get("NO_COLOR"):
        return ColorDepth.DEPTH_1_BIT
    if os.environ.get("COLORTERM", "").lower() in ("truecolor", "24bit"):
        return ColorDepth.DEPTH_24_BIT
    return None
