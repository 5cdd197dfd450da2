"""The commands with which operators manage other realms."""

from __future__ import annotations

from chatd.base import errors
from chatd.base.roles import OPERATOR
from chatd.commands import arguments as types
from chatd.commands import values as ask
from chatd.commands.rows import Arg, Audited, Row
from chatd.commands.table.common import REALM

ROWS: tuple[Row, ...] = (
    Row(
        "admin.realm.list",
        ask.ListPeers,
        "list the peers of this realm, the state of their links and what is queued",
        role=OPERATOR,
        errors=(errors.NotOperator,),
    ),
    Row(
        "admin.realm.add",
        ask.LinkRealm,
        "connect to another realm, check its identity and add it as a peer",
        (REALM, Arg("host", types.HOST), Arg("port", types.PORT)),
        role=OPERATOR,
        audited=Audited.IN_STEPS,
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
        "admin.realm.remove",
        ask.UnlinkRealm,
        "remove a peer with its address and certificate",
        (REALM,),
        role=OPERATOR,
        audited=Audited.IN_STEPS,
        errors=(errors.NotOperator, errors.UnknownRealm),
    ),
)
