"""Six people of three realms join, invite, accept, kick and leave a group at random, and change its settings
and roles, while links are cut and realms are killed.

There is always an admin. Afterwards the realms agree about who is in the group. Each member reads all entries
that they are entitled to and no other, former members read nothing, and no realm has a text that none of its
people was entitled to. If realms are also restored from backups, who was entitled to what is not known
afterwards: then members and bans are compared, former members read nothing, and all members, and nobody else,
read what is posted then. A restored home gives its entries other numbers than the copies of its groups have.
So the first entries of members are compared only if the home was not restored.

`python -m tests.unit.federation.test_membership_stateful FIRST LAST [--restores]` runs these seeds.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import sqlalchemy as sa
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.errors import ChatError, StorageFailed
from chatd.base.model import Message
from chatd.base.names import Place, parse_group
from chatd.commands import values as ask
from chatd.simulate.group_replay import GroupReplay, Stay
from chatd.store.schema import groups
from tests import RANDOM_RUNS
from tests.support.memberships import CREATOR, GROUP, PEOPLE, MembershipRules
from tests.support.network import Person
from tests.support.order import long_test
from tests.support.seeds import run_seeds
from tests.support.troubled_realms import counts

STEPS = 30  # of one run


class Memberships(MembershipRules):
    def has_admin(self) -> None:
        for conversation in self.live():
            members = self.at_home(conversation)
            assert any(role for role, _ in members.values()), f"no admin among {members}"

    def run(self, steps: int) -> None:
        try:
            for _ in range(steps):
                self.step()
                self.has_admin()
            self.recover()
            self.check()
        finally:
            self.network.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    def recover(self) -> None:
        self.repair()
        self.network.until(
            lambda: all(self.network.open_connections(*pair) for pair in self.pairs), 700
        )
        servers = self.servers.values()
        self.network.until(lambda: not sum(server.parcels_waiting() for server in servers))
        self.network.advance(130)  # posts of former members are looked for each minute

    def check(self) -> None:
        query = sa.select(groups.c.conversation_id, groups.c.key).order_by("conversation_id")
        found = self.rows(self.home, query)
        replays: dict[int, GroupReplay] = {}
        for (ident, key), private in zip(found, self.made, strict=True):
            replay = GroupReplay(self.log(ident), CREATOR, private=private)
            replays[ident] = replay
            for entry in replay.log:
                counts[f"entries: {entry.data.get('what', entry.kind)}"] += 1
            self.check_members(ident, replay, ended=key is None)
            assert not replay.unauthorized, f"{replay.unauthorized} in {replay.log}"
        for name in PEOPLE:
            self.check_reader(name, replays)
            self.check_events(name, replays)
        for ident in self.live():
            self.check_banned(ident)
        self.check_files(replays)

    def check_members(self, ident: int, replay: GroupReplay, *, ended: bool) -> None:
        """The log, the tables of the home and those of the other realms say the same."""
        members = self.at_home(ident)
        said = {name: (name in replay.admins, stay.first) for name, stay in replay.members()}
        assert members == said, f"the home has {members}, and the log says {said}: {replay.log}"
        assert ended == (not members)
        self.check_tables(members, ident)

    def check_tables(self, members: dict[str, tuple[bool, int]], ident: int) -> None:
        """Each realm has its own people among the members, with the same first entries."""
        for server in self.servers.values():
            if server is not self.home:
                here = {name: first for name, (_, first) in self.here(server, ident).items()}
                there = {
                    name: first
                    for name, (_, first) in members.items()
                    if name.endswith(f"@{server.name}")
                }
                same = self.comparable(here) == self.comparable(there)
                assert same, f"{server.name} has {here}, and the home {there}"

    def comparable(self, firsts: dict[str, int]) -> dict[str, int]:
        """The members, with what can be compared of their first entries in several realms."""
        return firsts

    def conversations(self, name: str) -> dict[int, int]:
        """The groups in the person's realm: their conversations, and those at home."""
        server = self.servers[PEOPLE[name]]
        query = sa.select(groups.c.conversation_id, groups.c.home_id)
        return {row[0]: row[1] or row[0] for row in self.rows(server, query)}

    def check_reader(self, name: str, replays: dict[int, GroupReplay]) -> None:
        """A member reads what they are entitled to, and others read nothing, whatever they ask."""
        person, readable = self.people[name], set()
        for here, there in self.conversations(name).items():
            replay = replays[there]
            stay = replay.stay(str(self.address(name)))
            got = {entry.seq: entry for entry in self.synced(person, here)}
            if stay is None:
                assert not got, f"{name} reads {got} of a group that they are not in"
                continue
            may = {entry.seq: entry for entry in replay.log if stay.sees(entry.seq, entry.target)}
            missing = sorted(set(may) - set(got))
            assert not missing, f"{name} lacks {missing} of {replay.log}"
            more = sorted(set(got) - set(may))
            assert not more, f"{name} reads {more} of {replay.log}"
            for seq, entry in got.items():
                if isinstance(entry, Message):
                    assert entry.text == may[seq].text, f"{name} reads {entry}, not {may[seq]}"
                    readable.add((there, seq))
        self.check_other_ways(name, readable)

    def synced(self, person: Person, conversation: int) -> Iterator[Any]:
        after = 0
        while True:
            try:
                reply = person.does(ask.SyncLog(conversation, after))
            except ChatError:
                return
            for each in reply.items:
                yield each.entry
                after = each.entry.seq
            if not reply.data["more"]:
                return

    def check_other_ways(self, name: str, readable: set[tuple[int, int]]) -> None:
        """History, searches and the inbox have nothing that a sync has not."""
        person, homes = self.people[name], self.conversations(name)
        found: list[Message] = []
        for command in (
            ask.ShowHistory(Place(group=self.group(name)), 500),
            ask.ListPins(Place(group=self.group(name))),
            ask.SearchMessages("pesan"),
            ask.ReadInbox(),
        ):
            try:
                items = person.does(command).items
            except ChatError:
                continue
            if isinstance(command, ask.ShowHistory):
                seen = {(homes[each.conversation], each.seq) for each in items if each.seq}
                current = {homes[each.conversation] for each in items}
                assert seen == {each for each in readable if each[0] in current}
            found += items
        for each in found:
            if each.group is not None and each.seq:
                assert (homes[each.conversation], each.seq) in readable, f"{name} reads {each}"

    def check_events(self, name: str, replays: dict[int, GroupReplay]) -> None:
        """Each entry that was pushed was written before the person had left, and they saw it."""
        homes, address = self.conversations(name), str(self.address(name))
        for event in self.people[name].events:
            seq = getattr(event, "seq", 0)
            group = getattr(event, "group", None)
            if not seq or group is None:
                continue
            replay = replays[homes[event.conversation]]  # type: ignore[union-attr]
            stays: list[Stay] = replay.stays.get(address, [])
            target = getattr(event, "target", None)
            heard = any(stay.hears(seq, target) for stay in stays)
            assert heard, f"{name} was told {event}, and was a member {stays}: {replay.log}"

    def check_banned(self, ident: int) -> None:
        """Banned people stay out, and find a private group by no name or code."""
        admins = [
            name for name in PEOPLE if self.at_home(ident).get(str(self.address(name)), (False,))[0]
        ]
        found = self.people[admins[0]].does(ask.ListBans(self.group(admins[0]))).items
        banned = {str(self.address(each.username.partition("@")[0])) for each in found}
        group = self.row_of(ident)
        for name in PEOPLE:
            if str(self.address(name)) in banned:
                suffix = "" if PEOPLE[name] == "realm1" else "@realm1"
                for key in (GROUP, group.code):
                    self.check_refused(name, ask.JoinGroup(parse_group(f"{key}{suffix}")))
                self.check_refused(name, ask.AcceptInvitation(self.group(name)))
                self.check_refused(name, ask.SendGroupMessage(self.group(name), "pesan-0"))

    def check_refused(self, name: str, command: ask.Command) -> None:
        try:
            reply = self.people[name].does(command)
        except ChatError:
            return
        raise AssertionError(f"{name} may {command}: {reply}")

    def check_files(self, replays: dict[int, GroupReplay]) -> None:
        """No realm has a text that none of its people was entitled to, and that none of them wrote."""
        for server in self.servers.values():
            server.close()
        for name, server in self.servers.items():
            if server is self.home:
                continue
            data = b"".join(
                path.read_bytes() for path in server.config.state.rglob("*") if path.is_file()
            )
            for replay in replays.values():
                for entry in replay.log:
                    known = replay.is_for(name, entry) or name in entry.author
                    if entry.kind == "message" and entry.text and not known:
                        assert entry.text.encode() not in data, f"{name} has {entry}"


