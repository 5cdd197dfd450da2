"""Names that no account can have are those of strangers, on either kind of database."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chatd.base.names import Address
from chatd.store.engine import connect
from chatd.store.migrate import prepare
from chatd.store.requests import is_strange, strangers
from tests.support.postgres import MISSING, find_programs, temporary_database


class ImpossibleNames(SynchronousTestCase):
    def check(self, url: str) -> None:
        engine = connect(url)
        self.addCleanup(engine.dispose)
        prepare(engine)
        with engine.connect() as connection:
            for name in ("a\x00b", "a\ud800", "\udfff", "\\u0000", "ana"):
                self.assertTrue(is_strange(connection, name, "budi@realm2"), name)
                self.assertTrue(is_strange(connection, "ana", f"{name}@realm2"), name)
                asked = {(name, Address("budi", "realm2")), ("ana", Address(name, "realm2"))}
                self.assertEqual(strangers(connection, asked), asked)

    def test_in_a_file(self) -> None:
        self.check(f"sqlite:///{self.mktemp()}")

    def test_on_a_server(self) -> None:
        """The server would refuse JSON with them, and with it the whole transaction."""
        self.check(temporary_database(self))

    if find_programs() is None:
        test_on_a_server.skip = MISSING  # type: ignore[attr-defined]  # trial's own way
