"""What people do with groups: who is in them, what they may, and who finds them."""

from __future__ import annotations

from chatd.commands import values as ask
from chatd.simulate.world import StagedGroup, World

SETTINGS = (
    ("visibility", "public"),
    ("visibility", "private"),
    ("past", "all"),
    ("past", "joined"),
    ("post", "anyone"),
    ("post", "members"),
    ("topic", "Rapat"),
)
VERBS = (
    *("join", "join", "leave", "invite", "invite", "accept", "accept", "decline", "kick", "unban"),
    *("promote", "demote", "transfer", "configure", "renew"),
)


class Gatherings:
    """Each call lets somebody do one thing with the group that is not steady. `share` is how much of what
    people do that is."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._random = world.random
        self._groups = [each for each in world.groups.values() if not each.steady]
        self.share = self._random.choice((0.1, 0.4)) if self._groups else 0.0

    def act(self) -> None:
        group, verb = self._random.choice(self._groups), self._random.choice(VERBS)
        name, other = self._random.sample(list(self._world.people), 2)
        if verb not in ("join", "accept", "decline", "leave") and self._random.random() < 0.7:
            name, other = group.creator, (other if other != group.creator else name)
        if self._world.is_open(name):
            self._world.asks(name, self._command(verb, group, name, other))

    def _command(self, verb: str, group: StagedGroup, name: str, other: str) -> ask.Command:
        where, whom = self._world.address(f"#{group.name}", name), self._world.address(other, name)
        match verb:
            case "join":
                return ask.JoinGroup(where)
            case "accept":
                return ask.AcceptInvitation(where)
            case "decline":
                return ask.DeclineInvitation(where)
            case "leave":
                return ask.LeaveGroup(where)
            case "invite":
                return ask.InviteMembers(where, (whom,))
            case "kick":
                return ask.KickMember(where, whom)
            case "unban":
                return ask.LiftBan(where, whom)
            case "promote":
                return ask.PromoteMember(where, whom)
            case "demote":
                return ask.DemoteAdmin(where, whom)
            case "transfer":
                return ask.TransferGroup(where, whom)
            case "configure":
                return ask.SetGroup(where, *self._random.choice(SETTINGS))
        return ask.RenewCode(where)
