"""A person blocks another one on the page, lifts the block, ends a session, and downloads their data."""

from __future__ import annotations

from typing import Any

from tests.support.browser import PASSWORD, BrowserTestCase, in_browser
from tests.support.page import Person
from tests.support.scripted import Scripted
from tests.support.visitor import expect

WANTED = """
async ([chosen, mentions]) => {
    const { isWanted } = await import("/static/js/notify.js");
    const { Store } = await import("/static/js/store.js");
    const store = {
        conversation: () => chosen,
        notifyLevel: Store.prototype.notifyLevel,
        isMe: (who) => who === "messi",
    };
    return isWanted(store, {}, { mentions });
}
"""
PAST, FUTURE = "2020-01-01T00:00:00Z", "2999-01-01T00:00:00Z"


class Blocking(BrowserTestCase):
    @in_browser
    def test_from_a_message_to_the_settings(self) -> None:
        """The messages of a blocked person are folded in groups. The settings lift the block, end another
        session and download the data."""
        messi, telnet = self.person("messi"), self.telnet()
        telnet.type(f"register henderson {PASSWORD}")
        telnet.type("addgroup bola")
        telnet.sees("groupcode")
        telnet.type("invite bola messi")
        telnet.sees("1 invited")
        telnet.type("sendgroup bola iklan murah")
        messi.open_group("bola")
        messi.choose_from_menu("iklan murah", "Block henderson")
        messi.confirm("Block henderson")
        messi.is_told("henderson is blocked")
        folded = messi.page.locator("details.bubble-blocked")
        expect(folded).to_have_count(1)
        expect(folded.get_by_text("iklan murah")).to_be_hidden()
        folded.locator("summary").click()
        expect(folded.get_by_text("iklan murah")).to_be_visible()
        telnet.type("send messi halo")
        telnet.sees("not-accepted")
        other = self.telnet()
        other.type(f"login messi {PASSWORD}")
        other.sees("Welcome")
        messi.go("#/settings")
        messi.press_button("Unblock henderson")
        messi.is_told("henderson is no longer blocked")
        messi.is_told("Chrome, Linux")
        messi.press_button("End the session of plain")
        messi.is_told("The session has ended")
        other.type("whoami")
        other.sees("not-logged-in")
        with messi.page.expect_download() as download:
            messi.page.get_by_role("link", name="Download my data").click()
        self.assertTrue(download.value.suggested_filename.endswith(".zip"))
        telnet.type("send messi halo")
        telnet.sees("Message sent")

    @in_browser
    def test_notifications(self) -> None:
        """The choice for a conversation decides until its time is over."""
        page = self.person("messi").page
        for chosen, mentions, wanted in (
            ({}, [], True),
            ({"notify": "none"}, ["messi"], False),
            ({"notify": "mentions"}, ["henderson"], False),
            ({"notify": "mentions"}, ["messi"], True),
            ({"notify": "mentions"}, ["@all"], True),
            ({"notify": "none", "until": FUTURE}, [], False),
            ({"notify": "none", "until": PAST}, [], True),
        ):
            with self.subTest(chosen=chosen, mentions=mentions):
                self.assertIs(page.evaluate(WANTED, [chosen, mentions]), wanted)


class Preferences(Scripted):
    def setUp(self) -> None:
        super().setUp()
        self.chosen: dict[str, Any] = {}
        listed = self.script._listed
        self.script.answers |= {
            "conversations": lambda _request: {
                "conversations": [{**listed(1), **self.chosen}, listed(2)]
            },
            "archive": lambda request: self.choose(archived=request["on"]),
            "notify": lambda request: self.choose(
                notify=request["level"], until=request.get("until")
            ),
        }

    def choose(self, **chosen: Any) -> dict[str, Any]:
        self.chosen |= chosen
        return chosen

    @in_browser
    def test_archive(self) -> None:
        """An archived conversation has a place of its own, and shows there what is unread."""
        messi = self.messi()
        archived = messi.page.get_by_role("button", name="Archived")
        expect(archived).to_have_count(0)
        self.from_menu(messi, "Archive")
        messi.is_told("Jordan Henderson is in the archive")
        expect(messi.row("Jordan Henderson")).to_have_count(0)
        message = self.script.said(1, "henderson", "halo")
        messi.go("#/settings")
        messi.heading("Settings")
        self.script.push("message", message)
        expect(archived).to_contain_text("1 unread")
        expect(messi.page.get_by_role("link", name="Chats")).not_to_contain_text("unread")
        archived.click()
        expect(messi.row("Jordan Henderson")).to_contain_text("halo")
        expect(messi.row("bola")).to_have_count(0)
        self.from_menu(messi, "Take out of the archive")
        messi.is_told("The archive is empty")
        messi.press_button("All")
        expect(messi.row("Jordan Henderson")).to_be_visible()
        expect(archived).to_have_count(0)

    @in_browser
    def test_notify(self) -> None:
        messi = self.messi()
        self.from_menu(messi, "Notifications")
        messi.page.get_by_label("Notify me of").select_option("No messages")
        messi.page.get_by_label("For how long").select_option("8 hours")
        messi.press_button("Save")
        messi.is_told("The choice is saved")
        self.assertEqual(self.asked("notify")["conversation"], 1)
        self.assertIn("until", self.asked("notify"))
        expect(messi.row("Jordan Henderson")).to_contain_text("Muted")
        self.from_menu(messi, "Notifications")
        messi.is_told("Now until")
        messi.page.get_by_label("Notify me of").select_option("All messages")
        expect(messi.page.get_by_label("For how long")).to_be_hidden()
        messi.press_button("Save")
        expect(messi.row("Jordan Henderson")).not_to_contain_text("Muted")

    def from_menu(self, messi: Person, item: str) -> None:
        messi.open_chat("henderson")
        messi.press_button("More about this conversation")
        messi.page.get_by_role("menuitem", name=item, exact=True).click()
