"""docs/man/chatctl.1 matches this version."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from chatd.ctl.arguments import option_of, rows
from chatd.ctl.manual import manual
from chatd.ctl.roff import escaped

PAGE = Path(__file__).parents[3] / "docs" / "man" / "chatctl.1"


class Manual(SynchronousTestCase):
    def test_is_up_to_date(self) -> None:
        if PAGE.read_text(encoding="utf-8") != manual():
            self.fail("docs/man/chatctl.1 is not what is generated now; run `make docs`")

    def test_has_every_command_and_option(self) -> None:
        page = manual()
        for words, row in rows().items():
            self.assertIn(f"\\fB{escaped(words)}\\fP", page)
            options = [option_of(arg) for arg in row.args if arg.named]
            self.assertEqual([name for name in options if escaped(name) not in page], [])
