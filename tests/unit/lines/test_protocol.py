"""Help in json, and events among replies."""

from __future__ import annotations

from chatd.base.errors import every_error
from chatd.base.events import SessionEnded
from chatd.commands.table import TABLE
from tests.unit.lines.cases import (
    ProtocolTestCase,
    objects,
)


class Help(ProtocolTestCase):
    async def test_json_describes_itself(self) -> None:
        """`help` has the whole table: verbs, arguments, types, and the sentences of all errors."""
        reply = await self.wire().ask(command="help")
        self.assertEqual(
            [each["command"] for each in reply["commands"]],
            [r.verb for r in TABLE if r.role is None],
        )
        self.assertEqual(reply["errors"], {each.code: each.sentence for each in every_error()})


class Events(ProtocolTestCase):
    async def test_end_of_a_session_is_told_in_order(self) -> None:
        """An event is sent after replies that were written before it."""
        wire = await self.logged_in()
        wire.protocol.output.write(b'{"first":1}\r\n')
        wire.protocol.deliver((SessionEnded("over"),))
        first, second = objects(await wire.until(lambda data: data.count(b"\n") == 2))
        self.assertEqual(first, {"first": 1})
        self.assertEqual(second, {"event": "session-ended", "message": "over"})
