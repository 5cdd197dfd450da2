"""The pages beside the conversations: search, contacts, rooms, settings, and the other language."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.browser import PASSWORD, BrowserTestCase, in_browser
from tests.page import NARROW, Person


class Pages(BrowserTestCase):
    @in_browser
    def test_search(self) -> None:
        messi = self.person("messi")
        self.site.register("henderson")
        with self.site.login("henderson") as henderson:
            for text in ("the match is on Saturday", "bring a ball", "the other MATCH"):
                henderson.must(command="send", to="messi", text=text)
        messi.go("#/search")
        messi.fill("Search your conversations", "match")
        messi.page.keyboard.press("Enter")
        messi.is_told("2 messages found")
        messi.page.get_by_role("link").filter(has_text="Saturday").click()
        messi.sees("the match is on Saturday")
        messi.go("#/search")
        messi.fill("Search your conversations", "nowhere")
        messi.page.keyboard.press("Enter")
        messi.is_told("Nothing was found for “nowhere”")

    @in_browser
    def test_contacts(self) -> None:
        messi, _henderson = self.person("messi"), self.person("henderson")
        messi.go("#/contacts")
        messi.is_told("No contacts yet")
        messi.fill("Username", "henderson")
        messi.press_button("Add")
        messi.is_told("henderson is among your contacts now")
        expect(messi.contact("henderson")).to_contain_text("online")
        messi.fill("Username", "nobody")
        messi.press_button("Add")
        expect(messi.page.get_by_role("alert").filter(has_text="nobody")).to_be_visible()
        messi.press_button("Delete the contact henderson")
        messi.confirm("Delete")
        messi.is_told("No contacts yet")

    @in_browser
    def test_rooms(self) -> None:
        """Heard by who is in it, and by nobody afterwards."""
        messi, henderson = self.person("messi"), self.person("henderson", size=NARROW)
        messi.go("#/rooms")
        messi.fill("Name of the room", "12345 67890")
        messi.press_button("Go in")
        messi.heading("12345 67890")
        messi.is_told("Only you are here")
        henderson.go("#/rooms")
        henderson.page.get_by_role("link").filter(has_text="12345 67890").click()
        henderson.heading("12345 67890")
        messi.is_told("2 people here")
        for speaker, hearer, text in (
            (messi, henderson, "halo semua"),
            (henderson, messi, "hai juga"),
        ):
            box = speaker.page.get_by_role("textbox", name="Say something to the room")
            box.fill(text)
            box.press("Enter")
            expect(hearer.page.get_by_text(text)).to_be_visible()
        henderson.press_button("Leave")
        messi.is_told("henderson left")
        messi.go("#/rooms")
        messi.go("#/room/12345%2067890")
        expect(messi.page.get_by_text("halo semua")).to_have_count(0)

    @in_browser
    def test_profile(self) -> None:
        """The new name is on the page, and on others' from then on."""
        messi, henderson = self.person("messi"), self.person("henderson")
        messi.go("#/settings")
        messi.fill("Display name", "Leo")
        messi.press_button("Save")
        messi.is_told("Your profile is saved")
        messi.open_chat("henderson")
        messi.say("halo")
        expect(henderson.row("Leo")).to_be_visible()

    @in_browser
    def test_password(self) -> None:
        messi, phone = self.person("messi"), self.person()
        phone.comes_back("messi")
        phone.expects("status of 401")
        messi.go("#/settings")
        messi.fill("Current password", PASSWORD)
        messi.fill("New password", "another-horse")
        messi.fill("New password again", "another-horse")
        messi.press_button("Change the password")
        messi.is_told("The password is changed")
        phone.is_out()
        phone.log_in("messi")
        expect(phone.page.get_by_role("alert").first).to_be_visible()
        phone.log_in("messi", "another-horse")
        phone.is_in()

    @in_browser
    def test_language(self) -> None:
        """All of the page changes, at once, and stays so."""
        messi = self.person("messi")
        messi.go("#/settings")
        messi.choose("Language", "Bahasa Indonesia")
        expect(messi.page.get_by_role("heading", level=1)).to_have_text("Setelan")
        expect(messi.page.locator("html")).to_have_attribute("lang", "id")
        messi.page.reload()
        expect(messi.page.get_by_role("heading", level=1)).to_have_text("Setelan")

    @in_browser
    def test_language_of_the_browser(self) -> None:
        messi = self.person(locale="id-ID")
        messi.page.goto("/")
        expect(messi.page.locator("html")).to_have_attribute("lang", "id")

    @in_browser
    def test_theme(self) -> None:
        """As the system has it, until one says otherwise."""
        messi = self.person("messi", theme="dark")
        dark = self.background(messi)
        messi.go("#/settings")
        messi.choose("Theme", "Light")
        light = self.background(messi)
        self.assertNotEqual(dark, light)
        messi.page.reload()
        messi.heading("Settings")
        self.assertEqual(self.background(messi), light)

    def background(self, person: Person) -> str:
        return str(person.page.evaluate("getComputedStyle(document.body).backgroundColor"))

    @in_browser
    def test_can_be_installed(self) -> None:
        """What a browser asks of an app: a manifest with icons, and a worker."""
        messi = self.person("messi")
        address = messi.page.locator("link[rel=manifest]").get_attribute("href")
        manifest = messi.context.request.get(str(address)).json()
        self.assertEqual(manifest["display"], "standalone")
        self.assertTrue(manifest["name"])
        sizes = set()
        for icon in manifest["icons"]:
            self.assertTrue(messi.context.request.get(icon["src"]).ok, icon)
            sizes.update(re.split(r"\s+", icon["sizes"]))
        self.assertTrue({"192x192", "512x512"} <= sizes, sizes)
        session = messi.context.new_cdp_session(messi.page)
        found = session.send("Page.getInstallabilityErrors")["installabilityErrors"]
        # A context of its own is like a private window, from which nothing is installed.
        self.assertEqual([each for each in found if each["errorId"] != "in-incognito"], [])
