"""Daemons that serve one realm on a PostgreSQL server."""

from __future__ import annotations

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


class NodeDaemonsTestCase(DaemonTestCase):
    """The nodes `node1` and `node2`."""

    def launch_nodes(self, url: str, more: str = "") -> None:
        """Start both on this database. `more` is the end of their configurations."""
        key_file = self.root / "cluster.key"
        key_file.write_text(KEY)
        key_file.chmod(0o600)
        self.nodes: list[Home] = []
        for node in ("node1", "node2"):
            ending = MORE.format(url=url, node=node, key_file=key_file) + more
            self.nodes.append(Home(self.root / node, more=ending))
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
