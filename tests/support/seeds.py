"""Runs a test with many seeds from the command line."""

from __future__ import annotations

import sys
import tempfile
import traceback
from collections.abc import Callable, Iterable
from contextlib import chdir


def run_seeds(play: Callable[[int], object], seeds: Iterable[int]) -> None:
    """Call `play` with each seed, and write the failures to stdout. The working directory is a temporary one
    meanwhile, because tests make their folders there. Raises SystemExit with the status 1 if a seed has
    failed."""
    failed: list[int] = []
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        for seed in seeds:
            try:
                play(seed)
            except Exception:
                failed.append(seed)
                sys.stdout.write(f"seed {seed}\n{traceback.format_exc()}\n")
                sys.stdout.flush()
    shown = f": {', '.join(map(str, failed))}" if failed else ""
    sys.stdout.write(f"{len(failed)} failed{shown}\n")
    if failed:
        raise SystemExit(1)
