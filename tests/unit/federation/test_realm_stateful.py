"""Two realms under random operations: sends both ways, cuts, lost acknowledgements, full disks, restarts from
disk.

Afterwards every acknowledged message is stored once and in order. A send with a key may be repeated at any
time, and is repeated in the end until it is acknowledged: it is stored once all the same, and all replies
agree.

`python -m tests.unit.federation.test_realm_stateful --examples 1000` runs more and counts the steps.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.errors import ChatError, StorageFailed, UnknownUser
from chatd.base.names import parse_address
from chatd.base.replies import Reply
from chatd.commands import values as ask
from chatd.store.schema import accounts, attachments, groups, messages, participants, remote_members
from tests import RANDOM_RUNS
from tests.support.network import Network, Person, Server, outcome
from tests.support.order import long_test
from tests.support.troubled_realms import TroubledRealms, counts

PEOPLE = {"ana": "realm1", "agus": "realm1", "budi": "realm2", "bela": "realm2"}
GROUPS = {"bagan": "realm1", "ronda": "realm2"}  # all four are in them
CHANGES = ("join", "leave", "kick", "unban", "invite")
MOVING = "pasar"  # of realm1, where the people of realm2 come and go
STEPS = 40  # of one run
WHERE = ("conversation", "seq", "id")

who = st.sampled_from(sorted(PEOPLE))
side = st.sampled_from(("realm1", "realm2"))


class Said:
    """A request, made by `ask`, and its outcomes."""

    def __init__(
        self, sender: str, to: str, text: str, key: str | None, ask_for_it: Callable[[], Any]
    ) -> None:
        self.sender = sender
        self.to = to  # a person, or #group
        self.text = text
        self.key = key
        self._ask = ask_for_it
        self._asked: list[list[Any]] = []
        self.ask()

    def ask(self) -> None:
        self._asked.append(outcome(self._ask()))

    @property
    def again(self) -> bool:
        return len(self._asked) > 1

    @property
    def found(self) -> list[Any]:
        """All answers that came."""
        return [answer for answers in self._asked for answer in answers]

    @property
    def replies(self) -> list[Reply]:
        return [each for each in self.found if not isinstance(each, Exception)]

    @property
    def acknowledged(self) -> bool:
        return bool(self.replies)

    @property
    def refused(self) -> bool:
        return bool(self.found) and not self.acknowledged

    @property
    def places(self) -> set[tuple[Any, ...]]:
        """The places of the message, as far as the replies have them."""
        whole = [tuple(each.data[name] for name in WHERE) for each in self.replies]
        return {each for each in whole if None not in each}


class Realms(TroubledRealms):
    @initialize(seed=st.integers(0, 1 << 32))
    def begin(self, seed: int) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.random = Random(seed)  # noqa: S311
        self.network = network = Network(self.folder)
        self.one, self.two = network.pair()
        self.servers = {"realm1": self.one, "realm2": self.two}
        self.people: dict[str, Person] = {
            name: self.servers[realm].person(name) for name, realm in PEOPLE.items()
        }
        for group, home in GROUPS.items():
            creator, *others = sorted(PEOPLE, key=lambda name: PEOPLE[name] != home)
            self.people[creator].creates(group)
            for name in others:
                self.people[name].joins(self.address(group, GROUPS[group], name))
        self.people["ana"].creates(MOVING)
        network._random = self.random
        self.said: list[Said] = []
        self.asked: list[list[Any]] = []
        counts["runs"] += 1

    def address(self, name: str, realm: str, reader: str) -> str:
        """The address that a person has to write."""
        return name if PEOPLE[reader] == realm else f"{name}@{realm}"

    def is_open(self, name: str) -> bool:
        return self.servers[PEOPLE[name]].is_open

    def say(
        self, sender: str, to: str, keyed: bool, begin: Callable[[Person, str, str | None], Any]
    ) -> None:
        person, text = self.people[sender], f"{len(self.said)}"
        key = f"key-{text}" if keyed else None
        self.said.append(Said(sender, to, text, key, lambda: begin(person, text, key)))
        counts["messages"] += 1

    def repeatable(self) -> list[Said]:
        """Requests that can be sent again, because their sender is connected."""
        return [each for each in self.said if each.key is not None and self.is_open(each.sender)]

    # Actions of people

    @rule(sender=who, to=who, count=st.integers(1, 12), keyed=st.booleans())
    def send(self, sender: str, to: str, count: int, keyed: bool) -> None:
        if not self.is_open(sender) or sender == to:
            return
        address = self.address(to, PEOPLE[to], sender)
        for _ in range(count):
            self.say(sender, to, keyed, lambda me, text, key: me.begins_to_send(address, text, key))

    @rule(
        sender=who,
        group=st.sampled_from(sorted(GROUPS)),
        count=st.integers(1, 12),
        keyed=st.booleans(),
    )
    def post(self, sender: str, group: str, count: int, keyed: bool) -> None:
        if not self.is_open(sender):
            return
        address = self.address(group, GROUPS[group], sender)
        for _ in range(count):
            self.say(
                sender,
                f"#{group}",
                keyed,
                lambda me, text, key: me.begins_to_post(address, text, key),
            )

    @rule(sender=who, keyed=st.booleans())
    def send_to_nobody(self, sender: str, keyed: bool) -> None:
        if self.is_open(sender):
            to = f"nobody@{'realm2' if PEOPLE[sender] == 'realm1' else 'realm1'}"
            begin = lambda me, text, key: me.begins_to_send(to, text, key)  # noqa: E731
            self.say(sender, "nobody", keyed, begin)

    @rule(
        sender=who,
        to=who,
        group=st.sampled_from((None, *sorted(GROUPS))),
        size=st.integers(0, 9),
        keyed=st.booleans(),
    )
    def send_file(self, sender: str, to: str, group: str | None, size: int, keyed: bool) -> None:
        if not self.is_open(sender) or sender == to:
            return
        name = self.address(group or to, GROUPS[group] if group else PEOPLE[to], sender)
        address = f"#{name}" if group else name

        def begin(me: Person, text: str, key: str | None) -> Any:
            data = f"{text} ".encode() * size * 5000
            return me.begins_to_send_file(address, f"{text}.bin", data, key)

        self.say(sender, f"#{group}" if group else to, keyed, begin)
        counts["files"] += 1

    @precondition(lambda self: self.repeatable())
    @rule(data=st.data(), count=st.integers(1, 3))
    def send_again(self, data: st.DataObject, count: int) -> None:
        """A client with a new connection repeats a request, answered or not."""
        said = data.draw(st.sampled_from(self.repeatable()[-20:]))
        for _ in range(count):
            said.ask()
            counts["sent again"] += 1

    @rule(name=st.sampled_from(("budi", "bela")), change=st.sampled_from(CHANGES))
    def come_and_go(self, name: str, change: str) -> None:
        if not (self.one.is_open and self.two.is_open):
            return
        person, group = self.people[name], parse_address(f"{MOVING}@realm1")
        if change == "join":
            self.asked.append(outcome(person.begins(ask.JoinGroup(group))))
        elif change == "leave":
            self.asked.append(outcome(person.begins(ask.LeaveGroup(group))))
        else:
            user, moving = parse_address(f"{name}@realm2"), parse_address(MOVING)
            asked = {
                "kick": ask.KickMember(moving, user),
                "unban": ask.LiftBan(moving, user),
                "invite": ask.InviteMembers(moving, (user,)),
            }
            self.asked.append(outcome(self.people["ana"].begins(asked[change])))

    @rule(count=st.integers(1, 5))
    def talk_there(self, count: int) -> None:
        if self.one.is_open:
            for _ in range(count):
                self.asked.append(outcome(self.people["ana"].begins_to_post(MOVING, "halo")))

    # Failures

    @rule(at=side, full=st.booleans())
    def fill_disk(self, at: str, full: bool) -> None:
        if self.servers[at].is_open:
            self.servers[at].realm.database.full = full
            self.rough |= full
            counts["full disks"] += full

    @rule(at=side, after=st.integers(0, 3))
    def stumble(self, at: str, after: int) -> None:
        """One transaction fails to commit, and the next succeeds."""
        if self.servers[at].is_open:
            database = self.servers[at].realm.database
            coming = iter((*[False] * after, True))
            database.failing = lambda: next(coming, False) or database.full
            self.rough = True
            counts["failed commits"] += 1

    # Checks

    def recover(self) -> None:
        """Repair everything, and give it time to arrive."""
        self.repair()
        self.network.until(lambda: self.network.open_connections(self.one, self.two), 700)
        self.insist()
        self.network.until(lambda: not (self.one.parcels_waiting() or self.two.parcels_waiting()))
        self.network.advance(12)

    def insist(self) -> None:
        """Repeat each request that has a key until it is answered. Nothing fails any more."""
        self.network.advance(12)
        for each in self.repeatable():
            if not each.acknowledged:
                each.ask()
                counts["sent again"] += 1

    def stored(self, server: Server, account: str, place: str) -> list[tuple[int, str, str]]:
        """Everything in someone's conversation: number, sender, and the text or file name."""
        group = place.startswith("#")
        found = (
            select(messages.c.seq, messages.c.sender, messages.c.text, attachments.c.name)
            .join(participants, participants.c.conversation_id == messages.c.conversation_id)
            .join(accounts, accounts.c.id == participants.c.account_id)
            .outerjoin(groups, groups.c.conversation_id == messages.c.conversation_id)
            .outerjoin(attachments, attachments.c.id == messages.c.attachment_id)
            .where(
                accounts.c.key == account,
                groups.c.key == place[1:] if group else participants.c.peer_key == place,
            )
            .order_by(messages.c.seq)
        )
        rows = server.realm.database.now(lambda connection: connection.execute(found).all())
        return [
            (seq, sender.partition("@")[0], text if text is not None else name.partition(".")[0])
            for seq, sender, text, name in rows
        ]

    def teardown(self) -> None:
        if not hasattr(self, "network"):
            return
        try:
            self.recover()
            self.check_directs()
            self.check_groups()
            self.check_told()
            self.check_moving()
            self.network.close()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def check_texts(self, where: list[str], said: list[Said]) -> None:
        """Acknowledged messages are stored, refused ones are not, and none is stored twice."""
        there = Counter(where)
        for each in said:
            if each.acknowledged:
                counts["acknowledged"] += 1
                counts["lost"] += there[each.text] == 0
                assert there[each.text], f"{each.text} of {each.sender} to {each.to} is lost"
                assert len(each.places) <= 1, f"{each.text} stands in {each.places}"
                counts["answered again"] += len(each.replies) > 1
            elif each.key is not None:
                raise AssertionError(f"{each.text} of {each.sender} to {each.to}: {each.found}")
            elif each.refused and not self.rough and not isinstance(each.found[0], StorageFailed):
                assert not there[each.text], f"{each.text} was refused: {each.found[0]!r}"
        for text, times in there.items():
            counts["doubled"] += times > 1
            assert times == 1, f"{text} is there {times} times"

    def check_directs(self) -> None:
        for sender in PEOPLE:
            for to in PEOPLE:
                said = [each for each in self.said if (each.sender, each.to) == (sender, to)]
                there = self.stored(
                    self.servers[PEOPLE[to]], to, self.address(sender, PEOPLE[sender], to)
                )
                here = self.stored(
                    self.servers[PEOPLE[sender]], sender, self.address(to, PEOPLE[to], sender)
                )
                got = [text for _, author, text in there if author == sender]
                sent = [text for _, author, text in here if author == sender]
                assert got == sent, f"{sender} to {to}: {sent} became {got}"
                self.check_texts(got, said)

    def check_groups(self) -> None:
        for group, home in GROUPS.items():
            said = [each for each in self.said if each.to == f"#{group}"]
            read = {
                name: self.stored(self.servers[realm], name, f"#{self.address(group, home, name)}")
                for name, realm in PEOPLE.items()
            }
            truth = read[next(name for name in PEOPLE if PEOPLE[name] == home)]
            for name, found in read.items():
                assert found == truth, f"{name} reads in {group}: {found}, and not {truth}"
            self.check_texts([text for _, _, text in truth], said)
            texts = {each.text: each for each in said}
            for sender in PEOPLE:
                # A file is a message only once it is complete, and a repeated send may not have been stored
                # before. All other messages are in the order of sending.
                numbers = [
                    int(text)
                    for _, author, text in truth
                    if author == sender and not self.may_be_late(texts[text])
                ]
                assert numbers == sorted(numbers), f"{sender} in {group}: {numbers}"

    def may_be_late(self, said: Said) -> bool:
        return not said.acknowledged or said.again or "sha256" in said.replies[0].fields

    def check_told(self) -> None:
        """Each sender was told of every message that reached nobody, at once or later, and of no other."""
        for name, realm in PEOPLE.items():
            notices = [text for _, _, text in self.stored(self.servers[realm], name, "system")]
            for each in self.said:
                if each.sender != name:
                    continue
                told = sum(f'message "{each.text}" of' in notice for notice in notices)
                if each.to != "nobody":
                    assert told == 0, f"{each.text} came back"
                elif each.acknowledged:
                    assert told == 1, f"{name} was told {told} times of {each.text}"
                    counts["told later"] += 1
                elif each.refused:
                    refusals = UnknownUser | StorageFailed
                    assert all(isinstance(error, refusals) for error in each.found), each.found
                    assert self.rough or told == 0
                    counts["told at once"] += 1

    def check_moving(self) -> None:
        """Both realms agree on the group's members."""
        for found in self.asked:
            assert (
                not found or not isinstance(found[0], Exception) or isinstance(found[0], ChatError)
            ), found
        home = select(remote_members.c.address).join(
            groups, groups.c.conversation_id == remote_members.c.conversation_id
        )
        there = (
            select(accounts.c.name)
            .join(participants, participants.c.account_id == accounts.c.id)
            .join(groups, groups.c.conversation_id == participants.c.conversation_id)
            .where(groups.c.key == f"{MOVING}@realm1")
        )
        members = {
            address.partition("@")[0]
            for address in self.one.realm.database.now(
                lambda db: db.scalars(home.where(groups.c.key == MOVING)).all()
            )
        }
        mirrored = set(self.two.realm.database.now(lambda db: db.scalars(there).all()))
        assert members == mirrored, f"{members} at home, {mirrored} there"
        self.people["ana"].posts(MOVING, "last")
        self.network.settle()
        truth = self.stored(self.one, "ana", f"#{MOVING}")
        for name in members:
            found = self.stored(self.two, name, f"#{MOVING}@realm1")
            assert found[-1] == truth[-1], f"{name} did not hear the last"
            assert set(found) <= set(truth)


def run(examples: int, seed: int | None = None) -> None:
    run_state_machine_as_test(
        Realms,
        settings=settings(
            max_examples=examples,
            stateful_step_count=STEPS,
            derandomize=seed is None,
            database=None,
            suppress_health_check=list(HealthCheck),
            print_blob=False,
        ),
    )


class RealmsTestCase(SynchronousTestCase):
    @long_test
    def test_everything(self) -> None:
        run(RANDOM_RUNS)
        self.flushLoggedErrors(StorageFailed)  # disks were full


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--examples", type=int, default=500)
    examples = parser.parse_args().examples
    start = time.monotonic()
    try:
        run(examples, seed=0)
    finally:
        for name in ("lost", "doubled"):
            counts[name] += 0
        figures = ", ".join(f"{name} {count}" for name, count in counts.items())
        sys.stdout.write(f"{figures}; {time.monotonic() - start:.0f} s\n")


if __name__ == "__main__":
    main()
