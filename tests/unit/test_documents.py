"""The documents agree with the code: the files they name exist, and generated parts are current."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

from twisted.trial.unittest import TestCase

import chatd
from chatd.base.errors import every_error
from chatd.client.main import parser
from chatd.commands.table import TABLE
from chatd.ctl.roff import escaped, inline
from chatd.tap import Options
from tools import import_graph, man_pages

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "benchmarks" / "README.md"]
)
FOLDERS = "chatd|tests|tools|benchmarks|etc|docs"


class LinkTests(TestCase):
    """References in documents."""

    def missing(self, pattern: str, found_at: str = "") -> list[str]:
        """Matches of the pattern, in all documents, that are not a path in the repository."""
        wrong = []
        for document in DOCUMENTS:
            for name in re.findall(pattern, document.read_text(encoding="utf-8")):
                base = document.parent if found_at == "document" else ROOT
                if not (base / name).exists():
                    wrong.append(f"{document.relative_to(ROOT)}: {name}")
        return wrong

    def test_links_lead_to_files(self) -> None:
        links = r"\]\((?!https?:|#)([^)#\s]+)(?:#[^)]*)?\)"
        self.assertEqual(self.missing(links, found_at="document"), [])

    def test_named_files_exist(self) -> None:
        """Python files and Markdown files by their paths from the root, such as chatd/tap.py."""
        self.assertEqual(self.missing(rf"(?<![\w/.])((?:{FOLDERS})/[\w/]+\.(?:py|md|ini))\b"), [])

    def test_named_modules_exist(self) -> None:
        """Modules that docs/architecture.md names without their folders, such as `router.js`."""
        modules = {
            path.name for kind in ("py", "js") for path in (ROOT / "chatd").rglob(f"*.{kind}")
        }
        text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
        self.assertEqual(set(re.findall(r"`(\w+\.(?:py|js))`", text)) - modules, set())

    def test_named_folders_exist(self) -> None:
        self.assertEqual(self.missing(rf"`((?:{FOLDERS})/(?:[\w]+/)*)`"), [])

    def test_named_parts_of_the_log_exist(self) -> None:
        """In lines such as `[chatd.app.daemon#info] plain: …`."""
        wrong = []
        for document in DOCUMENTS:
            for name in re.findall(r"\[(chatd[\w.]*)#\w+\]", document.read_text(encoding="utf-8")):
                if not (ROOT / f"{name.replace('.', '/')}.py").exists():
                    wrong.append(f"{document.relative_to(ROOT)}: {name}")
        self.assertEqual(wrong, [])

    def test_named_make_targets_exist(self) -> None:
        targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
        named = {
            target
            for document in DOCUMENTS
            for target in re.findall(r"`make ([a-z]+)`", document.read_text(encoding="utf-8"))
        }
        self.assertEqual(named - targets, set())


class SentenceTests(TestCase):
    """The replies shown in documents."""

    def test_errors_are_shown_as_they_are(self) -> None:
        """Where a reply of `plain` has a code and a message, the message is the error's sentence."""
        shapes: dict[str, list[str]] = {}
        for error in every_error():
            literals = re.split(r"\{[^}]*\}", error.sentence)
            shapes.setdefault(error.code, []).append(".*".join(map(re.escape, literals)))
        wrong = [
            (document.name, code, message)
            for document in DOCUMENTS
            for code, message in re.findall(
                r"^ *code: (\S+)\n *message: (.*)$",
                document.read_text(encoding="utf-8"),
                re.MULTILINE,
            )
            if not any(re.fullmatch(shape, message) for shape in shapes.get(code, ()))
        ]
        self.assertEqual(wrong, [])


class DependencyTests(TestCase):
    """The table in docs/architecture.md."""

    def test_has_every_dependency(self) -> None:
        setup = configparser.ConfigParser()
        setup.read(ROOT / "setup.cfg", encoding="utf-8")
        lists = [setup["options"]["install_requires"], *setup["options.extras_require"].values()]
        names = {
            re.split(r"[\[ <>=]", line)[0] for part in lists for line in part.split("\n") if line
        }
        text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
        listed = set(re.findall(r"[\w.-]+", text[text.index("## Dependencies") :]))
        self.assertEqual(names - listed, set())


class PictureTests(TestCase):
    """docs/pictures/layers.svg."""

    def test_is_current(self) -> None:
        drawn = import_graph.draw(import_graph.package_imports())
        if import_graph.PICTURE.read_text(encoding="utf-8") != drawn:
            self.fail("docs/pictures/layers.svg is out of date: run `make docs`")

    def test_leaves_out_what_follows(self) -> None:
        graph = {"a": frozenset("bc"), "b": frozenset("c"), "c": frozenset[str]()}
        expected = {"a": frozenset("b"), "b": frozenset("c"), "c": frozenset[str]()}
        self.assertEqual(import_graph.reduced(graph), expected)
        self.assertEqual(import_graph.ranks(graph), {"a": 2, "b": 1, "c": 0})


class ManPageTests(TestCase):
    """The man pages name everything that the programs know."""

    def test_daemon_has_every_option(self) -> None:
        page = "\n".join(man_pages.daemon_page())
        names = [row[0] for row in (*Options.optParameters, *Options.optFlags)]
        self.assertEqual([name for name in names if escaped(f"--{name}") not in page], [])
        self.assertIn("realm.key", page)
        self.assertIn("USR1", page)

    def test_configuration_has_every_key(self) -> None:
        self.assertEqual(man_pages.missing_keys(), [])
        page = "\n".join(man_pages.config_page())
        self.assertIn(r"\fBmin_password\fP = 8", page)

    def test_client_has_every_option_and_command(self) -> None:
        page = "\n".join(man_pages.client_page())
        options = [name for action in parser()._actions for name in action.option_strings]
        self.assertEqual([name for name in options if escaped(name) not in page], [])
        verbs = dict.fromkeys(row.verb.partition(".")[0] for row in TABLE)
        self.assertEqual([each for each in verbs if rf"\fB{each}\fP" not in page], [])
        self.assertIn(r"[\fIhost[:port]\fP …]", page)

    def test_text_has_no_meaning_to_roff(self) -> None:
        self.assertEqual(escaped(".x\n'y \\n a-b"), "\\&.x\n\\(aqy \\en a\\-b")
        self.assertEqual(inline("see `a-b` and [c](d.md)"), "see \\fBa\\-b\\fP and c")


class VersionTests(TestCase):
    """The version is defined in chatd/__init__.py only."""

    def test_package_takes_it_from_the_code(self) -> None:
        setup = configparser.ConfigParser()
        setup.read(ROOT / "setup.cfg", encoding="utf-8")
        self.assertEqual(setup["metadata"]["version"], "attr: chatd.__version__")

    def test_news_begins_with_it(self) -> None:
        found = re.findall(
            r"^## (\S+) \(", (ROOT / "NEWS.md").read_text(encoding="utf-8"), re.MULTILINE
        )
        self.assertEqual(found[:1], [chatd.__version__])
