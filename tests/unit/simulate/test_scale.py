"""Many realms on virtual time: a small instance of what `python -m chatd.simulate.scale` measures."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from chatd.simulate.scale import hostile, scenario
from chatd.simulate.scale.report import Report, ScaleOutcome
from chatd.simulate.scale.runs import play
from chatd.simulate.scale.settings import ScaleSettings

SMALL = ScaleSettings(
    realms=12, users=10, hours=0.1, messages=200.0, dead=0.1, restarting=5.0, hostile=False
)


class ScaleTestCase(SynchronousTestCase):
    def play(self, settings: ScaleSettings) -> Report:
        folder = Path(self.mktemp())
        folder.mkdir()
        report = play(settings, folder)
        self.addCleanup(report.world.close)
        return report

    def test_small(self) -> None:
        """Each message is delivered once, links are closed when they are idle, and dials are few."""
        report = self.play(SMALL)
        measures = report.world.measures
        self.assertEqual(report.outcome(), ScaleOutcome(0, 0, 0))
        self.assertGreater(len(measures.letters), 20)
        self.assertGreater(report.scenario.restarts + len(report.scenario.restarted), 2)
        self.assertGreater(max(each.links for each in measures.samples), 10)
        self.assertEqual(measures.samples[-1].links, 0)
        # A link is dialled for a message, to know that both sides can, and after it was lost.
        self.assertLess(sum(measures.dials.values()), 3 * len(measures.letters))
        self.assertLess(max(measures.dials_to.values()), 5)
        # With pauses that double up to five minutes, a realm dials another less than this often.
        seconds = SMALL.seconds + scenario.DRAIN
        self.assertLess(measures.dead_dials, SMALL.realms * (9 + seconds / 150))

    def test_same_again(self) -> None:
        """A seed means the same run."""
        self.patch(scenario, "DRAIN", 10.0)
        settings = ScaleSettings(
            realms=4, users=5, hours=0.02, messages=600.0, dead=0.25, hostile=False
        )
        found = [self.play(settings).world.measures for _ in range(2)]
        for one, two in zip(*(each.letters.items() for each in found), strict=True):
            self.assertEqual(one, two)
        self.assertEqual(found[0].samples, found[1].samples)

    def test_hostile(self) -> None:
        """A realm that floods others and acknowledges nothing does not keep them from each other."""
        self.patch(scenario, "DRAIN", 60.0)
        self.patch(hostile, "FLOOD_TIME", 5.0)
        settings = ScaleSettings(
            realms=5, users=10, hours=0.02, messages=600.0, dead=0.0, at_once=0.0
        )
        report = self.play(settings)
        self.assertEqual(report.outcome(), ScaleOutcome(0, 0, 0))
        self.assertGreater(len(report.world.measures.letters), 3)
