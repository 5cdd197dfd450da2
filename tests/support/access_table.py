"""The table of who gets what for a private group, as tests find it.

`python -m tests.support.access_table FILE` runs these tests, and writes the table to FILE as Markdown.
"""

from __future__ import annotations

import sys
from pathlib import Path

from twisted.trial.reporter import TreeReporter
from twisted.trial.runner import TestLoader, TrialRunner

# In the order of the columns. The first three are outsiders.
ROLES = ("never a member", "banned", "former member", "member since yesterday", "admin")
MODULES = ("tests.unit.lines.test_private_groups", "tests.unit.web.test_private_groups")


class AccessTable:
    """The answers, by the section, the request and the role."""

    def __init__(self) -> None:
        self.sections: dict[str, dict[str, dict[str, str]]] = {}

    def note(self, section: str, request: str, role: str, answer: str) -> None:
        self.sections.setdefault(section, {}).setdefault(request, {})[role] = answer

    def write(self) -> str:
        """The table as Markdown."""
        lines = ["# Who gets what for a private group", ""]
        for section, requests in self.sections.items():
            lines += [f"## {section}", "", f"| request | {' | '.join(ROLES)} |"]
            lines.append("| --- " * (len(ROLES) + 1) + "|")
            for request, answers in requests.items():
                cells = [f"`{request}`", *(answers.get(role, "") for role in ROLES)]
                lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
            lines.append("")
        return "\n".join(lines)


TABLE = AccessTable()


def main() -> None:
    from tests.support import access_table  # the module that tests import

    folder = Path.cwd() / "_trial_temp"
    suite = TestLoader().loadByNames(list(MODULES))
    result = TrialRunner(TreeReporter, workingDirectory=str(folder)).run(suite)
    Path(sys.argv[1]).write_text(access_table.TABLE.write())
    sys.exit(not result.wasSuccessful())


if __name__ == "__main__":
    main()
