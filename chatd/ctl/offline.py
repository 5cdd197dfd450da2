"""Executes commands on the state folder of a stopped realm, with the handlers of the running one.

The realm is opened as the daemon opens it, under the lock of its state folder, but without its doors and
links.
"""

from __future__ import annotations

import json
import os
import pwd
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.logger import (
    FilteringLogObserver,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    formatEvent,
    globalLogBeginner,
)
from zope.interface import implementer

from chatd.app import owner
from chatd.app.realm import Environment, Realm
from chatd.app.state import StartError
from chatd.base.clocks import IReactor
from chatd.base.config import Config
from chatd.base.errors import ChatError
from chatd.base.events import Event
from chatd.base.principals import Principal
from chatd.base.replies import Reply
from chatd.commands.connection import Connection, Origin
from chatd.commands.results import DownloadReply
from chatd.commands.rows import Row
from chatd.commands.values import AddAccount, Command
from chatd.ctl.exits import NotReached
from chatd.ctl.saving import CHUNK, Saving
from chatd.ctl.state import STATE_HANDLERS
from chatd.files.outgoing import Outgoing
from chatd.lines.control import local_operator
from chatd.lines.dialect import Request
from chatd.lines.dialects.control import ControlDialect
from chatd.service.presence import IListener

# Commands that do not need an open realm, because they are for states that may not open. Each is called with
# the configuration and the command, takes the lock of the state folder itself, and returns the reply as the
# json dialect writes it. Raises CtlError.
OfflineHandler = Callable[[Config, Any], dict[str, Any]]
OFFLINE: Mapping[type[Command], OfflineHandler] = STATE_HANDLERS
# Commands that may make a new realm
FOUNDING: tuple[type[Command], ...] = (AddAccount,)


@implementer(IListener)
class NobodyListens:
    """The listener of a connection that gets no events."""

    def deliver(self, events: Sequence[Event]) -> None:
        """Drop the events."""

    def drop(self) -> None:
        """There is nothing to drop."""

    def refuse(self, error: ChatError) -> None:
        """Do nothing, as in `drop`."""


def run_offline(
    config: Config, row: Row, given: Mapping[str, Any], saving: Saving | None = None
) -> dict[str, Any]:
    """Execute a command. Returns its reply as the json dialect writes it. The file that follows it is saved
    by `saving`. Raises CtlError."""
    command = row.from_names(given)
    actor = local_operator(os.getuid(), _own_name())
    become_owner(config.state)
    handler = OFFLINE.get(row.command)
    if handler is not None:
        return handler(config, command)
    _check_exists(config, row)
    from twisted.internet import reactor

    _log_warnings()
    network = cast(IReactor, reactor)
    realm = Realm(config, Environment(network, os.urandom, network))
    try:
        realm.open()
    except StartError as error:
        realm.release()
        raise NotReached(str(error)) from None
    return _in_reactor(reactor, lambda: _execute(realm, actor, row, command, saving))


def become_owner(state: Path) -> None:
    """As chatd.app.owner. Raises NotReached if the owner can't use the folder."""
    try:
        owner.become_owner(state)
    except StartError as error:
        raise NotReached(str(error)) from None


def _check_exists(config: Config, row: Row) -> None:
    """Raises NotReached if there is no realm, so that a wrong path does not make one. A new realm begins with
    its first account."""
    if row.command in FOUNDING or config.database_url or (config.state / "chatd.db").exists():
        return
    raise NotReached(f"there is no realm in the state folder {config.state}; check --config")


async def _execute(
    realm: Realm, actor: Principal, row: Row, command: Command, saving: Saving | None = None
) -> dict[str, Any]:
    """Execute the command as `actor` would at the control socket, and close the realm."""
    connection = Connection(realm.sessions, NobodyListens(), Origin("local", 0))
    connection.actor = actor
    dialect, request = ControlDialect(), Request(row, command, 1)
    try:
        result = connection.own.execute(command)
        found = await result if isinstance(result, Deferred) else result
        if isinstance(found, DownloadReply) and saving is not None:
            reply = _object(dialect.reply(request, found.reply))
            await _save(found.download.file, reply, saving)
        elif isinstance(found, Reply):
            reply = _object(dialect.reply(request, found))
        else:
            raise TypeError(f"{row.verb} needs a connection")
    except ChatError as error:
        reply = _object(dialect.error(error, 1))
    finally:
        await realm.close()
    return reply


def _object(line: bytes) -> dict[str, Any]:
    reply: dict[str, Any] = json.loads(line)
    reply.pop("id")
    return reply


async def _save(file: Outgoing, reply: Mapping[str, Any], saving: Saving) -> None:
    """Save the file of a reply, and close it. Raises as Saving.open."""
    try:
        with saving.open(reply) as saved:
            while data := await file.read(CHUNK):
                saved.write(data)
    finally:
        await file.close()


def _own_name() -> dict[int, str]:
    try:
        return {os.getuid(): pwd.getpwuid(os.getuid()).pw_name}
    except KeyError:
        return {}


def _in_reactor(reactor: Any, make: Callable[[], Any]) -> dict[str, Any]:
    """Run the reactor until the coroutine that `make` returns has ended. Returns or raises its result."""
    results: list[Any] = []

    def begin() -> None:
        done: Deferred[Any] = Deferred.fromCoroutine(make())
        done.addBoth(results.append)
        done.addBoth(lambda _result: reactor.stop())

    reactor.callWhenRunning(begin)
    reactor.run()
    if not results:
        raise KeyboardInterrupt
    result = results[0]
    if isinstance(result, dict):
        return result
    result.raiseException()
    raise AssertionError(result)


def _log_warnings() -> None:
    """Write warnings and errors of the realm to the standard error."""

    def write(event: LogEvent) -> None:
        sys.stderr.write(f"chatctl: {formatEvent(event)}\n")

    important = LogLevelFilterPredicate(LogLevel.warn)
    observer = FilteringLogObserver(write, [important])  # type: ignore[arg-type]
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)
