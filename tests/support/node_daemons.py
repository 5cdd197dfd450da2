"""Daemons that serve one realm on a PostgreSQL server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support.processes import DaemonTestCase, Home, wait_until
from tests.support.talker import Talker

MORE = """
[database]
url = {url}
[cluster]
nodes = several
node = {node}
key_file = {key_file}
"""
KEY = "11" * 32  # in hexadecimal digits
GROUP = "keluarga"


def node_configs(root: Path, url: str, *nodes: str) -> list[str]:
    """What the configurations of these nodes add. They serve one realm on this database, and share a key
    file in `root`."""
    key_file = root / "cluster.key"
    key_file.write_text(KEY)
    key_file.chmod(0o600)
    return [MORE.format(url=url, node=node, key_file=key_file) for node in nodes]


class NodeDaemonsTestCase(DaemonTestCase):
    """The nodes `node1` and `node2`."""

    def launch_nodes(self, url: str, more: str = "") -> None:
        """Start both on this database. `more` is the end of their configurations."""
        self.nodes: list[Home] = []
        names = "node1", "node2"
        for node, config in zip(names, node_configs(self.root, url, *names), strict=True):
            self.nodes.append(Home(self.root / node, more=config + more))
            self.addCleanup(self.nodes[-1].close)
        for home in self.nodes:
            home.launch()
        for home in self.nodes:
            home.daemon.listening()

    def told(self, talker: Talker, text: str) -> None:
        """Wait until the event of that message has come."""

        def found() -> bool:
            talker.must(command="ping")
            return any(event.get("text") == text for event in talker.events)

        wait_until(found, lambda: f"{text}: {talker.events}")

    def history(self, talker: Talker, **of: Any) -> list[tuple[int, str]]:
        """The seq and the text of each message, oldest first."""
        page = talker.must(command="history", n=500, **of)
        return sorted((each["seq"], each["text"]) for each in page["messages"])
