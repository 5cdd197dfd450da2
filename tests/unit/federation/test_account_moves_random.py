"""Accounts move while people write, links are cut and realms are killed: nothing is lost or doubled."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path
from random import Random
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from chatd.base.errors import ChatError
from chatd.base.names import Place, parse_address
from chatd.base.texts import Secret
from chatd.commands import values as ask
from chatd.simulate.network import Network
from chatd.simulate.people import Person
from chatd.simulate.servers import Server

SEEDS = os.environ.get("CHATD_MOVE_SEEDS", "1-2")  # from the first to the last
PASSWORD = Secret("surabaya")
OLD, NEW = "ana@realm1", "anna@realm2"
GROUPS = ("satu@realm1", "dua@realm2", "tiga@realm3")


class Play:
    """One seed: three realms, five people who stay, and ana of realm1, who becomes anna of realm2."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.random = Random(seed)  # noqa: S311 - not for secrets
        self.network = Network(folder)
        names = ("realm1", "realm2", "realm3")
        self.servers = [self.network.server(each) for each in names]
        for at, near in enumerate(self.servers):
            for far in self.servers[at + 1 :]:
                near.add(far)
        self.network.settle()
        one, two, three = self.servers
        self.people: dict[str, tuple[Server, Person]] = {}
        for server, name in (
            (one, "ana"),
            (one, "budi"),
            (two, "anna"),
            (two, "dewi"),
            (three, "citra"),
            (three, "eka"),
        ):
            self.people[f"{name}@{server.name}"] = server, server.person(name)
        self.others = [each for each in self.people if each not in (OLD, NEW)]
        self.sent: defaultdict[str, list[str]] = defaultdict(list)  # to ana, by their authors
        self.posts: list[str] = []
        self.acknowledged: set[str] = set()
        self._found_groups()

    def _found_groups(self) -> None:
        for group in GROUPS:
            home = group.partition("@")[2]
            founder = self.random.choice(
                [each for each in self.people if each.endswith(home) and each != NEW]
            )
            self.does(founder, ask.AddGroup(group.partition("@")[0]))
            for address in self.people:
                if address not in (founder, NEW):
                    self.does(address, ask.JoinGroup(parse_address(self.seen_by(address, group))))
        self.network.settle()

    def seen_by(self, reader: str, address: str) -> str:
        """An address as somebody writes it."""
        name, _, realm = address.partition("@")
        return name if reader.endswith(f"@{realm}") else address

    def begins(self, who: str, command: ask.Command, text: str = "") -> None:
        """Let somebody send a command, and note if the message `text` is acknowledged."""
        _, person = self.people[who]

        def answered(_reply: Any) -> None:
            self.acknowledged.add(text)

        person.begins(command).addCallback(answered).addErrback(
            lambda failure: failure.trap(ChatError)
        )

    def does(self, who: str, command: ask.Command) -> Any:
        server, person = self.people[who]
        return server.network.result(person.begins(command), patience=30.0)

    # What happens

    def write(self) -> None:
        """Somebody writes to the old address, or to a group."""
        who = self.random.choice(self.others)
        if self.random.random() < 0.3:
            group = self.random.choice(GROUPS)
            text = f"{who} di {group}: {len(self.posts)}"
            self.posts.append(text)
            to = parse_address(self.seen_by(who, group))
            self.begins(who, ask.SendGroupMessage(to, text, key=text), text)
            return
        text = f"{who} {len(self.sent[who])}"
        self.sent[who].append(text)
        to = parse_address(self.seen_by(who, OLD))
        self.begins(who, ask.SendMessage((to,), text, key=text), text)

    def disturb(self) -> None:
        match self.random.randrange(6):
            case 0:
                self.network.cut()
            case 1:
                self.random.choice(self.servers).restart()
            case 2:
                where = self.random.choice(self.servers).where
                self.network.refusing[where] = OSError()
                self.network.cut()
            case 3:
                self.network.refusing.clear()
            case _:
                self.network.advance(self.random.choice((0.05, 0.3, 1.0, 5.0)))

    def run(self) -> None:
        for each in self.others:
            self.does(
                OLD, ask.SendMessage((parse_address(self.seen_by(OLD, each)),), f"halo {each}")
            )
        self.network.settle()
        steps: list[tuple[str, ask.Command]] = [
            (NEW, ask.TakeAccount(parse_address(OLD))),
            (OLD, ask.MoveAccount(parse_address(NEW), PASSWORD)),
        ]
        if self.random.random() < 0.5:
            steps.reverse()
        for step in (*steps, None, None):
            for _ in range(self.random.randint(1, 8)):
                self.write()
                if self.random.random() < 0.4:
                    self.disturb()
                if self.random.random() < 0.3:
                    self.network.settle()
            if step is not None:
                self.begins(*step)
        self.network.refusing.clear()
        for step in steps:
            self.begins(*step)  # again: a kill may have ended it before it was on disk
            self.network.advance(10.0)
        self.network.advance(700.0)
        self.network.settle()

    # What has to be true in the end

    def texts(self, reader: str, other: str) -> list[str]:
        place = Place(user=parse_address(self.seen_by(reader, other)))
        try:
            shown = self.does(reader, ask.ShowHistory(place, 500)).items
        except ChatError:
            return []
        return [each.text for each in shown if each.text is not None]

    def check(self) -> None:
        for who in self.others:
            at_old = [each for each in self.texts(OLD, who) if each.startswith(who)]
            at_new = [each for each in self.texts(NEW, who) if each.startswith(who)]
            own = [each for each in self.texts(who, NEW) if each.startswith(who)]
            self.compare(f"what {who} sees", own, self.sent[who])
            if who.endswith("@realm3"):
                # Each of the two realms has its part.
                self.compare(f"what {who} has written", at_old + at_new, self.sent[who])
            else:
                # The conversation is one with the others of this realm, whose people see all of it.
                whole, part = (at_old, at_new) if who.endswith("@realm1") else (at_new, at_old)
                self.compare(f"what {who} has written", whole, self.sent[who])
                self.compare(f"a part of what {who} has written", part, self.sent[who], part=True)
                since = [each for each in whole if each not in part]
                assert whole in (since + part, part + since), f"{who}: {whole}, {part}"
            listed = [
                each.user for each in self.does(who, ask.ListConversations()).items if each.user
            ]
            told = self.texts(who, "system") if "system" in listed else []
            assert listed == [self.seen_by(who, NEW)], f"{who} has {listed}, and was told {told}"
        self._check_groups()

    def compare(self, what: str, found: list[str], sent: list[str], part: bool = False) -> None:
        """Nothing acknowledged is lost, nothing is there twice, and all of it is in order."""
        assert len(set(found)) == len(found), f"{what} is doubled: {found}"
        assert found == [each for each in sent if each in found], f"{what} is out of order: {found}"
        lost = [each for each in sent if each in self.acknowledged and each not in found]
        assert part or not lost, f"{what} has lost {lost}: {found}"

    def _check_groups(self) -> None:
        for group in GROUPS:
            logs = set()
            for reader in (*self.others, NEW):
                seen = self.seen_by(reader, group)
                shown = self.does(
                    reader, ask.ShowHistory(Place(group=parse_address(seen)), 500)
                ).items
                logs.add(tuple(each.text for each in shown))
            assert len(logs) == 1, f"{group} has several histories: {logs}"
            [log] = logs
            assert len(set(log)) == len(log), f"{group} has a message twice: {log}"
            home = next(each for each in self.others if each.endswith(group.partition("@")[2]))
            reply = self.does(home, ask.ListMembers(parse_address(self.seen_by(home, group))))
            members = sorted(each.username for each in reply.items)
            wanted = sorted(self.seen_by(home, each) for each in (*self.others, NEW))
            assert members == wanted, f"{group} has {members}"
            acknowledged = {each for each in self.acknowledged if f" di {group}:" in each}
            assert acknowledged <= set(log), f"{group} has lost {acknowledged - set(log)}"


class RandomMoves(SynchronousTestCase):
    def test_seeds(self) -> None:
        first, _, last = SEEDS.partition("-")
        for seed in range(int(first), int(last or first) + 1):
            folder = Path(self.mktemp())
            folder.mkdir()
            play = Play(seed, folder)
            try:
                play.run()
                play.check()
            except AssertionError as error:
                raise AssertionError(f"seed {seed}: {error}") from error
            finally:
                play.network.close()
