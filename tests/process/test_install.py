"""Installed as a wheel or editable, chatd is found by twistd from any folder.

Each test has a virtual environment of its own. Nothing is downloaded: the environment has links to all
packages that are installed for the interpreter of the tests, except chatd itself. Twisted's folder of plugins
is a copy, because a wheel's plugin is installed into it.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path
from unittest import SkipTest

import chatd
from tests.support import ROOT
from tests.support.order import long_test
from tests.support.processes import Daemon, DaemonTestCase, environment, in_thread

BUILD_LIMIT = 60.0
SOURCES = ("chatd", "twisted", "setup.cfg", "pyproject.toml", "README.md", "LICENSE")
NOT_COPIED = shutil.ignore_patterns("__pycache__", "*.pyc", "dropin.cache", "*.egg-info")


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command to its end, and return its output. Raises AssertionError if it fails."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment(tree=None),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=BUILD_LIMIT,
        check=False,
    )
    output = done.stdout.decode(errors="replace")
    if done.returncode != 0:
        raise AssertionError(f"{command} ended with {done.returncode}:\n{output}")
    return output


class InstallTests(DaemonTestCase):
    def setUp(self) -> None:
        super().setUp()
        if importlib.util.find_spec("pip") is None:
            raise SkipTest("there is no pip to install with")
        self.tree = self.root / "tree"
        self.tree.mkdir()
        for name in SOURCES:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, self.tree / name, ignore=NOT_COPIED)
            elif source.exists():
                shutil.copy(source, self.tree / name)
        # Without a setuptools of its own, pip has to fetch one to build with.
        self.isolation = (
            [] if importlib.util.find_spec("setuptools") is None else ["--no-build-isolation"]
        )

    def make_environment(self) -> Path:
        """Make a virtual environment with all that chatd needs, without chatd. Returns its interpreter."""
        place = self.root / "venv"
        run(sys.executable, "-m", "venv", "--without-pip", place, cwd=self.root)
        [packages] = place.glob("lib/python*/site-packages")
        for path in Path(sysconfig.get_path("purelib")).iterdir():
            if path.name == "twisted":
                self._copy_twisted(path, packages / path.name)
            elif "chatd" not in path.name and not path.name.endswith(".pth"):
                (packages / path.name).symlink_to(path)
        return place / "bin" / "python"

    def _copy_twisted(self, source: Path, copy: Path) -> None:
        """A folder for Twisted with links to all that is in it, and with the plugins themselves."""
        copy.mkdir()
        for path in source.iterdir():
            if path.name != "plugins":
                (copy / path.name).symlink_to(path)
        others = shutil.ignore_patterns("chatd_plugin*", "__pycache__", "dropin.cache")
        shutil.copytree(source / "plugins", copy / "plugins", ignore=others)

    def install(self, interpreter: Path, *what: str | Path) -> None:
        """pip install, without downloads. Modules are compiled when they are imported: few of them are."""
        options = ["--no-compile", *self.isolation]
        if self.isolation:
            options.append("--no-index")
        pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", interpreter)
        run(*pip, "install", *options, *what, cwd=self.folder)

    def where_chatd_is(self, interpreter: Path) -> Path:
        code = "import chatd, twisted; print(chatd.__file__)"
        return Path(run(interpreter, "-c", code, cwd=self.folder).strip()).resolve()

    def start_and_talk(self, interpreter: Path) -> Daemon:
        """Run twistd from an empty folder: it finds the plugin, and the daemon works."""
        self.assertEqual(list(self.folder.iterdir()), [])
        daemon = self.start(interpreter=interpreter, tree=None)
        client = interpreter.parent / "chatd-client"
        said = run("env", f"XDG_STATE_HOME={self.root}", client, f"localhost:{daemon.port}", "--lang", "id",
                   "-c", "register lina correct-horse", cwd=self.folder)  # fmt: skip
        self.assertEqual(said, "User berhasil dibuat\n")  # the catalogues are there
        with daemon.register("messi") as messi, daemon.register("lineker") as lineker:
            messi.must(command="send", to="lineker", text="halo")
            self.assertEqual(lineker.texts(), ["halo"])
        daemon.stop()
        self.assertEqual(list(self.folder.iterdir()), [])
        return daemon

    @long_test
    @in_thread
    def test_wheel(self) -> None:
        """It has the whole package, and nothing that would hide Twisted."""
        built = self.root / "built"
        pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
        run(*pip, "wheel", "--no-deps", *self.isolation, "-w", built, self.tree, cwd=self.folder)
        [wheel] = built.glob("*.whl")
        self.assertTrue(wheel.name.startswith(f"chatd-{chatd.__version__}-"), wheel.name)
        names = set(zipfile.ZipFile(wheel).namelist())
        sources = [*self.tree.glob("chatd/**/*.py"), self.tree / "chatd" / "py.typed"]
        expected = {str(path.relative_to(self.tree)) for path in sources}
        self.assertEqual(expected - names, set(), "missing in the wheel")
        self.assertIn("twisted/plugins/chatd_plugin.py", names)
        hiding = {"twisted/__init__.py", "twisted/plugins/__init__.py"}
        self.assertEqual(names & hiding, set())
        outside = {name.split("/")[0] for name in names if ".dist-info" not in name}
        self.assertEqual(outside, {"chatd", "twisted"})
        shutil.rmtree(self.tree)  # nothing may come from there
        interpreter = self.make_environment()
        self.install(interpreter, wheel)
        self.assertTrue(self.where_chatd_is(interpreter).is_relative_to(self.root / "venv"))
        self.start_and_talk(interpreter)

    @long_test
    @in_thread
    def test_editable(self) -> None:
        """From another folder too. Changes in the tree take effect."""
        interpreter = self.make_environment()
        self.install(interpreter, "--no-deps", "--editable", self.tree)
        self.assertTrue(self.where_chatd_is(interpreter).is_relative_to(self.tree))
        self.start_and_talk(interpreter)
        package = self.tree / "chatd" / "__init__.py"
        package.write_text(package.read_text() + "raise SystemExit('it was changed')\n")
        daemon = self.launch(1, "--config", "../chatd.ini", interpreter=interpreter, tree=None)
        self.assertNotEqual(daemon.ended(), 0)
        self.assertIn("it was changed", daemon.err)
