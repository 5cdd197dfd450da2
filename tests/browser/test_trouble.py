"""Failures in the browser: the daemon is killed, requests get no reply, and messages contain hostile text."""

from __future__ import annotations

from chatd.base.characters import isolated
from tests.support.browser import BrowserTestCase, in_browser
from tests.support.gateway import FrontedSite
from tests.support.order import long_test
from tests.support.page import GONE, NARROW, WIDE
from tests.support.visitor import expect

EACH = 5  # messages of each side, before, while and after the daemon is gone

HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "javascript:alert(1)",
    "[x](javascript:alert(1)) data:text/html,<script>alert(1)</script>",
    "\u202eevil\u202c \u2066iso\u2069 \u200fRTL \u202eopen to the end",
    "x" * 8192,
    "\u0645" * 4096,
    "a\u0300\u0301\u0302\u0303" * 200,
    "&lt;b&gt;&amp;nbsp;",
    "__proto__",
    "{{7*7}} ${7*7}",
)


class Killed(BrowserTestCase):
    @long_test
    @in_browser
    def test_nothing_is_lost_or_duplicated(self) -> None:
        """`kill -9` while both pages write; then the daemon starts again."""
        messi, henderson = (self.person(name, worker=True) for name in ("messi", "henderson"))
        for person, other in ((messi, "henderson"), (henderson, "messi")):
            person.expects(GONE)
            person.open_chat(other)
            person.has_worker()
        both = ((messi, "m"), (henderson, "h"))
        for number in range(3 * EACH):
            if number == EACH:
                self.site.kill()
            elif number == 2 * EACH:
                self.site.launch()
            for person, label in both:
                person.say(f"{label} {number}")
        for person, label in both:
            for each, _ in both:
                each.sees(f"{label} {3 * EACH - 1}")
            waiting = person.page.locator(".delivery-sending, .delivery-waiting")
            expect(waiting).to_have_count(0, timeout=30_000)
        told = [person.waits_for_texts(6 * EACH) for person, _ in both]
        self.assertEqual(told[0], told[1])
        for _, label in both:
            mine = [text for text in told[0] if text.startswith(f"{label} ")]
            self.assertEqual(mine, [f"{label} {number}" for number in range(3 * EACH)])
        self.assertEqual(len(told[0]), 6 * EACH)
        with self.site.login("messi") as talker:
            page = talker.must(command="history", user="henderson", n=500)
            self.assertEqual([each["text"] for each in page["messages"]], told[0])

    @in_browser
    def test_page_that_was_never_loaded(self) -> None:
        """A page that is requested while the daemon is down, without a worker: it says so, and loads later by
        itself."""
        messi = self.person("messi")
        messi.expects(GONE)
        self.site.kill()
        messi.go("#/rooms")
        lost = messi.page.get_by_role("heading", level=1, name="This page could not be shown")
        expect(lost).to_have_count(1)
        self.site.launch()
        expect(messi.page.get_by_role("heading", level=1, name="Rooms")).to_be_visible()

    @in_browser
    def test_unsent_messages_survive_a_reload(self) -> None:
        """Unsent messages survive a reload of the page."""
        messi, henderson = (self.person(name, worker=True) for name in ("messi", "henderson"))
        for person in (messi, henderson):
            person.expects(GONE)
        messi.open_chat("henderson")
        messi.say("one")
        messi.sees_as("one", "Sent")
        for person in (messi, henderson):
            person.has_worker()
        self.site.kill()
        messi.say("two")
        messi.sees("two")
        messi.page.reload()
        self.site.launch()
        henderson.follow_row("messi")
        henderson.sees("two")
        messi.open_chat("henderson")
        messi.sees_as("two", "Sent|Read")
        self.assertEqual(messi.texts(), ["one", "two"])

    @in_browser
    def test_page_without_a_daemon(self) -> None:
        """The service worker has the shell, so the page is shown, and says what is wrong."""
        messi = self.person("messi", worker=True)
        messi.expects(GONE)
        messi.has_worker()
        self.site.kill()
        messi.page.reload()
        expect(messi.page.get_by_role("main")).to_be_visible()
        self.site.launch()
        messi.is_in()


