"""What has to be true of a realm on several nodes: of its leases at all times, and of the rest in the end."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import sqlalchemy as sa

from chatd.base.model import Message
from chatd.commands import values as ask
from chatd.simulate.nodes import SharedServer
from chatd.simulate.promises import Promises
from chatd.simulate.records import TrackedRequest, require
from chatd.simulate.roaming import RoamingPerson
from chatd.simulate.world import StagedGroup, World
from chatd.store.schema import groups

EFFECTIVE = 1.0  # seconds after which a kick is known at all nodes
# What a kicked person may not do; authors may still delete what they have written
WRITES = (ask.SendGroupMessage, ask.ReplyToMessage, ask.ReactToMessage)
READS = (ask.ShowHistory,)
# What makes somebody a member again, by themselves or by others
RETURNS = (ask.JoinGroup, ask.AcceptInvitation, ask.InviteMembers, ask.LiftBan)


class NodePromises:
    """Call `watch` after each step, and `check` when everything has arrived. Both raise Violation."""

    def __init__(self, world: World) -> None:
        self._world = world

    def watch(self) -> None:
        """No two nodes act under one lease."""
        for shared in self._world.shared.values():
            holders: defaultdict[str, list[str]] = defaultdict(list)
            for node in shared.nodes:
                keeper = node.realm.nodes.leases if node.is_open and not node.is_stopped else None
                for lease in () if keeper is None else keeper.held():
                    holders[lease].append(node.label)
            for lease, labels in holders.items():
                require(len(labels) == 1, "one node acts under a lease", lease, labels)

    def check(self) -> None:
        for shared in self._world.shared.values():
            self._check_presence(shared)
            self._check_rooms(shared)
        for name, person in self._world.people.items():
            if isinstance(person, RoamingPerson):
                self._check_followed(name, person)
        for group in self._world.groups.values():
            if group.home in self._world.shared:
                self._check_kicks(group)

    # Soft state

    def _check_presence(self, shared: SharedServer) -> None:
        """All nodes show the same people online, and these are connected."""
        ids = {person.account.id for person in shared.people if person.is_connected}
        states = [
            {ident: node.service.presence.own_state(ident) for ident in sorted(ids)}
            for node in shared.nodes
        ]
        for node, shown in zip(shared.nodes, states, strict=True):
            online = set(node.service.presence.online())
            require(online == ids, "all nodes know who is online", node.label, online, ids)
            require(shown == states[0], "all nodes show the same", node.label, shown, states[0])

    def _check_rooms(self, shared: SharedServer) -> None:
        """All nodes show the same people in the same rooms."""
        seen = [node.service.rooms.all() for node in shared.nodes]
        for node, shown in zip(shared.nodes, seen, strict=True):
            require(shown == seen[0], "all nodes show the same rooms", node.label, shown, seen[0])

    # Logs

    def _check_followed(self, name: str, person: RoamingPerson) -> None:
        """A client that listens has all entries that others have made, without asking again."""
        promises = Promises(self._world)
        for each in person.does(ask.ListConversations()).items:
            conversation = each.conversation
            known = person.logs.logs[conversation].seqs
            missing = [
                entry.seq
                for entry in promises.synced(name, conversation, 0)
                if entry.seq not in known and _author(entry) != name
            ]
            require(not missing, "listeners end with the log", name, conversation, missing)

    # Kicks

    def _check_kicks(self, group: StagedGroup) -> None:
        """From a kick's answer on, the person writes nothing, and a second later reads nothing."""
        requests = self._of_group(group)
        for kick in requests:
            if isinstance(kick.command, ask.KickMember) and kick.acknowledged:
                victim = kick.command.user.name
                if self._world.realm_of.get(victim) == group.home:
                    self._check_kicked(group, kick, victim, requests)

    def _check_kicked(
        self, group: StagedGroup, kick: TrackedRequest, victim: str, requests: list[TrackedRequest]
    ) -> None:
        since = kick.answered_at or 0.0
        until = min(
            [
                each.sent[0]
                for each in requests
                if self._returns(each, victim)
                and (each.answered_at is None or each.answered_at >= kick.sent[0])
            ],
            default=self._world.network.now,
        )
        for each in requests:
            if each.name != victim or not each.replies or len(each.sent) > 1:
                continue
            began, kind = each.sent[0], type(each.command)
            writes = kind in WRITES and since < began < until
            reads = kind in READS and since + EFFECTIVE < began < until
            require(not writes, "who was kicked writes nothing", victim, kick.command, each.command)
            require(not reads, "who was kicked reads nothing", victim, kick.command, each.command)
        person = self._world.people[victim]
        if isinstance(person, RoamingPerson):
            self._check_told(group, person, since, until)

    def _returns(self, request: TrackedRequest, victim: str) -> bool:
        command = request.command
        if isinstance(command, ask.InviteMembers):
            return victim in [each.name for each in command.users]
        if isinstance(command, ask.LiftBan):
            return bool(command.user.name == victim)
        return isinstance(command, RETURNS) and request.name == victim

    def _check_told(
        self, group: StagedGroup, person: RoamingPerson, since: float, until: float
    ) -> None:
        query = sa.select(groups.c.conversation_id).where(groups.c.key == group.name)
        ident = self._world.home(group.home).realm.database.now(lambda db: db.scalar(query))
        for at, event in person.heard:
            told = isinstance(event, Message) and event.conversation == ident
            late = since + EFFECTIVE < at < until
            require(not (told and late), "who was kicked hears nothing", person.name, at, event)

    def _of_group(self, group: StagedGroup) -> list[TrackedRequest]:
        """Requests about a group."""
        return [each for each in self._world.requests if _group_of(each.command) == group.name]


def _group_of(command: Any) -> str | None:
    """The name of the group that a command is about."""
    group = getattr(command, "group", None)
    if group is None:
        place = getattr(command, "place", None)
        group = getattr(place, "group", None)
    return getattr(group, "name", group)


def _author(entry: Any) -> str:
    return str(entry.sender if isinstance(entry, Message) else getattr(entry, "by", ""))
