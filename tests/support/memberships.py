"""Six people of three realms who change at random who is in a group, what they may, and who finds it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any

import sqlalchemy as sa

from chatd.base.names import Address, Place, parse_group
from chatd.commands import values as ask
from chatd.simulate.gatherings import SETTINGS
from chatd.simulate.group_replay import log_of
from chatd.store.schema import accounts, groups, participants, remote_members
from tests.support.network import Network, Person, Server, outcome
from tests.support.troubled_realms import RestorableRealms, counts

PEOPLE = {
    "ana": "realm1",
    "dewi": "realm1",
    "budi": "realm2",
    "citra": "realm2",
    "eka": "realm3",
    "fajar": "realm3",
}
CREATOR = "ana"
CAUTIOUS = "dewi"  # wants to be asked before she is made a member
GROUP = "rahasia"  # of realm1

OF_OTHERS: dict[str, Any] = {
    "join": ask.JoinGroup,
    "accept": ask.AcceptInvitation,
    "decline": ask.DeclineInvitation,
}
OF_MEMBERS: dict[str, Any] = {
    "kick": ask.KickMember,
    "promote": ask.PromoteMember,
    "demote": ask.DemoteAdmin,
    "transfer": ask.TransferGroup,
}
ACTS = (
    *("join", "join by code", "leave", "invite", "accept", "accept", "decline", "kick", "unban"),
    *("promote", "demote", "transfer", "configure", "configure", "renew", "post", "post"),
    *("edit", "delete", "react"),
)


class MembershipRules(RestorableRealms):
    """Everything is chosen by `random`. A subclass checks the outcome."""

    random: Random

    def begin(self, seed: int) -> None:
        self.random = Random(seed)  # noqa: S311
        self.folder = Path(tempfile.mkdtemp())
        self.network = network = Network(self.folder)
        self.servers = {name: network.server(name) for name in sorted({*PEOPLE.values()})}
        self.home, two, three = self.servers.values()
        self.pairs = ((self.home, two), (self.home, three), (two, three))
        for near, far in self.pairs:
            near.add(far)
        network.settle()
        self.people: dict[str, Person] = {
            name: self.servers[realm].person(name) for name, realm in PEOPLE.items()
        }
        self.people[CAUTIOUS].does(ask.ChangePrivacy(invitations=False))
        self.made: list[bool] = []  # whether the groups were private when they were created
        self.count = 0
        self.create(self.random.random() < 0.6)
        self.people[CREATOR].does(ask.InviteMembers(Address(GROUP), (Address("budi", "realm2"),)))
        network.settle()
        self.people["budi"].accepts(f"{GROUP}@realm1")
        network.settle()
        network._random = self.random
        counts["runs"] += 1

    def is_open(self, name: str) -> bool:
        return self.servers[PEOPLE[name]].is_open

    def address(self, name: str, reader: str = CREATOR) -> Address:
        realm = PEOPLE.get(name, "realm1")
        return Address(name, None if PEOPLE[reader] == realm else realm)

    def group(self, reader: str) -> Address:
        return self.address(GROUP, reader)

    def asks(self, name: str, command: ask.Command) -> list[Any]:
        if not self.is_open(name):
            return []
        counts[type(command).__name__] += 1
        return outcome(self.people[name].begins(command))

    def one_of(self, names: Iterable[str]) -> str:
        """One of these people; sometimes, or if they are none, anybody."""
        found = sorted({name.partition("@")[0] for name in names})
        if not found or self.random.random() < 0.15:
            found = sorted(PEOPLE)
        return self.random.choice(found)

    # What people do

    def create(self, private: bool) -> None:
        new = ask.AddGroup(GROUP, visibility="private" if private else "public")
        self.people[CREATOR].does(new)
        self.made.append(private)

    def step(self) -> None:
        """What a few people do, or one trouble."""
        if self.random.random() < 0.35:
            self.trouble(self.random.randrange(6))
            return
        for _ in range(self.random.randint(1, 4)):
            self.act()
            if self.random.random() < 0.6:
                self.network.settle()

    def trouble(self, at: int) -> None:
        """Something that happens to a realm, or to all."""
        random = self.random
        match random.randrange(7):
            case 0:
                self.cut(random.random() < 0.5)
            case 1:
                self.lose_acknowledgements(at)
            case 2:
                self.hold(at, True)
            case 3:
                self.hold(at, False)
            case 4:
                self.restart(at, random.random() < 0.4, random.random() < 0.3)
            case 5:
                self.go_on(random.randint(1, 60))
            case _:
                self.wait(random.choice((0.1, 0.6, 2.0, 6.0, 40.0)))

    def act(self) -> None:
        """One thing that a person does for whom it makes sense, most likely."""
        if self.home.is_open and not (live := self.live()):
            self.network.settle()
            self.create(self.random.random() < 0.5)
        live = self.live()
        roles = {name: role for name, (role, _) in self.at_home(live[0]).items()} if live else {}
        members = {name.partition("@")[0] for name in roles}
        admin = self.one_of(name for name, role in roles.items() if role)
        member, guest = self.one_of(members), self.one_of(PEOPLE.keys() - members)
        self.asks(*self.command(self.random.choice(ACTS), admin, member, guest))

    def command(self, what: str, admin: str, member: str, guest: str) -> tuple[str, ask.Command]:
        """Who asks for what."""
        group = self.group
        match what:
            case "join" | "accept" | "decline":
                return guest, OF_OTHERS[what](group(guest))
            case "join by code":
                return guest, ask.JoinGroup(self.code(guest))
            case "leave":
                return member, ask.LeaveGroup(group(member))
            case "invite":
                return admin, ask.InviteMembers(group(admin), (self.address(guest, admin),))
            case "unban":
                return admin, ask.LiftBan(group(admin), self.address(guest, admin))
            case "kick" | "promote" | "demote" | "transfer":
                return admin, OF_MEMBERS[what](group(admin), self.address(member, admin))
            case "configure":
                return admin, ask.SetGroup(group(admin), *self.random.choice(SETTINGS))
            case "renew":
                return admin, ask.RenewCode(group(admin))
        if what == "post":
            return member, ask.SendGroupMessage(group(member), self.new_text())
        return member, self.change(what, Place(group=group(member)), self.seq())

    def change(self, what: str, place: Place, seq: int) -> ask.Command:
        if what == "edit":
            return ask.EditMessage(place, seq, self.new_text())
        if what == "delete":
            return ask.DeleteMessage(place, seq)
        return ask.ReactToMessage(place, seq, "👍", True)

    def new_text(self) -> str:
        self.count += 1
        return f"pesan-{self.count}-akhir"

    def seq(self) -> int:
        """The seq of a message near the end of the log."""
        live = self.live()
        found = [each.seq for each in self.log(live[0]) if each.kind == "message"] if live else []
        return self.random.choice(found[-6:]) if found else 1

    def code(self, name: str) -> Address:
        """The code of the group, or its name if it is not known."""
        live, group = self.live(), self.group(name)
        if not live:
            return group
        suffix = "" if group.realm is None else f"@{group.realm}"
        return parse_group(f"{self.row_of(live[0]).code}{suffix}")

    # What the realms have

    def rows(self, server: Server, query: Any) -> list[Any]:
        found: list[Any] = server.realm.database.now(lambda db: db.execute(query).all())
        return found

    def log(self, conversation: int) -> list[Any]:
        found: list[Any] = self.home.realm.database.now(lambda db: log_of(db, conversation))
        return found

    def live(self) -> list[int]:
        """The group, unless it has ended or its home is down."""
        if not self.home.is_open:
            return []
        query = sa.select(groups.c.conversation_id).where(groups.c.key == GROUP)
        return [row[0] for row in self.rows(self.home, query)]

    def here(self, server: Server, conversation: int) -> dict[str, tuple[bool, int]]:
        """The members among the people of a realm, by its own table, with their roles and first entries."""
        ident = conversation
        if server is not self.home:
            found = self.rows(
                server,
                sa.select(groups.c.conversation_id).where(groups.c.home_id == conversation),
            )
            ident = found[0][0] if found else 0
        query = (
            sa.select(accounts.c.name, participants.c.admin, participants.c.first_seq)
            .join_from(participants, accounts)
            .where(participants.c.conversation_id == ident)
        )
        suffix = "" if server is self.home else f"@{server.name}"
        return {f"{row[0]}{suffix}": (row[1], row[2]) for row in self.rows(server, query)}

    def at_home(self, conversation: int) -> dict[str, tuple[bool, int]]:
        """All members, by the tables of the home."""
        table = remote_members.c
        query = sa.select(table.address, table.admin, table.first_seq).where(
            table.conversation_id == conversation
        )
        there = {row[0]: (row[1], row[2]) for row in self.rows(self.home, query)}
        return self.here(self.home, conversation) | there

    def row_of(self, ident: int) -> Any:
        return self.rows(self.home, sa.select(groups).where(groups.c.conversation_id == ident))[0]
