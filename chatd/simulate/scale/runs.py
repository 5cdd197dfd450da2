"""Runs one scale simulation."""

from __future__ import annotations

import time
from pathlib import Path

from chatd.app import memory
from chatd.simulate.scale.report import Costs, Report, Row
from chatd.simulate.scale.scenario import Scenario
from chatd.simulate.scale.settings import ScaleSettings
from chatd.simulate.scale.world import ScaleWorld


def play(settings: ScaleSettings, folder: Path) -> Report:
    """Run a simulation with its states in `folder`. The caller closes the world of the report."""
    world = ScaleWorld(settings, folder)
    world.build()
    scenario = Scenario(world)
    scenario.begin()
    scenario.run()
    return Report(world, scenario)


def measure(settings: ScaleSettings, folder: Path) -> tuple[list[Row], bool]:
    """As `play`. Returns the table, and whether all promises were kept."""
    began = time.monotonic()
    world = ScaleWorld(settings, folder)
    world.build()
    built = Costs.now()
    scenario = Scenario(world)
    scenario.begin()
    memory.settle()
    started = Costs.now()
    scenario.run()
    report = Report(world, scenario)
    rows = report.rows(built, started, Costs.now())
    kept = report.outcome().is_clean
    world.close()
    return [*rows, ("real time, s", f"{time.monotonic() - began:.0f}")], kept
