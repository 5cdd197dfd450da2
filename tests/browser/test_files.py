"""Files in the browser: chosen, pasted, dropped and cancelled; shown as pictures, and downloaded byte by
byte."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from tests.support.browser import BrowserTestCase, in_browser
from tests.support.order import long_test
from tests.support.page import GONE
from tests.support.scripted import Scripted
from tests.support.visitor import expect

if TYPE_CHECKING:
    from playwright.sync_api import FilePayload


def picture(name: str = "endgame.png", size: tuple[int, int] = (320, 200)) -> FilePayload:
    """A picture that differs from all others."""
    image = Image.frombytes("RGB", size, os.urandom(size[0] * size[1] * 3))
    data = io.BytesIO()
    image.save(data, "PNG")
    return {"name": name, "mimeType": "image/png", "buffer": data.getvalue()}


class FromElsewhere(Scripted):
    @in_browser
    def test_states(self) -> None:
        """A file from another realm is shown at once, and can be fetched once it is here. A lost one says
        why."""
        file = {
            "name": "laporan.pdf",
            "size": 184_000,
            "mime": "application/pdf",
            "code": "abc:234",
        }
        for number in range(2):
            coming = {**file, "name": f"{number}.pdf", "state": "arriving"}
            self.script.said(1, "henderson", None, file=coming)
        self.script.said(1, "messi", None, file={**file, "name": "mine.pdf"})
        messi, push = self.messi(), self.script.push
        messi.open_chat("henderson")
        expect(messi.sees("0.pdf")).to_contain_text("arriving from another realm")
        expect(messi.page.locator("a.file")).to_have_count(1)
        push("file", {"conversation": 1, "seq": 1, "state": "here"})
        messi.sees_file("0.pdf")
        reason = "no part of it has arrived for 24 hours"
        lost = {"conversation": 1, "state": "lost", "reason": reason, "code": "file-stalled"}
        push("file", {**lost, "seq": 2})
        expect(messi.sees("1.pdf")).to_contain_text(f"It did not arrive: {reason}")
        push("file", {**lost, "seq": 3})
        expect(messi.sees("mine.pdf")).to_contain_text("It did not arrive in the other realm")
        expect(messi.page.locator("a.file")).to_have_count(2)

    @in_browser
    def test_after_a_lost_link(self) -> None:
        """What happened to a file meanwhile comes with the entries that were missed."""
        file = {"name": "a.pdf", "size": 9, "mime": "application/pdf", "code": "abc:234"}
        self.script.said(1, "henderson", None, file={**file, "state": "arriving"})
        messi = self.messi()
        messi.open_chat("henderson")
        expect(messi.sees("a.pdf")).to_contain_text("arriving")
        self.script.files = [{"seq": 1, "state": "here"}]
        self.script.cut()
        messi.sees_file("a.pdf")


class Files(BrowserTestCase):
    def some(self, name: str, size: int) -> Path:
        """A file of random bytes."""
        path = self.root / name
        path.write_bytes(os.urandom(size))
        return path

    @in_browser
    def test_picture(self) -> None:
        """Sent with the button, shown small on the other's page, where its space is reserved, and downloaded
        with the same bytes."""
        messi, henderson = self.person("messi"), self.person("henderson")
        sent = picture(size=(640, 400))
        messi.open_chat("henderson")
        messi.attach(sent)
        messi.sends_files()
        henderson.open_chat("messi")
        shown = henderson.page.get_by_role("img", name="endgame.png")
        expect(shown).to_be_visible()
        henderson.waits_for(lambda: shown.evaluate("(image) => image.naturalWidth") == 480)
        self.assertIn("/thumbnails/", shown.get_attribute("src") or "")
        box = shown.bounding_box()
        assert box is not None
        self.assertAlmostEqual(box["width"] / box["height"], 1.6, places=1)
        henderson.page.get_by_role("button", name="Picture: endgame.png").click()
        self.assertEqual(henderson.downloads("Download"), sent["buffer"])
        henderson.page.keyboard.press("Escape")
        expect(henderson.page.get_by_role("dialog")).to_have_count(0)
        messi.go("#/files")
        messi.press_button("Delete endgame.png")
        messi.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        messi.is_told("endgame.png is deleted")
        expect(shown).to_have_count(0)

    @in_browser
    def test_pasted_and_dropped(self) -> None:
        messi, henderson = self.person("messi"), self.person("henderson")
        pasted, dropped = picture("pasted.png"), os.urandom(100_000)
        messi.open_chat("henderson")
        messi.pastes(pasted)
        messi.sends_files()
        messi.sees_file("pasted.png")
        messi.drops({"name": "laporan.pdf", "mimeType": "application/pdf", "buffer": dropped})
        messi.sends_files()
        henderson.open_chat("messi")
        expect(henderson.page.get_by_role("img", name="pasted.png")).to_be_visible()
        self.assertEqual(henderson.downloads("laporan.pdf"), dropped)

    @in_browser
    def test_cancelled_upload(self) -> None:
        """A cancelled upload does not arrive, and the next one does."""
        messi, henderson = self.person("messi"), self.other("henderson")
        messi.open_chat("henderson")
        messi.is_slow(100_000)
        messi.attach(self.some("large.bin", 3_000_000))
        messi.press_button("Send")
        expect(messi.page.get_by_role("progressbar", name="Sending large.bin")).to_be_visible()
        messi.press_button("Cancel")
        expect(messi.page.get_by_role("progressbar")).to_have_count(0)
        messi.is_slow()
        messi.say("never mind")
        messi.sees_as("never mind", "Sent")
        found = henderson.must(command="history", user="messi")["messages"]
        self.assertEqual([each["text"] for each in found], ["never mind"])

    @long_test
    @in_browser
    def test_large_file_goes_in_chunks(self) -> None:
        messi, henderson = self.person("messi"), self.person("henderson")
        henderson.open_chat("messi")
        messi.open_chat("henderson")
        offsets: list[str | None] = []
        messi.page.on(
            "request",
            lambda request: (
                offsets.append(request.headers.get("upload-offset"))
                if request.method == "PUT"
                else None
            ),
        )
        file = self.some("large.bin", (16 << 20) + 5)
        messi.attach(file)
        messi.press_button("Send")
        henderson.sees_file("large.bin")
        self.assertEqual(offsets, ["0", str(8 << 20), str(16 << 20)])
        self.assertEqual(henderson.downloads("large.bin"), file.read_bytes())

    @long_test
    @in_browser
    def test_daemon_is_killed_during_an_upload(self) -> None:
        """The upload continues after the restart, and the file arrives once and complete."""
        messi, henderson = (self.person(name, worker=True) for name in ("messi", "henderson"))
        for person in (messi, henderson):
            person.expects(GONE)
            person.has_worker()
        file = self.some("large.bin", 3_000_000)
        henderson.open_chat("messi")
        messi.open_chat("henderson")
        messi.is_slow(500_000)
        messi.attach(file)
        messi.press_button("Send")
        bar = messi.page.get_by_role("progressbar", name="Sending large.bin")
        messi.waits_for(lambda: float(bar.get_attribute("value") or 0) > 0)
        self.site.kill()
        messi.is_slow()
        self.site.launch()
        henderson.sees_file("large.bin")
        expect(bar).to_have_count(0)
        self.assertEqual(henderson.downloads("large.bin"), file.read_bytes())
        expect(henderson.page.locator("a.file")).to_have_count(1)

    @in_browser
    def test_hostile_names_and_types(self) -> None:
        """A file that claims to be a page or a picture is not executed or shown, and can only be
        downloaded."""
        messi, henderson = self.person("messi"), self.person("henderson")
        page = b"<script>alert(1)</script>"
        messi.open_chat("henderson")
        henderson.open_chat("messi")
        for name, kind in (
            ("<img src=x onerror=alert(1)>.html", "text/html"),
            ("\u202egnp.exe", "image/png"),
            ("drawing.svg", "image/svg+xml"),
        ):
            messi.attach({"name": name, "mimeType": kind, "buffer": page})
            messi.sends_files()
        for ending in ("html", "exe", "svg"):
            henderson.sees_file(ending)
        self.assertEqual(henderson.page.get_by_role("log").locator("img").count(), 0)
        self.assertEqual(henderson.downloads("drawing.svg"), page)
        for link in henderson.page.locator("a.file").all():
            address = str(link.get_attribute("href"))
            answer = henderson.context.request.get(f"{address}?inline")
            self.assertTrue(answer.headers["content-disposition"].startswith("attachment"))
            self.assertEqual(answer.headers["x-content-type-options"], "nosniff")
