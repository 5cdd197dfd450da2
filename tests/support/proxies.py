"""nginx, Caddy and HAProxy for the tests, in instances configured as in docs/operating/proxies.md."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from chatd.app.demo_cluster import HAPROXY
from tests.support import ROOT
from tests.support.processes import wait_until
from tests.support.talker import PATIENCE

PROXIES = ROOT / "docs" / "operating" / "proxies.md"
STREAM_MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
CLIENT = "127.0.0.2"  # an address of this machine other than the proxy's

# Caddy's control port would be the same for all instances.
CADDY = """\
{{
    admin off
    auto_https off
    storage file_system {folder}
}}
"""
# What an instance needs besides the documented configuration, to run without root and in its own folder.
NGINX = """\
{module}
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
"""
NGINX_HTTP = """\
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{shown}
}}
"""


def shown(title: str) -> str:
    """The block of docs/operating/proxies.md that begins with a comment of that title."""
    match = re.search(
        rf"^    # {re.escape(title)}\n((?:    .*\n|\n)+)", PROXIES.read_text(), re.MULTILINE
    )
    assert match is not None, title
    return "".join(line[4:] for line in match[1].splitlines(keepends=True))


def find(name: str) -> str | None:
    """The path of a proxy. Not everybody has /usr/sbin in PATH."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin")


class Proxy:
    """One process in `folder`, which listens on `port`."""

    def __init__(
        self,
        folder: Path,
        port: int,
        command: list[str],
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._errors = folder / "errors"
        with self._errors.open("wb") as errors:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                stdout=errors,
                stderr=errors,
                env={**os.environ, "HOME": str(folder), **environment},
            )
        wait_until(lambda: self._is_up(port), lambda: f"a proxy: {self._errors.read_text()}")

    def _is_up(self, port: int) -> bool:
        assert self.process.poll() is None, self._errors.read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    def close(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(PATIENCE)


def _replaced(text: str, ports: dict[str, int]) -> str:
    """The configuration with other ports than the documented ones."""
    for old, new in ports.items():
        assert re.search(rf"\b{old}\b", text), f"{old} is not in {text}"
        text = re.sub(rf"\b{old}\b", str(new), text)
    return text


def nginx(folder: Path, title: str, port: int, ports: dict[str, int]) -> Proxy:
    """nginx with the documented block `title`; `ports` maps the documented ports to others."""
    folder.mkdir()
    text = _replaced(shown(title), ports)
    is_stream = text.startswith("stream")
    module = f"load_module {STREAM_MODULE};" if is_stream and STREAM_MODULE.exists() else ""
    config = NGINX.format(folder=folder, module=module)
    config += text if is_stream else NGINX_HTTP.format(folder=folder, shown=text)
    (folder / "nginx.conf").write_text(config)
    found: Any = find("nginx")
    return Proxy(folder, port, [found, "-p", str(folder), "-c", str(folder / "nginx.conf")])


def haproxy(
    folder: Path, title: str, port: int, ports: dict[str, int], changes: tuple[str, str] = ("", "")
) -> Proxy:
    """HAProxy with the documented block `title`, in which the first of `changes` is replaced by the
    second."""
    folder.mkdir()
    (folder / "haproxy.cfg").write_text(_replaced(shown(title), ports).replace(*changes))
    found: Any = find("haproxy")
    return Proxy(folder, port, [found, "-db", "-f", str(folder / "haproxy.cfg")])


def haproxy_for_nodes(folder: Path, port: int, nodes: Mapping[str, int]) -> Proxy:
    """HAProxy as chatd configures it in front of several nodes. `nodes` are ports, by the names in its
    file."""
    folder.mkdir()
    found: Any = find("haproxy")
    ports = {"WEB": port, **nodes}
    environment = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
    return Proxy(folder, port, [found, "-db", "-f", str(HAPROXY)], environment)


def caddy(folder: Path, title: str, port: int, ports: dict[str, int]) -> Proxy:
    """Caddy with the documented block `title`."""
    folder.mkdir()
    text = CADDY.format(folder=folder) + _replaced(shown(title), ports)
    (folder / "Caddyfile").write_text(text)
    found: Any = find("caddy")
    return Proxy(folder, port, [found, "run", "--config", str(folder / "Caddyfile")])
