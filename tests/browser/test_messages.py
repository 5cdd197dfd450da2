"""What a conversation shows of messages and of what happens to them, and what can be done with them."""

from __future__ import annotations

import time
from unittest import SkipTest

from tests.browser.test_access import THEMES, violations
from tests.support.browser import AXE, BrowserTestCase, in_browser
from tests.support.page import NARROW
from tests.support.scripted import Scripted
from tests.support.visitor import expect

RENDER = """
async (texts) => {
    const { richText } = await import("/static/js/chat/rich.js");
    return texts.map((text) => {
        const node = document.createElement("div");
        node.append(...richText(text));
        return node.innerHTML.replaceAll(' target="_blank" rel="noopener noreferrer"', "");
    });
}
"""
TEXTS = {
    "**a** *b* _c_ ~~d~~": "<strong>a</strong> <em>b</em> <em>c</em> <s>d</s>",
    "2*3*4 snake_case_name __proto__ **": "2*3*4 snake_case_name __proto__ **",
    "**a *b** c* ***d***": "<strong>a *b</strong> c* ***d***",
    "**a\nb**": "**a\nb**",
    "这是**粗体**文字": "这是<strong>粗体</strong>文字",
    "`*a* <b>`": '<code class="code">*a* &lt;b&gt;</code>',
    "a\n```py\nx *y*\n```\nb": 'a<pre class="code-block" dir="ltr"><code>x *y*</code></pre>b',
    "```\nnever closed": "```\nnever closed",
    "> a\n> *b*\nc": '<blockquote class="quote-block" dir="auto">a\n<em>b</em></blockquote>c',
    "see http://a.example/(b).": 'see <a href="http://a.example/(b)" dir="ltr">http://a.example/(b)</a>.',
    "mailto:a@b.example": '<a href="mailto:a@b.example" dir="ltr">mailto:a@b.example</a>',
    "[http://good.example](http://evil.example/x)": '<a href="http://evil.example/x" title="http://evil.example/x">'
    'http://good.example</a><bdi class="link-host" dir="ltr"> (evil.example)</bdi>',
    "[a](javascript:alert(1)) http://user@evil.example/": "[a](javascript:alert(1)) http://user@evil.example/",
    '<img src=x> &amp; [a](https://x"onclick=alert(1))': "&lt;img src=x&gt; &amp;amp; "
    '[a](<a href="https://x/" dir="ltr">https://x</a>"onclick=alert(1))',
    "\u202eopen **bold**": "\u2068\u202eopen \u202c\u2069<strong>bold</strong>",
}
LONG = ("* " * 4096, "`" * 8192, ">\n" * 4096, "```x\n" * 1600, " *a" * 2700, "[a](http://b" * 680)


