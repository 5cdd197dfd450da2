"""Groups that are rescued at random: their home dies under load and cuts, realms are killed and parted,
several of them found the group again, and the home comes back. At the end, all realms have one history.

`python -m tests.unit.federation.test_rescues_random --seeds 1-100` runs more.
"""

from __future__ import annotations

import argparse
import unittest
from random import Random

from chatd.base.errors import ChatError
from chatd.base.names import parse_address
from chatd.commands import values as ask
from chatd.simulate.servers import Server
from tests.support.seeds import run_seeds
from tests.unit.federation.test_rescues import NAMES, SOON, RescueTestCase

STEPS = 10
SEEDS = (3, 8)


class RandomRescue(RescueTestCase):
    """One run with one seed."""

    realms = 4

    def play(self, seed: int) -> None:
        random = Random(seed)  # noqa: S311
        self.number = 0
        self.written: set[str] = set()
        for _ in range(STEPS):
            self.act(random)
        self.home.kill() if self.home.is_open else None
        self.act(random)
        self.away()
        for name in random.sample(("budi", "citra"), random.choice((1, 1, 2))):
            if random.random() < 0.5:
                self.split(random, [each for each in self.servers if each is not self.home])
            self.try_to_rescue(name)
            for _ in range(random.randint(0, 4)):
                self.act(random)
        self.partition()
        self.wait()
        if random.random() < 0.3:
            self.away()
        self.home.open()
        self.partition()
        self.wait()
        self.check()

    # What happens

    def act(self, random: Random) -> None:
        running = [each for each in self.servers if each.is_open]
        match random.choice(("write", "write", "write", "kill", "cut", "part", "meet", "wait")):
            case "write":
                self.write(random)
            case "kill":
                for _ in range(random.randint(0, 40)):
                    self.network.step()
                random.choice(running).restart()
            case "cut":
                for _ in range(random.randint(0, 40)):
                    self.network.step()
                self.network.cut()
            case "part":
                self.split(random, running)
            case "meet":
                self.partition()
            case _:
                self.network.advance(random.choice((0.5, 5, SOON)))

    def write(self, random: Random) -> None:
        for name, server in zip(NAMES, self.servers, strict=True):
            if server.is_open and random.random() < 0.6:
                self.number += 1
                text = f"m{self.number}"
                where = parse_address("bagan" if name == "ana" else "bagan@realm1")
                sent = self.people[name].begins(ask.SendGroupMessage(where, text))
                sent.addCallbacks(lambda _, each=f"{name}: {text}": self.written.add(each), _no)
        if random.random() < 0.5:
            self.network.settle()

    def split(self, random: Random, servers: list[Server]) -> None:
        sides = random.sample(servers, len(servers))
        place = random.randint(1, max(1, len(sides) - 1))
        self.partition(sides[:place], sides[place:])

    def try_to_rescue(self, name: str) -> None:
        done = self.people[name].begins(ask.RescueGroup(parse_address("bagan@realm1")))
        done.addErrback(_only_refused)
        self.network.advance(5)

    def wait(self) -> None:
        self.network.advance(700)
        self.network.advance(3 * SOON)

    # What has to be true

    def check(self) -> None:
        addresses = {}
        for name, server in zip(NAMES, self.servers, strict=True):
            [group] = self.people[name].mine()
            addresses[name] = group if "@" in group else f"{group}@{server.name}"
        self.assertEqual(len(set(addresses.values())), 1, addresses)
        for name in NAMES:
            self.posts(name, f"{name} at the end", "bagan" if name == "ana" else "bagan@realm1")
        self.network.advance(2 * SOON)
        log = self.same(*NAMES)
        lost = self.written - set(log)
        self.assertFalse(lost, "acknowledged messages are lost")
        self.assertEqual(sum("at the end" in each for each in log), len(NAMES))
        self.nothing_waits()


def _no(_failure: object) -> None:
    """A request that was refused, or whose realm was killed."""


def _only_refused(failure: object) -> None:
    failure.trap(ChatError)  # type: ignore[attr-defined]


class RandomRescueTestCase(RandomRescue):
    def test_some_seeds(self) -> None:
        self.play(SEEDS[0])

    def test_others(self) -> None:
        self.play(SEEDS[1])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", default="1-20")
    first, _, last = parser.parse_args().seeds.partition("-")
    run_seeds(run_one, range(int(first), int(last or first) + 1))


def run_one(seed: int) -> None:
    """Raises AssertionError if the run with that seed fails."""
    case = type("Run", (RandomRescue,), {"runTest": lambda self: self.play(seed)})()
    result = unittest.TestResult()
    case.run(result)
    for _, text in (*result.failures, *result.errors):
        raise AssertionError(text)


if __name__ == "__main__":
    main()
