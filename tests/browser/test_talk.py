"""People talk: two in browsers and one with telnet, with the keyboard alone, in two tabs, and on a phone."""

from __future__ import annotations

from tests.support.browser import PASSWORD, BrowserTestCase, in_browser
from tests.support.page import NARROW, WIDE, Person
from tests.support.visitor import expect


class Talk(BrowserTestCase):
    @in_browser
    def test_two_browsers_and_telnet(self) -> None:
        messi, henderson = self.person(worker=True), self.person()
        lineker = self.telnet()
        messi.register("messi", "Lionel Messi")
        henderson.register("henderson")
        lineker.type(f"register lineker {PASSWORD}")
        lineker.type("listen on")
        messi.start_chat("henderson")
        messi.say("halo, selamat malam")
        messi.sees("halo, selamat malam")
        henderson.follow_row("Lionel Messi", unread=1)
        henderson.sees("halo, selamat malam")
        henderson.say("hai juga")
        messi.sees("hai juga")
        lineker.type("send messi and from telnet")
        lineker.sees("status: OK")
        messi.follow_row("lineker", unread=1)
        messi.sees("and from telnet")
        messi.say("hello, telnet")
        lineker.sees("messi: hello, telnet")
        messi.follow_row("henderson")
        self.assertEqual(messi.texts(), ["halo, selamat malam", "hai juga"])
        self.assertEqual(henderson.texts(), ["halo, selamat malam", "hai juga"])

    @in_browser
    def test_on_a_phone(self) -> None:
        """One view at a time, with a way back. Nothing is wider than the screen."""
        messi, henderson = self.person("messi", size=NARROW), self.other("henderson")
        henderson.must(command="send", to="messi", text="apa kabar?")
        messi.follow_row("henderson", unread=1)
        messi.sees("apa kabar?")
        messi.fits()
        messi.say("baik")
        messi.sees_as("baik", "Sent")
        self.assertEqual(henderson.texts(), ["baik"])
        messi.back()
        messi.is_in()
        messi.fits()
        expect(messi.row("henderson")).to_contain_text("baik")

    @in_browser
    def test_by_keyboard_alone(self) -> None:
        """From the login to a sent message and its answer."""
        self.site.register("messi")
        henderson, messi = self.other("henderson"), self.person()
        messi.page.goto("/")
        messi.tabs_to("Username")
        messi.types("messi")
        messi.tabs_to("Password")
        messi.types(PASSWORD)
        messi.page.keyboard.press("Enter")
        messi.is_in()
        messi.tabs_to("New chat")
        messi.page.keyboard.press("Enter")
        messi.heading("New chat")
        messi.tabs_to("Who do you want to write to?")
        messi.types("henderson")
        messi.page.keyboard.press("Enter")
        expect(messi.composer).to_be_visible()
        messi.tabs_to("Message to henderson")
        messi.types("halo")
        messi.page.keyboard.press("Enter")
        messi.sees("halo")
        messi.sees_as("halo", "Sent")
        self.assertEqual(henderson.texts(), ["halo"])
        henderson.must(command="send", to="messi", text="hai")
        messi.sees("hai")

    @in_browser
    def test_several_lines(self) -> None:
        """Shift+Enter makes a line, Enter sends all of them as one message. The list shows it on one line."""
        messi, henderson = self.person("messi"), self.person("henderson")
        lineker = self.telnet()
        lineker.type(f"register lineker {PASSWORD}")
        lineker.type("listen on")
        lineker.sees("listening: yes")
        for whom in ("lineker", "henderson"):
            messi.open_chat(whom)
            messi.composer.focus()
            messi.types("satu")
            messi.page.keyboard.press("Shift+Enter")
            messi.page.keyboard.press("Shift+Enter")
            messi.types("* dua")
            messi.page.keyboard.press("Enter")
            messi.sees("* dua")
            self.assertEqual(messi.waits_for_texts(1), ["satu\n\n* dua"])
        lineker.sees("messi: satu\r\n")
        self.assertEqual(lineker.sees("|"), "* | \r\n")
        self.assertEqual(lineker.sees("|"), "* | * dua\r\n")
        henderson.follow_row("messi", unread=1)
        self.assertEqual(henderson.waits_for_texts(1), ["satu\n\n* dua"])
        expect(henderson.row("messi")).to_contain_text("satu * dua", use_inner_text=True)

    @in_browser
    def test_end_stays_in_sight_while_a_text_of_many_lines_is_written(self) -> None:
        messi, henderson = self.person("messi"), self.other("henderson")
        with self.site.login("messi") as talker:
            for number in range(20):
                talker.must(command="send", to="henderson", text=f"{number}")
        messi.open_chat("henderson")
        messi.sees_as("19", "Sent")
        messi.composer.fill("a")
        for _ in range(8):
            messi.composer.press("Shift+Enter")
        messi.is_quiet()
        expect(messi.bubble("19")).to_be_in_viewport(ratio=1)
        henderson.must(command="send", to="messi", text="Still there?")
        messi.sees("Still there?")
        expect(messi.bubble("Still there?")).to_be_in_viewport(ratio=1)

    @in_browser
    def test_group_with_a_title(self) -> None:
        messi = self.person("messi")
        messi.go("#/groups")
        messi.press_button("New group")
        messi.fill("Name of the group", "tim_bola")
        messi.fill("Title (optional)", "Tim Bola")
        messi.press_button("Make the group")
        messi.is_told("tim_bola was created")
        messi.press_button("Change the settings")
        messi.fill("Topic", "Jumat jam 7")
        expect(messi.page.get_by_label("Who may write")).to_be_disabled()
        messi.page.get_by_label("What new members see").select_option("Everything")
        messi.press_button("Save")
        messi.is_told("The settings are saved")
        settings = messi.page.get_by_role("region", name="Settings")
        expect(settings).to_contain_text("Jumat jam 7Private · New members see everything")
        messi.press_button("Renew")
        messi.confirm("Renew")
        messi.is_told("The new code is")
        messi.open_group("tim_bola")
        messi.heading("Tim Bola")
        expect(messi.row("Tim Bola")).to_be_visible()
        expect(messi.page.get_by_text("tim_bola", exact=True)).to_be_visible()
        messi.page.set_viewport_size({"width": NARROW[0], "height": NARROW[1]})
        self.assertTrue(
            messi.page.locator(".chat-about").evaluate(
                "(line) => line.scrollWidth <= line.clientWidth"
            )
        )
        messi.page.set_viewport_size({"width": WIDE[0], "height": WIDE[1]})
        messi.go("#/groups")
        expect(messi.page.get_by_role("link", name="Tim Bola").last).to_be_visible()
        messi.open_group("tim_bola")
        messi.say("Friday?")
        messi.sees_as("Friday?", "Sent")
        messi.go("#/search")
        messi.fill("Search your conversations", "friday")
        messi.page.keyboard.press("Enter")
        expect(messi.page.locator(".hit")).to_contain_text("Tim Bola")

    @in_browser
    def test_two_tabs(self) -> None:
        """Messages that are sent or read in one tab are so in the other."""
        messi, henderson = self.person("messi", worker=True), self.person("henderson")
        henderson.open_chat("messi")
        henderson.say("one")
        expect(messi.row("henderson")).to_contain_text("one")
        other = messi.tab()
        other.follow_row("henderson", unread=1)
        other.sees("one")
        other.say("two")
        expect(messi.row("henderson")).to_contain_text("two")
        messi.unread("henderson", 0)
        messi.follow_row("henderson")
        messi.say("three")
        other.sees("three")
        henderson.sees("three")
        for person in (messi, other, henderson):
            self.assertEqual(person.texts(), ["one", "two", "three"])

    @in_browser
    def test_unread_in_the_title(self) -> None:
        messi, henderson = self.person("messi"), self.other("henderson")
        for number in range(3):
            henderson.must(command="send", to="messi", text=f"no. {number}")
        messi.unread("henderson", 3)
        messi.page.wait_for_function("document.title.startsWith('(3)')")
        messi.follow_row("henderson")
        messi.sees("no. 2")
        messi.page.wait_for_function("!document.title.startsWith('(')")

    @in_browser
    def test_older_messages_load_above(self) -> None:
        """Scrolling up loads older messages, and the visible ones stay in place."""
        self.site.register("henderson")
        messi = self.person("messi")
        with self.site.login("henderson") as talker:
            for number in range(150):
                talker.must(command="send", to="messi", text=f"no. {number}")
        messi.open_chat("henderson")
        expect(messi.bubble("no. 0")).to_be_in_viewport()
        messi.page.get_by_role("button", name="Go to the newest").click()
        messi.sees("no. 149")
        while (first := messi.texts()[0]) != "no. 0":
            before = messi.scrolled_up_to(first)
            messi.page.wait_for_function(
                "(first) => document.querySelector('.bubble-text').innerText !== first", arg=first
            )
            self.assertLess(abs(messi.top_of(first) - before), 5, "what one reads has jumped")
        self.assertEqual(messi.texts(), [f"no. {number}" for number in range(150)])