class BehindAProxy(BrowserTestCase):
    """The proxy finds no node for a while, and answers with pages of its own."""

    site: FrontedSite

    def begin(self) -> FrontedSite:
        site = FrontedSite(self.root, "realm1")
        self.addCleanup(site.close)
        return site.start()

    @long_test
    @in_browser
    def test_pages_of_the_proxy(self) -> None:
        """Nobody is logged out, an upload under way goes on, and what was written is sent once."""
        gateway = self.site.gateway
        messi, henderson = self.person("messi", worker=True), self.other("henderson")
        messi.expects(GONE + r"|with a status of (404|429|502|503)")
        messi.has_worker()
        messi.open_chat("henderson")
        file = self.root / "large.bin"
        file.write_bytes(bytes(range(256)) * 2000)
        messi.is_slow(500_000)
        messi.attach(file)
        messi.press_button("Send")
        bar = messi.page.get_by_role("progressbar", name="Sending large.bin")
        messi.waits_for(lambda: float(bar.get_attribute("value") or 0) > 0)
        gateway.go_away()
        messi.is_slow()
        messi.say("while it was away")
        messi.waits_for(lambda: {"GET /ws", "HEAD /uploads"} <= set(gateway.answered))
        gateway.come_back()
        messi.sees_file("large.bin")
        messi.sees_as("while it was away", "Sent")
        found = henderson.must(command="history", user="messi")["messages"]
        self.assertEqual(len(found), 2)
        sizes = [each["file"]["size"] for each in found if "file" in each]
        self.assertEqual(sizes, [file.stat().st_size])
        gateway.go_away()
        gateway.answered.clear()
        messi.page.reload()
        messi.waits_for(lambda: gateway.answered.count("GET /session") > 1)
        gateway.come_back()
        messi.sees("while it was away")
        self.assertEqual(messi.texts(), ["while it was away"])


class Hostile(BrowserTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.site.register("mallory", "messi")
        with self.site.login("mallory") as mallory:
            for text in HOSTILE:
                mallory.must(command="send", to="messi", text=text)

    @in_browser
    def test_on_a_phone_and_a_laptop(self) -> None:
        for size in (NARROW, WIDE):
            self.shown_on(size)

    def shown_on(self, size: tuple[int, int]) -> None:
        """The text is shown as it was written, reorders nothing, becomes no markup, and does not widen the
        page."""
        messi = self.person(size=size)
        messi.comes_back("messi")
        messi.fits()
        messi.open_chat("mallory")
        messi.sees(HOSTILE[-1])
        found = messi.page.locator(".bubble-text").evaluate_all(
            "(nodes) => nodes.map((node) => [node.textContent, node.childElementCount])"
        )
        self.assertEqual(found, [[isolated(text), 0] for text in HOSTILE])
        messi.fits()
        wide = messi.page.locator(".bubble").evaluate_all(
            "(nodes) => nodes.filter((node) => node.getBoundingClientRect().right > innerWidth).length"
        )
        self.assertEqual(wide, 0)
        self.assertEqual(len(messi.context.pages), 1)

    @in_browser
    def test_names_and_links(self) -> None:
        """Only http and https addresses become links. They open in a new tab, and send no referrer."""
        with self.site.login("mallory") as mallory:
            mallory.must(command="profile", name="<img src=x onerror=alert(1)>")
            mallory.must(
                command="send", to="messi", text="see https://chat.example.org/a?b#c. javascript:x"
            )
        messi = self.person()
        messi.comes_back("messi")
        messi.follow_row("onerror")
        links = messi.page.locator(".bubble-text a")
        expect(links).to_have_count(1)
        self.assertEqual(links.get_attribute("href"), "https://chat.example.org/a?b#c")
        self.assertEqual(links.get_attribute("rel"), "noopener noreferrer")
        self.assertEqual(links.get_attribute("target"), "_blank")
        self.assertEqual(messi.page.locator("img[src=x]").count(), 0)
        messi.fits()
