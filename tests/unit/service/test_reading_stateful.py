"""Reading in all ways, from two connections, compared with a model in plain Python under random operations.

The promise: nothing is read that was not shown; nothing is shown again once it was acknowledged; and at most
MAX_LEFT messages of a conversation are left out before a read mark. Connections and the daemon may be killed
at any moment. The daemon runs without threads (tests.support.inline), and files are rows without bytes.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.attachments import Attachment, StoredFile
from chatd.base.model import Account, Message
from chatd.base.names import Address, Place
from chatd.base.replies import Reply
from chatd.commands import values as ask
from chatd.commands.connection import Connection, Origin
from chatd.commands.handlers import HANDLERS
from chatd.commands.results import ReplyWithFiles
from chatd.commands.sessions import Sessions
from chatd.service.accounts import Login
from chatd.service.attachments import FileSend
from chatd.store.schema import skipped
from tests import RANDOM_RUNS
from tests.support.common import Listener, same_bytes
from tests.support.inline import open_inline, result_of

READER = "budi"
OTHERS = ("ana", "citra")
GROUP = "bagan"
MOST_LEFT = 3  # in place of MAX_LEFT
PAGE = 5  # in place of MAX_PAGE
MIB = 1 << 20
BUDGET = 12 * MIB  # bytes of files in a reply
SIZES = (None, None, None, 1, 5 * MIB, 8 * MIB, BUDGET, 13 * MIB)  # None: a text
# sender, whether to the group, and the size of a file
LETTERS = st.tuples(
    st.sampled_from((*OTHERS, *OTHERS, READER)), st.booleans(), st.sampled_from(SIZES)
)
STEPS = 40  # of one run


class Letter(msgspec.Struct, frozen=True):
    """A message in the model. `place` is the other person, or the group."""

    id: int
    place: str
    seq: int
    sender: str
    size: int | None


class Device(msgspec.Struct):
    """A connection of the reader. `pending` has what it was shown and has not acknowledged."""

    connection: Connection
    pending: set[int] = set()


class ReadingMachine(RuleBasedStateMachine):
    """Operations on the service and on the model. `letters` are those that the reader may read."""

    def __init__(self) -> None:
        super().__init__()
        self.holder = tempfile.TemporaryDirectory()
        self.now = 1_000_000.0
        self.random_bytes = same_bytes()
        self.letters: dict[int, Letter] = {}
        self.places: dict[str, int] = {}  # the ids of conversations
        self.read: set[int] = set()  # acknowledged, and on disk
        self.moving: set[int] = set()  # acknowledged, and being stored
        self.member = True
        self._open()

    def _open(self) -> None:
        self.clock = Clock()  # without the timers of a daemon that was killed
        self.clock.advance(self.now)
        opened = open_inline(Path(self.holder.name), self.clock, self.random_bytes)
        self.service, self.database = opened
        uploads: Any = self.service.uploads
        uploads.is_whole, uploads.open = self._is_whole, mock.Mock()
        self.sessions = Sessions(self.service, HANDLERS)
        self.devices: list[Device] = []

    async def _is_whole(self, _file: Attachment) -> bool:
        return True

    def teardown(self) -> None:
        self.database.stop()
        self.holder.cleanup()

    @initialize()
    def begin(self) -> None:
        self.people: dict[str, Account] = {}
        for name in (READER, *OTHERS):
            login = result_of(self.service.accounts.register(name, "surabaya", None, None))
            self.people[name] = login.account
        self.places[GROUP] = result_of(self.service.groups.create(self.people["ana"], GROUP)).id
        for name in ("citra", READER):
            result_of(self.service.groups.join(self.people[name], Address(GROUP)))
        self._connect()

    def _connect(self) -> None:
        for number in (1, 2):
            connection = Connection(self.sessions, Listener(), Origin("here", number))
            connection.attach(Login(self.people[READER], bytes([number]) * 32, 1 << 50))
            self.devices.append(Device(connection))

    # The model

    def unread(self, device: Device | None = None) -> list[Letter]:
        """What is unread, as the connection sees it; oldest first."""
        known = self.read | self.moving | (set() if device is None else device.pending)
        return [each for ident, each in sorted(self.letters.items()) if ident not in known]

    def acknowledge(self, device: Device) -> None:
        self.moving |= device.pending
        device.pending = set()
        if not self.database.held:
            self._settled()

    def _settled(self) -> None:
        self.read |= self.moving
        self.moving = set()

    # What others do

    def write(self, data: st.DataObject) -> None:
        """People write to the reader (who may write to themselves), or in the group."""
        count = data.draw(st.sampled_from((0, 0, 1, 2, 4, 8)), "letters")
        if count:
            self._go_on()
        for _ in range(count):
            sender, to_group, size = data.draw(LETTERS, "letter")
            if not to_group or self.member or sender != READER:
                self._send(sender, to_group, size)

    def _send(self, sender: str, to_group: bool, size: int | None) -> None:
        self.clock.advance(1)
        self.now += 1
        account = self.people[sender]
        sent = result_of(
            self._text(account, to_group) if size is None else self._file(account, to_group, size)
        )
        receipt = sent.receipts[0]
        place = GROUP if to_group else sender
        self.places[place] = receipt.conversation
        if not to_group or (self.member and sender != READER):
            self.letters[receipt.id] = Letter(receipt.id, place, receipt.seq, sender, size)

    def _text(self, sender: Account, to_group: bool) -> Any:
        if to_group:
            return self.service.messages.post(sender, Address(GROUP), "halo", None)
        return self.service.messages.send(sender, [Address(READER)], "halo", None)

    async def _file(self, sender: Account, to_group: bool, size: int) -> Any:
        messages, files = self.service.messages, self.service.files
        if to_group:
            targets = [await messages.groups.find(sender, Address(GROUP))]
        else:
            targets, _ = await self.service.directs.open(sender, [Address(READER)])
        name = f"file {self.clock.seconds()}"
        _, sent = await files.commit(
            FileSend(sender, targets, {}, origin=None), name, StoredFile(name, size, "", "")
        )
        return sent

    @rule(by_kick=st.booleans(), back=st.booleans())
    def leave(self, by_kick: bool, back: bool) -> None:
        """The reader leaves the group or is removed, and may come back. Nothing of it is unread then."""
        self._go_on()
        groups, group, reader = self.service.groups, Address(GROUP), self.people[READER]
        if self.member:
            if by_kick:
                result_of(groups.kick(self.people["ana"], group, Address(READER)))
            else:
                result_of(groups.leave(reader, group))
        self.letters = {key: each for key, each in self.letters.items() if each.place != GROUP}
        self.member = back
        if back:
            result_of(groups.invite(self.people["ana"], group, [Address(READER)]))

    # What the reader does

    def device(self, data: st.DataObject) -> Device:
        """One of the reader's connections, after others have written. The database may be slow then."""
        self.write(data)
        if data.draw(st.booleans(), "slow"):
            self.database.held = True
        return self.devices[data.draw(st.integers(0, 1), "device")]

    def ask(self, device: Device, command: ask.Command, *, pipelined: bool = False) -> Any:
        """Execute a command. It acknowledges what was shown, unless it came together with that request."""
        if not pipelined:
            device.connection.moment += 1
            self.acknowledge(device)
        done = device.connection.own.execute(command)
        if not isinstance(done, Deferred):
            return done
        if not done.called:
            self._go_on()  # the group's members have to be loaded
        return result_of(done)

    @rule(data=st.data(), pipelined=st.booleans(), contents=st.booleans())
    def read_all(self, data: st.DataObject, pipelined: bool, contents: bool) -> None:
        """All unread messages, with or without the contents of files."""
        device = self.device(data)
        command = ask.ReadInbox(own=True, contents=contents)
        result = self.ask(device, command, pipelined=pipelined)
        before = self.unread(device)
        self._shown(device, before, result, contents)

    @rule(data=st.data(), own=st.booleans(), pipelined=st.booleans(), contents=st.booleans())
    def read_place(self, data: st.DataObject, own: bool, pipelined: bool, contents: bool) -> None:
        """The unread messages of one conversation."""
        device = self.device(data)
        name = data.draw(st.sampled_from(sorted(self._places())), "place")
        command = ask.ReadInbox(self._place(name), own=own, contents=contents)
        result = self.ask(device, command, pipelined=pipelined)
        before = [
            each
            for each in self.unread(device)
            if each.place == name and (own or each.sender != READER)
        ]
        self._shown(device, before, result, contents)

    @rule(
        data=st.data(),
        sender=st.sampled_from((*OTHERS, READER)),
        pipelined=st.booleans(),
        contents=st.booleans(),
    )
    def read_by_sender(
        self, data: st.DataObject, sender: str, pipelined: bool, contents: bool
    ) -> None:
        """What one person wrote. What others wrote is shown only where it can't be left out."""
        device = self.device(data)
        command = ask.ReadInbox(sender=Address(sender), own=True, contents=contents)
        result = self.ask(device, command, pipelined=pipelined)
        before = self.unread(device)
        theirs = [each for each in before if each.sender == sender]
        shown = self._take(device, before, result, contents)
        assert bool(shown) == bool(theirs)
        if not any(each.sender != sender for each in shown) and not contents:
            # Conversations take turns in the page, so it has the oldest of each.
            for place in {each.place for each in shown}:
                there = [each for each in theirs if each.place == place]
                given = [each for each in shown if each.place == place]
                assert given == there[: len(given)]
            assert len(shown) == min(PAGE, len(theirs))

    @rule(data=st.data(), pipelined=st.booleans())
    def read_newest(self, data: st.DataObject, pipelined: bool) -> None:
        """The newest messages, read or not. They become read, if older unread ones can be left out."""
        device = self.device(data)
        name = data.draw(st.sampled_from(("", *sorted(self._places()))), "place")
        place = self._place(name) if name else None
        result = self.ask(device, ask.ReadInbox(place, newest=True), pipelined=pipelined)
        shown = {each.id for each in result.items}
        wanted = [each for each in self.letters.values() if each.place in (name or self._others())]
        if name:
            assert shown >= {each.id for each in wanted} or len(shown) == PAGE
        else:
            assert [each.id for each in result.items] == sorted(each.id for each in wanted)[-PAGE:]
        unread = self.unread(device)
        for there in {each.place for each in wanted if each.id in shown}:
            left = [each for each in unread if each.place == there and each.id not in shown]
            if len(left) <= MOST_LEFT:
                device.pending |= {
                    each.id for each in unread if each.place == there and each.id in shown
                }

    def _others(self) -> tuple[str, ...]:
        return (*OTHERS, READER)

    def _places(self) -> set[str]:
        return {*OTHERS, READER, *([GROUP] if self.member else [])}

    def _place(self, name: str) -> Place:
        return Place(group=Address(name)) if name == GROUP else Place(user=Address(name))

    def _shown(self, device: Device, before: Sequence[Letter], result: Any, contents: bool) -> None:
        """A page of all that is unread somewhere: the oldest, except files that wait."""
        shown = self._take(device, before, result, contents)
        first = list(before[:PAGE])
        waiting = [each for each in first if each not in shown]
        assert shown == [each for each in first if each not in waiting]
        assert all(each.size is not None for each in waiting)
        assert contents or not waiting
        assert bool(shown) == bool(before)
        reply = result.reply if isinstance(result, ReplyWithFiles) else result
        assert reply.data["remaining"] == len(before) - len(shown)

    def _take(
        self, device: Device, before: Sequence[Letter], result: Any, contents: bool
    ) -> list[Letter]:
        """Check a reply, and note what was shown."""
        reply: Reply = result.reply if isinstance(result, ReplyWithFiles) else result
        by_id = {each.id: each for each in before}
        messages = [each for each in reply.items if isinstance(each, Message)]
        assert len(messages) == len({each.id for each in messages}) <= PAGE
        shown = [by_id[each.id] for each in messages]  # nothing that was read before
        device.pending |= {each.id for each in shown}
        if isinstance(result, ReplyWithFiles):
            result.sent()
        if contents:
            inline = set(reply.data["inline"])
            assert inline == (set(result.files) if isinstance(result, ReplyWithFiles) else set())
            assert sum(by_id[ident].size or 0 for ident in inline) <= BUDGET
            for each in shown:
                if each.size is not None and each.id not in inline and each.size <= BUDGET:
                    # It was named because too many others of its conversation wait.
                    last = max(one.id for one in shown if one.place == each.place)
                    unread = [one for one in self.unread(device) if one.place == each.place]
                    assert len([one for one in unread if one.id < last]) == MOST_LEFT
        return shown

    @rule(data=st.data(), seq=st.integers(0, 12))
    def mark(self, data: st.DataObject, seq: int) -> None:
        """A client says up to where it has read a conversation."""
        device = self.device(data)
        mine = sorted(name for name in self._places() if name in self.places)
        name = data.draw(st.sampled_from(mine), "place") if mine else None
        if name is None:
            return
        self._go_on()
        self.ask(device, ask.MarkRead(self.places[name], seq))
        self.read |= {
            each.id for each in self.letters.values() if each.place == name and each.seq <= seq
        }

    @rule(data=st.data(), what=st.sampled_from(("close", "lose", "kill")))
    def trouble(self, data: st.DataObject, what: str) -> None:
        """A connection or the daemon ends. Only a clean end proves that everything arrived."""
        if what == "kill":  # with everything that is not on disk
            self.moving = set()
            self.database.stop()
            self._open()
            self._connect()
        else:
            self._reconnect(self.device(data), what == "close")

    def _reconnect(self, device: Device, clean: bool) -> None:
        if clean:
            self.acknowledge(device)
        device.pending = set()
        device.connection.leave(clean)
        number = device.connection.origin.number
        device.connection = Connection(self.sessions, Listener(), Origin("here", number))
        login = Login(self.people[READER], bytes([number]) * 32, 1 << 50)
        device.connection.attach(login)

    def _go_on(self) -> None:
        """The database is fast again."""
        if self.database.held:
            self.database.held = False
            self.database.settle()
            self._settled()

    # Invariants

    @invariant()
    def unread_is_true(self) -> None:
        """The counts are those of what was not shown and acknowledged."""
        found = result_of(self.service.reading.unread(self.people[READER], {}))
        assert {each.user or each.group: each.unread for each in found} == self._counts()

    @rule(data=st.data())
    def list_conversations(self, data: st.DataObject) -> None:
        """The list of conversations has the same counts, without what a connection was just shown."""
        device = self.device(data)
        given = device.connection.own.given
        listed, _ = result_of(self.service.conversations.all(self.people[READER], given))
        found = {each.user or each.name: each.unread for each in listed if each.unread}
        assert found == self._counts(device)

    def _counts(self, device: Device | None = None) -> dict[str, int]:
        return dict(Counter(each.place for each in self.unread(device) if each.sender != READER))

    @invariant()
    def few_are_left_out(self) -> None:
        with self.database._engine.connect() as connection, connection.begin():
            counts = connection.scalars(
                sa.select(sa.func.count())
                .select_from(skipped)
                .group_by(skipped.c.account_id, skipped.c.conversation_id)
            )
            assert max(counts, default=0) <= MOST_LEFT


class ReadingTest(SynchronousTestCase):
    def test_reading_behaves_like_the_model(self) -> None:
        """In any order of operations, kills and restarts, reading keeps its promise."""
        patches = (
            mock.patch("chatd.store.unread.MAX_LEFT", MOST_LEFT),
            mock.patch("chatd.store.newest.MAX_LEFT", MOST_LEFT),
            mock.patch("chatd.service.contents.MAX_LEFT", MOST_LEFT),
            mock.patch("chatd.service.reading.MAX_PAGE", PAGE),
        )
        for patch in patches:
            patch.start()
            self.addCleanup(patch.stop)
        run_state_machine_as_test(
            ReadingMachine,
            settings=settings(
                max_examples=RANDOM_RUNS,
                stateful_step_count=STEPS,
                suppress_health_check=list(HealthCheck),
            ),
        )
