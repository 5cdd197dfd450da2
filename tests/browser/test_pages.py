"""The pages beside the conversations: search, contacts, rooms and settings; and the other language."""

from __future__ import annotations

from tests.support.browser import PASSWORD, BrowserTestCase, in_browser
from tests.support.page import NARROW, Person
from tests.support.pictures import picture
from tests.support.visitor import expect


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
        messi, _henderson = self.person("messi"), self.other("henderson")
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
        """Only people in the room get its messages, and they are not stored."""
        messi, henderson = self.person("messi"), self.person("henderson", size=NARROW)
        messi.go("#/rooms")
        messi.fill("Name of the room", "12345 67890")
        messi.press_button("Go in")
        messi.heading("12345 67890")
        messi.is_told("Only you are here")
        henderson.go("#/rooms")
        henderson.page.get_by_role("link").filter(has_text="12345 67890").click()
        henderson.heading("12345 67890")
        henderson.is_told("2 people here")
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
    def test_file_of_a_room(self) -> None:
        """A file that somebody sends to the room from another program is a link."""
        messi = self.person("messi")
        self.site.register("henderson")
        messi.go("#/room/bola")
        messi.is_told("Only you are here")
        with self.site.login("henderson") as henderson:
            henderson.must(command="roomjoin", room="bola")
            henderson.send(command="roomsendfile", filename="gol saya.txt", size=0)
            link = messi.page.get_by_role("link").filter(has_text="file gol saya.txt (0 bytes)")
            expect(link).to_be_visible()
            with messi.page.expect_download() as saved:
                link.click()
            self.assertEqual(saved.value.suggested_filename, "gol saya.txt")

    @in_browser
    def test_status_and_leaving(self) -> None:
        """Others see what somebody says of themselves. An account is deleted with its password only."""
        messi = self.person("messi")
        self.site.register("henderson")
        messi.go("#/settings")
        messi.fill("Status", "gone fishing")
        messi.press_button("Save")
        messi.is_told("Your profile is saved")
        messi.page.get_by_role("switch", name="Show me as away").click()
        messi.is_told("Others see that you are away")
        with self.site.login("henderson") as talker:
            users = {each["username"]: each for each in talker.must(command="users")["users"]}
            self.assertEqual(users["messi"]["status"], "gone fishing")
            self.assertTrue(users["messi"]["away"])
            talker.must(command="status", text="at work")
            messi.go("#/new")
            expect(messi.page.get_by_role("listitem").filter(has_text="at work")).to_be_visible()
            messi.go("#/settings")
            messi.press_button("Delete my account")
            dialog = messi.page.get_by_role("dialog")
            for password in ("wrong-horse", PASSWORD):
                dialog.get_by_label("Current password").fill(password)
                messi.confirm("Delete my account")
                if password != PASSWORD:
                    expect(dialog.get_by_role("alert")).to_contain_text("password")
            messi.is_out()
            messi.is_told("Your account is deleted.")
            users = {each["username"]: each for each in talker.must(command="users")["users"]}
            self.assertNotIn("messi", users)

    @in_browser
    def test_join_link(self) -> None:
        """The link of a private group is on the page of its members. It leads through the login, and asks."""
        messi = self.person("messi")
        self.site.register("henderson")
        with self.site.login("messi") as talker:
            made = talker.must(command="addgroup", group="keluarga", visibility="private")
        messi.go("#/g/keluarga/members")
        messi.press_button("QR code")
        code = messi.page.get_by_role("img", name="Link to join keluarga")
        expect(code).to_be_visible()
        link = f"{self.site.url}/join/{made['groupcode']}@realm1"
        messi.is_told(link)
        elsewhere = messi.page.evaluate(
            """async (code) => {
                const { joinLink } = await import("/static/js/panels/joinlink.js");
                return joinLink(code, "realm1");
            }""",
            "abcd:efgh@realm2",
        )
        self.assertEqual(elsewhere, f"{self.site.url}/join/abcd:efgh@realm2")
        henderson = self.person()
        for address, told in (
            (f"{self.site.url}/join/aaaaaaaabbbbbbbb", "There is no group aaaaaaaabbbbbbbb"),
            (link, "You are a member of keluarga now"),
        ):
            henderson.page.goto(address)
            if not henderson.name:
                henderson.is_out()
                henderson.name = "henderson"
                henderson.fill("Username", "henderson")
                henderson.fill("Password", PASSWORD)
                henderson.press_button("Log in")
            henderson.expects("status of 404")
            henderson.press_button("Join the group")
            henderson.is_told(told)
        henderson.heading("keluarga")
        henderson.page.goto(f"{self.site.url}/join/Your%20account%20is%20blocked")
        henderson.is_told("This is not a link to a group")
        expect(henderson.page.get_by_role("button", name="Join the group")).to_have_count(0)
        expect(henderson.page.get_by_text("blocked")).to_have_count(0)
        henderson.page.goto(link)
        henderson.expects("status of 409")
        henderson.press_button("Join the group")
        henderson.heading("keluarga")
        for pasted, told in (
            (link, "henderson is already a member of keluarga"),
            ("https://realm9/join/aaaa:bbbb", "This realm has no peer called realm9"),
        ):
            henderson.go("#/groups")
            henderson.fill("Name or code", pasted)
            henderson.press_button("Join")
            henderson.is_told(told)

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
    def test_profile_language_and_theme(self) -> None:
        """Others see the new name. Language and theme change the whole page at once, and are kept."""
        messi, henderson = self.person("messi", theme="dark"), self.person("henderson")
        dark = self.background(messi)
        messi.go("#/settings")
        messi.fill("Display name", "Leo")
        messi.press_button("Save")
        messi.is_told("Your profile is saved")
        messi.choose("Theme", "Light")
        light = self.background(messi)
        self.assertNotEqual(dark, light)
        messi.choose("Language", "Bahasa Indonesia")
        for _ in range(2):
            expect(messi.page.get_by_role("heading", level=1)).to_have_text("Setelan")
            expect(messi.page.locator("html")).to_have_attribute("lang", "id")
            self.assertEqual(self.background(messi), light)
            messi.page.reload()
        with self.site.login("messi") as talker:
            talker.must(command="send", to="henderson", text="halo")
        expect(henderson.row("Leo")).to_be_visible()

    @in_browser
    def test_picture(self) -> None:
        """Others see the new picture at once, in their list and in the conversation, and later that it is
        gone."""
        messi, henderson = self.person("messi"), self.person("henderson")
        with self.site.login("messi") as talker:
            talker.must(command="send", to="henderson", text="halo")
        henderson.open_chat("messi")
        pictures = henderson.page.locator("img.avatar-picture")
        expect(pictures).to_have_count(0)
        messi.go("#/settings")
        phone = messi.tab()
        phone.go("#/settings")
        data = {"name": "me.png", "mimeType": "image/png", "buffer": picture("PNG", (300, 200))}
        with messi.page.expect_file_chooser() as chooser:
            messi.press_button("Change the picture")
        chooser.value.set_files(data)  # type: ignore[arg-type]
        messi.is_told("The picture is saved")
        expect(pictures).to_have_count(2)
        expect(phone.page.locator(".portrait img")).to_have_count(1)
        phone.page.close()
        henderson.waits_for(lambda: pictures.first.evaluate("(image) => image.naturalWidth") == 200)
        messi.press_button("Remove the picture")
        messi.is_told("The picture is removed")
        expect(pictures).to_have_count(0)

    def background(self, person: Person) -> str:
        return str(person.page.evaluate("getComputedStyle(document.body).backgroundColor"))
