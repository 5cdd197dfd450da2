"""`python -m tests.nodes`"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure

import tests.nodes
from tests.nodes.report import Report
from tests.nodes.run import Run

net: Any = reactor


def run(seed: int, faults: int, bus: str, keep: bool) -> Report:
    """Make one run, and remove its folder if nothing was wrong."""
    folder = Path(tempfile.mkdtemp(prefix="chatd-nodes-")).resolve()
    report = Run(folder, seed, bus=bus).run(faults)
    sys.stdout.write(f"{report}\n")
    if report.problems or keep:
        sys.stdout.write(f"the history and the logs are in {folder}\n")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return report


def main() -> int:
    options = argparse.ArgumentParser(
        prog="python -m tests.nodes",
        description=tests.nodes.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("--seed", type=int, default=random.randrange(1 << 32))  # noqa: S311
    options.add_argument("--faults", type=int, default=50)
    options.add_argument("--bus", choices=("redis", "postgres"), default="redis")
    options.add_argument("--keep", action="store_true", help="keep the folder in any case")
    chosen = options.parse_args()
    outcome: list[Report | Failure] = []

    def begin() -> None:
        done = deferToThread(run, chosen.seed, chosen.faults, chosen.bus, chosen.keep)
        done.addBoth(outcome.append)
        done.addBoth(lambda _: net.stop())

    net.callWhenRunning(begin)
    net.run()
    [found] = outcome
    if isinstance(found, Failure):
        found.printTraceback()
        return 2
    return 1 if found.problems else 0


if __name__ == "__main__":
    sys.exit(main())
