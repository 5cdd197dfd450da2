"""What a client is asked for beside its requests: secrets, which telnet hides, texts of several lines, and
telnet options."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chatd.base.errors import ChatError, NotLoggedIn
from chatd.lines.composer import END, Composer
from chatd.lines.dialect import Composition, Confirmation, Prompt, Request
from chatd.lines.telnet import ARE_YOU_THERE, Telnet

if TYPE_CHECKING:
    from chatd.lines.protocol import ChatLineProtocol


class Prompts:
    """What the client of `host` was asked for and has not answered completely, and its telnet options."""

    __slots__ = ("_host", "_telnet", "is_binary", "pending")

    def __init__(self, host: ChatLineProtocol) -> None:
        self._host = host
        self._telnet = Telnet(host.factory.dialect.telnet)
        self.pending: Prompt | Composer | None = None
        self.is_binary = False  # whether what the client sends is BINARY, a telnet option

    def go_on(self, found: Prompt | Composition | Confirmation | None) -> None:
        """Go on with a request of several parts, if there is one. The next lines are the answer to a prompt,
        or the text of a composition."""
        if found is None:
            return
        requests = self._host.requests
        if isinstance(found, Confirmation):
            requests.files.confirm()
        elif found.row.login and self._host.connection.own.session is None:
            requests.refuse_line(NotLoggedIn())
        elif isinstance(found, Composition):
            limit = self._host.factory.service.config.limits.message
            self.pending = Composer(found, limit)
            requests.say(found.ready)
        else:
            self.pending = found
            self._telnet.proposed_echo(True)
            requests.say(found.prompt)

    def _end(self, prompt: Prompt) -> None:
        """Show again what is typed."""
        self.pending = None
        self._telnet.proposed_echo(False)
        self._host.requests.say(prompt.after)

    def begin_line(self) -> None:
        """A line has arrived while BINARY is on, and terminals have shown it. Those of telnet clients do not
        return to the first column after it, so what follows begins with CR. A prompt ends with CR LF."""
        requests = self._host.requests
        if not isinstance(self.pending, Prompt) and requests.files.offer is None:
            requests.say(b"\r")

    def answer(self, line: bytes) -> Request | Prompt | None:
        """What follows from `line`: the request that it completes, the next prompt, or nothing yet. Raises
        Unreadable."""
        pending = self.pending
        if isinstance(pending, Composer):
            if line == END:
                self.pending = None
            return pending.add(line)
        if pending is None:
            return None
        self._end(pending)
        return pending.answer(line)

    def refuse_line(self, error: ChatError, size: int) -> None:
        """A line of more than `size` bytes was dropped. In a text that is composed, the refusal waits for the
        end of the text."""
        if isinstance(self.pending, Composer):
            self.pending.add_long(size)
            return
        if self.pending is not None:
            self._end(self.pending)
        self._host.requests.refuse_line(error)

    def forget(self) -> None:
        """Drop an incomplete answer."""
        self.pending = None

    def negotiate(self, commands: list[tuple[int, int]]) -> None:
        """Answer telnet commands, in order with the replies."""
        answer = self._telnet.answer(commands)
        self.is_binary = self._telnet.is_binary
        if (ARE_YOU_THERE, 0) in commands:
            answer += self._host.factory.dialect.here
        if answer:
            self._host.requests.say(answer)
