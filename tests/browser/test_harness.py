"""The browser tests fail if a page reports an error."""

from __future__ import annotations

from typing import Any

from tests.support.browser import BrowserTestCase, in_browser

POLICY = "default-src 'none'; script-src 'nonce-good'; require-trusted-types-for 'script'"


class PageErrors(BrowserTestCase):
    """Which errors of a page are reported."""

    def shown(self, script: str) -> Any:
        """Open a page that runs `script`. Its errors do not fail this test."""
        person = self.person()
        person.page.route(
            "**/stub",
            lambda route: route.fulfill(
                body=f"<title>stub</title><body><script nonce=good>{script}</script>",
                headers={"Content-Security-Policy": POLICY, "Content-Type": "text/html"},
            ),
        )
        person.page.goto("/stub")
        person.page.evaluate("new Promise((done) => setTimeout(done, 20))")
        person.expects(r".")
        return person

    @in_browser
    def test_errors_fail_the_test(self) -> None:
        for script, complaint in {
            "console.error('oh')": "console: oh",
            "throw new Error('ah')": "ah",
            "Promise.reject(new Error('eh'))": "eh",
            "document.body.innerHTML = '<b>x</b>'": "TrustedHTML",
            "document.body.setAttribute('style', 'color: red')": "Content Security Policy",
            "fetch('//127.0.0.2:9/')": "http://127.0.0.2:9/",
            "alert('uh')": "uh",
        }.items():
            person = self.shown(script)
            found = " ".join(person.complaints)
            self.assertIn(complaint, found, script)

    @in_browser
    def test_other_output_is_ignored(self) -> None:
        person = self.shown("console.log('fine')")
        self.assertEqual(person.complaints, [])
