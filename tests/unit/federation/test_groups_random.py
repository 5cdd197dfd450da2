"""People of three realms do at random what one can do with a group, while links are cut, and realms are
killed or restored from backups. In the end all realms have the same messages, files and members, and nothing
waits."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.names import Address, Place, parse_address, parse_group
from chatd.commands import values as ask
from chatd.store.schema import pending
from tests.support.network import Person
from tests.support.order import long_test
from tests.support.seeds import run_seeds
from tests.unit.federation.test_directs_random import STEPS, Directs, content

ACTS = ("post", "post", "file", "edit", "delete", "react", "join", "leave", "kick", "trouble")


class Groups(Directs):
    """bagan is a group of realm1. ana, its admin, and budi of realm2 stay in it; dewi of realm1, citra of
    realm2 and eka of realm3 come and go."""

    def __init__(self, folder: Path, seed: int) -> None:
        super().__init__(folder, seed, restores=True)
        self.three = self.network.server("realm3")
        self.one.add(self.three)
        self.two.add(self.three)
        self.servers = {"realm1": self.one, "realm2": self.two, "realm3": self.three}
        self.ana, self.budi = self.people
        self.ana.creates("bagan")
        for number in range(3):
            self.ana.posts("bagan", f"awal-{number}")
        homes = {"dewi": "realm1", "citra": "realm2", "eka": "realm3"}
        self.guests = {self.servers[realm].person(name): realm for name, realm in homes.items()}
        self.places = {self.ana: "bagan", self.budi: "bagan@realm1"}
        for person, realm in self.guests.items():
            self.places[person] = "bagan" if realm == "realm1" else "bagan@realm1"
        for person in (self.budi, *self.guests):
            person.joins(self.places[person])
        self.network.advance(5)
        for server in self.servers.values():
            self.back_up(server)

    def act(self) -> None:
        who, guest = self.random.choice([*self.places]), self.random.choice([*self.guests])
        what = self.random.choice(ACTS)
        self.count += 1
        match what:
            case "trouble":
                self.trouble(self.random.choice([*self.servers.values()]))
            case "post":
                who.begins_to_post(self.places[who], f"pesan-{self.count}").addErrback(ignore)
            case "file":
                name = f"berkas-{self.count}.bin"
                to = f"#{self.places[who]}"
                who.begins_to_send_file(to, name, content(name)).addErrback(ignore)
            case "join":
                self.tries(guest, ask.JoinGroup(parse_group(self.places[guest])))
            case "leave":
                self.tries(guest, ask.LeaveGroup(parse_address(self.places[guest])))
            case "kick":
                self.kick(guest)
            case _:
                self.change_in_group(who, what)
        if self.random.random() < 0.6:
            self.network.settle()

    def kick(self, guest: Person) -> None:
        """Remove somebody, and let them come again."""
        group = parse_address("bagan")
        realm = self.guests[guest]
        user = Address(guest.name, None if realm == "realm1" else realm)
        self.tries(self.ana, ask.KickMember(group, user))
        self.tries(self.ana, ask.LiftBan(group, user))

    def tries(self, who: Person, command: ask.Command) -> None:
        who.begins(command).addErrback(ignore)

    def change_in_group(self, who: Person, what: str) -> None:
        self.network.settle()
        if not who.mine():
            return
        place = Place(None, parse_group(self.places[who]))
        found = [each for each in who.does(ask.ShowHistory(place, 500)).items if each.seq]
        if not found:
            return
        seq = self.random.choice(found).seq
        match what:
            case "edit":
                self.tries(who, ask.EditMessage(place, seq, f"pesan-{self.count}-baru"))
            case "delete":
                self.tries(who, ask.DeleteMessage(place, seq))
            case _:
                self.tries(who, ask.ReactToMessage(place, seq, "👍", self.random.random() < 0.7))

    def shown(self, person: Person) -> list[Any]:
        place = Place(None, parse_group(self.places[person]))
        return [each for each in person.does(ask.ShowHistory(place, 500)).items if each.seq]

    def ends(self) -> tuple[list[Any], list[Any]]:
        pairs = [(self.one, self.three), (self.two, self.three)]
        self.network.until(lambda: all(self.network.open_connections(*pair) for pair in pairs))
        super().ends()
        self.network.advance(70)  # posts of former members are looked for each minute
        return super().ends()

    def logs(self) -> dict[str, list[Any]]:
        """What each member sees: all the same, whenever they have joined."""
        members = [who for who in (self.ana, self.budi, *self.guests) if who.mine()]
        return {who.name: sorted(map(self.seen, self.shown(who)), key=str) for who in members}

    def members(self) -> tuple[list[str], list[str]]:
        """Who of the other realms is a member, for the home and for themselves."""
        here = [each.strip("*+").partition("@") for each in self.ana.members("bagan")]
        others = [who for who, realm in self.guests.items() if realm != "realm1"]
        there = [who.name for who in (self.budi, *others) if who.mine()]
        return sorted(name for name, _, realm in here if realm), sorted(there)

    def left_over(self) -> list[str]:
        """Parcels that wait, and posts that neither wait, nor have come back, nor were refused."""
        query = sa.select(pending.c.text).where(pending.c.refused.is_(None))
        found = [
            f"{name}: {text}"
            for name, server in self.servers.items()
            for text in server.realm.database.now(lambda db: db.scalars(query).all())
        ]
        return found + [
            f"{name}: parcels" for name, server in self.servers.items() if server.parcels_waiting()
        ]


def ignore(_failure: object) -> None:
    """A request that fails."""


class RandomGroupsTestCase(SynchronousTestCase):
    def run_seed(self, seed: int) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        run = Groups(folder, seed)
        try:
            for _ in range(STEPS):
                run.act()
            one, two = run.ends()
            here, there = run.members()
            self.assertEqual(here, there, f"seed {seed}")
            self.assertEqual(one, two, f"seed {seed}")
            for name, log in run.logs().items():
                self.assertEqual(log, one, f"seed {seed}: {name}")
            run.files()
            self.assertEqual(run.left_over(), [], f"seed {seed}")
        finally:
            run.network.close()

    @long_test
    def test_some(self) -> None:
        for seed in range(6):
            self.run_seed(seed)


def main() -> None:
    """`python -m tests.unit.federation.test_groups_random FIRST LAST` runs these seeds."""
    first, last = map(int, sys.argv[1:])
    run_seeds(RandomGroupsTestCase().run_seed, range(first, last + 1))


if __name__ == "__main__":
    main()
