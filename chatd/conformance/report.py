"""The table of checks."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence

from chatd.conformance.suite import CheckOutcome, CheckResult


def line_of(result: CheckResult) -> str:
    """One line of the table: the outcome, the section, the check, and the reason if it did not pass."""
    reason = f": {result.reason}" if result.reason else ""
    return f"{result.outcome:<8}{result.check.section} | {result.check.title}{reason}"


def json_of(result: CheckResult) -> str:
    said = {
        "outcome": result.outcome.value,
        "section": result.check.section,
        "check": result.check.title,
        "reason": result.reason,
        "seconds": round(result.seconds, 3),
    }
    return json.dumps(said, ensure_ascii=False)


def summary(results: Iterable[CheckResult]) -> str:
    counts = Counter(result.outcome for result in results)
    return (
        f"{counts[CheckOutcome.PASSED]} passed, {counts[CheckOutcome.FAILED]} failed, "
        f"{counts[CheckOutcome.SKIPPED]} skipped"
    )


def succeeded(results: Sequence[CheckResult]) -> bool:
    """Whether no check failed, and at least one passed."""
    outcomes = {result.outcome for result in results}
    return CheckOutcome.FAILED not in outcomes and CheckOutcome.PASSED in outcomes
