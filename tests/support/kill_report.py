"""The base of what a series of kills reports."""

from __future__ import annotations


class Report:
    """Base of the reports: counts, as the fields of a dataclass, and the problems that were found."""

    kills: int
    problems: list[str]

    def problem(self, sentence: str) -> None:
        self.problems.append(f"kill {self.kills}: {sentence}")

    def __str__(self) -> str:
        figures = {key: value for key, value in vars(self).items() if key != "problems"}
        lines = [f"{key.replace('_', ' '):>14} {value:>9,}" for key, value in figures.items()]
        return "\n".join([*lines, *self.problems])
