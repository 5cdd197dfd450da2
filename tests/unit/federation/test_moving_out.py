"""What an old realm still does for accounts that have moved, when something is in the way."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from twisted.internet.defer import Deferred, fail

from chatd.base.errors import LastAdmin, MovedAway, StorageFailed
from chatd.base.names import parse_address
from chatd.commands import values as ask
from chatd.federation.capabilities import ACCOUNT_MOVES
from chatd.federation.parcels import Luggage
from chatd.federation.signing.move_statements import encode
from chatd.service import moving_out as moving_out_module
from chatd.simulate.people import Person
from chatd.simulate.servers import Server
from chatd.store.account_moves import find_move
from chatd.store.schema import move_luggage, moving_groups
from tests.support.network import lacks
from tests.unit.federation.test_account_moves import PASSWORD, MovesTestCase


def groups_of(person: Person) -> list[str]:
    return sorted(person.mine())


class RoundsTestCase(MovesTestCase):
    """budi of realm1 moves, too, to dewi of realm2. Both are in a group of theirs."""

    def setUp(self) -> None:
        super().setUp()
        self.dewi = self.two.person("dewi")
        self.ana.creates("satu")
        self.budi.creates("dua")
        self.agree()
        self.agree(self.dewi, "budi@realm1")
        self.moving_out = self.one.service.moving_out

    def both_move(self) -> None:
        for person, to in ((self.ana, "anna@realm2"), (self.budi, "dewi@realm2")):
            person.does(ask.MoveAccount(parse_address(to), PASSWORD))
        self.settle()

    def fails(self, error: Exception) -> list[int]:
        """Let the groups of ana fail with the error, while the list that is returned has numbers."""
        left, replace = [1, 2], self.moving_out._replace_here

        async def fail(each: Any, move: Any) -> None:
            if left and move.old.key == "ana":
                left.pop()
                raise error
            await replace(each, move)

        self.patch(self.moving_out, "_replace_here", fail)
        return left

    def test_full_disk(self) -> None:
        left = self.fails(StorageFailed())
        self.both_move()
        self.assertEqual(groups_of(self.dewi), ["dua@realm1"])
        self.settle()
        self.assertEqual(left, [])
        self.assertEqual(groups_of(self.anna), ["satu@realm1"])

    def test_failure(self) -> None:
        """A move that can't be continued stops no other, and is tried again."""
        self.fails(ZeroDivisionError())
        self.both_move()
        self.assertEqual(groups_of(self.dewi), ["dua@realm1"])
        self.settle()
        self.assertEqual(groups_of(self.anna), ["satu@realm1"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    def test_one_round_at_a_time(self) -> None:
        """Messages that arrive meanwhile begin no second round beside the first."""
        under_way, most = [0], [0]
        replace = self.moving_out._replace_here

        async def counted(each: Any, move: Any) -> None:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
            self.moving_out.arrived(self.ana.account.id)
            await replace(each, move)
            under_way[0] -= 1

        self.patch(self.moving_out, "_replace_here", counted)
        self.both_move()
        self.assertEqual(most, [1])
        self.assertEqual(groups_of(self.anna), ["satu@realm1"])

    def test_stopped(self) -> None:
        """A realm that stops in the middle continues at its next start."""
        replace = self.moving_out._replace_here

        async def stopping(each: Any, move: Any) -> None:
            self.moving_out.stop()
            await replace(each, move)

        self.patch(self.moving_out, "_replace_here", stopping)
        self.both_move()
        self.assertEqual(len([*groups_of(self.anna), *groups_of(self.dewi)]), 1)
        self.one.restart()
        self.network.advance(20.0)
        self.settle()
        self.assertEqual(groups_of(self.anna), ["satu@realm1"])
        self.assertEqual(groups_of(self.dewi), ["dua@realm1"])

    def test_twice(self) -> None:
        """An account moves once, also if two of its sessions want it at the same time."""
        to = parse_address("anna@realm2")
        wanted = [self.ana.begins(ask.MoveAccount(to, PASSWORD)) for _session in range(2)]
        self.assertTrue(self.network.result(wanted[0]).data["moved"])
        with self.assertRaises(MovedAway):
            self.network.result(wanted[1])

    def test_deleted(self) -> None:
        """A deleted account leaves nothing of its luggage, neither in the old realm nor in the new one."""
        self.both_move()
        never = Luggage("ana", "anna", encode([["group", "realm9", 7, "never", 0]]))
        self.two.receives("realm1", (1 << 60, never))
        self.assertTrue(self.rows(self.one, move_luggage, self.ana))
        self.assertTrue(self.rows(self.two, moving_groups, self.anna))
        for server, person in ((self.one, self.ana), (self.two, self.anna)):
            deleting = server.service.departures.delete(person.account, PASSWORD, False, "here")
            self.network.result(Deferred.fromCoroutine(deleting))
        self.assertEqual(self.rows(self.one, move_luggage, self.ana), 0)
        self.assertEqual(self.rows(self.two, moving_groups, self.anna), 0)

    def rows(self, server: Server, table: sa.Table, person: Person) -> int:
        mine = table.c.account_id == person.account.id
        query = sa.select(sa.func.count()).select_from(table).where(mine)
        return int(server.realm.database.now(lambda connection: connection.scalar(query)))


class StaleTestCase(MovesTestCase):
    """ana has moved to anna of realm2, and back. What is still to do for the first move is nothing."""

    def setUp(self) -> None:
        super().setUp()
        self.moving_out = self.one.service.moving_out
        self.moved()
        self.stale = self.one.realm.database.now(lambda reading: find_move(reading, "ana")).move
        self.agree(self.ana, "anna@realm2")
        self.assertTrue(self.move(self.anna, "ana@realm1").data["moved"])
        self.budi.creates("satu")
        self.ana.joins("satu")

    def waits(self, work: Any) -> Any:
        return self.network.result(Deferred.fromCoroutine(work))

    def test_groups(self) -> None:
        self.moving_out.begin(self.stale)
        self.settle()
        self.assertEqual(self.moving_out._unfinished, {})
        self.assertEqual(groups_of(self.ana), ["satu"])
        self.assertEqual(groups_of(self.anna), [])

    def test_left_behind(self) -> None:
        """An account that lives here leaves no group because its home does not follow."""
        self.waits(self.moving_out.left_behind(self.ana.account.id, "satu"))
        self.assertEqual(groups_of(self.ana), ["satu"])

    def test_leaving(self) -> None:
        """What is left already is left; a refusal is logged, and a full disk makes it be tried again."""
        leave = self.moving_out._leave
        self.waits(leave(self.one.person("eka").account, "satu"))
        groups = self.moving_out._groups
        for error in (LastAdmin(name="ana", group="satu"), StorageFailed()):
            self.patch(groups, "leave", lambda *_, error=error: fail(error))
            if isinstance(error, StorageFailed):
                with self.assertRaises(StorageFailed):
                    self.waits(leave(self.ana.account, "satu"))
            else:
                self.waits(leave(self.ana.account, "satu"))
        self.assertEqual(groups_of(self.ana), ["satu"])

    def test_messages(self) -> None:
        """What has come for the account while it was away is not forwarded after it has come back."""
        self.citra.sends("ana@realm1", "satu")
        self.waits(self.moving_out._forward_all(self.stale))
        self.settle()
        self.assertEqual(self.anna.reads(), [])

    def test_known(self) -> None:
        """The old realm does not make a move that it knows a second time."""
        self.waits(self.one.service.moves.make_again(self.stale))
        self.settle()
        self.assertIsNone(self.one.service.follower.moved.away(self.ana.account.id))
        self.assertEqual(self.ana.does(ask.ListMoves()).items, ())


class LegacyTestCase(MovesTestCase):
    """realm3 does not know accounts that move."""

    def setUp(self) -> None:
        lacks(self, "realm3", ACCOUNT_MOVES)
        super().setUp()
        self.citra.creates("tiga")
        self.ana.joins("tiga@realm3")
        self.citra.sends("ana@realm1", "satu")
        self.settle()

    def test_full_disk(self) -> None:
        """What could not be forwarded is forwarded later, without another message or a restart."""
        moving_out = self.one.service.moving_out
        page, left = moving_out._forward_page, [1, 2]

        def full(connection: sa.Connection, move: Any) -> Any:
            if left:
                left.pop()
                raise StorageFailed
            return page(connection, move)

        self.moved()
        self.patch(moving_out, "_forward_page", full)
        self.citra.sends("ana@realm1", "dua")
        self.settle()
        self.assertEqual(left, [])
        self.assertEqual([each.text for each in self.anna.inbox()], ["dua"])

    def test_file(self) -> None:
        """A file that has come for the old address is forwarded, too."""
        self.moved()
        self.network.result(self.citra.begins_to_send_file("ana@realm1", "a.txt", b"halo"))
        self.network.advance(20.0)
        self.settle()
        [message] = self.anna.inbox()
        assert message.file is not None
        self.assertEqual((message.file.name, message.forwarded), ("a.txt", "citra@realm3"))

    def test_pages(self) -> None:
        """All of many messages are forwarded, in order; a realm that stops forwards them after its start."""
        self.patch(moving_out_module, "PAGE", 1)
        self.moved()
        moving_out = self.one.service.moving_out
        moving_out.stop()
        for text in ("dua", "tiga", "empat"):
            self.citra.sends("ana@realm1", text)
        away = moving_out._follower.moved.away(self.ana.account.id)
        self.network.result(Deferred.fromCoroutine(moving_out._forward_all(away)))
        self.settle()
        self.assertEqual(self.anna.inbox(), [])
        self.one.restart()
        self.network.advance(20.0)
        self.settle()
        self.assertEqual([each.text for each in self.anna.inbox()], ["dua", "tiga", "empat"])

    def test_nothing_to_forward(self) -> None:
        """What somebody of the new realm has sent to the old address is not forwarded there."""
        self.moved()
        self.agree(self.ana, "anna@realm2")
        self.assertTrue(self.move(self.anna, "ana@realm1").data["moved"])
        self.citra.sends("ana@realm1", "dua")
        self.settle()
        self.assertEqual(self.anna.reads(), [])
        self.assertEqual(self.ana.reads(), ["citra@realm3: satu", "citra@realm3: dua"])

    def test_group_while_apart(self) -> None:
        """That realm3 does not follow is known only once it is linked again. Then ana leaves its group."""
        self.agree()
        self.network.refusing[self.three.where] = OSError()
        self.network.connection(self.one, self.three).cut()
        self.network.settle()
        self.assertIn("ana@realm1", "".join(self.citra.members("tiga")))
        self.move()
        self.network.refusing.clear()
        self.network.advance(40.0)
        self.settle()
        self.assertEqual(self.citra.members("tiga"), ["*citra+"])
        self.assertEqual(self.ana.mine(), [])
