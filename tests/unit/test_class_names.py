"""No two classes of the daemon have the same name."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

from twisted.trial.unittest import TestCase

import chatd

ROOT = Path(chatd.__file__).parent
# The terminal client is a program of its own, and migrations are frozen copies of old code.
OTHERS = ("client/", "store/migrations/")
# Names that still occur twice. Remove a name here when its second class is renamed.
KNOWN: set[str] = set()


class ClassNamesTests(TestCase):
    def test_each_name_is_used_once(self) -> None:
        """A second class with a name that is in use fails the test."""
        found: dict[str, list[str]] = defaultdict(list)
        for path in sorted(ROOT.rglob("*.py")):
            module = path.relative_to(ROOT).as_posix()
            if module.startswith(OTHERS):
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef):
                    found[node.name].append(module)
        twice = {name: modules for name, modules in found.items() if len(modules) > 1}
        self.assertEqual({name: twice[name] for name in twice.keys() - KNOWN}, {})
