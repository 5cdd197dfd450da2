"""The command line of the suite."""

from __future__ import annotations

import argparse
import contextlib
import secrets
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from chatd.conformance import checks  # noqa: F401 (it registers them)
from chatd.conformance.bench import Bench
from chatd.conformance.control import Actor, Control, ControlProgram
from chatd.conformance.links import LinkEnded, NoAnswer, RefusedThere
from chatd.conformance.realms import RealmDoor
from chatd.conformance.report import json_of, line_of, succeeded, summary
from chatd.conformance.suite import CHECKS, SECTIONS, Check, CheckResult, run

PASSED, FAILED, NO_LINK = 0, 1, 2


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m chatd.conformance",
        description="Check whether a realm follows docs/federation.md.",
    )
    add = made.add_argument
    add("host", metavar="HOST", help="where the realm accepts links of other realms")
    add("port", metavar="PORT", type=int)
    add("--user", default="", metavar="NAME", help="an account of the realm")
    add("--group", default="", metavar="NAME", help="a public group of the realm")
    add("--control", default="", metavar="COMMAND", help="a program that lets the user act")
    add("--strangers", action="store_true", help="PREFIX-stranger.example is not added there")
    add(
        "--prefix",
        default="",
        help="the names of the suite's realms begin with it (default: at random)",
    )
    add("--keys", type=Path, metavar="FOLDER", help="keeps the certificates of the suite's realms")
    add("--only", default="", metavar="WORDS", help="checks whose line has these words")
    add("--patience", type=float, default=5.0, metavar="SECONDS", help="for an answer (default: 5)")
    add("--json", action="store_true", help="one JSON object a line")
    return made


@contextlib.contextmanager
def bench_for(options: argparse.Namespace, actor: Actor | None = None) -> Iterator[Bench]:
    """What the options describe. `actor` stands for the control program."""
    with contextlib.ExitStack() as stack:
        folder = options.keys or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        prefix = options.prefix or f"conformance-{secrets.token_hex(3)}"
        bench = Bench(RealmDoor(options.host, options.port, options.patience), folder, prefix)
        bench.user, bench.group = options.user, options.group
        bench.strangers = options.strangers
        if actor is None and options.control:
            actor = ControlProgram(options.control)
        if actor is not None:
            bench.control = Control(actor)
            stack.callback(bench.control.close)
        yield bench


def chosen(words: str) -> list[Check]:
    """The checks with these words, in the order of the document."""
    ordered = sorted(CHECKS, key=lambda each: SECTIONS.index(each.section))
    return [each for each in ordered if words.lower() in f"{each.section} | {each.title}".lower()]


def main(arguments: Sequence[str], actor: Actor | None = None, out: TextIO | None = None) -> int:
    """Make the checks, and write the table to `out` (default: standard output). Returns the exit code: 0 if
    no check failed, 1 if one did, 2 if there was no link at all."""
    options = parser().parse_args(arguments)
    out = out or sys.stdout
    with bench_for(options, actor) as bench:
        try:
            tested = bench.tested
        except (OSError, LinkEnded, NoAnswer, RefusedThere, ValueError, KeyError) as error:
            sys.stderr.write(f"There is no link with {options.host}:{options.port}: {error}\n")
            return NO_LINK
        if not options.json:
            out.write(f"{tested.realm} takes {', '.join(tested.capabilities) or 'nothing'}\n\n")
        results: list[CheckResult] = []
        for result in run(bench, chosen(options.only)):
            results.append(result)
            out.write((json_of if options.json else line_of)(result) + "\n")
            out.flush()
        if not options.json:
            out.write(f"\n{summary(results)}\n")
    return PASSED if succeeded(results) else FAILED
