"""Real daemons that find each other by name servers of the test; no operator acts."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

from twisted.trial.unittest import TestCase

from tests.support.dns import NameServer, Zone
from tests.support.linked_daemons import PeerDaemon
from tests.support.processes import in_thread, wait_until
from tests.support.public_authority import PublicAuthority

NAMES = ("satu.example.org", "kampus.example.net", "tiga.example.com")
PEERS = """\
account_files = 10G

[peers]
trust = web
private = yes
ca_file = {roots}
certificate = {certificate}
private_key = {private_key}
name_servers = 127.0.0.1:{port}
"""
IN_TIME = 2.0  # seconds from the first message to a realm until its recipient has it


class FoundDaemon(PeerDaemon):
    """A realm with a certificate of a public authority."""

    def __init__(self, root: Path, name: str, authority: PublicAuthority, dns_port: int) -> None:
        root.joinpath(f"{name}-files").mkdir()
        files = authority.write(root / f"{name}-files", name)
        roots = authority.write_root(root / f"{name}-files" / "roots.pem")
        self.more = PEERS.format(roots=roots, port=dns_port, **files)
        super().__init__(root, name)


class DiscoveryTests(TestCase):
    timeout = 60

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="chatd-found-")).resolve()
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.zone = Zone()
        server = NameServer(self.zone)
        self.addCleanup(server.stop)
        authority = PublicAuthority()
        self.realms = [FoundDaemon(self.folder, name, authority, server.port) for name in NAMES]
        for realm in self.realms:
            self.addCleanup(realm.close)
            self.zone.host(f"chat.{realm.name}", "127.0.0.1")
            self.zone.realm(realm.name, f"chat.{realm.name}", realm.ports["peers"])

    @in_thread
    def test_three_realms(self) -> None:
        """A message to a realm that was never seen arrives within seconds, from each to each."""
        people = ("ana", "budi", "citra")
        for realm in self.realms:
            realm.launch()
        for realm, name in zip(self.realms, people, strict=True):
            realm.daemon.listening()
            realm.register(name)
        pairs = ((0, 1), (1, 2), (2, 0))
        for sender, recipient in pairs:
            one, two = self.realms[sender], self.realms[recipient]
            with one.talk(people[sender]) as writer, two.talk(people[recipient]) as reader:
                began = time.monotonic()
                address = f"{people[recipient]}@{two.name}"
                writer.send(command="send", to=address, text="halo", wait=True)
                found = wait_until(
                    lambda reader=reader: reader.must(command="requests")["requests"],  # type: ignore[misc]
                    lambda: "the request",
                )
                self.assertLess(time.monotonic() - began, IN_TIME)
                reply = writer.line()
                assert reply is not None
                self.assertIn(reply["state"], ("requested", "delivered"), reply)
                sender_address = f"{people[sender]}@{one.name}"
                self.assertEqual([each["user"] for each in found], [sender_address])
                reader.must(command="accept", user=sender_address)
                self.assertEqual(reader.texts(), ["halo"])
                reader.must(command="send", to=sender_address, text="hai")
                texts = wait_until(writer.texts, lambda: "the answer")
                self.assertEqual(texts, ["hai"])
