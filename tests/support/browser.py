"""A headless Chromium for the tests: Debian's own, driven by Playwright, against real daemons.

Playwright's API blocks and belongs to one thread. That thread is here, with one Chromium for all tests of a
process. A test that is decorated with `in_browser` runs in that thread as a whole, while the reactor
continues to run. Each person has a browser context of their own (`tests.support.page`), so people share
nothing but the process.

A test fails if a page reports an error: on the console (where the Content-Security-Policy reports all that it
refuses), an uncaught exception, a dialog, or a request to another site. `Person.expects` names errors that
must occur, as when a daemon is killed. Without Chromium or Playwright, these tests are skipped with a reason.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib.util
import os
import queue
import shutil
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, cast
from unittest import SkipTest

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from tests.support import ROOT
from tests.support.processes import DaemonTestCase, Home
from tests.support.talker import PATIENCE, Talker

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Playwright

    from tests.support.page import Person

#: A host name of another site that resolves to this machine.
REBOUND = "evil.example"
#: Options that turn off what it does on its own, over the network or with the machine.
FLAGS = (
    # The network in the browser's process: a tenth less work for all that a page loads.
    "--enable-features=NetworkServiceInProcess2",
    f"--host-resolver-rules=MAP {REBOUND} 127.0.0.1",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--process-per-site",
    "--in-process-gpu",
)
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
PASSWORD = "correct-horse"


def find_chromium() -> str | None:
    """The path of the browser. Playwright's own download is never used. The headless shell has no windows or
    menus, and takes a quarter of the time."""
    names = ("chromium-headless-shell", "/usr/bin/chromium", "chromium", "google-chrome")
    return next(filter(None, map(shutil.which, names)), None)


def why_not() -> str:
    """The reason why browser tests can't run here, in a sentence; empty if they can."""
    if importlib.util.find_spec("playwright") is None:
        return "no tests in a browser: Python's package playwright is not installed"
    if find_chromium() is None:
        return "no tests in a browser: no Chromium here (Debian: chromium-headless-shell)"
    return ""


class Studio(threading.Thread):
    """The thread of Playwright and the browser. It runs one test at a time."""

    def __init__(self) -> None:
        super().__init__(name="browser", daemon=True)
        self._pid = 0
        self._jobs: queue.SimpleQueue[tuple[Callable[[Browser], Any], Future[Any]] | None] = (
            queue.SimpleQueue()
        )

    def do(self, job: Callable[[Browser], Any]) -> Future[Any]:
        future: Future[Any] = Future()
        self._jobs.put((job, future))
        return future

    def run(self) -> None:
        # Here, so that a machine without it can still import this file.
        from playwright.sync_api import sync_playwright

        with sync_playwright() as playwright:
            browser: Browser | None = None
            while (next_job := self._jobs.get()) is not None:
                job, future = next_job
                try:
                    if browser is None or not browser.is_connected():
                        browser = self._launch(playwright)
                    future.set_result(job(browser))
                except BaseException as error:  # passed on to the caller
                    future.set_exception(error)
            if browser is not None:
                browser.close()

    def _launch(self, playwright: Playwright) -> Browser:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS)
        session = browser.new_browser_cdp_session()
        processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
        self._pid = next(each["id"] for each in processes if each["type"] == "browser")
        return browser

    def interrupt(self) -> None:
        """End the browser, so that a test that waits for a page fails."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)

    def close(self) -> None:
        """End the browser."""
        self._jobs.put(None)
        self.join(PATIENCE)


@functools.cache
def studio() -> Studio:
    """The Studio of this process."""
    made = Studio()
    made.start()
    atexit.register(made.close)
    return made


class Site(Home):
    """A realm whose pages are at `url`."""

    doors: Sequence[str] = ("json", "plain", "peers", "web")
    more = "\n[peers]\nadd = anyone\nprivate = yes\nstrangers = welcome\n"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports['web']}"

    def register(self, *names: str) -> None:
        """Register accounts, without a browser."""
        for name in names:
            with self.daemon.talk() as talker:
                talker.must(command="register", username=name, password=PASSWORD)

    def login(self, name: str) -> Talker:
        """Log in to an account that was registered with `PASSWORD`, over the json dialect."""
        return self.daemon.login(name, PASSWORD)

    def telnet(self) -> Line:
        """A connection as telnet makes one."""
        return Line(self.ports["plain"])

    @property
    def written(self) -> str:
        """Everything that its daemons have logged."""
        return "".join(daemon.out + daemon.err for daemon in self._daemons)


class CautiousSite(Site):
    """A realm where people of realms that were not added ask before they write."""

    more = Site.more.replace("welcome", "requests")


class Line:
    """A connection of a telnet user, who types lines and reads."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self._lines = self._socket.makefile("r", encoding="utf-8", newline="")

    def type(self, line: str) -> None:
        self._socket.sendall(line.encode() + b"\r\n")

    def sees(self, text: str) -> str:
        """Return the next line that contains `text`; earlier ones are skipped."""
        passed = []
        for line in self._lines:
            passed.append(line)
            if text in line:
                return line
        raise AssertionError(f"waited in vain for {text!r}; what came: {passed}")

    def close(self) -> None:
        self._lines.close()
        self._socket.close()


