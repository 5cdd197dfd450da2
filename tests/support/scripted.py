"""Test cases with a page whose realm is scripted."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from tests.support.browser import BrowserTestCase, Site, why_not
from tests.support.page import Person
from tests.support.scripted_realm import ScriptedRealm


class Scripted(BrowserTestCase):
    """`messi` has a page whose realm is scripted. One daemon serves all tests of a class."""

    shared: Site

    @classmethod
    def setUpClass(cls) -> None:
        if why_not():
            return
        root = Path(tempfile.mkdtemp(prefix="chatd-test-")).resolve()
        cls.addClassCleanup(shutil.rmtree, root, ignore_errors=True)
        cls.shared = Site(root, "realm1")
        cls.addClassCleanup(cls.shared.close)
        cls.shared.start().register("messi")

    def begin(self) -> Site:
        return self.shared

    def setUp(self) -> None:
        super().setUp()
        self.script = ScriptedRealm("messi")

    def messi(self, **options: Any) -> Person:
        """A person at a page of the scripted realm."""
        person = self.person(**options)
        self.script.serve(person.page)
        person.comes_back("messi")
        return person

    def asked(self, command: str) -> dict[str, Any]:
        """The last request with that command."""
        return next(each for each in reversed(self.script.asked) if each["command"] == command)
