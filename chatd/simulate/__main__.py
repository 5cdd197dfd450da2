"""`python -m chatd.simulate`: simulates realms, and says which promises were broken with which seed."""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial

from chatd.app import memory
from chatd.simulate.faults import BREAKDOWNS, KINDS
from chatd.simulate.node_faults import NODE_BREAKDOWNS
from chatd.simulate.runs import Result, SimulationOptions, can_lose_power, simulate

ALL_KINDS = (*KINDS, *NODE_BREAKDOWNS)  # the last ones need several nodes


def main() -> int:
    """Run what the command line asks for. Returns the status: 1 if a promise was broken."""
    if sys.flags.hash_randomization:
        # The order of sets depends on the hashes of strings, and a seed means the same run for ever.
        arguments = [sys.executable, "-m", "chatd.simulate", *sys.argv[1:]]
        os.execve(sys.executable, arguments, {**os.environ, "PYTHONHASHSEED": "0"})  # noqa: S606
    arguments_given = _parser().parse_args()
    options = SimulationOptions(
        _faults(arguments_given.faults),
        arguments_given.realms,
        arguments_given.synchronous,
        True if arguments_given.moves else None,
        True if arguments_given.strangers else None,
        arguments_given.nodes,
    )
    if arguments_given.seed is not None:
        write = sys.stdout.write if arguments_given.trace else None
        return _report([simulate(arguments_given.seed, options, write)], verbose=True)
    return _report(_run_all(arguments_given.seeds, options, arguments_given.jobs))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m chatd.simulate", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--seed", type=int, help="run this seed; it is the same each time")
    what.add_argument("--seeds", type=_range, metavar="A-B", help="run the seeds from A to B")
    parser.add_argument("--trace", action="store_true", help="write what happens, with --seed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes, with --seeds")
    parser.add_argument("--realms", type=int, choices=range(2, 6), help="how many; else by chance")
    parser.add_argument(
        "--nodes",
        type=int,
        choices=range(1, 5),
        default=1,
        help="of the first realm; others have up to that",
    )
    parser.add_argument("--moves", action="store_true", help="let groups move; else by chance")
    parser.add_argument(
        "--strangers", action="store_true", help="let people be strangers to others; else by chance"
    )
    parser.add_argument(
        "--synchronous",
        default="FULL",
        choices=("FULL", "NORMAL", "OFF"),
        help="when SQLite syncs; with less than FULL, the power loses what was acknowledged",
    )
    parser.add_argument(
        "--faults",
        default="some",
        help=f"some (chosen by chance), all (but hostile), none, or a list of: {', '.join(ALL_KINDS)}",
    )
    return parser


def _range(text: str) -> range:
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def _faults(text: str) -> tuple[str, ...] | None:
    match text:
        case "some":
            return None
        case "all":
            return (*BREAKDOWNS, *NODE_BREAKDOWNS)
        case "none":
            return ()
    chosen = tuple(text.split(","))
    if unknown := [each for each in chosen if each not in ALL_KINDS]:
        raise SystemExit(f"{', '.join(unknown)}: no such faults; there are {', '.join(ALL_KINDS)}")
    return chosen


def _run_all(seeds: Iterable[int], options: SimulationOptions, jobs: int) -> Iterator[Result]:
    simulate(0, options)  # what all of them need is loaded once
    memory.settle()
    context = multiprocessing.get_context("fork")
    with context.Pool(jobs, maxtasksperchild=100) as pool:
        yield from pool.imap_unordered(partial(simulate, options=options), seeds)


def _report(results: Iterable[Result], *, verbose: bool = False) -> int:
    """Write each failure as it comes, and a summary in the end, also if the run is interrupted."""
    began, runs, failed = time.monotonic(), 0, 0
    counts: Counter[str] = Counter()
    with contextlib.suppress(KeyboardInterrupt):
        for result in results:
            runs += 1
            counts.update(result.counts)
            if result.violation is not None:
                failed += 1
                _say(f"seed {result.seed}: {result.violation}")
                if verbose:
                    _say(result.details)
            if verbose:
                _say(f"seed {result.seed}: digest {result.digest} of {result.lines} lines")
    _say(", ".join(f"{what} {count}" for what, count in sorted(counts.items())))
    _say(f"{runs} runs, {failed} failed, {time.monotonic() - began:.0f} s")
    if not can_lose_power():
        _say("Python's SQLite is not a shared library: power failures and I/O errors were left out")
    return 1 if failed else 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
