"""Values that a database can't store, in every argument of every command: NUL, halves of surrogate pairs,
numbers beyond 64 bits. Each request gets an answer, and none of these is an internal error."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from unittest import SkipTest

from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from chatd.commands.rows import Arg, Row
from chatd.commands.table import BY_VERB
from chatd.lines.dialects.jsonlines import JsonDialect
from chatd.simulate import databases
from tests import ON_POSTGRES
from tests.support.common import RealmTestCase, Wire, make_operator
from tests.support.postgres import MISSING, find_programs
from tests.support.postgres_pool import POOL

TEXTS = (r'"a\u0000b"', r'"\ud800"')
NUMBERS = ("9223372036854775808", "-9223372036854775809", "4294967296")
# What an argument of that form has, while another one is strange
ORDINARY = {
    "number": 1,
    "on|off": True,
    "size": 1,
    "port": 1,
    "duration": "1h",
    "time": "2026-11-20",
    "group": "bagan",
    "secret": "ana-password",
    "filename": "a.bin",
}
# They write to a folder of that name.
LEFT_OUT = {"admin.backup"}


def rows() -> list[Row]:
    found = {row.verb: row for row in BY_VERB.values() if row.args and not row.local}
    return [row for verb, row in sorted(found.items()) if verb not in LEFT_OUT]


def ordinary(arg: Arg) -> Any:
    shape = arg.type.shape
    return ORDINARY.get(shape, shape.partition("|")[0] if "|" in shape else "budi")


def requests(row: Row) -> Iterator[str]:
    """Requests in which one argument is strange, and those that are necessary are ordinary."""
    for arg in row.args:
        rest = {each.name: ordinary(each) for each in row.args if not each.optional}
        rest.pop(arg.name, None)
        given = json.dumps({"command": row.verb, **rest})[:-1]
        for value in (*TEXTS, *(NUMBERS if "number" in arg.type.json else ())):
            yield f'{given}, "{arg.name}": {value}}}'


class OnSqlite(RealmTestCase):
    async def log_in(self) -> Wire:
        wire = self.connect(JsonDialect())
        self.addCleanup(lambda: wire.lose(Failure(ConnectionDone())))
        reply = await wire.ask(command="login", username="ana", password="ana-password")
        self.assertEqual(reply["status"], "OK", reply)
        return wire

    async def test_strange_values(self) -> None:
        accounts = self.realm.service.accounts
        for name in ("ana", "budi"):
            await accounts.register(name, f"{name}-password", None, None)
        await make_operator(self.realm, "ana")
        wire = await self.log_in()
        await wire.ask(command="addgroup", group="bagan")
        for row in rows():
            asked = [*requests(row)]
            wire.feed("".join(f"{request}\r\n" for request in asked).encode())
            for request in asked:
                reply = await wire.reply()
                self.assertNotEqual(reply.get("code"), "internal", (request, reply))
            self.assertTrue(wire.transport.connected, row.verb)
        self.assertEqual(self.flushLoggedErrors(), [])


class OnPostgres(OnSqlite):
    def setUp(self) -> None:
        if find_programs() is None:
            raise SkipTest(MISSING)
        self.patch(databases, "elsewhere", POOL)
        super().setUp()


if ON_POSTGRES:
    del OnSqlite  # there is none
