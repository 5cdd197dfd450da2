"""The address of the browser's door, as links have it."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chatd.base.config import Config, WebConfig
from chatd.base.sources import Networks
from chatd.base.web_address import web_address

PROXY = WebConfig(trusted_proxies=Networks.parse("local"))
CASES = (
    ("tcp:8550:interface=127.0.0.1", WebConfig(), "http://kampus.example:8550"),
    ("tcp6:port=80", WebConfig(), "http://kampus.example"),
    ("ssl:443:privateKey=/k:certKey=/c", WebConfig(), "https://kampus.example"),
    ("ssl:8443:privateKey=/k", WebConfig(), "https://kampus.example:8443"),
    ("unix:/run/chatd/web", WebConfig(), "https://kampus.example"),
    ("haproxy:tcp:8550", WebConfig(), "https://kampus.example"),
    ("tcp:8550", PROXY, "https://kampus.example"),
    ("tcp:8550", WebConfig(url="https://chat.example"), "https://chat.example"),
    (None, WebConfig(), None),
    (None, WebConfig(url="https://chat.example"), "https://chat.example"),
)


class Addresses(SynchronousTestCase):
    def test_all(self) -> None:
        for door, web, expected in CASES:
            listen = {} if door is None else {"web": door}
            config = Config(realm="kampus.example", listen=listen, web=web)
            self.assertEqual(web_address(config), expected, (door, web))
