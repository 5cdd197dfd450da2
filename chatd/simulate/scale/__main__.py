"""`python -m chatd.simulate.scale`: many realms on virtual time, and the table of what they cost."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, cast

from twisted.logger import globalLogBeginner

from chatd.simulate.scale.runs import measure
from chatd.simulate.scale.settings import ScaleSettings

MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of its own is made there


def main() -> int:
    """Run what the command line asks for. Returns the status: 1 if a promise was broken."""
    if sys.flags.hash_randomization:
        arguments = [sys.executable, "-m", "chatd.simulate.scale", *sys.argv[1:]]
        os.execve(sys.executable, arguments, {**os.environ, "PYTHONHASHSEED": "0"})  # noqa: S606
    settings = ScaleSettings(**vars(_parser().parse_args()))
    globalLogBeginner.beginLoggingTo(
        [cast(Any, _show_failure)], redirectStandardIO=False, discardBuffer=True
    )
    folder = Path(tempfile.mkdtemp(prefix="chatd-scale-", dir=MEMORY if MEMORY.is_dir() else None))
    try:
        rows, kept = measure(settings, folder)
    finally:
        shutil.rmtree(folder)
    for name, value in rows:
        sys.stdout.write(f"| {name} | {value} |\n")
    return 0 if kept else 1


def _show_failure(event: dict[str, object]) -> None:
    if failure := event.get("log_failure"):
        sys.stderr.write(f"{failure}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m chatd.simulate.scale",
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    default = ScaleSettings()
    for name, kind, text in (
        ("seed", int, "from which everything follows"),
        ("realms", int, "how many realms"),
        ("users", int, "accounts of each"),
        ("hours", float, "virtual hours in which people write"),
        ("messages", float, "that a person writes in a day"),
        ("remote", float, "the part of them that goes to other realms"),
        ("exponent", float, "of Zipf's law, by which contacts are chosen"),
        ("dead", float, "the part of the realms that do not run"),
        ("restarting", float, "the part that restarts in an hour"),
        ("at_once", float, "the part that restarts at once"),
    ):
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=kind, default=getattr(default, name), help=text)
    parser.add_argument(
        "--no-hostile", dest="hostile", action="store_false", help="let no realm be hostile"
    )
    parser.add_argument(
        "--kept", action="store_true", help="dial all known realms at the start, and keep all links"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
