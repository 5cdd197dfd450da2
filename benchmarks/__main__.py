"""``python -m benchmarks``: compares chatd with the bare relay, scenario by scenario, in one table.

Each run has a fresh server on one CPU and a fresh generator on another. The two servers of a scenario
take turns (bare, chatd, bare, chatd …), and the medians are compared, because only figures from the
same minutes are comparable on a machine whose speed drifts. In `big`, chatd takes turns with itself,
on an empty state and on a large one.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks import bigdb, logins
from benchmarks.cases import Case, cases
from benchmarks.engine import Report, raise_file_limit
from benchmarks.results import heading, median, of_case, row, shown, table, trouble
from benchmarks.runs import Bench, BenchError


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = list(dict.fromkeys(case.scenario for case in cases(1, True)))
    options.add_argument("scenario", nargs="*", help=f"of {', '.join(names)}; all if none is named")
    options.add_argument("--seconds", type=float, default=5.0, help="how long a live run measures")
    options.add_argument("--rounds", type=int, default=2, help="how often the servers take turns")
    options.add_argument("--quick", action="store_true", help="small and short: does it work?")
    options.add_argument("--dialect", choices=["json", "plain"], default="json")
    options.add_argument("--only", choices=["bare", "chatd"], help="leave the other server out")
    options.add_argument("--state", type=Path, default=Path("var/bench"), help="on a real disk")
    options.add_argument("--keep", action="store_true", help="leave the state and the logs there")
    options.add_argument("--json", type=Path, help="write every run's figures to this file")
    options.add_argument("--profile", type=Path, metavar="DIR", help="profiles of chatd's reactor")
    return options


def selected(options: argparse.Namespace) -> list[Case]:
    known = cases(min(options.seconds, 1.0) if options.quick else options.seconds, options.quick)
    wanted = options.scenario or [case.scenario for case in known]
    if unknown := set(wanted) - {case.scenario for case in known}:
        raise BenchError(f"no such scenario: {', '.join(sorted(unknown))}")
    return [case for case in known if case.scenario in wanted]


def measured(bench: Bench, chosen: list[Case], only: str | None, rounds: int) -> list[Report]:
    """Run all cases, and print a line of progress for each run. Cases with the same run share its figures."""
    done: list[Report] = []
    runs: dict[tuple[str, ...], Case] = {}
    for case in chosen:
        runs.setdefault((case.scenario, case.load, *case.command_line()), case)
    for case in runs.values():
        for turn in range(rounds):
            for kind in case.servers(only):
                report = bench.run(kind, case)
                wrong = trouble(report)
                figure = "FAILED" if wrong else shown(median([report], case.figure))
                print(f"{kind:5} {case.title}, round {turn + 1}: {figure}", file=sys.stderr)
                if wrong:
                    print(f"      {wrong}", file=sys.stderr)
                done.append({**report, "server": kind, "run": " ".join(case.command_line())})
                done[-1]["scenario"] = case.scenario
    return done


def main(arguments: list[str] | None = None) -> int:
    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] == ["logins"]:
        return logins.main(given[1:])
    options = parser().parse_args(arguments)
    raise_file_limit()
    cpus = sorted(os.sched_getaffinity(0))
    options.state.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=options.state)).resolve()
    size = (2000, 20_000) if options.quick else (bigdb.ACCOUNTS, bigdb.MESSAGES)
    bench = Bench(folder, options.dialect, options.profile, cpus[0], cpus[-1], size)
    try:
        chosen = selected(options)
        rounds = 1 if options.quick else options.rounds
        reports = measured(bench, chosen, options.only, rounds)
    except BenchError as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
    for kinds in dict.fromkeys(case.kinds for case in chosen):
        mine = [case for case in chosen if case.kinds == kinds]
        print(table([heading(kinds), *(row(case, of_case(case, reports)) for case in mine)]), "\n")
    if options.json is not None:
        options.json.write_text(json.dumps(reports, indent=1) + "\n")
    return 1 if any(trouble(report) for report in reports) else 0


if __name__ == "__main__":
    sys.exit(main())
