"""Accessibility: axe-core's findings for every page, in both themes and at both widths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal
from unittest import SkipTest

from tests.support.browser import AXE, BrowserTestCase, Site, in_browser, why_not
from tests.support.order import long_test
from tests.support.page import NARROW, WIDE, Person
from tests.support.sample import ME, Sample

GRAVE = ("serious", "critical")
# Only the sentences are returned, because axe-core's complete report is large.
LOOK = """
async ([where, options, grave]) => (await axe.run(where, options)).violations
    .filter(({ impact }) => grave.includes(impact))
    .flatMap(({ id, impact, nodes }) => nodes.map(({ html, failureSummary }) =>
        `${id} (${impact}): ${html.slice(0, 200)} ${failureSummary}`))
"""
#: Every page of a logged-in user by its address, with a text that is on it once it is loaded.
PAGES = {
    "#/": "Chats",
    "#/u/henderson": "Jordan Henderson",
    "#/u/omar": "عمر الشريف",
    "#/u/kroos@realm3": "kroos@realm3",
    "#/g/bola": "bola",
    "#/g/bola/members": "Members",
    "#/new": "New chat",
    "#/groups": "Groups",
    "#/join/abcd:efgh": "Join a group",
    "#/contacts": "Contacts",
    "#/rooms": "Rooms",
    "#/room/stadium": "stadium",
    "#/realms": "Realms",
    "#/search": "Search",
    "#/files": "Files",
    "#/settings": "Settings",
}
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
OUTSIDE = ("#/login", "#/register", "#/reset")


class Access(BrowserTestCase):
    timeout = 180
    themes = THEMES
    current = THEMES[0]  # that of a new person

    def setUp(self) -> None:
        if not AXE.exists() and not why_not():
            raise SkipTest("no look at the pages' accessibility: axe-core is not there (npm ci)")
        super().setUp()

    def begin(self) -> Site:
        sample = Sample(self.root)
        self.addCleanup(sample.close)
        return sample.start().here

    @long_test
    @in_browser
    def test_every_page_on_a_laptop(self) -> None:
        self.every_page(WIDE)

    @long_test
    @in_browser
    def test_every_page_on_a_phone(self) -> None:
        self.every_page(NARROW)

    def every_page(self, size: tuple[int, int]) -> None:
        found = []
        # Without motion the colours of a theme are there at once.
        person = self.person(size=size, reduced_motion="reduce")
        for page in OUTSIDE:
            person.go(page)
            person.page.get_by_role("heading", level=1).wait_for()
            lasting = "getComputedStyle(document.body).transitionDuration"
            self.assertEqual(person.page.evaluate(lasting), "0s")
            found += self.looked_at(person, page)
        person.comes_back(ME)
        for page, heading in PAGES.items():
            person.go(page)
            person.page.get_by_role("heading", name=heading).first.wait_for()
            person.is_quiet()
            person.fits()
            found += self.looked_at(person, page)
        self.assertFalse(found, "\n".join(found))

    def looked_at(self, person: Person, page: str) -> list[str]:
        """The serious findings on the current page, in both themes."""
        found = []
        for theme in self.themes:
            if theme != self.current:
                person.has_theme(theme)
                self.current = theme
            # In the other theme only the colours differ.
            rules = [] if theme == self.themes[0] else ["color-contrast", "link-in-text-block"]
            found += [f"{page} {theme}: {each}" for each in violations(person, rules, page == "#/")]
        # The next page begins with the current theme, because a change takes longer than a check.
        self.themes = self.themes[::-1]
        return found


def violations(person: Person, rules: Sequence[str], beside: bool) -> list[str]:
    """The findings of these rules, or of axe-core's default rules, in its own words."""
    page = person.page
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text() + "; null")
    options: dict[str, Any] = {"resultTypes": ["violations"]}
    # The list of conversations is the same beside all pages, so it is checked separately.
    where = {"include": "body", **({} if beside else {"exclude": ".side"})}
    if rules:
        options["runOnly"] = list(rules)
    found: list[str] = page.evaluate(LOOK, [where, options, GRAVE])
    return found
