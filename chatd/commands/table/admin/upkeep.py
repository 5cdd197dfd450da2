"""The commands for the state folder and the configuration."""

from __future__ import annotations

from chatd.base import errors
from chatd.base.roles import OPERATOR
from chatd.commands import arguments as types
from chatd.commands import values as ask
from chatd.commands.rows import Arg, Audited, Row

FOLDER = Arg("folder", types.FOLDER)

ROWS: tuple[Row, ...] = (
    Row(
        "admin.backup",
        ask.MakeBackup,
        "make a backup in a folder, or bring the one there up to date",
        (FOLDER,),
        role=OPERATOR,
        audited=Audited.IN_STEPS,
        offline=True,
        local=True,
        errors=(errors.NotOperator, errors.LocalOnly, errors.BackupFailed, errors.Busy),
    ),
    Row(
        "admin.restore",
        ask.RestoreBackup,
        "restore a backup into an empty state folder; the realm has to be stopped",
        (FOLDER,),
        role=OPERATOR,
        offline=True,
        local=True,
        errors=(errors.NotOperator, errors.LocalOnly, errors.BackupFailed, errors.StillRunning),
    ),
    Row(
        "admin.check",
        ask.CheckState,
        "check the database, and the files against it",
        (
            Arg("quick", types.FLAG, optional=True, named=True),
            Arg("repair", types.FLAG, optional=True, named=True),
        ),
        role=OPERATOR,
        audited=Audited.IN_STEPS,
        offline=True,
        errors=(errors.NotOperator, errors.BackupFailed, errors.Busy),
    ),
    Row(
        "admin.vacuum",
        ask.VacuumDatabase,
        "make the database file as small as possible; the realm has to be stopped",
        role=OPERATOR,
        offline=True,
        local=True,
        errors=(errors.NotOperator, errors.LocalOnly, errors.BackupFailed, errors.StillRunning),
    ),
    Row(
        "admin.reload",
        ask.ReloadConfig,
        "read the configuration, the certificates and the keys again",
        role=OPERATOR,
        audited=Audited.IN_STEPS,
        errors=(errors.NotOperator, errors.ReloadFailed),
    ),
)
