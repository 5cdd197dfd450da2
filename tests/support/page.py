"""A person at the pages of the client, who finds everything by role and label, as with a screen reader."""

from __future__ import annotations

import base64
import contextlib
import copy
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tests.support.browser import PASSWORD, Site
from tests.support.visitor import PATIENCE, Visitor, expect

WIDE = (1440, 900)
NARROW = (360, 740)
#: How a browser reports that no server listens.
GONE = (
    r"net::ERR_(CONNECTION_REFUSED|CONNECTION_RESET|EMPTY_RESPONSE|INTERNET_DISCONNECTED|FAILED)"
    r"|WebSocket connection to|unknown error occurred when fetching the script"
)

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Dialog, FilePayload, Locator, Request


class Person(Visitor):
    """A person with a browser context of their own, and one page in it (or more: `tab`).

    Without `worker`, the page's service worker is not installed: that would load all files of the client
    again, which takes longer than many tests.
    """

    def __init__(
        self,
        browser: Browser,
        site: Site,
        size: tuple[int, int] = WIDE,
        theme: str = "light",
        worker: bool = False,
        **options: Any,
    ) -> None:
        self.site = site
        self._worker = worker
        self.name = ""
        self.complaints: list[str] = []
        self.requests: list[Request] = []
        self._expected: list[str] = []
        self.context = browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme="dark" if theme == "dark" else "light",
            locale=options.pop("locale", "en-GB"),
            base_url=site.url,
            service_workers="allow" if worker else "block",
            **options,
        )
        self.context.set_default_timeout(PATIENCE)
        self.context.on("console", self._on_console)
        self.context.on("weberror", lambda error: self._complain(f"not caught: {error.error}"))
        self.context.on("dialog", self._on_dialog)
        self.context.on("request", self._on_request)
        self.page = self.context.new_page()

    # Errors that the pages have reported.

    def _complain(self, sentence: str) -> None:
        self.complaints.append(sentence)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "assert"):
            self._complain(f"console: {message.text} ({message.location.get('url')})")

    def _on_dialog(self, dialog: Dialog) -> None:
        self._complain(f"a dialog of the browser: {dialog.message}")
        dialog.dismiss()

    def _on_request(self, request: Request) -> None:
        self.requests.append(request)
        parts = urlsplit(request.url)
        if parts.scheme in ("http", "https", "ws", "wss") and not request.url.startswith(
            (self.site.url, self.site.url.replace("http", "ws"))
        ):
            self._complain(f"a request to elsewhere: {request.url}")

    def expects(self, pattern: str) -> None:
        """Allow such errors in this test."""
        self._expected.append(pattern)

    def has_no_complaint(self) -> None:
        pattern = re.compile("|".join(self._expected) or r"(?!)")
        found = [each for each in self.complaints if not pattern.search(each)]
        assert not found, f"{self.name or 'somebody'}'s pages complain: {found}"

    def describe(self) -> str:
        """The current page, for the report of a failed test."""
        try:
            shown = self.page.locator("body").aria_snapshot(timeout=2000)
        except Exception as error:  # the page may be gone
            shown = str(error)
        return f"{self.name or 'Somebody'} at {self.page.url}:\n{shown}\n{self.complaints}"

    def close(self) -> None:
        with contextlib.suppress(Exception):  # the browser may be gone
            self.context.close()

    # Logging in and out

    def enter(self, name: str) -> None:
        """Register without the page, and open the list as a logged-in user."""
        self.name = name
        account = {"username": name, "password": PASSWORD}
        answer = self.context.request.post("/accounts", data=account)
        assert answer.status == 201, answer.text()
        self.page.goto("/")
        self.is_in()

    def comes_back(self, name: str) -> None:
        """Open the page as a user with an account, who is logged in in this browser."""
        self.name = name
        account = {"username": name, "password": PASSWORD}
        answer = self.context.request.post("/session", data=account)
        assert answer.ok, answer.text()
        self.page.goto("/")
        self.is_in()

    def is_in(self) -> None:
        """Wait for the page of a logged-in user."""
        expect(self.page.get_by_role("heading", name="Chats")).to_be_visible()

    def register(self, name: str, display_name: str = "") -> None:
        """Fill in the form."""
        self.name = name
        self.go("#/register")
        self.fill("Username", name)
        self.fill("Password", PASSWORD)
        if display_name:
            self.fill("Your name (optional)", display_name)
        self.press_button("Make the account")
        self.is_in()

    def log_in(self, name: str, password: str = PASSWORD) -> None:
        """Fill in the form, with any outcome."""
        self.name = name
        self.go("#/login")
        self.fill("Username", name)
        self.fill("Password", password)
        self.press_button("Log in")

    def is_out(self) -> None:
        """Wait for the login form."""
        expect(self.page.get_by_role("button", name="Log in", exact=True)).to_be_visible()

    def tab(self) -> Person:
        """The same person in another tab of the same browser."""
        other = copy.copy(self)
        other.page = self.context.new_page()
        other.page.goto("/")
        other.is_in()
        return other

    def contact(self, name: str) -> Locator:
        """The row of a contact."""
        contacts = self.page.get_by_role("list", name="Your contacts")
        return contacts.get_by_role("listitem").filter(has_text=name)

    # The list of conversations

    def row(self, name: str) -> Locator:
        """The row of a conversation with a user, or of a group."""
        conversations = self.page.get_by_role("list", name="Conversations")
        return conversations.get_by_role("listitem").filter(has_text=name)

    def unread(self, name: str, count: int) -> None:
        """Wait until that many messages are unread there."""
        expect(self.row(name)).to_be_visible()
        badge = self.row(name).get_by_text(f"{count} unread")
        if count:
            expect(badge).to_have_count(1)
        else:
            expect(self.row(name).get_by_text("unread")).to_have_count(0)

    def follow_row(self, name: str, unread: int | None = None) -> None:
        """Open a conversation from the list."""
        if unread is not None:
            self.unread(name, unread)
        self.row(name).get_by_role("link").click()
        expect(self.composer).to_be_visible()

    def start_chat(self, with_whom: str) -> None:
        """Start a conversation with the button of the list."""
        self.follow("New chat")
        self.heading("New chat")
        self.fill("Who do you want to write to?", with_whom)
        self.page.keyboard.press("Enter")
        expect(self.composer).to_be_visible()

    # In a conversation

    @property
    def composer(self) -> Locator:
        return self.page.get_by_role("textbox", name="Message")

    @property
    def bubbles(self) -> Locator:
        """The conversation's messages, oldest first."""
        return self.page.get_by_role("log").locator(".message")

    def bubble(self, text: str) -> Locator:
        """The message with exactly this text."""
        return self.bubbles.filter(has=self.page.get_by_text(text, exact=True))

    def scrolled_up_to(self, text: str) -> float:
        """Scroll until that message is the first visible one. Returns its position from the top, in px."""
        return float(
            self.bubble(text).evaluate(
                "(node) => (node.scrollIntoView({ block: 'start' }), node.getBoundingClientRect().top)"
            )
        )

    def top_of(self, text: str) -> float:
        """The position of a message from the top, in px."""
        return float(self.bubble(text).evaluate("(node) => node.getBoundingClientRect().top"))

    def open_chat(self, with_whom: str) -> None:
        self.go(f"#/u/{with_whom}")
        expect(self.composer).to_be_visible()

    def open_group(self, group: str) -> None:
        self.go(f"#/g/{group}")
        expect(self.composer).to_be_visible()

    def say(self, text: str) -> None:
        self.composer.fill(text)
        self.composer.press("Enter")

    def sees(self, text: str) -> Locator:
        """Wait for a visible message with that text."""
        found = self.bubbles.filter(has_text=text).last
        expect(found).to_be_visible()
        return found

    def sees_as(self, text: str, delivery: str) -> None:
        """Wait until the user's own message is `Sent`, `Queued`, …"""
        expect(self.sees(text).locator(".delivery")).to_have_text(
            re.compile(delivery, re.IGNORECASE)
        )

    def opens_menu(self, text: str) -> None:
        """Open the menu of a message."""
        found = self.sees(text)
        found.hover()
        found.locator(".message-more").click()
        expect(self.page.get_by_role("menuitem").first).to_be_visible()

    def choose_from_menu(self, text: str, action: str) -> None:
        """Do something with a message."""
        self.opens_menu(text)
        self.page.get_by_role("menuitem", name=action, exact=True).click()

    def texts(self) -> list[str]:
        """The texts of the messages, oldest first."""
        return self.page.locator(".bubble-text").all_inner_texts()

    def waits_for_texts(self, count: int) -> list[str]:
        """The texts of the messages, once there are that many."""
        self.waits_for(lambda: len(self.texts()) >= count, 3 * PATIENCE)
        return self.texts()

    # Files

    def attach(self, *files: FilePayload | Path) -> None:
        """Choose files with the button and the browser's own dialog. A large one should be on disk: bytes
        from here are sent to the browser as text."""
        with self.page.expect_file_chooser() as choosing:
            self.press_button("Attach files")
        choosing.value.set_files(list(files))  # type: ignore[arg-type]

    def has_worker(self) -> None:
        """Wait for the service worker, which has the page for the time when no server answers."""
        assert self._worker, "it is not installed for this person"
        self.page.evaluate("navigator.serviceWorker.ready.then(() => null)")

    def is_slow(self, rate: float = -1) -> None:
        """Limit the speed of sending to that many bytes a second, or lift the limit."""
        network = self.context.new_cdp_session(self.page)
        network.send(
            "Network.emulateNetworkConditions",
            {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": rate},
        )

    def sends_files(self) -> None:
        """Press the button that sends the chosen files, and wait until they are there."""
        self.press_button("Send")
        expect(self.page.get_by_role("progressbar")).to_have_count(0)

    def sees_file(self, name: str) -> Locator:
        """Wait for a file's card, or for a picture."""
        page = self.page
        found = page.locator("a.file").filter(has_text=name).or_(page.get_by_role("img", name=name))
        expect(found.last).to_be_visible()
        return found.last

    def pastes(self, file: FilePayload) -> None:
        """Paste into the composer, as from the clipboard."""
        self._hand_over("paste", "clipboardData", file, self.composer)

    def drops(self, file: FilePayload) -> None:
        """Drop a file on the conversation, as from the desktop."""
        onto = self.page.get_by_role("log")
        for event in ("dragenter", "dragover", "drop"):
            self._hand_over(event, "dataTransfer", file, onto)

    def _hand_over(self, event: str, where: str, file: FilePayload, onto: Locator) -> None:
        onto.evaluate(
            """(node, [event, where, name, type, base64]) => {
                const data = new DataTransfer();
                const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
                data.items.add(new File([bytes], name, { type }));
                const options = { bubbles: true, cancelable: true, composed: true, [where]: data };
                node.dispatchEvent(
                    event === "paste" ? new ClipboardEvent(event, options) : new DragEvent(event, options),
                );
            }""",
            [
                event,
                where,
                file["name"],
                file["mimeType"],
                base64.b64encode(file["buffer"]).decode(),
            ],
        )

    def downloads(self, name: str) -> bytes:
        """Download with a file's card or a picture's button, and return the bytes."""
        with self.page.expect_download() as coming:
            self.page.get_by_role("link", name=name).last.click()
        return Path(coming.value.path()).read_bytes()
