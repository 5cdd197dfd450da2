"""Telnet option negotiation (RFC 854, 855), as far as a server of lines needs it.

A client that never sends IAC gets none, except when it is asked for a password. BINARY (RFC 856) is accepted,
and offered in both directions to a client that has sent any telnet command: without it, Debian's client
mistakes bytes of UTF-8 for its control characters. ECHO (RFC 857) is offered while a password is typed.
SUPPRESS-GO-AHEAD (RFC 858) is refused: together with ECHO it makes clients send single characters instead of
edited lines.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

IAC: Final = 0xFF
DONT, DO, WONT, WILL, SB = 0xFE, 0xFD, 0xFC, 0xFB, 0xFA
ERASE_LINE, ERASE_CHARACTER, ARE_YOU_THERE = 0xF8, 0xF7, 0xF6
ABORT_OUTPUT, INTERRUPT, BREAK = 0xF5, 0xF4, 0xF3
ABORT: Final = 0xEE  # RFC 1184; codes from here on are commands
SUSPEND, END_OF_FILE = 0xED, 0xEC
FIRST_COMMAND: Final = END_OF_FILE
ABANDONING: Final = frozenset((ERASE_LINE, INTERRUPT, BREAK, ABORT))  # drop the line typed so far
# Without BINARY, Debian's telnet ignores the high bit of a byte when it looks for the keys ^C, ^\, ^Z and ^O,
# and sends the key's command instead of the byte. Within a UTF-8 character the byte can be recovered.
MISTAKEN: Final = {INTERRUPT: 0x83, BREAK: 0x9C, ABORT: 0x9C, SUSPEND: 0x9A, ABORT_OUTPUT: 0x8F}

BINARY: Final = 0
ECHO: Final = 1
SUPPRESS_GO_AHEAD: Final = 3
TIMING_MARK: Final = 6
# A terminal does not show what is typed while the server promises to echo it.
HIDE: Final = bytes((IAC, WILL, ECHO))
SHOW: Final = bytes((IAC, WONT, ECHO))


_NONE: frozenset[int] = frozenset()
# The options that each side may turn on
_OURS = frozenset((BINARY,))
_THEIRS = frozenset((BINARY, SUPPRESS_GO_AHEAD))


class _Side:
    """The options of one side of the connection. The server turns them on and off with the commands `yes` and
    `no`, and agrees to those in `accepted`."""

    __slots__ = ("_accepted", "_no", "_on", "_unanswered", "_yes")

    def __init__(self, yes: int, no: int, accepted: frozenset[int]) -> None:
        self._yes = yes
        self._no = no
        self._accepted = accepted
        self._on = _NONE  # shared, because few connections negotiate
        # Proposals of the server. The next command of the client for that option is the answer.
        self._unanswered: dict[int, int] = {}

    def has(self, option: int) -> bool:
        """Whether the option is on."""
        return option in self._on

    def proposed(self, option: int, on: bool) -> None:
        """Note that the server proposes to turn the option on or off."""
        self._unanswered[option] = self._unanswered.get(option, 0) + 1
        if not on:
            self._on -= {option}

    def offer(self, option: int) -> bytes:
        """The proposal to turn the option on; empty if it is on."""
        if option in self._on:
            return b""
        self.proposed(option, True)
        return bytes((IAC, self._yes, option))

    def requested(self, option: int, on: bool) -> bytes:
        """The answer to a client that wants the option on or off. A request for the current state gets none,
        so that two sides never answer each other forever."""
        was_on = option in self._on
        answers = self._unanswered.get(option, 0) > 0
        if answers:
            self._unanswered[option] -= 1
        if not on:
            self._on -= {option}
            return bytes((IAC, self._no, option)) if was_on and not answers else b""
        if answers or option in self._accepted:
            self._on |= {option}
            return b"" if answers or was_on else bytes((IAC, self._yes, option))
        return b"" if was_on else bytes((IAC, self._no, option))


class Telnet:
    """The negotiation of one connection. `offers`: offer BINARY once the client has sent any command."""

    __slots__ = ("_offers", "_ours", "_theirs")

    def __init__(self, offers: bool) -> None:
        self._offers = offers
        self._ours = _Side(WILL, WONT, _OURS)
        self._theirs = _Side(DO, DONT, _THEIRS)

    def answer(self, commands: Iterable[tuple[int, int]]) -> bytes:
        """The answer to commands, each with its option, or 0 if it has none."""
        answers = []
        for command, option in commands:
            if command in (DO, DONT):
                answers.append(self._ours.requested(option, command == DO))
            elif command in (WILL, WONT):
                answers.append(self._theirs.requested(option, command == WILL))
        if self._offers:
            self._offers = False
            answers += [self._ours.offer(BINARY), self._theirs.offer(BINARY)]
        return b"".join(answers)

    @property
    def is_binary(self) -> bool:
        """Whether what the client sends is BINARY."""
        return self._theirs.has(BINARY)

    def proposed_echo(self, on: bool) -> None:
        """Note that HIDE (on) or SHOW (off) is sent to the client."""
        self._ours.proposed(ECHO, on)