class RestoredMemberships(Memberships):
    is_renumbered = False  # whether the home was restored

    def begin(self, seed: int) -> None:
        super().begin(seed)
        self.back_up_all()

    def create(self, private: bool) -> None:
        """The home does not forget the group: copies in other realms outlive groups that it has forgotten."""
        super().create(private)
        if self.backup_of(self.home).exists():
            self._back_up(self.home)

    def restore(self, at: int, settled: bool) -> None:
        self.is_renumbered = self.is_renumbered or self.server_at(at) is self.home
        super().restore(at, settled)

    def trouble(self, at: int) -> None:
        match self.random.randrange(8):
            case 0:
                self.back_up(at)
            case 1:
                self.restore(at, self.random.random() < 0.5)
            case _:
                super().trouble(at)

    def check(self) -> None:
        for ident in self.live():
            self.check_tables(self.at_home(ident), ident)
            self.check_banned(ident)
        for name in PEOPLE:
            self.check_former(name)
        for ident in self.live():
            self.check_next_post(ident)

    def comparable(self, firsts: dict[str, int]) -> dict[str, int]:
        return dict.fromkeys(firsts, 0) if self.is_renumbered else firsts

    def check_next_post(self, ident: int) -> None:
        """All members, and nobody else, read what a member posts now."""
        members, text = self.at_home(ident), self.new_text()
        authors = [name for name in PEOPLE if str(self.address(name)) in members]
        author = self.random.choice(authors)
        self.people[author].does(ask.SendGroupMessage(self.group(author), text))
        self.network.settle()
        readers = [
            name
            for name in PEOPLE
            for here, there in self.conversations(name).items()
            if there == ident
            for entry in self.synced(self.people[name], here)
            if isinstance(entry, Message) and entry.text == text
        ]
        assert readers == authors, f"{readers} read what {author} posts, and members are {authors}"

    def check_former(self, name: str) -> None:
        """People read nothing of groups that they are not in."""
        for here, there in self.conversations(name).items():
            if str(self.address(name)) not in self.at_home(there):
                got = list(self.synced(self.people[name], here))
                assert not got, f"{name} reads {got} of a group that they are not in"


def run(seed: int, machine: type[Memberships] = Memberships) -> None:
    state = machine()
    state.begin(seed)
    state.run(STEPS)


class MembershipsTestCase(SynchronousTestCase):
    @long_test
    def test_everything(self) -> None:
        for seed in range(RANDOM_RUNS // 2):
            run(seed)
        self.flushLoggedErrors(StorageFailed)

    def test_restores(self) -> None:
        for seed in range(RANDOM_RUNS // 4):
            run(seed, RestoredMemberships)
        self.flushLoggedErrors(StorageFailed)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("first", type=int)
    parser.add_argument("last", type=int)
    parser.add_argument("--restores", action="store_true")
    options = parser.parse_args()
    machine = RestoredMemberships if options.restores else Memberships
    try:
        run_seeds(partial(run, machine=machine), range(options.first, options.last + 1))
    finally:
        figures = ", ".join(f"{name} {count}" for name, count in counts.items())
        sys.stdout.write(f"{figures}; {time.process_time():.0f} s of CPU\n")


if __name__ == "__main__":
    main()
