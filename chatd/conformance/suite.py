"""The checks, and what becomes of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum

import msgspec

from chatd.conformance.bench import Bench, CheckFailed, CheckSkipped
from chatd.conformance.links import LinkEnded, NoAnswer, RefusedThere

CheckWork = Callable[[Bench], None]


class CheckOutcome(StrEnum):
    PASSED = "pass"
    FAILED = "fail"
    SKIPPED = "skipped"


class Check(msgspec.Struct, frozen=True):
    """`section` is a heading of docs/federation.md. `needs` are options of the suite and capabilities of the
    tested realm."""

    section: str
    title: str
    needs: tuple[str, ...]
    work: CheckWork


class CheckResult(msgspec.Struct, frozen=True):
    check: Check
    outcome: CheckOutcome
    reason: str
    seconds: float


CHECKS: list[Check] = []

#: The headings of docs/federation.md that checks belong to, in its order.
SECTIONS = (
    "Framing",
    "Identity",
    "Hello",
    "Capabilities",
    "Numbers",
    "Delivery",
    "Restores",
    "Parcels",
    "direct: a message to a person",
    "Message requests",
    "edit, delete, react, pin: changes of a message",
    "post, relay: messages of groups",
    "joined, removed, left, invite: changes of membership",
    "The past",
    "Files",
    "Typing",
    "Questions",
    "Limits",
    "Signed entries",
)


def check(section: str, title: str, *needs: str) -> Callable[[CheckWork], CheckWork]:
    """Make a function a check."""

    def add(work: CheckWork) -> CheckWork:
        CHECKS.append(Check(section, title, needs, work))
        return work

    return add


def perform(bench: Bench, checked: Check) -> tuple[CheckOutcome, str]:
    """Make one check. No exception of one ends the others."""
    try:
        for need in checked.needs:
            if reason := bench.lacks(need):
                return CheckOutcome.SKIPPED, reason
        checked.work(bench)
    except CheckSkipped as skipped:
        return CheckOutcome.SKIPPED, str(skipped)
    except (CheckFailed, NoAnswer, LinkEnded) as failed:
        return CheckOutcome.FAILED, str(failed)
    except RefusedThere as error:
        return CheckOutcome.FAILED, f"a request is refused with {error.code}"
    except Exception as error:
        return CheckOutcome.FAILED, f"{type(error).__name__}: {error}"
    return CheckOutcome.PASSED, ""


def run(bench: Bench, checks: Iterable[Check]) -> Iterator[CheckResult]:
    for each in checks:
        began = time.monotonic()
        outcome, reason = perform(bench, each)
        yield CheckResult(each, outcome, reason, time.monotonic() - began)
