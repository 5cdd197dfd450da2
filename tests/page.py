"""What a person does and sees on the client's pages, by roles and labels, as with eyes or a screen reader."""

from __future__ import annotations

import contextlib
import re
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Dialog,
    Error,
    Request,
    expect,
)

from tests.browser import Site

WIDE = (1440, 900)
NARROW = (360, 740)
PATIENCE = 10_000.0  # ms
#: How a browser says that nobody is at the other end.
GONE = (
    r"net::ERR_(CONNECTION_REFUSED|CONNECTION_RESET|EMPTY_RESPONSE|INTERNET_DISCONNECTED|FAILED)"
    r"|WebSocket connection to"
)

expect.set_options(timeout=PATIENCE)


class Person:
    """Somebody with a browser of their own: a context, and one page of it (or more: `tab`)."""

    def __init__(
        self,
        browser: Browser,
        site: Site,
        size: tuple[int, int] = WIDE,
        theme: str = "light",
        **options: Any,
    ) -> None:
        self.site = site
        self.name = ""
        self.complaints: list[str] = []
        self.requests: list[Request] = []
        self._expected: list[str] = []
        self.context = browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme="dark" if theme == "dark" else "light",
            locale=options.pop("locale", "en-GB"),
            base_url=site.url,
            **options,
        )
        self.context.set_default_timeout(PATIENCE)
        self.context.on("console", self._on_console)
        self.context.on("weberror", lambda error: self._complain(f"not caught: {error.error}"))
        self.context.on("dialog", self._on_dialog)
        self.context.on("request", self._on_request)
        self.page = self.context.new_page()

    # What the pages complain of.

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
        """Such complaints are no mistake in this test."""
        self._expected.append(pattern)

    def has_no_complaint(self) -> None:
        pattern = re.compile("|".join(self._expected) or r"(?!)")
        found = [each for each in self.complaints if not pattern.search(each)]
        assert not found, f"{self.name or 'somebody'}'s pages complain: {found}"

    def describe(self) -> str:
        """What is shown, for the report of a test that failed."""
        try:
            shown = self.page.locator("body").aria_snapshot(timeout=2000)
        except Error as error:
            shown = str(error)
        return f"{self.name or 'Somebody'} at {self.page.url}:\n{shown}\n{self.complaints}"

    def close(self) -> None:
        with contextlib.suppress(Error):
            self.context.close()
