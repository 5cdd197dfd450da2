"""docs/protocol.md says what this version does."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import TestCase

from chatd.errors import every_error
from chatd.reference import reference
from chatd.table import BY_VERB

DOCUMENT = Path(__file__).parent.parent / "docs" / "protocol.md"


class ReferenceTests(TestCase):
    """The document that `make docs` makes."""

    def test_is_up_to_date(self) -> None:
        """Whoever changes a command or a sentence runs `make docs`."""
        if DOCUMENT.read_text(encoding="utf-8") != reference():
            self.fail("docs/protocol.md is not what is generated now; run `make docs`")

    def test_has_every_verb(self) -> None:
        """Aliases, too."""
        text = reference()
        self.assertEqual([verb for verb in BY_VERB if f"`{verb}`" not in text], [])

    def test_has_every_error(self) -> None:
        codes = [error.code for error in every_error()]
        text = reference()
        self.assertEqual([code for code in codes if f"| `{code}` |" not in text], [])

    def test_tables_are_whole(self) -> None:
        """Each row has as many cells as its table's head."""
        width = 0
        for line in reference().splitlines():
            cells = line.replace("\\|", "").count("|")
            self.assertIn(cells, (0, width) if width else (0, cells), line)
            width = cells
