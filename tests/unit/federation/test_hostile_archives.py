"""Whatever an archive says, importing it changes nothing for anybody else, here and in other realms."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from chatd.base.account_archive import (
    ArchivedConversation,
    ArchivedFile,
    ArchivedMessage,
    ArchivedOrigin,
    ArchivedProfile,
    ArchivedSignature,
)
from chatd.base.throttle import Quota
from chatd.commands import values as ask
from chatd.store.imports import DONE, FAILED
from chatd.store.schema import bans, groups, messages, outbox, participants, requests
from tests.support.archives import archive
from tests.support.network import NetworkTestCase, Person, outcome

NAMES = ("messi", "budi", "ana", "system", "bola", "~bola", "a b", "", "~")
REALMS = ("", "@realm1", "@realm2", "@realm9", "@")
addresses = st.builds(str.__add__, st.sampled_from(NAMES), st.sampled_from(REALMS)).filter(bool)
seqs = st.integers(-3, 6) | st.sampled_from((-(2**61), 2**61, 100_000, 100_001))
homes = st.sampled_from(("realm1", "realm2", "realm9", ""))
numbers = st.integers(1, 4) | st.integers(1, 2**61)
texts = st.sampled_from(("halo", "", "a\x00b", "\u202e", "x" * 9000))
messages_of = st.builds(
    ArchivedMessage,
    seqs,
    st.sampled_from(("", "2026-01-02T03:04:05Z", "9999-01-02T03:04:05Z")),
    addresses,
    addresses,
    texts,
    st.none() | st.builds(ArchivedFile, st.just("files/a"), st.integers(0, 9), st.just("")),
    deleted=st.booleans(),
    reply=st.none() | seqs,
    forwarded=st.none() | addresses,
    mentions=st.lists(addresses, max_size=3).map(tuple),
    reactions=st.dictionaries(
        st.sampled_from(("👍", "x")), st.lists(addresses, max_size=3).map(tuple), max_size=2
    ),
    origin=st.none() | st.builds(ArchivedOrigin, homes, numbers),
    signed=st.none() | st.builds(ArchivedSignature, *(st.binary(max_size=4),) * 4),
    key=st.none() | st.sampled_from(("a", "realm1/1", "realm2/1")),
)
heads = st.builds(
    ArchivedConversation,
    st.integers(1, 9),
    st.none() | addresses,
    st.none() | addresses,
    st.none() | homes,
    st.none() | st.integers(0, 4),
    st.booleans(),
    seqs,
    seqs,
    st.sampled_from(("all", "mentions", "none", "x")),
    st.booleans(),
)
profiles = st.builds(
    ArchivedProfile,
    realm=st.sampled_from(("realm1", "realm2", "realm9", "a b", "system")),
    username=st.sampled_from(("messi", "budi", "system", "a b")),
    name=texts.map(lambda text: text[:100]),
    contacts=st.lists(addresses, max_size=3).map(tuple),
)
conversations = st.lists(
    st.tuples(heads, st.lists(messages_of, max_size=4)),
    max_size=3,
    unique_by=lambda each: each[0].conversation,
)


class Hostile(NetworkTestCase):
    """messi and budi of realm1 are in bola@realm1 with ana of realm2, and write to each other."""

    def setUp(self) -> None:
        super().setUp()
        self.one, self.two = self.network.server("realm1"), self.network.server("realm2")
        self.one.add(self.two)
        self.network.settle()
        self.messi, self.budi = self.one.person("messi"), self.one.person("budi")
        self.ana = self.two.person("ana")
        self.messi.does(ask.ChangeProfile("Leo", "Argentina"))  # which imports leave as it is
        self.budi.creates("bola")
        self.messi.joins("bola")
        self.ana.joins("bola@realm1")
        for person, to in ((self.messi, "budi"), (self.budi, "messi"), (self.messi, "ana@realm2")):
            person.sends(to, "asli")
        self.budi.posts("bola", "gol")
        self.ana.sends("messi@realm1", "dari ana")
        for person in (self.messi, self.budi, self.ana):
            self.network.settle()
            self.seen(person)  # their realms learn each other's names by that
        self.network.settle()

    def seen(self, person: Person) -> list[Any]:
        """Everything that a person sees."""
        listed = list(person.does(ask.ListConversations()).items)
        found: list[Any] = [listed, list(person.does(ask.CountUnread()).items)]
        for each in listed:
            found.append(person.does(ask.ShowHistory(each.conversation, 500)).items)
            found.append(person.does(ask.SyncLog(each.conversation, 0)).items)
        return [*found, person.does(ask.SearchMessages("a")).items, len(person.events)]

    def rows(self, person: Person) -> list[Any]:
        """What is stored of others in the realm of a person: what waits for other realms, the groups, and
        all messages that are not imported."""
        others = participants.c.account_id != self.messi.account.id
        own = messages.c.imported.is_(None)
        queries = (
            sa.select(outbox.c.id),
            sa.select(groups),
            sa.select(bans),
            sa.select(requests),
            sa.select(
                participants.c.account_id, participants.c.conversation_id, participants.c.first_seq
            ).where(others, participants.c.peer != "messi"),
            sa.select(messages).where(own),
        )
        database: Any = person.client.service.database
        return [
            database.now(lambda connection, query=query: connection.execute(query).all())
            for query in queries
        ]

    def logs(self) -> dict[int, Any]:
        """What `sync` gives messi of the conversations with other entries than imported ones."""
        listed = self.messi.does(ask.ListConversations()).items
        real = [each for each in listed if each.seq > 0 and not each.name.startswith("~")]
        return {
            each.conversation: self.messi.does(ask.SyncLog(each.conversation, 0)).items
            for each in real
        }

    def take(self, data: bytes) -> str:
        """Import an archive. Returns how that has ended."""
        imports = self.messi.client.service.imports
        imports._quota = Quota(0)
        upload = imports.begin(self.messi.account, len(data))
        upload.write(data)
        done = outcome(Deferred.fromCoroutine(upload.finish()))
        self.network.settle()
        self.assertNotIsInstance(done[0], Exception)
        return str(self.messi.does(ask.ShowImport()).fields["state"])

    # Each example takes a while, so none is made smaller.
    @settings(max_examples=8, phases=(Phase.explicit, Phase.generate))
    @given(conversations, profiles)
    def test_others_see_what_they_saw(self, made: Any, profile: ArchivedProfile) -> None:
        """The archive is imported, or refused with a reason. Others, and what is there, stay as they are."""
        others = self.budi, self.ana
        before = [(self.seen(each), self.rows(each)) for each in others]
        logs = self.logs()
        unread = list(self.messi.does(ask.CountUnread()).items)
        state = self.take(archive(*made, profile=profile, files={"files/a": b"halo"}))
        self.assertIn(state, (DONE, FAILED))
        self.assertEqual([(self.seen(each), self.rows(each)) for each in others], before)
        self.assertEqual(list(self.messi.does(ask.CountUnread()).items), unread)
        listed = self.messi.does(ask.ListConversations()).items
        for each in listed:
            for message in self.messi.does(ask.ShowHistory(each.conversation, 500)).items:
                if message.imported:
                    self.assertTrue(message.seq < 0 or each.name.startswith("~"))
                    self.assertEqual(
                        self.logs().get(each.conversation, ()), logs.get(each.conversation, ())
                    )