class Shown(Scripted):
    def example(self) -> None:
        """A conversation with everything that a message can have."""
        said = self.script.said
        said(1, "henderson", "Are you coming on **Saturday**?\nBring _two_ tickets.")
        said(
            1,
            "messi",
            "Yes!",
            reply=1,
            edited="2026-11-20T11:00:00Z",
            reactions={"👍": ["henderson"]},
        )
        said(1, "henderson", None, deleted=True)
        said(1, "henderson", None, opaque={"type": "application/mls", "body": "AAAA"})
        said(1, "messi", "across", state="delivered")
        said(1, "messi", "waits", state="queued")
        said(1, "henderson", "from her", forwarded="tasya@realm2", unverified=True, pinned=True)
        said(1, "henderson", "about something old", reply=999)
        self.script.marks = [{"who": "henderson", "seq": 2}]
        self.script.read[1] = self.script.head(1)

    @in_browser
    def test_texts(self) -> None:
        messi = self.messi()
        found = messi.page.evaluate(RENDER, list(TEXTS))
        for text, shown in zip(TEXTS, found, strict=True):
            self.assertEqual(shown, TEXTS[text])
        start = time.monotonic()
        messi.page.evaluate(RENDER, LONG)
        self.assertLess(time.monotonic() - start, 5)

    @in_browser
    def test_states_and_marks(self) -> None:
        self.example()
        messi = self.messi()
        messi.open_chat("henderson")
        expect(messi.sees("Yes!").locator(".quoted")).to_contain_text(
            "Jordan HendersonAre you coming on Saturday?"
        )
        messi.sees_as("Yes!", "Read")
        expect(messi.sees("Yes!")).to_contain_text("edited")
        expect(messi.sees("Yes!").get_by_role("button", name="👍")).to_have_attribute(
            "title", "Jordan Henderson"
        )
        messi.sees("Message deleted")
        messi.sees("Encrypted message")
        messi.sees_as("across", "Delivered")
        messi.sees_as("waits", "Queued")
        expect(messi.sees("from her")).to_contain_text("Forwarded from tasya@realm2")
        expect(messi.sees("from her")).to_contain_text("Unverified")
        expect(messi.sees("something old")).to_contain_text("be shown")

    @in_browser
    def test_events(self) -> None:
        """What happens to messages is shown as it is told, in the conversation and in the list."""
        self.example()
        messi, push = self.messi(), self.script.push
        messi.open_chat("henderson")
        messi.sees("something old")
        at = "2026-11-20T12:00:00Z"
        change = {"conversation": 1, "from": "henderson", "at": at}
        push("edited", {**change, "seq": 20, "target": 8, "text": "about the new one"})
        messi.sees("about the new one")
        expect(messi.row("Jordan")).to_contain_text("about the new one")
        push("reaction", {**change, "seq": 21, "target": 2, "emoji": "🎉", "on": True})
        push("reaction", {**change, "seq": 22, "target": 2, "emoji": "👍", "on": False})
        expect(messi.sees("Yes!").locator(".reaction")).to_have_text(["🎉1"])
        push("deleted", {**change, "seq": 23, "target": 1})
        expect(messi.page.get_by_text("tickets")).to_have_count(0)
        expect(messi.sees("Yes!").locator(".quoted")).to_contain_text("Message deleted")
        state = {"conversation": 1, "seq": 6, "id": 0}
        reason = "henderson does not accept it"
        push("state", {**state, "state": "refused", "reason": reason, "code": "not-accepted"})
        messi.sees_as("waits", "Not sent")
        expect(messi.sees("waits")).to_contain_text(reason)
        push("state", {"conversation": 1, "seq": 7, "id": 0, "state": "verified"})
        expect(messi.sees("from her")).not_to_contain_text("Unverified")
        reason = "the realm of tasya@realm2 did not sign it"
        push("state", {"conversation": 1, "seq": 7, "id": 0, "state": "forged", "reason": reason})
        messi.sees(reason)
        expect(messi.page.get_by_text("from her")).to_have_count(0)
        push("read", {"conversation": 1, "seq": 5, "who": "henderson"})
        messi.sees_as("across", "Read")
        push("typing", {"conversation": 1, "who": "henderson"})
        messi.is_told("typing…")
        push("message", self.script.said(1, "henderson", "done"))
        messi.sees("done")
        expect(messi.page.get_by_text("typing…")).to_have_count(0)

    @in_browser
    def test_members(self) -> None:
        """Changes of a group are lines among its messages, those of the past too."""
        script = self.script
        group = {"group": "bola", "by": "messi"}
        script.happened(2, "member", who="tasya", what="joined", **group)
        script.said(2, "tasya", "hello")
        script.happened(2, "member", who="henderson", what="invited", **group)
        script.happened(2, "member", who="henderson", what="joined", **group)
        script.happened(2, "member", who="alam@realm2", what="joined", **group)
        script.said(2, "messi", "hi")
        script.read[2] = script.head(2)
        messi = self.messi()
        messi.open_group("bola")
        lines = messi.page.locator(".happened-line p")
        expect(lines).to_have_text(
            ["You added Tasya Kamila", "You added Jordan Henderson and alam@realm2"]
        )
        script.push("group", script.happened(2, "group", title="Bola!", **group))
        messi.heading("Bola!")
        expect(lines.last).to_have_text("You changed the title to Bola!")
        change = script.happened(2, "member", who="messi", what="kicked", group="bola", by="tasya")
        script.push("member", change)
        messi.is_told("You were removed from bola")
        expect(messi.page.get_by_text("hello")).to_have_count(0)

    @in_browser
    def test_accessible(self) -> None:
        if not AXE.exists():
            raise SkipTest("no look at the accessibility: axe-core is not there (npm ci)")
        self.example()
        messi = self.messi(size=NARROW, reduced_motion="reduce")
        messi.open_chat("henderson")
        messi.sees("something old")
        for theme in THEMES:
            messi.has_theme(theme)
            messi.fits()
            self.assertEqual(violations(messi, [], True), [])
            messi.opens_menu("Yes!")
            messi.fits()
            self.assertEqual(violations(messi, [], True), [])
            messi.page.keyboard.press("Escape")


