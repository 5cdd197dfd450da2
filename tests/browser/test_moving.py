"""A person opens the panels of moves and of imports on the page of the settings."""

from __future__ import annotations

from tests.support.browser import BrowserTestCase, in_browser
from tests.support.visitor import expect


class Moving(BrowserTestCase):
    @in_browser
    def test_both_panels(self) -> None:
        """No move is planned and nothing is imported. Each way to move opens its dialog, which shows why a
        realm refuses."""
        messi = self.person("messi")
        messi.go("#/settings")
        page = messi.page
        expect(page.get_by_text("No move is planned.")).to_be_visible()
        for name in ("Import an archive", "Change the picture"):  # not also a hidden input
            expect(page.get_by_role("button", name=name)).to_have_count(1)
        expect(page.get_by_role("button", name="Cancel", exact=True)).to_have_count(0)
        for name, label in (
            ("Move to another realm", "Your address in the other realm"),
            ("Move here from another realm", "Your address in the old realm"),
        ):
            messi.press_button(name)
            dialog = page.get_by_role("dialog", name=name)
            expect(dialog.get_by_label(label)).to_be_visible()
            page.keyboard.press("Escape")
            expect(dialog).to_have_count(0)
        messi.press_button("Move here from another realm")
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Your address in the old realm").fill("messi")
        dialog.get_by_role("button", name="Move here from another realm").click()
        expect(dialog).to_contain_text("an address of another realm")
        page.keyboard.press("Escape")
        expect(page.get_by_text("No move is planned.")).to_be_visible()
