"""The realms and people of one simulation, and what is known about them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import sqlalchemy as sa
from twisted.internet.defer import Deferred

from chatd.app.realm import StartOptions
from chatd.base.model import Message
from chatd.base.names import Address, Place
from chatd.base.replies import Reply
from chatd.commands import values as ask
from chatd.simulate.cables import CabledNetwork
from chatd.simulate.disks import Disk, Disks
from chatd.simulate.hostile import HostileRealm
from chatd.simulate.nodes import SharedServer, SimulatedNode
from chatd.simulate.people import Person
from chatd.simulate.records import Forwarded, Marked, TrackedRequest, Written
from chatd.simulate.roaming import RoamingPerson
from chatd.simulate.servers import START, Server
from chatd.simulate.stepped import STEPPED
from chatd.simulate.trace import Trace
from chatd.store.prepared import prepared
from chatd.store.schema import attachments, former_homes, groups, messages, participants

NAMES = ("ana", "budi", "citra", "dewi", "eka", "fajar", "gita", "hadi", "indah", "joko")
CONTENT = 1500  # repetitions of a line in each file


class StagedGroup(msgspec.Struct, frozen=True):
    """A group of the realm of its `creator`. In a `steady` one, members only come and never go."""

    name: str
    home: str
    creator: str
    steady: bool


class World:
    """Two to five realms, linked with each other, and one to three people in each."""

    def __init__(
        self,
        seed: int,
        folder: Path,
        realms: int | None = None,
        write: Callable[[str], object] | None = None,
        disks: Disks | None = None,
        *,
        strange: bool = False,
        nodes: int = 1,
    ) -> None:
        """With `strange`, the people of a realm are strangers to those of the realms with higher numbers. The
        first realm has so many `nodes`, and the others have up to that."""
        self.random = Random(seed)  # noqa: S311 - not for secrets
        self.folder = folder
        self.strange, self.nodes = strange, nodes
        self.shared: dict[str, SharedServer] = {}  # what the nodes of a realm share, by its name
        self.trace = Trace(lambda: self.network.now - START, write)
        self.disks = disks
        threads = STEPPED if disks is None else disks.threads
        self.network = CabledNetwork(folder, self.random, self.trace, threads)
        # With less than FULL, a realm would notice the loss and not start. Show what is lost.
        self.network.start_options = StartOptions(accept_loss=disks is not None and disks.lossy)
        self.people: dict[str, Person] = {}
        self.realm_of: dict[str, str] = {}
        self.groups: dict[str, StagedGroup] = {}
        self.written: dict[str, Written] = {}
        self.texts: list[tuple[str, Written]] = []  # each text that a message ever had
        self.forwards: list[Forwarded] = []
        self.marks: list[Marked] = []
        # Groups and people: up to where they counted as read when the people had joined
        self.joined_at: dict[tuple[str, str], int] = {}
        self.accepted: list[tuple[str, str, TrackedRequest]] = []  # strangers, and who accepts them
        self.requests: list[TrackedRequest] = []
        self.counts: Counter[str] = Counter()
        self.restored = False  # a realm was restored from an older copy
        # Groups, and whom their creators want to make admins: the requests for that
        self.promotions: defaultdict[tuple[str, str], list[TrackedRequest]] = defaultdict(list)
        self._texts = 0
        self._settle_in(realms or self._choose_realms())

    def _choose_realms(self) -> int:
        return self.random.choice((2, 2, 2, 2, 3, 3, 3, 4, 5) if self.nodes == 1 else (2, 2, 2, 3))

    def _settle_in(self, realms: int) -> None:
        for number in range(1, realms + 1):
            name = f"realm{number}"
            settings = {"strangers": "requests"} if self.strange else {}
            count = self._count_nodes(number)
            if count > 1:
                self._add_nodes(name, count, settings)
                continue
            if self.disks is not None:
                self.disks.add(self.folder / name)
            self.network.server(name, **settings)
        servers = self.homes
        pairs = list(combinations(servers, 2))
        adding = [near.begins_to_add(far) for near, far in pairs]
        self.network.settle()
        for each in adding:
            self.network.result(each)
        names = iter(NAMES)
        for at in range(max(realms, self.random.choice((2, 2, 3, 3, 4, 5)))):
            server = servers[at % realms]
            name = next(names)
            shared = self.shared.get(server.name)
            if shared is None:
                self.people[name] = server.person(name)
            else:
                self.people[name] = RoamingPerson(shared, name, self.random, self.trace)
            self.realm_of[name] = server.name
            self.network.settle()
        self._found_groups()
        self.network.settle()
        if self.disks is not None:
            for disk in self.disks.disks.values():
                disk.forget()  # the faults begin now, also with less than FULL

    def _count_nodes(self, number: int) -> int:
        """How many nodes the realm with that number has."""
        if number == 1 or self.nodes == 1 or self.random.random() < 0.7:
            return self.nodes if number == 1 else 1
        return self.random.randint(2, self.nodes)

    def _add_nodes(self, realm: str, count: int, settings: dict[str, str]) -> None:
        if self.disks is not None:
            self.disks.add(self.folder / realm)
        shared = self.shared[realm] = SharedServer(self.network, realm, self.folder, self.random)
        for _ in range(count):
            node = SimulatedNode(self.network, shared, self.folder, **settings)
            self.network.add(node)
        self.network.settle()

    def _found_groups(self) -> None:
        """Create up to two groups. Most people join the first; people come to and leave the second."""
        for name, steady in (("bagan", True), ("pasar", False)):
            if self.random.random() < 0.4:
                continue
            creator = self.random.choice(list(self.people))
            self.groups[name] = StagedGroup(name, self.realm_of[creator], creator, steady)
            self.people[creator].creates(name)
            for other in self.people:
                if other != creator and self.random.random() < 0.7:
                    self.asks(other, ask.JoinGroup(self.address(f"#{name}", other)))
            self.network.settle()
            self._note_marks(name)

    def _note_marks(self, group: str) -> None:
        for name, realm in self.realm_of.items():
            query = (
                sa.select(participants.c.read_seq)
                .join(groups, groups.c.conversation_id == participants.c.conversation_id)
                .where(
                    participants.c.account_id == self.people[name].account.id,
                    of_address(str(self.address(f"#{group}", name))),
                )
            )
            seq = self.home(realm).realm.database.now(_scalar, query)
            if seq is not None:
                self.joined_at[group, name] = seq

    @property
    def servers(self) -> list[Server]:
        """All processes."""
        return list(self.network.servers.values())

    def servers_of(self, realm: str) -> list[Server]:
        """The processes of a realm."""
        return [server for server in self.servers if server.name == realm]

    def home(self, realm: str) -> Server:
        """A process of a realm, which runs if any does."""
        there = self.servers_of(realm)
        running = [each for each in there if each.is_open and not each.is_stopped]
        return (running or [each for each in there if each.is_open] or there)[0]

    @property
    def homes(self) -> list[Server]:
        """One process of each realm."""
        return [self.home(realm) for realm in dict.fromkeys(each.name for each in self.servers)]

    # Honest and hostile

    def let_in(self, name: str) -> None:
        """The realm with that name is hostile from now on."""
        network = self.network
        network.hostile = HostileRealm(name, self.random, self.trace)
        for connection in network.connections:
            network.hostile.meet(connection, *map(network.name_of, connection.ends))
        self.trace.say(f"{name} is hostile")

    @property
    def hostile(self) -> str | None:
        """The realm to which, and by whose people, hardly anything is promised."""
        return None if self.network.hostile is None else self.network.hostile.name

    @property
    def honest_servers(self) -> list[Server]:
        """One process of each honest realm."""
        return [server for server in self.homes if server.name != self.hostile]

    @property
    def honest_people(self) -> list[str]:
        return [name for name, realm in self.realm_of.items() if realm != self.hostile]

    def is_honest(self, to: str) -> bool:
        """Whether a person, a `#group`, or an address is of an honest realm."""
        if to.startswith("#"):
            return self.groups[to[1:]].home != self.hostile
        name, _, realm = to.partition("@")
        return self.hostile is None or (realm or self.realm_of[name]) != self.hostile

    # Strangers

    def is_strange(self, realm: str, to: str) -> bool:
        """Whether the people of a realm are strangers to those of the realm `to`, which has not added it."""
        return self.strange and realm < to

    def is_stranger(self, name: str, to: str) -> bool:
        """Whether a person is a stranger to another, until that one accepts them."""
        return self.is_strange(self.realm_of[name], self.realm_of[to])

    def are_strangers(self, one: str, two: str) -> bool:
        return self.is_stranger(one, two) or self.is_stranger(two, one)

    def is_request(self, written: Written) -> bool:
        """Whether a message was written by a stranger."""
        return written.to in self.people and self.is_stranger(written.author, written.to)

    def friends_of(self, name: str) -> list[str]:
        """The other people between whom and this one nobody is a stranger."""
        return [each for each in self.people if each != name and not self.are_strangers(each, name)]

    # Realms

    def server_of(self, name: str) -> Server:
        """A process of a person's realm."""
        return self.home(self.realm_of[name])

    def is_open(self, name: str) -> bool:
        """Whether a person can ask for something."""
        return self.people[name].is_connected and self.server_of(name).is_open

    def disk_of(self, server: Server) -> Disk | None:
        """The disk of a realm's database; None if it can't fail, or is not of this process alone."""
        return None if self.disks is None else self.disks.disks.get(server.config.state)

    def kill(self, server: Server) -> None:
        """End a realm at once. SQLite does not notice, and leaves its files as they are."""
        disk = self.disk_of(server)
        if disk is not None:
            disk.dead = True
        server.kill()
        if disk is not None:
            disk.dead = False

    # Addresses

    def address(self, name: str, reader: str) -> Address:
        """The address of a person, or of a `#group`, as the reader writes it."""
        if name == "system":
            return Address(name)
        group = self.groups.get(name[1:])
        realm = self.realm_of[name] if group is None else group.home
        return Address(name.removeprefix("#"), None if self.realm_of[reader] == realm else realm)

    def place(self, reader: str, to: str) -> Place:
        address = self.address(to, reader)
        return Place(None, address) if to.startswith("#") else Place(address, None)

    # Requests

    def asks(self, name: str, command: ask.Command) -> TrackedRequest:
        """Let somebody send a command."""
        person, what = self.people[name], type(command).__name__
        key = getattr(command, "key", None) if "key" in command.__struct_fields__ else None
        self.counts[what] += 1
        request = self.begins(name, f"{what} {command}", lambda: person.begins(command), key)
        request.command = command
        return request

    def begins(
        self, name: str, what: str, begin: Callable[[], Deferred[Any]], key: str | None
    ) -> TrackedRequest:
        number = len(self.requests)
        self.trace.say(f"{name} asks ({number}): {what}")

        def answered(answer: Any) -> None:
            self.trace.say(f"answer to {number}: {describe(answer)}")

        request = TrackedRequest(name, begin, key, answered, lambda: self.network.now)
        self.requests.append(request)
        return request

    def new_text(self, tag: str) -> str:
        """A text of several lines that says which message it is of, and that nothing else contains."""
        self._texts += 1
        return f"{tag} pesan-{self._texts}-akhir\n  baris ke-2"

    # What the realms have

    def rows(self, reader: str, to: str) -> list[Any]:
        """The messages of a conversation as they stand in the reader's realm now, but for forwarded ones:
        `seq`, and the text or the name of the file."""
        server, address = self.server_of(reader), str(self.address(to, reader))
        account_id, in_group = self.people[reader].account.id, to.startswith("#")
        query = _rows(account_id, address, in_group=in_group)
        rows: list[Any] = server.realm.database.now(lambda db: db.execute(*query).all())
        return rows

    def shown(self, reader: str, to: str) -> list[Message]:
        """What somebody sees of a conversation."""
        reply = self.people[reader].does(ask.ShowHistory(self.place(reader, to), 500))
        return list(reply.items)

    def of_text(self, text: str | None) -> Written | None:
        """The message with that text, or the file with that name."""
        return (
            self.written.get((text or "").split(maxsplit=1)[0].partition(".")[0]) if text else None
        )


