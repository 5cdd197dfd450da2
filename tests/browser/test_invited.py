"""What links open that an operator sends: invitations, and links to choose another password."""

from __future__ import annotations

from tests.support.browser import PASSWORD, BrowserTestCase, in_browser
from tests.support.talker import Talker
from tests.support.visitor import expect

NEW_PASSWORD = "another-password"


class Links(BrowserTestCase):
    def operator(self) -> Talker:
        """An operator of a realm that needs invitations, and whose links lead to the browser's door."""
        talker = self.other("messi")
        self.site.claim(talker)
        path = self.site.folder / "chatd.ini"
        text = path.read_text().replace("[accounts]\n", "[accounts]\nregistration = invite\n")
        path.write_text(f"{text}\n[web]\nurl = {self.site.url}\n")
        talker.must(command="admin.reload")
        return talker

    @in_browser
    def test_invitation(self) -> None:
        """The link asks for a name and a password only, and its code does not stay in the address. The page
        asks for the code without it."""
        messi = self.operator()
        made = messi.must(command="admin.invite.new", uses=2)
        lina = self.person()
        lina.page.goto(made["link"])
        expect(lina.page.get_by_text("You are invited.")).to_be_visible()
        self.assertEqual(lina.page.url, f"{self.site.url}/#/register")
        expect(lina.page.get_by_role("textbox")).to_have_count(2)
        lina.page.reload()
        lina.fill("Username", "lina")
        lina.fill("Password", PASSWORD)
        lina.press_button("Make the account")
        lina.is_in()
        self.assertNotIn(made["code"], lina.page.evaluate("JSON.stringify(sessionStorage)"))
        budi = self.person()
        budi.go("#/login")
        budi.page.get_by_role("link", name="Make an account").click()
        budi.heading("Make an account")
        budi.fill("Username", "budi")
        budi.fill("Password", PASSWORD)
        budi.fill("Code of the invitation", "3f7k-9q2m-4cvd-h81x")
        budi.press_button("Make the account")
        expect(budi.page.get_by_role("alert")).to_contain_text("The invitation is not valid")
        budi.expects("403")
        budi.fill("Code of the invitation", made["code"].upper())
        budi.press_button("Make the account")
        budi.is_in()

    @in_browser
    def test_forgotten_password(self) -> None:
        """The link works once, also in a browser that is logged in, and ends the session there."""
        messi = self.operator()
        made = messi.must(command="admin.user.reset", user="messi")
        token = made["link"].rpartition("/")[2]
        page = self.person()
        page.comes_back("messi")
        page.page.goto(made["link"])
        page.heading("Choose a new password")
        self.assertEqual(page.page.url, f"{self.site.url}/#/reset")
        page.fill("New password", NEW_PASSWORD)
        page.press_button("Change the password")
        page.is_out()
        expect(page.page.get_by_text("log in again")).to_be_visible()
        page.log_in("messi", NEW_PASSWORD)
        page.is_in()
        other = self.person()
        other.page.goto(made["link"])
        other.fill("New password", "a-third-password")
        other.press_button("Change the password")
        expect(other.page.get_by_role("alert")).to_contain_text("The link is not valid")
        other.expects("403")
        self.assertNotIn(token, self.site.written)
