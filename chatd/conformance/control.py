"""Lets people of the tested realm act, by a program that reads requests and writes answers: lines of JSON."""

from __future__ import annotations

import contextlib
import json
import shlex
import subprocess
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

END_TIME = 5.0  # seconds that the program has to end

#: Carries out one request of the suite, and returns the answer. It may block.
Actor = Callable[[dict[str, Any]], dict[str, Any]]


class ControlProgram:
    """A program that was started with a command line. Raises OSError if there is none."""

    def __init__(self, command: str) -> None:
        self._process = subprocess.Popen(  # noqa: S603 (the tester names the program)
            shlex.split(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __call__(self, request: dict[str, Any]) -> dict[str, Any]:
        """Raises OSError if the program has ended, ValueError if it does not answer with JSON."""
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise OSError("the control program has no standard input and output")
        stdin.write(json.dumps(request, ensure_ascii=False) + "\n")
        stdin.flush()
        line = stdout.readline()
        if not line:
            raise OSError("the control program has ended")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End the program: first by the end of its input. Whoever waits for an answer gets an OSError."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        try:
            self._process.wait(END_TIME)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Control:
    """Requests to people of the tested realm, one after another, while the suite reads its links."""

    def __init__(self, actor: Actor) -> None:
        self._actor = actor
        self._thread = ThreadPoolExecutor(1, "control")

    def start(self, do: str, **details: Any) -> Future[dict[str, Any]]:
        return self._thread.submit(self._actor, {"do": do, **details})

    def close(self) -> None:
        if isinstance(self._actor, ControlProgram):
            self._actor.close()
        self._thread.shutdown(wait=True, cancel_futures=True)
