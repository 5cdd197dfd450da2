"""A person blocks another one on the page, lifts the block, ends a session, and downloads their data."""

from __future__ import annotations

from typing import Any

from tests.support import ROOT
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
UNLOADED = """
async () => {
    const { Store } = await import("/copy/store.js");
    return new Promise((done) => {
        const store = { refreshSoon: () => done("loaded again") };
        Store.prototype.takeChange.call(store, { kind: "group" }).catch(String).then(done);
    });
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
        messi = self.person("messi")
        page = messi.page
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
        self.change_without_its_module(messi)

    def change_without_its_module(self, messi: Person) -> None:
        """If the module that takes changes can't be loaded, the list is loaded again."""
        store = (ROOT / "chatd" / "web" / "static" / "js" / "store.js").read_text()
        copy = store.replace('from "./', 'from "/static/js/')
        body = {"body": copy, "content_type": "text/javascript"}
        messi.page.route("**/copy/store.js", lambda route: route.fulfill(**body))
        messi.page.route("**/copy/changes.js", lambda route: route.abort())
        messi.expects("ERR_FAILED")
        self.assertEqual(messi.page.evaluate(UNLOADED), "loaded again")


NOTIFY = """
() => {
    globalThis.told = [];
    globalThis.Notification = class {
        static permission = "granted";
        constructor(head, { body }) {
            told.push([head, body]);
        }
    };
    Object.defineProperty(document, "hidden", { value: true, configurable: true });
}
"""


class Requests(Scripted):
    @in_browser
    def test_text_is_not_told(self) -> None:
        """The text of somebody who asks to write is neither announced nor in a notification. That of somebody
        elsewhere who is accepted is."""
        messi = self.messi()
        messi.open_group("bola")
        self.arrives(3, "orang@realm9", "beli obat", request="open")
        live = messi.page.locator(".announcements[role=status]")
        expect(live).to_contain_text("orang@realm9: Wants to write to you")
        self.arrives(4, "tim@realm2", "halo")
        expect(live).to_contain_text("tim@realm2: halo")
        messi.page.evaluate(NOTIFY)
        self.arrives(5, "asing@realm9", "beli rumah", request="open")
        self.arrives(6, "ayu@realm2", "apa kabar")
        messi.page.wait_for_function("() => told.length === 2")
        told = messi.page.evaluate("() => told")
        asked = ["asing@realm9", "Wants to write to you"]
        self.assertEqual(told, [asked, ["ayu@realm2", "apa kabar"]])

    def arrives(self, conversation: int, sender: str, text: str, **listed: Any) -> None:
        """A message begins a conversation with somebody elsewhere."""
        message: dict[str, Any] = {"conversation": conversation, "seq": 1, "id": conversation}
        message |= {"from": sender, "to": "messi", "text": text, "at": "2026-11-20T12:00:00Z"}
        place = {"conversation": conversation, "user": sender, "name": sender, "last": message}
        place |= {"unread": 1, "read": 0, "seq": 1, **listed}
        self.script.answers["conversations"] = lambda _request: {"conversations": [place]}
        self.script.push("message", message)


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
