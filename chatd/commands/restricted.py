"""The only place where a role is checked, and where the audit log learns what a command changes."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeAlias, TypeVar

import msgspec
from twisted.logger import Logger

from chatd.base.background import EXPECTED
from chatd.base.errors import ChatError, LocalOnly
from chatd.base.roles import Role
from chatd.commands.client import Client, Handler
from chatd.commands.results import Result
from chatd.commands.rows import Audited, Row
from chatd.commands.table import BY_COMMAND
from chatd.commands.values import Command
from chatd.commands.words import in_words
from chatd.service.audit import Act
from chatd.store.audit import DONE

# The outcome of an act that an unexpected error has ended
FAILED = "failed"
MAX_DETAIL = 1000  # characters in the audit log, of the target and of the rest
LACKING = "the audit log lacks that an act has ended: {outcome}"

ActHandler: TypeAlias = Callable[[Client, Any, Act], Coroutine[Any, Any, Result]]
C = TypeVar("C", bound=Command)
A = TypeVar("A", bound=Coroutine[Any, Any, Result])

log = Logger()


class ActHandlers(dict[type[Command], ActHandler]):
    """Handlers of commands that need a role. They are given the Act, which has the actor."""

    def of(
        self, command: type[C]
    ) -> Callable[[Callable[[Client, C, Act], A]], Callable[[Client, C, Act], A]]:
        """Decorator: makes a function the handler of `command`."""

        def register(handler: Callable[[Client, C, Act], A]) -> Callable[[Client, C, Act], A]:
            self[command] = handler
            return handler

        return register


def restricted(handlers: Mapping[type[Command], ActHandler]) -> dict[type[Command], Handler]:
    """The handlers as those of all commands: they check the role, and write to the audit log."""
    return {
        command: _restricted(BY_COMMAND[command], handler) for command, handler in handlers.items()
    }


def _restricted(row: Row, handler: ActHandler) -> Handler:
    needed, audited = row.role, row.audited
    if needed is None:
        raise TypeError(f"{row.verb} has no role, so that its handler gets no Act")

    async def handle(client: Client, command: Command) -> Result:
        act = _act_of(client, needed, row, command)
        if audited is None:
            return await handler(client, command, act)
        if audited is Audited.IN_STEPS:
            await act.begin()
        try:
            result = await handler(client, command, act)
        except ChatError as error:
            await _end(act, error.code)
            raise
        except BaseException:
            await _end(act, FAILED)
            raise
        await _end(act, DONE)
        return result

    return handle


def _act_of(client: Client, needed: Role, row: Row, command: Command) -> Act:
    """The act of executing `command`. Raises NotLoggedIn, NotOperator, NotModerator,
    LocalOnly."""
    actor = client.actor
    actor.check(needed)
    if row.local and not actor.is_local:
        raise LocalOnly(command=in_words(row.verb))
    target, detail = described(row, command)
    return client.service.audit.act(actor, row.verb, target, detail)


async def _end(act: Act, outcome: str) -> None:
    """Store what became of the act. If that fails, the reply still says what became of it."""
    try:
        await act.end(outcome)
    except EXPECTED:
        log.error(LACKING, outcome=outcome)
    except ChatError:
        log.failure(LACKING, outcome=outcome)


def described(row: Row, command: Command) -> tuple[str | None, str]:
    """The target of a command, and its other arguments, for the audit log. Secrets are left out."""
    shown = {
        arg.name: value
        for arg in row.args
        if arg.type.shape != "secret" and (value := getattr(command, arg.name)) is not None
    }
    first = row.args[0] if row.args else None
    target = None if first is None or first.named else shown.pop(first.name, None)
    details = " ".join(f"{name}={_text(value)}" for name, value in shown.items())
    return None if target is None else _text(target)[:MAX_DETAIL], details[:MAX_DETAIL]


def _text(value: Any) -> str:
    """An argument as text, on one line."""
    if isinstance(value, bool):
        return "on" if value else "off"
    text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
    if isinstance(value, msgspec.Struct) and text.startswith(type(value).__name__):
        raise TypeError(f"{type(value).__name__} has no text for the audit log")
    return text if text.isprintable() else ascii(text)[1:-1]
