"""A person imports the archive of an account elsewhere on the page of the settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from chatd.base.account_archive import ArchivedGroup
from tests.support.archives import OLD, archive, direct, group, said
from tests.support.browser import PASSWORD, BrowserTestCase, in_browser
from tests.support.visitor import expect

if TYPE_CHECKING:
    from tests.support.page import Person


class Importing(BrowserTestCase):
    @in_browser
    def test_from_the_settings(self) -> None:
        """The page tells how the import has ended, and offers the groups. Imported conversations can be read,
        and nothing can be written where nobody reads it."""
        messi, telnet = self.person("messi"), self.telnet()
        telnet.type(f"register henderson {PASSWORD}")
        telnet.type("addgroup bola")
        telnet.sees("groupcode")
        messi.go("#/settings")
        self.choose(messi, b"no archive")
        messi.is_told("The import has failed after 0 messages")
        profile = msgspec.structs.replace(
            OLD, groups=(ArchivedGroup("bola@realm1", "Sepak bola"), ArchivedGroup("dayung"))
        )
        data = archive(
            direct(5, "budi", said(1, "messi", "halo budi"), said(2, "budi", "hai messi")),
            group(3, "dayung", said(1, "budi", "kayuh"), said(2, "messi", "siap")),
            profile=profile,
        )
        self.choose(messi, data)
        messi.is_told("Your archive is imported: 4 messages.")
        messi.press_button("Join Sepak bola")
        expect(messi.page.get_by_role("link", name="Open")).to_be_visible()
        messi.go("#/u/budi@realm9")
        first = messi.bubble("halo budi")
        expect(first).to_contain_text("Imported")
        expect(messi.page.get_by_role("textbox", name="Message to budi@realm9")).to_be_visible()
        messi.go("#/u/~dayung@realm9")
        messi.is_told("Nobody can write here")
        expect(messi.bubble("kayuh")).to_contain_text("budi@realm9")
        expect(messi.page.get_by_role("textbox")).to_have_count(0)

    def choose(self, person: Person, data: bytes) -> None:
        """Choose an archive in the settings."""
        path = Path(self.mktemp())
        path.write_bytes(data)
        with person.page.expect_file_chooser() as chooser:
            person.press_button("Import an archive")
        chooser.value.set_files(path)
