"""What was written to a group before somebody of another realm has joined: the home gives it, and the mirror
stores it in its place."""

from __future__ import annotations

import re
import shutil
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec
import sqlalchemy as sa
from twisted.internet.defer import succeed

from chatd.base.errors import (
    NotSupportedThere,
    PeerFailed,
    RealmDown,
    StorageFailed,
    UnknownGroup,
    UnknownMessage,
)
from chatd.base.model import Message
from chatd.base.names import Place, parse_address, parse_group
from chatd.commands import values as ask
from chatd.federation import capabilities, parcels, past_supply, pasts
from chatd.federation.past_pages import PastPage
from chatd.federation.past_supply import PastSupply
from chatd.federation.receive import Receiver
from chatd.federation.signing.statements import EditAttributes, StatedRef
from chatd.simulate.databases import copy_state
from chatd.store import past_pages
from chatd.store import pasts as store_pasts
from chatd.store.held import group_page
from chatd.store.losses import Lost, homes
from chatd.store.past_pages import PastQuestion
from chatd.store.pasts import pasts_of
from chatd.store.schema import awaiting, changes, messages, signatures
from chatd.store.schema import pasts as past_table
from chatd.store.signatures import FORGED
from tests.support.network import LinkedTestCase, Person, Server, lacks
from tests.support.signing import SigningRealm
from tests.unit.federation.test_realm_groups import GroupTestCase

PLACES = {"realm1": "bagan", "realm2": "bagan@realm1", "realm3": "bagan@realm1"}


def at(person: Person) -> Place:
    return Place(None, parse_group(PLACES[person._server.name]))


def everywhere(person: Person, value: Any) -> Any:
    """A value as all realms write it: with realms in addresses, and with no numbers of this realm alone."""
    shown = msgspec.to_builtins(value, builtin_types=(bytes,))
    if isinstance(shown, dict):
        shown["about"] = type(value).__name__
    realm = person._server.name

    def plain(each: Any, key: str = "") -> Any:
        if isinstance(each, dict):
            left_out = ("id", "conversation", "file", "state", "waits", "to")
            return {key: plain(one, key) for key, one in each.items() if key not in left_out}
        if isinstance(each, list | tuple):
            return [plain(one) for one in each]
        is_name = isinstance(each, str) and re.fullmatch("ana|agus|budi|bela|citra|bagan", each)
        return f"{each}@{realm}" if is_name else each

    return plain(shown)


def log_of(person: Person) -> list[Any]:
    """All entries of the group that a person sees, and the messages as they are."""
    found = person.does(ask.ShowHistory(at(person), 500)).items
    (conversation,) = {each.conversation for each in found}
    synced = person.does(ask.SyncLog(conversation, 0, 500))
    entries = [each.entry for each in synced.items]
    files = [each.file and each.file.name for each in found]
    return [everywhere(person, each) for each in (*entries, *found)] + files


def texts(person: Person, count: int = 500, before: int | None = None) -> list[str | None]:
    page = person.does(ask.ShowHistory(at(person), count, before=before))
    return [each.text for each in page.items]


