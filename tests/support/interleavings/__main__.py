"""Runs many seeds, and prints their results."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from tests.support.interleavings import __doc__ as about
from tests.support.interleavings.runs import run_seed
from tests.support.postgres import MISSING, server

COUNTED = ("steps", "waits", "beside", "sent", "stored", "in_doubt", "faults", "deadlocks")


def main() -> int:
    options = argparse.ArgumentParser(
        prog="python -m tests.support.interleavings", description=about
    )
    options.add_argument("--seeds", default="1-200", help="a number, or the first and the last one")
    options.add_argument("--trace", action="store_true", help="print each step")
    chosen = options.parse_args()
    if server() is None:
        sys.stdout.write(f"{MISSING}\n")
        return 0
    first, _, last = chosen.seeds.partition("-")
    began, totals, failed = time.monotonic(), Counter[str](), 0
    for seed in range(int(first), int(last or first) + 1):
        run = run_seed(seed)
        totals.update({name: getattr(run, name) for name in COUNTED})
        if chosen.trace:
            sys.stdout.write("".join(f"{line}\n" for line in run.trace))
        if run.problems:
            failed += 1
            sys.stdout.write(f"seed {seed}:\n" + "".join(f"  {each}\n" for each in run.problems))
            sys.stdout.flush()
    counts = ", ".join(f"{totals[name]:,} {name.replace('_', ' ')}" for name in COUNTED)
    sys.stdout.write(f"{failed} seeds failed; {counts}; {time.monotonic() - began:.0f} s\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
