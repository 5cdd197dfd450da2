"""Checks the reports of runs, and shows their medians as a table."""

from __future__ import annotations

import statistics

from benchmarks.cases import Case
from benchmarks.engine import Report


def trouble(report: Report) -> str:
    """Return what is wrong with the counts of a run, or an empty text."""
    if "failed" in report:
        return str(report["failed"])
    wrong = [f"{report[key]} {key}" for key in ("lost", "doubled", "unacked") if report.get(key)]
    if report.get("errors"):
        wrong.append(f"{report['errors']} errors, the first: {report['error_sample']}")
    return ", ".join(wrong)


def median(reports: list[Report], key: str) -> float | None:
    values = [float(report[key]) for report in reports if key in report]
    return statistics.median(values) if values else None


def shown(value: float | None) -> str:
    if value is None:
        return "-"
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


COLUMNS = ["p50 ms", "p99 ms", "CPU s/1000", "server %", "gen. %"]


def heading(kinds: tuple[str, str]) -> list[str]:
    first, second = kinds
    return ["", first, second, f"{second}/{first}", *COLUMNS]


def row(case: Case, reports: dict[str, list[Report]]) -> list[str]:
    """The row of a case. The columns after the ratio are those of the second server."""
    first, second = (median(reports.get(kind, []), case.figure) for kind in case.kinds)
    own = reports.get(case.kinds[1]) or reports.get(case.kinds[0]) or []
    prefix = "fetch_" if case.figure == "fetched_per_s" else ""
    rest = [
        "p50_ms",
        "p99_ms",
        f"{prefix}server_cpu_s_per_1000",
        f"{prefix}server_cpu_pct",
        f"{prefix}generator_cpu_pct",
    ]
    ratio = f"{second / first:.3f}" if first and second is not None else "-"
    figures = [shown(median(own, key)) for key in rest]
    return [case.title, shown(first), shown(second), ratio, *figures]


def table(rows: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in rows
    )


def of_case(case: Case, reports: list[Report]) -> dict[str, list[Report]]:
    """Return the reports of a case without trouble, by server."""
    found: dict[str, list[Report]] = {kind: [] for kind in case.kinds}
    for report in reports:
        of_run = (report["scenario"], report["run"])
        if of_run == (case.scenario, " ".join(case.command_line())) and not trouble(report):
            found[str(report["server"])].append(report)
    return found