class PastTestCase(GroupTestCase):
    """A page has few entries."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(past_pages, "PAGE", 4)

    def says(self, *said: str) -> None:
        for text in said:
            self.ana.posts("bagan", text)

    def on_demand(self) -> None:
        """Let nothing be fetched in the background."""
        self.patch(pasts, "BACKGROUND", 0)

    def changes(self, seq: int) -> None:
        """Write much to the group, and change it."""
        place = at(self.ana)
        for change in (
            ask.EditMessage(place, seq, "lain"),
            ask.EditMessage(place, seq, "lain lagi @ana"),
            ask.DeleteMessage(place, seq + 1),
            ask.ReactToMessage(place, seq + 2, "👍", True),
            ask.ReactToMessage(place, seq + 2, "🎉", True),
            ask.ReactToMessage(place, seq + 2, "🎉", False),
            ask.PinMessage(place, seq + 2, True),
            ask.EditMessage(place, seq + 3, "lalu dihapus"),
            ask.DeleteMessage(place, seq + 3),
            ask.SetGroup(parse_address("bagan"), title="Bagan"),
            ask.ReplyToMessage(place, seq, "jawab"),
        ):
            self.ana.does(change)

    def rows(self, server: Server, table: sa.Table) -> list[Any]:
        return list(server.realm.database.now(lambda db: db.execute(sa.select(table)).all()))


class SameLogTestCase(PastTestCase):
    def test_everything(self) -> None:
        """Messages, changes, facts and a file; then what comes after the join."""
        self.says("satu", "dua", "tiga", "empat")
        self.changes(2)
        self.ana.sends_file("#bagan", "a.txt", b"halo")
        self.budi.joins("bagan@realm1")
        self.network.settle()
        self.says("sesudah")
        self.network.settle()
        self.assertEqual(log_of(self.budi), log_of(self.ana))
        self.assertEqual(self.budi.reads(), ["ana@realm1: sesudah"])
        (code,) = [each.code for each in self.budi.files()]
        self.network.advance(5)
        self.assertEqual(self.budi.fetches(code), b"halo")
        found = self.budi.does(ask.SearchMessages("jawab")).items
        self.assertEqual([each.text for each in found], ["jawab"])
        self.assertEqual(self.rows(self.two, awaiting), [])

    def test_changed_before_it_has_come(self) -> None:
        """Changes of messages that are missing wait for them, and so do replies."""
        self.says("satu", "dua", "tiga", "empat", "lima", "enam")
        self.on_demand()
        self.budi.joins("bagan@realm1")
        self.bela.joins("bagan@realm1")
        self.changes(2)
        self.network.settle()
        self.assertGreater(len(self.rows(self.two, awaiting)), 7)
        self.assertEqual(log_of(self.budi), log_of(self.ana))
        self.assertEqual(log_of(self.bela), log_of(self.budi))
        self.assertEqual(self.rows(self.two, awaiting), [])
        (answer,) = self.budi.does(ask.ShowHistory(at(self.budi), 1)).items
        self.assertEqual((answer.text, answer.reply), ("jawab", 2))

    def test_reaction_to_a_deleted_message(self) -> None:
        """A reaction from before a deletion is left out, in whichever order the pages come."""
        self.says(*map(str, range(6)))
        self.ana.does(ask.ReactToMessage(at(self.ana), 2, "👍", True))
        self.ana.does(ask.PinMessage(at(self.ana), 2, True))
        self.ana.does(ask.DeleteMessage(at(self.ana), 2))
        self.budi.joins("bagan@realm1")
        self.network.settle()
        self.assertEqual(texts(self.budi), [None, "1", "2", "3", "4", "5"])
        first = self.budi.does(ask.ShowHistory(at(self.budi), 9)).items[0]
        self.assertEqual((list(first.reactions), first.pinned), ([], False))
        self.assertEqual(self.rows(self.two, awaiting), [])

    def test_three_realms(self) -> None:
        """What people of a third realm wrote crosses with their signatures."""
        self.says("satu")
        self.citra.joins("bagan@realm1")
        self.citra.posts("bagan@realm1", "dua")
        found = self.citra.does(ask.ShowHistory(at(self.citra), 9)).items
        self.citra.does(ask.EditMessage(at(self.citra), found[-1].seq, "dua lagi"))
        self.citra.does(ask.ReactToMessage(at(self.citra), found[0].seq, "👍", True))
        self.network.settle()
        self.budi.joins("bagan@realm1")
        self.network.settle()
        self.assertEqual(log_of(self.budi), log_of(self.ana))
        self.assertEqual(log_of(self.citra), log_of(self.ana))

    def test_edited_replies(self) -> None:
        """A signed message that was edited is still a reply, also if what it replies to comes later."""
        self.says("satu", "dua", "tiga")
        self.citra.joins("bagan@realm1")
        for person in (self.ana, self.citra):
            person.does(ask.ReplyToMessage(at(person), 2, f"jawab {person.name}"))
            self.network.settle()
        for person, seq in ((self.ana, 6), (self.citra, 7)):
            person.does(ask.EditMessage(at(person), seq, "lain"))
            self.network.settle()
        self.budi.joins("bagan@realm1")
        self.network.settle()
        self.assertEqual(log_of(self.budi), log_of(self.ana))
        shown = self.budi.does(ask.ShowHistory(at(self.budi), 9)).items
        self.assertEqual(
            [(each.text, each.reply) for each in shown[3:]], [("lain", 2), ("lain", 2)]
        )

    def test_replies_edited_earlier(self) -> None:
        """A reply that was edited before another realm had members is a reply there, too."""
        self.says("satu", "dua")
        self.ana.does(ask.ReplyToMessage(at(self.ana), 2, "jawab"))
        self.ana.does(ask.EditMessage(at(self.ana), 4, "lain"))
        self.budi.joins("bagan@realm1")
        self.network.settle()
        self.assertEqual(log_of(self.budi), log_of(self.ana))
        shown = self.budi.does(ask.ShowHistory(at(self.budi), 1)).items[0]
        self.assertEqual((shown.text, shown.reply), ("lain", 2))

    def test_unknown_key(self) -> None:
        """Until the key of the author's realm is known, an entry is unverified."""
        four = self.network.server("realm4")
        self.one.add(four)
        self.network.settle()
        dewi = four.person("dewi")
        dewi.joins("bagan@realm1")
        dewi.posts("bagan@realm1", "halo")
        self.budi.joins("bagan@realm1")
        self.network.settle()
        (shown,) = self.budi.does(ask.ShowHistory(at(self.budi), 9)).items
        self.assertTrue(shown.unverified)
        four.add(self.two)
        self.network.settle()
        (shown,) = self.budi.does(ask.ShowHistory(at(self.budi), 9)).items
        self.assertEqual((shown.text, shown.unverified), ("halo", False))

    def test_joined_again(self) -> None:
        """What was written while no member was there is fetched, too."""
        self.says("satu")
        self.budi.joins("bagan@realm1")
        self.says("dua")
        self.budi.posts("bagan@realm1", "tiga")
        self.network.settle()
        self.budi.does(ask.LeaveGroup(parse_address("bagan@realm1")))
        self.network.settle()
        self.says("empat", "lima", "enam")
        self.ana.does(ask.ReactToMessage(at(self.ana), 2, "👍", True))
        self.network.settle()
        self.bela.joins("bagan@realm1")
        self.says("tujuh")
        self.network.settle()
        self.assertEqual(texts(self.bela), texts(self.ana))
        self.assertEqual(log_of(self.bela), log_of(self.ana))

    def test_own_words(self) -> None:
        """A realm gets what its own people wrote, also while it had no member."""
        self.says("satu")
        self.budi.posts("bagan@realm1", "dari luar")
        self.network.settle()
        self.budi.joins("bagan@realm1")
        self.network.settle()
        self.assertEqual(
            self.budi.history(group="bagan@realm1"), ["ana@realm1: satu", "budi: dari luar"]
        )


