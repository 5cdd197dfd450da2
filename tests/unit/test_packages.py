"""setup.cfg installs all of chatd."""

from __future__ import annotations

import configparser
from fnmatch import fnmatchcase
from pathlib import Path

from twisted.trial.unittest import TestCase

ROOT = Path(__file__).parents[2]


class PackageTests(TestCase):
    """An installation has what a checkout has."""

    def setUp(self) -> None:
        self.setup_cfg = configparser.ConfigParser()
        self.setup_cfg.read(ROOT / "setup.cfg", encoding="utf-8")

    def test_has_every_package(self) -> None:
        folders = {path.parent for path in (ROOT / "chatd").rglob("*.py")}
        packages = {".".join(folder.relative_to(ROOT).parts) for folder in folders}
        listed = set(self.setup_cfg["options"]["packages"].split())
        self.assertEqual(listed, packages | {"twisted.plugins"})

    def test_has_every_file_of_the_page(self) -> None:
        """The patterns for chatd.web reach each folder below chatd/web/static."""
        patterns = [
            pattern.strip(",")
            for pattern in self.setup_cfg["options.package_data"]["chatd.web"].split()
        ]
        web = ROOT / "chatd" / "web"
        files = [
            path.relative_to(web).as_posix()
            for path in (web / "static").rglob("*")
            if path.is_file()
        ]
        self.assertIn("static/index.html", files)
        missing = [
            name
            for name in files
            if not any(
                fnmatchcase(name, pattern) and name.count("/") == pattern.count("/")
                for pattern in patterns
            )
        ]
        self.assertEqual(missing, [])
