"""Three people in three realms do at random all that one can do with messages, while links are cut and realms
are killed.

They share a group of realm1, and each two have a direct. Afterwards everybody sees the same, each
acknowledged change has its effect, and nothing that was deleted is left in the files of any realm.

`python -m tests.unit.federation.test_three_realms_stateful --examples 200 --seed 1` runs more.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from random import Random
from typing import Any

import hypothesis
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule, run_state_machine_as_test
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.errors import ChatError, NotAdmin, NotYours, StorageFailed
from chatd.base.model import Message
from chatd.base.names import Place, parse_address
from chatd.commands import values as ask
from chatd.store.schema import changes, groups, messages, participants
from tests import RANDOM_RUNS
from tests.support.network import Network, Person, outcome
from tests.support.order import long_test
from tests.support.troubled_realms import TroubledRealms, counts

PEOPLE = {"ana": "realm1", "budi": "realm2", "dewi": "realm3"}
ADMIN = "ana"
GROUP = "bagan"  # of realm1
STEPS = 40  # of one run
EMOJI = ("👍", "🎉")

# A person, and another person or the group, which is as likely as all others.
PLACES = [(name, to) for name in PEOPLE for to in (GROUP, GROUP, *PEOPLE) if name != to]
talk = st.sampled_from(PLACES)
which = st.integers(0, 5)  # the newest message, the one before ...


class Register:
    """A value that is set by requests, in order. `values` are those that it may have in the end."""

    def __init__(self, first: Any) -> None:
        self._asked: list[tuple[Any, list[Any]]] = [(first, ["there"])]

    def set(self, value: Any, answer: list[Any]) -> None:
        self._asked.append((value, answer))

    @property
    def values(self) -> list[Any]:
        found: list[Any] = []
        for value, answer in reversed(self._asked):
            found.append(value)
            if answer and not isinstance(answer[0], Exception):
                break
        return found


class Written:
    """A message as its author and others have asked for it."""

    def __init__(self, author: str, to: str, text: str, answer: list[Any]) -> None:
        self.author = author
        self.to = to
        self.answer = answer
        self.text = Register(text)
        self.deleted = Register(False)
        self.pinned = Register(False)
        self.reactions: dict[tuple[str, str], Register] = defaultdict(lambda: Register(False))

    @property
    def acknowledged(self) -> bool:
        return bool(self.answer) and not isinstance(self.answer[0], Exception)


class ThreeRealms(TroubledRealms):
    @initialize(seed=st.integers(0, 1 << 32))
    def begin(self, seed: int) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.network = network = Network(self.folder)
        self.servers = {name: network.server(name) for name in PEOPLE.values()}
        one, two, three = self.servers.values()
        self.pairs = ((one, two), (one, three), (two, three))
        for near, far in self.pairs:
            near.add(far)
        network.settle()
        self.people: dict[str, Person] = {
            name: self.servers[realm].person(name) for name, realm in PEOPLE.items()
        }
        self.people[ADMIN].creates(GROUP)
        for name in PEOPLE:
            if name != ADMIN:
                self.people[name].joins(f"{GROUP}@realm1")
        network._random = Random(seed)  # noqa: S311
        self.written: dict[str, Written] = {}
        self.secrets: list[tuple[str, Written]] = []
        self.refused: list[tuple[list[Any], type[Exception]]] = []
        self.count = 0
        for place in PLACES:
            self.write(place, 1)
        counts["runs"] += 1

    def address(self, name: str, reader: str) -> str:
        realm = PEOPLE.get(name, "realm1")
        return name if PEOPLE[reader] == realm else f"{name}@{realm}"

    def place(self, reader: str, to: str) -> Place:
        address = parse_address(self.address(to, reader))
        return Place(None, address) if to == GROUP else Place(address, None)

    def new_text(self, name: str) -> str:
        """A text of several lines that says which message it is of, and that nothing else contains."""
        self.count += 1
        return f"{name} pesan-{self.count}-akhir\n  baris ke-2"

    def is_open(self, name: str) -> bool:
        return self.servers[PEOPLE[name]].is_open

    def rows(self, reader: str, to: str, *columns: Any) -> list[Any]:
        """The messages of a conversation as they stand in the reader's realm now."""
        server, address = self.servers[PEOPLE[reader]], self.address(to, reader)
        found = (
            sa.select(*columns)
            .join(participants, participants.c.conversation_id == messages.c.conversation_id)
            .outerjoin(groups, groups.c.conversation_id == messages.c.conversation_id)
            .where(
                participants.c.account_id == self.people[reader].account.id,
                groups.c.key == address if to == GROUP else participants.c.peer_key == address,
            )
            .order_by(messages.c.seq)
        )
        rows: list[Any] = server.realm.database.now(lambda db: db.execute(found).all())
        return rows

    def pick(self, name: str, to: str, number: int) -> tuple[Written, int] | None:
        """One of the newest messages that are not deleted, and its seq there."""
        if not self.is_open(name):
            return None
        rows = [row for row in self.rows(name, to, messages.c.seq, messages.c.text) if row.text]
        if not rows:
            return None
        row = rows[-1 - number % len(rows)]
        return self.written[row.text.split()[0]], row.seq

    def asks(self, name: str, command: ask.Command, refusal: type[Exception] | None) -> list[Any]:
        answer = outcome(self.people[name].begins(command))
        counts[type(command).__name__] += 1
        if refusal is not None:
            self.refused.append((answer, refusal))
        return answer

    def says(self, name: str, to: str, command: Any) -> None:
        """Write a message; `command` is made with its text."""
        tag = f"m{len(self.written)}"
        text = self.new_text(tag)
        answer = self.asks(name, command(text), None)
        self.written[tag] = Written(name, to, text, answer)
        self.secrets.append((text, self.written[tag]))

    # What people do

    @rule(talk=talk, count=st.integers(1, 4))
    def write(self, talk: tuple[str, str], count: int) -> None:
        name, to = talk
        if not self.is_open(name):
            return
        address = parse_address(self.address(to, name))
        for _ in range(count):
            if to == GROUP:
                self.says(name, to, lambda text: ask.SendGroupMessage(address, text))
            else:
                self.says(name, to, lambda text: ask.SendMessage((address,), text))

    @rule(talk=talk, number=which)
    def reply(self, talk: tuple[str, str], number: int) -> None:
        name, to = talk
        found = self.pick(name, to, number)
        if found is not None:
            place = self.place(name, to)
            self.says(name, to, lambda text: ask.ReplyToMessage(place, found[1], text))

    @rule(talk=talk, number=which)
    def edit(self, talk: tuple[str, str], number: int) -> None:
        name, to = talk
        found = self.pick(name, to, number)
        if found is None:
            return
        written, seq = found
        tag = next(each for each, other in self.written.items() if other is written)
        text, own = self.new_text(tag), written.author == name
        command = ask.EditMessage(self.place(name, to), seq, text)
        answer = self.asks(name, command, None if own else NotYours)
        if own:
            written.text.set(text, answer)
            self.secrets.append((text, written))

    @rule(talk=talk, number=which)
    def delete(self, talk: tuple[str, str], number: int) -> None:
        name, to = talk
        found = self.pick(name, to, number)
        if found is None:
            return
        written, seq = found
        may = written.author == name or (to == GROUP and name == ADMIN)
        command = ask.DeleteMessage(self.place(name, to), seq)
        answer = self.asks(name, command, None if may else NotYours)
        if may:
            written.deleted.set(True, answer)

    @rule(talk=talk, number=which, emoji=st.sampled_from(EMOJI), on=st.booleans())
    def react(self, talk: tuple[str, str], number: int, emoji: str, on: bool) -> None:
        name, to = talk
        found = self.pick(name, to, number)
        if found is not None:
            command = ask.ReactToMessage(self.place(name, to), found[1], emoji, on)
            found[0].reactions[name, emoji].set(on, self.asks(name, command, None))

    @rule(talk=talk, number=which, on=st.booleans())
    def pin(self, talk: tuple[str, str], number: int, on: bool) -> None:
        name, to = talk
        found = self.pick(name, to, number)
        if found is not None:
            may = to != GROUP or name == ADMIN
            command = ask.PinMessage(self.place(name, to), found[1], on)
            answer = self.asks(name, command, None if may else NotAdmin)
            if may:
                found[0].pinned.set(on, answer)

    # Checks

    def teardown(self) -> None:
        if not hasattr(self, "network"):
            return
        try:
            self.recover()
            self.check_group()
            self.check_directs()
            self.check_refusals()
            self.check_files()
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
        self.network.advance(60)

    def shown(self, name: str, to: str) -> list[Message]:
        reply = self.people[name].does(ask.ShowHistory(self.place(name, to), 500))
        return list(reply.items)

    def seen(self, message: Message) -> tuple[Any, ...]:
        """What a reader sees, without the realms in addresses."""
        reactions = sorted(
            (each.emoji, sorted(person.partition("@")[0] for person in each.people))
            for each in message.reactions
        )
        return (
            message.sender.partition("@")[0],
            message.text,
            message.deleted,
            bool(message.edited),
            message.pinned,
            reactions,
        )

    def check_group(self) -> None:
        read = {
            name: [
                (each.seq, each.reply, *self.seen(each))
                for each in self.shown(name, GROUP)
                if each.seq
            ]
            for name in PEOPLE
        }
        for name, found in read.items():
            assert found == read[ADMIN], f"{name} reads {found}, and not {read[ADMIN]}"
        logs = {name: self.changes_of(name) for name in PEOPLE}
        for name, log in logs.items():
            assert log == logs[ADMIN], f"{name} has the changes {log}, and not {logs[ADMIN]}"
        self.check_written(ADMIN, GROUP)

    def changes_of(self, name: str) -> list[Any]:
        """The entries of the group's log that are no messages, as the person's realm has them."""
        group = self.rows(name, GROUP, messages.c.conversation_id)
        if not group:
            return []
        columns = (changes.c.seq, changes.c.kind, changes.c.target, changes.c.author)
        found = sa.select(*columns).where(
            changes.c.conversation_id == group[0].conversation_id,
            changes.c.kind.in_(("edited", "deleted", "reaction", "pinned")),
        )
        server = self.servers[PEOPLE[name]]
        rows = server.realm.database.now(lambda db: db.execute(found.order_by("seq")).all())
        return [(row.seq, row.kind, row.target, row.author.partition("@")[0]) for row in rows]

    def check_directs(self) -> None:
        for name in PEOPLE:
            for other in PEOPLE:
                if name != other:
                    here, there = self.shown(name, other), self.shown(other, name)
                    for author in PEOPLE:
                        ours, theirs = (
                            [seen for seen in map(self.seen, log) if seen[0] == author]
                            for log in (here, there)
                        )
                        assert ours == theirs, f"{name} sees {ours}, and {other} {theirs}"
                    self.check_written(name, other)

    def check_written(self, reader: str, to: str) -> None:
        """Compare what is there with what was asked for."""
        there = {each.text.split()[0]: each for each in self.shown(reader, to) if each.text}
        for tag, written in self.written.items():
            if {written.to, written.author} != {reader, to} and (written.to, to) != (GROUP, GROUP):
                continue
            message = there.get(tag)
            if message is None:
                gone = True in written.deleted.values or not written.acknowledged
                assert gone, f"{tag} of {written.author} to {written.to} is lost"
                continue
            assert False in written.deleted.values, f"{tag} is there, and was deleted"
            assert message.text in written.text.values, f"{tag} is {message.text!r}"
            if to == GROUP:  # in a direct, both may pin and unpin at once
                assert message.pinned in written.pinned.values, f"{tag} is pinned: {message.pinned}"
            who = {
                (person.partition("@")[0], each.emoji)
                for each in message.reactions
                for person in each.people
            }
            for key, register in written.reactions.items():
                assert (key in who) in register.values, f"the reaction {key} to {tag}"

    def check_refusals(self) -> None:
        """What one may not do is refused, or has no seq: its home refuses it later."""
        for answer, expected in self.refused:
            for each in answer:
                refused = isinstance(each, ChatError) or each.data["seq"] is None
                assert refused, f"{each!r}, and not {expected}"

    def check_files(self) -> None:
        """No realm has a text that was deleted, or replaced by another."""
        now = {
            each.text
            for name in PEOPLE
            for to in (GROUP, *PEOPLE)
            if name != to
            for each in self.shown(name, to)
        }
        now |= {row.text for name in PEOPLE for row in self.rows(name, GROUP, messages.c.text)}
        gone = [text for text, written in self.secrets if False not in written.deleted.values]
        for name, server in self.servers.items():
            server.close()
            for path in server.config.state.rglob("*"):
                data = path.read_bytes() if path.is_file() else b""
                for text in gone:
                    secret = text.splitlines()[0].split()[1]
                    assert text not in now
                    assert secret.encode() not in data, f"{secret} is in {path.name} of {name}"


def run(examples: int, seed: int | None = None, machine: type[ThreeRealms] = ThreeRealms) -> None:
    machine = machine if seed is None else hypothesis.seed(seed)(machine)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=STEPS,
            derandomize=seed is None,
            database=None,
            suppress_health_check=list(HealthCheck),
            print_blob=False,
        ),
    )


class ThreeRealmsTestCase(SynchronousTestCase):
    @long_test
    def test_everything(self) -> None:
        run(RANDOM_RUNS // 2)
        self.flushLoggedErrors(StorageFailed)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--examples", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    start = time.monotonic()
    try:
        run(options.examples, options.seed)
    finally:
        figures = ", ".join(f"{name} {count}" for name, count in counts.items())
        sys.stdout.write(f"{figures}; {time.monotonic() - start:.0f} s\n")


if __name__ == "__main__":
    main()
