"""Which keys a reload changes, and which need a restart."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
from twisted.trial.unittest import SynchronousTestCase

import chatd
from chatd.base.config import Config, Limits, PeerConfig, PeersConfig
from chatd.base.config_changes import AT_START, changed_keys, reloaded, values_of
from chatd.base.config_file import KEYS, load_config

ROOT = Path(chatd.__file__).parent
SHIPPED = ROOT.parent / "etc/chatd.ini"
# What runs while the configuration may change
LIVE = ("commands", "federation", "lines", "service", "web")
# Sections that are replaced as a whole; what is read at the start only may be kept.
SECTIONS = {"files", "accounts", "peers", "groups", "web", "limits", "log"}


class Keys(SynchronousTestCase):
    def test_names(self) -> None:
        """The values have the names that the configuration file has."""
        config = load_config(SHIPPED)
        doors = {f"[listen] {door}" for door in KEYS["listen"] if door in config.listen}
        others = {f"[{section}] {key}" for section in KEYS for key in KEYS[section]}
        listed = {name for name in others if not name.startswith("[listen]")}
        self.assertEqual(set(values_of(config)), listed | doors | {"[listen] trusted"})
        self.assertEqual(AT_START - listed, set())

    def test_the_shipped_file_says_what_needs_a_restart(self) -> None:
        """The comments above exactly these keys say so."""
        section, comment, found = "", "", set()
        for line in SHIPPED.read_text(encoding="utf-8").splitlines():
            if match := re.fullmatch(r"\[(\w+)\]", line):
                section, comment = match[1], ""
            elif line.startswith(";"):
                comment += line
            elif match := re.match(r"([\w-]+) =", line):
                if "Needs a restart" in comment:
                    found.add(f"[{section}] {match[1]}")
                comment = ""
        self.assertEqual(found, AT_START)


class Changes(SynchronousTestCase):
    def test_nothing(self) -> None:
        self.assertEqual(changed_keys(Config(), Config()), ())

    def test_of_all_kinds(self) -> None:
        """Doors and realms that come and go, values of sections, and keys that need a restart."""
        old = Config(
            listen={"plain": "tcp:1", "json": "tcp:2"},
            peers=PeersConfig(known={"a": PeerConfig(), "b": PeerConfig()}),
        )
        new = Config(
            realm="other",
            database_url="sqlite://",
            listen={"json": "tcp:3", "web": "tcp:4"},
            peers=PeersConfig(known={"b": PeerConfig("h:1"), "c": PeerConfig()}, expire=1),
            limits=Limits(file=5),
        )
        changed = changed_keys(old, new)
        self.assertEqual(
            {*changed},
            {
                *("[realm] name", "[database] url", "[listen] plain", "[listen] json"),
                *("[listen] web", "[peer a]", "[peer b]", "[peer c]", "[peers] expire"),
                "[limits] file",
            },
        )
        used = reloaded(old, new)
        self.assertEqual((used.realm, used.database_url), ("localhost", ""))
        self.assertEqual((used.limits, used.listen), (new.limits, new.listen))
        self.assertEqual({*changed_keys(used, new)}, AT_START & {*changed})
        self.assertEqual(
            msgspec.structs.replace(used, realm="other", database_url="sqlite://"), new
        )


def kept_settings(tree: ast.Module) -> Iterator[ast.AST]:
    """The assignments to attributes of `self` within constructors whose value comes from a section."""
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef) or function.name != "__init__":
            continue
        taken: set[str] = set()  # local names of sections
        for node in ast.walk(function):
            if not isinstance(node, ast.Assign):
                continue
            if not any(_is_setting(each, taken) for each in read_now(node.value)):
                continue
            targets = [part for each in node.targets for part in ast.walk(each)]
            if any(isinstance(each, ast.Attribute) for each in targets):
                yield node
            taken |= {each.id for each in targets if isinstance(each, ast.Name)}


def read_now(node: ast.AST) -> Iterator[ast.AST]:
    """The parts of an expression, without those that are evaluated later."""
    yield node
    if not isinstance(node, ast.Lambda):
        for part in ast.iter_child_nodes(node):
            yield from read_now(part)


def _is_setting(node: ast.AST, taken: set[str]) -> bool:
    if isinstance(node, ast.Name):
        return node.id in taken
    return (
        isinstance(node, ast.Attribute)
        and node.attr in SECTIONS
        and isinstance(node.value, ast.Attribute | ast.Name)
        and getattr(node.value, "attr", getattr(node.value, "id", "")) == "config"
    )


# Constructors that take a value and are told about its changes by `Context.on_config`
TOLD = {
    "federation/amp/link_manager.py",
    "service/home_groups.py",
    "federation/amp/peers.py",
    "commands/sessions.py",  # the rate of a session is that of its beginning
}


class Copies(SynchronousTestCase):
    def test_nobody_keeps_what_a_reload_replaces(self) -> None:
        """A value that a constructor keeps would stay as it was at the start."""
        found = set()
        for folder in LIVE:
            for path in sorted((ROOT / folder).rglob("*.py")):
                source = path.read_text(encoding="utf-8")
                if "config." in source and any(kept_settings(ast.parse(source))):
                    found.add(path.relative_to(ROOT).as_posix())
        self.assertEqual(found, TOLD)

    def test_finds_them(self) -> None:
        """The test above is able to fail."""
        for body in (
            "self._limits = context.config.limits",
            "self._most = self._context.config.limits.file * 2",
            "limits = service.config.limits\n        self.quota = Quota(limits.file)",
            "a, b = x.config.limits, x.config.peers\n        self.c, self.d = 1, f(b.files)",
        ):
            source = f"class A:\n    def __init__(self):\n        {body}\n"
            self.assertTrue(any(kept_settings(ast.parse(source))), body)
        harmless = (
            "class A:\n    def __init__(self):\n        self._config = context.config.realm\n"
        )
        self.assertFalse(any(kept_settings(ast.parse(harmless))))
