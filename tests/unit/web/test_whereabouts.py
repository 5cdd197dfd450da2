"""/.well-known/chatd.json: where other realms reach this one."""

from __future__ import annotations

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.config import Config, PeersConfig
from chatd.base.whereabouts import own_whereabouts
from tests.support.websites import SiteTestCase


class WhereaboutsTests(SiteTestCase):
    def make_config(self) -> Config:
        config = super().make_config()
        listen = {**config.listen, "peers": "tcp:8890"}
        return msgspec.structs.replace(config, listen=listen)

    async def test_document(self) -> None:
        answer = await self.ask("GET", "/.well-known/chatd.json")
        self.assertEqual(answer.code, 200)
        found = {key: answer.json[key] for key in ("realm", "host", "port")}
        self.assertEqual(found, {"realm": "realm1", "host": "realm1", "port": 8890})

    async def test_nothing_else(self) -> None:
        for path in ("/.well-known", "/.well-known/", "/.well-known/chatd.json/x"):
            self.assertEqual((await self.ask("GET", path)).code, 404, path)
        self.assertEqual((await self.ask("POST", "/.well-known/chatd.json")).code, 405)


class DoorTests(SynchronousTestCase):
    def test_doors(self) -> None:
        """Only a door that other machines can reach is told."""
        for endpoint, port in (
            ("tcp:8890", 8890),
            ("tcp6:9", 9),
            ("tcp:port=8890:interface=192.0.2.1", 8890),
            (r"tcp6:8890:interface=\:\:", 8890),
            (r"tcp6:8890:interface=2001\:db8\:\:1", 8890),
            ("haproxy:tcp:8890", 8890),
            ("tcp:8890:interface=127.0.0.1", None),
            ("tcp:8890:interface=localhost", None),
            (r"tcp6:8890:interface=\:\:1", None),
            ("tcp:0", None),
            ("unix:peers.sock", None),
            ("", None),
        ):
            config = Config(listen={"peers": endpoint} if endpoint else {})
            found = own_whereabouts(config)
            self.assertEqual(None if found is None else found.port, port, endpoint)

    def test_configured(self) -> None:
        """The address behind a gateway, for example."""
        peers = PeersConfig(public_address="chat.example.net:443")
        found = own_whereabouts(Config(realm="example.net", peers=peers))
        assert found is not None
        self.assertEqual((found.host, found.port), ("chat.example.net", 443))
