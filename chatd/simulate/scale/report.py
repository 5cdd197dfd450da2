"""The figures of a run of the scale simulation."""

from __future__ import annotations

import resource
import time
from pathlib import Path

import msgspec

from chatd.simulate.scale.hostile import FLOOD_TIME
from chatd.simulate.scale.measures import Letter, percentile
from chatd.simulate.scale.population import name_of
from chatd.simulate.scale.scenario import HOSTILE, Scenario
from chatd.simulate.scale.world import ScaleWorld, received, waiting
from chatd.simulate.servers import START


def memory() -> float:
    """The memory of this process in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / (1 << 20)


class Costs(msgspec.Struct):
    """What a run cost: CPU seconds and MiB, before and after parts of it."""

    cpu: float = 0.0
    memory: float = 0.0

    @staticmethod
    def now() -> Costs:
        return Costs(time.process_time(), memory())


class ScaleOutcome(msgspec.Struct, frozen=True):
    """Promises of a run: messages of realms that run, which were acknowledged to their senders and are not
    there, messages that are there more than once, and parcels that wait for realms that run."""

    lost: int
    doubled: int
    stuck: int

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.doubled or self.stuck)


Row = tuple[str, str]


class Report:
    """Reads the figures of a world after its scenario."""

    def __init__(self, world: ScaleWorld, scenario: Scenario) -> None:
        self.world = world
        self.scenario = scenario
        self._measures = world.measures
        self._avoided = set(world.dead)
        if world.settings.hostile:
            self._avoided.add(HOSTILE)

    def _honest(self) -> list[Letter]:
        """The messages between realms that keep to the protocol and run."""
        letters = self._measures.letters.values()
        returning = self.scenario.returning
        late = None if returning is None else returning.number
        return [
            each
            for each in letters
            if each.target not in self._avoided
            and each.target != late
            and each.source not in self._avoided
        ]

    def outcome(self) -> ScaleOutcome:
        world = self.world
        stored: dict[int, int] = {}
        stuck = 0
        avoided = {name_of(each) for each in self._avoided}
        for site in world.running():
            for number in received(site):
                stored[number] = stored.get(number, 0) + 1
            if site.number not in self._avoided:
                stuck += sum(n for realm, n in waiting(site).items() if realm not in avoided)
        lost = sum(
            number not in stored
            for number, letter in self._measures.letters.items()
            if letter.accepted is not None and letter.target not in self._avoided
        )
        return ScaleOutcome(lost, sum(each > 1 for each in stored.values()), stuck)

    def rows(self, built: Costs, started: Costs, ended: Costs) -> list[Row]:
        """The rows of the table."""
        measures = self._measures
        letters = self._honest()
        times = measures.times(letters)
        sent = f"{measures.locals:,}, {len(measures.letters):,}"
        outcome = self.outcome()
        return [
            ("messages within realms, to others", sent),
            ("known realms of one, mean", f"{self._known():.0f}"),
            *self._links(),
            *self._dials(),
            (
                "delivery p50, p99, s",
                f"{percentile(times, 0.5):.2f}, {percentile(times, 0.99):.2f}",
            ),
            *self._outboxes(),
            *self._recovery(),
            *self._hostile(letters),
            *self._costs(built, started, ended),
            ("lost, doubled, stuck", f"{outcome.lost}, {outcome.doubled}, {outcome.stuck}"),
        ]

    def _costs(self, built: Costs, started: Costs, ended: Costs) -> list[Row]:
        letters = self._measures.letters.values()
        remote = sum(each.delivered is not None for each in letters)
        cpu = 1000 * (ended.cpu - started.cpu)
        realms = len(self.world.running())
        memory = [(each.memory - built.memory) / realms for each in (started, ended)]
        seconds = self.world.time.now - self.scenario.messages_from
        return [
            ("CPU ms per message to another realm, with all else", f"{cpu / max(remote, 1):.1f}"),
            ("CPU ms of a realm in a second", f"{cpu / realms / seconds:.3f}"),
            (
                "memory of a realm after the start, in the end, MiB",
                "{:.2f}, {:.2f}".format(*memory),
            ),
        ]

    def _dials(self) -> list[Row]:
        measures, scenario = self._measures, self.scenario
        seconds = scenario.messages_until - scenario.messages_from
        first, last = int(scenario.messages_from), int(scenario.messages_until)
        during = [measures.dials[second] for second in range(first, last)]
        start = sum(measures.dials[second] for second in measures.dials if second < first)
        to_one = max(measures.dials_to.values(), default=0)
        return [
            ("dials in the minute of the start", f"{start:,}"),
            ("dials in a second: mean, peak", f"{sum(during) / seconds:.2f}, {max(during)}"),
            ("most dials to one realm in a second", f"{to_one}"),
            ("dials to realms that do not run", f"{measures.dead_dials:,}"),
        ]

    def _known(self) -> float:
        sizes = [
            len(site.realm.directory.peers.by_key) for site in self.world.running() if site.realm
        ]
        return sum(sizes) / len(sizes)

    def _links(self) -> list[Row]:
        samples = self._measures.samples
        until = self.scenario.messages_until - START
        links = [each.links for each in samples if each.at <= until]
        every = max(1, len(samples) // 10)
        course = " ".join(str(each.links) for each in samples[::every])
        return [
            (
                "links open: mean, most, in the end",
                f"{sum(links) / max(len(links), 1):,.0f}, {max(links, default=0):,}, {samples[-1].links:,}",
            ),
            ("links open over time", course),
        ]

    def _outboxes(self) -> list[Row]:
        samples = self._measures.samples
        realms = len(self.world.running())
        mean = sum(each.parcels - each.dead for each in samples) / len(samples) / realms
        return [
            (
                "outbox of a realm: mean without dead, deepest",
                f"{mean:.2f}, {max(each.deepest for each in samples)}",
            ),
            ("parcels for dead realms, in the end", f"{samples[-1].dead:,}"),
        ]

    def _recovery(self) -> list[Row]:
        scenario, measures = self.scenario, self._measures
        restarted = {each.number for each in scenario.restarted}
        touched = [each for each in self._honest() if {each.source, each.target} & restarted]
        rows = [
            (
                f"recovery after {len(restarted)} realms restart at once, s",
                f"{measures.recovery(scenario.restarted_at, touched):.1f}",
            ),
            (
                "dials in the minute after that: most in a second",
                f"{self._rush(scenario.restarted_at)}",
            ),
        ]
        if scenario.returning is not None and scenario.returned_at:
            number = scenario.returning.number
            to = [each for each in measures.letters.values() if each.target == number]
            waited = sum(each.sent < scenario.returned_at for each in to)
            rows.append(
                (
                    f"recovery after a dead realm returns, with {waited} messages for it, s",
                    f"{measures.recovery(scenario.returned_at, to):.1f}",
                ),
            )
        return rows

    def _rush(self, since: float) -> int:
        dials = self._measures.dials
        return max((dials[second] for second in range(int(since), int(since) + 60)), default=0)

    def _hostile(self, letters: list[Letter]) -> list[Row]:
        attack = self.scenario.attack
        if attack is None or not attack.victims:
            return []
        victims = {each.number for each in attack.victims}
        during = [each for each in letters if 0 <= each.sent - attack.began < FLOOD_TIME]
        hit = self._measures.times(each for each in during if each.target in victims)
        others = self._measures.times(each for each in during if each.target not in victims)
        busy = [each.busy for each in attack.victims]
        running = [each for each in self.world.running() if each.number not in victims]
        rest = [each.busy for each in running if each.number != HOSTILE]
        return [
            (
                "delivery p99 during the attack: to victims, to others, s",
                f"{percentile(hit, 0.99):.2f}, {percentile(others, 0.99):.2f}",
            ),
            (
                "CPU s of a victim, of another realm",
                f"{sum(busy) / len(busy):.2f}, {sum(rest) / max(len(rest), 1):.2f}",
            ),
            (
                "realms that victims know",
                f"{max(len(v.realm.directory.peers.by_key) for v in attack.victims if v.realm):,}",
            ),
        ]
