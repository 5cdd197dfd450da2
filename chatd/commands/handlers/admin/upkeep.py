"""Handlers of the commands for the state folder and the configuration."""

from __future__ import annotations

from typing import NoReturn

from chatd.base.backup_records import BackupReport, CheckReport, Manifest, RestoreReport
from chatd.base.errors import BackupFailed, ReloadFailed, ShuttingDown, StillRunning
from chatd.base.on_server import NO_RESTORE, NO_VACUUM
from chatd.base.replies import Reply
from chatd.base.timestamps import timestamp
from chatd.commands import values as ask
from chatd.commands.client import Client
from chatd.commands.handlers.replies import list_reply
from chatd.commands.restricted import ActHandlers
from chatd.service.audit import Act

ACT_HANDLERS = ActHandlers()


@ACT_HANDLERS.of(ask.MakeBackup)
async def back_up(client: Client, command: ask.MakeBackup, _act: Act) -> Reply:
    return backup_reply(await client.service.upkeep.back_up(command.folder))


@ACT_HANDLERS.of(ask.RestoreBackup)
async def restore(client: Client, _command: ask.RestoreBackup, _act: Act) -> NoReturn:
    if client.service.database.file is None:
        raise BackupFailed(reason=NO_RESTORE)
    raise StillRunning(command="restore")


@ACT_HANDLERS.of(ask.CheckState)
async def check(client: Client, command: ask.CheckState, _act: Act) -> Reply:
    hashes = not command.quick
    return check_reply(await client.service.upkeep.check(hashes, command.repair))


@ACT_HANDLERS.of(ask.VacuumDatabase)
async def vacuum(client: Client, _command: ask.VacuumDatabase, _act: Act) -> NoReturn:
    if client.service.database.file is None:
        raise BackupFailed(reason=NO_VACUUM)
    raise StillRunning(command="vacuum")


@ACT_HANDLERS.of(ask.ReloadConfig)
async def reload_config(client: Client, _command: ask.ReloadConfig, _act: Act) -> Reply:
    reload = client.service.reload
    if reload is None:
        raise ShuttingDown
    report = await reload()
    if report.error:
        raise ReloadFailed(reason=report.error)
    fields: dict[str, str | int | bool] = {
        name: ", ".join(values)
        for name, values in (
            ("changed", report.changed),
            ("restart", report.restart),
            ("renewed", report.renewed),
            ("failed", report.failed),
        )
        if values
    }
    sentence = "The configuration was read again"
    if report.restart:
        sentence += "; some changes need a restart"
    return Reply(sentence, fields)


def backup_reply(report: BackupReport) -> Reply:
    """What a backup has done."""
    made = report.manifest
    fields: dict[str, str | int | bool] = {
        "made": timestamp(made.made_at),
        "database_size": made.size,
        "files": made.files,
        "file_size": made.file_bytes,
        "copied": report.copied,
        "copied_size": report.bytes,
        "kept": report.kept,
        "removed": report.removed,
        **_place(made),
        **_faults(made.missing, made.damaged),
    }
    return Reply("The backup is complete", fields)


def restore_reply(report: RestoreReport) -> Reply:
    """What a restore has done."""
    made = report.manifest
    fields: dict[str, str | int | bool] = {
        "made": timestamp(made.made_at),
        "database_size": made.size,
        "files": report.files,
        "file_size": report.bytes,
        **_place(made),
        **_faults(report.missing, report.damaged),
    }
    return Reply("The backup is restored; start the realm", fields)


def _place(made: Manifest) -> dict[str, str | int | bool]:
    """Where the files are, if the backup does not have them."""
    return {"objects": made.objects} if made.objects else {}


def _faults(missing: tuple[str, ...], damaged: tuple[str, ...]) -> dict[str, str | int | bool]:
    """The names of files that are missing or damaged, if there are any."""
    found = {"missing": missing, "damaged": damaged}
    return {name: ", ".join(names) for name, names in found.items() if names}


def check_reply(report: CheckReport) -> Reply:
    """What a check has found. `sound` decides about the exit code of chatctl."""
    sentence = "Nothing is wrong" if not report.found else "Something is wrong"
    if report.found and report.is_sound:
        sentence = "All problems are repaired"
    more = sum(report.found.values()) - len(report.problems)
    reply = list_reply(sentence, report.problems, "problems", more)
    reply.fields.update(sound=report.is_sound, messages=report.messages, files=report.files)
    return reply
