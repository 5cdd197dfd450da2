"""A member sees a conversation from their first entry on, in everything that is read of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from chatd.base.attachments import StoredFile
from chatd.base.entries import Edit, React
from chatd.base.errors import UnknownMessage
from chatd.base.model import Account
from chatd.base.names import Place
from chatd.service.composed_sends import SendOptions
from chatd.service.message_parts import MessageParts
from chatd.store.access import view_of
from chatd.store.files import Owner, add_attachment, files_in, files_of, find_file
from chatd.store.schema import messages, participants
from chatd.store.sync import Cursor
from chatd.store.windows import Window
from tests.support.common import Listener
from tests.support.inline import outcome_of, result_of
from tests.unit.service.test_groups import BAGAN, GroupsTestCase

HERE = Place(group=BAGAN)


class Views(GroupsTestCase):
    """Budi sees only messages from after he joined. Citra sees everything."""

    def setUp(self) -> None:
        super().setUp()
        self.group = self.create(self.ana)
        self.join(self.citra)
        self.old = self.post(self.ana, "pasar lama").receipts[0].seq
        self.run_job(self.attach, self.old)
        self.join(self.budi)
        self.first = self.old + 1
        self.run_job(self.hide, self.budi, self.first)
        self.reopen()  # the roster reads the first entries
        self.new = self.post(self.ana, "pasar baru").receipts[0].seq

    def run_job(self, job: Callable[..., Any], *args: Any) -> Any:
        return result_of(self.database.run(job, *args))

    def hide(self, connection: sa.Connection, account: Account, first: int) -> None:
        mine = participants.c.account_id == account.id
        connection.execute(sa.update(participants).where(mine).values(first_seq=first))

    def attach(self, connection: sa.Connection, seq: int) -> None:
        """Give a message a file."""
        stored = StoredFile("stored", 3, "00", "text/plain")
        file = add_attachment(
            connection, Owner(self.ana.id), "abc234", "daftar.txt", stored, 0, 1 << 20
        )
        here = messages.c.conversation_id == self.group.id
        connection.execute(
            sa.update(messages).where(here, messages.c.seq == seq).values(attachment_id=file.id)
        )

    def change(self, who: Account, seq: int, change: Any) -> Any:
        return outcome_of(self.service.changes.change(who, HERE, seq, change, None))

    def seqs(self, who: Account, window: Window) -> tuple[list[int], int, int | None]:
        page = result_of(self.service.reading.history(who, HERE, 50, window))
        return [each.seq for each in page.messages], page.remaining, page.later

    def test_history(self) -> None:
        """A window shows nothing before the first entry, and counts nothing there."""
        windows = Window(), Window(around=1), Window(before=self.new + 1), Window(after=0)
        for window in (*windows, Window(since=0)):
            self.assertEqual(self.seqs(self.budi, window), ([self.new], 0, 0), window)
            self.assertEqual(self.seqs(self.citra, window)[0], [self.old, self.new], window)
        self.assertEqual(self.seqs(self.budi, Window(before=self.new)), ([], 0, 1))

    def test_search(self) -> None:
        """A search finds and counts only visible messages, in the index, in its tail, and among changes."""
        for _ in range(3):
            found = result_of(self.service.reading.search(self.budi, "pasar"))
            self.assertEqual([each.seq for each in found.messages], [self.new])
            self.assertEqual(found.remaining, 0)
            self.assertEqual(
                len(result_of(self.service.reading.search(self.citra, "pasar")).messages), 2
            )
            self.index()
            self.change(self.ana, self.old, Edit("pasar malam"))

    def index(self) -> None:
        index = self.service.indexing._index
        while pieces := result_of(self.database.read(index.prepare)):
            for piece in pieces:
                self.run_job(index.store, piece)

    def test_sync(self) -> None:
        """Neither earlier entries nor later changes of earlier messages are entries for the member."""
        self.change(self.ana, self.old, Edit("pasar malam"))
        self.change(self.ana, self.new, Edit("pasar pagi"))
        page = result_of(self.service.sync.one(self.budi, self.group.id, Cursor(), 50))
        seqs = [each.seq for each in page.entries]
        self.assertEqual(seqs, [self.old + 1, self.new, self.new + 2])
        self.assertEqual(page.seq, self.new + 2)
        whole = result_of(self.service.sync.one(self.citra, self.group.id, Cursor(), 50))
        self.assertEqual([each.seq for each in whole.entries], list(range(1, self.new + 3)))

    def test_files(self) -> None:
        """The file of an earlier message is neither found nor listed."""
        for who, found in ((self.budi, False), (self.citra, True)):
            read = self.database.read(find_file, who.id, "abc234")
            self.assertIs(result_of(read) is not None, found)
            for query, where in ((files_of, ()), (files_in, (self.group.id,))):
                listed = result_of(self.database.read(query, who.id, *where, 10))
                self.assertIs(bool(listed), found)

    def test_changes(self) -> None:
        """An earlier message can't be changed, answered, forwarded, pinned or asked about."""
        self.assertIs(self.change(self.budi, self.old, React("\N{THUMBS UP SIGN}")), UnknownMessage)
        options = SendOptions(None, reply=self.old)
        composed, sent = self.service.composed, MessageParts("halo")
        for asked in (
            composed.to_group(self.budi, BAGAN, sent, options),
            composed.forward(self.budi, HERE, self.old, Place(group=BAGAN), SendOptions(None)),
            self.service.receipts.readers(self.budi, self.group.id, self.old),
        ):
            self.assertIs(outcome_of(asked), UnknownMessage)
        self.assertIsNot(
            self.change(self.citra, self.old, React("\N{THUMBS UP SIGN}")), UnknownMessage
        )

    def test_events(self) -> None:
        """Changes of an earlier message are pushed only to members who see it."""
        heard: dict[str, Listener] = {}
        for who in (self.budi, self.citra):
            heard[who.name] = listener = Listener()
            self.service.presence.listen(who.id, listener, on=True, all_events=True)
        self.change(self.ana, self.old, Edit("pasar malam"))
        self.change(self.ana, self.new, Edit("pasar pagi"))
        self.service.presence.flush()
        texts = {
            name: [getattr(each, "text", None) for each in one.heard] for name, one in heard.items()
        }
        self.assertEqual(
            texts,
            {"Budi": ["pasar pagi"], "citra": ["pasar malam", "pasar pagi"]},
        )

    def test_overview(self) -> None:
        """The newest message of a list of conversations is one that the member sees."""
        self.run_job(self.hide, self.budi, self.new + 1)
        (info,), _ = result_of(self.service.conversations.all(self.budi, {}))
        self.assertIsNone(info.last)

    def test_former_member(self) -> None:
        """A former member sees nothing."""
        result_of(self.groups.leave(self.budi, BAGAN))
        view = result_of(self.database.read(view_of, self.budi.id, self.group.id))
        self.assertIsNone(view)
