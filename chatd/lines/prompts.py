"""What a client is asked for beside its requests: secrets, which telnet hides, and telnet options."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chatd.base.errors import NotLoggedIn
from chatd.lines.dialect import Prompt, Request
from chatd.lines.telnet import ARE_YOU_THERE, Telnet

if TYPE_CHECKING:
    from chatd.lines.protocol import ChatLineProtocol


class Prompts:
    """The prompt that the client of `host` has not answered yet, if there is one, and its telnet options."""

    __slots__ = ("_host", "_telnet", "pending")

    def __init__(self, host: ChatLineProtocol) -> None:
        self._host = host
        self._telnet = Telnet(host.factory.dialect.telnet)
        self.pending: Prompt | None = None

    def ask(self, prompt: Prompt) -> None:
        """Send a prompt. The next line is the answer."""
        requests = self._host.requests
        if prompt.row.login and self._host.connection.own.session is None:
            requests.refuse_line(NotLoggedIn())
            return
        self.pending = prompt
        self._telnet.proposed_echo(True)
        requests.say(prompt.prompt)

    def end(self) -> Prompt | None:
        """Show again what is typed. Returns the prompt that was pending."""
        prompt, self.pending = self.pending, None
        if prompt is not None:
            self._telnet.proposed_echo(False)
            self._host.requests.say(prompt.after)
        return prompt

    def answer(self, line: bytes) -> Request | Prompt | None:
        """The request or the next prompt after `line`, the answer to the pending one."""
        prompt = self.end()
        return None if prompt is None else prompt.answer(line)

    def negotiate(self, commands: list[tuple[int, int]]) -> None:
        """Answer telnet commands, in order with the replies."""
        answer = self._telnet.answer(commands)
        if (ARE_YOU_THERE, 0) in commands:
            answer += self._host.factory.dialect.here
        if answer:
            self._host.requests.say(answer)
