"""The files of the container image fit together: Containerfile, compose.yaml and etc/container."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from sqlalchemy import make_url
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from chatd.app import demo_cluster
from chatd.app.demo_cluster import HAPROXY
from chatd.base.config_file import load_config
from chatd.base.web_address import web_address
from chatd.ctl.arguments import make_parser
from tests.support import ROOT

CONTAINERFILE = (ROOT / "Containerfile").read_text(encoding="utf-8")
COMPOSE = (ROOT / "compose.yaml").read_text(encoding="utf-8")
yaml: Any = importlib.import_module("yaml")  # it has no types
CLUSTER: Any = yaml.safe_load((ROOT / "compose.cluster.yaml").read_text(encoding="utf-8"))
SCALING = (ROOT / "docs/scaling.md").read_text(encoding="utf-8")
HOSTING = (ROOT / "docs/hosting.md").read_text(encoding="utf-8")
INI = ROOT / "etc/container/chatd.ini"
CLUSTER_INI = ROOT / "etc/container/cluster.ini"
NODES = ("node1", "node2", "node3")
START = ROOT / "etc/container/start"


def instructions() -> list[tuple[str, str]]:
    """The instructions of the Containerfile with their arguments."""
    text = re.sub(r"(?m)^#.*\n", "", CONTAINERFILE).replace("\\\n", " ")
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line.strip()]
    return [(name, " ".join(rest.split())) for name, rest in lines]


def last_stage() -> list[tuple[str, str]]:
    found = instructions()
    last = max(number for number, (name, _) in enumerate(found) if name == "FROM")
    return found[last:]


class Image(SynchronousTestCase):
    def test_runs_without_root(self) -> None:
        """Nothing after USER changes it back, and the user is a number other than 0."""
        names = [name for name, _ in last_stage()]
        (user,) = (rest for name, rest in last_stage() if name == "USER")
        self.assertRegex(user, r"\A[1-9]\d+:[1-9]\d+\Z")
        self.assertNotIn("RUN", names[names.index("USER") :])
        self.assertNotIn("COPY", names[names.index("USER") :])

    def test_build_tools_stay_behind(self) -> None:
        """The last stage has the environment of the first one, and no sources."""
        self.assertEqual([name for name, _ in instructions()].count("FROM"), 2)
        copied = [rest for name, rest in last_stage() if name == "COPY"]
        self.assertIn("--from=build /opt/chatd /opt/chatd", copied)
        self.assertNotIn("pip", "".join(rest for name, rest in last_stage() if name == "RUN"))

    def test_version_of_the_base_is_fixed(self) -> None:
        (base,) = (rest for name, rest in instructions() if name == "ARG")
        self.assertRegex(base, r"\APYTHON_IMAGE=docker\.io/library/python:3\.\d+-slim-\w+\Z")

    def test_sources(self) -> None:
        """What is copied exists, and .dockerignore lets it through, and nothing else."""
        copied = set()
        for name, rest in instructions():
            if name == "COPY" and "--from" not in rest:
                copied |= {word for word in rest.split()[:-1] if not word.startswith("--")}
        allowed = {
            line[1:]
            for line in (ROOT / ".dockerignore").read_text().splitlines()
            if line.startswith("!")
        }
        self.assertEqual({each for each in copied if not (ROOT / each).exists()}, set())
        beginnings = {each for each in allowed if any(c.startswith(each) for c in copied)}
        self.assertEqual(beginnings, allowed)
        self.assertTrue(all(any(c.startswith(each) for each in allowed) for c in copied), copied)
        packages = re.findall(r"(?m)^    (chatd|twisted)[\w.]*$", (ROOT / "setup.cfg").read_text())
        self.assertLessEqual(set(packages), copied)

    def test_configuration(self) -> None:
        """It is valid, its state is in the volume, and what it opens to others is exposed."""
        config = load_config(INI)
        self.assertIn(("VOLUME", "/data"), last_stage())
        self.assertEqual(config.state, Path("/data/state"))
        public = {
            endpoint.partition(":")[2]
            for endpoint in config.listen.values()
            if "interface=127.0.0.1" not in endpoint
        }
        (exposed,) = (rest for name, rest in last_stage() if name == "EXPOSE")
        self.assertEqual(set(exposed.split()), public)
        self.assertEqual(config.listen["web"], "tcp:8550")
        self.assertEqual(config.accounts.registration, "invite")
        self.assertEqual(
            web_address(config), "https://localhost", "the proxy's, and not the door's"
        )

    def test_commands_of_the_guide(self) -> None:
        """docs/hosting.md calls commands of chatctl that exist, and its change of the configuration works."""
        commands = re.findall(r"exec (?:-it )?chatd chatctl ([^`\n]+)", HOSTING)
        self.assertGreater(len(commands), 6)
        for each in commands:
            make_parser().parse_args(shlex.split(each.replace("NAME", "name")))
        (edit,) = re.findall(r"sed -i '(.+)' /data/chatd.ini", HOSTING)
        made = Path(self.mktemp())
        shutil.copy(INI, made)
        subprocess.run(["sed", "-i", edit, str(made)], check=True)
        self.assertEqual(load_config(made).accounts.registration, "open")

    def test_health_check(self) -> None:
        """The image and compose.yaml ask the same page."""
        (image,) = (rest for name, rest in last_stage() if name == "HEALTHCHECK")
        command = re.search(r"urlopen\([^)]*\)", image)
        assert command is not None
        self.assertIn(command[0], COMPOSE)
        self.assertIn(":8550/healthz", command[0])


class Compose(SynchronousTestCase):
    def test_proxy_is_trusted(self) -> None:
        """chatd trusts the address that compose.yaml gives to Caddy, and no other one."""
        trusted = load_config(INI).web.trusted_proxies
        caddy = COMPOSE.partition("  caddy:\n")[2]
        chatd = COMPOSE.partition("  caddy:\n")[0]
        ours, theirs = (re.findall(r"ipv4_address: ([\d.]+)", part)[0] for part in (chatd, caddy))
        self.assertTrue(trusted.contains(theirs))
        self.assertFalse(trusted.contains(ours))

    def test_clear_text_is_not_published(self) -> None:
        published = re.findall(r'- "(\d+):\d+', COMPOSE)
        self.assertEqual(published, ["8890", "80", "443", "443"])

    def test_rights(self) -> None:
        for each in ("read_only: true", "no-new-privileges:true", "- ALL", "unless-stopped"):
            self.assertIn(each, COMPOSE)


class ComposeOfNodes(SynchronousTestCase):
    """compose.cluster.yaml, and the configuration of its nodes."""

    services: Any = CLUSTER["services"]

    def address(self, service: str) -> str:
        found: str = self.services[service]["networks"]["front"]["ipv4_address"]
        return found

    def test_nodes(self) -> None:
        """They differ in their names, addresses and state only, and share the files."""
        different = {"environment", "volumes", "networks"}
        found = [self.services[name] for name in NODES]
        for each in found[1:]:
            self.assertEqual(
                {key: value for key, value in each.items() if key not in different},
                {key: value for key, value in found[0].items() if key not in different},
            )
        for name, each in zip(NODES, found, strict=True):
            self.assertEqual(each["environment"]["CHATD_NODE"], name)
            self.assertEqual(each["volumes"], [f"{name}:/data", "files:/files"])
            self.assertEqual(set(each["networks"]), {"front", "back"})
            self.assertNotIn("ports", each)
        self.assertEqual(
            len({self.address(name) for name in self.services if name != "postgres"}), 5
        )

    def test_as_a_single_one(self) -> None:
        """A node runs with the rights and checks of the container of compose.yaml."""
        single = yaml.safe_load(COMPOSE)["services"]["chatd"]
        for key in (
            "read_only",
            "cap_drop",
            "security_opt",
            "tmpfs",
            "healthcheck",
            "build",
            "restart",
        ):
            self.assertEqual(self.services["node1"][key], single[key], key)
        self.assertEqual(self.services["caddy"]["ports"], ["80:80", "443:443", "443:443/udp"])

    def test_what_is_named_exists(self) -> None:
        """Volumes, networks, secrets, and files of the sources."""
        secrets, volumes = set(CLUSTER["secrets"]), set(CLUSTER["volumes"])
        used: set[str] = set()
        for service in self.services.values():
            self.assertLessEqual(set(service.get("secrets", ())), secrets)
            self.assertLessEqual(set(service["networks"]), set(CLUSTER["networks"]))
            self.assertLessEqual(set(service.get("depends_on", ())), set(self.services))
            for volume in service["volumes"]:
                source = volume.partition(":")[0]
                if source.startswith("."):
                    self.assertTrue((ROOT / source).is_file(), source)
                else:
                    used.add(source)
        self.assertEqual(used, volumes)
        self.assertEqual(self.services["postgres"]["networks"], {"back": None})

    def test_configuration(self) -> None:
        """It is valid, trusts the proxies and nothing else, and finds the secrets."""
        config = load_config(CLUSTER_INI)
        for name in ("haproxy", "caddy"):
            self.assertTrue(config.web.trusted_proxies.contains(self.address(name)), name)
        for name in NODES:
            self.assertFalse(config.web.trusted_proxies.contains(self.address(name)))
        self.assertTrue(config.trusted.contains(self.address("haproxy")))
        self.assertEqual(config.cluster.nodes, "several")
        self.assertEqual(str(config.cluster.key_file), "/run/secrets/cluster_key")
        self.assertEqual(str(config.files.folder), "/files")
        self.assertIn("/data /files", CONTAINERFILE)  # the user of the image may write there
        url = make_url(config.database_url)
        postgres = self.services["postgres"]["environment"]
        self.assertEqual((url.host, url.username, url.database), ("postgres", *["chatd"] * 2))
        self.assertEqual((postgres["POSTGRES_USER"], postgres["POSTGRES_DB"]), ("chatd", "chatd"))
        single = load_config(INI)
        self.assertEqual(config.accounts, single.accounts)
        self.assertEqual(set(config.listen), set(single.listen))

    def test_extras(self) -> None:
        """The image has what nodes, buckets and Redis need."""
        extras = re.search(r"pip install '\.\[(.+)\]'", CONTAINERFILE)
        assert extras is not None
        self.assertEqual(set(extras[1].split(",")), {"client", "postgres", "redis", "s3"})

    def test_proxy(self) -> None:
        """HAProxy gets the addresses of all doors, and accepts its file with them."""
        given = self.services["haproxy"]["environment"]
        doors = load_config(CLUSTER_INI).listen
        for variable, door in (("NODE", "web"), ("PEER", "peers")):
            port = doors[door].rpartition("tcp:")[2]
            for number, name in enumerate(NODES, 1):
                self.assertEqual(given[f"{variable}{number}"], f"{self.address(name)}:{port}")
        caddy = (ROOT / "etc/container/Caddyfile").read_text()
        (alias,) = self.services["haproxy"]["networks"]["front"]["aliases"]
        self.assertIn(f"reverse_proxy {alias}{given['WEB']} {{", caddy)
        self.check_haproxy(given)

    def check_haproxy(self, environment: dict[str, str]) -> None:
        program = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
        if program is None:
            raise SkipTest("haproxy is not installed (Debian: apt install haproxy)")
        done = subprocess.run(
            [program, "-c", "-f", str(HAPROXY)],
            env={"PATH": os.environ["PATH"], **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("WARNING", done.stderr)

    def test_proxy_on_one_machine(self) -> None:
        """The ports in HAProxy's file are those of `make cluster`."""
        ports = re.findall(r"presetenv (\w+) 127\.0\.0\.1:(\d+)", HAPROXY.read_text())
        names = ["WEB", *(f"NODE{n}" for n in range(1, demo_cluster.NODES + 1))]
        self.assertEqual(
            ports, [(name, str(demo_cluster.PROXY + n)) for n, name in enumerate(names)]
        )
        self.check_haproxy({})

    def test_commands_of_the_guide(self) -> None:
        """docs/scaling.md makes the secrets, and calls commands of chatctl that exist."""
        for secret in CLUSTER["secrets"].values():
            self.assertIn(f"> {secret['file'][2:]}", SCALING)
        self.assertIn("/secrets/\n", (ROOT / ".gitignore").read_text())
        commands = re.findall(r"exec node1 chatctl ([^`\n]+)", SCALING)
        self.assertTrue(commands)
        for each in commands:
            make_parser().parse_args(shlex.split(each))


