"""The commands with which operators delete, export, rename and limit accounts."""

from __future__ import annotations

from chatd.base import errors
from chatd.base.roles import OPERATOR
from chatd.commands import arguments as types
from chatd.commands import values as ask
from chatd.commands.rows import Arg, Audited, Row
from chatd.commands.table.admin.common import ACCOUNT

DELETION_ERRORS = (
    errors.NotOperator,
    errors.UnknownUser,
    errors.OwnAccount,
    errors.OnlyOperator,
)

ROWS: tuple[Row, ...] = (
    Row(
        "admin.user.delete",
        ask.RemoveAccount,
        "delete an account; its messages stay, and nobody can take its name again",
        (ACCOUNT,),
        role=OPERATOR,
        audited=Audited.AT_ONCE,
        errors=DELETION_ERRORS,
    ),
    Row(
        "admin.user.erase",
        ask.EraseAccount,
        "delete an account, or one that was deleted before, with its messages and files, here and in other "
        "realms",
        (ACCOUNT,),
        role=OPERATOR,
        audited=Audited.AT_ONCE,
        errors=DELETION_ERRORS,
    ),
    Row(
        "admin.user.export",
        ask.ExportAccount,
        "download the profile, messages and files of an account as a ZIP archive",
        (ACCOUNT,),
        role=OPERATOR,
        audited=Audited.IN_STEPS,
        offline=True,
        download=True,
        errors=(
            errors.NotOperator,
            errors.UnknownUser,
            errors.ExportUnfinished,
            errors.Busy,
            errors.DiskFull,
        ),
    ),
    Row(
        "admin.user.rename",
        ask.RenameAccount,
        "change the display name of an account",
        (ACCOUNT, Arg("name", types.FULL_NAME)),
        role=OPERATOR,
        audited=Audited.AT_ONCE,
        offline=True,
        errors=(errors.NotOperator, errors.UnknownUser),
    ),
    Row(
        "admin.user.quota",
        ask.SetQuota,
        "show how many bytes the files of an account may have, or change that",
        (ACCOUNT, Arg("files", types.QUOTA, optional=True, named=True)),
        role=OPERATOR,
        audited=Audited.AT_ONCE,
        errors=(errors.NotOperator, errors.UnknownUser),
    ),
)
