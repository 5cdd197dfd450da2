"""Other realms."""

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
    REALM,
    SIZE,
    TEXT,
)

ROWS: tuple[Row, ...] = (
    Row(
        "addrealm",
        ask.AddRealm,
        "make another realm a peer: connects to it and checks who it is; for those who may",
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
        "forget a peer, its address and its certificate; for those who may",
        (REALM,),
        errors=(errors.NotOperator, errors.UnknownRealm),
    ),
    Row("realms", ask.ListRealms, "the peers of this realm, how the links are, and what is queued"),
    Row(
        "sendprivaterealm",
        ask.SendRealmMessage,
        "send a message to someone of another realm",
        (REALM, Arg("user", types.NAME, also=("to",)), TEXT, KEY),
        overlaps=True,
        errors=(*PEOPLE_ERRORS, errors.MessageTooLong),
    ),
    Row(
        "sendgrouprealm",
        ask.SendRealmGroupMessage,
        "send a message to a group, or to a list of people, of another realm",
        (REALM, GROUP_OR_NAMES, TEXT, KEY),
        overlaps=True,
        errors=(
            *GROUP_ERRORS,
            errors.UnknownUser,
            errors.GroupClosed,
            errors.Banned,
            errors.MessageTooLong,
        ),
    ),
    Row(
        "sendfilerealm",
        ask.SendRealmFile,
        "send a file to someone of another realm",
        (REALM, Arg("user", types.NAME, also=("to",)), FILENAME, SIZE),
        errors=(*PEOPLE_ERRORS, *FILE_ERRORS),
    ),
    Row(
        "sendgroupfilerealm",
        ask.SendRealmGroupFile,
        "send a file to a group, or to a list of people, of another realm",
        (REALM, GROUP_OR_NAMES, FILENAME, SIZE),
        errors=(*GROUP_ERRORS, errors.UnknownUser, errors.GroupClosed, errors.Banned, *FILE_ERRORS),
    ),
    Row(
        "getrealminbox",
        ask.ReadRealmInbox,
        "read what is unread from another realm: from its people, and in its groups",
        (REALM,),
        errors=(errors.UnknownRealm,),
    ),
    Row(
        "getinboxrealm",
        ask.ReadOwnRealmInbox,
        "as getrealminbox; the username has to be one's own",
        (REALM, Arg("username", types.NAME)),
        errors=(errors.UnknownRealm, errors.NotYourself),
    ),
)