class WhenTestCase(PastTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.numbers = [str(each) for each in range(12)]
        self.says(*self.numbers)

    def page(self, count: int, before: int | None = None) -> tuple[list[str | None], int]:
        reply = self.budi.does(ask.ShowHistory(at(self.budi), count, before=before))
        return [each.text for each in reply.items], reply.data["earlier"]

    def test_on_demand(self) -> None:
        """`earlier` counts what the home has."""
        self.on_demand()
        self.budi.joins("bagan@realm1")
        self.assertEqual(self.rows(self.two, messages), [])
        self.assertEqual(self.page(2), (["10", "11"], 10))
        self.assertLess(len(self.rows(self.two, messages)), 6)
        self.assertEqual(self.page(3, before=10), (["5", "6", "7"], 6 - 1))
        self.part(self.two)
        found, earlier = self.page(500)
        self.assertEqual((found[-1], len(found) + earlier), ("11", 12))
        self.meet()
        self.assertEqual(self.page(500), (self.numbers, 0))

    def test_cut_and_killed(self) -> None:
        """It goes on where it was, after a cut and after a crash."""
        take, left = pasts.Pasts._take, [2]

        async def cut(self_: Any, *args: Any) -> None:
            await take(self_, *args)
            left[0] -= 1
            if not left[0]:
                raise RealmDown(realm="realm1")

        patch = self.patch(pasts.Pasts, "_take", cut)
        self.budi.joins("bagan@realm1")
        self.network.settle()
        patch.restore()
        before = len(self.rows(self.two, messages))
        self.assertGreater(before, 3)
        self.assertLess(before, 12)
        self.two.restart()
        self.network.advance(30)
        self.assertEqual(len(self.rows(self.two, messages)), 12)
        self.assertEqual(texts(self.budi), self.numbers)

    def test_no_room(self) -> None:
        """Half of the quota is left to new messages. The rest follows when there is room."""
        quotas = self.two.service.quotas
        self.patch(quotas, "_realm_limit", 1000)
        quotas.charge("realm1", 600, self.two.service.context.now())
        self.budi.joins("bagan@realm1")
        self.network.settle()
        self.assertEqual(self.rows(self.two, messages), [])
        quotas._realm_limit = 1 << 20
        self.network.advance(61)
        self.assertEqual(texts(self.budi), self.numbers)

    def test_stopped(self) -> None:
        """Nothing is tried again that finds no room while the realm stops."""
        quotas = self.two.service.quotas
        self.patch(quotas, "_realm_limit", 1000)
        quotas.charge("realm1", 600, self.two.service.context.now())
        fetch, waiting = pasts.Pasts._fetch_page, self.two.federation.pasts

        async def last(self_: Any, conversation: int) -> None:
            waiting.stop()
            await fetch(self_, conversation)

        self.patch(pasts.Pasts, "_fetch_page", last)
        self.budi.joins("bagan@realm1")
        self.network.settle()
        quotas._realm_limit = 1 << 20
        self.network.advance(61)
        self.assertEqual(self.rows(self.two, messages), [])

    def test_full_disk(self) -> None:
        """A page that the disk does not take costs the home nothing, and comes later."""
        self.on_demand()
        self.budi.joins("bagan@realm1")
        quotas, database = self.two.federation.pasts._quotas, self.two.realm.database
        with mock.patch.object(quotas, "give_back_bytes", wraps=quotas.give_back_bytes) as back:
            database.full = True
            self.assertEqual(self.page(2), ([], 0))
            self.assertEqual(back.call_count, 1)
        database.full = False
        self.assertEqual(self.page(2), (["10", "11"], 10))
        self.flushLoggedErrors(StorageFailed)

    def test_failing(self) -> None:
        """A fault while a page is stored is logged, and people read what is here."""
        self.on_demand()
        self.budi.joins("bagan@realm1")
        with mock.patch.object(pasts.Pasts, "_take", side_effect=ZeroDivisionError):
            self.assertEqual(self.page(2), ([], 0))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.page(2), (["10", "11"], 10))

    def test_two_readers(self) -> None:
        """People who read at once, while it is fetched in the background, wait for the same page."""
        self.on_demand()
        self.budi.joins("bagan@realm1")
        self.bela.joins("bagan@realm1")
        asked: list[int] = []
        answer = PastSupply.answer

        async def counted(supply: PastSupply, question: PastQuestion) -> PastPage:
            asked.append(question.before)
            return await answer(supply, question)

        self.patch(PastSupply, "answer", counted)
        self.patch(pasts, "BACKGROUND", 1 << 20)
        reading = [each.begins(ask.ShowHistory(at(each), 2)) for each in (self.budi, self.bela)]
        while not self.two.federation.pasts._under_way:
            self.assertTrue(self.network.step())
        self.two.federation.pasts.begin("realm1")
        self.two.federation.pasts.begin("realm1")
        for done in reading:
            found = [each.text for each in self.network.result(done).items]
            self.assertEqual(found, ["10", "11"])
        self.network.settle()
        self.assertEqual(len(set(asked)), len(asked))
        self.assertEqual(len(self.rows(self.two, messages)), 12)

    def conversation(self) -> int:
        (row,) = self.rows(self.two, past_table)
        return int(row.conversation_id)

    def test_while_it_stops(self) -> None:
        """Somebody who reads while the database is closed does not wait."""
        self.on_demand()
        self.budi.joins("bagan@realm1")
        conversation = self.conversation()
        self.two.realm.database.stop()
        done = self.two.federation.pasts.fetch(conversation)
        self.assertEqual(self.successResultOf(done), None)

    def test_lacking(self) -> None:
        """A realm that has no such question is not asked."""
        lacks(self, "realm1", capabilities.PAST)
        self.two.restart()
        self.network.advance(30)
        self.budi.joins("bagan@realm1")
        self.assertEqual(self.page(5), ([], 0))
        self.two.realm.directory.past("realm1", 1, 5, 0).addErrback(
            lambda failure: failure.trap(NotSupportedThere)
        )

    def test_sync_waits(self) -> None:
        self.on_demand()
        self.budi.joins("bagan@realm1")
        (row,) = self.rows(self.two, past_table)
        entries = self.budi.does(ask.SyncLog(row.conversation_id, 0, 500)).items
        shown = [each.entry.text for each in entries if isinstance(each.entry, Message)]
        self.assertEqual(shown, self.numbers)

    def test_sync_says_what_is_missing(self) -> None:
        """If the home can't be asked, `sync` tells between which seqs entries may be missing."""
        self.on_demand()
        self.budi.joins("bagan@realm1")
        (row,) = self.rows(self.two, past_table)
        self.part(self.two)
        for after, missing in ((0, (0, 13)), (3, (3, 13)), (13, None)):
            synced = self.budi.does(ask.SyncLog(row.conversation_id, after, 500))
            expected = missing and {"after": missing[0], "upto": missing[1]}
            self.assertEqual(synced.data.get("missing"), expected)
        self.meet()
        synced = self.budi.does(ask.SyncLog(row.conversation_id, 0, 500))
        self.assertNotIn("missing", synced.data)
        self.assertNotIn("still to come", synced.message)

    def test_windows(self) -> None:
        """A window after a seq, around one, or since a time waits for what belongs there."""
        for window in ({"after": 2}, {"around": 3}, {"since": 0}):
            self.on_demand()
            person = self.two.person(f"orang-{next(iter(window))}")
            person.joins("bagan@realm1")
            mine = self.ana.does(ask.ShowHistory(at(self.ana), 4, **window)).items
            there = person.does(ask.ShowHistory(at(self.budi), 4, **window)).items
            self.assertEqual([each.text for each in there], [each.text for each in mine], window)
            self.forget_all()

    def forget_all(self) -> None:
        """Let realm2 have nothing of the group."""
        for change in (
            *map(sa.delete, (messages, changes, signatures)),
            sa.update(past_table).values(upto=14, after=0),
        ):
            self.two.realm.database.now(lambda db, change=change: db.execute(change))

    def test_file_that_is_too_large(self) -> None:
        """A file that this realm does not take is lost, and its message comes."""
        self.ana.sends_file("#bagan", "a.txt", b"halo")
        files = self.two.federation.pasts._writer._files
        self.patch(type(files), "_limits", msgspec.structs.replace(files._limits, sender=1))
        self.budi.joins("bagan@realm1")
        self.network.settle()
        shown = self.budi.does(ask.ShowHistory(at(self.budi), 1)).items[0]
        self.assertEqual((shown.file.name, shown.file.state), ("a.txt", "lost"))

    def test_files_that_wait(self) -> None:
        """A page with a file for which there is no room, and which can't wait for it, comes later."""
        self.ana.sends_file("#bagan", "a.txt", b"halo")
        files = self.two.federation.pasts._writer._files
        limited = msgspec.structs.replace(files._limits, arriving=1)
        limiting = self.patch(type(files), "_limits", limited)
        self.patch(files, "may_wait", lambda _realm: succeed(False))
        self.budi.joins("bagan@realm1")
        self.network.settle()
        self.assertEqual(self.rows(self.two, messages), [])
        limiting.restore()
        self.network.advance(61)
        self.assertEqual(len(self.rows(self.two, messages)), 13)


