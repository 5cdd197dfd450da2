"""A realm on two nodes: the one that a page and a terminal client are connected to is killed."""

from __future__ import annotations

from typing import Any
from unittest import SkipTest

from tests.support import proxies
from tests.support.browser import PASSWORD, BrowserTestCase, Site, in_browser
from tests.support.node_daemons import node_configs
from tests.support.order import long_test
from tests.support.page import GONE
from tests.support.ports import free_port
from tests.support.postgres import MISSING, find_programs, temporary_database
from tests.support.processes import wait_until
from tests.support.talker import Talker
from tests.support.terminal import Terminal, environment
from tests.support.visitor import expect

MORE = """
[web]
trusted_proxies = 127.0.0.1
"""
# What HAProxy answers until it has noticed that a node is dead
REFUSED = r"status of 50[234]"
EACH = 4  # messages of each side, before and after the loss


class NodeSite(Site):
    """One node, whose pages people open at the port of the proxy."""

    proxy = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.proxy}"


class NodeKilled(BrowserTestCase):
    def begin(self) -> Site:
        if find_programs() is None:
            raise SkipTest(MISSING)
        if proxies.find("haproxy") is None:
            raise SkipTest("haproxy is not installed (Debian: apt install haproxy)")
        names = "node1", "node2"
        configs = node_configs(self.root, temporary_database(self), *names)
        self.one, self.two = map(self.node, names, configs)
        self.one.start()
        port = free_port()
        nodes = {"NODE1": self.one.ports["web"], "NODE2": self.two.ports["web"], "NODE3": 1}
        self.addCleanup(proxies.haproxy_for_nodes(self.root / "haproxy", port, nodes).close)
        self.one.proxy = self.two.proxy = port
        return self.one

    def node(self, name: str, config: str) -> NodeSite:
        made = NodeSite(self.root, name, config + MORE)
        text = (made.folder / "chatd.ini").read_text()
        (made.folder / "chatd.ini").write_text(text.replace(f"name = {name}", "name = 127.0.0.1"))
        self.addCleanup(made.close)
        return made

    def client(self, name: str) -> Terminal:
        """The terminal client, with the addresses of both nodes."""
        folder = self.root / name
        folder.mkdir()
        addresses = [f"localhost:{each.ports['json']}" for each in (self.one, self.two)]
        made = Terminal(["chatd-client", *addresses], folder, environment(folder / "state"))
        self.addCleanup(made.kill)
        made.await_text("register creates an account")
        made.type(f"register {name} {PASSWORD}")
        made.await_text(f"Welcome, {name}")
        return made

    @long_test
    @in_browser
    def test_nothing_is_missed(self) -> None:
        """A page behind HAProxy and a terminal client with two addresses are at one node, and a person who
        writes to them is at the other one. The node is killed. The page and the client go on at the other
        node, have everything that was written meanwhile, and what they send themselves arrives once."""
        messi = self.person("messi")
        messi.expects(f"{GONE}|{REFUSED}")
        lina = self.client("lina")
        self.two.start()  # so all were connected to the first one
        with self.two.daemon.register("budi") as budi:
            budi.must(command="listen", on=True)
            messi.open_chat("budi")
            lina.type("chat budi")
            lina.await_text("You are talking to budi")
            for number in range(EACH):
                self.write(budi, number)
            messi.sees(f"b {EACH - 1}")
            lina.await_text(f"b {EACH - 1}")
            self.one.kill()
            for number in range(EACH, 2 * EACH):
                messi.say(f"m {number}")
                lina.type(f"l {number}")
                self.write(budi, number)
            messi.sees(f"b {2 * EACH - 1}")
            waiting = messi.page.locator(".delivery-sending, .delivery-waiting")
            expect(waiting).to_have_count(0, timeout=30_000)
            lina.await_text("Connected again")
            lina.await_text(f"b {2 * EACH - 1}")
            shown = messi.waits_for_texts(3 * EACH)
            self.check(budi, "messi", "m", shown)
            self.check(budi, "lina", "l", None)
            for user in ("messi", "lina"):  # nobody was there before
                self.assertIn(f" of {user} on connection", self.two.written)
            for number in range(2 * EACH):
                self.assertEqual(lina.text().count(f"budi: b {number}"), 1, lina.text())

    def write(self, budi: Talker, number: int) -> None:
        budi.must(command="send", to="messi,lina", text=f"b {number}")

    def check(self, budi: Talker, user: str, label: str, shown: list[str] | None) -> None:
        """The conversation has what both have sent, each in order, and `shown` is the same."""

        def stored() -> list[str]:
            page: Any = budi.must(command="history", user=user, n=500)
            return [each["text"] for each in sorted(page["messages"], key=lambda m: m["seq"])]

        wait_until(lambda: len(stored()) == 3 * EACH, lambda: f"{user}: {stored()}")
        texts = stored()
        theirs = [f"{label} {number}" for number in range(EACH, 2 * EACH)]
        mine = [f"b {number}" for number in range(2 * EACH)]
        self.assertEqual([text for text in texts if text.startswith(label)], theirs)
        self.assertEqual([text for text in texts if text.startswith("b ")], mine)
        if shown is not None:
            self.assertEqual(shown, texts)
