"""What the operator reads on the terminal: one sentence, and for a failed start an exit code."""

from __future__ import annotations

import sys
from typing import NoReturn, TextIO


def say(sentence: str, out: TextIO | None) -> None:
    """Write one sentence."""
    if out is not None:
        out.write(f"chatd: {sentence}\n")
        out.flush()


def stop(sentence: str) -> NoReturn:
    """End the process with a sentence on standard error, no traceback, and exit code 1."""
    # Not sys.stderr: once twistd logs, that leads into the log.
    say(sentence, sys.__stderr__)
    raise SystemExit(1)


def finish(answer: str) -> NoReturn:
    """End the process with an answer on standard output and exit code 0."""
    sys.stdout.write(f"{answer}\n")
    sys.stdout.flush()
    raise SystemExit(0)
