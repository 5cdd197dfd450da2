"""docs/protocol.md matches this version."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import TestCase

from chatd.app.reference import metrics, reference
from chatd.base.errors import every_error
from chatd.commands.table import BY_VERB
from chatd.web.metric_families import FAMILIES

DOCS = Path(__file__).parents[3] / "docs"
DOCUMENT = DOCS / "protocol.md"
MONITORING = DOCS / "operating" / "monitoring.md"


class ReferenceTests(TestCase):
    """The document that `make docs` makes."""

    def test_is_up_to_date(self) -> None:
        """docs/protocol.md is the output of `make docs`."""
        if DOCUMENT.read_text(encoding="utf-8") != reference():
            self.fail("docs/protocol.md is not what is generated now; run `make docs`")

    def test_has_every_verb(self) -> None:
        """Every command and alias is listed."""
        text = reference()
        self.assertEqual([verb for verb in BY_VERB if f"`{verb}`" not in text], [])

    def test_has_every_error(self) -> None:
        codes = [error.code for error in every_error()]
        text = reference()
        self.assertEqual([code for code in codes if f"| `{code}` |" not in text], [])

    def test_tables_are_whole(self) -> None:
        """Each row has as many cells as the head of its table."""
        width = 0
        for line in reference().splitlines():
            cells = line.replace("\\|", "").count("|")
            self.assertIn(cells, (0, width) if width else (0, cells), line)
            width = cells


class MetricsTests(TestCase):
    """The metrics in docs/operating/monitoring.md."""

    def test_table_is_up_to_date(self) -> None:
        if metrics() not in MONITORING.read_text(encoding="utf-8"):
            self.fail(
                "the table in docs/operating/monitoring.md is not what there is now; "
                "put in what `python -m chatd.app.reference metrics` prints"
            )

    def test_examples_use_what_there_is(self) -> None:
        """Every metric in an example has a row in the table, and every label is a label of its metric."""
        known = {family.name: family for family in FAMILIES}
        named = re.findall(
            r"\b(chatd_[a-z_]+?)(?:_bucket|_sum|_count)?(?![a-z_])(?:\{([^}]*)\})?",
            MONITORING.read_text(encoding="utf-8"),
        )
        self.assertGreater(len(named), len(FAMILIES))
        for name, labels in named:
            self.assertIn(name, known)
            used = set(re.findall(r"(\w+)=~?\"", labels))
            self.assertLessEqual(used, {*known[name].labels, "le"}, name)