class Start(SynchronousTestCase):
    """The script that is run in the container, with other folders and without twistd."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        text = START.read_text(encoding="utf-8")
        text = text.replace("/usr/local/share/chatd/chatd.ini", str(INI.resolve()))
        text = text.replace("/usr/local/share/chatd/cluster.ini", str(CLUSTER_INI.resolve()))
        text = text.replace("/data", str(self.folder.resolve()))
        self.secrets = self.folder.with_suffix(".secrets")
        text = text.replace("/run/secrets", str(self.secrets.resolve()))
        self.script = text.replace("exec twistd", "exec echo twistd")
        self.made = self.folder / "chatd.ini"

    def run_it(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-c", self.script, "start", *arguments],
            env={"PATH": os.environ["PATH"], **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    def test_first_start(self) -> None:
        done = self.run_it("--accept-loss", CHATD_REALM="chat.example.org")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(
            done.stdout.split(),
            [
                "twistd",
                "-n",
                "--pidfile=",
                "chatd",
                "--config",
                str(self.made.resolve()),
                "--accept-loss",
            ],
        )
        self.assertEqual(load_config(self.made).realm, "chat.example.org")
        self.assertEqual([each.name for each in self.folder.iterdir()], ["chatd.ini"])

    def test_node(self) -> None:
        """With CHATD_NODE it is one of several nodes, and the password of the database is kept for libpq."""
        self.secrets.mkdir()
        (self.secrets / "db_password").write_text("a:b\\c\n")
        done = self.run_it(CHATD_REALM="chat.example.org", CHATD_NODE="node2")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        config = load_config(self.made)
        self.assertEqual((config.realm, config.cluster.node), ("chat.example.org", "node2"))
        kept = self.folder / ".pgpass"
        self.assertEqual(kept.read_text(), "*:*:*:*:a\\:b\\\\c")
        self.assertEqual(kept.stat().st_mode & 0o777, 0o600)
        (self.secrets / "db_password").write_text("new")
        self.run_it()
        self.assertEqual(kept.read_text(), "*:*:*:*:new")

    def test_later_starts(self) -> None:
        """The file stays as somebody has changed it."""
        self.made.write_text("changed")
        self.assertEqual(self.run_it(CHATD_REALM="chat.example.org").returncode, 0)
        self.assertEqual(self.made.read_text(), "changed")

    def test_without_a_name(self) -> None:
        done = self.run_it()
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("CHATD_REALM", done.stderr)
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_any_name(self) -> None:
        """None breaks the command of sed. Letters of other scripts are kept."""
        for given, expected in (("bücher.example", "bücher.example"), ("a/b&c\\1\nd", "abc1d")):
            self.made.unlink(missing_ok=True)
            done = self.run_it(CHATD_REALM=given)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn(f"\nname = {expected}\n", self.made.read_text())


class DeployHook(SynchronousTestCase):
    def test_copies(self) -> None:
        """The hook for certbot in docs/hosting.md copies the key and the certificates."""
        found = re.search(r"(?m)^    #!/bin/sh\n(?:    .*\n)+", HOSTING)
        assert found is not None
        folder = Path(self.mktemp()).resolve()
        (lineage := folder / "live").mkdir(parents=True)
        for name in ("privkey.pem", "fullchain.pem", "cert.pem"):
            (lineage / name).write_text(name)
        hook = "".join(line[4:] for line in found[0].splitlines(keepends=True))
        hook = hook.replace("/etc/chatd", str(folder / "chatd"))
        hook = hook.replace("chown chatd", f"chown {os.getuid()}")
        subprocess.run(
            ["sh", "-c", hook], env={**os.environ, "RENEWED_LINEAGE": str(lineage)}, check=True
        )
        copies = {each.name: each.read_text() for each in (folder / "chatd").iterdir()}
        self.assertEqual(copies, {name: name for name in ("privkey.pem", "fullchain.pem")})
        self.assertEqual((folder / "chatd/privkey.pem").stat().st_mode & 0o77, 0)


class HealthCommand(SynchronousTestCase):
    def test_fails_without_a_daemon(self) -> None:
        """Its exit code says whether the page could be read."""
        (rest,) = (rest for name, rest in last_stage() if name == "HEALTHCHECK")
        command = re.search(r'"-c", "(.+)"\]', rest)
        assert command is not None
        code = command[1].replace("8550", "1")
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
        self.assertEqual(done.returncode, 1)