class PrivateTestCase(PastTestCase):
    """A private group that shows new members nothing of its past, until it is changed."""

    def setUp(self) -> None:
        super().setUp()
        self.ana.does(ask.SetGroup(parse_address("bagan"), visibility="private", past="joined"))
        self.code = self.ana.does(ask.ShowGroup(parse_address("bagan"))).fields["code"]
        self.says("satu", "dua", "tiga", "empat", "lima")
        self.budi.joins(f"{self.code}@realm1")
        self.network.settle()

    def arriving(self) -> list[bytes]:
        """The parcels that realm2 receives from now on."""
        receiver, arrived = self.two.federation.receiver, list[bytes]()

        def spy(realm: str, batch: Any, *rest: Any) -> Any:
            arrived.extend(parcels.encode(parcel) for _, parcel in batch)
            return Receiver.receive(receiver, realm, batch, *rest)

        self.patch(receiver, "receive", spy)
        return arrived

    def test_hidden(self) -> None:
        """Nothing of it crosses, and a change of what is hidden neither."""
        arrived = self.arriving()
        self.ana.does(ask.EditMessage(at(self.ana), 4, "rahasia"))
        self.ana.does(ask.ReactToMessage(at(self.ana), 5, "👍", True))
        self.says("enam")
        self.network.settle()
        self.assertEqual(texts(self.budi), ["enam"])
        self.assertEqual(len(self.rows(self.two, messages)), 1)
        self.assertEqual(len(arrived), 1)
        self.assertIn(b"enam", arrived[0])
        due = self.two.realm.database.now(lambda db: pasts_of(db, "realm1", 1 << 30, 9))
        self.assertEqual(due, [])

    def test_changes_by_guests(self) -> None:
        """A guest's message that a realm may not see is edited and deleted: only that it is deleted crosses,
        also after a restore."""
        self.budi.does(ask.LeaveGroup(parse_address("bagan@realm1")))
        self.citra.joins(f"{self.code}@realm1")
        self.citra.posts("bagan@realm1", "enam")
        self.bela.joins(f"{self.code}@realm1")
        self.network.settle()
        (seq,) = [each.seq for each in self.ana.does(ask.ShowHistory(at(self.ana), 1)).items]
        arrived, lost = self.arriving(), Lost("realm2", 0, 1 << 62)
        self.citra.does(ask.EditMessage(at(self.citra), seq, "rahasia"))
        self.network.settle()
        self.assertEqual(arrived, [])
        self.assertEqual(texts(self.ana)[-1], "rahasia")
        self.ana.does(ask.EditMessage(at(self.ana), 4, "rahasia"))
        self.ana.does(ask.DeleteMessage(at(self.ana), seq))
        self.network.advance(1)
        self.assertEqual(len(arrived), 1)

        def returned(connection: sa.Connection) -> list[int]:
            (home,) = homes(connection, lost)
            return [each.seq for each in group_page(connection, home, lost, 0).entries]

        newest = max(each.seq for each in self.rows(self.one, changes))
        self.assertEqual(self.one.realm.database.now(returned)[-1:], [newest])
        self.assertEqual(len(self.one.realm.database.now(returned)), 1)

    def test_reaction_to_what_is_hidden(self) -> None:
        """Nobody reacts to a message from before their time, here or elsewhere; it is not told that it is
        there."""
        self.agus.joins(self.code)
        for person in (self.agus, self.budi):
            for seq in (4, 99):
                with self.assertRaises(UnknownMessage):
                    person.does(ask.ReactToMessage(at(person), seq, "👍", True))
        self.network.settle()
        shown = self.ana.does(ask.ShowHistory(at(self.ana), 9)).items
        self.assertEqual([list(each.reactions) for each in shown], [[]] * 5)

    def test_hidden_from_one(self) -> None:
        """A member who may see everything does, and the one who joined before does not."""
        self.says("enam")
        self.ana.does(ask.SetGroup(parse_address("bagan"), past="all"))
        self.ana.does(ask.ReactToMessage(at(self.ana), 4, "👍", True))
        self.network.settle()
        self.bela.joins(f"{self.code}@realm1")
        self.network.settle()
        self.assertEqual(texts(self.bela), texts(self.ana))
        self.assertEqual(log_of(self.bela), log_of(self.ana))
        self.assertEqual(texts(self.budi), ["enam"])
        self.assertEqual(self.budi.does(ask.SearchMessages("satu")).items, ())
        self.assertEqual(self.budi.does(ask.ShowHistory(at(self.budi), 9)).data["earlier"], 0)

    def test_hostile_mirror(self) -> None:
        """A realm gets nothing from before its members joined, and nothing of groups of others."""
        ask_home = self.two.realm.directory.past
        for group, before, after, error in (
            (1, 0, 0, PeerFailed),
            (1, 5, 5, PeerFailed),
            (-1, 5, 0, PeerFailed),
            (99, 5, 0, UnknownGroup),
        ):
            with self.assertRaises(error):
                self.network.result(ask_home("realm1", group, before, after))
        (place,) = self.rows(self.two, past_table)
        page = self.network.result(ask_home("realm1", 1, place.first, 0))
        self.assertEqual((page.entries, page.start, page.earlier), ((), 1, 0))
        with self.assertRaises(UnknownGroup):
            self.network.result(self.three.realm.directory.past("realm1", 1, 5, 0))


