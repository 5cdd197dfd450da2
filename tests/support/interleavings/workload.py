"""What the nodes do, by seed: people send, edit, kick and join through any of them."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import msgspec
from sqlalchemy import Connection
from twisted.python.failure import Failure

from chatd.base.entries import Deletion, Edit, React
from chatd.base.errors import ChatError, StorageFailed
from chatd.base.model import Account, Sent
from chatd.base.names import Address, Place, parse_address
from chatd.cluster.membership import _beat as beat
from chatd.store.leases import LeaseLost, check_lease, tend_leases
from chatd.store.settings import get_setting, put_setting
from tests.support.interleavings.nodes import SteppedNode, WaitingForever

HERE, CROSSING = "bagan", "ruang"  # groups: all members of the first one are here
GUEST = "emma@realm2"  # a member of the second one
PEOPLE = ("ana", "budi", "citra", "dewi")
FRIENDS = PEOPLE[:3]  # they have conversations with each other
OWNER = PEOPLE[0]  # the admin of both groups, who is never kicked
KEYS = 4  # of each sender
MOST = 4  # messages in one transaction
LEASE = "lease"
FENCED, BROKEN = "interleavings: epoch", "interleavings: broken"


class Attempt(msgspec.Struct):
    """A message that was sent. `outcome` is the receipt, or the error. `in_doubt`: the client
    does not know whether it is stored, because the node was killed."""

    node: str
    sender: str
    to: str
    text: str
    key: str | None
    outcome: Any = None
    in_doubt: bool = False

    @property
    def receipt(self) -> Any:
        """The receipt, or None."""
        return self.outcome.receipts[0] if isinstance(self.outcome, Sent) else None


class Workload:
    """The actions of one node's thread. Texts have its `name`. `problems` gets what must not happen."""

    def __init__(
        self,
        name: str,
        node: SteppedNode,
        people: dict[str, Account],
        random: Random,
        attempts: list[Attempt],
        problems: list[str],
    ) -> None:
        self._node = node
        self._name = name
        self._people = people
        self._random = random
        self._attempts = attempts
        self._problems = problems
        self._sent = 0
        self._epoch = 0  # of the lease, as this node knows it
        self._losses = random.choice((0.0, 0.2))
        self._deafness = random.choice((0.1, 0.95))

    def run(self, actions: int) -> None:
        choices: list[tuple[int, Callable[[], None]]] = [
            (6, self.send),
            (2, self.change),
            (3, self.kick),
            (2, self.join),
            (1, self.leave),
            (2, self.tend),
            (1, self.beat),
            (1, self.read),
        ]
        weights = [weight for weight, _ in choices]
        for _ in range(actions):
            if self._node.gate.dead:
                return
            [(_, action)] = self._random.choices(choices, weights)
            action()
            if not self._node.gate.dead and self._random.random() >= self._deafness:
                self._node.hear(self._random.random() < self._losses)

    def send(self) -> None:
        """Send some messages in one transaction."""
        plain = self._random.random() < 0.6  # nodes store such messages beside each other
        attempts = [self._attempt(plain) for _ in range(self._random.randint(1, MOST))]
        # What a sender sends twice at once is no concern of the nodes.
        named = {(each.sender, each.to, each.key or each.text): each for each in attempts}
        attempts = list(named.values())
        self._attempts += attempts
        outcomes = self._perform([self._call_of(each) for each in attempts])
        for attempt, outcome in zip(attempts, outcomes, strict=True):
            attempt.outcome = outcome
            attempt.in_doubt = self._node.gate.dead and not isinstance(outcome, Sent)

    def send_to(self, sender: str, to: str) -> Attempt:
        """Send one message, and return the attempt with its outcome."""
        attempt = self._new(sender, to, None)
        self._attempts.append(attempt)
        [attempt.outcome] = self._perform([self._call_of(attempt)])
        return attempt

    def warm_up(self, all_pairs: bool = False) -> None:
        """Let this node know the groups, and conversations of friends."""
        pairs = [
            (who, to)
            for index, who in enumerate(FRIENDS)
            for to in (HERE, *(FRIENDS if all_pairs else (FRIENDS[index - 1],)))
            if to != who
        ]
        attempts = [self._new(who, to, None) for who, to in pairs]
        self._attempts += attempts
        for attempt, outcome in zip(
            attempts, self._perform([self._call_of(each) for each in attempts]), strict=True
        ):
            attempt.outcome = outcome

    def settle(self) -> None:
        """Use connections that were cut once more, and send all messages in doubt that have keys again, as
        their clients do."""
        for _ in range(2):
            self.read()
            self.beat()
            self._join_again()
        again = [each for each in self._attempts if each.in_doubt and each.key is not None]
        for attempt in again:
            repeated = Attempt(self._node.name, *_identity(attempt))
            [repeated.outcome] = self._perform([self._call_of(repeated)])
            self._attempts.append(repeated)

    def change(self) -> None:
        """Edit or delete a message, or react to it."""
        known = [each for each in self._attempts if each.receipt is not None and "@" not in each.to]
        if not known:
            return
        attempt = self._random.choice(known)
        who, change = self._random.choice(
            (
                (attempt.sender, Edit(f"{attempt.text} edited")),
                (attempt.sender, Deletion()),
                (self._random.choice(PEOPLE), React("👍", self._random.random() < 0.7)),
            )
        )
        place, seq = _place(attempt.to), attempt.receipt.seq
        if attempt.to not in (HERE, CROSSING) and who != attempt.sender:
            who = attempt.sender
        changes = self._node.service.changes
        self._perform([lambda: changes.change(self._people[who], place, seq, change, None)])

    def kick(self) -> None:
        group, who = self._group(), self._random.choice(PEOPLE[1:])
        self._perform([lambda: self._groups.kick(self._owner, group, Address(who))])

    def join(self) -> None:
        """Somebody joins again, or is invited."""
        group, who = self._group(), self._random.choice(PEOPLE[1:])
        if self._random.random() < 0.5:
            self._perform([lambda: self._groups.invite(self._owner, group, [Address(who)])])
        else:
            self._perform([lambda: self._groups.join(self._people[who], group)])

    def leave(self) -> None:
        group, who = self._group(), self._people[self._random.choice(PEOPLE[1:])]
        self._perform([lambda: self._groups.leave(who, group)])

    def tend(self) -> None:
        """Renew the lease or take it, and change something under it, also if it was lost meanwhile."""
        node, database = self._node, self._node.database
        if self._random.random() < 0.6:
            [report] = self._perform([lambda: database.run_apart(tend_leases, node.id, [LEASE], 0)])
            if not isinstance(report, Failure):
                self._epoch = report.held.get(LEASE, self._epoch)
        if self._epoch:
            self._perform([lambda: database.run(change_under_lease, self._epoch)])

    def beat(self) -> None:
        node = self._node
        self._perform([lambda: node.database.run_apart(beat, node.id, False, 0)])

    def read(self) -> None:
        who = self._people[self._random.choice(PEOPLE)]
        reading = self._node.service.reading
        self._perform([lambda: reading.history(who, Place(group=self._group()), 50)])

    @property
    def _groups(self) -> Any:
        return self._node.service.groups

    @property
    def _owner(self) -> Account:
        return self._people[OWNER]

    def _group(self) -> Address:
        return Address(self._random.choice((HERE, CROSSING)))

    def _attempt(self, plain: bool) -> Attempt:
        sender = self._random.choice(FRIENDS if plain else PEOPLE)
        others = [each for each in (FRIENDS if plain else PEOPLE) if each != sender]
        to = self._random.choice((HERE, HERE, *others, *(() if plain else (CROSSING, GUEST))))
        key = f"key{self._random.randrange(KEYS)}" if self._random.random() < 0.5 else None
        return self._new(sender, to, key)

    def _new(self, sender: str, to: str, key: str | None) -> Attempt:
        self._sent += 1
        text = f"{sender} to {to} {key or f'{self._name} {self._sent}'}"
        return Attempt(self._node.name, sender, to, text, key)

    def _call_of(self, attempt: Attempt) -> Callable[[], Any]:
        messages, account = self._node.service.messages, self._people[attempt.sender]
        text, key, to = attempt.text, attempt.key, parse_address(attempt.to)
        if attempt.to in (HERE, CROSSING):
            return lambda: messages.post(account, to, text, None, key, False)
        return lambda: messages.send(account, [to], text, None, key, False)

    def _perform(self, calls: list[Callable[[], Any]]) -> list[Any]:
        outcomes = self._node.outcomes(calls)
        refused = False
        for outcome in outcomes:
            failed = outcome.value if isinstance(outcome, Failure) else outcome
            if isinstance(failed, StorageFailed):
                refused = True
            elif isinstance(failed, WaitingForever) and self._node.gate.dead:
                pass  # its client gets no answer
            elif isinstance(failed, BaseException) and not isinstance(
                failed, ChatError | LeaseLost
            ):
                self._problems.append(f"{self._node.name}: {failed!r} {outcome}")
        if refused and not self._node.gate.dead:
            self._join_again()
        return outcomes

    def _join_again(self) -> None:
        """A node that could not store something looks whether it is still in the cluster."""
        try:
            self._node.rejoin()
        except Exception as error:
            # The connection was cut: it looks again the next time.
            self._node.gate.stop(f"-- not joined: {type(error).__name__}")


def change_under_lease(connection: Connection, epoch: int) -> None:
    """A job that must not follow one of a later epoch. Raises LeaseLost."""
    check_lease(connection, LEASE, epoch)
    if int(get_setting(connection, FENCED) or 0) > epoch:
        put_setting(connection, BROKEN, str(epoch))
    put_setting(connection, FENCED, str(epoch))


def _identity(attempt: Attempt) -> tuple[str, str, str, str | None]:
    return attempt.sender, attempt.to, attempt.text, attempt.key


def _place(to: str) -> Place:
    address = parse_address(to)
    return Place(group=address) if to in (HERE, CROSSING) else Place(user=address)
