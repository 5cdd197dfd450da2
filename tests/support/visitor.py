"""What a person does and sees on any page of the browser client, by roles and labels."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

PATIENCE = 20_000.0  # ms
MOST_TABS = 60

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page
    from playwright.sync_api._generated import LocatorAssertions


def expect(what: Locator) -> LocatorAssertions:
    """Playwright's own, imported late: without Playwright the tests are skipped, but must be importable."""
    from playwright.sync_api import expect as expect_of

    expect_of.set_options(timeout=PATIENCE)
    return expect_of(what)


class Visitor:
    """A person who has a page of the client open."""

    page: Page

    def go(self, hash: str) -> None:  # noqa: A002 - what it is called in an address
        """Open an address, as in the address bar."""
        self.page.goto(f"/{hash}")

    def fill(self, label: str, text: str) -> None:
        self.page.get_by_label(label, exact=True).fill(text)

    def press_button(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).click()

    def choose(self, group: str, name: str) -> None:
        """Choose one of several exclusive options."""
        found = self.page.get_by_role("group", name=group, exact=True)
        found.get_by_text(name, exact=True).click()

    def follow(self, name: str) -> None:
        """Click a link."""
        self.page.get_by_role("link", name=name, exact=True).first.click()

    def heading(self, name: str) -> None:
        """Wait for the view with that heading."""
        expect(self.page.get_by_role("heading", level=1, name=name)).to_be_visible()

    def confirm(self, name: str) -> None:
        """Confirm the open dialog."""
        dialog = self.page.get_by_role("dialog")
        dialog.get_by_role("button", name=name, exact=True).click()

    def back(self) -> None:
        """Go back, on a phone."""
        self.page.get_by_role("link", name="Back").click()

    def tabs_to(self, name: str) -> None:
        """Press Tab until the element of that name has the focus."""
        seen = []
        for _ in range(MOST_TABS):
            focused = self.page.locator(":focus")
            if focused.count():
                seen.append(focused.first.aria_snapshot().splitlines()[0])
                if f'"{name}"' in seen[-1]:
                    return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"{name!r} can't be tabbed to; what can: {seen}")

    def types(self, text: str) -> None:
        """Type into the focused element."""
        self.page.keyboard.type(text)

    def has_theme(self, theme: Literal["light", "dark"]) -> None:
        """Wait for that theme of the system, which the page follows; colours may fade."""
        self.page.emulate_media(color_scheme=theme)
        self.page.wait_for_function(
            """(theme) => document.documentElement.dataset.theme === theme
                && document.getAnimations().every(({ effect, playState }) =>
                    playState !== "running" || effect.getComputedTiming().endTime === Infinity)""",
            arg=theme,
            polling=20,
        )

    def is_quiet(self) -> None:
        """Wait until nothing is being loaded that is in sight."""
        expect(self.page.locator(".spinner:visible")).to_have_count(0)
        self.page.wait_for_function(
            """() => [...document.images].every((image) => {
                const { top, bottom } = image.getBoundingClientRect();
                return image.complete || bottom <= 0 || top >= innerHeight;
            })"""
        )

    def fits(self) -> None:
        """Check that nothing is wider than the screen, so that the page does not scroll sideways."""
        widths = self.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert widths[0] <= widths[1], f"{self.page.url} is {widths[0]} wide on {widths[1]}"

    def waits_for(self, condition: Callable[[], Any], patience: float = PATIENCE) -> None:
        """Wait for a condition outside of the page, while the page continues to run."""
        end = time.monotonic() + patience / 1000
        while not condition():
            assert time.monotonic() < end, f"waited {patience / 1000:g} s in vain"
            self.page.wait_for_timeout(20)

    def is_told(self, text: str) -> None:
        """Wait for a text anywhere on the page."""
        expect(self.page.get_by_text(text).first).to_be_visible()