@prepared
def _rows(account_id: Any, address: Any, *, in_group: bool) -> sa.Select[Any]:
    shown = sa.func.coalesce(messages.c.text, attachments.c.name).label("text")
    return (
        sa.select(messages.c.conversation_id, messages.c.seq, shown)
        .join(participants, participants.c.conversation_id == messages.c.conversation_id)
        .outerjoin(groups, groups.c.conversation_id == messages.c.conversation_id)
        .outerjoin(attachments, attachments.c.id == messages.c.attachment_id)
        .where(
            participants.c.account_id == account_id,
            messages.c.forwarded.is_(None),
            of_address(address) if in_group else participants.c.peer_key == address,
        )
        .order_by(messages.c.seq)
    )


def of_address(address: Any) -> sa.ColumnElement[bool]:
    """A condition: the group has that address, or had it before it moved."""
    had = sa.select(former_homes.c.conversation_id).where(former_homes.c.address == address)
    return sa.or_(groups.c.key == address, groups.c.conversation_id.in_(had))


def _scalar(connection: sa.Connection, query: sa.Select[Any]) -> Any:
    return connection.scalar(query)


def content(name: str) -> bytes:
    """The bytes of the file with that name, in several pieces."""
    return f"isi {name} akhir\n".encode() * CONTENT


def describe(result: Any) -> str:
    """An answer, for the trace."""
    if isinstance(result, Exception):
        return f"{type(result).__name__}: {result}"
    return f"{result.message} {result.data}" if isinstance(result, Reply) else repr(result)
