"""A person blocks another one on the page, lifts the block, ends a session, and downloads their data."""

from __future__ import annotations

from tests.support.browser import PASSWORD, BrowserTestCase, in_browser
from tests.support.visitor import expect

WANTED = """
async ([chosen, mentions]) => {
    const { isWanted } = await import("/static/js/notify.js");
    const store = { conversation: () => chosen, isMe: (who) => who === "messi" };
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