def in_browser(method: Callable[[Any], None]) -> Callable[[Any], Deferred[None]]:
    """Decorator: runs a test in the browser's thread, with the browser in the case's `browser`."""

    @functools.wraps(method)
    def run(self: BrowserTestCase) -> Deferred[None]:
        done: Deferred[None] = Deferred()
        in_reactor: Any = cast(Any, reactor).callFromThread

        def hand_over(future: Future[None]) -> None:
            error = future.exception()
            result = None if error is None else Failure(error)
            with contextlib.suppress(RuntimeError):  # the test has timed out
                in_reactor(_settle, done, result)

        studio().do(functools.partial(self.play, method)).add_done_callback(hand_over)
        return done

    return run


def _settle(done: Deferred[Any], result: Failure | None) -> None:
    if not done.called:
        done.callback(result)


class SiteTestCase(DaemonTestCase):
    """A test with a running realm, `self.site`."""

    def setUp(self) -> None:
        super().setUp()
        self.site = self.begin()

    def begin(self) -> Site:
        """Runs when a test begins."""
        return self.realm("realm1")

    def realm(self, name: str, kind: type[Site] = Site) -> Site:
        """Start a realm that runs until the test ends."""
        site = kind(self.root, name)
        self.addCleanup(site.close)
        return site.start()

    def other(self, name: str) -> Talker:
        """Somebody who has just registered, and has another program than a page."""
        self.site.register(name)
        talker = self.site.login(name)
        self.addCleanup(talker.close)
        return talker

    def telnet(self) -> Line:
        """Somebody with telnet."""
        line = self.site.telnet()
        self.addCleanup(line.close)
        return line


class BrowserTestCase(SiteTestCase):
    """`person` makes a person with a browser of their own."""

    def setUp(self) -> None:
        if reason := why_not():
            raise SkipTest(reason)
        self.people: list[Person] = []
        super().setUp()

    def person(self, name: str = "", site: Site | None = None, **options: Any) -> Person:
        """A person with an empty browser. One with a name has just registered, without the page."""
        from tests.support.page import Person

        found = Person(self.browser, site or self.site, **options)
        self.people.append(found)
        if name:
            found.enter(name)
        return found

    def play(self, method: Callable[[Any], None], browser: Browser) -> None:
        """Run the whole test, in the browser's thread."""
        self.browser = browser
        # Some calls of Playwright have no time limit, and later tests need the thread.
        watch = threading.Timer(self.timeout - 5, studio().interrupt)
        watch.start()
        try:
            method(self)
            for person in self.people:
                person.has_no_complaint()
        except Exception as error:
            shown = "\n\n".join(person.describe() for person in self.people)
            raise AssertionError(f"{error}\n\n{shown}") from error
        finally:
            watch.cancel()
            for person in self.people:
                person.close()
