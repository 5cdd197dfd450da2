"""Commands on the state folder of a stopped realm that do not open the realm, because its state may not be in
order."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from chatd.app.backup.manifest import BackupError
from chatd.app.state import StartError, StateFolder
from chatd.app.upkeep import StateWork
from chatd.base.config import Config
from chatd.base.errors import BackupFailed
from chatd.base.replies import Reply
from chatd.commands import values as ask
from chatd.commands.handlers.admin.upkeep import backup_reply, check_reply, restore_reply
from chatd.commands.table import BY_COMMAND
from chatd.commands.values import Command
from chatd.ctl.exits import NotReached
from chatd.lines.dialect import Request
from chatd.lines.dialects.control import ControlDialect


@contextmanager
def _claimed(config: Config, *, is_new: bool = False) -> Iterator[StateFolder]:
    """The state folder, locked. Only a new one is made. Raises NotReached."""
    if not is_new and not config.state.is_dir():
        raise NotReached(f"[realm] state is {config.state}, which does not exist")
    state = StateFolder(config.state, uploads=config.files.folder)
    try:
        state.claim()
    except StartError as error:
        raise NotReached(str(error)) from None
    try:
        yield state
    finally:
        state.release()


def _back_up(config: Config, command: ask.MakeBackup) -> Reply:
    with _claimed(config) as state:
        return backup_reply(StateWork(config, state, time.time).back_up(command.folder))


def _check(config: Config, command: ask.CheckState) -> Reply:
    with _claimed(config) as state:
        work = StateWork(config, state, time.time)
        return check_reply(work.check(not command.quick, command.repair))


def _restore(config: Config, command: ask.RestoreBackup) -> Reply:
    with _claimed(config, is_new=True) as state:
        return restore_reply(StateWork(config, state, time.time).restore(command.folder))


def _vacuum(config: Config, _command: ask.VacuumDatabase) -> Reply:
    with _claimed(config) as state:
        before, after = StateWork(config, state, time.time).vacuum()
    fields: dict[str, str | int | bool] = {"before_size": before, "after_size": after}
    return Reply("The database file is as small as possible", fields)


_WORK: Mapping[type[Command], Callable[[Config, Any], Reply]] = {
    ask.MakeBackup: _back_up,
    ask.CheckState: _check,
    ask.RestoreBackup: _restore,
    ask.VacuumDatabase: _vacuum,
}


def _offline(work: Callable[[Config, Any], Reply]) -> Callable[[Config, Any], dict[str, Any]]:
    """The handler that returns the reply as the json dialect writes it."""

    def handle(config: Config, command: Command) -> dict[str, Any]:
        dialect = ControlDialect()
        try:
            row = BY_COMMAND[type(command)]
            line = dialect.reply(Request(row, command, 1), work(config, command))
        except BackupError as error:
            line = dialect.error(BackupFailed(reason=str(error)), 1)
        reply: dict[str, Any] = json.loads(line)
        reply.pop("id")
        return reply

    return handle


STATE_HANDLERS = {command: _offline(work) for command, work in _WORK.items()}