class Done(Scripted):
    @in_browser
    def test_by_keyboard(self) -> None:
        """The arrow keys reach each message and its menu; the composer answers and edits."""
        self.script.said(1, "henderson", "first")
        self.script.said(1, "messi", "secnd")
        messi = self.messi()
        messi.open_chat("henderson")
        messi.sees("secnd")
        keys = messi.page.keyboard
        messi.page.get_by_role("log").focus()
        for key in ("ArrowUp", "ArrowUp", "Enter"):
            keys.press(key)
        expect(messi.page.get_by_role("menuitemcheckbox").first).to_be_focused()
        messi.page.get_by_role("menuitem", name="Reply").press("Enter")
        expect(messi.composer).to_be_focused()
        messi.is_told("Reply to Jordan Henderson")
        messi.types("an answer")
        keys.press("Enter")
        expect(messi.sees("an answer").locator(".quoted")).to_contain_text("first")
        self.assertEqual(self.asked("send")["reply"], 1)
        messi.composer.fill("a draft")
        messi.choose_from_menu("secnd", "Edit")
        expect(messi.composer).to_have_value("secnd")
        messi.composer.fill("second")
        keys.press("Enter")
        expect(messi.sees("second")).to_contain_text("edited")
        self.assertEqual(self.asked("edit")["seq"], 2)
        expect(messi.composer).to_have_value("a draft")
        messi.composer.fill("")
        keys.press("ArrowUp")
        expect(messi.composer).to_have_value("an answer")
        keys.press("Escape")
        expect(messi.composer).to_have_value("")

    @in_browser
    def test_menu(self) -> None:
        self.script.said(1, "henderson", "first")
        self.script.said(1, "messi", "second")
        self.script.said(2, "messi", "third")
        messi = self.messi()
        messi.open_chat("henderson")
        messi.opens_menu("first")
        expect(messi.page.get_by_role("menuitem", name="Edit")).to_have_count(0)
        expect(messi.page.get_by_role("menuitem", name="Delete")).to_have_count(0)
        messi.page.get_by_role("menuitemcheckbox", name="React with 👍").click()
        chip = messi.sees("first").get_by_role("button", name="👍 1: You")
        expect(chip).to_have_attribute("aria-pressed", "true")
        chip.click()
        expect(chip).to_have_count(0)
        self.assertEqual((self.asked("react")["emoji"], self.asked("react")["on"]), ("👍", False))
        messi.choose_from_menu("second", "Pin")
        messi.is_told("Pinned")
        messi.choose_from_menu("second", "Forward")
        messi.page.get_by_role("dialog").get_by_role("button", name="bola").click()
        messi.is_told("Forwarded to bola")
        self.assertEqual(self.asked("forward")["to"], "#bola")
        self.script.answers["readers"] = lambda _: {"status": "OK", "readers": ["henderson"]}
        messi.open_group("bola")
        messi.choose_from_menu("third", "Read by")
        readers = messi.page.get_by_role("dialog").get_by_role("listitem")
        expect(readers).to_have_text("Jordan Henderson")
        messi.page.keyboard.press("Escape")
        messi.open_chat("henderson")
        messi.choose_from_menu("second", "Delete")
        messi.confirm("Delete")
        messi.sees("Message deleted")
        expect(messi.page.locator(".thread").get_by_text("second")).to_have_count(0)
        self.assertEqual(self.asked("delete")["seq"], 2)

    @in_browser
    def test_refused(self) -> None:
        """The realm refuses a change: it says why, and an edited text is not lost."""
        self.script.said(1, "messi", "old")
        refusal = {"status": "ERROR", "code": "not-yours", "message": "It is not yours"}
        self.script.answers["edit"] = lambda _: refusal
        messi = self.messi()
        messi.open_chat("henderson")
        messi.choose_from_menu("old", "Edit")
        messi.say("new")
        messi.is_told("It is not yours")
        expect(messi.composer).to_have_value("new")
        expect(messi.bubble("old")).to_be_visible()


