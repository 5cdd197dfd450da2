"""Parcels of version 1 that wait in the outbox when a realm is updated reach an updated realm."""

from __future__ import annotations

import hashlib
from typing import Any

import sqlalchemy as sa

from chatd.federation.parcels import Left, decode, encode
from chatd.federation.signing.entries import open_entry
from chatd.federation.signing.statements import MemberAttributes
from chatd.federation.version_one import OldParcels
from chatd.store import macs
from chatd.store.origins import FIRST_NUMBER
from chatd.store.schema import changes, messages, outbox, settings, signatures
from tests.support.network import LinkedTestCase

AT = 1_795_169_000_000


def insert_older(connection: sa.Connection, row: dict[str, Any]) -> None:
    """Insert a message as an older version does, which has no key for its MAC."""
    connection.execute(sa.insert(messages).values(row))
    connection.execute(sa.delete(settings).where(settings.c.name == macs._KEY))


class VersionOneOutbox(LinkedTestCase):
    """realm1 has parcels for realm2, in the bytes of version 1 and with its numbers."""

    def setUp(self) -> None:
        super().setUp()
        self.ana.creates("bagan")
        self.budi.joins("bagan@realm1")
        self.budi.creates("nusa")
        self.ana.joins("nusa@realm2")
        self.group = self.one_row("SELECT conversation_id FROM groups WHERE key = 'bagan'")[0]
        self.part()

    def one_row(self, statement: str) -> Any:
        return self.one.realm.database.now(
            lambda connection: connection.execute(sa.text(statement)).one()
        )

    def waits(self, number: int, parcel: list[Any], file: int | None = None) -> None:
        row = {
            "realm": "realm2",
            "id": number,
            "sender_id": self.ana.account.id,
            "attachment_id": file,
            "created_at": int(self.network.now * 1000),
            "parcel": encode(parcel),
        }
        self.one.realm.database.now(
            lambda connection: connection.execute(sa.insert(outbox).values(row))
        )

    def arrives(self) -> None:
        self.one.restart()
        self.meet()
        self.network.advance(5)
        self.assertEqual(self.one.parcels_waiting(), 0)

    def test_direct(self) -> None:
        self.waits(3, ["direct", "ana", "budi", AT, "halo", None])
        self.arrives()
        self.assertEqual(self.budi.reads(), ["ana@realm1: halo"])

    def test_repeated(self) -> None:
        """One that realm2 had received is recognised by its small number."""
        self.meet()
        self.budi.sends("ana@realm1", "satu")

        def origin(connection: sa.Connection) -> None:
            place = connection.scalar(
                sa.text("SELECT conversation_id FROM participants WHERE peer_key = 'ana@realm1'")
            )
            row = {
                "id": 90,
                "conversation_id": place,
                "seq": 90,
                "sender": "ana@realm1",
                "at": AT,
                "text": "halo",
                "origin_realm": "realm1",
                "origin_id": 3,
            }
            insert_older(connection, row)

        self.two.realm.database.now(origin)
        self.two.restart()
        self.part()
        self.waits(3, ["direct", "ana", "budi", AT, "halo", None])
        self.waits(4, ["direct", "ana", "budi", AT, "apa kabar", None])
        self.arrives()
        self.assertEqual(self.budi.reads()[-1], "ana@realm1: apa kabar")
        self.assertEqual(sum("halo" in each for each in self.budi.history("ana@realm1")), 1)

    def test_file(self) -> None:
        data = b"0123456789"
        self.ana.sends_file("ana", "a.txt", data)
        code, ident = self.one_row("SELECT code, id FROM attachments")
        note = ["a.txt", len(data), hashlib.sha256(data).hexdigest(), code]
        self.waits(3, ["direct", "ana", "budi", AT, None, note], ident)
        self.waits(4, ["direct", "ana", "budi", AT, "halo", None])
        self.arrives()
        self.assertEqual(self.budi.reads(), ["ana@realm1: file a.txt", "ana@realm1: halo"])

    def test_relay(self) -> None:
        row = {"id": 80, "conversation_id": self.group, "seq": 90, "sender": "ana", "number": 3}
        self.one.realm.database.now(insert_older, {**row, "at": AT, "text": "halo"})
        self.waits(3, ["relay", "bagan", self.group, 90, "ana", AT, "halo", None, 0, b""])
        self.arrives()
        self.assertEqual(self.budi.history(group="bagan@realm1"), ["ana@realm1: halo"])

    def test_relay_of_another_realm(self) -> None:
        """It is unsigned. An updated realm2 accepts such an entry for as long as one may have waited."""
        row = {"id": 80, "conversation_id": self.group, "seq": 90, "sender": "dewi@realm3"}
        origin = {"at": AT, "text": "halo", "origin_realm": "realm3", "origin_id": 7}
        self.one.realm.database.now(insert_older, {**row, **origin})
        parcel = ["relay", "bagan", self.group, 90, "dewi@realm3", AT, "halo", None, 0, b""]
        self.waits(3, parcel)
        self.arrives()
        self.assertEqual(self.budi.history(group="bagan@realm1"), [])
        self.two.federation.keys.unsigned_until = int(self.network.now * 1000) + 3_600_000
        self.part()
        self.waits(4, parcel)
        self.arrives()
        self.assertEqual(self.budi.history(group="bagan@realm1"), ["dewi@realm3: halo"])
        self.network.advance(3600)
        self.part()
        self.waits(5, parcel)
        self.arrives()
        self.assertEqual(self.budi.history(group="bagan@realm1"), ["dewi@realm3: halo"])

    def test_post(self) -> None:
        self.waits(3, ["post", "ana", "nusa", AT, b"proof", "halo", None])
        self.arrives()
        self.assertEqual(self.budi.history(group="nusa"), ["ana@realm1: halo"])
        self.assertEqual(self.ana.history(group="nusa@realm2"), ["ana: halo"])

    def test_later_starts(self) -> None:
        """They do not read the parcels that wait, of which there may be many."""
        for number in range(10):
            self.waits(FIRST_NUMBER + number, ["direct", "ana", "budi", AT, "halo", None])
        statements: list[tuple[str, Any]] = []

        def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
            statements.append((statement, parameters))

        def job(connection: sa.Connection) -> list[str]:
            sa.event.listen(connection, "before_cursor_execute", note)
            self.assertEqual(
                OldParcels(connection, "realm1", self.one.realm.keys.signer).rewrite(), 0
            )
            sa.event.remove(connection, "before_cursor_execute", note)
            return [
                row[3]
                for statement, parameters in statements
                for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            ]

        plan = self.one.realm.database.now(job)
        self.assertEqual(len(plan), 3)
        for step in plan:
            self.assertIn("SEARCH outbox USING PRIMARY KEY", step)

    def test_members(self) -> None:
        self.waits(3, ["removed", "bagan", self.group, "budi"])
        self.waits(4, ["joined", "bagan", self.group, "citra", 0])
        self.waits(5, ["left", "ana", "nusa"])
        self.arrives()
        self.assertEqual(self.budi.mine(), ["nusa"])
        self.assertEqual((self.citra.mine(), self.citra.invitations()), ([], ["bagan@realm1"]))
        self.citra.accepts("bagan@realm1")
        self.assertEqual((self.citra.mine(), self.citra.invitations()), (["bagan@realm1"], []))
        self.assertEqual(self.budi.members("nusa"), ["*budi+"])

    def test_left(self) -> None:
        """A report that somebody has left is signed once, in the name of its author. The group's home keeps
        the signed entry in its log."""
        self.waits(3, ["left", "ana", "nusa"])
        waiting = "SELECT parcel, created_at FROM outbox WHERE id = 3"
        self.one.restart()
        data, at = self.one_row(waiting)
        self.one.restart()
        self.assertEqual(self.one_row(waiting), (data, at))
        parcel = decode(data)
        assert isinstance(parcel, Left)
        assert parcel.entry is not None
        opened = open_entry(parcel.entry)
        (nusa,) = self.one_row("SELECT home_id FROM groups WHERE key = 'nusa@realm2'")
        said = opened.statement
        self.assertEqual((said.realm, said.author, said.number, said.at), ("realm1", "ana", 3, at))
        self.assertEqual((said.home, said.group), ("realm2", nusa))
        self.assertEqual(opened.attributes, MemberAttributes("left", "ana@realm1"))
        self.arrives()
        self.assertEqual(self.budi.members("nusa"), ["*budi+"])
        stored = self.two.realm.database.now(
            lambda connection: connection.execute(
                sa.select(changes.c.author, signatures.c.statement, signatures.c.status)
                .join(signatures, changes.c.seq == signatures.c.seq)
                .where(
                    changes.c.conversation_id == nusa,
                    signatures.c.conversation_id == nusa,
                    changes.c.origin_id == 3,
                )
            ).all()
        )
        self.assertEqual(stored, [("ana@realm1", parcel.entry.statement, "verified")])
