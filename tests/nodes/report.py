"""The figures of a run."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Report:
    """Times are in seconds. `problems` is empty if everything holds."""

    seed: int
    faults: Counter[str] = field(default_factory=Counter)
    operations: int = 0
    attempts: int = 0
    sent: int = 0
    acknowledged: int = 0
    lost: int = 0
    doubled: int = 0
    disordered: int = 0
    files: int = 0  # that were acknowledged
    kicks: int = 0
    tries_after_kicks: int = 0
    live: int = 0  # entries that listeners got live
    filled: int = 0  # entries that listeners got by sync
    told_again: int = 0  # entries that listeners had already
    restarts: int = 0  # of daemons that had ended by themselves
    took: float = 0.0
    healed: float = 0.0  # from the last fault until everything was told and delivered
    stopped: float = 0.0  # the time in which this process did not run
    times: dict[str, float] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"seed {self.seed}: {sum(self.faults.values())} faults in {self.took:.0f} s"]
        lines += [f"{count:>9,} {kind}" for kind, count in sorted(self.faults.items())]
        for name in (
            "operations", "attempts", "sent", "acknowledged", "lost", "doubled", "disordered",
            "files", "kicks", "tries_after_kicks", "live", "filled", "told_again", "restarts",
        ):  # fmt: skip
            lines.append(f"{getattr(self, name):>9,} {name.replace('_', ' ')}")
        lines += [f"{value:>8.3f}s {name}" for name, value in self.times.items()]
        if self.stopped:
            lines.append(
                f"{self.stopped:>8.1f}s in which this process was stopped, which do not count"
            )
        lines.append(f"{self.healed:>8.1f}s until all was told and delivered")
        lines += [f"{count:>9,} refused, {what}" for what, count in self.refused.most_common()]
        lines += [f"PROBLEM {problem}" for problem in self.problems]
        return "\n".join(lines)
