"""Debian's telnet on a terminal, with a real daemon."""

from __future__ import annotations

import os
import pty
import shutil
import signal
import time
from unittest import SkipTest

from tests.support.browser import PASSWORD, Site
from tests.support.processes import DaemonTestCase, can_be_read


class Terminal:
    """Debian's telnet on a terminal, at the door `plain`."""

    def __init__(self, port: int) -> None:
        self.screen = b""
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.execvp("telnet", ["telnet", "127.0.0.1", str(port)])  # noqa: S606

    def sees(self, text: str, patience: float = 20.0) -> None:
        """Wait until the text is on the screen, and forget the text and everything before it."""
        end = time.monotonic() + patience
        while text.encode() not in self.screen:
            left = end - time.monotonic()
            if left <= 0 or not can_be_read(self._fd, left):
                raise AssertionError(f"waited in vain for {text!r}; there is {self.screen!r}")
            try:
                self.screen += os.read(self._fd, 4096)
            except OSError:  # the end of a terminal (EIO)
                raise AssertionError(f"ended without {text!r}; there is {self.screen!r}") from None
        self.screen = self.screen.partition(text.encode())[2]

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def close(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._fd)


class DebiansTelnet(DaemonTestCase):
    def setUp(self) -> None:
        if shutil.which("telnet") is None:
            raise SkipTest("no telnet here")
        super().setUp()
        self.site = Site(self.root, "realm1")
        self.addCleanup(self.site.close)
        self.site.start()
        self.terminal = Terminal(self.site.ports["plain"])
        self.addCleanup(self.terminal.close)
        self.terminal.sees("Type help.")

    def texts(self) -> list[str]:
        """The messages that messi has sent to messi."""
        with self.site.login("messi") as talker:
            reply = talker.must(command="history", user="messi")
        return [each["text"] for each in reply["messages"]]

    def test_typed_text_arrives_intact(self) -> None:
        self.terminal.type("register messi\n")
        for prompt in ("Password: ", "Password again: "):
            self.terminal.sees(prompt)
            self.terminal.type(f"{PASSWORD}\n")
        self.terminal.sees("tokenId")
        self.terminal.type("send messi Ü und “so” 👋\n")
        self.terminal.sees("Message sent")
        self.terminal.type("send messi hal\x03send messi danach Ú\n")
        self.terminal.sees("Message sent")
        self.terminal.type("history messi 1\n")
        self.terminal.sees("messi: danach Ú")
        self.assertEqual(self.texts(), ["Ü und “so” 👋", "danach Ú"])

    def test_the_first_line_too(self) -> None:
        """Before BINARY is agreed upon, which happens at the client's first command."""
        self.terminal.type(f"register messi {PASSWORD}\n")
        self.terminal.sees("tokenId")
        self.terminal.type("send messi Über Ú\n")
        self.terminal.sees("Message sent")
        self.terminal.type("send messi “so”\n")
        self.terminal.sees("Message sent")
        self.assertEqual(self.texts(), ["Über Ú", "“so”"])
