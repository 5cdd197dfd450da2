"""What accounts here have with an address follows to a new one."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from chatd.base.model import Account, Party
from chatd.store import schema
from chatd.store.account_moves import Move
from chatd.store.conversations import add_conversation, find_direct
from chatd.store.following import Following, follow, follow_one
from chatd.store.new_entries import NewMessage
from tests.support.inline import result_of
from tests.unit.service.test_messages import MessagesTestCase

OLD = Party("dewi@realm2", "Dewi@realm2", realm="realm2")
NEW = Party("diah@realm3", "Diah@realm3", realm="realm3")


class FollowingTestCase(MessagesTestCase):
    """Dewi@realm2 moves to Diah@realm3, or to ana, who is of this realm."""

    move = Move(OLD, NEW, 1, 2, 5, b"")

    def run_job(self, job: Any, *arguments: Any) -> Any:
        return result_of(self.database.run(job, *arguments))

    def rows(self, table: sa.Table, *columns: str, **where: Any) -> list[tuple[Any, ...]]:
        query = sa.select(*(table.c[each] for each in columns)).filter_by(**where)
        return [tuple(row) for row in self.run_job(lambda db: db.execute(query).all())]

    def add(self, table: sa.Table, **values: Any) -> None:
        self.run_job(lambda db: db.execute(sa.insert(table).values(**values)).rowcount)

    def direct(self, account: Account, peer: Party, text: str | None = "halo") -> int:
        """A conversation with somebody, who has written that; None: it is empty."""

        def job(connection: sa.Connection) -> int:
            place = add_conversation(connection, "direct", 1)
            side = {"account_id": account.id, "peer": peer.name, "peer_key": peer.key}
            values = {**side, "conversation_id": place, "joined_at": 1, "realm": peer.realm}
            connection.execute(sa.insert(schema.participants).values(values))
            if text is not None:
                new = NewMessage(place, None, peer.name, 1, text)
                self.service.context.writers.messages.store(connection, [new])
            return place

        place: int = self.run_job(job)
        return place

    def find(self, account: Account, peer: Party) -> int | None:
        found: int | None = self.run_job(find_direct, account.id, peer.key)
        return found

    def follow(self, new: Party = NEW) -> Following:
        move = Move(OLD, new, 1, 2, 5, b"")
        writer = self.service.context.writers.messages
        found: Following = self.run_job(follow, writer, move, 1000)
        return found

    def follow_one(self) -> Any:
        writer = self.service.context.writers.messages
        return self.run_job(follow_one, writer, self.budi, OLD, NEW, 1000)

    def told(self, conversation: int) -> list[tuple[Any, ...]]:
        here = {"conversation_id": conversation, "kind": "moved"}
        return self.rows(schema.changes, "author", "data", **here)


class Directs(FollowingTestCase):
    def test_both(self) -> None:
        """Two conversations do not become one. The one with the new address tells of the move, once."""
        old, new = self.direct(self.budi, OLD), self.direct(self.budi, NEW)
        self.assertEqual([each.conversation for each in self.follow().directs], [new])
        self.assertEqual(self.follow().directs, [])
        self.assertEqual(self.told(new), [("Dewi@realm2", '{"to":"Diah@realm3"}')])
        self.assertEqual(self.told(old), [])
        self.assertEqual((self.find(self.budi, OLD), self.find(self.budi, NEW)), (old, new))

    def test_empty(self) -> None:
        """A conversation in which nothing was said makes room for the one that follows."""
        old = self.direct(self.budi, OLD)
        self.direct(self.budi, NEW, None)
        [followed] = self.follow().directs
        self.assertEqual((followed.account_id, followed.conversation), (self.budi.id, old))
        self.assertEqual((self.find(self.budi, OLD), self.find(self.budi, NEW)), (None, old))
        self.assertEqual(len(self.told(old)), 1)

    def test_blocked(self) -> None:
        """An account that blocks both addresses is led to the new one; not one that blocks only that."""
        old = self.direct(self.budi, OLD)
        block = {"account_id": self.budi.id, "at": 1}
        self.add(schema.blocks, **block, key=NEW.key, address=NEW.name)
        self.assertEqual(self.follow().directs, [])
        self.add(schema.blocks, **block, key=OLD.key, address=OLD.name)
        self.assertEqual([each.conversation for each in self.follow().directs], [old])
        self.assertEqual(self.find(self.budi, NEW), old)

    def test_waits(self) -> None:
        """A conversation with parcels on their way to the old realm follows when they have arrived."""
        old = self.direct(self.budi, OLD)
        message = {"conversation_id": old}
        number = sa.update(schema.messages).filter_by(**message).values(number=7)
        self.run_job(lambda db: db.execute(number).rowcount)
        self.add(schema.outbox, id=7, realm="realm2", parcel=b"", created_at=1)
        found = self.follow()
        self.assertEqual((found.waits, found.directs), (True, []))
        self.run_job(lambda db: db.execute(sa.delete(schema.outbox)).rowcount)
        found = self.follow()
        self.assertEqual((found.waits, len(found.directs)), (False, 1))


class Confirmed(FollowingTestCase):
    """budi has confirmed that Dewi is Diah now. Nothing of others follows."""

    def contact(self, account: Account, party: Party) -> None:
        values = {"key": party.key, "address": party.name, "realm": party.realm}
        self.add(schema.contacts, account_id=account.id, **values)

    def contacts(self) -> list[tuple[Any, ...]]:
        return sorted(self.rows(schema.contacts, "account_id", "key", "address", "realm"))

    def test_contact(self) -> None:
        for account in (self.budi, self.citra):
            self.contact(account, OLD)
        old = self.direct(self.citra, OLD)
        self.assertIsNone(self.follow_one())
        self.assertEqual(
            self.contacts(),
            [
                (self.budi.id, NEW.key, NEW.name, "realm3"),
                (self.citra.id, OLD.key, OLD.name, "realm2"),
            ],
        )
        self.assertEqual(self.find(self.citra, OLD), old)

    def test_both_contacts(self) -> None:
        self.contact(self.budi, OLD)
        self.contact(self.budi, NEW)
        old = self.direct(self.budi, OLD)
        self.assertEqual(self.follow_one().conversation, old)
        self.assertEqual(self.contacts(), [(self.budi.id, NEW.key, NEW.name, "realm3")])
        self.assertEqual(self.find(self.budi, NEW), old)


class Others(FollowingTestCase):
    def request(self, sender: Party) -> None:
        values = {"address": sender.name, "realm": sender.realm, "number": 1, "at": 1}
        self.add(schema.requests, name=self.budi.key, sender=sender.key, **values, state="open")

    def senders(self) -> list[str]:
        return sorted(sender for (sender,) in self.rows(schema.requests, "sender"))

    def test_request(self) -> None:
        """A request waits for its answer under the new address."""
        self.direct(self.budi, OLD)
        self.request(OLD)
        self.follow()
        self.assertEqual(self.senders(), [NEW.key])

    def test_both_requests(self) -> None:
        """Both addresses have asked: each conversation keeps its request."""
        for party in (OLD, NEW):
            self.direct(self.budi, party)
            self.request(party)
        self.follow()
        self.assertEqual(self.senders(), [OLD.key, NEW.key])

    def test_request_of_somebody_here(self) -> None:
        """People of this realm need not ask."""
        self.direct(self.budi, OLD)
        self.request(OLD)
        self.follow(Party(self.ana.key, self.ana.name, self.ana.id))
        self.assertEqual(self.senders(), [])

    def test_bans(self) -> None:
        """A group that bans the old address bans the new one, with what it said before about the new one."""
        groups = [self.run_job(add_conversation, "group", 1) for _ in range(3)]
        for group, party, at in ((0, OLD, 1), (1, OLD, 2), (1, NEW, 3), (2, NEW, 4)):
            ban = {"key": party.key, "address": party.name, "at": at}
            self.add(schema.bans, conversation_id=groups[group], **ban)
        self.assertEqual(self.follow().banned, {groups[0]: 1})
        found = self.rows(schema.bans, "conversation_id", "address", "at", key=NEW.key)
        self.assertEqual(
            sorted(found),
            [(groups[0], NEW.name, 5), (groups[1], NEW.name, 3), (groups[2], NEW.name, 4)],
        )
        self.assertEqual(self.follow().banned, {})
