"""What is kept in memory of the database stays right when another node changes that."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import TestCase

import chatd

ROOT = Path(chatd.__file__).parent
# The terminal client is a program of its own.
OTHERS = ("client/",)

# Where a plain Cache is right, and why another node can't make it stale, or why that does no harm. Elsewhere
# use NodeCache (chatd.service.node_caches).
RATES = "it counts what this node does, and has nothing of the database"
PACE = "it has times after which something is asked again; a node that does not know them asks once more"
ALLOWED = {
    "base/throttle.py": RATES,
    "web/site.py": RATES,
    "federation/amp/rate_limited_log.py": RATES,
    "service/login_guard.py": "nodes tell each other of logins; one that is not known is only slower",
    "federation/name_guesses.py": "nodes tell each other of guesses, and one that is lost is a free one",
    "federation/rescue_lineage.py": PACE,
    "service/remote_profiles.py": PACE,
    "service/thumbnails.py": "it has names of files that can't be scaled, whose contents never change",
    "files/verified_files.py": "the contents of a name never change, and size and time are compared",
    "files/claims.py": "it has sums of contents under their names, which never change",
    "federation/amp/place_finder.py": "it has answers of name servers, for as long as they hold",
    "federation/signing/entries.py": "what a key has signed stays so",
    "federation/leave_notices.py": "nodes tell each other who leaves; lost, a join may be overtaken",
    "federation/amp/node_questions.py": "it has questions of other nodes that were answered here",
    "federation/amp/node_parcels.py": "it has parcels whose outcomes this node waits for",
    "service/presence_elsewhere.py": "it has what a link of this node has asked, and ends with the link",
    "service/presence_news.py": "it has what listeners here were told last, which only this node knows",
    "service/told_entries.py": "it has what listeners here were told, which only this node knows",
    "service/remote_presence.py": "other realms tell it again, and it ends with the link",
    "service/known_accounts.py": "it has topics of its own, because an account has two keys",
    "service/roster_cache.py": "it has topics of its own, because rosters have epochs",
}


def made_in(tree: ast.AST, name: str) -> Iterator[ast.Call]:
    """The calls of a class in a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func
            if isinstance(called, ast.Subscript):
                called = called.value
            if isinstance(called, ast.Name) and called.id == name:
                yield node


class CachesTests(TestCase):
    def setUp(self) -> None:
        self.modules = {
            path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
            for path in sorted(ROOT.rglob("*.py"))
        }
        self.plain = {
            module
            for module, tree in self.modules.items()
            if not module.startswith(OTHERS) and any(made_in(tree, "Cache"))
        }

    def test_plain_caches(self) -> None:
        """A new one needs a reason, or has to be a NodeCache."""
        self.assertEqual(self.plain - ALLOWED.keys(), set())

    def test_reasons_are_needed(self) -> None:
        self.assertEqual(ALLOWED.keys() - self.plain, set())
