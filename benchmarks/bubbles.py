"""Measures the time from Enter to the message in the other browser, on a realm of its own.

    python -m benchmarks.bubbles [--lines 200]

Both are pages of one headless Chromium, in contexts of their own; `anna` types a line in a chat, and the
clock runs from the `keydown` of its Enter until the text stands in `bert`'s page, each read off the clock of
its own page as wall time. Before that it times the first screen of somebody who was never there: from the
navigation's start to the form to log in with.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.browser import Site, studio, why_not

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SCREENS = 10
#: Records the time of each Enter before the page itself gets it.
NOTE_ENTER = """
    addEventListener("keydown", (event) => {
        if (event.key === "Enter") window.entered = performance.timeOrigin + performance.now();
    }, true)
"""
#: The time since the navigation began, once a form is drawn.
SHOWN = """
    new Promise((done) => {
        const look = () => document.querySelector("form") ? setTimeout(() => done(performance.now()))
            : requestAnimationFrame(look);
        requestAnimationFrame(look);
    })
"""
#: Records the time at which a numbered text appears on the page.
NOTE_BUBBLES = """
    window.shown = {};
    new MutationObserver((changes) => {
        const now = performance.timeOrigin + performance.now();
        for (const { addedNodes } of changes) for (const node of addedNodes)
            for (const [number] of (node.textContent ?? "").matchAll(/no\\. \\d{6}/g))
                window.shown[number] ??= now;
    }).observe(document.body, { childList: true, subtree: true, characterData: true })
"""


def measure(browser: Browser, site: Site, lines: int) -> list[float]:
    """The times from Enter to the message on the other page, in ms."""
    from tests.support.page import Person

    anna, bert = Person(browser, site), Person(browser, site)
    anna.enter("anna")
    bert.enter("bert")
    anna.open_chat("bert")
    bert.open_chat("anna")
    anna.say("hello")
    bert.sees("hello")
    anna.page.evaluate(NOTE_ENTER)
    bert.page.evaluate(NOTE_BUBBLES)
    found = []
    for number in range(lines):
        text = f"no. {number:06}"
        anna.say(f"this is line {text}")
        bert.page.wait_for_function("(text) => text in window.shown", arg=text, polling=20)
        entered = anna.page.evaluate("window.entered")
        found.append(bert.page.evaluate("(text) => window.shown[text]", text) - entered)
    anna.close()
    bert.close()
    return found


def first_screens(browser: Browser, site: Site, times: int) -> list[float]:
    """The times until the first screen is shown, in ms, each in a new browser."""
    from tests.support.page import Person

    found = []
    for _ in range(times):
        person = Person(browser, site)
        person.page.goto("/", wait_until="commit")
        found.append(float(person.page.evaluate(SHOWN)))
        person.close()
    return found


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m benchmarks.bubbles", description=__doc__)
    options.add_argument("--lines", type=int, default=200)
    lines = options.parse_args().lines
    if reason := why_not():
        sys.exit(reason)
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder))
        try:
            site.start()
            screens = studio().do(lambda browser: first_screens(browser, site, SCREENS)).result()
            found = sorted(studio().do(lambda browser: measure(browser, site, lines)).result())
        finally:
            site.close()
    p50, p99 = statistics.median(found), found[int(len(found) * 0.99)]
    print(f"first screen: {statistics.median(screens):.0f} ms, longest {max(screens):.0f} ms")
    print(f"{lines} lines: p50 {p50:.1f} ms, p99 {p99:.1f} ms, longest {found[-1]:.1f} ms")


if __name__ == "__main__":
    main()
