"""The dialects that a door can have, by name."""

from __future__ import annotations

from collections.abc import Mapping

from chatd.lines.dialect import Dialect
from chatd.lines.dialects.bagan import BaganDialect
from chatd.lines.dialects.jsonlines import JsonDialect
from chatd.lines.dialects.kelompok3 import Kelompok3Dialect
from chatd.lines.dialects.plain import PlainDialect
from chatd.lines.dialects.pychat import PychatDialect
from chatd.lines.dialects.tugas4 import Tugas4Dialect
from chatd.lines.dialects.urlencoded import UrlencodedDialect

DIALECTS: Mapping[str, type[Dialect]] = {
    dialect.name: dialect
    for dialect in (
        PlainDialect,
        JsonDialect,
        Kelompok3Dialect,
        BaganDialect,
        UrlencodedDialect,
        Tugas4Dialect,
        PychatDialect,
    )
}