class Far(Scripted):
    def setUp(self) -> None:
        super().setUp()
        for number in range(1000):
            self.script.said(1, "henderson", f"no. {number}")

    @in_browser
    def test_first_unread_of_many(self) -> None:
        """It begins at the first unread message, however many there are. What was in sight is read."""
        self.script.read[1] = 500
        messi = self.messi()
        messi.unread("Jordan", 500)
        messi.follow_row("Jordan")
        expect(messi.bubble("no. 500")).to_be_in_viewport()
        expect(messi.page.get_by_text("New", exact=True)).to_be_in_viewport()
        messi.waits_for(lambda: any(each["command"] == "read" for each in self.script.asked))
        self.assertLess(self.asked("read")["seq"], 540)
        while messi.bubble("no. 600").count() == 0:
            messi.page.get_by_role("log").press("PageDown")
        messi.page.get_by_role("button", name="Go to the newest").click()
        expect(messi.bubble("no. 999")).to_be_in_viewport()
        messi.unread("Jordan", 0)

    @in_browser
    def test_search_hit(self) -> None:
        """A hit is shown where it stands, and so is what a quoted answer belongs to."""
        self.script.said(1, "messi", "the answer", reply=20)
        self.script.read[1] = self.script.head(1)
        hits = [self.script.messages[1][number] for number in (100, 300)]
        more = {"messages": [hits[0]], "remaining": 0}
        self.script.answers["search"] = lambda request: (
            more if "before" in request else {"messages": [hits[1]], "remaining": 1}
        )
        messi = self.messi()
        messi.go("#/search?q=no")
        messi.is_told("2 messages found")
        messi.press_button("Show more")
        messi.page.get_by_role("link").filter(has_text="no. 100").click()
        expect(messi.bubble("no. 100")).to_be_in_viewport()
        messi.page.get_by_role("button", name="Go to").click()
        messi.sees("the answer").locator(".quoted").click()
        expect(messi.bubble("no. 19")).to_be_in_viewport()
        push = self.script.push
        push("message", self.script.said(1, "henderson", "newest"))
        messi.page.get_by_role("button", name="Go to").click()
        expect(messi.bubble("newest")).to_be_in_viewport()

    @in_browser
    def test_catching_up(self) -> None:
        """After the link was lost, the page learns what has happened meanwhile."""
        script = self.script
        script.read[1] = script.head(1)
        messi = self.messi()
        messi.open_chat("henderson")
        messi.sees("no. 999")
        messi.waits_for(lambda: any(each["command"] == "sync" for each in script.asked))
        asked = len(script.asked)
        script.said(1, "henderson", "while you were away")
        script.happened(1, "edited", target=1000, text="no. 999, edited", **{"from": "henderson"})
        script.happened(1, "deleted", target=999, **{"from": "henderson"})
        script.cut()
        messi.sees("while you were away")
        messi.sees("no. 999, edited")
        expect(messi.page.get_by_text("no. 998")).to_have_count(0)
        commands = [each["command"] for each in script.asked[asked:]]
        self.assertNotIn("history", commands)
        self.assertEqual(self.asked("sync")["after"], 1000)

    @in_browser
    def test_gap(self) -> None:
        """A reply may come before the event of an earlier message, and the link may be lost in between."""
        script = self.script
        script.read[1] = script.head(1)
        messi = self.messi()
        messi.open_chat("henderson")
        messi.sees("no. 999")
        script.said(1, "henderson", "just before yours")
        messi.say("mine")
        messi.sees("mine")
        script.cut()
        messi.sees("just before yours")
        self.assertEqual(messi.texts()[-2:], ["just before yours", "mine"])


class Real(BrowserTestCase):
    """The same with two people and a real realm."""

    @in_browser
    def test_conversation(self) -> None:
        messi, henderson = self.person("messi"), self.person("henderson")
        henderson.open_chat("messi")
        henderson.say("Are you **coming**?")
        messi.follow_row("henderson", unread=1)
        messi.sees("Are you coming?")
        henderson.sees_as("coming", "Read")
        messi.choose_from_menu("coming", "Reply")
        messi.types("Yse")
        henderson.is_told("typing…")
        messi.page.keyboard.press("Enter")
        expect(henderson.sees("Yse").locator(".quoted")).to_contain_text("Are you coming?")
        messi.sees_as("Yse", "Read")
        messi.page.keyboard.press("ArrowUp")
        messi.composer.fill("Yes")
        messi.page.keyboard.press("Enter")
        expect(henderson.sees("Yes")).to_contain_text("edited")
        henderson.opens_menu("Yes")
        henderson.page.get_by_role("menuitemcheckbox", name="React with 👍").click()
        expect(messi.sees("Yes").locator(".reaction")).to_have_text("👍1")
        messi.choose_from_menu("coming", "Pin")
        expect(henderson.sees("coming")).to_contain_text("Pinned")
        henderson.choose_from_menu("Yes", "Forward")
        henderson.page.get_by_role("dialog").get_by_role("button", name="messi").click()
        for person in (messi, henderson):
            expect(person.sees("Forwarded from")).to_contain_text("Yes")
        messi.choose_from_menu("edited", "Delete")
        messi.confirm("Delete")
        henderson.sees("Message deleted")
        henderson.page.reload()
        henderson.sees("Message deleted")
        for person in (messi, henderson):
            expect(person.page.locator(".thread").get_by_text("Yes")).to_have_count(1)