class HostileHomeTestCase(PastTestCase):
    """The home gives pages that it has changed."""

    def setUp(self) -> None:
        super().setUp()
        self.says("satu", "dua")
        self.citra.joins("bagan@realm1")
        self.citra.posts("bagan@realm1", "tiga")
        self.network.settle()

    def gives(self, change: Any) -> list[str]:
        """What budi reads if the home gives each relay as `change` makes it; None leaves it out."""
        answer = PastSupply.answer

        async def altered(supply: PastSupply, asked: PastQuestion) -> PastPage:
            page = await answer(supply, asked)
            made = [change(parcels.decode(each)) for each in page.entries]
            entries = tuple(msgspec.Raw(parcels.encode(each)) for each in made if each is not None)
            return msgspec.structs.replace(page, entries=entries)

        self.patch(PastSupply, "answer", altered)
        self.budi.joins("bagan@realm1")
        self.network.settle()
        return self.budi.history(group="bagan@realm1")

    def test_altered(self) -> None:
        def change(relay: Any) -> Any:
            entry = msgspec.structs.replace(relay.entry, body=b"lain")
            return msgspec.structs.replace(relay, entry=entry)

        self.assertEqual(self.gives(change), [])

    def test_invented(self) -> None:
        """In the name of the reading realm, and of one whose key is known."""
        key = SigningRealm("realm1").key
        own = SigningRealm("realm2", key).says("mundur", home="realm1", group=1, author="budi")
        other = SigningRealm("realm3", key).says("mundur", home="realm1", group=1, author="citra")
        proof = self.three.federation.forwarder.entries._signer._key.sign([b"other"])[0]
        other = msgspec.structs.replace(other, proof=proof)

        def change(relay: Any) -> Any:
            entry = own if relay.seq % 2 else other
            return msgspec.structs.replace(relay, entry=entry)

        self.assertEqual(self.gives(change), [])

    def test_edit_by_another(self) -> None:
        """A realm edits a message of another realm, and the home lets it."""
        key = self.three.federation.forwarder.entries._signer._key
        named: list[StatedRef] = []

        def change(relay: Any) -> Any:
            stated = relay.opened.statement
            if relay.seq == 3:
                named.append(StatedRef(stated.realm, stated.number))
            if relay.seq != 5:
                return relay
            hostile = SigningRealm("realm3", key)
            edit = hostile.signs(EditAttributes(), b"palsu", group=1, target=named[0])
            return msgspec.structs.replace(relay, entry=edit)

        self.assertEqual(self.gives(change), ["ana@realm1: satu", "ana@realm1: dua"])

    def test_moved(self) -> None:
        """To another group, beyond the page, or without a proof."""

        def change(relay: Any) -> Any:
            match relay.seq % 3:
                case 0:
                    return msgspec.structs.replace(relay, group_id=7)
                case 1:
                    return msgspec.structs.replace(relay, seq=1 << 40)
                case _:
                    entry = msgspec.structs.replace(relay.entry, proof=None)
                    return msgspec.structs.replace(relay, entry=entry)

        self.assertEqual(self.gives(change), [])

    def test_other_name(self) -> None:
        """A page with the name of a group that nobody here is in is not taken."""
        renamed = partial(msgspec.structs.replace, group="lain")
        self.assertEqual(self.gives(renamed), [])
        error = self.network.result(self.two.federation.pasts.fetch_now(1))
        self.assertIsInstance(error, UnknownGroup)

    def test_twice(self) -> None:
        """Entries that are here already are kept once."""
        self.budi.joins("bagan@realm1")
        self.network.settle()
        before = log_of(self.budi)
        db = self.two.realm.database
        db.now(lambda each: each.execute(sa.update(past_table).values(upto=1000, fetched=0)))
        self.two.federation.pasts.begin("realm1")
        self.network.settle()
        self.assertEqual(log_of(self.budi), before)

    def test_changes_twice(self) -> None:
        """Changes that are here already are made once."""
        place = at(self.ana)
        self.ana.does(ask.ReactToMessage(place, 2, "👍", True))
        self.ana.does(ask.ReactToMessage(place, 2, "👍", False))
        self.ana.does(ask.EditMessage(place, 3, "dua lagi"))
        self.test_twice()
        first, second, _ = self.budi.does(ask.ShowHistory(at(self.budi), 9)).items
        self.assertEqual((list(first.reactions), second.text), ([], "dua lagi"))

    def test_deleted_stays_deleted(self) -> None:
        """A message that was deleted here does not come back."""
        self.bela.joins("bagan@realm1")
        self.network.settle()
        kept = self.network.result(
            self.one.federation.past_supply.answer(PastQuestion("realm2", 1, 9, 0))
        )
        self.ana.does(ask.DeleteMessage(at(self.ana), 2))
        self.network.settle()
        before = texts(self.bela)

        async def old(*_: Any) -> PastPage:
            return PastPage(kept.entries, 1, 0, 0)

        self.patch(PastSupply, "answer", old)
        db = self.two.realm.database
        db.now(lambda each: each.execute(sa.update(past_table).values(upto=8, fetched=0)))
        self.two.federation.pasts.begin("realm1")
        self.network.settle()
        self.assertEqual(texts(self.bela), before)
        self.assertEqual(before[0], None)

    def test_without_end(self) -> None:
        """Pages without progress, and claims about what is left."""
        asked: list[PastQuestion] = []

        async def nothing(_: PastSupply, question: PastQuestion) -> PastPage:
            asked.append(question)
            return PastPage((), question.before, 5, 0)

        self.patch(PastSupply, "answer", nothing)
        self.budi.joins("bagan@realm1")
        self.network.settle()
        self.assertEqual(self.budi.history(group="bagan@realm1"), [])
        self.assertLess(len(asked), 4)

        async def much(_: PastSupply, question: PastQuestion) -> PastPage:
            return PastPage((), question.before - 1, 1 << 50, 0)

        self.patch(PastSupply, "answer", much)
        self.patch(pasts, "BACKGROUND", 150)
        db = self.two.realm.database
        db.now(lambda each: each.execute(sa.update(past_table).values(upto=1 << 40, fetched=0)))
        self.two.federation.pasts.begin("realm1")
        self.network.settle()
        (row,) = self.rows(self.two, past_table)
        self.assertEqual((row.upto, row.fetched), ((1 << 40) - 2, 200))

    def test_garbage(self) -> None:
        """What can't be decoded, and what is no relay, is left out."""
        joined = parcels.encode(parcels.Joined("bagan", 1, "budi", 1))

        async def garbage(_: PastSupply, question: PastQuestion) -> PastPage:
            entries = (msgspec.Raw(b"\xc1"), msgspec.Raw(joined), msgspec.Raw(parcels.encode("x")))
            return PastPage(entries[1:], 1, 0, 0)

        self.patch(PastSupply, "answer", garbage)
        self.budi.joins("bagan@realm1")
        self.network.settle()
        self.assertEqual(self.budi.history(group="bagan@realm1"), [])


