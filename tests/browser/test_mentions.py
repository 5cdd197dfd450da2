"""Mentions: names are completed while one writes, and marked in messages."""

from __future__ import annotations

from unittest import SkipTest

from tests.browser.test_access import THEMES, violations
from tests.support.browser import AXE, in_browser
from tests.support.page import NARROW, Person
from tests.support.scripted import Scripted
from tests.support.visitor import expect

MEMBERS = ("messi", "henderson", "tasya", "hendra@realm2")


class Mentions(Scripted):
    def setUp(self) -> None:
        super().setUp()
        self.script.answers["members"] = lambda _request: {
            "members": [{"username": name} for name in MEMBERS]
        }

    def writes(self, person: Person, text: str) -> None:
        person.composer.focus()
        person.types(text)

    @in_browser
    def test_by_keyboard(self) -> None:
        """The list has the members that fit by address or name. The keys move in it, choose, and close it."""
        messi = self.messi()
        messi.open_group("bola")
        shown = messi.page.get_by_role("option")
        self.writes(messi, "Hello (@he")
        expect(shown).to_have_text(["Hhendra@realm2", "JHJordan Henderson@henderson"])
        keys = messi.page.keyboard
        for key, selected in (
            ("ArrowDown", "Jordan"),
            ("ArrowDown", "hendra"),
            ("ArrowUp", "Jordan"),
        ):
            keys.press(key)
            expect(messi.page.get_by_role("option", selected=True)).to_contain_text(selected)
        active = messi.page.get_by_role("option", selected=True).get_attribute("id")
        expect(messi.composer).to_have_attribute("aria-activedescendant", str(active))
        keys.press("Enter")
        expect(messi.composer).to_have_value("Hello (@henderson ")
        expect(shown).to_have_count(0)
        self.writes(messi, "and @kamil")
        expect(shown).to_have_text(["TKTasya Kamila@tasya"])
        keys.press("Escape")
        expect(shown).to_have_count(0)
        keys.press("Enter")
        messi.sees("Hello (@henderson and @kamil")
        self.assertEqual(self.asked("sendgroup")["text"], "Hello (@henderson and @kamil")
        asked = [each for each in self.script.asked if each["command"] == "members"]
        self.assertEqual(len(asked), 1)
        self.writes(messi, "a@he")
        self.writes(messi, " @all")
        shown.first.click()
        expect(messi.composer).to_have_value("a@he @all ")
        expect(messi.composer).to_be_focused()

    @in_browser
    def test_in_a_direct_conversation(self) -> None:
        """Only the other person can be mentioned. Where the members can't be had, there is no list."""
        messi = self.messi()
        messi.open_chat("henderson")
        self.writes(messi, "@")
        expect(messi.page.get_by_role("option")).to_have_count(1)
        messi.page.keyboard.press("Tab")
        expect(messi.composer).to_have_value("@henderson ")
        refusal = {"status": "ERROR", "code": "realm-down", "message": "It is down"}
        self.script.answers["members"] = lambda _request: refusal
        messi.open_group("bola")
        self.writes(messi, "@he")
        messi.page.keyboard.press("Enter")
        messi.sees("@he")

    @in_browser
    def test_marked(self) -> None:
        """The names that the realm has found are marked, one's own differently. Code is not."""
        text = "**@henderson** and @messi, `@messi` or x@messi; not @tasya. @messi."
        self.script.said(2, "tasya", text, mentions=["henderson", "messi"])
        self.script.said(2, "henderson", "@all: at three", mentions=["@all"])
        messi = self.messi()
        messi.open_group("bola")
        messi.sees("at three")
        marked = messi.page.locator(".mention")
        expect(marked).to_have_text(["@henderson", "@messi", "@messi", "@all"])
        expect(messi.page.locator(".mention-me")).to_have_text(["@messi", "@messi", "@all"])
        self.assertEqual(messi.waits_for_texts(2)[0], text.replace("**", "").replace("`", ""))

    @in_browser
    def test_accessible(self) -> None:
        if not AXE.exists():
            raise SkipTest("no look at the accessibility: axe-core is not there (npm ci)")
        self.script.said(2, "tasya", "@messi and @henderson", mentions=["messi", "henderson"])
        messi = self.messi(size=NARROW, reduced_motion="reduce")
        messi.open_group("bola")
        for theme in THEMES:
            messi.has_theme(theme)
            messi.composer.fill("")
            self.writes(messi, "@")
            expect(messi.page.get_by_role("option")).to_have_count(4)
            messi.fits()
            self.assertEqual(violations(messi, [], True), [])
