"""Which tests run without a measurement of coverage, which makes them take twice as long.

These tests repeat what others reach: pages in a browser, and long random runs. The daemons that the browser's
tests fork are not measured either.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from coverage import Coverage

#: The beginnings of the names of these tests.
UNMEASURED = (
    "tests/browser/",
    "tests/unit/federation/test_directs_random.py",
    "tests/unit/federation/test_groups_random.py",
    "tests/unit/federation/test_membership_stateful.py",
    "tests/unit/federation/test_realm_stateful.py",
    "tests/unit/federation/test_three_realms_restored.py",
    "tests/unit/federation/test_three_realms_stateful.py",
    "tests/unit/service/test_reading_stateful.py",
    "tests/unit/service/test_stateful.py",
)
#: Set in the environment of processes that are not measured.
VARIABLE = "CHATD_TESTS_UNMEASURED"
#: By this, coverage tells processes how to measure.
_OF_PROCESSES = "COVERAGE_PROCESS_CONFIG"


@contextmanager
def measured(test: str) -> Iterator[None]:
    """Measure the test with that name, or stop measuring as long as it runs."""
    measuring = Coverage.current() if test.startswith(UNMEASURED) else None
    if measuring is None:
        yield
        return
    measuring.stop()
    of_processes = os.environ.get(_OF_PROCESSES, "")
    os.environ[VARIABLE] = "1"
    try:
        yield
    finally:
        del os.environ[VARIABLE]
        measuring.start()
        # It names the folder of the results relative to the working folder now, which is another one.
        os.environ[_OF_PROCESSES] = of_processes


def stop_if_unmeasured() -> None:
    """Stop measuring in a process that was forked for a test that is not measured."""
    if VARIABLE in os.environ and (measuring := Coverage.current()) is not None:
        measuring.stop()
