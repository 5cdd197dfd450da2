"""What has to be true of groups after a simulation: who is in them, and what they read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from chatd.base.errors import ChatError
from chatd.base.model import Message
from chatd.simulate.group_replay import GroupReplay, log_of
from chatd.simulate.promises import Promises, plain, seen
from chatd.simulate.read_promises import check_group_marks
from chatd.simulate.records import require
from chatd.simulate.servers import Server
from chatd.simulate.world import StagedGroup, World, of_address
from chatd.store.schema import accounts, former_homes, groups, participants, remote_members


class GroupPromises:
    """Call `check` when everything has arrived. Raises Violation."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._promises = Promises(world)

    def check(self) -> None:
        for group in self._world.groups.values():
            live = list(self._live(group))
            if self._is_in_hostile_hands(group, live):
                continue
            require(len(live) <= 1, "a group lives in one realm", live)
            for home, ident in live:
                self._check_members(group, home, ident)
            if group.steady:
                self._check_steady(group)
                check_group_marks(self._world, group.name)
            elif live and not self._world.restored:
                self._check_replay(group, *live[0])

    def _live(self, group: StagedGroup) -> Iterator[tuple[Server, int]]:
        """Where a group lives: it may have moved."""
        for server in self._world.homes:
            address = group.name if server.name == group.home else f"{group.name}@{group.home}"
            query = sa.select(groups.c.conversation_id).where(
                groups.c.home_id.is_(None), groups.c.key.is_not(None), of_address(address)
            )
            for row in self._rows(server, query):
                yield server, row.conversation_id

    def _rows(self, server: Server, query: Any) -> list[Any]:
        rows: list[Any] = server.realm.database.now(lambda db: db.execute(query).all())
        return rows

    def _is_in_hostile_hands(self, group: StagedGroup, live: list[tuple[Server, int]]) -> bool:
        """Whether the group lives or was founded in the hostile realm, or has moved while there was one."""
        hostile = self._world.hostile
        homes = {group.home, *(home.name for home, _ in live)}
        return hostile is not None and (hostile in homes or homes != {group.home})

    # Members

    def _here(self, server: Server, home: Server, ident: int) -> dict[str, tuple[bool, int]]:
        """The members among the people of a realm, by its own table, as the home writes their addresses."""
        at_home = server is home
        which = groups.c.conversation_id == ident
        if not at_home:
            which = sa.and_(groups.c.home_id == ident, groups.c.realm == home.name)
        query = (
            sa.select(accounts.c.name, participants.c.admin, participants.c.first_seq)
            .join_from(participants, accounts)
            .join(groups, groups.c.conversation_id == participants.c.conversation_id)
            .where(which)
        )
        suffix = "" if at_home else f"@{server.name}"
        return {f"{row[0]}{suffix}": (row[1], row[2]) for row in self._rows(server, query)}

    def _at_home(self, home: Server, ident: int) -> dict[str, tuple[bool, int]]:
        table = remote_members.c
        query = sa.select(table.address, table.admin, table.first_seq).where(
            table.conversation_id == ident
        )
        there = {row[0]: (row[1], row[2]) for row in self._rows(home, query)}
        return self._here(home, home, ident) | there

    def _check_members(self, group: StagedGroup, home: Server, ident: int) -> None:
        """All realms agree about who is a member, and there is an admin."""
        members = self._at_home(home, ident)
        require(any(role for role, _ in members.values()), "a group has an admin", members)
        for server in self._world.honest_servers:
            if server is not home:
                here = {name: first for name, (_, first) in self._here(server, home, ident).items()}
                there = {
                    name: first
                    for name, (_, first) in members.items()
                    if name.endswith(f"@{server.name}")
                }
                require(here == there, "rosters agree", group.name, server.name, here, there)

    # Logs

    def _check_steady(self, group: StagedGroup) -> None:
        """All members read the same, and it is what was asked for."""
        to, restored = f"#{group.name}", self._world.restored
        logs = {name: self._shown(name, to) for name in self._world.honest_people}
        read = {
            name: [(each.seq, each.reply, *seen(each)) for each in log if self._is_promised(each)]
            for name, log in logs.items()
            if log is not None
        }
        if restored:  # the home may have numbered again what it had lost
            read = {name: sorted((each[2:] for each in log), key=str) for name, log in read.items()}
        first = read.get(group.creator)
        for name, log in read.items():
            if first is not None:
                require(log == first, "all members read the same", group.name, name, log, first)
        own = logs.get(group.creator)
        if own is None:
            return
        self._promises.check_once(own)
        self._promises.check_order(own)
        for written in self._world.written.values():
            if not self._world.is_honest(written.author):
                continue
            if written.to == to and (logs.get(written.author) is not None):
                self._promises.check_written(group.creator, written, own)

    def _shown(self, name: str, to: str) -> list[Any] | None:
        """What a member sees of a group, in order of its numbers; None: they are no member."""
        try:
            return [each for each in self._world.shown(name, to) if each.seq]
        except ChatError:
            return None

    def _is_promised(self, message: Message) -> bool:
        """Files of a hostile realm may come to some members only."""
        author = plain(message.sender)
        return message.file is None or self._world.is_honest(author)

    def _check_replay(self, group: StagedGroup, home: Server, ident: int) -> None:
        """The log, replayed, gives the members, and each of them reads what they are entitled to."""
        log = home.realm.database.now(lambda db: log_of(db, ident))
        creator = self._named(group.creator, home)
        replay = GroupReplay(log, creator, private=False, homes=self._former_homes(home, ident))
        require(not replay.unauthorized, "nobody does what they may not", replay.unauthorized)
        members = self._at_home(home, ident)
        said = {name: (name in replay.admins, stay.first) for name, stay in replay.members()}
        require(members == said, "the log says who is a member", members, said)
        for name in self._world.honest_people:
            stay = replay.stay(self._named(name, home))
            may = [
                each.seq for each in log if stay is not None and stay.sees(each.seq, each.target)
            ]
            got = [each.seq for each in self._synced(name, home, ident)]
            require(got == may, "members read what they are entitled to", name, got, may)
        texts = [(plain(each.author), each.text) for each in log if each.text]
        require(len(texts) == len(set(texts)), "nothing is doubled", texts)

    def _former_homes(self, home: Server, ident: int) -> list[tuple[int, str]]:
        query = sa.select(former_homes.c.last, former_homes.c.realm).where(
            former_homes.c.conversation_id == ident
        )
        rows = self._rows(home, query.order_by(former_homes.c.step))
        return [(last, "" if realm == home.name else realm) for last, realm in rows]

    def _named(self, name: str, home: Server) -> str:
        """A person as the home of a group writes them."""
        realm = self._world.realm_of[name]
        return name if realm == home.name else f"{name}@{realm}"

    def _synced(self, name: str, home: Server, ident: int) -> list[Any]:
        server = self._world.server_of(name)
        if server is not home:
            which = sa.and_(groups.c.home_id == ident, groups.c.realm == home.name)
            found = self._rows(server, sa.select(groups.c.conversation_id).where(which))
            if not found:
                return []
            ident = found[0][0]
        try:
            return self._promises.synced(name, ident, 0)
        except ChatError:
            return []
