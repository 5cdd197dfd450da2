"""The commands for other realms."""

from __future__ import annotations

from chatd.base import errors
from chatd.commands import arguments as types
from chatd.commands import values as ask
from chatd.commands.rows import Arg, Row
from chatd.commands.table.common import (
    FILE_ERRORS,
    FILENAME,
    GROUP_ERRORS,
    GROUP_OR_NAMES,
    KEY,
    PEOPLE_ERRORS,
    POST_ERRORS,
    REALM,
    SIZE,
    TEXT,
    USER_THERE,
    WAIT,
)

ROWS: tuple[Row, ...] = (
    Row(
        "addrealm",
        ask.AddRealm,
        "connect to another realm, check its identity and add it as a peer (operators only, by default)",
        (REALM, Arg("host", types.HOST), Arg("port", types.PORT)),
        errors=(
            errors.NotOperator,
            errors.OwnRealm,
            errors.RealmExists,
            errors.ForbiddenAddress,
            errors.RealmUnreachable,
            errors.WrongRealm,
            errors.BadCertificate,
            errors.CertificateChanged,
            errors.RealmNotAllowed,
        ),
    ),
    Row(
        "delrealm",
        ask.DeleteRealm,
        "remove a peer with its address and certificate (operators only, by default)",
        (REALM,),
        errors=(errors.NotOperator, errors.UnknownRealm),
    ),
    Row(
        "realms",
        ask.ListRealms,
        "list the peers of this realm, the state of their links and what is queued",
    ),
    Row(
        "sendprivaterealm",
        ask.SendRealmMessage,
        "send a message to someone in another realm",
        (REALM, USER_THERE, TEXT, KEY, WAIT),
        overlaps=True,
        errors=(*PEOPLE_ERRORS, errors.MessageTooLong),
    ),
    Row(
        "sendgrouprealm",
        ask.SendRealmGroupMessage,
        "send a message to a group or to several people in another realm",
        (REALM, GROUP_OR_NAMES, TEXT, KEY, WAIT),
        overlaps=True,
        errors=POST_ERRORS,
    ),
    Row(
        "sendfilerealm",
        ask.SendRealmFile,
        "send a file to someone in another realm",
        (REALM, USER_THERE, FILENAME, SIZE, WAIT),
        errors=(*PEOPLE_ERRORS, *FILE_ERRORS),
    ),
    Row(
        "sendgroupfilerealm",
        ask.SendRealmGroupFile,
        "send a file to a group or to several people in another realm",
        (REALM, GROUP_OR_NAMES, FILENAME, SIZE, WAIT),
        errors=(*GROUP_ERRORS, errors.UnknownUser, errors.GroupClosed, errors.Banned, *FILE_ERRORS),
    ),
    Row(
        "getrealminbox",
        ask.ReadRealmInbox,
        "read unread messages from the people and groups of another realm",
        (REALM,),
        errors=(errors.UnknownRealm,),
    ),
    Row(
        "getinboxrealm",
        ask.ReadOwnRealmInbox,
        "like getrealminbox, with your own username as the second argument",
        (REALM, Arg("username", types.NAME)),
        errors=(errors.UnknownRealm, errors.NotYourself),
    ),
)
