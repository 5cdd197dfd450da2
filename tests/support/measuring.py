"""Which tests run without a measurement of coverage, which makes them take twice as long.

These tests repeat what others reach: pages in a browser, long random runs, and many cases of the same code.
The daemons and clients that they start are not measured either.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from coverage import Coverage, process_startup

#: The beginnings of the names of these tests.
UNMEASURED = (
    "tests/browser/",
    "tests/process/test_conformance.py",
    "tests/process/test_daemon_proxies.py",
    "tests/process/test_install.py",
    "tests/process/test_kills.py",
    "tests/process/test_older_clients.py",
    "tests/process/test_restores.py",
    "tests/unit/federation/amp/test_file_failures.py",
    "tests/unit/federation/amp/test_link_failures.py::Cuts",
    "tests/unit/federation/amp/test_link_failures.py::Silence",
    "tests/unit/federation/amp/test_link_failures.py::Slowness",
    "tests/unit/federation/amp/test_link_manager.py::Pauses",
    "tests/unit/federation/test_directs_random.py",
    "tests/unit/federation/test_groups_random.py",
    "tests/unit/federation/test_membership_stateful.py",
    "tests/unit/federation/test_realm_stateful.py",
    "tests/unit/federation/test_three_realms_restored.py",
    "tests/unit/federation/test_three_realms_stateful.py",
    "tests/unit/lines/test_slow_readers.py::SlowSockets",
    "tests/unit/lines/test_urlencoded_client.py::Files",
    "tests/unit/lines/test_urlencoded_client.py::Waiting",
    "tests/unit/lines/test_urlencoded_client.py::Writing",
    "tests/unit/service/test_reading_stateful.py",
    "tests/unit/service/test_stateful.py",
    "tests/unit/store/test_upgrades.py::To0002",
    "tests/unit/store/test_upgrades.py::To0003",
    "tests/unit/store/test_upgrades.py::To0006",
    "tests/unit/store/test_upgrades.py::To0007::test_failing_anywhere",
    "tests/unit/store/test_upgrades.py::To0008",
    "tests/unit/store/test_upgrades.py::To0012",
    "tests/unit/web/test_private_groups.py",
)
#: In the names of transcripts that are performed a second time, with what is sent in pieces.
AGAIN = "_in_pieces"
#: By this, coverage tells new processes how to measure. Without it, they are not measured.
OF_PROCESSES = "COVERAGE_PROCESS_CONFIG"


@contextmanager
def measured(test: str) -> Iterator[None]:
    """Measure the test with that name, or stop measuring as long as it runs."""
    is_measured = not test.startswith(UNMEASURED) and AGAIN not in test
    stopped = [] if is_measured else _stop()
    if not stopped:
        yield
        return
    # A start would set it anew, relative to the working folder now, which is another one.
    of_processes = os.environ.pop(OF_PROCESSES, None)
    try:
        yield
    finally:
        for measuring in reversed(stopped):
            measuring.start()
        if of_processes is not None:
            os.environ[OF_PROCESSES] = of_processes


def _stop() -> list[Coverage]:
    """Stop all measurements of this process. A worker of pytest-xdist has two: one that Python has started
    with it, and one of pytest-cov. Each goes on when the next one is stopped."""
    stopped = []
    while (measuring := Coverage.current()) is not None:
        measuring.stop()
        stopped.append(measuring)
    return stopped


def measure_process(how: str | None) -> None:
    """Measure this process, which was forked from one that is not measured. `how` is what OF_PROCESSES was
    where it was asked for; without it, the process is not measured."""
    if how is not None:
        os.environ[OF_PROCESSES] = how
        process_startup(force=True)