class Sessions(BrowserTestCase):
    @in_browser
    def test_login_and_logout(self) -> None:
        self.site.register("messi")
        messi = self.person(worker=True)
        messi.expects("status of 401")
        messi.log_in("messi", "wrong-password")
        expect(messi.page.get_by_role("alert").first).to_be_visible()
        messi.log_in("messi")
        messi.is_in()
        messi.page.reload()
        messi.is_in()
        messi.go("#/settings")
        messi.press_button("Log out")
        messi.is_out()
        messi.go("#/settings")
        messi.is_out()

    @in_browser
    def test_log_out_everywhere(self) -> None:
        laptop = self.person("messi")
        phone, telnet = self.person(size=NARROW), self.telnet()
        phone.comes_back("messi")
        telnet.type(f"login messi {PASSWORD}")
        telnet.sees("status: OK")
        laptop.go("#/settings")
        laptop.press_button("Log out everywhere")
        laptop.confirm("Log out everywhere")
        laptop.is_out()
        phone.is_out()
        telnet.type("whoami")
        telnet.sees("status: ERROR")


class Groups(BrowserTestCase):
    @in_browser
    def test_three_people(self) -> None:
        """One creates a group, another joins with its code, the third is invited."""
        messi, henderson, lineker = (
            self.person(name) for name in ("messi", "henderson", "lineker")
        )
        code = self.make(messi, "bola")
        henderson.go("#/groups")
        henderson.fill("Name or code", code)
        henderson.press_button("Join")
        expect(henderson.composer).to_be_visible()
        messi.go("#/g/bola/members")
        messi.fill("Who", "lineker")
        messi.press_button("Invite")
        messi.is_told("In the group now: lineker")
        messi.press_button("Make lineker an admin")
        messi.confirm("Make admin")
        messi.press_button("Make lineker an ordinary member")
        messi.confirm("Make an ordinary member")
        messi.is_told("lineker is no longer an admin")
        messi.open_group("bola")
        messi.say("halo semua")
        henderson.sees("halo semua")
        lineker.follow_row("bola", unread=1)
        henderson.say("hai")
        lineker.sees("hai")
        lineker.say("siap")
        for person in (messi, henderson, lineker):
            person.sees("siap")
            self.assertEqual(person.texts(), ["halo semua", "hai", "siap"])
        expect(lineker.sees("hai")).to_contain_text("henderson")
        henderson.go("#/g/bola/members")
        for name in ("messi", "henderson", "lineker"):
            henderson.is_told(name)
        shown = messi.page.get_by_role("button", name=f"Copy the code {code}")
        messi.is_told("3 members")
        expect(shown).to_have_count(0)
        with self.site.login("messi") as talker:
            talker.must(command="setgroup", group="bola", visibility="public", post="members")
        expect(shown).to_be_visible()

    @in_browser
    def test_closed_by_operators(self) -> None:
        """In place of the composer stands who has closed the group, also when it is opened later. Meanwhile
        messages can only be copied, forwarded and deleted."""
        messi, operator = self.person("messi"), self.other("henderson")
        self.site.claim(operator)
        self.make(messi, "bola", "Public")
        messi.open_group("bola")
        messi.say("halo")
        messi.sees("halo")
        expect(messi.page.locator(".delivery-sending, .delivery-waiting")).to_have_count(0)
        note = messi.page.get_by_role("status").filter(has_text="have closed the group: spam")
        operator.must(command="admin.group.close", group="bola", reason="spam")
        expect(note).to_be_visible()
        expect(messi.composer).to_have_count(0)
        messi.opens_menu("halo")
        for item, count in (("Reply", 0), ("Edit", 0), ("Pin", 0), ("Delete", 1)):
            found = messi.page.get_by_role("menuitem", name=item, exact=True)
            expect(found).to_have_count(count)
        messi.page.keyboard.press("Escape")
        messi.page.reload()
        expect(note).to_be_visible()
        expect(messi.composer).to_have_count(0)
        operator.must(command="admin.group.open", group="bola")
        expect(messi.composer).to_be_visible()
        expect(note).to_have_count(0)

    @in_browser
    def test_removed_member(self) -> None:
        """A removed member sees nothing of the group any more, and can't join by its name."""
        messi, henderson = self.person("messi"), self.person("henderson")
        self.make(messi, "bola", "Public")
        henderson.go("#/groups")
        henderson.fill("Name or code", "bola")
        henderson.press_button("Join")
        expect(henderson.composer).to_be_visible()
        messi.open_group("bola")
        messi.say("rahasia")
        henderson.sees("rahasia")
        with self.site.login("messi") as talker:
            talker.must(command="kick", group="bola", user="henderson")
        expect(henderson.row("bola")).to_have_count(0)
        expect(henderson.page.get_by_text("rahasia")).to_have_count(0)
        expect(henderson.page.get_by_text("You were removed from bola").first).to_be_visible()
        expect(henderson.composer).to_be_hidden()
        henderson.go("#/groups")
        henderson.fill("Name or code", "bola")
        henderson.press_button("Join")
        henderson.is_told("You were removed from bola")
        messi.go("#/g/bola/members")
        messi.press_button("Lift the ban of henderson")
        messi.is_told("henderson may join bola again")
        messi.is_told("No one is banned")

    def make(self, person: Person, group: str, visibility: str = "Private") -> str:
        """Create a group as `person`, and return its code."""
        person.go("#/groups")
        person.press_button("New group")
        person.fill("Name of the group", group)
        person.page.get_by_label("Visibility").select_option(visibility)
        person.press_button("Make the group")
        with self.site.login(person.name) as talker:

            def mine() -> list[dict[str, str]]:
                found: list[dict[str, str]] = talker.must(command="mygroups")["groups"]
                return found

            person.waits_for(mine)
            code = mine()[0]["code"]
        person.is_told(code)
        return code