class RestoredHomeTestCase(PastTestCase):
    def back_up(self) -> Path:
        copy = Path(self.mktemp())
        self.one.close()
        copy_state(self.one.config.state, copy)
        self.one.open()
        self.network.advance(5)
        return copy

    def restore(self, copy: Path) -> None:
        self.one.kill()
        shutil.rmtree(self.one.config.state)
        copy_state(copy, self.one.config.state)
        self.one.open()
        self.network.advance(30)

    def test_other_numbers(self) -> None:
        """A home gives new entries the numbers of those that it has lost. Somebody who joins again gets them,
        although realm2 has other entries with these numbers."""
        self.says("satu")
        self.comes_and_goes()
        copy = self.back_up()
        self.comes_and_goes("hilang")
        self.restore(copy)
        self.says("dua", "tiga")
        self.budi.joins("bagan@realm1")
        self.network.settle()
        self.assertEqual(texts(self.ana), ["satu", "dua", "tiga"])
        self.assertEqual(texts(self.budi), ["satu", "hilang", "dua", "tiga"])
        found = self.budi.does(ask.SearchMessages("tiga")).items
        self.assertEqual([each.text for each in found], ["tiga"])
        self.ana.does(ask.DeleteMessage(at(self.ana), 5))
        self.ana.does(ask.SetGroup(parse_address("bagan"), past="joined"))
        self.says("empat")
        self.network.settle()
        self.assertEqual(texts(self.budi), ["satu", "hilang", None, "tiga", "empat"])
        # In realm2 the log is longer than at the home.
        self.bela.joins("bagan@realm1")
        self.network.settle()
        self.says("lima")
        self.network.settle()
        self.assertEqual(texts(self.bela), ["lima"])

    def test_placed_at_the_end(self) -> None:
        """Entries whose places are in use come to the end of the log. So members are told of them, as clients
        continue from there."""
        self.says("satu")
        self.comes_and_goes()
        copy = self.back_up()
        self.comes_and_goes("hilang", "juga hilang")
        self.restore(copy)
        self.ana.does(ask.SetGroup(parse_address("bagan"), title="Bagan"))
        self.ana.does(ask.ReactToMessage(at(self.ana), 2, "👍", True))
        self.says("dua")
        self.patch(store_pasts, "MAX_STEPS", 0)
        self.budi.does(ask.SetListening("all"))
        self.budi.joins("bagan@realm1")
        self.network.settle()
        told: list[Any] = [each for each in self.budi.events if getattr(each, "seq", 0) > 8]
        synced = self.budi.does(ask.SyncLog(1, 8, 500)).items
        expected = {"GroupChange", "Reaction", "Message"}
        self.assertEqual({type(each.entry).__name__ for each in synced}, expected)
        self.assertEqual(sorted(each.seq for each in told), [each.entry.seq for each in synced])
        self.assertEqual({type(each).__name__ for each in told}, expected)

    def test_hidden_end(self) -> None:
        """What belongs before a member's first entry is not placed after it, where they would see it."""
        self.says("satu")
        self.comes_and_goes()
        copy = self.back_up()
        self.comes_and_goes("hilang", "juga hilang")
        self.restore(copy)
        self.ana.does(ask.SetGroup(parse_address("bagan"), title="Bagan", past="joined"))
        self.ana.does(ask.ReactToMessage(at(self.ana), 2, "👍", True))
        self.says("dua")
        self.bela.joins("bagan@realm1")
        self.ana.does(ask.SetGroup(parse_address("bagan"), past="all"))
        self.patch(store_pasts, "MAX_STEPS", 0)
        self.budi.joins("bagan@realm1")
        self.network.settle()
        self.says("tiga")
        self.network.settle()
        self.assertEqual(texts(self.bela), ["tiga"])
        self.assertEqual(texts(self.budi), ["satu", "hilang", "juga hilang", "tiga"])

    def comes_and_goes(self, *said: str) -> None:
        self.budi.joins("bagan@realm1")
        self.says(*said)
        self.network.settle()
        self.budi.does(ask.LeaveGroup(parse_address("bagan@realm1")))
        self.network.settle()

    def test_hidden_after_a_restore(self) -> None:
        """A private group shows a guest who is admitted again nothing from before the first join, whichever
        realm returns it first; and what came later, once."""
        bagan = parse_address("bagan")
        self.ana.does(ask.SetGroup(bagan, visibility="private", past="joined"))
        code = self.ana.does(ask.ShowGroup(bagan)).fields["code"]
        self.citra.joins(f"{code}@realm1")
        self.network.advance(5)
        copy = self.back_up()
        self.says("rahasia")
        self.citra.posts("bagan@realm1", "rahasia citra")
        self.network.advance(5)
        self.budi.joins(f"{code}@realm1")
        self.says("sesudah")
        self.network.advance(5)
        self.assertEqual(texts(self.budi), ["sesudah"])
        self.part(self.three)
        self.restore(copy)
        self.assertIn("budi", "".join(self.ana.members("bagan")))
        self.meet()
        self.says("akhir")
        self.network.advance(5)
        expected = ["sesudah", "rahasia", "rahasia citra", "akhir"]
        self.assertEqual(texts(self.ana), expected)
        self.assertEqual(texts(self.budi), ["sesudah", "akhir"])

    def test_same_numbers(self) -> None:
        """A home that has lost the numbers of its earlier entries gives the same ones again. So a deletion
        reaches all realms."""
        self.says("satu", "dua")
        self.network.settle()
        copy = self.back_up()
        self.budi.joins("bagan@realm1")
        self.network.settle()
        self.restore(copy)
        self.citra.joins("bagan@realm1")
        self.network.settle()
        self.assertEqual(texts(self.citra), ["satu", "dua"])
        self.ana.does(ask.DeleteMessage(at(self.ana), 2))
        self.network.settle()
        self.assertEqual(texts(self.citra), [None, "dua"])
        if self.budi.mine():
            self.assertEqual(texts(self.budi), [None, "dua"])


class SupplyTestCase(LinkedTestCase):
    def test_bounded(self) -> None:
        """A page has few bytes, and what was altered or forged is left out."""
        self.ana.creates("bagan")
        for number in range(5):
            self.ana.posts("bagan", str(number) * 800)
        db = self.one.realm.database
        self.budi.joins("bagan@realm1")
        self.network.settle()
        supply = self.one.federation.past_supply
        self.patch(past_supply, "MAX_BYTES", 2300)
        self.patch(past_supply, "AT_ONCE", 2)
        page = self.network.result(supply.answer(PastQuestion("realm2", 1, 8, 0)))
        seqs = [parcels.decode(each).seq for each in page.entries]  # type: ignore[union-attr]
        self.assertEqual((seqs, page.start, page.earlier), ([6, 7], 6, 4))
        db.now(
            lambda each: each.execute(
                sa.update(signatures).where(signatures.c.seq == 6).values(status=FORGED)
            )
        )
        page = self.network.result(supply.answer(PastQuestion("realm2", 1, 7, 5)))
        self.assertEqual((page.entries, page.start), ((), 6))
