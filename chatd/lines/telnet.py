"""Telnet's options (RFC 854, 855), as far as a server of lines needs them.

A client that never sends IAC is not sent any either, except when it is asked for a password. BINARY (RFC 856)
is accepted, and offered in both directions to a client that turns out to speak telnet: without it, Debian's
client takes bytes of UTF-8 for its own control characters. ECHO (RFC 857) is offered only while a password is
typed. SUPPRESS-GO-AHEAD (RFC 858) is refused: together with ECHO it would make a client send single
characters instead of edited lines.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

IAC: Final = 0xFF
DONT, DO, WONT, WILL, SB = 0xFE, 0xFD, 0xFC, 0xFB, 0xFA
ERASE_LINE, ERASE_CHARACTER, ARE_YOU_THERE = 0xF8, 0xF7, 0xF6
ABORT_OUTPUT, INTERRUPT, BREAK = 0xF5, 0xF4, 0xF3
ABORT: Final = 0xEE  # RFC 1184; codes from here on are commands
SUSPEND, END_OF_FILE = 0xED, 0xEC
FIRST_COMMAND: Final = END_OF_FILE
ABANDONING: Final = frozenset((ERASE_LINE, INTERRUPT, BREAK, ABORT))  # end a half-typed line
# Without BINARY, Debian's telnet ignores the high bit of a byte when it looks for the keys ^C, ^\, ^Z and ^O,
# and sends the key's command instead of the byte. Within a UTF-8 character the byte can be recovered.
MISTAKEN: Final = {
    INTERRUPT: 0x83,
    BREAK: 0x9C,
    ABORT: 0x9C,
    SUSPEND: 0x9A,
    ABORT_OUTPUT: 0x8F,
}

BINARY: Final = 0
ECHO: Final = 1
SUPPRESS_GO_AHEAD: Final = 3
TIMING_MARK: Final = 6
# While the server says that it echoes what is typed, a terminal does not show it.
HIDE: Final = bytes((IAC, WILL, ECHO))
SHOW: Final = bytes((IAC, WONT, ECHO))


class _End:
    """The options of one end. `yes` and `no` are the commands by which we speak about it."""

    def __init__(self, yes: int, no: int, accepted: frozenset[int]) -> None:
        self._yes = yes
        self._no = no
        self._accepted = accepted
        self._on: set[int] = set()
        # Options that we proposed; the client's next command on that option is the answer.
        self._unanswered: Counter[int] = Counter()

    def said(self, option: int, on: bool) -> None:
        """Note that we propose to turn the option on, or off."""
        self._unanswered[option] += 1
        if not on:
            self._on.discard(option)

    def offer(self, option: int) -> bytes:
        if option in self._on:
            return b""
        self.said(option, True)
        return bytes((IAC, self._yes, option))

    def heard(self, option: int, on: bool) -> bytes:
        """The answer to a client that wants the option on, or off. A request for the present state is not
        answered, so that two ends never answer each other without end."""
        was_on = option in self._on
        answers = self._unanswered[option] > 0
        if answers:
            self._unanswered[option] -= 1
        if not on:
            self._on.discard(option)
            return bytes((IAC, self._no, option)) if was_on and not answers else b""
        if answers or option in self._accepted:
            self._on.add(option)
            return b"" if answers or was_on else bytes((IAC, self._yes, option))
        return b"" if was_on else bytes((IAC, self._no, option))


class Telnet:
    """The telnet state of one connection. `offers`: offer BINARY once the client has sent any command."""

    def __init__(self, offers: bool) -> None:
        self._offers = offers
        self._ours = _End(WILL, WONT, frozenset((BINARY,)))
        self._theirs = _End(DO, DONT, frozenset((BINARY, SUPPRESS_GO_AHEAD)))

    def answer(self, commands: Iterable[tuple[int, int]]) -> bytes:
        """The answer to commands, each with its option (0 for those that have none)."""
        answers = []
        for command, option in commands:
            if command in (DO, DONT):
                answers.append(self._ours.heard(option, command == DO))
            elif command in (WILL, WONT):
                answers.append(self._theirs.heard(option, command == WILL))
        if self._offers:
            self._offers = False
            answers += [self._ours.offer(BINARY), self._theirs.offer(BINARY)]
        return b"".join(answers)

    def said_echo(self, on: bool) -> None:
        """Note that the client is sent HIDE, or SHOW."""
        self._ours.said(ECHO, on)
