"""Two people in two realms do at random all that one can do with a direct, while links are cut and realms are
killed, or restored from backups of their whole state. In the end both see the same, and nothing deleted is
left anywhere."""

from __future__ import annotations

import shutil
import sys
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from chatd.base.attachments import HERE
from chatd.base.entries import Deletion, Edit, MessageChange, Pin, React
from chatd.base.errors import ChatError
from chatd.base.names import Place, parse_address
from chatd.commands import values as ask
from chatd.simulate.databases import copy_state
from tests.support.network import Network, Person, Server
from tests.support.seeds import run_seeds

STEPS = 40
EMOJI = ("👍", "🎉")


def content(name: str) -> bytes:
    """The bytes of the file with that name, in several pieces."""
    return f"isi {name} akhir\n".encode() * 2500


def secret(message: Any) -> str:
    """What only this message has: its text, or the beginning of its file."""
    if message.file is not None:
        return content(message.file.name).split(b"\n")[0].decode()
    return str(message.text)


class Directs:
    """One run. `deleted` has what was ever deleted. With `restores`, realms are restored."""

    def __init__(self, folder: Path, seed: int, *, restores: bool = False) -> None:
        self.folder = folder
        self.random = Random(seed)  # noqa: S311 - a test
        self.network = Network(folder)
        self.one, self.two = self.network.pair()
        self.people: dict[Person, tuple[Server, str]] = {
            self.one.person("ana"): (self.one, "budi@realm2"),
            self.two.person("budi"): (self.two, "ana@realm1"),
        }
        self.count = 0
        self.deleted: list[str] = []
        self.troubles = 6 if restores else 4
        self.backups: dict[Server, Path] = {}

    def shown(self, person: Person) -> list[Any]:
        place = Place(parse_address(self.people[person][1]), None)
        return list(person.does(ask.ShowHistory(place, 500)).items)

    def act(self) -> None:
        """One thing that somebody does, or that happens to them."""
        person = self.random.choice(list(self.people))
        server, other = self.people[person]
        what = self.random.choice(
            ("send", "send", "file", "edit", "delete", "delete", "react", "pin", "trouble")
        )
        if what == "trouble":
            self.trouble(server)
            return
        if what == "send":
            self.count += 1
            person.begins_to_send(other, f"pesan-{self.count}-akhir").addErrback(lambda _: None)
        elif what == "file":
            self.count += 1
            name = f"berkas-{self.count}.bin"
            sending = person.begins_to_send_file(other, name, content(name))
            sending.addErrback(lambda _: None)
        else:
            self.change(person, what)
        if self.random.random() < 0.6:
            self.network.settle()

    def change(self, person: Person, what: str) -> None:
        self.network.settle()
        messages = self.shown(person)
        if not messages:
            return
        message = self.random.choice(messages)
        self.count += 1
        change: MessageChange
        match what:
            case "edit":
                change = Edit(f"pesan-{self.count}-baru")
            case "delete":
                change = Deletion()
            case "react":
                change = React(self.random.choice(EMOJI), self.random.random() < 0.7)
            case _:
                change = Pin(self.random.random() < 0.7)
        server, other = self.people[person]
        place = Place(parse_address(other), None)
        making = server.service.changes.change(person.account, place, message.seq, change, None)
        try:
            self.network.result(making)
        except ChatError:
            return
        if what == "delete" and not message.deleted:
            self.deleted.append(secret(message))

    def trouble(self, server: Server) -> None:
        match self.random.randrange(self.troubles):
            case 0:
                self.network.cut()
            case 1:
                server.restart()
            case 2:
                for connection in self.network.connections:
                    connection.far.losing = {"Deliver answer"}
            case 3:
                self.network.advance(3)
            case 4:
                self.back_up(server)
            case _:
                self.restore(server)

    def back_up(self, server: Server) -> None:
        server.kill()
        copy = self.backups[server] = self.folder / f"backup of {server.name}"
        shutil.rmtree(copy, ignore_errors=True)
        copy_state(server.config.state, copy)
        server.open()

    def restore(self, server: Server) -> None:
        copy = self.backups.get(server)
        if copy is None:
            return
        server.kill()
        shutil.rmtree(server.config.state)
        copy_state(copy, server.config.state)
        self.network.advance(60)  # longer than the starts since the backup have taken
        server.open()

    def ends(self) -> tuple[list[Any], list[Any]]:
        """What both see once everything has arrived, oldest first by what was written."""
        for connection in self.network.connections:
            connection.far.losing = set()
        self.network.cut()
        self.network.until(lambda: self.network.open_connections(self.one, self.two))
        self.network.advance(40)
        one, two = (self.shown(person) for person in self.people)
        return sorted(map(self.seen, one), key=str), sorted(map(self.seen, two), key=str)

    def seen(self, message: Any) -> tuple[Any, ...]:
        who = message.sender.partition("@")[0]
        reactions = sorted(
            (each.emoji, tuple(sorted(name.partition("@")[0] for name in each.people)))
            for each in message.reactions
        )
        file = None if message.file is None else (message.file.name, message.file.state)
        return who, message.text, file, message.deleted, message.pinned, reactions

    def files(self) -> None:
        """Compare the bytes of all files that are here."""
        for person in self.people:
            for message in self.shown(person):
                if message.file is not None and message.file.state == HERE:
                    assert person.fetches(message.file.code) == content(message.file.name)

    def left(self) -> list[str]:
        """Deleted texts that are still in the files of one of the realms. After a restore, no realm may know
        of a deletion."""
        self.network.settle()
        shown = {
            secret(each)
            for person in self.people
            for each in self.shown(person)
            if not each.deleted
        }
        for server in (self.one, self.two):
            server.close()
        data = b"".join(
            path.read_bytes()
            for server in (self.one, self.two)
            for path in Path(server.config.state).rglob("*")
            if path.is_file()
        )
        return [text for text in self.deleted if text not in shown and text.encode() in data]


class RandomTestCase(SynchronousTestCase):
    def run_seed(self, seed: int, *, restores: bool = False) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        run = Directs(folder, seed, restores=restores)
        try:
            for _ in range(STEPS):
                run.act()
            one, two = run.ends()
            self.assertEqual(one, two, f"seed {seed}")
            run.files()
            self.assertEqual(run.one.parcels_waiting() + run.two.parcels_waiting(), 0)
            self.assertEqual(run.left(), [], f"seed {seed}")
        finally:
            run.network.close()

    def test_some(self) -> None:
        for seed in range(12):
            self.run_seed(seed)

    def test_restores(self) -> None:
        for seed in range(8):
            self.run_seed(seed, restores=True)


def main() -> None:
    """`python -m tests.unit.federation.test_directs_random FIRST LAST` runs these seeds with restores."""
    first, last = map(int, sys.argv[1:])
    run_seeds(partial(RandomTestCase().run_seed, restores=True), range(first, last + 1))


if __name__ == "__main__":
    main()
