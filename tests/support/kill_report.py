"""The base of what a series of kills reports."""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path


class Report:
    """Base of the reports: counts, as the fields of a dataclass, and the problems that were found."""

    kills: int
    problems: list[str]

    def problem(self, sentence: str) -> None:
        self.problems.append(f"kill {self.kills}: {sentence}")

    def __str__(self) -> str:
        figures = {key: value for key, value in vars(self).items() if key != "problems"}
        lines = [f"{key.replace('_', ' '):>14} {value:>9,}" for key, value in figures.items()]
        return "\n".join([*lines, *self.problems])


def run_program(
    program: str, about: str | None, kill: Callable[[Path, int, int], Report], kills: int
) -> int:
    """Run `kill` as a program with the options --kills and --seed. Returns its exit code."""
    options = argparse.ArgumentParser(
        prog=f"python -m {program}",
        description=about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("--kills", type=int, default=kills)
    options.add_argument("--seed", type=int, default=random.randrange(1 << 32))  # noqa: S311
    chosen = options.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="chatd-kills-")).resolve()
    began = time.monotonic()
    try:
        report = kill(folder, chosen.kills, chosen.seed)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.write(f"{report}\nseed {chosen.seed}, {time.monotonic() - began:.0f} s\n")
    return 1 if report.problems else 0
