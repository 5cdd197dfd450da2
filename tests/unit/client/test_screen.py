"""The keys of the input line, without a terminal."""

from __future__ import annotations

import asyncio
from typing import Any

from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput
from twisted.trial.unittest import TestCase

from chatd.client.screen import Screen, ScreenOptions
from chatd.client.state import State
from tests.unit.client.test_threads import BUDI, message

UP, DOWN, CONTROL_C, ESCAPE, ENTER = "\x1b[A", "\x1b[B", "\x03", "\x1b", "\r"


class NoStatus:
    def text(self, _width: int) -> str:
        return ""


class PickingKeys(TestCase):
    def typed(self, keys: str, in_chat: bool = True) -> tuple[str, int | None]:
        """The line after these keys, and the number of the picked message."""
        state = State("localhost")
        state.logged_in("lina", "Lina", "token")
        state.chat = BUDI if in_chat else None
        for seq in (1, 2, 4):
            state.see(message(seq))

        async def play() -> str:
            with create_pipe_input() as terminal:
                screen = Screen(ScreenOptions(terminal_in=terminal, terminal_out=DummyOutput()))
                status: Any = NoStatus()
                screen.attach(state, status, lambda: False)
                terminal.send_text(keys)
                return await asyncio.wait_for(screen.line(), 10)

        line = asyncio.run(play())
        return line, None if state.picked is None else state.picked.seq

    def test_up_and_down(self) -> None:
        self.assertEqual(self.typed(f"{UP}halo{ENTER}"), ("halo", 4))
        self.assertEqual(self.typed(f"{UP}{UP}{UP}halo{ENTER}"), ("halo", 1))
        self.assertEqual(self.typed(f"{UP}{UP}{DOWN}{ENTER}"), ("", 4))
        self.assertEqual(self.typed(f"{UP}{DOWN}halo{ENTER}"), ("halo", None))

    def test_leaving(self) -> None:
        """Ctrl-C ends the picking, and keeps the line."""
        self.assertEqual(self.typed(f"{UP}halo{CONTROL_C}{ENTER}"), ("halo", None))

    def test_further_line(self) -> None:
        """Escape and Enter begin another line, also while a message is picked."""
        self.assertEqual(self.typed(f"{UP}satu{ESCAPE}{ENTER}dua{ENTER}"), ("satu\ndua", 4))

    def test_elsewhere(self) -> None:
        """Outside of a chat, and with a line that has begun, arrow-up picks nothing."""
        self.assertEqual(self.typed(f"{UP}halo{ENTER}", in_chat=False), ("halo", None))
        self.assertEqual(self.typed(f"halo{UP}{ENTER}"), ("halo", None))
