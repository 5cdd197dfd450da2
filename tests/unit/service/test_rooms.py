"""Rooms: live talk that only their occupants get, and that is not stored."""

from __future__ import annotations

from collections.abc import Sequence
from unittest.mock import Mock

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from chatd.base.errors import ChatError, NotInRoom
from chatd.base.events import Event, RoomChange, RoomsChanged, RoomTalk
from chatd.base.model import Account
from chatd.base.replies import RoomInfo
from chatd.service.presence import IListener, Presence
from chatd.service.room_watch import GATHER, RoomWatch
from chatd.service.rooms import CROWD, Rooms
from tests.support.common import Listener


def account(name: str) -> Account:
    return Account(hash(name), name, name.lower(), f"{name}'s name", "")


MESSI, LINEKER, HENDERSON = account("messi"), account("Lineker"), account("henderson")


class RoomsTest(SynchronousTestCase):
    def setUp(self) -> None:
        self.rooms = Rooms(Presence())
        self.messi, self.lineker, self.henderson = Listener(), Listener(), Listener()

    def test_made_on_demand(self) -> None:
        self.assertEqual(self.rooms.all(), ())
        info = self.rooms.join(self.messi, MESSI, self.messi, "12345 67890")
        self.assertEqual(info, RoomInfo("12345 67890", ("messi",)))
        self.assertEqual(self.rooms.all(), (info,))

    def test_the_others_hear(self) -> None:
        """All others in the room get the text with its sender and time. The sender and other rooms do not."""
        self.rooms.join(self.messi, MESSI, self.messi, "tamu")
        self.rooms.join(self.lineker, LINEKER, self.lineker, "tamu")
        self.rooms.join(self.henderson, HENDERSON, self.henderson, "dapur")
        info = self.rooms.talk(self.messi, "halo", 1000)
        self.assertEqual(info, RoomInfo("tamu", ("Lineker", "messi")))
        self.assertEqual(
            self.lineker.heard, [RoomTalk("tamu", "messi", "messi's name", "halo", 1000)]
        )
        self.assertEqual(self.messi.heard, [])
        self.assertEqual(self.henderson.heard, [])

    def test_nothing_is_kept(self) -> None:
        """Someone who enters later gets nothing of what was said before."""
        self.rooms.join(self.messi, MESSI, self.messi, "tamu")
        self.rooms.talk(self.messi, "halo", 1)
        self.rooms.join(self.lineker, LINEKER, self.lineker, "tamu")
        self.assertEqual(self.lineker.heard, [])

    def test_watching(self) -> None:
        """Watchers are told at most once a second that somebody has entered or left a room."""
        clock = Clock()
        watch = RoomWatch(clock)
        self.rooms.on_change(watch.changed)
        self.rooms.join(self.messi, MESSI, self.messi, "tamu")
        self.assertEqual(clock.getDelayedCalls(), [])
        broken = Listener()
        broken.deliver = Mock(side_effect=ZeroDivisionError)  # type: ignore[method-assign]
        for watching in (broken, self.henderson, self.henderson):
            watch.watch(watching, on=True)
        self.rooms.join(self.messi, MESSI, self.messi, "tamu")
        self.assertEqual(clock.getDelayedCalls(), [])
        self.rooms.join(self.lineker, LINEKER, self.lineker, "tamu")
        self.rooms.join(self.lineker, LINEKER, self.lineker, "dapur")
        clock.advance(GATHER)
        self.assertEqual(self.henderson.heard, [RoomsChanged()])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        watch.watch(broken, on=False)
        self.rooms.leave(self.messi)
        watch.stop()
        self.assertEqual(clock.getDelayedCalls(), [])
        watch.watch(self.henderson, on=False)
        self.rooms.leave(self.lineker)
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_case_does_not_count(self) -> None:
        """A room is named as its first occupant wrote it."""
        self.rooms.join(self.messi, MESSI, self.messi, "Tamu")
        info = self.rooms.join(self.lineker, LINEKER, self.lineker, "tAMU")
        self.assertEqual(info, RoomInfo("Tamu", ("Lineker", "messi")))
        self.assertEqual(len(self.rooms.all()), 1)

    def test_one_room_at_a_time(self) -> None:
        """Entering a room leaves the one before."""
        self.rooms.join(self.lineker, LINEKER, self.lineker, "tamu")
        self.rooms.join(self.messi, MESSI, self.messi, "tamu")
        self.rooms.join(self.messi, MESSI, self.messi, "dapur")
        self.assertEqual(
            self.rooms.all(), (RoomInfo("dapur", ("messi",)), RoomInfo("tamu", ("Lineker",)))
        )
        self.rooms.talk(self.lineker, "halo?", 1)
        self.assertEqual(self.messi.heard, [])

    def test_joining_twice_changes_nothing(self) -> None:
        self.rooms.join(self.messi, MESSI, self.messi, "tamu")
        self.assertEqual(
            self.rooms.join(self.messi, MESSI, self.messi, "tamu"), RoomInfo("tamu", ("messi",))
        )
        self.rooms.join(self.lineker, LINEKER, self.lineker, "tamu")
        self.rooms.talk(self.lineker, "halo", 1)
        self.assertEqual(len(self.messi.heard), 1)

    def test_empty_room_is_gone(self) -> None:
        """A room ends with its last occupant. Its name can then be written in another way."""
        self.rooms.join(self.messi, MESSI, self.messi, "Tamu")
        self.assertEqual(self.rooms.leave(self.messi), "Tamu")
        self.assertEqual(self.rooms.all(), ())
        self.assertEqual(self.rooms.join(self.messi, MESSI, self.messi, "TAMU").room, "TAMU")

    def test_talking_outside_a_room(self) -> None:
        self.assertIsNone(self.rooms.leave(self.messi))
        with self.assertRaises(NotInRoom):
            self.rooms.talk(self.messi, "halo", 1)
        self.rooms.join(self.messi, MESSI, self.messi, "tamu")
        self.rooms.leave(self.messi)
        with self.assertRaises(NotInRoom):
            self.rooms.talk(self.messi, "halo", 1)

    def test_two_sessions_of_one_account(self) -> None:
        """An account that is in a room twice is listed once, and each of its sessions gets what the other
        says."""
        self.rooms.join(self.messi, MESSI, self.messi, "tamu")
        other = Listener()
        info = self.rooms.join(other, MESSI, other, "tamu")
        self.assertEqual(info.users, ("messi",))
        self.rooms.talk(self.messi, "halo", 1)
        self.assertEqual(len(other.heard), 1)
        self.rooms.leave(self.messi)
        self.assertEqual(self.rooms.all(), (RoomInfo("tamu", ("messi",)),))

    def test_two_connections_of_one_session(self) -> None:
        """A session gets the room's events only on the connection on which it entered last."""
        session = object()
        self.rooms.join(session, MESSI, self.messi, "tamu")
        self.rooms.join(session, MESSI, self.henderson, "tamu")
        self.rooms.join(self.lineker, LINEKER, self.lineker, "tamu")
        self.rooms.talk(self.lineker, "halo", 1)
        self.assertEqual((len(self.messi.heard), len(self.henderson.heard)), (0, 1))
        self.rooms.talk(session, "halo", 2)
        self.assertEqual((len(self.messi.heard), len(self.henderson.heard)), (0, 1))

    def test_who_enters_and_leaves(self) -> None:
        """Those who asked for it are told, except about themselves."""
        self.rooms.join(self.messi, MESSI, self.messi, "tamu", changes=True)
        self.rooms.join(self.lineker, LINEKER, self.lineker, "tamu")
        self.rooms.join(self.henderson, HENDERSON, self.henderson, "tamu", changes=True)
        self.rooms.leave(self.lineker)
        self.rooms.join(self.henderson, HENDERSON, self.henderson, "dapur", changes=True)
        self.rooms.leave(self.messi)
        lineker_leaves = RoomChange("tamu", "Lineker", "Lineker's name", False)
        self.assertEqual(
            self.messi.heard,
            [
                RoomChange("tamu", "Lineker", "Lineker's name", True),
                RoomChange("tamu", "henderson", "henderson's name", True),
                lineker_leaves,
                RoomChange("tamu", "henderson", "henderson's name", False),
            ],
        )
        self.assertEqual(self.lineker.heard, [])
        self.assertEqual(self.henderson.heard, [lineker_leaves])

    def test_entering_in_another_session(self) -> None:
        """An account enters with its first session and leaves with its last, and once however often it
        joins."""
        other = Listener()
        self.rooms.join(self.lineker, LINEKER, self.lineker, "tamu", changes=True)
        for session in (self.messi, self.messi, other):
            self.rooms.join(session, MESSI, session, "tamu", changes=True)
        self.rooms.leave(self.messi)
        self.assertEqual(len(self.lineker.heard), 1)
        self.rooms.leave(other)
        self.assertEqual(len(self.lineker.heard), 2)
        self.assertEqual(other.heard, [])

    def test_listening_for_all_events(self) -> None:
        """A connection that listens for all events is told too, even if it began to after entering."""
        presence = Presence()
        rooms = Rooms(presence)
        rooms.join(self.messi, MESSI, self.messi, "tamu")
        rooms.join(self.lineker, LINEKER, self.lineker, "tamu")
        self.assertEqual(self.messi.heard, [])
        presence.listen(MESSI.id, self.messi, True, all_events=True)
        rooms.leave(self.lineker, by=self.lineker)
        left = RoomChange("tamu", "Lineker", "Lineker's name", False)
        self.assertEqual((self.messi.heard, self.lineker.heard), ([left], []))

    def test_on_another_connection(self) -> None:
        """The connection that was in the room is told when its session enters or leaves on another one."""
        session = object()
        left = RoomChange("tamu", "messi", "messi's name", False)
        for act in (
            lambda: self.rooms.join(session, MESSI, self.lineker, "tamu"),
            lambda: self.rooms.join(session, MESSI, self.lineker, "dapur"),
            lambda: self.rooms.leave(session, by=self.lineker),
        ):
            self.rooms.join(session, MESSI, self.messi, "tamu", changes=True)
            self.messi.heard.clear()
            act()
            self.assertEqual((self.messi.heard, self.lineker.heard), ([left], []))
        self.rooms.join(session, MESSI, self.messi, "tamu", changes=True)
        self.rooms.leave(session, self.messi)
        self.assertEqual(self.messi.heard, [left])

    def test_a_crowd(self) -> None:
        """In a crowded room, entering and leaving are not announced."""
        for number in range(CROWD + 1):
            self.rooms.join(number, account(str(number)), self.lineker, "tamu", changes=True)
        self.rooms.join(self.messi, MESSI, self.messi, "tamu", changes=True)
        self.rooms.leave(self.messi)
        self.assertEqual(self.lineker.heard, [])
        self.rooms.leave(0)
        self.rooms.join(self.messi, MESSI, self.messi, "tamu", changes=True)
        self.assertEqual(len(self.lineker.heard), CROWD)

    def test_on_one_connection(self) -> None:
        """Who enters or leaves reads the reply on this connection, and nothing before it."""
        first, second = object(), object()
        self.rooms.join(first, MESSI, self.messi, "tamu", changes=True)
        self.rooms.join(second, LINEKER, self.messi, "tamu", changes=True)
        self.rooms.leave(second)
        self.assertEqual(self.messi.heard, [])

    def test_display_names(self) -> None:
        self.rooms.join(self.messi, MESSI, self.messi, "tamu")
        self.rooms.join(self.lineker, LINEKER, self.lineker, "tamu")
        names = {"Lineker": "Lineker's name", "messi": "messi's name"}
        self.assertEqual(self.rooms.display_names(self.messi), names)
        self.assertEqual(list(names), ["Lineker", "messi"])

    def test_a_connection_that_goes(self) -> None:
        """A closed connection takes its session out of the room only if the session entered on it."""
        session = object()
        self.rooms.join(session, MESSI, self.messi, "tamu")
        self.assertIsNone(self.rooms.leave(session, self.lineker))
        self.assertEqual(self.rooms.all(), (RoomInfo("tamu", ("messi",)),))
        self.assertEqual(self.rooms.leave(session, self.messi), "tamu")
        self.assertEqual(self.rooms.all(), ())

    def test_leaving_while_hearing(self) -> None:
        """A listener that leaves while it gets an event does not stop the others from getting it."""
        rooms = self.rooms

        @implementer(IListener)
        class Shy:
            def deliver(self, _events: Sequence[Event]) -> None:
                rooms.leave(self)

            def refuse(self, error: ChatError) -> None:
                raise AssertionError(error)

            def drop(self) -> None:
                raise AssertionError("it was dropped")

        rooms.join(self.messi, MESSI, self.messi, "tamu")
        shy = Shy()
        rooms.join(shy, HENDERSON, shy, "tamu")
        rooms.join(self.lineker, LINEKER, self.lineker, "tamu")
        info = rooms.talk(self.messi, "halo", 1)
        self.assertEqual(len(self.lineker.heard), 1)
        self.assertEqual(info.users, ("Lineker", "messi"))

    @given(
        st.lists(
            st.tuples(
                st.integers(0, 3), st.sampled_from(("join", "leave")), st.sampled_from("aAbc")
            ),
            max_size=30,
        )
    )
    def test_rooms_agree_with_a_model(self, steps: list[tuple[int, str, str]]) -> None:
        """After any moves the list says who is in which room, and has no empty one."""
        rooms = Rooms(Presence())
        people = [(Listener(), account(f"u{n}")) for n in range(4)]
        where: dict[int, str] = {}
        for who, what, room in steps:
            listener, one = people[who]
            if what == "join":
                rooms.join(listener, one, listener, room)
                where[who] = room.lower()
            else:
                left = rooms.leave(listener)
                self.assertEqual(None if left is None else left.lower(), where.pop(who, None))
            expected: dict[str, list[str]] = {}
            for other, place in sorted(where.items()):
                expected.setdefault(place, []).append(f"u{other}")
            found = {info.room.lower(): list(info.users) for info in rooms.all()}
            self.assertEqual(found, expected)
