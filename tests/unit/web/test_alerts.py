"""etc/chatd-alerts.yml: rules on metrics and codes that exist."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from chatd.base.errors import every_error
from chatd.web.metric_families import FAMILIES

RULES = Path(__file__).parents[3] / "etc/chatd-alerts.yml"
KEYS = {"alert", "expr", "for", "labels", "annotations"}


def rules() -> list[dict[str, str]]:
    """The keys of each rule with what follows them on their line. The file uses the simplest form of YAML."""
    found: list[dict[str, str]] = []
    for line in RULES.read_text(encoding="utf-8").splitlines():
        if match := re.fullmatch(r"      - alert: (\w+)", line):
            found.append({"alert": match[1]})
        elif found and (match := re.fullmatch(r"        (?:  )?(\w+):(?: (.*))?", line)):
            found[-1][match[1]] = match[2] or ""
    return found


class Alerts(SynchronousTestCase):
    def test_metrics(self) -> None:
        """Every metric in an expression has a row, and every label is one of its labels."""
        known = {family.name: family for family in FAMILIES}
        named = []
        for rule in rules():
            named += re.findall(
                r"\b(chatd_[a-z_]+?)(?:_bucket|_sum|_count)?(?![a-z_])(?:\{([^}]*)\})?",
                rule["expr"],
            )
        self.assertGreater(len(named), 10)
        for name, labels in named:
            self.assertIn(name, known)
            used = set(re.findall(r"(\w+)=~?\"", labels))
            self.assertLessEqual(used, {*known[name].labels, "le"}, name)

    def test_codes(self) -> None:
        codes = {error.code for error in every_error()}
        named = re.findall(r'code=~?"([^"]+)"', RULES.read_text(encoding="utf-8"))
        self.assertGreater(len(named), 2)
        for each in named:
            self.assertLessEqual(set(each.split("|")), codes)

    def test_every_rule_is_complete(self) -> None:
        found = rules()
        self.assertEqual(len({rule["alert"] for rule in found}), len(found))
        for rule in found:
            missing = (KEYS | {"severity", "summary", "description"}) - {"for"} - set(rule)
            self.assertEqual(missing, set(), rule["alert"])
            self.assertIn(rule["severity"], ("critical", "warning"))

    def test_prometheus_accepts_them(self) -> None:
        """Prometheus' own tool parses the file."""
        tool = shutil.which("promtool")
        if tool is None:
            raise SkipTest("promtool is not installed (on Debian: apt install prometheus)")
        done = subprocess.run(
            [tool, "check", "rules", RULES], capture_output=True, text=True, check=False
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"{len(rules())} rules found", done.stdout)
