"""Two realms in the browser: one is added on a page, and gets messages while it is up and down."""

from __future__ import annotations

from tests.support.browser import BrowserTestCase, CautiousSite, Site, in_browser
from tests.support.order import long_test
from tests.support.page import GONE, Person
from tests.support.visitor import expect


class Realms(BrowserTestCase):
    @long_test
    @in_browser
    def test_two_realms(self) -> None:
        there = self.realm("realm2", CautiousSite)
        messi = self.person("messi")
        henderson = self.person("henderson", site=there, worker=True)
        messi.go("#/settings")
        messi.fill("Operator's code", "0000-0000-0000-0000")
        messi.press_button("Become an operator")
        messi.is_told("That is not the operator code")
        messi.fill("Operator's code", self.site.operator_code)
        messi.press_button("Become an operator")
        messi.is_told("You are an operator of this realm.")
        messi.go("#/realms")
        messi.fill("Name of the realm", "realm2")
        messi.fill("Host", "127.0.0.1")
        messi.fill("Port", str(there.ports["peers"]))
        messi.press_button("Add")
        messi.is_told("Connected")
        messi.start_chat("henderson@realm2")
        messi.say("halo dari realm1")
        messi.sees_as("halo dari realm1", "Requested")
        self.accepts(henderson)
        messi.sees_as("halo dari realm1", "Delivered|Read")
        henderson.say("halo juga")
        messi.sees("halo juga")
        self.invited(messi, there)
        messi.open_chat("henderson@realm2")
        self.away(messi, henderson, there)
        self.assertEqual(messi.texts(), henderson.texts())

    def accepts(self, henderson: Person) -> None:
        """Nobody in realm2 has added realm1, so a message from there is a request first."""
        expect(henderson.row("messi@realm1")).to_contain_text("Wants to write to you")
        henderson.follow_row("messi@realm1", unread=1)
        henderson.sees("halo dari realm1")
        bar = henderson.page.get_by_role("region", name="Message request")
        henderson.is_quiet()
        bar.get_by_role("button", name="Accept").click()
        henderson.is_told("messi@realm1 can write to you now")
        expect(bar).to_be_hidden()

    def invited(self, messi: Person, there: Site) -> None:
        """An invitation to a group there is answered on the page of groups."""
        with there.login("henderson") as talker:
            for group in ("bola", "tenis"):
                talker.must(command="addgroup", group=group)
                talker.must(command="invite", group=group, users=["messi@realm1"])
        messi.page.get_by_role("link", name="2 invitations Groups").click()
        messi.press_button("Decline the invitation to tenis@realm2")
        messi.press_button("Accept the invitation to bola@realm2")
        messi.heading("bola@realm2")
        expect(messi.row("bola@realm2")).to_be_visible()

    def away(self, messi: Person, henderson: Person, there: Site) -> None:
        """Messages to a realm that is down wait, and arrive when it is up again."""
        henderson.expects(GONE)
        henderson.has_worker()
        there.kill()
        messi.say("are you there?")
        messi.sees_as("are you there?", "Queued")
        messi.go("#/realms")
        messi.is_told("Not reachable")
        messi.is_told("1 message")
        there.launch()
        henderson.sees("are you there?")
        messi.is_told("Connected")
        messi.open_chat("henderson@realm2")
        messi.sees_as("are you there?", "Delivered|Read")

    @in_browser
    def test_undeliverable_message(self) -> None:
        """A message that can't be delivered says so."""
        there = self.realm("realm2")
        messi = self.person("messi")
        with self.site.login("messi") as talker:
            self.site.claim(talker)
            talker.must(
                command="addrealm", realm="realm2", host="127.0.0.1", port=there.ports["peers"]
            )
        messi.open_chat("nobody@realm2")
        messi.say("hello?")
        expect(messi.sees("hello?")).to_contain_text("There is no user nobody in realm2")
